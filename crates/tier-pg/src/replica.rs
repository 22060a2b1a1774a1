//! A read replica: whether what it answers will do.

mod choice;
mod watch;

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join;
use store_core::ReplicaHealth;
use store_core::facet::LogCursor;
use store_core::{Error, ErrorKind, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::error::{Attempt, Failure};
use crate::log::identity;
use crate::pool::{ATTEMPTS, Lease, Pool, check_count, within};
use crate::snapshot::Place;

pub(crate) use choice::Replicas;
use watch::Position;

/// How long a replica that could not answer is left alone.
const REST: Duration = Duration::from_secs(5);

/// How long a connection may take to be done with a query whose answer is not wanted, until it is closed.
const LAST_ROWS: Duration = Duration::from_millis(500);

/// Whether a standby has replayed a position of the WAL, on its timeline, and has the log that the position belongs to. What the control file says of the
/// timeline may be older than the truth by a while, never newer; after a change of timelines the primary answers so long.
const REPLAYED: &str = concat!(
    "SELECT coalesce(pg_is_in_recovery() AND pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') >= $1::BIGINT \
    AND (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline) = $2::BIGINT \
        FROM pg_control_checkpoint() AS c, pg_control_recovery() AS r) AND $3::BIGINT = ",
    identity!(),
    ", FALSE)"
);

/// One read replica.
#[derive(Debug)]
pub(crate) struct Replica {
    pool: Pool,
    state: Mutex<State>,
    outstanding: AtomicUsize,
}

/// What is known of a replica.
#[derive(Debug, Default)]
struct State {
    /// It failed: it is left alone until then, and after that until it answers the watch.
    rests_until: Option<Instant>,
    /// The commits of the primary from before then are replayed.
    reflects: Option<Instant>,
    /// How far it had come when it was asked last, or further.
    position: Option<Position>,
    last_error: Option<String>,
    /// It answered when it was asked last, and did not say how far it has come.
    is_no_standby: bool,
}

/// A replica that a read was given to. It counts as busy with it until this is dropped.
#[derive(Debug)]
pub(crate) struct Chosen(Arc<Replica>);

/// What the replica must have replayed, so that it may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    lsn: i64,
    timeline: i64,
    log: i64,
}

impl Replayed {
    /// `None` for a place that no replica can be held against.
    pub(crate) fn parse(place: &LogCursor) -> Option<Self> {
        let place = Place::parse(place).ok()?;
        Some(Replayed { lsn: i64::try_from(place.lsn).ok()?, timeline: place.timeline.into(), log: place.log.cast_signed() })
    }

    /// The statement that tells.
    pub(crate) fn statement() -> &'static str {
        REPLAYED
    }

    /// Asks on a connection, on which the statement was prepared. A query that is sent behind this one sees at least what this one found.
    pub(crate) async fn holds(self, lease: &Lease, statement: &Statement) -> Result<bool, Failure> {
        match lease.query_one(statement, &[&self.lsn, &self.timeline, &self.log]).await {
            Ok(row) => Ok(row.try_get(0)?),
            Err(error) if error.as_db_error().is_some() => {
                tracing::warn!(%error, "a read replica does not tell how far it has come; the primary answers those who read their own writes");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Replica {
    fn new(pool: Pool) -> Self {
        Replica { pool, state: Mutex::default(), outstanding: AtomicUsize::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Runs a query; `None` if the replica has not replayed what it must.
    pub(crate) async fn read(
        &self,
        text: &str,
        params: &[&(dyn ToSql + Sync)],
        attempt: Attempt<'_>,
        replayed: Option<Replayed>,
    ) -> Result<Option<Vec<Row>>> {
        let Some(replayed) = replayed else { return self.pool.read(text, params, attempt).await.map(Some) };
        let mut begun = 0;
        loop {
            begun += 1;
            let (lease, statements) = self.pool.lease_prepared(&[text, REPLAYED], attempt).await?;
            let work = async {
                check_count(&statements[0], params.len())?;
                let (holds, rows) = join(replayed.holds(&lease, &statements[1]), lease.query(&statements[0], params)).await;
                Ok(if holds? { Some(rows?) } else { None })
            };
            let outcome = within(self.pool.limits().statement, work).await;
            match lease.settle(outcome) {
                Err(failure) if failure.is_connection_loss() && begun < ATTEMPTS => {}
                outcome => return outcome.map_err(|failure| failure.into_error(attempt)),
            }
        }
    }

    /// What the replica answered; `None` if the primary is to be asked instead.
    pub(crate) fn judge<T>(&self, answer: Result<Option<T>>, replayed: Option<Replayed>) -> Option<Result<T>> {
        let error = match answer {
            Ok(answer) => {
                if let (Some(replayed), true) = (replayed, answer.is_some()) {
                    self.state().has_replayed(replayed);
                }
                return answer.map(Ok);
            }
            Err(error) if may_fare_better_elsewhere(&error) => error,
            Err(error) => return Some(Err(error)),
        };
        if !error.is_shortage() && matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout | ErrorKind::AccessDenied) {
            self.rest(&error);
        } else {
            tracing::warn!(%error, "a read replica could not answer; the primary does");
        }
        None
    }

    /// Leaves the replica alone for a while.
    fn rest(&self, error: &Error) {
        let was_resting = {
            let mut state = self.state();
            (state.last_error, state.is_no_standby) = (Some(error.to_string()), false);
            state.rests_until.replace(Instant::now() + REST).is_some()
        };
        if was_resting {
            tracing::debug!(%error, "a read replica still cannot answer");
        } else {
            tracing::warn!(%error, "a read replica could not answer; others do until it can");
        }
    }

    /// Whether it may be given reads, by how far behind it may be.
    fn is_fit(&self, max_lag: Option<Duration>) -> bool {
        let state = self.state();
        state.rests_until.is_none() && max_lag.is_none_or(|max_lag| state.lag().is_some_and(|lag| lag <= max_lag))
    }

    /// How far behind it is at most, if it is a standby that answers.
    fn known_lag(&self) -> Option<Duration> {
        let state = self.state();
        if state.rests_until.is_none() && state.position.is_some() { Some(state.lag().unwrap_or(Duration::MAX)) } else { None }
    }

    fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    fn health(&self, max_lag: Option<Duration>) -> ReplicaHealth {
        let (is_fit, outstanding) = (self.is_fit(max_lag), self.outstanding());
        let state = self.state();
        ReplicaHealth {
            address: self.pool.connector().addresses(),
            is_used: is_fit,
            lag: state.lag(),
            reads: outstanding as u64,
            last_error: state.last_error.clone(),
        }
    }
}

impl State {
    /// How far behind it is at most.
    fn lag(&self) -> Option<Duration> {
        self.reflects.map(|since| since.elapsed())
    }

    fn has_replayed(&mut self, replayed: Replayed) {
        if let Some(position) = &mut self.position {
            position.reach(replayed);
        }
    }
}

impl Chosen {
    fn new(replica: &Arc<Replica>) -> Self {
        replica.outstanding.fetch_add(1, Ordering::Relaxed);
        Chosen(Arc::clone(replica))
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Chosen {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.0
    }
}

/// Not so for what is wrong with the query itself. A table may be missing because the replica lags behind.
fn may_fare_better_elsewhere(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::InvalidQuery | ErrorKind::InvalidValue | ErrorKind::DecodeFailed | ErrorKind::Closed)
}

/// Returns a connection to the pool once it is done with a query whose rows nobody reads. To close it, as is done where a query may take long, would make the
/// next reader open another.
pub(crate) fn let_finish(lease: Lease) {
    tokio::spawn(async move {
        let finished = within(LAST_ROWS, async { Ok(lease.batch_execute("").await?) }).await;
        // A connection that is not settled is closed.
        lease.settle(finished)
    });
}
