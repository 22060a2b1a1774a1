//! The shelf with limits: one table behind one lock, because victims are exact over the whole shelf.

use std::borrow::Borrow;
use std::fmt::{self, Debug};
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use store_core::facet::{Shelf, ShelfOptions, Weigher};
use store_core::{Clock, Eviction, Key, Record, Schema, Version};

use crate::notice::Notice;
use crate::sweep::{ErasedShelf, Schedule};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::table::{Limits, Lookup, Newcomer, Table};

/// How many entries a sweep takes out before it lets others have the lock.
const SWEEP_STEP: usize = 256;

pub(crate) struct LimitedShelf<T: Schema> {
    name: &'static str,
    limits: Limits,
    eviction: Eviction,
    weigher: Option<Weigher<T>>,
    notice: Notice<T>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    hasher: RandomState,
    table: Mutex<Table<T>>,
}

impl<T: Schema> LimitedShelf<T> {
    pub(crate) fn new(name: &'static str, options: ShelfOptions<T>) -> Self {
        let ShelfOptions { max_entries, max_weight, weigher, eviction, on_evict, clock } = options;
        let limits = Limits { entries: max_entries.unwrap_or(u64::MAX), weight: max_weight.unwrap_or(u64::MAX) };
        LimitedShelf {
            name,
            limits,
            eviction,
            // Without a limit nobody asks for the sum, which then might not even fit 64 bits.
            weigher: weigher.filter(|_| max_weight.is_some()),
            notice: Notice::new(name, on_evict),
            schedule: Schedule::new(clock.monotonic()),
            clock,
            hasher: RandomState::new(),
            table: Mutex::new(Table::new(limits, eviction)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        // Only a visitor of `peek_with` can panic under the lock, when the table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup<'a>(&self, key: &'a <T::Key as Key>::Borrowed) -> Lookup<'a, T> {
        Lookup { key, hash: self.hasher.hash_one(key) }
    }

    fn keeps(&self, weight: u64, deadline: Option<Duration>, now: Duration) -> bool {
        self.limits.entries > 0 && weight <= self.limits.weight && deadline.is_none_or(|deadline| now < deadline)
    }

    fn weigh(&self, key: &T::Key, model: &T) -> Option<u64> {
        let Some(weigher) = &self.weigher else { return Some(1) };
        let weight = catch_unwind(AssertUnwindSafe(|| weigher(key, model)));
        if weight.is_err() {
            tracing::error!(
                schema = self.name,
                "the weigher panicked; the entry is not kept, make the weigher return a weight for every model"
            );
        }
        weight.ok()
    }
}

impl<T: Schema> Shelf<T> for LimitedShelf<T> {
    fn get(&self, key: &<T::Key as Key>::Borrowed) -> Option<Record<T>> {
        let (lookup, now) = (self.lookup(key), self.clock.monotonic());
        let mut departed = Vec::new();
        let record = self.lock().get(&lookup, now, &mut departed).cloned();
        self.notice.give(departed);
        record
    }

    fn peek_with(&self, key: &<T::Key as Key>::Borrowed, visit: &mut dyn FnMut(&Record<T>)) -> bool {
        let (lookup, now) = (self.lookup(key), self.clock.monotonic());
        let mut departed = Vec::new();
        let found = self.lock().get(&lookup, now, &mut departed).map(visit).is_some();
        self.notice.give(departed);
        found
    }

    fn version(&self, key: &<T::Key as Key>::Borrowed) -> Option<Version> {
        let (lookup, now) = (self.lookup(key), self.clock.monotonic());
        self.lock().version(&lookup, now)
    }

    fn install(&self, key: T::Key, record: Record<T>, deadline: Option<Duration>) {
        let now = self.clock.monotonic();
        let Some(weight) = self.weigh(&key, &record).filter(|&weight| self.keeps(weight, deadline, now)) else {
            self.remove(key.borrow());
            return;
        };
        let newcomer = Newcomer { hash: self.hasher.hash_one(key.borrow()), key, record, deadline, weight };
        let mut departed = Vec::new();
        let replaced = self.lock().install(newcomer, now, &mut departed);
        self.notice.give(departed);
        drop(replaced);
        self.schedule.sweep_if_due(self, now);
    }

    fn remove(&self, key: &<T::Key as Key>::Borrowed) -> bool {
        let (lookup, now) = (self.lookup(key), self.clock.monotonic());
        let removed = self.lock().remove(&lookup, now);
        removed.is_some_and(|(_, live)| live)
    }

    fn clear(&self) {
        let empty = Table::new(self.limits, self.eviction);
        let full = std::mem::replace(&mut *self.lock(), empty);
        drop(full);
    }

    fn entries(&self) -> u64 {
        self.lock().len() as u64
    }
}

impl<T: Schema> ErasedShelf for LimitedShelf<T> {
    fn entries(&self) -> u64 {
        Shelf::entries(self)
    }

    fn clear(&self) {
        Shelf::clear(self);
    }

    fn sweep_step(&self, _: &mut usize) -> Option<u64> {
        let now = self.clock.monotonic();
        let mut departed = Vec::new();
        {
            let mut table = self.lock();
            while departed.len() < SWEEP_STEP && table.evict_expired(now, &mut departed) {}
        }
        let count = departed.len();
        self.notice.give(departed);
        (count > 0).then_some(count as u64)
    }
}

impl<T: Schema> Debug for LimitedShelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedShelf")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .field("eviction", &self.eviction)
            .field("notice", &self.notice)
            .finish_non_exhaustive()
    }
}
