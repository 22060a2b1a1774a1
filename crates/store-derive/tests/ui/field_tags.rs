use std::time::SystemTime;

use store_core::Deferred;
use store_derive::Schema;

#[derive(Schema)]
struct Stamps {
    #[schema(primary_key)]
    id: i64,
    #[schema(auto_now, auto_now_add)]
    both: SystemTime,
    #[schema(auto_now, default = 1)]
    written: SystemTime,
    #[schema(auto_now_add, default = 1)]
    inserted: SystemTime,
}

#[derive(Schema)]
struct Omitted {
    #[schema(primary_key)]
    id: i64,
    #[schema(omit_cache)]
    plain: String,
    #[schema(omit_l1)]
    optional: Option<Deferred<String>>,
    nowhere_omitted: Deferred<String>,
    #[schema(omit_cache, omit_l1)]
    twice: Deferred<String>,
}

#[derive(Schema)]
struct Skipped {
    #[schema(primary_key)]
    id: i64,
    #[schema(skip, primary_key)]
    key: i64,
    #[schema(skip, unique, default = 1)]
    number: i64,
    #[schema(omit_cache, skip)]
    deferred: Deferred<i64>,
}

#[derive(Schema)]
struct Later {
    #[schema(primary_key)]
    id: i64,
    #[schema(vector(dimensions = 384))]
    embedding: Vec<f32>,
}

#[derive(Schema)]
struct Borrowed {
    #[schema(primary_key)]
    id: &'static str,
    note: Option<&'static str>,
    #[schema(skip)]
    skipped: &'static str,
}

fn main() {}
