use std::collections::HashMap;

use store_derive::Schema;

#[derive(Schema)]
struct Stamps {
    #[schema(primary_key)]
    id: i64,
    #[schema(auto_now)]
    written: i64,
    #[schema(auto_now_add)]
    inserted: Option<String>,
}

#[derive(Schema)]
#[schema(index(columns(id, map)))]
struct Indexes {
    #[schema(primary_key)]
    id: i64,
    #[schema(unique)]
    list: Vec<String>,
    #[schema(index)]
    json: Option<serde_json::Value>,
    map: HashMap<String, i64>,
}

fn main() {}
