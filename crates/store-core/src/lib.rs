//! The heart of Strata: what a model is, what a tier can do, and the pipeline that carries reads and writes through a stack of tiers.
//!
//! Users depend on the crate `strata`, which re-exports this one; authors of tiers implement [`Tier`] and the facets in [`facet`].

#![doc(test(attr(deny(warnings))))]

mod answer;
mod behind;
mod breaker;
mod builder;
mod clock;
mod codec;
mod coherence;
mod collection;
#[cfg(feature = "encryption")]
mod crypto;
#[cfg(not(feature = "encryption"))]
#[path = "crypto/absent.rs"]
mod crypto;
mod deferred;
mod diagnosis;
mod document;
mod error;
pub mod facet;
mod fence;
mod field;
mod flight;
mod freshness;
mod gate;
mod guard;
mod health;
mod hooks;
mod import;
mod key;
mod life;
mod load;
mod migration;
mod notes;
mod page;
mod pipeline;
#[doc(hidden)]
pub mod protection;
mod query;
mod query_cache;
mod reader;
mod record;
#[cfg(feature = "encryption")]
mod reencrypt;
mod schema;
mod settings;
pub mod sql;
mod stats;
mod store;
mod sync;
mod tag;
mod tier;
mod timestamp;
mod transaction;
mod upgrade;
mod value;
mod verification;
mod version;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use answer::Answer;
pub use behind::{Acknowledge, DeadLetters, OnConflict, WriteBehind, WriteConflict};
pub use breaker::{BreakerSettings, BreakerState};
pub use builder::{SchemaOptions, StoreBuilder};
pub use clock::{Clock, SystemClock};
pub use codec::*;
pub use collection::{Collection, UpdateOutcome};
#[cfg(feature = "encryption")]
pub use crypto::*;
pub use deferred::Deferred;
pub use diagnosis::{Diagnosis, Finding, Weight};
pub use document::{Document, Versioned};
pub use error::{Error, ErrorKind, Result};
pub use facet::{DeadLetter, EvictionCause, Isolation, NearTier, NoNear};
pub use field::{FieldCodec, Json, JsonField, Nullable, NullableJson, Plain, Scalar};
pub use freshness::{Freshness, Token};
pub use health::{Health, HealthChange, ReplicaHealth, TierHealth, WriteBehindHealth};
pub use hooks::{HookError, Hooks};
pub use import::{Import, ImportError};
pub use key::{AsKey, Key, KeyPart, key_text};
pub use load::{Known, Load, LoadError, LoadResult};
pub use migration::{
    Blocking, DirtyMark, Drift, MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, MigrationStep, Migrator,
    PendingFile, Resolution,
};
pub use page::Page;
pub use pipeline::WarmProgress;
pub use query::{
    Assignment, Changes, Column, ColumnName, Columns, Comparison, Cursor, DEFAULT_LIMIT, Direction, Filter, IntoField, Operand, Order,
    Projection, Query, SIMILARITY,
};
pub use reader::Reader;
pub use record::{EncodedRecord, Record, StoredRow};
#[cfg(feature = "encryption")]
pub use reencrypt::{Reencrypt, ReencryptProgress};
pub use schema::{
    BoundSchema, CheckDefinition, ColumnDefinition, DefaultValue, Encryption, Eviction, IndexDefinition, IndexKind, Lifetime, NearPolicy,
    OnDelete, PartitionDefinition, Partitioning, Period, Policies, ReferenceDefinition, Residence, Schema, SchemaDefinition, SharedPolicy,
    Span, Stamp, TruthPolicy, UpgradePolicies, WriteMode,
};
pub use settings::Settings;
pub use stats::Stats;
pub use store::Store;
pub use tag::Tag;
pub use tier::{Facets, Role, Tier};
pub use timestamp::Timestamp;
pub use transaction::{QueuedTransaction, TaggedTransaction, Transaction, TransactionOptions};
pub use upgrade::{Upgrade, UpgradeError, UpgradePolicy, Upgrades};
pub use value::{ColumnType, Row, Value};
pub use verification::{Inconsistency, KeyEvent, Verification};
pub use version::Version;
