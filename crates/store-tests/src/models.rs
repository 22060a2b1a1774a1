//! The models that the tests store.

pub mod encrypted;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use strata::{Deferred, Projection, Schema};
use uuid::Uuid;

/// A bit of everything that every tier holds.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(index(columns(region, level)))]
pub struct Player {
    #[schema(primary_key)]
    pub id: String,
    #[schema(unique)]
    pub username: String,
    pub region: Option<String>,
    #[schema(index)]
    pub level: i64,
    pub score: f64,
    pub tags: Vec<String>,
    pub seen_at: Option<SystemTime>,
    #[schema(auto_now_add)]
    pub created_at: SystemTime,
    #[schema(auto_now)]
    pub updated_at: SystemTime,
}

/// A player whose other fields follow from id and level.
pub fn player(id: &str, level: i64) -> Player {
    Player {
        id: id.to_owned(),
        username: format!("user-{id}"),
        region: Some("eu".to_owned()),
        level,
        score: level as f64 / 2.0,
        tags: vec!["beta".to_owned()],
        seen_at: None,
        created_at: UNIX_EPOCH,
        updated_at: UNIX_EPOCH,
    }
}

/// Some columns of [`Player`], in another order.
#[derive(Debug, PartialEq, Projection)]
#[projection(of = Player)]
pub struct Standing {
    pub level: i64,
    pub username: String,
    #[projection(column = "region")]
    pub home: Option<String>,
}

/// A key of two columns, and nothing else to tell records apart.
#[derive(Debug, Clone, PartialEq, Schema)]
pub struct Membership {
    #[schema(primary_key)]
    pub club: String,
    #[schema(primary_key)]
    pub person: String,
    pub since: i32,
}

/// Fields that not every tier holds.
#[derive(Debug, Clone, PartialEq, Schema)]
pub struct Account {
    #[schema(primary_key)]
    pub id: i64,
    pub name: String,
    #[schema(omit_cache)]
    pub password: Deferred<String>,
    #[schema(omit_l1)]
    pub notes: Deferred<Option<String>>,
    #[schema(omit_l1, default = 7)]
    pub quota: Deferred<i64>,
}

/// A whole account.
pub fn account(id: i64) -> Account {
    Account {
        id,
        name: format!("account-{id}"),
        password: Deferred::Loaded(format!("secret-{id}")),
        notes: Deferred::Loaded(Some("note".to_owned())),
        quota: Deferred::Loaded(3),
    }
}

/// A nested struct with whatever else its JSON holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    pub street: String,
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

/// A nested enum that only its content tells apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shape {
    Circle { radius: f64 },
    Box { width: u32, height: u32 },
    Name(String),
}

/// Everything that travels as JSON, and the scalars that [`Player`] lacks.
#[derive(Debug, Clone, PartialEq, Schema)]
pub struct Document {
    #[schema(primary_key)]
    pub id: Uuid,
    pub value: serde_json::Value,
    pub maybe: Option<serde_json::Value>,
    pub address: Address,
    pub shapes: Vec<Shape>,
    pub counts: HashMap<String, i64>,
    pub bytes: Vec<u8>,
    pub small: i8,
    pub wide: u64,
    pub single: f32,
    pub on: bool,
}

/// A document that would not survive a codec that is not told what it reads.
pub fn document(id: Uuid) -> Document {
    let rest = serde_json::json!({"city": "Lima", "floor": 3, "open": [true, null, {"a": 1.5}]});
    let serde_json::Value::Object(rest) = rest else { unreachable!("an object was written") };
    Document {
        id,
        value: serde_json::json!({"z": 1, "a": [1, "two", {"three": null}], "é": "\u{1F980}", "big": 9_007_199_254_740_993_i64, "tiny": 1e-7}),
        maybe: Some(serde_json::Value::Null),
        address: Address { street: "Jirón \"Unión\" '1'".to_owned(), rest: rest.into_iter().collect() },
        shapes: vec![Shape::Circle { radius: 1.5 }, Shape::Box { width: 2, height: 3 }, Shape::Name("dot".to_owned())],
        counts: HashMap::from([("a".to_owned(), i64::MIN), ("".to_owned(), 0)]),
        bytes: vec![0, 1, 0xFF, b'\''],
        small: i8::MIN,
        wide: i64::MAX as u64,
        single: 0.1,
        on: true,
    }
}

/// Small and many.
#[derive(Debug, Clone, PartialEq, Schema)]
pub struct City {
    #[schema(primary_key)]
    pub id: i64,
    pub name: String,
    pub country: Option<String>,
    #[schema(index)]
    pub population: i64,
}

/// A city whose name and population follow from its id.
pub fn city(id: i64) -> City {
    City { id, name: format!("City {id}"), country: (id % 3 > 0).then(|| format!("C{}", id % 3)), population: id % 10 }
}

/// A moment with more digits than a tier holds.
pub fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)
}
