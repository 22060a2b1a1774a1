//! The shelf without limits: entries spread over many locks, as no order has to be kept.

use std::borrow::Borrow;
use std::fmt::{self, Debug};
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::{Entry as Place, OccupiedEntry};
use store_core::facet::{Shelf, ShelfOptions};
use store_core::{Clock, EvictionCause, Key, Record, Schema, Version};

use crate::notice::{Departed, Notice};
use crate::sweep::{ErasedShelf, Schedule};
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// So many that a part of a million entries is swept, and grows, within a fraction of a millisecond.
const PARTS: usize = if cfg!(all(test, shuttle)) { 2 } else { 256 };

/// After how many entries looked at a step of a sweep ends.
const SWEEP_STEP: usize = 1_024;

struct Entry<T: Schema> {
    key: T::Key,
    record: Record<T>,
    deadline: Option<Duration>,
}

impl<T: Schema> Entry<T> {
    fn is_live(&self, now: Duration) -> bool {
        self.deadline.is_none_or(|deadline| now < deadline)
    }
}

/// Aligned to a cache line, so that the locks of two parts never share one.
#[repr(align(64))]
struct Part<T: Schema>(RwLock<HashTable<Entry<T>>>);

impl<T: Schema> Part<T> {
    // None of these locks can be poisoned: the only code of the user that runs under one, for reading, is a visitor of `peek_with`.
    fn read(&self) -> RwLockReadGuard<'_, HashTable<Entry<T>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<Entry<T>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct UnlimitedShelf<T: Schema> {
    name: &'static str,
    notice: Notice<T>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    hasher: RandomState,
    parts: Box<[Part<T>]>,
}

enum Found<R> {
    Live(R),
    Expired,
    Missing,
}

impl<T: Schema> UnlimitedShelf<T> {
    pub(crate) fn new(name: &'static str, options: ShelfOptions<T>) -> Self {
        let ShelfOptions { max_entries: _, max_weight: _, weigher: _, eviction: _, on_evict, clock } = options;
        UnlimitedShelf {
            name,
            notice: Notice::new(name, on_evict),
            schedule: Schedule::new(clock.monotonic()),
            clock,
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Part(RwLock::new(HashTable::new()))).collect(),
        }
    }

    fn hash(&self, key: &<T::Key as Key>::Borrowed) -> u64 {
        self.hasher.hash_one(key)
    }

    fn part(&self, hash: u64) -> &Part<T> {
        // The table inside the part goes by the lowest bits and the highest seven; these are neither.
        &self.parts[(hash >> 48) as usize % PARTS]
    }

    /// Shows the live entry of a key to `visit`. An expired one departs.
    fn find<R>(&self, key: &<T::Key as Key>::Borrowed, visit: impl FnOnce(&Record<T>) -> R) -> Option<R> {
        let (hash, now) = (self.hash(key), self.clock.monotonic());
        let found = match self.part(hash).read().find(hash, |entry| entry.key.borrow() == key) {
            Some(entry) if entry.is_live(now) => Found::Live(visit(&entry.record)),
            Some(_) => Found::Expired,
            None => Found::Missing,
        };
        match found {
            Found::Live(result) => Some(result),
            Found::Expired => {
                self.expire(key, hash, now);
                None
            }
            Found::Missing => None,
        }
    }

    #[cold]
    fn expire(&self, key: &<T::Key as Key>::Borrowed, hash: u64, now: Duration) {
        // Between the two locks another thread may have put a live entry there.
        let expired = |entry: &Entry<T>| !entry.is_live(now) && entry.key.borrow() == key;
        let entry = self.part(hash).write().find_entry(hash, expired).ok().map(|entry| OccupiedEntry::remove(entry).0);
        self.notice.give(entry.into_iter().map(expired_entry).collect());
    }

    fn take(&self, key: &<T::Key as Key>::Borrowed, hash: u64) -> Option<Entry<T>> {
        self.part(hash).write().find_entry(hash, |entry| entry.key.borrow() == key).ok().map(|entry| OccupiedEntry::remove(entry).0)
    }
}

fn expired_entry<T: Schema>(entry: Entry<T>) -> Departed<T> {
    Departed { key: entry.key, record: entry.record, cause: EvictionCause::Expired }
}

impl<T: Schema> Shelf<T> for UnlimitedShelf<T> {
    fn get(&self, key: &<T::Key as Key>::Borrowed) -> Option<Record<T>> {
        self.find(key, Record::clone)
    }

    fn peek_with(&self, key: &<T::Key as Key>::Borrowed, visit: &mut dyn FnMut(&Record<T>)) -> bool {
        self.find(key, visit).is_some()
    }

    fn version(&self, key: &<T::Key as Key>::Borrowed) -> Option<Version> {
        self.find(key, Record::version)
    }

    fn install(&self, key: T::Key, record: Record<T>, deadline: Option<Duration>) {
        let (hash, now) = (self.hash(key.borrow()), self.clock.monotonic());
        let entry = Entry { key, record, deadline };
        let replaced = if entry.is_live(now) {
            let mut part = self.part(hash).write();
            let place = part.entry(hash, |present| present.key == entry.key, |present| self.hash(present.key.borrow()));
            match place {
                Place::Occupied(mut present) => Some(mem::replace(present.get_mut(), entry)),
                Place::Vacant(vacant) => {
                    vacant.insert(entry);
                    None
                }
            }
        } else {
            self.take(entry.key.borrow(), hash)
        };
        drop(replaced);
        self.schedule.sweep_if_due(self, now);
    }

    fn remove(&self, key: &<T::Key as Key>::Borrowed) -> bool {
        let now = self.clock.monotonic();
        self.take(key, self.hash(key)).is_some_and(|entry| entry.is_live(now))
    }

    fn clear(&self) {
        for part in &self.parts {
            let full = mem::take(&mut *part.write());
            drop(full);
        }
    }

    fn entries(&self) -> u64 {
        self.parts.iter().map(|part| part.read().len() as u64).sum()
    }
}

impl<T: Schema> ErasedShelf for UnlimitedShelf<T> {
    fn entries(&self) -> u64 {
        Shelf::entries(self)
    }

    fn clear(&self) {
        Shelf::clear(self);
    }

    fn sweep_step(&self, position: &mut usize) -> Option<u64> {
        if *position >= PARTS {
            return None;
        }
        let now = self.clock.monotonic();
        let (mut seen, mut count) = (0, 0);
        while seen < SWEEP_STEP && *position < PARTS {
            let mut part = self.parts[*position].write();
            seen += part.len();
            let departed: Vec<_> = part.extract_if(|entry| !entry.is_live(now)).map(expired_entry).collect();
            drop(part);
            count += departed.len() as u64;
            self.notice.give(departed);
            *position += 1;
        }
        Some(count)
    }
}

impl<T: Schema> Debug for UnlimitedShelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnlimitedShelf").field("name", &self.name).field("notice", &self.notice).finish_non_exhaustive()
    }
}
