//! The tier itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use store_core::facet::{
    Begin, Condition, Count, Heard, Log, LogBatch, LogCursor, LogEntry, ReadPreference, Select, Tables, Touched, Transaction, Wake, Wakes,
};
use store_core::{BoundSchema, Error, ErrorKind, Facets, Filter, Finding, ReplicaHealth, Result, Role, Row, StoredRow, Tier, Version};

use crate::closing::Closing;
use crate::config::{Extras, PgConfig};
use crate::error::Attempt;
use crate::leader::Leader;
use crate::pool::{Pool, within};
use crate::replica::{Chosen, Replayed, Replicas};
use crate::statements::Statements;
use crate::transaction::PgTransaction;
use crate::wakes::Notifier;
use crate::{bulk, conditional, delete, diagnosis, log, read, select, wakes, write};

/// The tier of truth on PostgreSQL 14 and later.
///
/// Rows lie in one table for each schema, with a hidden column `_version`. Strata's own are the sequence `_strata_version` and the tables `_strata_log`,
/// `_strata_log_pruned` and `_strata_migrations`, and functions `_strata_…` if it watches for [outside writers](PgConfig::with_outside_writers). All lie in the first schema of the
/// search path.
///
/// Each connection has a session of its own, in which statements stay prepared: behind a pooler such as PgBouncer, use its session mode.
/// Beyond those of its pool, a tier opens two connections for a store that caches: one holds the locks by which one instance is chosen to relay the log, one
/// listens for notifications of commits. They count against the server's `max_connections`, not against the pool's.
///
/// Each [replica](PgConfig::with_read_replica) has a pool of its own, of which a task of the tier's uses a connection now and then.
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
    replicas: Replicas,
    statements: Arc<Statements>,
    leader: Leader,
    notifier: Notifier,
    closing: Closing,
    /// What else than the schemas' tables is to be made.
    pub(crate) extras: Extras,
}

impl PgTier {
    /// Connects to the servers. A replica that cannot be reached is no error: others or the primary answer in its place.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) for settings that make no sense, a root certificate that cannot be read, a database that does
    /// not exist or a server older than PostgreSQL 14; [`L3Unavailable`](store_core::ErrorKind::L3Unavailable),
    /// [`Timeout`](store_core::ErrorKind::Timeout) or [`AccessDenied`](store_core::ErrorKind::AccessDenied) where the primary cannot be reached.
    pub async fn connect(config: PgConfig) -> Result<Self> {
        config.validate()?;
        let primary = Arc::new(Pool::new(config.primary, config.limits)?);
        let leader = Leader::new(Arc::clone(primary.connector()), config.limits.statement);
        let (statements, notifier, closing) = (Arc::<Statements>::default(), Notifier::default(), Closing::new());
        // On the heap, so that a caller's own future does not grow by all of it.
        Box::pin(ping(&primary)).await?;
        let replicas = Box::pin(Replicas::start(&primary, config.replicas, config.limits, config.max_replica_lag)).await?;
        Ok(PgTier { primary, replicas, statements, leader, notifier, closing, extras: config.extras })
    }

    pub(crate) fn primary(&self) -> &Pool {
        &self.primary
    }

    /// A replica that a read may try now, and what it must have replayed.
    pub(crate) fn replica(&self, preference: &ReadPreference) -> Option<(Chosen, Option<Replayed>)> {
        let replayed = match preference {
            ReadPreference::Primary | ReadPreference::Late => return None,
            ReadPreference::Replica => None,
            ReadPreference::Replayed(place) => Some(Replayed::parse(place)?),
        };
        Some((self.replicas.choose(replayed)?, replayed))
    }

    /// The primary, for a read that may ask it.
    pub(crate) fn primary_for(&self, preference: &ReadPreference) -> Result<&Pool> {
        if *preference == ReadPreference::Late {
            let message = "the primary is not asked for now, and no replica can answer; see `replicas` in the store's health";
            return Err(Error::new(ErrorKind::L3Unavailable, message).with_tier(Role::Truth));
        }
        Ok(&self.primary)
    }

    /// A replica for a read that may be of any age, where the primary is away.
    pub(crate) fn late_replica(&self, preference: &ReadPreference, error: &Error) -> Option<Chosen> {
        let is_away = error.kind() == ErrorKind::L3Unavailable;
        let may_be_late = matches!(preference, ReadPreference::Replica | ReadPreference::Late);
        if is_away && may_be_late { self.replicas.choose_late() } else { None }
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
            migrations: Some(Arc::clone(&self) as _),
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

    async fn diagnose(&self) -> Vec<Finding> {
        diagnosis::diagnose(&self.primary, self.replicas.health()).await
    }

    async fn close(&self) -> Result<()> {
        self.primary.close();
        self.replicas.close();
        self.closing.close();
        self.leader.close().await;
        Ok(())
    }
}

#[async_trait]
impl Tables for PgTier {
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
        !self.replicas.is_empty()
    }

    fn replicas(&self) -> Vec<ReplicaHealth> {
        self.replicas.health()
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
