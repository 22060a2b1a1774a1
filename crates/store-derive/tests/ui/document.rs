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

#[derive(Serialize, Deserialize, Document)]
#[document(version = 1)]
struct Taken {
    _v: u32,
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 1)]
struct Renamed {
    #[serde(default, rename = "_v")]
    version: u32,
}

#[derive(Serialize, Deserialize, Document)]
#[document(version = 1)]
#[serde(tag = "_v", rename_all = "snake_case")]
enum Tagged {
    One { line: String },
}

fn main() {}
