//! The tier itself.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use store_core::{BoundSchema, ErrorKind, Facets, Finding, Result, Role, Tier};

use crate::config::SqliteConfig;
use crate::connection::{self, Purpose};
use crate::diagnosis;
use crate::error::{self, Origin};
use crate::file::DatabaseFile;
use crate::leader::Leadership;
use crate::plan::{Plan, Plans};
use crate::workers::Workers;

/// The tier of truth in a file: SQLite, embedded.
///
/// A file has one writer at a time, in all processes. So a transaction that is open makes every other write to the file wait until it ends, and those of
/// other processes fail once the [busy timeout](SqliteConfig::with_busy_timeout) passes; reads go on beside it. It is serializable, whichever level is asked for.
///
/// ```
/// use std::sync::Arc;
/// use store_core::Tier;
/// use tier_sqlite::SqliteTier;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("app.db");
/// let tier = Arc::new(SqliteTier::open(path).await?);
/// tier.ping().await?;
/// tier.close().await?;
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
pub struct SqliteTier {
    config: SqliteConfig,
    file: Arc<DatabaseFile>,
    plans: Arc<Plans>,
    readers: Workers,
    listeners: Workers,
    writer: Workers,
    leadership: Arc<Leadership>,
}

impl SqliteTier {
    /// Opens a database file. A path serves as configuration.
    ///
    /// A file that is missing is made by the first call that needs it, which is [`migrate`](store_core::facet::Migrations::migrate) where a store is built.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for settings out of range, a directory that does not exist, and a file that is no database;
    /// [`AccessDenied`](ErrorKind::AccessDenied) for one that this user may not write to; [`Timeout`](ErrorKind::Timeout) for one that another
    /// process keeps locked; [`L3Unavailable`](ErrorKind::L3Unavailable) for what the disk refuses.
    pub async fn open(config: impl Into<SqliteConfig>) -> Result<Self> {
        let config = config.into();
        config.check()?;
        let config = config.absolute()?;
        let file = Arc::new(DatabaseFile::new(config.path.clone()));
        let tier = SqliteTier {
            plans: Arc::default(),
            readers: Workers::new(&config, &file, Purpose::Read),
            listeners: Workers::new(&config, &file, Purpose::Listen),
            writer: Workers::new(&config, &file, Purpose::Write),
            leadership: Arc::new(Leadership::new(config.path.clone())),
            file,
            config,
        };
        // The first job opens the file; readers follow when they are needed.
        if !connection::can_make(&tier.config.path) {
            tier.writer.run(|_| Ok(())).await?;
        }
        Ok(tier)
    }

    /// Whether the file is still to be made.
    pub(crate) fn is_unmade(&self) -> bool {
        !self.file.is_known() && connection::can_make(&self.config.path)
    }

    /// The file's absolute path.
    pub fn path(&self) -> &Path {
        &self.config.path
    }

    pub(crate) fn plan(&self, schema: &BoundSchema) -> Arc<Plan> {
        self.plans.of(schema)
    }

    pub(crate) fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    pub(crate) fn readers(&self) -> &Workers {
        &self.readers
    }

    pub(crate) fn listeners(&self) -> &Workers {
        &self.listeners
    }

    pub(crate) fn writer(&self) -> &Workers {
        &self.writer
    }

    pub(crate) fn leadership(&self) -> &Arc<Leadership> {
        &self.leadership
    }
}

#[async_trait]
impl Tier for SqliteTier {
    fn name(&self) -> &str {
        "sqlite"
    }

    fn role(&self) -> Role {
        Role::Truth
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets {
            tables: Some(Arc::clone(&self) as _),
            migrations: Some(Arc::clone(&self) as _),
            log: Some(Arc::clone(&self) as _),
            journals: Some(Arc::clone(&self) as _),
            wakes: Some(self),
            ..Facets::default()
        }
    }

    async fn ping(&self) -> Result<()> {
        // It reads the file's header, where `SELECT 1` would read nothing.
        let ping = "SELECT count(*) FROM sqlite_schema LIMIT 1";
        self.readers
            .run(move |worker| {
                let statement = worker.connection.prepare_cached(ping);
                statement.and_then(|mut ping| ping.query_row([], |_| Ok(()))).map_err(|error| error::from_sqlite(error, Origin::Own))
            })
            .await
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnosis::diagnose(self).await
    }

    /// Ends streams and long reads as [`Closed`](ErrorKind::Closed), rolls back transactions that are open, gives up leaderships, finishes the writes that were asked for, and moves the
    /// write-ahead log into the file. Where the disk has no room for that, the log stays, which loses nothing, and is an event of the level warn.
    async fn close(&self) -> Result<()> {
        self.readers.close().await;
        self.listeners.close().await;
        self.leadership.release();
        self.writer.end_waits();
        if self.is_unmade() {
            self.writer.close().await;
            return Ok(());
        }
        let checkpoint = self
            .writer
            .run(|worker| {
                let checkpoint = worker.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                last_checkpoint(checkpoint)
            })
            .await;
        self.writer.close().await;
        checkpoint.or_else(|error| if error.kind() == ErrorKind::Closed { Ok(()) } else { Err(error) })
    }
}

/// What the checkpoint of closing came to. A full disk takes nothing from what was committed: it stays in the write-ahead log, which the next to open the file reads.
fn last_checkpoint(outcome: rusqlite::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
            tracing::warn!(
                "the disk is full, so closing could not move the write-ahead log into the database file; what was committed is safe in the file and its `-wal`: keep \
                 both, and free some space"
            );
            Ok(())
        }
        outcome => outcome.map_err(|error| error::from_sqlite(error, Origin::Own)),
    }
}

impl fmt::Debug for SqliteTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTier").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use store_core::facet::{Count, Migrations, Tables};
    use store_core::{ColumnDefinition, ColumnType, Policies, SchemaDefinition};

    use super::*;
    use crate::config::Synchronous;

    fn schema() -> BoundSchema {
        let key = ColumnDefinition { is_key: true, ..ColumnDefinition::new("id", ColumnType::BigInt) };
        let columns = vec![key, ColumnDefinition::new("text", ColumnType::Text)];
        BoundSchema::standalone(Box::leak(Box::new(SchemaDefinition::new("note", columns, Vec::new(), Policies::default()))))
    }

    #[tokio::test]
    async fn a_full_disk_refuses_writes_and_harms_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let tier =
            SqliteTier::open(SqliteConfig::new(directory.path().join("app.db")).with_synchronous(Synchronous::Normal)).await.unwrap();
        let schema = Arc::new(schema());
        tier.migrate(&[Arc::clone(&schema)], &store_core::MigrationSettings::default()).await.unwrap();
        let limit = async |pages: i64| {
            tier.writer().run(move |worker| Ok(worker.connection.pragma_update(None, "max_page_count", pages))).await.unwrap().unwrap();
        };
        limit(40).await;
        let row = |id: i64| vec![id.into(), "x".repeat(10_000).into()];
        let mut written = 0;
        let error = loop {
            match tier.put_many(&schema, &[row(written * 2), row(written * 2 + 1)]).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::L3Unavailable, false), "{error:?}");
        assert!(error.to_string().contains("disk is full"), "{error}");
        assert!(written > 0);

        let rows = written.unsigned_abs() * 2;
        assert_eq!(tier.count(&schema, Count::default()).await.unwrap(), rows);
        assert!(tier.put_many(&schema, &[row(1_000), row(1_001)]).await.is_err());
        assert!(tier.delete_many(&schema, &[vec![0.into()], vec![1.into()]]).await.unwrap()[0].is_some());
        tier.put_many(&schema, &[row(1_000), row(1_001)]).await.unwrap();
        limit(1_000_000).await;
        tier.put_many(&schema, &[row(1_002)]).await.unwrap();
        assert_eq!(tier.count(&schema, Count::default()).await.unwrap(), rows + 1);
    }

    #[test]
    fn closing_on_a_full_disk_loses_nothing_and_is_no_failure() {
        let failed = |code| Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        last_checkpoint(Ok(())).unwrap();
        last_checkpoint(failed(rusqlite::ffi::SQLITE_FULL)).unwrap();
        assert_eq!(last_checkpoint(failed(rusqlite::ffi::SQLITE_IOERR)).unwrap_err().kind(), ErrorKind::L3Unavailable);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn readers_that_cannot_open_the_file_say_so_and_try_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, aside) = (directory.path().join("app.db"), directory.path().join("aside.db"));
        let tier = Arc::new(SqliteTier::open(&path).await.unwrap());
        tier.migrate(&[], &store_core::MigrationSettings::default()).await.unwrap();
        std::fs::rename(&path, &aside).unwrap();
        let pings: Vec<_> = (0..20)
            .map(|_| {
                let tier = Arc::clone(&tier);
                tokio::spawn(async move { tier.ping().await })
            })
            .collect();
        for ping in pings {
            assert_eq!(ping.await.unwrap().unwrap_err().kind(), ErrorKind::L3Unavailable);
        }
        std::fs::rename(&aside, &path).unwrap();
        tier.ping().await.unwrap();
        tier.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_job_that_panics_harms_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let tier = SqliteTier::open(directory.path().join("app.db")).await.unwrap();
        let panicked: Result<()> = tier
            .writer()
            .run(|worker| {
                worker.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                panic!("a defect");
            })
            .await;
        assert_eq!(panicked.unwrap_err().kind(), ErrorKind::Internal);
        tier.migrate(&[], &store_core::MigrationSettings::default()).await.unwrap();
        tier.ping().await.unwrap();
    }
}
