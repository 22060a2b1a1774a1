use store_derive::Schema;

#[derive(Schema)]
enum Shape {
    Round { radius: f64 },
}

#[derive(Schema)]
union Bits {
    integer: u64,
    float: f64,
}

#[derive(Schema)]
struct Pair(String, i64);

#[derive(Schema)]
struct Unit;

#[derive(Schema)]
struct Empty {}

#[derive(Schema)]
struct Borrowed<'a> {
    #[schema(primary_key)]
    id: &'a str,
}

#[derive(Schema)]
struct Generic<T> {
    #[schema(primary_key)]
    id: T,
}

#[derive(Schema)]
struct Sized<const N: usize> {
    #[schema(primary_key)]
    id: i64,
    bytes: [u8; N],
}

fn main() {}
