use store_derive::Schema;

struct Opaque;

#[derive(Schema)]
struct NoColumn {
    #[schema(primary_key)]
    id: i64,
    opaque: Opaque,
}

#[derive(Schema)]
struct NoOptionalColumn {
    #[schema(primary_key)]
    id: i64,
    opaque: Option<Opaque>,
}

#[derive(Schema)]
struct NoListColumn {
    #[schema(primary_key)]
    id: i64,
    opaque: Vec<Opaque>,
}

fn main() {}
