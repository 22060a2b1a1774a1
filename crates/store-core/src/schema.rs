//! What `#[derive(Schema)]` says of a model.

mod bound;
mod constraint;
mod definition;
mod fingerprint;
mod index;
mod partition;
mod policy;

pub use bound::BoundSchema;
pub use constraint::{CheckDefinition, OnDelete, ReferenceDefinition};
pub use definition::{ColumnDefinition, DefaultValue, Encryption, Residence, SchemaDefinition, Stamp};
pub use index::{IndexDefinition, IndexKind};
pub use partition::{PartitionDefinition, Partitioning, Period, Span};
pub(crate) use partition::{date_of, day_of_month};
pub use policy::{Eviction, Lifetime, NearPolicy, Policies, SharedPolicy, TruthPolicy, UpgradePolicies, WriteMode};

use crate::error::Result;
use crate::key::Key;
use crate::upgrade::Upgrades;
use crate::value::Row;

/// A model: a struct that Strata stores. Derive it with `#[derive(Schema)]`; the conversions are generated, with no reflection.
///
/// ```
/// use store_core::{Schema, Value};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
/// }
///
/// let lima = City { id: 7, name: "Lima".into() };
/// assert_eq!(City::definition().name(), "city");
/// assert_eq!(lima.key(), 7);
/// assert_eq!(lima.to_row()?, [Value::from(7), Value::from("Lima")]);
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is not a model", note = "add `#[derive(Schema)]` to it")]
pub trait Schema: Sized + Send + Sync + 'static {
    /// The primary key: the key field's type, or a tuple where several fields are marked.
    type Key: Key;

    /// The version of the layout: `#[schema(version = 2)]`, 1 if the model says nothing.
    const VERSION: u32 = 1;

    /// Name, columns, indexes and policies, made once.
    fn definition() -> &'static SchemaDefinition;

    /// The key of this record.
    fn key(&self) -> Self::Key;

    /// The record as one value for each column, borrowed where possible. Deferred fields that are not loaded are [`Value::Unset`](crate::Value::Unset).
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) or [`EncodeFailed`](crate::ErrorKind::EncodeFailed), naming the column.
    fn to_row(&self) -> Result<Row<'_>>;

    /// The record for one value for each column. [`Value::Unset`](crate::Value::Unset) leaves a deferred field not loaded.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](crate::ErrorKind::DecodeFailed), naming schema and column.
    fn from_row(row: Row<'static>) -> Result<Self>;

    /// The older versions whose records become this one's when they are read: `#[schema(upgrade_from = …)]`.
    fn upgrades() -> Upgrades<Self> {
        Upgrades::none()
    }
}
