use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use store_core::Deferred;
use store_derive::Schema;

#[derive(Serialize, Deserialize)]
struct Address {
    street: String,
}

#[derive(Schema)]
#[schema(index(columns(level, secret)))]
struct Player {
    #[schema(primary_key, encrypted)]
    id: i64,
    level: i64,
    #[schema(encrypted)]
    secret: String,
    #[schema(encrypted, tag)]
    region: String,
    #[schema(encrypted, auto_now)]
    updated_at: SystemTime,
    #[schema(auto_now_add, encrypted)]
    created_at: SystemTime,
    #[schema(encrypted, default = 1)]
    rank: i64,
    #[schema(plain_in_l2)]
    open: String,
    #[schema(encrypted, plain_in_l2, omit_cache)]
    nowhere: Deferred<String>,
    #[schema(encrypted = true)]
    flag: String,
    #[schema(skip, encrypted)]
    skipped: String,
}

#[derive(Schema)]
#[schema(check = "(secret) IS NULL OR secret_blind > 1", check = "secret IS NOT NULL AND note <> 'secret'")]
#[schema(index(columns(level), where = "\"Secret\" = 4"))]
struct Conditions {
    #[schema(primary_key)]
    id: i64,
    #[schema(index(where = "length(note) > 1"))]
    level: i64,
    #[schema(encrypted)]
    secret: Option<i64>,
    #[schema(encrypted, check = "note <> ''")]
    note: String,
}

#[derive(Schema)]
struct Clash {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, unique)]
    email: String,
    email_blind: Vec<u8>,
    #[schema(encrypted, index)]
    a_field_whose_name_is_so_long_that_its_blind_index_has_none_: String,
}

#[derive(Schema)]
struct Nested {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, index)]
    address: Address,
}

#[derive(Schema)]
#[schema(cache_only)]
struct Cached {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, unique)]
    token: String,
}

fn main() {}
