//! The calls that migrate.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::file::MigrationFile;
use super::plan::MigrationPlan;
use super::record::{MigrationRecord, MigrationReport, Resolution};
use super::settings::MigrationSettings;
use crate::builder::checks;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::Migrations;
use crate::schema::{BoundSchema, Partitioning};
use crate::store::Store;
use crate::tier::{Role, Tier};

/// Migrates the tier of truth of a stack for which no store is built: [`StoreBuilder::migrator`](crate::StoreBuilder::migrator).
///
/// A store has the same calls. Stores that run meanwhile go on; they learn by the log what SQL files changed.
///
/// ```
/// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: i64 }
/// # async fn example(builder: store_core::StoreBuilder) -> store_core::Result<()> {
/// let migrator = builder.schema::<Player>().migrator()?;
/// println!("{}", migrator.plan().await?);
/// migrator.migrate().await?;
/// migrator.migrate_from("migrations").await?;
/// assert_eq!(migrator.plan().await?.to_string(), "nothing to do");
/// migrator.close().await
/// # } let _ = example;
/// ```
#[derive(Clone)]
pub struct Migrator {
    migrations: Arc<dyn Migrations>,
    schemas: Arc<[Arc<BoundSchema>]>,
    settings: MigrationSettings,
    tiers: Vec<Arc<dyn Tier>>,
}

impl Migrator {
    pub(crate) fn new(migrations: Arc<dyn Migrations>, schemas: Vec<Arc<BoundSchema>>, settings: MigrationSettings) -> Self {
        Migrator { migrations, schemas: schemas.into(), settings, tiers: Vec::new() }
    }

    pub(crate) fn with_tiers(self, tiers: Vec<Arc<dyn Tier>>) -> Self {
        Migrator { tiers, ..self }
    }

    pub(crate) fn missing() -> Error {
        Error::new(ErrorKind::InvalidConfig, "the store has no tier of truth whose tables could be migrated; add PostgreSQL or SQLite")
    }

    /// What [`migrate`](Self::migrate) would do. Nothing is run and nothing is made.
    ///
    /// # Errors
    ///
    /// What the tier says. What a migration would refuse is no error but [drift](MigrationPlan::drift).
    pub async fn plan(&self) -> Result<MigrationPlan> {
        told(self.migrations.plan(&self.schemas, &self.settings).await, "plan")
    }

    /// Makes what the models need and the database lacks: tables, columns, indexes, triggers, and Strata's own tables. It adds and never drops or changes
    /// anything, and does nothing where nothing is missing.
    ///
    /// One process migrates a database at a time; others wait. Dropping the future ends the work and leaves no lock behind; what was done stays, and the next
    /// call does the rest.
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](ErrorKind::SchemaMismatch), before the first step, for a table that no addition makes fit, and, once the steps in front of it are done,
    /// for rows that break a new unique index; [`Timeout`](ErrorKind::Timeout) where another migrator or a lock was waited for in vain; [`AccessDenied`](ErrorKind::AccessDenied) with the
    /// statement that needs a right which is missing.
    pub async fn migrate(&self) -> Result<MigrationReport> {
        told(self.migrations.migrate(&self.schemas, &self.settings).await, "migrate")
    }

    /// Runs the SQL files `NNN_description.sql` of a directory that were not run yet, in the order of their numbers, each in a transaction unless
    /// the comments at its beginning have the line `-- strata: no transaction`. Afterwards no copy of any model in any cache counts any more.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a directory that cannot be read, names that do not fit, and two files of one number;
    /// [`SchemaMismatch`](ErrorKind::SchemaMismatch) where a file that was run has changed or is missing, or one stopped in its middle and was not
    /// [resolved](Self::resolve); what the database says of a statement, with the file, the statement's number and its beginning.
    pub async fn migrate_from(&self, directory: impl Into<PathBuf>) -> Result<MigrationReport> {
        told(self.run_files(directory.into()).await, "migrate_from")
    }

    async fn run_files(&self, directory: PathBuf) -> Result<MigrationReport> {
        let read = tokio::task::spawn_blocking(move || MigrationFile::read_directory(directory)).await;
        let files = read.map_err(|error| Error::new(ErrorKind::Internal, "the files could not be read").with_source(error))??;
        self.migrations.migrate_files(&files, &self.schemas, &self.settings).await
    }

    /// What migrations have done to this database, in its order, SQL files that failed among it.
    ///
    /// # Errors
    ///
    /// What the tier says.
    pub async fn status(&self) -> Result<Vec<MigrationRecord>> {
        told(self.migrations.migration_records().await, "migration_status")
    }

    /// Says how an SQL file goes on that stopped in its middle. A file that is one transaction needs no such word: mend it and run it again.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if no such file stopped.
    pub async fn resolve(&self, file: &str, resolution: Resolution) -> Result<()> {
        told(self.migrations.resolve_migration(file, resolution, &self.schemas, &self.settings).await, "resolve_migration")
    }

    /// Releases every tier of the stack.
    ///
    /// # Errors
    ///
    /// What the first tier that did not close in order said; the others are closed all the same.
    pub async fn close(&self) -> Result<()> {
        let mut outcome = Ok(());
        for tier in &self.tiers {
            outcome = outcome.and(tier.close().await.map_err(|error| error.with_tier(tier.role()).with_operation("close")));
        }
        outcome
    }

    /// For a store that may make tables.
    pub(crate) async fn make(&self) -> Result<()> {
        let report = self.migrations.migrate(&self.schemas, &self.settings).await?;
        for drift in &report.drift {
            tracing::info!(schema = drift.schema, "{}", drift.what);
        }
        Ok(())
    }

    /// Makes the partitions of periods to come, again and again; `None` where no table has such.
    pub(crate) fn upkeep(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let is_of_time = |schema: &Arc<BoundSchema>| {
            schema.definition().partition().is_some_and(|partition| matches!(partition.partitioning, Partitioning::Range { .. }))
        };
        let schemas: Vec<_> = self.schemas.iter().filter(|schema| is_of_time(schema)).cloned().collect();
        let (migrations, settings) = (Arc::clone(&self.migrations), self.settings.clone());
        (!schemas.is_empty()).then_some(async move {
            loop {
                tokio::time::sleep(settings.partition_upkeep.max(Duration::from_millis(10))).await;
                match migrations.make_partitions(&schemas, &settings).await {
                    Ok(report) => {
                        for drift in &report.drift {
                            tracing::warn!(schema = drift.schema, "{}", drift.what);
                        }
                    }
                    // Until then its rows go to the default partition.
                    Err(error) => tracing::warn!(%error, "no partition can be made ahead of time; it is tried again"),
                }
            }
        })
    }

    /// For a store that may make none.
    pub(crate) async fn check(&self) -> Result<()> {
        checks::tables(&*self.migrations, &self.schemas).await
    }
}

fn told<T>(outcome: Result<T>, operation: &'static str) -> Result<T> {
    outcome.map_err(|error| {
        let error = if error.tier().is_none() && error.kind() != ErrorKind::InvalidConfig { error.with_tier(Role::Truth) } else { error };
        error.with_operation(operation)
    })
}

impl fmt::Debug for Migrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemas: Vec<_> = self.schemas.iter().map(|schema| schema.name()).collect();
        f.debug_struct("Migrator").field("schemas", &schemas).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Store {
    /// Makes what the models need and the database lacks, as [`build`](crate::StoreBuilder::build) does unless [`Settings::create_tables`](crate::Settings) is off. It
    /// adds tables, columns, indexes and triggers, and never drops or changes anything.
    ///
    /// # Errors
    ///
    /// As [`Migrator::migrate`], and where no tier has tables.
    ///
    /// ```
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// for record in store.migrate().await?.applied {
    ///     println!("{} took {:?}", record.what, record.took);
    /// }
    /// assert!(store.plan().await?.is_empty());
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn migrate(&self) -> Result<MigrationReport> {
        self.migrating("migrate", |migrator| Box::pin(async move { migrator.migrate().await })).await
    }

    /// What [`migrate`](Self::migrate) would do. Nothing is run.
    ///
    /// # Errors
    ///
    /// As [`Migrator::plan`], and where no tier has tables.
    pub async fn plan(&self) -> Result<MigrationPlan> {
        self.migrating("plan", |migrator| Box::pin(async move { migrator.plan().await })).await
    }

    /// Runs the SQL files `NNN_description.sql` of a directory that were not run yet, in the order of their numbers. Once it has answered, this store shows what
    /// they wrote, and other instances within their freshness bound.
    ///
    /// # Errors
    ///
    /// As [`Migrator::migrate_from`], and where no tier has tables.
    ///
    /// ```
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// std::fs::write("migrations/001_double_levels.sql", "UPDATE player SET level = level * 2;").unwrap();
    /// assert_eq!(store.migrate_from("migrations").await?.applied.len(), 1);
    /// assert!(store.migrate_from("migrations").await?.is_empty(), "a file is run once");
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn migrate_from(&self, directory: impl Into<PathBuf>) -> Result<MigrationReport> {
        let directory = directory.into();
        let outcome = self.migrating("migrate_from", |migrator| Box::pin(async move { migrator.migrate_from(directory).await })).await;
        let has_changed = match &outcome {
            Ok(report) => !report.is_empty(),
            // What failed may have taken effect in part.
            Err(error) => error.kind() != ErrorKind::InvalidConfig,
        };
        let voided = if has_changed { self.void_copies().await.map_err(|error| error.with_operation("migrate_from")) } else { Ok(()) };
        outcome.and_then(|report| voided.map(|()| report))
    }

    /// What migrations have done to the database, in its order.
    ///
    /// # Errors
    ///
    /// As [`Migrator::status`], and where no tier has tables.
    pub async fn migration_status(&self) -> Result<Vec<MigrationRecord>> {
        self.migrating("migration_status", |migrator| Box::pin(async move { migrator.status().await })).await
    }

    /// Says how an SQL file goes on that stopped in its middle.
    ///
    /// # Errors
    ///
    /// As [`Migrator::resolve`], and where no tier has tables.
    pub async fn resolve_migration(&self, file: &str, resolution: Resolution) -> Result<()> {
        let file = file.to_owned();
        let resolve = move |migrator: Migrator| -> BoxFuture<'static, Result<()>> {
            Box::pin(async move { migrator.resolve(&file, resolution).await })
        };
        self.migrating("resolve_migration", resolve).await?;
        self.void_copies().await.map_err(|error| error.with_operation("resolve_migration"))
    }

    async fn migrating<T>(&self, operation: &'static str, call: impl FnOnce(Migrator) -> BoxFuture<'static, Result<T>>) -> Result<T> {
        self.check_open(operation)?;
        let migrator = self.migrator().ok_or_else(|| Migrator::missing().with_operation(operation))?;
        self.shared().life.within(call(migrator.clone())).await.map_err(|error| error.with_operation(operation))
    }

    async fn void_copies(&self) -> Result<()> {
        for schema in self.schemas().iter().filter(|schema| schema.follows_log()) {
            self.shared().life.within(Arc::clone(schema).void()).await?;
        }
        Ok(())
    }
}
