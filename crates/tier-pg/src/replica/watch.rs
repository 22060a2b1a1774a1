//! Watching a replica: whether it answers, and how far behind its primary it is.
//!
//! The lag is an upper bound by this process's own clock: the primary is asked for its place in the WAL every now and then, and a replica that has replayed
//! it shows all commits from before that question. So clocks need not agree, an idle primary makes no replica look late, and one that is cut off from its
//! primary cannot look fresh.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::Result;
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::{Replayed, Replica};
use crate::error::Attempt;
use crate::log::identity;
use crate::pool::Pool;

/// How often a replica is looked at, unless its lag is bounded more narrowly.
const EVERY: Duration = Duration::from_secs(1);
/// How often at most.
const SHORTEST: Duration = Duration::from_millis(20);
/// So many times within the longest lag that is allowed.
const TIMES: u32 = 5;
/// How often a replica that has only just not replayed what it must is asked again, when a tier connects.
const MEETINGS: u32 = 10;

/// Commits of before this statement are flushed up to this position; those of sessions that do not wait for that follow within a second.
const SAMPLE: &str = concat!(
    "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::BIGINT, \
     ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::BIT(32)::BIGINT, ",
    identity!()
);

/// The same of a standby, by what its control file says of the timeline.
const POSITION: &str = concat!(
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::BIGINT END, \
    (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)::BIGINT FROM pg_control_checkpoint() AS c, pg_control_recovery() AS r), ",
    identity!()
);

const SIGN_OF_LIFE: &str = "SELECT NULL::BIGINT, NULL::BIGINT, NULL::BIGINT";

/// How far a server's WAL has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    log: i64,
    timeline: i64,
    lsn: i64,
}

impl Position {
    /// `None` for a server that does not tell, being no standby.
    fn read(row: &Row) -> Result<Option<Self>, tokio_postgres::Error> {
        let (lsn, timeline, log) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let tells = |((lsn, timeline), log)| Position { log, timeline, lsn };
        Ok(Option::zip(lsn, timeline).zip(log).map(tells))
    }

    fn holds(self, other: Position) -> bool {
        (self.log, self.timeline) == (other.log, other.timeline) && self.lsn >= other.lsn
    }

    /// Hears that so much was replayed.
    pub(super) fn reach(&mut self, replayed: Replayed) {
        if (self.log, self.timeline) == (replayed.log, replayed.timeline) {
            self.lsn = self.lsn.max(replayed.lsn);
        }
    }
}

impl Replica {
    pub(super) fn is_known_to_hold(&self, replayed: Replayed) -> bool {
        let wanted = Position { log: replayed.log, timeline: replayed.timeline, lsn: replayed.lsn };
        self.state().position.is_some_and(|position| position.holds(wanted))
    }

    pub(super) fn known_position(&self) -> Option<Position> {
        self.state().position
    }

    /// Looks at the replica for the first time. One that is milliseconds behind is given them.
    pub(super) async fn meet(&self, samples: Option<&Samples>) {
        let mut seen = VecDeque::new();
        for _ in 0..MEETINGS {
            self.look(samples, &mut seen).await;
            let is_met = {
                let state = self.state();
                state.rests_until.is_some() || state.reflects.is_some() || state.position.is_none()
            };
            if samples.is_none() || is_met {
                break;
            }
            tokio::time::sleep(SHORTEST).await;
        }
    }

    /// Asks whether the replica answers, and which of the primary's places it has replayed. `seen` are those that it had not, oldest first.
    async fn look(&self, samples: Option<&Samples>, seen: &mut VecDeque<Sample>) {
        if let Some(samples) = samples {
            let (sample, refusal) = samples.newest().await;
            if let Some(refusal) = refusal {
                self.state().last_error = Some(refusal);
            }
            if let Some(sample) = sample
                && seen.back().is_none_or(|last| last.taken < sample.taken)
            {
                seen.push_back(sample);
            }
            // Nothing would come of having replayed them.
            seen.retain(|sample| sample.taken.elapsed() <= samples.max_lag);
        }
        let statement = if samples.is_some() { POSITION } else { SIGN_OF_LIFE };
        let answered = self.pool.read(statement, &[], Attempt::Log).await;
        let position = match answered {
            Ok(rows) => rows.first().and_then(|row| Position::read(row).ok().flatten()),
            // The pool is in use, which says nothing of the server.
            Err(error) if error.is_shortage() => return,
            Err(error) => return self.rest(&error),
        };
        let mut state = self.state();
        if state.rests_until.take().is_some() {
            tracing::info!(replica = self.pool.connector().addresses(), "a read replica answers again");
        }
        let was_no_standby = std::mem::replace(&mut state.is_no_standby, samples.is_some() && position.is_none());
        if state.is_no_standby && !was_no_standby {
            let message = "the server does not say how far it has replayed its primary's WAL: it is no standby, or no longer";
            tracing::warn!(replica = self.pool.connector().addresses(), "{message}; it is given no reads while its lag is bounded");
            (state.last_error, state.reflects) = (Some(message.to_owned()), None);
        }
        state.position = position;
        if let Some(position) = position {
            state.reflects = state.reflects.max(reflected(seen, position));
        }
    }

    fn is_left_alone(&self) -> bool {
        self.state().rests_until.is_some_and(|until| Instant::now() < until)
    }
}

/// When the newest of the places was taken that lies within this one. It goes, with those before it: one on a timeline that is over is met by none.
fn reflected(seen: &mut VecDeque<Sample>, position: Position) -> Option<Instant> {
    let last = seen.iter().rposition(|sample| position.holds(sample.position))?;
    seen.drain(..=last).next_back().map(|sample| sample.taken)
}

/// Looks at a replica again and again. It ends when it is aborted.
pub(super) async fn watch(replica: Arc<Replica>, samples: Option<Arc<Samples>>) {
    let mut seen = VecDeque::new();
    let mut was_fit = None;
    loop {
        tokio::time::sleep(samples.as_ref().map_or(EVERY, |samples| samples.every())).await;
        if replica.is_left_alone() {
            continue;
        }
        replica.look(samples.as_deref(), &mut seen).await;
        if let Some(samples) = &samples {
            tell(&replica, samples.max_lag, &mut was_fit);
        }
    }
}

/// Tells when a replica falls too far behind, and when it has caught up.
fn tell(replica: &Replica, max_lag: Duration, was_fit: &mut Option<bool>) {
    let (is_resting, lag) = {
        let state = replica.state();
        (state.rests_until.is_some() || state.position.is_none(), state.lag())
    };
    if is_resting {
        return;
    }
    let is_fit = replica.is_fit(Some(max_lag));
    let address = replica.pool.connector().addresses();
    match (was_fit.replace(is_fit), is_fit) {
        (Some(true) | None, false) => tracing::warn!(replica = address, ?lag, ?max_lag, "a read replica is too far behind; others answer"),
        (Some(false), true) => tracing::info!(replica = address, ?lag, "a read replica has caught up"),
        _ => {}
    }
}

/// A place in the primary's WAL.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The commits of before then are within it.
    taken: Instant,
    position: Position,
}

/// Asks the primary for its place, for all replicas.
#[derive(Debug)]
pub(super) struct Samples {
    primary: Arc<Pool>,
    max_lag: Duration,
    newest: Mutex<Sampled>,
}

/// What the primary said last.
#[derive(Debug, Default)]
struct Sampled {
    sample: Option<Sample>,
    /// Why it did not say where it is, if it did not.
    refusal: Option<String>,
}

impl Samples {
    pub(super) fn new(primary: Arc<Pool>, max_lag: Duration) -> Self {
        Samples { primary, max_lag, newest: Mutex::default() }
    }

    fn every(&self) -> Duration {
        (self.max_lag / TIMES).clamp(SHORTEST, EVERY)
    }

    /// A place of just now, or the last one that was known and why, while the primary does not answer.
    async fn newest(&self) -> (Option<Sample>, Option<String>) {
        let mut newest = self.newest.lock().await;
        if newest.sample.is_none_or(|sample| sample.taken.elapsed() >= self.every() / 2) {
            let taken = Instant::now();
            match self.primary.read(SAMPLE, &[], Attempt::Log).await {
                Ok(rows) => {
                    let position = rows.first().and_then(|row| Position::read(row).ok().flatten());
                    let sample = position.map(|position| Sample { taken, position }).or(newest.sample);
                    *newest = Sampled { sample, refusal: None };
                }
                // The pool is in use, which says nothing of the server.
                Err(error) if error.is_shortage() => {}
                Err(error) => {
                    if newest.refusal.is_none() {
                        tracing::warn!(%error, "the primary does not tell how far its WAL has come; the lag of replicas is not known");
                    }
                    newest.refusal = Some(format!("the primary does not tell how far its WAL has come: {error}"));
                }
            }
        }
        (newest.sample, newest.refusal.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_a_timeline_that_is_over_hides_none_that_came_later() {
        let begin = Instant::now();
        let sample = |milliseconds, timeline, lsn| Sample {
            taken: begin + Duration::from_millis(milliseconds),
            position: Position { log: 1, timeline, lsn },
        };
        let mut seen = VecDeque::from([sample(0, 1, 90), sample(1, 2, 60), sample(2, 2, 70), sample(3, 2, 80)]);
        let position = |lsn| Position { log: 1, timeline: 2, lsn };
        assert_eq!(reflected(&mut seen, position(59)), None);
        assert_eq!(reflected(&mut seen, position(75)), Some(begin + Duration::from_millis(2)));
        assert_eq!(seen.len(), 1);
        assert_eq!(reflected(&mut seen, position(80)), Some(begin + Duration::from_millis(3)));
    }
}
