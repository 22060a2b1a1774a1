//! The tier itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use store_core::facet::{
    Begin, Condition, Count, Heard, Log, LogBatch, LogCursor, LogEntry, MissingIndex, Select, Tables, Touched, Transaction, Wake, Wakes,
};
use store_core::{BoundSchema, Facets, Filter, Result, Role, Row, StoredRow, Tier, Version};

use crate::closing::Closing;
use crate::config::PgConfig;
use crate::error::Attempt;
use crate::leader::Leader;
use crate::pool::{Pool, within};
use crate::replica::{Replayed, Replica};
use crate::statements::Statements;
use crate::transaction::PgTransaction;
use crate::wakes::Notifier;
use crate::{bulk, conditional, delete, log, prepare, read, select, wakes, write};

/// The tier of truth on PostgreSQL 14 and later.
///
/// Rows lie in one table for each schema, with a hidden column `_version`. Strata's own are the sequence `_strata_version` and the tables `_strata_log` and
/// `_strata_log_pruned`, and functions `_strata_…` if it watches for [outside writers](PgConfig::with_outside_writers). All lie in the first schema of the
/// search path.
///
/// Each connection has a session of its own, in which statements stay prepared: behind a pooler such as PgBouncer, use its session mode.
/// Beyond those of its pool, a tier opens two connections for a store that caches: one holds the locks by which one instance is chosen to relay the log, one
/// listens for notifications of commits. They count against the server's `max_connections`, not against the pool's.
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
    primary: Arc<Pool>,
    replica: Option<Replica>,
    statements: Arc<Statements>,
    leader: Leader,
    notifier: Notifier,
    closing: Closing,
    outside_writers: bool,
}

impl PgTier {
    /// Connects to the servers. A replica that cannot be reached is no error: the primary answers in its place.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) for settings that make no sense, a root certificate that cannot be read, a database that does
    /// not exist or a server older than PostgreSQL 14; [`L3Unavailable`](store_core::ErrorKind::L3Unavailable),
    /// [`Timeout`](store_core::ErrorKind::Timeout) or [`AccessDenied`](store_core::ErrorKind::AccessDenied) where the primary cannot be reached.
    pub async fn connect(config: PgConfig) -> Result<Self> {
        config.validate()?;
        let primary = Arc::new(Pool::new(config.primary, config.limits)?);
        let replica = match config.replica {
            Some(endpoint) => Some(Replica::new(Pool::new(endpoint, config.limits)?)),
            None => None,
        };
        let leader = Leader::new(Arc::clone(primary.connector()), config.limits.statement);
        let (statements, notifier, closing) = (Arc::<Statements>::default(), Notifier::default(), Closing::new());
        let tier = PgTier { primary, replica, statements, leader, notifier, closing, outside_writers: config.outside_writers };
        // On the heap, so that a caller's own future does not grow by all of it.
        Box::pin(ping(&tier.primary)).await?;
        if let Some(replica) = &tier.replica
            && let Err(error) = Box::pin(ping(replica.pool())).await
        {
            tracing::warn!(%error, "the read replica cannot be reached; the primary answers in its place");
            replica.rest();
        }
        Ok(tier)
    }

    pub(crate) fn primary(&self) -> &Pool {
        &self.primary
    }

    /// The replica, if a read may try it now, and what it must have replayed.
    pub(crate) fn replica(&self, from_primary: bool, after: Option<&LogCursor>) -> Option<(&Replica, Option<Replayed>)> {
        let replica = self.replica.as_ref().filter(|replica| !from_primary && replica.may_be_asked())?;
        match after {
            None => Some((replica, None)),
            Some(place) => Some((replica, Some(Replayed::parse(place)?))),
        }
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
        Facets {
            tables: Some(Arc::clone(&self) as _),
            log: Some(Arc::clone(&self) as _),
            journals: Some(Arc::clone(&self) as _),
            wakes: Some(self),
            ..Facets::default()
        }
    }

    /// Asks the primary.
    async fn ping(&self) -> Result<()> {
        ping(&self.primary).await
    }

    async fn close(&self) -> Result<()> {
        self.primary.close();
        if let Some(replica) = &self.replica {
            replica.pool().close();
        }
        self.closing.close();
        self.leader.close().await;
        Ok(())
    }
}

#[async_trait]
impl Tables for PgTier {
    async fn prepare(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        prepare::prepare(&self.primary, schemas, self.outside_writers).await
    }

    async fn missing_tables(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
        prepare::missing_tables(&self.primary, schemas).await
    }

    async fn check_columns(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        prepare::check_columns(&self.primary, schemas).await
    }

    async fn missing_indexes(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
        prepare::missing_indexes(&self.primary, schemas).await
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

    async fn put_if(&self, schema: &BoundSchema, row: &Row<'_>, condition: Condition) -> Result<Option<StoredRow>> {
        conditional::put_if(&self.primary, &self.statements, schema, row, condition).await
    }

    async fn delete_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        delete::delete_many(&self.primary, &self.statements, schema, keys).await
    }

    async fn delete_where(&self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        bulk::delete_where(&self.primary, schema, filter).await
    }

    async fn update_where(&self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        bulk::update_where(&self.primary, schema, changes, filter).await
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

    async fn begin(&self, begin: &Begin) -> Result<Box<dyn Transaction>> {
        let transaction = PgTransaction::begin(&self.primary, &self.statements, begin).await?;
        Ok(Box::new(transaction))
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

    fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
        log::covers(place, earlier)
    }

    async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>> {
        log::append(&self.primary, entries).await
    }

    async fn prune(&self, age: Duration) -> Result<u64> {
        log::prune(&self.primary, age).await
    }

    async fn lead(&self, names: &[String]) -> Result<Vec<bool>> {
        self.leader.lead(names, &self.closing).await
    }
}

#[async_trait]
impl Wakes for PgTier {
    /// Tells the listeners that there is something to read in the log; calls close to each other share one message.
    async fn publish(&self, wakes: &[Wake]) -> Result<()> {
        match wakes {
            [] => Ok(()),
            _ => self.notifier.notify(&self.primary).await,
        }
    }

    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard> {
        wakes::listen(Arc::clone(self.primary.connector()), self.primary.limits().statement, self.closing.watch())
    }
}
