//! The tier of truth: rows in SQL tables.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::{Begin, Condition, LogCursor, Touched, Transaction};
use crate::error::Result;
use crate::health::ReplicaHealth;
use crate::query::{Filter, Order};
use crate::record::StoredRow;
use crate::schema::BoundSchema;
use crate::value::Row;
use crate::version::Version;

/// A query without its model, as a tier runs it. [`sql::select`](crate::sql::select) turns it into SQL.
///
/// ```
/// use store_core::facet::Select;
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let names = Select {
///     columns: Some(vec![1]),
///     filter: Some(City::population().gt(1_000_000)),
///     order: vec![City::name().asc()],
///     ..Select::default()
/// };
/// assert_eq!(names.limit, None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// The positions of the columns to read; the others come back as [`Value::Unset`](crate::Value::Unset). `None` reads all.
    pub columns: Option<Vec<usize>>,
    /// Which rows.
    pub filter: Option<Filter>,
    /// In which order. [`Query`](crate::Query) ends it with the key columns, so that it is total.
    pub order: Vec<Order>,
    /// The most rows; `None` for all.
    pub limit: Option<u64>,
    /// Rows to skip.
    pub offset: u64,
    /// Which server may answer.
    pub preference: ReadPreference,
}

/// Which server may answer a query, where a truth has replicas.
///
/// ```
/// use store_core::facet::{LogCursor, ReadPreference};
///
/// let under_a_token = ReadPreference::Replayed(LogCursor::new("5:5:"));
/// assert_ne!(under_a_token, ReadPreference::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReadPreference {
    /// The primary alone.
    Primary,
    /// A replica that is no further behind than the tier's settings allow, or the primary; while the primary is away, whichever replica is least behind.
    #[default]
    Replica,
    /// A replica that has replayed this place of the log, or the primary.
    Replayed(LogCursor),
    /// The replica that is least behind. The primary is away, and is not asked.
    Late,
}

/// A count without its model.
///
/// ```
/// use store_core::facet::{Count, ReadPreference};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let large = Count { filter: Some(City::population().gt(1_000_000)), preference: ReadPreference::Primary };
/// assert!(large.filter.is_some());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// Which rows.
    pub filter: Option<Filter>,
    /// Which server may answer.
    pub preference: ReadPreference,
}

/// Rows in SQL tables, with versions and the log of commits.
///
/// Implementations MUST keep these rules:
///
/// - A write, the version it draws, and its rows in `_strata_log` are one transaction. A version is drawn after the row's lock is held, so that
///   versions of one key rise in the order of commits. When the call returns without an error, the write survives a crash of this process.
/// - One log row names each key that was written or deleted; a call above [`BULK_LOG_LIMIT`](super::BULK_LOG_LIMIT) keys writes one row for the whole schema instead,
///   whose version is at least that of every key it covers. The row of an update by [`put_if`](Self::put_if) or [`update_where`](Self::update_where) that sets some
///   columns SHOULD name these ([`LogEntry::columns`](super::LogEntry::columns)); if it names any, it MUST name all.
/// - Results stand in the order of what was asked; the rows of one call may be written in any order. The keys of one call are distinct.
/// - A value that a column cannot hold exactly is refused as [`InvalidValue`](crate::ErrorKind::InvalidValue), with the column's name, before anything is written.
/// - A call whose future is dropped leaves either all of its writes or none.
/// - Errors carry the schema, and the column where the database names it. A unique violation is
///   [`UniqueViolation`](crate::ErrorKind::UniqueViolation), with the row's key where it can be told, a not-null, check or foreign-key violation
///   [`ConstraintViolation`](crate::ErrorKind::ConstraintViolation); a lost or refused connection is [`L3Unavailable`](crate::ErrorKind::L3Unavailable), a passed
///   limit [`Timeout`](crate::ErrorKind::Timeout), a table or column of the schema that is missing [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch), SQL of the program's that
///   does not parse or names what is not there [`InvalidQuery`](crate::ErrorKind::InvalidQuery), refused credentials or permissions [`AccessDenied`](crate::ErrorKind::AccessDenied).
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Tier, facet::Tables};
/// # use store_testkit::ModelRecords;
///
/// fn tables_of(tier: Arc<dyn Tier>) -> Option<Arc<dyn Tables>> {
///     tier.facets().tables
/// }
///
/// # let redis = ModelRecords::new();
/// assert!(tables_of(Arc::new(redis)).is_none(), "a shared tier has `records` instead");
/// ```
#[async_trait]
pub trait Tables: Debug + Send + Sync {
    /// Reads rows by key, from the primary. Each key is the values of the key columns, in key order.
    async fn get_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<StoredRow>>>;

    /// Tells which keys have a row, from the primary.
    async fn exists_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>>;

    /// Inserts or updates rows, all or none, and returns what the table now holds.
    ///
    /// A column that is [`Value::Unset`](crate::Value::Unset) keeps its content on update and takes its default on insert. A column stamped
    /// [`OnInsert`](crate::Stamp::OnInsert) keeps its content on update.
    async fn put_many(&self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>>;

    /// As [`put_many`](Self::put_many) for one row, if the condition holds once the row's lock is held; `None` if it does not, and nothing is written.
    ///
    /// A row that no insert would take may be refused also where the condition does not hold.
    async fn put_if(&self, schema: &BoundSchema, row: &Row<'_>, condition: Condition) -> Result<Option<StoredRow>>;

    /// Deletes rows by key, all or none. The version of each deletion, or `None` where there was no row (which is no error).
    async fn delete_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>>;

    /// Deletes the rows for which a condition holds, all or none.
    async fn delete_where(&self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>>;

    /// Sets columns of the rows for which a condition holds, all or none; `changes` is a row in which every other column, and each of the key's, is
    /// [`Value::Unset`](crate::Value::Unset).
    async fn update_where(&self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>>;

    /// Runs a query; rows arrive as the reader takes them, so a result may be larger than memory. Dropping the stream ends the query.
    fn select(self: Arc<Self>, schema: Arc<BoundSchema>, select: Select) -> BoxStream<'static, Result<StoredRow>>;

    /// Whether [`select`](Self::select) and [`count`](Self::count) may be answered by a replica unless they ask for the primary. What a replica answers
    /// may be older than what the store was told, so it is never cached.
    fn reads_from_replica(&self) -> bool;

    /// How each replica is doing, as it is known without asking.
    fn replicas(&self) -> Vec<ReplicaHealth>;

    /// Counts rows.
    async fn count(&self, schema: &BoundSchema, count: Count) -> Result<u64>;

    /// Begins a transaction, on a connection of the primary that is its own. The wait for one is part of the limit.
    async fn begin(&self, begin: &Begin) -> Result<Box<dyn Transaction>>;
}
