//! The tier itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use store_core::facet::{Count, Log, LogBatch, LogCursor, LogEntry, Select, Tables};
use store_core::{BoundSchema, Error, ErrorKind, Facets, Result, Role, Row, StoredRow, Tier, Version};

use crate::config::PgConfig;
use crate::error::Attempt;
use crate::pool::{Pool, within};
use crate::statements::Statements;
use crate::{delete, log, prepare, read, select, write};

/// How long a replica that could not answer is left alone.
const REST: Duration = Duration::from_secs(5);

/// The tier of truth on PostgreSQL 14 and later.
///
/// Rows lie in one table for each schema, with a hidden column `_version`. Strata's own are the sequence `_strata_version` and the tables `_strata_log` and
/// `_strata_log_pruned`. All lie in the first schema of the search path.
///
/// Each connection has a session of its own, in which statements stay prepared: behind a pooler such as PgBouncer, use its session mode.
///
/// Every call ends within the limits of its [`PgConfig`]. A call whose future is dropped is cancelled on the server as far as it still can be; it leaves
/// all of its writes or none.
///
/// ```no_run
/// use tier_pg::{PgConfig, PgTier};
///
/// # async fn connect() -> store_core::Result<()> {
/// let tier = PgTier::connect(PgConfig::from_url("postgres://app:secret@localhost/shop")?).await?;
/// let store = store_core::Store::builder().tier(tier);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PgTier {
    primary: Pool,
    replica: Option<Replica>,
    statements: Statements,
}

#[derive(Debug)]
pub(crate) struct Replica {
    pool: Pool,
    rests_until: Mutex<Option<Instant>>,
}

impl PgTier {
    /// Connects to the servers. A replica that cannot be reached is no error: the primary answers in its place.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for settings that make no sense, a root certificate that cannot be read, a database that does not exist or a
    /// server older than PostgreSQL 14; [`L3Unavailable`](ErrorKind::L3Unavailable), [`Timeout`](ErrorKind::Timeout) or [`AccessDenied`](ErrorKind::AccessDenied) where
    /// the primary cannot be reached.
    pub async fn connect(config: PgConfig) -> Result<Self> {
        config.validate()?;
        let primary = Pool::new(config.primary, config.limits)?;
        let replica = match config.replica {
            Some(endpoint) => Some(Replica { pool: Pool::new(endpoint, config.limits)?, rests_until: Mutex::default() }),
            None => None,
        };
        let tier = PgTier { primary, replica, statements: Statements::default() };
        ping(&tier.primary).await?;
        if let Some(replica) = &tier.replica
            && let Err(error) = ping(&replica.pool).await
        {
            tracing::warn!(%error, "the read replica cannot be reached; the primary answers in its place");
            replica.rest();
        }
        Ok(tier)
    }

    pub(crate) fn primary(&self) -> &Pool {
        &self.primary
    }

    /// The replica, if a read may try it now.
    pub(crate) fn replica(&self, from_primary: bool) -> Option<&Replica> {
        self.replica.as_ref().filter(|replica| !from_primary && !replica.is_resting())
    }
}

/// Not so for what is wrong with the query itself. A table may be missing because the replica lags behind.
fn may_fare_better_elsewhere(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::InvalidQuery | ErrorKind::InvalidValue | ErrorKind::DecodeFailed | ErrorKind::Closed)
}

impl Replica {
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What the replica answered; `None` if the primary is to be asked instead.
    pub(crate) fn judge<T>(&self, answer: Result<T>) -> Option<Result<T>> {
        let error = match answer {
            Err(error) if may_fare_better_elsewhere(&error) => error,
            answer => return Some(answer),
        };
        tracing::warn!(%error, "the read replica could not answer; the primary does");
        if matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout | ErrorKind::AccessDenied) {
            self.rest();
        }
        None
    }

    fn rest(&self) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }

    fn is_resting(&self) -> bool {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }
}

async fn ping(pool: &Pool) -> Result<()> {
    let lease = pool.lease().await?;
    let outcome = within(pool.limits().statement, async { Ok(lease.batch_execute("SELECT 1").await?) }).await;
    lease.settle(outcome).map_err(|failure| failure.into_error(Attempt::Log))
}

#[async_trait]
impl Tier for PgTier {
    fn name(&self) -> &str {
        "postgres"
    }

    fn role(&self) -> Role {
        Role::Truth
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets { tables: Some(Arc::clone(&self) as _), log: Some(self), ..Facets::default() }
    }

    /// Asks the primary.
    async fn ping(&self) -> Result<()> {
        ping(&self.primary).await
    }

    async fn close(&self) -> Result<()> {
        self.primary.close();
        if let Some(replica) = &self.replica {
            replica.pool.close();
        }
        Ok(())
    }
}

#[async_trait]
impl Tables for PgTier {
    async fn prepare(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        prepare::prepare(&self.primary, schemas).await
    }

    async fn get_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<StoredRow>>> {
        read::get_many(&self.primary, &self.statements, schema, keys).await
    }

    async fn exists_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>> {
        read::exists_many(&self.primary, &self.statements, schema, keys).await
    }

    async fn put_many(&self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        write::put_many(&self.primary, &self.statements, schema, rows).await
    }

    async fn delete_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        delete::delete_many(&self.primary, &self.statements, schema, keys).await
    }

    fn select(self: Arc<Self>, schema: Arc<BoundSchema>, select: Select) -> BoxStream<'static, Result<StoredRow>> {
        select::select(self, schema, select)
    }

    fn reads_from_replica(&self) -> bool {
        self.replica.is_some()
    }

    async fn count(&self, schema: &BoundSchema, count: Count) -> Result<u64> {
        select::count(self, schema, &count).await
    }
}

#[async_trait]
impl Log for PgTier {
    async fn end(&self) -> Result<LogCursor> {
        log::end(&self.primary).await
    }

    async fn read(&self, after: &LogCursor) -> Result<LogBatch> {
        log::read(&self.primary, after).await
    }

    async fn append(&self, entries: &[LogEntry]) -> Result<()> {
        log::append(&self.primary, entries).await
    }

    async fn prune(&self, age: Duration) -> Result<u64> {
        log::prune(&self.primary, age).await
    }
}
