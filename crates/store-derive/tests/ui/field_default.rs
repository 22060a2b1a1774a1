use serde::{Deserialize, Serialize};
use store_derive::Schema;

#[derive(Serialize, Deserialize)]
struct NoDefault;

#[derive(Schema)]
struct Skipped {
    #[schema(primary_key)]
    id: i64,
    #[schema(skip)]
    cached: NoDefault,
}

#[derive(Schema)]
struct Nullable {
    #[schema(primary_key)]
    id: i64,
    #[schema(nullable)]
    nested: NoDefault,
}

fn main() {}
