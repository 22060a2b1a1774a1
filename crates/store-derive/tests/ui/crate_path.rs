use store_derive::{Projection, Schema};

#[derive(Schema)]
#[schema(crate = "not a path")]
struct NoPath {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Projection)]
#[projection(of = City, crate = strata)]
struct NoText {
    id: i64,
}

fn main() {}
