//! Getting rid of expired entries that nobody reads: in short steps, so that nobody waits long for a lock.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::sync::{Mutex, PoisonError, TryLockError};

/// How often expired entries are looked for.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// A shelf, whatever its model.
pub(crate) trait ErasedShelf: Debug + Send + Sync {
    /// As [`Shelf::entries`](store_core::facet::Shelf::entries).
    fn entries(&self) -> u64;

    /// As [`Shelf::clear`](store_core::facet::Shelf::clear).
    fn clear(&self);

    /// Does one short step of a sweep, from `position`, which is 0 in the beginning, and returns how many entries left; `None` when the
    /// sweep is through.
    fn sweep_step(&self, position: &mut usize) -> Option<u64>;
}

/// The sweeps that a shelf does by itself, a step with each install, so that it stays clean where no background task runs.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// When the next sweep is due, in milliseconds on the clock's monotonic scale.
    due: AtomicU64,
    position: Mutex<usize>,
}

impl Schedule {
    pub(crate) fn new(now: Duration) -> Self {
        Schedule { due: AtomicU64::new(milliseconds(now.saturating_add(SWEEP_INTERVAL))), position: Mutex::new(0) }
    }

    /// Does one step of `shelf`'s sweep if one is due and no other thread is at it. No lock of the shelf may be held.
    pub(crate) fn sweep_if_due(&self, shelf: &dyn ErasedShelf, now: Duration) {
        // Nothing is read through `due`: a thread that sees an old value sweeps once more, or one install later.
        if milliseconds(now) < self.due.load(Ordering::Relaxed) {
            return;
        }
        let mut position = match self.position.try_lock() {
            Ok(position) => position,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if shelf.sweep_step(&mut position).is_none() {
            *position = 0;
            self.due.store(milliseconds(now.saturating_add(SWEEP_INTERVAL)), Ordering::Relaxed);
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The shelves that a tier has made and that are still in use.
#[derive(Debug, Default)]
pub(crate) struct Shelves(Mutex<Vec<Weak<dyn ErasedShelf>>>);

impl Shelves {
    pub(crate) fn add(&self, shelf: Weak<dyn ErasedShelf>) {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.retain(|shelf| shelf.strong_count() > 0);
        shelves.push(shelf);
    }

    pub(crate) fn in_use(&self) -> Vec<Arc<dyn ErasedShelf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn sweep(&self) -> u64 {
        let mut count = 0;
        for shelf in self.in_use() {
            let mut position = 0;
            while let Some(left) = shelf.sweep_step(&mut position) {
                count += left;
            }
        }
        count
    }
}

/// Sweeps the shelves every [`SWEEP_INTERVAL`] until the tier is gone, and lets other tasks run between two steps.
pub(crate) async fn sweep_regularly(shelves: Weak<Shelves>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(shelves) = shelves.upgrade() else { return };
        for shelf in shelves.in_use() {
            let mut position = 0;
            while shelf.sweep_step(&mut position).is_some() {
                tokio::task::yield_now().await;
            }
        }
    }
}
