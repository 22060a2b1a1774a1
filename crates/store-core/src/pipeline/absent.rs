//! Remembering for a moment that the truth holds no record of a key.
//!
//! An absence is older than every version. In memory it counts as long as the fence of its key stands that was noted before the truth was read: every write,
//! invalidation or newer version that the instance hears of touches it. In a slot of the shared tier it needs a fill lease as a record does, and gives way to
//! any record.

use std::time::{Duration, SystemTime};

use super::recent::Recent;
use super::tags::Tagging;
use super::{Backing, Borrowed, Pipeline};
use crate::error::Result;
use crate::fence::FenceToken;
use crate::notes::{self, Notes};
use crate::record::EncodedRecord;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::version::Version;

/// The keys of one schema that memory knows to be absent.
pub(crate) type Absences<K> = Recent<K, Absence>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absence {
    pub(super) fence: FenceToken,
    /// On the clock's monotonic scale.
    pub(super) end: Duration,
    /// Those that its loader gave it.
    pub(super) tags: CallTags,
    /// When it was found out, among the invalidations of tags.
    pub(super) stamp: u64,
}

/// An absence that a load has found.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundAbsence {
    pub(super) fence: FenceToken,
    /// How long it is remembered, if it is: on the clock's monotonic scale.
    pub(super) end: Option<Duration>,
    pub(super) stamp: u64,
}

impl<T: Schema> Pipeline<T> {
    /// How long an absence is remembered, where it is.
    pub(super) fn negative_ttl(&self) -> Option<Duration> {
        self.schema.negative_ttl().filter(|_| matches!(self.backing, Backing::Tables { .. }))
    }

    /// Whether memory knows that there is no record, as of when it was last in step with the log.
    pub(super) fn is_known_absent(&self, key: &Borrowed<T>, given: &CallTags) -> bool {
        self.negative_ttl().is_some() && self.remembers_absence(key, given)
    }

    /// As [`is_known_absent`](Self::is_known_absent), of schemas without tables too, whose loaders tell of absences.
    ///
    /// To a read that gives tags it counts if none of them was invalidated since it was found out, whoever asked then.
    pub(super) fn remembers_absence(&self, key: &Borrowed<T>, given: &CallTags) -> bool {
        if self.near.is_none() {
            return false;
        }
        let Some(absence) = self.absences.get(key) else { return false };
        let holds = |tags: &CallTags| self.holds_since(tags, absence.stamp);
        if !self.shared.settings.clock.is_ahead(absence.end) || !self.fences.is_untouched(absence.fence) || !holds(&absence.tags) {
            self.absences.forget(key);
            return false;
        }
        let counts = holds(given);
        if counts {
            self.counters().negative_hits.add(1);
        }
        counts
    }

    /// An absence that a load found which began then: remembered, where it is, no longer than the shared tier says that it is known, if that does.
    pub(super) fn found_absence(
        &self,
        fence: FenceToken,
        tagging: &Tagging,
        began: Duration,
        known_until: Option<SystemTime>,
    ) -> FoundAbsence {
        let clock = &self.shared.settings.clock;
        let left = known_until.map(|until| until.duration_since(clock.now()).unwrap_or_default());
        let end = self.negative_ttl().map(|ttl| {
            let end = began.saturating_add(ttl);
            left.map_or(end, |left| end.min(clock.monotonic().saturating_add(left)))
        });
        // What the shared tier knows may be older than any invalidation.
        FoundAbsence { fence, end, stamp: if known_until.is_some() { 0 } else { tagging.stamp() } }
    }

    /// Remembers an absence.
    pub(super) fn remember_absence(&self, key: T::Key, absence: Absence) {
        if self.near.is_some() {
            self.absences.learn(key, absence);
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
