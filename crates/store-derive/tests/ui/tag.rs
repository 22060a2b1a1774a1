use std::time::SystemTime;

use store_core::Deferred;
use store_derive::Schema;

#[derive(Schema)]
struct Player {
    #[schema(primary_key)]
    id: String,
    #[schema(tag)]
    score: f64,
    #[schema(tag)]
    seen: Option<SystemTime>,
    #[schema(tag)]
    badges: Vec<String>,
    #[schema(tag)]
    picture: Vec<u8>,
}

#[derive(Schema)]
struct Account {
    #[schema(primary_key)]
    id: String,
    #[schema(omit_cache, tag)]
    secret: Deferred<String>,
    #[schema(tag, omit_l1)]
    note: Deferred<String>,
    #[schema(skip, tag)]
    session: u64,
    #[schema(tag = "region")]
    region: String,
}

fn main() {}
