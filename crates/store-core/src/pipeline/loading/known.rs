//! What is known of a key from before.

use std::borrow::Borrow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{LOADED, Reason, Wanted};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Records, Seen, Shelf, Slot};
use crate::freshness::Freshness;
use crate::notes::{self, Notes};
use crate::pipeline::read::{Found, Loaded};
use crate::pipeline::tags::Tagging;
use crate::pipeline::{Backing, Borrowed, Pipeline, View};
use crate::record::{EncodedRecord, Record};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;
use crate::value::{Row, Value};
use crate::version::Version;

/// The last known value of a key.
pub(super) struct LastKnown<T> {
    /// As memory would hold it.
    pub(super) record: Record<T>,
    /// With the columns that memory leaves out, where the value came from a slot.
    pub(super) row: Row<'static>,
    pub(super) tier: Role,
}

/// Milliseconds since 1970, at the ends of what 64 bits hold for times beyond.
pub(super) fn unix_milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn from_unix_milliseconds(milliseconds: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()))
}

impl<T: Schema> Pipeline<T> {
    /// Whether what has these notes is within its life time, and for a renewal, not near its end.
    pub(super) fn is_current(&self, notes: &Notes, reason: Reason) -> bool {
        let Some(end) = notes.fresh_until else { return true };
        let ahead = match notes.life_time {
            Some(life) if reason == Reason::Renewal => life as f64 * self.shared.settings.refresh_ahead,
            _ => 0.0,
        };
        unix_milliseconds(self.shared.settings.clock.now()).saturating_add(ahead as i64) < end
    }

    /// The notes of what a loader brought into a slot, in a layout that this build knows.
    pub(super) fn loaded_notes(&self, record: &EncodedRecord) -> Option<Notes> {
        let (_, notes) = notes::split(&record.payload).filter(|_| self.knows_layout(record.fingerprint))?;
        notes.map(|notes| Notes::clone(&notes))
    }

    /// Whether what a slot holds has no tag that was invalidated since it was loaded. What cannot be told does not hold.
    pub(super) async fn slot_holds(&self, records: &dyn Records, text: &str, record: &EncodedRecord) -> bool {
        match self.loaded_notes(record) {
            Some(notes) => self.tags_hold(records, text, &notes).await.unwrap_or(false),
            None => true,
        }
    }

    /// The absence that a slot holds, with its end.
    pub(super) fn absence_in(&self, record: &EncodedRecord) -> Option<Notes> {
        if record.generation == 0 { None } else { self.loaded_notes(record).filter(|notes| notes.is_absence) }
    }

    /// The record of a slot of the truth; `None` if it says that there is none.
    ///
    /// # Errors
    ///
    /// One of an older version that cannot be upgraded. Of a copy, that is none: it can be loaded anew.
    pub(super) fn found_loaded(&self, key: &str, record: &EncodedRecord) -> Result<Option<Found>> {
        if self.absence_in(record).is_some() {
            return Ok(None);
        }
        let found = match self.found_in_record(key, record) {
            Ok(Some(found)) => found,
            Err(error) if record.generation == LOADED => {
                self.tolerate_failed_upgrade(&error);
                return Ok(None);
            }
            nothing => return nothing,
        };
        let end = found.notes.as_ref().and_then(|notes| notes.fresh_until).and_then(from_unix_milliseconds);
        Ok(Some(Found { deadline: end.or(found.deadline), ..found }))
    }

    /// The record of a slot of the truth, if it is one within its life time.
    pub(in crate::pipeline) fn found_current(&self, key: &str, record: &EncodedRecord) -> Result<Option<Found>> {
        let is_current = |found: &Found| found.notes.as_ref().is_none_or(|notes| self.is_current(notes, Reason::Missing));
        Ok(self.found_loaded(key, record)?.filter(is_current))
    }

    /// What memory still knows of a key, though its life time be over.
    pub(super) fn known_in_memory(&self, key: &T::Key) -> Option<LastKnown<T>> {
        let record = self.near.as_ref()?.get(key.borrow()).filter(|record| !self.is_invalidated(record) && self.holds(record))?;
        let row = self.sealed(record.model().to_row().ok()?.into_iter().map(Value::into_owned).collect()).ok()?;
        Some(LastKnown { record, row, tier: Role::Near })
    }

    /// What a slot still knows of a key.
    pub(super) fn known_in_slot(&self, found: Found, tagging: &Tagging) -> Option<LastKnown<T>> {
        let Found { stored, tier, notes, .. } = found;
        let notes = self.near_notes(&stored.row, notes, tagging);
        let row = stored.row.clone();
        let (near, _) = self.records(stored, View::Near).ok()?;
        Some(LastKnown { record: near.noted(notes), row, tier })
    }

    /// Whether the last known value may be answered to a read in place of an error.
    pub(super) fn allows_stale(&self, freshness: &Freshness) -> bool {
        self.shared.settings.stale_on_error.is_some() && matches!(freshness, Freshness::Any | Freshness::Bounded(_))
    }

    /// Whether what has these notes has not been over for too long to be answered in place of an error.
    fn may_be_answered(&self, notes: Option<&Notes>) -> bool {
        let Some(kept) = self.shared.settings.stale_on_error else { return false };
        // What has no end of its own leaves memory in time.
        let Some(end) = notes.and_then(|notes| notes.fresh_until) else { return true };
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        unix_milliseconds(self.shared.settings.clock.now()) <= end.saturating_add(kept)
    }

    fn stale(&self, known: LastKnown<T>) -> Option<Loaded<T>> {
        let LastKnown { record, tier, .. } = known;
        if !self.may_be_answered(record.notes().map(|notes| &**notes)) {
            return None;
        }
        Some(Loaded { record, tier, began: self.shared.settings.clock.monotonic(), is_stale: true })
    }

    /// What memory or the slot still knows of a key, for a caller who will not wait any longer.
    pub(super) async fn last_loaded(&self, key: &T::Key) -> Option<Loaded<T>> {
        let mut known = self.known_in_memory(key);
        if let (None, Backing::Records(records)) = (&known, &self.backing) {
            let (text, tagging) = (Self::text(key), self.begin_tagging(&CallTags::default()));
            let slot = records.fetch(&self.schema, std::slice::from_ref(&text), None).await.ok()?.into_iter().next();
            if let Some(Slot::Record(record)) = slot
                && self.slot_holds(&**records, &text, &record).await
            {
                known = self.found_loaded(&text, &record).ok().flatten().and_then(|found| self.known_in_slot(found, &tagging));
            }
        }
        let known = self.stale(known?)?;
        self.counters().stale_answers.add(1);
        Some(known)
    }

    /// What may be answered in place of the error of each failed load: what was known, unless it was overtaken meanwhile.
    pub(super) async fn known_after_failure(
        &self,
        records: Option<&dyn Records>,
        failed: &mut [(Wanted<T>, Error)],
    ) -> Vec<Option<Loaded<T>>> {
        let mut known: Vec<Option<Loaded<T>>> = failed
            .iter_mut()
            .map(|(wanted, error)| wanted.known.take().filter(|_| error.kind() != ErrorKind::Closed))
            .map(|known| self.stale(known?))
            .collect();
        let positions: Vec<usize> = (0..failed.len()).filter(|&position| known[position].is_some()).collect();
        let in_slots: Vec<usize> =
            positions.iter().copied().filter(|&position| matches!(failed[position].0.seen, Some(Seen::Record(_)))).collect();
        if let (Some(records), false) = (records, in_slots.is_empty()) {
            let texts: Vec<String> = in_slots.iter().map(|&position| failed[position].0.text.clone()).collect();
            match records.fetch(&self.schema, &texts, None).await {
                Ok(slots) => {
                    for (position, slot) in in_slots.into_iter().zip(slots) {
                        let is_there = match (&failed[position].0.seen, slot) {
                            (Some(Seen::Record(seen)), Slot::Record(present)) if seen.version == present.version => {
                                self.slot_holds(records, &failed[position].0.text, &present).await
                            }
                            _ => false,
                        };
                        if !is_there {
                            known[position] = None;
                        }
                    }
                }
                Err(error) => self.tolerate(Role::Shared, "the shared tier cannot tell whether what was known was invalidated", &error),
            }
        }
        for position in positions {
            let is_void = known[position].as_ref().is_some_and(|known| !self.holds(&known.record));
            if is_void || !self.fences.install(failed[position].0.fence, || {}) {
                known[position] = None;
            }
        }
        known
    }

    /// Counts an error in whose place the last known value is answered, and tells of it.
    pub(super) fn tolerate_load(&self, error: &Error) {
        self.counters().stale_answers.add(1);
        self.counters().errors.add(1);
        tracing::warn!(schema = self.schema.name(), %error, "the last known value is answered");
    }

    /// Whether what a loader brought into memory, where memory is the truth, was invalidated with all others.
    pub(in crate::pipeline) fn is_invalidated(&self, record: &Record<T>) -> bool {
        record.notes().is_some_and(|notes| notes.is_loaded)
            && matches!(&self.backing, Backing::Memory(versions) if versions.is_invalidated(record.version()))
    }

    /// The version of what a write, rather than a loader, left in memory.
    pub(in crate::pipeline) fn written_version(&self, near: &dyn Shelf<T>, key: &Borrowed<T>) -> Option<Version> {
        let record = near.get(key).filter(|record| record.notes().is_none_or(|notes| !notes.is_loaded))?;
        Some(record.version())
    }

    /// Drops what a loader brought, where memory is the truth, and voids the loads under way.
    pub(in crate::pipeline) fn forget_loaded(&self, key: &T::Key) {
        self.forget_flights(key);
        let borrowed: &Borrowed<T> = key.borrow();
        self.fences.touch(borrowed, || {
            if let Some(near) = self.near.as_ref().filter(|near| self.written_version(&***near, borrowed).is_none()) {
                near.remove(borrowed);
            }
        });
    }

    /// Drops what loaders brought where it is no copy of a table's: all of it with `None`. Answers how many slots were emptied.
    pub(in crate::pipeline) async fn drop_loaded(&self, keys: Option<&[String]>) -> Result<u64> {
        match &self.backing {
            Backing::Tables { .. } => Ok(0),
            Backing::Records(records) => records.drop_loaded(&self.schema, keys).await,
            Backing::Memory(versions) => {
                versions.invalidate_loaded();
                self.forget_all_flights();
                self.fences.touch_all();
                Ok(0)
            }
        }
    }

    /// What empties a slot that it is put over.
    pub(super) fn nothing(&self) -> EncodedRecord {
        EncodedRecord {
            version: Version::default(),
            generation: LOADED,
            fingerprint: self.schema.fingerprint(),
            codec: self.shared.settings.codec.id(),
            deadline: Some(UNIX_EPOCH),
            payload: Vec::new().into(),
        }
    }
}
