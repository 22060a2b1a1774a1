//! Slots of the shared tier that a failed call left older than the truth.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::error::Result;
use crate::facet::Records;
use crate::schema::BoundSchema;

/// Above this many keys the whole schema is emptied instead.
const MOST_KEYS: usize = 100_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The slots to empty as soon as the shared tier answers again. Until then this instance reads past them.
#[derive(Debug)]
pub(crate) struct Repairs {
    records: Option<Arc<dyn Records>>,
    schema: Arc<BoundSchema>,
    shared: Arc<Shared>,
    /// How many keys are pending (or `usize::MAX` for all), so that a read without repairs takes no lock.
    count: AtomicUsize,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// The keys, each with the number of the latest distrust of it: emptying a slot mends what was distrusted before it began, and nothing later.
    keys: HashMap<String, u64>,
    /// The same for the whole schema.
    all: Option<u64>,
    last_number: u64,
    running: bool,
}

impl Pending {
    fn count(&self) -> usize {
        if self.all.is_some() { usize::MAX } else { self.keys.len() }
    }

    /// Takes off what was distrusted up to a number, once it has been emptied.
    fn mended(&mut self, number: u64) {
        self.all = self.all.filter(|&distrusted| distrusted > number);
        self.keys.retain(|_, distrusted| *distrusted > number);
    }
}

impl Repairs {
    pub(super) fn new(records: Option<Arc<dyn Records>>, schema: Arc<BoundSchema>, shared: Arc<Shared>) -> Self {
        Repairs { records, schema, shared, count: AtomicUsize::new(0), pending: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the slot of a key must not be trusted.
    pub(super) fn is_pending(&self, key: &str) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let pending = self.lock();
        pending.all.is_some() || pending.keys.contains_key(key)
    }

    /// Distrusts the slots of `keys` until they have been emptied, and sees to that in the background.
    pub(super) fn add(self: &Arc<Self>, keys: impl IntoIterator<Item = String>) {
        self.change(|pending, number| {
            pending.keys.extend(keys.into_iter().map(|key| (key, number)));
            if pending.keys.len() > MOST_KEYS {
                pending.all = Some(number);
                pending.keys.clear();
            }
        });
    }

    /// Distrusts every slot of the schema until it has been emptied.
    pub(super) fn add_all(self: &Arc<Self>) {
        self.change(|pending, number| {
            pending.all = Some(number);
            pending.keys.clear();
        });
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Pending, u64)) {
        let mut pending = self.lock();
        pending.last_number += 1;
        let number = pending.last_number;
        change(&mut pending, number);
        self.count.store(pending.count(), Ordering::Release);
        let start = !std::mem::replace(&mut pending.running, true);
        drop(pending);
        if start {
            let repairs = Arc::clone(self);
            self.shared.runtime.spawn(async move { repairs.run().await });
        }
    }

    async fn run(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let (keys, all, number) = {
                let mut pending = self.lock();
                if pending.count() == 0 || self.shared.closed.load(Ordering::Acquire) {
                    pending.running = false;
                    return;
                }
                (pending.keys.keys().cloned().collect::<Vec<_>>(), pending.all.is_some(), pending.last_number)
            };
            match self.empty(&keys, all).await {
                Ok(()) => {
                    tracing::info!(schema = self.schema.name(), keys = keys.len(), all, "the shared tier is mended");
                    pause = FIRST_PAUSE;
                    let mut pending = self.lock();
                    pending.mended(number);
                    self.count.store(pending.count(), Ordering::Release);
                }
                Err(error) => {
                    tracing::debug!(schema = self.schema.name(), %error, "the shared tier is not back yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn empty(&self, keys: &[String], all: bool) -> Result<()> {
        let Some(records) = &self.records else { return Ok(()) };
        if all { records.clear(&self.schema).await.map(|_| ()) } else { records.remove(&self.schema, keys).await }
    }
}
