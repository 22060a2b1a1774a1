//! The read replica: when it is asked, and whether what it answers will do.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join;
use store_core::facet::LogCursor;
use store_core::{Error, ErrorKind, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::error::{Attempt, Failure};
use crate::log::identity;
use crate::pool::{ATTEMPTS, Lease, Pool, check_count, within};
use crate::snapshot::Place;

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

#[derive(Debug)]
pub(crate) struct Replica {
    pool: Pool,
    rests_until: Mutex<Option<Instant>>,
}

/// What the replica must have replayed, so that it may answer.
#[derive(Debug, Clone, Copy)]
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
                tracing::warn!(%error, "the read replica does not tell how far it has come; the primary answers those who read their own writes");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Replica {
    pub(crate) fn new(pool: Pool) -> Self {
        Replica { pool, rests_until: Mutex::default() }
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
    pub(crate) fn judge<T>(&self, answer: Result<Option<T>>) -> Option<Result<T>> {
        let error = match answer {
            Ok(answer) => return answer.map(Ok),
            Err(error) if may_fare_better_elsewhere(&error) => error,
            Err(error) => return Some(Err(error)),
        };
        tracing::warn!(%error, "the read replica could not answer; the primary does");
        if matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout | ErrorKind::AccessDenied) {
            self.rest();
        }
        None
    }

    pub(crate) fn rest(&self) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }

    pub(crate) fn may_be_asked(&self) -> bool {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| Instant::now() >= until)
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
