//! The models that the tests store.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use strata::{Deferred, Projection, Schema};
use uuid::Uuid;

/// A bit of everything that every tier holds.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(index(columns(region, level)))]
pub(crate) struct Player {
    #[schema(primary_key)]
    pub(crate) id: String,
    #[schema(unique)]
    pub(crate) username: String,
    pub(crate) region: Option<String>,
    #[schema(index)]
    pub(crate) level: i64,
    pub(crate) score: f64,
    pub(crate) tags: Vec<String>,
    pub(crate) seen_at: Option<SystemTime>,
    #[schema(auto_now_add)]
    pub(crate) created_at: SystemTime,
    #[schema(auto_now)]
    pub(crate) updated_at: SystemTime,
}

/// A player whose other fields follow from id and level.
pub(crate) fn player(id: &str, level: i64) -> Player {
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
pub(crate) struct Standing {
    pub(crate) level: i64,
    pub(crate) username: String,
    #[projection(column = "region")]
    pub(crate) home: Option<String>,
}

/// A key of two columns, and nothing else to tell records apart.
#[derive(Debug, Clone, PartialEq, Schema)]
pub(crate) struct Membership {
    #[schema(primary_key)]
    pub(crate) club: String,
    #[schema(primary_key)]
    pub(crate) person: String,
    pub(crate) since: i32,
}

/// Fields that not every tier holds.
#[derive(Debug, Clone, PartialEq, Schema)]
pub(crate) struct Account {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) name: String,
    #[schema(omit_cache)]
    pub(crate) password: Deferred<String>,
    #[schema(omit_l1)]
    pub(crate) notes: Deferred<Option<String>>,
    #[schema(omit_l1, default = 7)]
    pub(crate) quota: Deferred<i64>,
}

/// A whole account.
pub(crate) fn account(id: i64) -> Account {
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
pub(crate) struct Address {
    pub(crate) street: String,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, serde_json::Value>,
}

/// A nested enum that only its content tells apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Shape {
    Circle { radius: f64 },
    Box { width: u32, height: u32 },
    Name(String),
}

/// Everything that travels as JSON, and the scalars that [`Player`] lacks.
#[derive(Debug, Clone, PartialEq, Schema)]
pub(crate) struct Document {
    #[schema(primary_key)]
    pub(crate) id: Uuid,
    pub(crate) value: serde_json::Value,
    pub(crate) maybe: Option<serde_json::Value>,
    pub(crate) address: Address,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) counts: HashMap<String, i64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) small: i8,
    pub(crate) wide: u64,
    pub(crate) single: f32,
    pub(crate) on: bool,
}

/// A document that would not survive a codec that is not told what it reads.
pub(crate) fn document(id: Uuid) -> Document {
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
pub(crate) struct City {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) country: Option<String>,
    #[schema(index)]
    pub(crate) population: i64,
}

/// A city whose name and population follow from its id.
pub(crate) fn city(id: i64) -> City {
    City { id, name: format!("City {id}"), country: (id % 3 > 0).then(|| format!("C{}", id % 3)), population: id % 10 }
}

/// A moment with more digits than a tier holds.
pub(crate) fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)
}
