//! The loads that a task runs for.

use std::sync::Arc;

tokio::task_local! {
    static CHAIN: Option<Arc<Chain>>;
}

/// The keys that a loader is asked for, and the load within which that was asked.
pub(super) struct Chain {
    /// The pipeline's address, which lives as long as its loads.
    pipeline: usize,
    keys: Vec<String>,
    outer: Option<Arc<Chain>>,
}

impl Chain {
    pub(super) fn new(pipeline: usize, keys: Vec<String>) -> Self {
        Chain { pipeline, keys, outer: Self::current() }
    }

    /// The loads that the running task runs for.
    pub(super) fn current() -> Option<Arc<Chain>> {
        CHAIN.try_with(Option::clone).ok().flatten()
    }

    /// Runs work for the loads.
    pub(super) async fn run<F: Future>(chain: Option<Arc<Chain>>, work: F) -> F::Output {
        CHAIN.scope(chain, work).await
    }

    /// Whether one of the loads is of the key: it would wait for itself.
    pub(super) fn holds(&self, pipeline: usize, key: &str) -> bool {
        let is_own = self.pipeline == pipeline && self.keys.iter().any(|held| held == key);
        is_own || self.outer.as_ref().is_some_and(|outer| outer.holds(pipeline, key))
    }
}
