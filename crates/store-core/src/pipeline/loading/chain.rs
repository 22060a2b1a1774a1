//! The loads that a task runs for, and those that they wait for.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        self.is_of(pipeline, key) || self.outer.as_ref().is_some_and(|outer| outer.holds(pipeline, key))
    }

    fn is_of(&self, pipeline: usize, key: &str) -> bool {
        self.pipeline == pipeline && self.keys.iter().any(|held| held == key)
    }

    /// Begins to wait for loads of a pipeline's keys. The error is the position of a key whose load, if it runs, waits for this one in turn.
    pub(super) fn wait_for(self: Arc<Self>, pipeline: usize, keys: Vec<String>, runs: impl Fn(usize) -> bool) -> Result<Waiting, usize> {
        let running: Vec<usize> = (0..keys.len()).filter(|&position| runs(position)).collect();
        let mut waits = lock();
        if let Some(position) = running.into_iter().find(|&position| waits.lead_back(pipeline, &keys[position], &self)) {
            return Err(position);
        }
        let number = waits.next;
        waits.next += 1;
        waits.all.insert(number, Wait { loads: self, pipeline, keys });
        Ok(Waiting(number))
    }
}

/// The waits of loads for others, in all stores of the process: loaders that ask for no other key have no part in it.
static WAITS: Mutex<Waits> = Mutex::new(Waits { all: BTreeMap::new(), next: 0 });

fn lock() -> MutexGuard<'static, Waits> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Waits {
    all: BTreeMap<u64, Wait>,
    next: u64,
}

struct Wait {
    loads: Arc<Chain>,
    /// The pipeline of the keys that are waited for.
    pipeline: usize,
    keys: Vec<String>,
}

impl Waits {
    /// Whether the load of a key waits, itself or through others, for one of these loads.
    fn lead_back(&self, pipeline: usize, key: &str, loads: &Chain) -> bool {
        let (mut seen, mut ahead) = (HashSet::from([(pipeline, key)]), vec![(pipeline, key)]);
        while let Some((pipeline, key)) = ahead.pop() {
            if loads.holds(pipeline, key) {
                return true;
            }
            for wait in self.all.values().filter(|wait| wait.loads.is_of(pipeline, key)) {
                let next = wait.keys.iter().map(|key| (wait.pipeline, key.as_str()));
                ahead.extend(next.filter(|&next| seen.insert(next)));
            }
        }
        false
    }
}

/// What a loader's call holds while it waits for loads.
#[derive(Debug)]
pub(super) struct Waiting(u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        lock().all.remove(&self.0);
    }
}
