//! What the content of the shared tier's slots means to one schema.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Pipeline;
use super::read::Found;
use crate::coherence::{self, Era, Trust};
use crate::error::{Error, ErrorKind};
use crate::facet::{Fetched, FillLease, Slot};
use crate::notes::{self, Notes};
use crate::record::{EncodedRecord, StoredRow};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;
use crate::value::{Row, Value};

/// What a slot of a cache is worth to a reader.
pub(super) enum Verdict {
    /// A record that is no older than what the instance has heard.
    Found(Found),
    /// There is no record, which is no older than what the instance has heard either.
    Absent,
    /// As [`Found`](Verdict::Found), if the shared tier does not say that a tag of the record was invalidated. If it does, one of this era may take its place.
    Tagged(Found, EncodedRecord, Era),
    /// The reader may fill the slot, with a record of this era.
    Leased(FillLease, Era),
    /// The reader was granted a lease that it cannot use.
    Unusable,
    /// A record without a tag that the read gives. One of this era may take its place, which has the tags that were given to it, too.
    Lacking(EncodedRecord, Era, CallTags),
    /// A record that no reader of this build can use. One of this era may take its place.
    Dead(EncodedRecord, Era),
    /// Somebody else is loading the key.
    Busy,
    /// Nothing to use, and nothing to fill.
    Missed,
}

/// What the payload of a slot says.
enum Decoded {
    Record(Row<'static>, Option<Arc<Notes>>),
    Absence,
}

fn found(row: Row<'static>, notes: Option<Arc<Notes>>, record: &EncodedRecord) -> Found {
    Found { stored: StoredRow { row, version: record.version }, deadline: record.deadline, tier: Role::Shared, notes }
}

impl<T: Schema> Pipeline<T> {
    /// Judges a slot, for a read that gives these tags, by what the instance has heard of its key and of the relayer's mark.
    pub(super) fn judge(&self, trust: &Trust, key: &str, fetched: Fetched, given: &CallTags) -> Verdict {
        let generation = trust.judge(fetched.mark.as_ref());
        let era = |generation| Era { generation, number: fetched.mark.as_ref().map_or(0, |mark| mark.era) };
        match coherence::verdict(fetched.slot, generation, |version| trust.admits(key, version)) {
            coherence::Verdict::Record(record, generation) => match self.decode(&record) {
                Some(Decoded::Record(row, notes)) => self.judge_tags(trust, found(row, notes, &record), record, era(generation), given),
                Some(Decoded::Absence) => Verdict::Absent,
                None => Verdict::Dead(record, era(generation)),
            },
            coherence::Verdict::Leased(lease, generation) => Verdict::Leased(lease, era(generation)),
            coherence::Verdict::Unusable => Verdict::Unusable,
            coherence::Verdict::Dead(record, generation) => Verdict::Dead(record, era(generation)),
            coherence::Verdict::Busy => Verdict::Busy,
            coherence::Verdict::Missed => Verdict::Missed,
            coherence::Verdict::Foreign => {
                self.tolerate_foreign();
                Verdict::Missed
            }
        }
    }

    pub(super) fn found_in_record(&self, record: &EncodedRecord) -> Option<Found> {
        match self.decode(record)? {
            Decoded::Record(row, notes) => Some(found(row, notes, record)),
            Decoded::Absence => None,
        }
    }

    /// The record in a slot; `None` for anything else, and for a record of a layout or codec that this build does not know.
    pub(super) fn found_in_slot(&self, slot: Slot) -> Option<Found> {
        match slot {
            Slot::Record(record) => self.found_current(&record),
            Slot::Foreign => {
                self.tolerate_foreign();
                None
            }
            Slot::Leased(_) | Slot::Busy | Slot::Empty => None,
        }
    }

    /// Tells of content that no version of Strata writes.
    pub(super) fn tolerate_foreign(&self) {
        let message = "a slot holds what no version of Strata writes; a write or an invalidation of its key empties it";
        self.tolerate_unreadable(&Error::new(ErrorKind::DecodeFailed, message));
    }

    fn decode(&self, record: &EncodedRecord) -> Option<Decoded> {
        if record.fingerprint != self.schema.fingerprint() {
            return None;
        }
        let codec = self.shared.codecs.iter().find(|codec| codec.id() == record.codec)?;
        let decoded = match notes::split(&record.payload) {
            Some((_, Some(notes))) if notes.is_absence => return Some(Decoded::Absence),
            Some((payload, notes)) => codec.decode(&self.shared_types, &payload).map(|held| (held, notes)),
            None => Err(Error::new(ErrorKind::DecodeFailed, "the payload does not end as Strata ends it")),
        };
        match decoded {
            Ok((held, notes)) => {
                let mut row = vec![Value::Unset; self.schema.definition().columns().len()];
                for (&position, value) in self.schema.shared_positions().iter().zip(held) {
                    row[position] = value;
                }
                Some(Decoded::Record(row, notes))
            }
            Err(error) => {
                self.tolerate_unreadable(&error);
                None
            }
        }
    }

    /// Counts a slot that cannot be read. Such a slot stays as it is, and every read of its key meets it: only the first of a schema is a warning.
    fn tolerate_unreadable(&self, error: &Error) {
        self.counters().errors.add(1);
        let (schema, tier) = (self.schema.name(), Role::Shared);
        if self.warned_of_unreadable.swap(true, Ordering::Relaxed) {
            tracing::debug!(schema, %tier, %error, "a slot cannot be read and counts as a miss");
        } else {
            tracing::warn!(schema, %tier, %error, "a slot cannot be read and counts as a miss; further ones of this schema are only counted");
        }
    }
}
