//! What a slot of the shared tier is worth to a reader.

use crate::facet::{FillLease, Slot};
use crate::protection::Protection;
use crate::record::EncodedRecord;
use crate::version::Version;

/// What a reader may do with a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A record that is no older than what the instance has heard. A reader that cannot decode it may fill the slot with a record of this generation.
    Record(EncodedRecord, u64),
    /// The reader may fill the slot, with a record of this generation.
    Leased(FillLease, u64),
    /// The reader was granted a lease that it cannot use.
    Unusable,
    /// A record of another generation. One of this generation may take its place.
    Dead(EncodedRecord, u64),
    /// Somebody else is loading the key.
    Busy,
    /// Nothing to use, and nothing to fill.
    Missed,
    /// As [`Missed`](Verdict::Missed), on account of content that no version of Strata writes.
    Foreign,
}

/// Judges a slot. `generation` is that of the mark which was read before it, if that mark is believed; `admits` says whether a version of the key is no
/// older than what the instance has heard.
pub(crate) fn verdict(slot: Slot, generation: Option<u64>, admits: impl FnOnce(Version) -> bool) -> Verdict {
    match (slot, generation) {
        (Slot::Leased(lease), Some(generation)) => Verdict::Leased(lease, generation),
        (Slot::Leased(_), None) => Verdict::Unusable,
        (Slot::Record(record), Some(generation)) if record.generation != generation && !Protection::Mark.is_off() => {
            Verdict::Dead(record, generation)
        }
        // What is older than a floor is left to the writer or the relayer that will remove it.
        (Slot::Record(record), Some(_)) if !admits(record.version) => Verdict::Missed,
        (Slot::Record(record), Some(generation)) => Verdict::Record(record, generation),
        (Slot::Record(_), None) | (Slot::Empty, _) => Verdict::Missed,
        (Slot::Busy, _) => Verdict::Busy,
        (Slot::Foreign, _) => Verdict::Foreign,
    }
}
