//! Connections, kept and lent.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType, Timeouts};
use deadpool_postgres::ClientWrapper;
use futures_util::future::join3;
use store_core::{Error, ErrorKind, Isolation, Result, Role};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::closing::closed;
use crate::config::{Endpoint, Limits};
use crate::connect::{Connector, OpenConnection, Unopened};
use crate::error::{Attempt, Failure};
use crate::orphans::Orphans;

/// A connection that lay idle for longer is asked for a sign of life before it is lent: it may have died unnoticed.
const TRUSTED_FOR: Duration = Duration::from_millis(100);
/// The most time for that sign.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How often idle and missing connections are looked for, at most.
const UPKEEP: Duration = Duration::from_secs(30);
/// The statements that a connection keeps prepared. A program that makes up new conditions all the time would fill the server's memory.
const MOST_STATEMENTS: usize = 256;
/// How long a call waits for a connection to come back before it asks a server that was full for another again.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// How often work that had no effect is begun, on one connection after the other.
pub(crate) const ATTEMPTS: usize = 3;

struct Manager {
    connector: Arc<Connector>,
    limits: Limits,
}

/// A connection with what the pool must know of it.
struct Kept {
    connection: OpenConnection,
    connector: Arc<Connector>,
    opened: Instant,
    returned: Instant,
    is_spoiled: bool,
}

impl managed::Manager for Manager {
    type Type = Kept;
    type Error = Unopened;

    async fn create(&self) -> Result<Kept, Unopened> {
        let connection = self.connector.open().await?;
        let now = Instant::now();
        Ok(Kept { connection, connector: Arc::clone(&self.connector), opened: now, returned: now, is_spoiled: false })
    }

    async fn recycle(&self, kept: &mut Kept, _: &Metrics) -> RecycleResult<Unopened> {
        if kept.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if kept.opened.elapsed() >= self.limits.max_lifetime {
            return Err(RecycleError::message("old"));
        }
        if kept.returned.elapsed() > TRUSTED_FOR && kept.connection.client.batch_execute("").await.is_err() {
            return Err(RecycleError::message("dead"));
        }
        Ok(())
    }
}

impl Kept {
    fn is_closed(&self) -> bool {
        self.is_spoiled || self.connection.client.is_closed()
    }
}

/// The connections to one endpoint.
pub(crate) struct Pool {
    pool: managed::Pool<Manager>,
    upkeep: JoinHandle<()>,
    returns: Arc<Notify>,
    orphans: Arc<Orphans>,
    limits: Limits,
    begin: String,
}

impl Pool {
    /// Makes a pool without connections; those to be kept warm are opened in the background.
    pub(crate) fn new(endpoint: Endpoint, limits: Limits) -> Result<Self> {
        let manager = Manager { connector: Arc::new(Connector::new(endpoint, limits.connect)?), limits };
        let pool = managed::Pool::builder(manager)
            .max_size(limits.max_connections)
            // The connections used last are used first, so that those beyond the need become idle.
            .queue_mode(QueueMode::Lifo)
            .timeouts(Timeouts { wait: Some(limits.acquire), create: None, recycle: Some(SIGN_OF_LIFE.min(limits.connect)) })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let upkeep = tokio::spawn(keep_up(pool.weak(), limits));
        Ok(Pool { pool, upkeep, returns: Arc::default(), orphans: Arc::default(), limits, begin: begin(limits.statement) })
    }

    /// Borrows a connection. It is dropped unless [`Lease::settle`] is called. Where the server lets nobody open another, it waits for one of the pool's.
    pub(crate) async fn lease(&self) -> Result<Lease> {
        let limit = self.limits.acquire + self.limits.connect;
        let object = match tokio::time::timeout(limit, self.take()).await {
            Ok(Ok(object)) => object,
            Ok(Err(error)) => return Err(self.not_lent(error)),
            Err(_) => {
                let message =
                    format!("PostgreSQL at {} gave no connection within {limit:?}; check that it answers", self.connector().addresses());
                return Err(Error::new(ErrorKind::Timeout, message).with_tier(Role::Truth));
            }
        };
        Ok(Lease { object, is_whole: false, writes: None, _return: Return(Arc::clone(&self.returns)) })
    }

    async fn take(&self) -> Result<Object<Manager>, PoolError<Unopened>> {
        let end = Instant::now() + self.limits.acquire;
        loop {
            match self.pool.get().await {
                Err(PoolError::Backend(unopened)) if unopened.is_full && self.pool.status().size > 0 && Instant::now() < end => {
                    let _ = tokio::time::timeout(FULL_PAUSE, self.returns.notified()).await;
                }
                taken => return taken,
            }
        }
    }

    /// As [`lease_prepared`](Self::lease_prepared), for a write: one that was begun earlier and may still be under way on the server is ended first.
    pub(crate) async fn lease_to_write(&self, texts: &[&str], attempt: Attempt<'_>) -> Result<(Lease, Vec<Statement>)> {
        self.end_orphans(attempt).await?;
        let (mut lease, statements) = self.lease_prepared(texts, attempt).await?;
        lease.writes = Some(Arc::clone(&self.orphans));
        Ok((lease, statements))
    }

    /// Ends writes that were begun earlier and may still be under way on the server.
    pub(crate) fn end_orphans<'a>(&'a self, attempt: Attempt<'a>) -> impl Future<Output = Result<()>> + 'a {
        self.orphans.end(self, attempt)
    }

    /// Borrows a connection on which the statements are prepared.
    pub(crate) async fn lease_prepared(&self, texts: &[&str], attempt: Attempt<'_>) -> Result<(Lease, Vec<Statement>)> {
        let mut begun = 0;
        loop {
            begun += 1;
            let lease = self.lease().await.map_err(|error| Failure::Found(error).into_error(attempt))?;
            let prepared = within(self.limits.statement, lease.prepare(texts)).await;
            match lease.settle_if_failed(prepared) {
                Ok((lease, statements)) if !lease.is_closed() => return Ok((lease, statements)),
                Ok(_) if begun < ATTEMPTS => {}
                Ok((lease, statements)) => return Ok((lease, statements)),
                Err(failure) if failure.is_connection_loss() && begun < ATTEMPTS => {}
                Err(failure) => return Err(failure.into_error(attempt)),
            }
        }
    }

    /// Runs a statement that changes nothing, again on another connection if one breaks.
    pub(crate) async fn read(&self, text: &str, params: &[&(dyn ToSql + Sync)], attempt: Attempt<'_>) -> Result<Vec<Row>> {
        let mut begun = 0;
        loop {
            begun += 1;
            let (lease, statements) = self.lease_prepared(&[text], attempt).await?;
            let work = async {
                check_count(&statements[0], params.len())?;
                Ok(lease.query(&statements[0], params).await?)
            };
            let outcome = within(self.limits.statement, work).await;
            match lease.settle(outcome) {
                Ok(rows) => return Ok(rows),
                Err(failure) if failure.is_connection_loss() && begun < ATTEMPTS => {}
                Err(failure) => return Err(failure.into_error(attempt)),
            }
        }
    }

    /// Runs one statement in a transaction that may write, in one round trip.
    pub(crate) async fn write(&self, text: &str, params: &[&(dyn ToSql + Sync)], attempt: Attempt<'_>) -> Result<Vec<Row>> {
        let (lease, statements) = self.lease_to_write(&[text], attempt).await?;
        let work = async {
            let (begun, rows, committed) =
                join3(lease.batch_execute(self.begin()), lease.query(&statements[0], params), lease.batch_execute("COMMIT")).await;
            begun?;
            let rows = rows?;
            committed?;
            Ok(rows)
        };
        let outcome = within(self.limits.statement, work).await;
        lease.settle(outcome).map_err(|failure| failure.into_write_error(attempt))
    }

    /// Closes idle connections now and the others when they are returned.
    pub(crate) fn close(&self) {
        self.upkeep.abort();
        self.pool.close();
    }

    /// What begins a transaction that writes.
    pub(crate) fn begin(&self) -> &str {
        &self.begin
    }

    /// What opens connections that are none of the pool's.
    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.pool.manager().connector
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn not_lent(&self, error: PoolError<Unopened>) -> Error {
        let error = match error {
            PoolError::Backend(unopened) => unopened.into(),
            PoolError::Closed => closed(),
            PoolError::Timeout(TimeoutType::Wait) => Error::new(
                ErrorKind::Timeout,
                format!(
                    "all {} connections to PostgreSQL were in use for {:?}; raise `max_connections` of the pool, look for streams and transactions that hold \
                     theirs for long, or for a server that does not answer those who have one",
                    self.limits.max_connections, self.limits.acquire
                ),
            )
            .with_shortage(),
            other => Error::new(ErrorKind::Internal, other.to_string()),
        };
        error.with_tier(Role::Truth)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("addresses", &self.connector().addresses()).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Begins a transaction that writes, whatever the database's defaults are. The server keeps to the limit by itself too, in case it cannot be reached to
/// cancel a statement.
pub(crate) fn begin(limit: Duration) -> String {
    begin_isolated(Isolation::ReadCommitted, limit)
}

/// As [`begin`], at another level.
pub(crate) fn begin_isolated(isolation: Isolation, limit: Duration) -> String {
    let level = match isolation {
        Isolation::ReadCommitted => "READ COMMITTED",
        Isolation::RepeatableRead => "REPEATABLE READ",
        Isolation::Serializable => "SERIALIZABLE",
    };
    format!("BEGIN ISOLATION LEVEL {level} READ WRITE; SET LOCAL statement_timeout = {}", milliseconds(limit))
}

/// A limit as the server takes it.
pub(crate) fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

/// Closes what was idle for too long and opens what is to be kept warm.
async fn keep_up(pool: managed::WeakPool<Manager>, limits: Limits) {
    let period = UPKEEP.min(limits.max_idle_time / 2).max(Duration::from_millis(10));
    loop {
        match pool.upgrade() {
            Some(pool) => {
                let mut surplus = pool.status().size.saturating_sub(limits.min_connections);
                pool.retain(|kept, _| {
                    let is_worn = kept.is_closed() || kept.opened.elapsed() >= limits.max_lifetime;
                    let is_surplus = surplus > 0 && kept.returned.elapsed() >= limits.max_idle_time;
                    surplus -= usize::from(is_surplus && !is_worn);
                    !is_worn && !is_surplus
                });
                if let Err(error) = warm_up(&pool, limits.min_connections).await {
                    tracing::warn!(%error, "connections to PostgreSQL cannot be kept warm");
                }
            }
            None => return,
        }
        tokio::time::sleep(period).await;
    }
}

async fn warm_up(pool: &managed::Pool<Manager>, wanted: usize) -> Result<(), PoolError<Unopened>> {
    let mut held = Vec::new();
    while pool.status().size < wanted && held.len() < wanted {
        held.push(pool.get().await?);
    }
    Ok(())
}

/// The server counts placeholders itself; it may see one where the check of a condition in SQL sees none.
pub(crate) fn check_count(statement: &Statement, given: usize) -> Result<(), Failure> {
    let wanted = statement.params().len();
    if wanted == given {
        return Ok(());
    }
    let message = format!("PostgreSQL sees {wanted} placeholders in the query, {given} values were given; check the conditions in SQL");
    Err(Error::new(ErrorKind::InvalidQuery, message).into())
}

/// Gives work a limit.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::Elapsed(limit)))
}

/// A borrowed connection.
///
/// Dropping it closes the connection and asks the server to end what runs on it: only who has seen the end of all that was sent may
/// [`settle`](Self::settle) it, which returns it to the pool. So a future that is dropped midway leaves nothing behind for the next user.
pub(crate) struct Lease {
    object: Object<Manager>,
    is_whole: bool,
    /// Where to leave word of the server's process if the outcome of a write is not seen.
    pub(crate) writes: Option<Arc<Orphans>>,
    /// Dropped after the connection.
    _return: Return,
}

/// Tells somebody who waits that a connection is back.
struct Return(Arc<Notify>);

impl Drop for Return {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Lease {
    /// Returns the connection to the pool if the outcome says that it is whole; then no transaction may be open on it.
    pub(crate) fn settle<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.is_whole = outcome.as_ref().err().is_none_or(Failure::leaves_connection_usable);
        outcome
    }

    fn settle_if_failed<T>(self, outcome: Result<T, Failure>) -> Result<(Lease, T), Failure> {
        match outcome {
            Ok(value) => Ok((self, value)),
            Err(failure) => self.settle(Err(failure)),
        }
    }

    /// Prepares statements, or finds them prepared.
    pub(crate) async fn prepare(&self, texts: &[&str]) -> Result<Vec<Statement>, Failure> {
        if self.statement_cache.size() > MOST_STATEMENTS {
            self.statement_cache.clear();
        }
        let mut statements = Vec::with_capacity(texts.len());
        for text in texts {
            statements.push(self.prepare_cached(text).await?);
        }
        Ok(statements)
    }
}

impl Deref for Lease {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.object.connection.client
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_whole {
            self.object.returned = Instant::now();
            return;
        }
        if let (Some(orphans), Some(backend)) = (&self.writes, self.object.connection.backend) {
            orphans.add(backend);
        }
        let kept = &mut *self.object;
        if !kept.connection.client.is_closed() {
            kept.connector.cancel(&kept.connection.client);
        }
        // The pool only learns of it at the next loan; the socket, and with it an open transaction, ends now.
        kept.connection.task.abort();
        kept.is_spoiled = true;
    }
}
