//! What the content of the shared tier's slots means to one schema.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::loading::LOADED;
use super::read::Found;
use super::{Backing, Pipeline};
use crate::coherence::{self, Era, Trust};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Fetched, FillLease, Slot};
use crate::key::is_key_text;
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
    /// There is no record, which is no older than what the instance has heard either. It counts until then.
    Absent(Option<SystemTime>),
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
pub(super) enum Decoded {
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
            coherence::Verdict::Record(record, generation) => match self.decode_or_miss(key, &record) {
                Some(Decoded::Record(row, notes)) => self.judge_tags(trust, found(row, notes, &record), record, era(generation), given),
                // It has no tags, so that it may be older than an invalidation.
                Some(Decoded::Absence) if !given.is_empty() => Verdict::Missed,
                Some(Decoded::Absence) => Verdict::Absent(record.deadline),
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

    pub(super) fn found_in_record(&self, key: &str, record: &EncodedRecord) -> Result<Option<Found>> {
        Ok(match self.decode(key, record)? {
            Some(Decoded::Record(row, notes)) => Some(found(row, notes, record)),
            Some(Decoded::Absence) | None => None,
        })
    }

    /// The record in a slot; `None` for anything else, and for a record of a layout or codec that this build does not know.
    ///
    /// # Errors
    ///
    /// A record of an older version that cannot be upgraded, and one of another key.
    pub(super) fn found_in_slot(&self, key: &str, slot: Slot) -> Result<Option<Found>> {
        match slot {
            Slot::Record(record) => self.found_current(key, &record),
            Slot::Foreign => {
                self.tolerate_foreign();
                Ok(None)
            }
            Slot::Leased(_) | Slot::Busy | Slot::Empty => Ok(None),
        }
    }

    /// Tells of content that no version of Strata writes.
    pub(super) fn tolerate_foreign(&self) {
        let message = "a slot holds what no version of Strata writes; a write or an invalidation of its key empties it";
        self.tolerate_unreadable(&Error::new(ErrorKind::DecodeFailed, message));
    }

    /// Whether records of this layout can be read.
    pub(super) fn knows_layout(&self, fingerprint: u64) -> bool {
        fingerprint == self.schema.fingerprint() || self.older_layout(fingerprint).is_some()
    }

    /// What a record says, in the layout of this build; `None` for one that this build cannot read. What was upgraded is perhaps written back.
    ///
    /// # Errors
    ///
    /// A record of an older version that cannot be upgraded, and one of another key where there is no other copy of it.
    fn decode(&self, key: &str, record: &EncodedRecord) -> Result<Option<Decoded>> {
        let decoded = self.decode_alone(key, record)?;
        if record.fingerprint != self.schema.fingerprint() && matches!(decoded, Some(Decoded::Record(..))) {
            self.counters().upgrades.add(1);
            self.write_back(key.to_owned(), Role::Shared);
        }
        Ok(decoded)
    }

    /// What a record in a cache says, whose content the truth has too.
    fn decode_or_miss(&self, key: &str, record: &EncodedRecord) -> Option<Decoded> {
        self.decode(key, record).unwrap_or_else(|error| {
            self.tolerate_failed_upgrade(&error);
            None
        })
    }

    /// As [`decode`](Self::decode), and does nothing else.
    pub(super) fn decode_alone(&self, key: &str, record: &EncodedRecord) -> Result<Option<Decoded>> {
        let older = match record.fingerprint == self.schema.fingerprint() {
            true => None,
            false => match self.older_layout(record.fingerprint) {
                None => return Ok(None),
                layout => layout,
            },
        };
        let Some(codec) = self.shared.codecs.iter().find(|codec| codec.id() == record.codec) else { return Ok(None) };
        let types = older.map_or(&self.shared_types, |layout| &layout.shared_types);
        let decoded = match notes::split(&record.payload) {
            Some((_, Some(notes))) if notes.is_absence => return Ok(Some(Decoded::Absence)),
            Some((payload, notes)) => codec.decode(types, &payload).map(|held| (held, notes)),
            None => Err(Error::new(ErrorKind::DecodeFailed, "the payload does not end as Strata ends it")),
        };
        let (held, notes) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                self.tolerate_unreadable(&error);
                return Ok(None);
            }
        };
        let (definition, positions) = match older {
            Some(layout) => (layout.version.definition, &*layout.shared_positions),
            None => (self.schema.definition(), self.schema.shared_positions()),
        };
        let mut row = vec![Value::Unset; definition.columns().len()];
        for (&position, value) in positions.iter().zip(held) {
            row[position] = value;
        }
        if !is_key_text(key, definition.key_positions().iter().map(|&position| &row[position])) {
            return self.of_another_key(key, record);
        }
        let row = match older {
            Some(layout) => self.upgraded_row(key, layout, record.version, row)?,
            None => {
                // What somebody changed in a cache, or a key that is gone, costs a read of the truth.
                if let Err(error) = self.opens(&row) {
                    self.tolerate_unreadable(&error);
                    return Ok(None);
                }
                row
            }
        };
        Ok(Some(Decoded::Record(row, notes)))
    }

    /// What the record of another key is worth, which somebody copied into this one's slot: as little as one that cannot be read, and where the shared tier is
    /// the truth, not the answer that there is none either.
    fn of_another_key(&self, key: &str, record: &EncodedRecord) -> Result<Option<Decoded>> {
        let error = Error::new(
            ErrorKind::DecodeFailed,
            "the slot holds the record of another key, which somebody copied into it; write it anew, or delete it",
        );
        let error = error.with_schema(self.schema.name()).with_key(key);
        if matches!(self.backing, Backing::Records(_)) && record.generation != LOADED {
            return Err(error);
        }
        self.tolerate_unreadable(&error);
        Ok(None)
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
