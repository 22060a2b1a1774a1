use serde::{Deserialize, Serialize};
use store_core::Versioned;
use store_derive::{Document, Schema};

#[derive(Serialize, Deserialize)]
struct Plain {
    line: String,
}

#[derive(Schema)]
struct Person {
    #[schema(primary_key)]
    id: i64,
    address: Versioned<Plain>,
}

#[derive(Document)]
#[document(version = 1)]
struct Mute {
    line: String,
}

fn main() {}
