//! Derived code gives no warning, whatever the user's crate asks for.
#![deny(warnings, missing_docs, unused, future_incompatible, nonstandard_style, rust_2018_idioms, let_underscore)]
#![deny(unreachable_pub, missing_debug_implementations, single_use_lifetimes, unused_qualifications, unused_results, trivial_casts)]
#![deny(unused_lifetimes, variant_size_differences, redundant_lifetimes, unnameable_types, elided_lifetimes_in_paths)]
#![forbid(unsafe_code)]

use store_core::Deferred;
use store_derive::{Projection, Schema};

#[derive(Schema, Debug)]
struct Private {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = -1, nullable)]
    level: i32,
    #[schema(skip)]
    cached: Hidden,
}

#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
struct Hidden;

/// Public, with a field of a private type.
#[derive(Schema, Debug)]
pub struct Public {
    /// The first part of the key.
    #[schema(primary_key)]
    pub id: i64,
    #[schema(primary_key)]
    part: String,
    nested: Hidden,
    #[schema(omit_cache)]
    hash: Deferred<Option<String>>,
    r#type: Option<Vec<Self>>,
}

impl Clone for Public {
    fn clone(&self) -> Self {
        Public { part: self.part.clone(), nested: self.nested.clone(), hash: self.hash.clone(), r#type: None, ..*self }
    }
}

/// In a module, where `pub(super)` means something else than outside.
mod inner {
    use super::Schema;

    #[derive(Schema, Debug)]
    pub(super) struct Inner {
        #[schema(primary_key)]
        pub(super) id: i64,
    }
}

/// Where the user sets a lint aside for the model alone.
mod unreachable {
    #[expect(unreachable_pub, reason = "the derived functions say nothing of their own")]
    #[derive(super::Schema, Debug)]
    pub struct Model {
        #[schema(primary_key)]
        pub id: i64,
    }
}

#[derive(Projection, Debug)]
#[projection(of = Public)]
struct Part {
    part: String,
    #[projection(column = "type")]
    kind: Option<Vec<Public>>,
}

fn main() {
    #[derive(Schema, Debug)]
    struct Local {
        #[schema(primary_key)]
        id: i64,
        level: i64,
    }

    #[derive(Projection, Debug)]
    #[projection(of = Local)]
    struct LocalPart {
        level: i64,
    }

    println!("{:?}", Local { id: 1, level: 2 });
    println!("{:?}", LocalPart { level: 2 }.level);
    println!("{:?} {:?} {:?}", Local::id(), inner::Inner { id: 1 }.id, unreachable::Model { id: 1 }.id);
    println!("{:?}", Private { id: 1, level: 1, cached: Hidden }.cached);
    let part = Part { part: String::new(), kind: None };
    println!("{part:?} {} {:?}", part.part, part.kind);
}

// `Public` holds itself behind a list, so it is its own JSON.
impl serde::Serialize for Public {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.id)
    }
}

impl<'de> serde::Deserialize<'de> for Public {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = i64::deserialize(deserializer)?;
        Ok(Public { id, part: String::new(), nested: Hidden, hash: Deferred::NotLoaded, r#type: None })
    }
}
