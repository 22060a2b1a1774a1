use std::time::SystemTime;

use store_core::Deferred;
use store_derive::Schema;

#[derive(Schema)]
struct Missing {
    id: i64,
}

#[derive(Schema)]
struct Optional {
    #[schema(primary_key)]
    id: Option<i64>,
}

#[derive(Schema)]
struct Nullable {
    #[schema(primary_key, nullable)]
    id: i64,
}

#[derive(Schema)]
struct NotLoaded {
    #[schema(primary_key)]
    id: Deferred<i64>,
}

#[derive(Schema)]
struct Omitted {
    #[schema(primary_key, omit_cache)]
    id: Deferred<i64>,
    #[schema(omit_l1, primary_key)]
    part: i64,
}

#[derive(Schema)]
struct Defaulted {
    #[schema(primary_key, default = 1)]
    id: i64,
}

#[derive(Schema)]
struct Stamped {
    #[schema(primary_key, auto_now)]
    written: SystemTime,
    #[schema(primary_key, auto_now_add)]
    inserted: SystemTime,
}

#[derive(Schema)]
struct Indexed {
    #[schema(primary_key, unique, index)]
    id: i64,
}

#[derive(Schema)]
struct TooMany {
    #[schema(primary_key)]
    a: i64,
    #[schema(primary_key)]
    b: i64,
    #[schema(primary_key)]
    c: i64,
    #[schema(primary_key)]
    d: i64,
    #[schema(primary_key)]
    e: i64,
}

fn main() {}
