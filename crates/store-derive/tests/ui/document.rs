use serde::{Deserialize, Serialize};
use store_derive::Document;

#[derive(Serialize, Deserialize, Document)]
struct WithoutVersion {
    line: String,
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 0, upgrade_from = WithoutVersion, name = "x")]
struct First {
    line: String,
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 1)]
struct Generic<T> {
    line: T,
}

fn main() {}
