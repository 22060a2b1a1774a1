use std::time::SystemTime;

use store_derive::Schema;

#[derive(Schema)]
struct ByFloat {
    #[schema(primary_key)]
    id: f64,
}

#[derive(Schema)]
struct ByList {
    #[schema(primary_key)]
    id: Vec<String>,
}

#[derive(Schema)]
struct ByTime {
    #[schema(primary_key)]
    user_id: i64,
    #[schema(primary_key)]
    at: SystemTime,
}

fn main() {}
