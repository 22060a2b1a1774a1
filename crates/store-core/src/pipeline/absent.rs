//! Remembering for a moment that the truth holds no record of a key.
//!
//! An absence is older than every version. In memory it counts as long as the fence of its key stands that was noted before the truth was read: every write,
//! invalidation or newer version that the instance hears of touches it. In a slot of the shared tier it needs a fill lease as a record does, and gives way to
//! any record.

use std::time::{Duration, SystemTime};

use super::recent::Recent;
use super::{Backing, Borrowed, Pipeline};
use crate::error::Result;
use crate::fence::FenceToken;
use crate::notes::{self, Notes};
use crate::record::EncodedRecord;
use crate::schema::Schema;
use crate::version::Version;

/// The keys of one schema that memory knows to be absent.
pub(crate) type Absences<K> = Recent<K, Absence>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absence {
    fence: FenceToken,
    /// On the clock's monotonic scale.
    end: Duration,
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
