//! Which replica is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use store_core::{ReplicaHealth, Result};
use tokio::task::JoinHandle;

use super::watch::{Samples, watch};
use super::{Chosen, Replayed, Replica};
use crate::config::{Endpoint, Limits};
use crate::pool::Pool;

/// The read replicas of a tier.
#[derive(Debug)]
pub(crate) struct Replicas {
    all: Vec<Arc<Replica>>,
    max_lag: Option<Duration>,
    turn: AtomicUsize,
    watches: Vec<JoinHandle<()>>,
}

impl Replicas {
    /// Looks at each replica, and goes on watching them in the background.
    pub(crate) async fn start(primary: &Arc<Pool>, endpoints: Vec<Endpoint>, limits: Limits, max_lag: Option<Duration>) -> Result<Self> {
        let all = endpoints.into_iter().map(|endpoint| Ok(Arc::new(Replica::new(Pool::new(endpoint, limits)?))));
        let all = all.collect::<Result<Vec<_>>>()?;
        let samples = max_lag.map(|max_lag| Arc::new(Samples::new(Arc::clone(primary), max_lag)));
        join_all(all.iter().map(|replica| replica.meet(samples.as_deref()))).await;
        let watches = all.iter().map(|replica| tokio::spawn(watch(Arc::clone(replica), samples.clone()))).collect();
        Ok(Replicas { all, max_lag, turn: AtomicUsize::new(0), watches })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The fit replica with the fewest reads under way; those that have as many take turns.
    ///
    /// All reads of this process are counted, so nothing is gained by drawing two at random: that is for counts that lag, or lists too long to look through. A
    /// replica that is slow, or busy with long streams, gets fewer reads than by turns alone.
    ///
    /// What must have been replayed is asked of a replica that is known to have it, or else of the one that has come furthest.
    pub(crate) fn choose(&self, replayed: Option<Replayed>) -> Option<Chosen> {
        let count = self.all.len();
        let turn = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % count } else { 0 };
        let fit = || self.all.iter().cycle().skip(turn).take(count).filter(|replica| replica.is_fit(self.max_lag));
        let least_busy = |replica: &&Arc<Replica>| replica.outstanding();
        let chosen = match replayed {
            None => fit().min_by_key(least_busy),
            Some(replayed) => fit().filter(|replica| replica.is_known_to_hold(replayed)).min_by_key(least_busy).or_else(|| {
                // The last of those that are even is the one whose turn is last; any will do.
                fit().max_by_key(|replica| replica.known_position())
            }),
        };
        chosen.map(Chosen::new)
    }

    /// The standby that is least behind of those that answer, however late it is.
    pub(crate) fn choose_late(&self) -> Option<Chosen> {
        let known = self.all.iter().filter_map(|replica| Some((replica.known_lag()?, replica)));
        known.min_by_key(|(lag, _)| *lag).map(|(_, replica)| Chosen::new(replica))
    }

    pub(crate) fn health(&self) -> Vec<ReplicaHealth> {
        self.all.iter().map(|replica| replica.health(self.max_lag)).collect()
    }

    pub(crate) fn close(&self) {
        self.watches.iter().for_each(JoinHandle::abort);
        self.all.iter().for_each(|replica| replica.pool().close());
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}
