use store_core::Deferred;
use store_derive::Schema;
use uuid::Uuid;

#[derive(Schema)]
struct Numbers {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = 1)]
    text: String,
    #[schema(default = true)]
    number: Option<i64>,
    #[schema(default = 0.5)]
    whole: i64,
    #[schema(omit_cache, default = 1)]
    deferred: Deferred<bool>,
}

#[derive(Schema)]
struct Texts {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = "viewer")]
    number: i64,
    #[schema(default = "viewer")]
    bytes: Vec<u8>,
    #[schema(default = "{}")]
    json: serde_json::Value,
    #[schema(default = "00000000-0000-0000-0000-000000000001")]
    uuid: Option<Uuid>,
}

fn main() {}
