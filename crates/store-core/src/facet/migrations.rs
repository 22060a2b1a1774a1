//! Bringing the tables of the tier of truth to what the models ask for.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::migration::{MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, Resolution};
use crate::schema::BoundSchema;
use crate::sql::IndexPlan;

/// An index of a schema that its table lacks.
///
/// ```
/// use store_core::facet::MissingIndex;
/// use store_core::sql::IndexPlan;
///
/// let plan = IndexPlan { name: "player_username_key".into(), columns: vec!["username"], unique: true, ..IndexPlan::default() };
/// let statement = r#"CREATE UNIQUE INDEX "player_username_key" ON "player" ("username")"#.into();
/// assert!(MissingIndex { schema: "player", plan, statement }.plan.unique);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingIndex {
    /// The schema's name.
    pub schema: &'static str,
    /// The index as it would be made.
    pub plan: IndexPlan,
    /// The SQL that makes it.
    pub statement: String,
}

/// Makes and extends tables, runs SQL files, and keeps a record of both in `_strata_migrations`.
///
/// Implementations MUST keep these rules:
///
/// - Nothing is ever dropped or changed that holds data: steps add. What differs otherwise is [drift](crate::Drift), and refused as
///   [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch), with what mends it, if reads or writes of the model would fail.
/// - What is refused is refused before the first step. Each call may be repeated, also where an earlier one was cut off anywhere.
/// - One process migrates a database at a time. Another waits as long as the settings say, then fails as [`Timeout`](crate::ErrorKind::Timeout). No step waits
///   for a table's lock for longer than the settings allow, so that it does not hold up those that come after it.
/// - A call whose future is dropped leaves no lock behind, and leaves each step done with its record, or not done.
/// - After an SQL file took effect, in whole or in part, the log holds an entry without a key for each of the schemas; in the file's own transaction, if it is one.
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Tier, facet::Migrations};
/// # use store_testkit::ModelRecords;
///
/// fn migrations_of(tier: Arc<dyn Tier>) -> Option<Arc<dyn Migrations>> {
///     tier.facets().migrations
/// }
///
/// # let redis = ModelRecords::new();
/// assert!(migrations_of(Arc::new(redis)).is_none(), "a shared tier has no tables to migrate");
/// ```
#[async_trait]
pub trait Migrations: Debug + Send + Sync {
    /// Tells what [`migrate`](Self::migrate) would do. It changes nothing, and makes not even the database where that is a file.
    async fn plan(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationPlan>;

    /// Makes what the schemas need and the database lacks, and Strata's own tables: tables, columns, indexes, triggers. Where nothing is missing it needs no right
    /// to make anything.
    async fn migrate(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport>;

    /// Makes the partitions of periods to come that [`migrate`](Self::migrate) would make, and nothing else; running stores call it again and again. A tier
    /// without partitions has nothing to do.
    async fn make_partitions(&self, _schemas: &[Arc<BoundSchema>], _settings: &MigrationSettings) -> Result<MigrationReport> {
        Ok(MigrationReport::default())
    }

    /// Runs the SQL files that were not run yet. `schemas` are those whose copies it may make stale.
    async fn migrate_files(
        &self,
        files: &[MigrationFile],
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<MigrationReport>;

    /// What was done, in its order; nothing where nobody has migrated yet.
    async fn migration_records(&self) -> Result<Vec<MigrationRecord>>;

    /// Says how an SQL file goes on that [blocks](crate::DirtyMark::blocks) others.
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the file is not one of these.
    async fn resolve_migration(
        &self,
        file: &str,
        resolution: Resolution,
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<()>;

    /// Names the tables, and whatever else of Strata's own a store needs, that [`migrate`](Self::migrate) would make because they are missing. It makes nothing
    /// itself, not even the database where that is a file.
    async fn missing_tables(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>>;

    /// Refuses a table, or a view in its place, that lacks a column of its schema, as [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) with what mends it.
    /// Those that are missing altogether are passed over. It makes nothing itself.
    async fn check_columns(&self, schemas: &[Arc<BoundSchema>]) -> Result<()>;

    /// Tells which indexes the tables lack, all of which are there. An index or a constraint of any name [serves](IndexPlan::is_served_by) if it covers all rows
    /// at once. Views are passed over. It makes nothing itself.
    async fn missing_indexes(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>>;
}
