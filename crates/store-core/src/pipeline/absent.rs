//! Remembering for a moment that the truth holds no record of a key.
//!
//! An absence is older than every version. In memory it counts as long as the fence of its key stands that was noted before the truth was read: every write,
//! invalidation or newer version that the instance hears of touches it. In a slot of the shared tier it needs a fill lease as a record does, and gives way to
//! any record.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Backing, Borrowed, Pipeline};
use crate::error::Result;
use crate::fence::FenceToken;
use crate::key::Key;
use crate::notes::{self, Notes};
use crate::record::EncodedRecord;
use crate::schema::Schema;
use crate::version::Version;

/// The most keys of one schema that memory knows to be absent.
const MOST_ABSENCES: usize = 10_000;

/// The keys of one schema that memory knows to be absent.
#[derive(Debug)]
pub(crate) struct Absences<K> {
    known: Mutex<Known<K>>,
}

#[derive(Debug)]
struct Known<K> {
    keys: HashMap<K, Absence>,
    /// In the order in which they were learnt; of a key that was learnt again, each time.
    order: VecDeque<(K, Absence)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Absence {
    fence: FenceToken,
    /// On the clock's monotonic scale.
    end: Duration,
}

impl<K: Key> Absences<K> {
    pub(crate) fn new() -> Self {
        Absences { known: Mutex::new(Known { keys: HashMap::new(), order: VecDeque::new() }) }
    }

    fn with<R>(&self, run: impl FnOnce(&mut Known<K>) -> R) -> R {
        run(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, key: K, absence: Absence) {
        self.with(|known| {
            while known.order.len() >= MOST_ABSENCES
                && let Some((key, absence)) = known.order.pop_front()
            {
                if known.keys.get::<K::Borrowed>(key.borrow()) == Some(&absence) {
                    known.keys.remove::<K::Borrowed>(key.borrow());
                }
            }
            known.order.push_back((key.clone(), absence));
            known.keys.insert(key, absence);
        });
    }

    fn get(&self, key: &K::Borrowed) -> Option<Absence> {
        self.with(|known| known.keys.get(key).copied())
    }

    fn forget(&self, key: &K::Borrowed) {
        self.with(|known| known.keys.remove(key));
    }
}

impl<T: Schema> Pipeline<T> {
    /// How long an absence is remembered, where it is.
    pub(super) fn negative_ttl(&self) -> Option<Duration> {
        self.schema.negative_ttl().filter(|_| matches!(self.backing, Backing::Tables { .. }))
    }

    /// Whether memory knows that there is no record, as of when it was last in step with the log.
    pub(super) fn is_known_absent(&self, key: &Borrowed<T>) -> bool {
        self.negative_ttl().is_some() && self.remembers_absence(key)
    }

    /// As [`is_known_absent`](Self::is_known_absent), of schemas without tables too, whose loaders tell of absences.
    pub(super) fn remembers_absence(&self, key: &Borrowed<T>) -> bool {
        if self.near.is_none() {
            return false;
        }
        let Some(absence) = self.absences.get(key) else { return false };
        let counts = self.shared.settings.clock.is_ahead(absence.end) && self.fences.is_untouched(absence.fence);
        if counts {
            self.counters().negative_hits.add(1);
        } else {
            self.absences.forget(key);
        }
        counts
    }

    /// Until when an absence is remembered that a load found which began then, where it is: no longer than the shared tier says that it is known, if that does.
    pub(super) fn absence_end(&self, began: Duration, known_until: Option<SystemTime>) -> Option<Duration> {
        let (end, clock) = (began.saturating_add(self.negative_ttl()?), &self.shared.settings.clock);
        let left = known_until.map(|until| until.duration_since(clock.now()).unwrap_or_default());
        Some(left.map_or(end, |left| end.min(clock.monotonic().saturating_add(left))))
    }

    /// Remembers an absence until a time on the clock's monotonic scale.
    pub(super) fn remember_absence_until(&self, fence: FenceToken, key: T::Key, end: Duration) {
        if self.near.is_some() {
            self.absences.learn(key, Absence { fence, end });
        }
    }

    /// Forgets that a loader told of an absence, since it brought a record.
    pub(super) fn forget_loaded_absence(&self, key: &Borrowed<T>) {
        if self.near.is_some() {
            self.absences.forget(key);
        }
    }

    /// Forgets that a key was absent, since a record of it was found.
    pub(super) fn forget_absence(&self, key: &Borrowed<T>) {
        if self.near.is_some() && self.negative_ttl().is_some() {
            self.absences.forget(key);
        }
    }

    /// An absence for a leased slot, where absences are kept.
    pub(super) fn encode_absence(&self, generation: u64) -> Option<Result<EncodedRecord>> {
        let ttl = self.negative_ttl()?;
        let settings = &self.shared.settings;
        let notes = Notes { is_absence: true, ..Notes::default() };
        Some(notes::join(Vec::new(), Some(&notes)).map(|payload| EncodedRecord {
            version: Version::new(0),
            generation,
            fingerprint: self.schema.fingerprint(),
            codec: settings.codec.id(),
            deadline: settings.clock.now().checked_add(ttl),
            payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::Fences;

    #[test]
    fn the_oldest_absences_make_room_and_a_key_learnt_again_stays() {
        let (fences, absences) = (Fences::new(), Absences::<i64>::new());
        let learn = |key: i64, second| {
            absences.learn(key, Absence { fence: fences.begin(&key), end: Duration::from_secs(second) });
        };
        learn(1, 1);
        learn(2, 1);
        learn(1, 2);
        for key in 3..=MOST_ABSENCES as i64 {
            learn(key, 3);
        }
        assert_eq!(absences.get(&1).map(|absence| absence.end), Some(Duration::from_secs(2)), "its older note made room");
        assert_eq!(absences.get(&2).map(|absence| absence.end), Some(Duration::from_secs(1)));
        learn(-1, 3);
        assert_eq!(absences.get(&2), None);
        assert_eq!(absences.with(|known| known.order.len()), MOST_ABSENCES);
        absences.forget(&1);
        assert_eq!(absences.get(&1), None);
    }
}
