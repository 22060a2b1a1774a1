//! The heart of Strata: what a model is, what a tier can do, and the pipeline that carries reads and writes through a stack of tiers.
//!
//! Users depend on the crate `strata`, which re-exports this one; authors of tiers implement [`Tier`] and the facets in [`facet`].

#![doc(test(attr(deny(warnings))))]

mod clock;
mod codec;
mod deferred;
mod error;
pub mod facet;
mod field;
mod key;
mod query;
mod record;
mod schema;
pub mod sql;
mod tier;
mod timestamp;
mod value;
mod version;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use clock::{Clock, SystemClock};
pub use codec::*;
pub use deferred::Deferred;
pub use error::{Error, ErrorKind, Result};
pub use facet::{EvictionCause, NearTier, NoNear};
pub use field::{FieldCodec, Json, JsonField, Nullable, NullableJson, Plain, Scalar};
pub use key::{AsKey, Key, KeyPart};
pub use query::{Column, Columns, Comparison, Cursor, DEFAULT_LIMIT, Direction, Filter, Operand, Order, Projection, Query};
pub use record::{EncodedRecord, Record, StoredRow};
pub use schema::{
    BoundSchema, ColumnDefinition, DefaultValue, Eviction, IndexDefinition, Lifetime, NearPolicy, Policies, Residence, Schema,
    SchemaDefinition, SharedPolicy, Stamp, TruthPolicy, WriteMode,
};
pub use tier::{Facets, Role, Tier};
pub use timestamp::Timestamp;
pub use value::{ColumnType, Row, Value};
pub use version::Version;
