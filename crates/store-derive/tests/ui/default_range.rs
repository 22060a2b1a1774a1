use store_derive::Schema;

#[derive(Schema)]
struct Numbers {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = 300)]
    small: u8,
    #[schema(default = -129)]
    signed: Option<i8>,
}

fn main() {}
