//! The transitions of one slot of the shared tier.

use super::records::{FillLease, Seen, Slot};
use crate::record::EncodedRecord;
use crate::version::Version;

/// What is in one slot, and what each call of [`Records`](super::Records) makes of it.
///
/// It is the specification that every shared tier keeps to: the protocol's model is built of it, and so are the tests of real tiers. It knows no time: its
/// owner empties it when what it holds has ended.
///
/// ```
/// use store_core::facet::{FillLease, Slot, SlotState};
/// use store_core::{EncodedRecord, Version};
///
/// let record = EncodedRecord { version: Version::new(3), generation: 7, fingerprint: 1, codec: 1, deadline: None, payload: Vec::new().into() };
/// let mut slot = SlotState::default();
/// assert!(!slot.replace(&record), "an empty slot is filled by those who hold its lease alone");
///
/// let lease = FillLease::new(0x1f);
/// assert_eq!(slot.lease(lease), Slot::Leased(lease));
/// slot.remove();
/// assert!(!slot.fill(lease, &record), "the lease is void");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum SlotState {
    /// Nothing.
    #[default]
    Empty,
    /// The right of one reader to fill it.
    Leased(FillLease),
    /// A record.
    Record(EncodedRecord),
    /// Content that no version of Strata writes.
    Foreign,
}

impl SlotState {
    /// What a reader sees that asks for no lease.
    pub fn read(&self) -> Slot {
        match self {
            SlotState::Empty => Slot::Empty,
            SlotState::Leased(_) => Slot::Busy,
            SlotState::Record(record) => Slot::Record(record.clone()),
            SlotState::Foreign => Slot::Foreign,
        }
    }

    /// What a reader sees that asks for a lease: `lease`, which nobody had before, if the slot is empty. Part of
    /// [`Records::fetch`](super::Records::fetch).
    pub fn lease(&mut self, lease: FillLease) -> Slot {
        if *self != SlotState::Empty {
            return self.read();
        }
        *self = SlotState::Leased(lease);
        Slot::Leased(lease)
    }

    /// Leases the slot in the place of exactly this record; whether it held that. Part of [`Records::take_over`](super::Records::take_over).
    pub fn take_over(&mut self, record: &EncodedRecord, lease: FillLease) -> bool {
        let holds = matches!(self, SlotState::Record(present) if present == record);
        if holds {
            *self = SlotState::Leased(lease);
        }
        holds
    }

    /// Fills the slot if it holds this lease; whether it did. Part of [`Records::fill`](super::Records::fill).
    pub fn fill(&mut self, lease: FillLease, record: &EncodedRecord) -> bool {
        let is_held = *self == SlotState::Leased(lease);
        if is_held {
            *self = SlotState::Record(record.clone());
        }
        is_held
    }

    /// Tells the slot of a newer record; whether it then holds exactly that. Part of [`Records::replace`](super::Records::replace).
    pub fn replace(&mut self, record: &EncodedRecord) -> bool {
        match self {
            SlotState::Empty => false,
            // An absence does not say when it was found: the record may be of before.
            SlotState::Record(present) if present.generation == record.generation && present.version > Version::new(0) => {
                let is_known =
                    present.version > record.version || (present.version == record.version && present.fingerprint == record.fingerprint);
                if !is_known {
                    *present = record.clone();
                }
                present == record
            }
            // A reader with a lease may be about to store something older, and what another generation left may be older.
            SlotState::Leased(_) | SlotState::Record(_) | SlotState::Foreign => {
                *self = SlotState::Empty;
                false
            }
        }
    }

    /// Takes a loaded record if the slot still holds what its loader saw; whether it did. Part of [`Records::put_over`](super::Records::put_over).
    pub fn put_over(&mut self, seen: &Seen, record: &EncodedRecord) -> bool {
        let is_seen = match (&*self, seen) {
            (SlotState::Leased(present), Seen::Lease(lease)) => present == lease,
            // The version tells payloads apart.
            (SlotState::Record(present), Seen::Record(seen)) => {
                *present == EncodedRecord { payload: present.payload.clone(), ..seen.clone() }
            }
            _ => false,
        };
        if is_seen {
            *self = SlotState::Record(record.clone());
        }
        is_seen
    }

    /// Empties the slot of a lease, or of what a loader brought; whether it held that. Part of [`Records::drop_loaded`](super::Records::drop_loaded).
    pub fn drop_loaded(&mut self) -> bool {
        let is_loaded = match self {
            SlotState::Leased(_) => true,
            SlotState::Record(record) => record.generation != 0,
            SlotState::Empty | SlotState::Foreign => false,
        };
        if is_loaded {
            *self = SlotState::Empty;
        }
        is_loaded
    }

    /// Empties the slot, unless it holds a record of at least this version. Part of [`Records::relay`](super::Records::relay).
    pub fn remove_older(&mut self, below: Version) {
        if !matches!(self, SlotState::Record(present) if present.version >= below) {
            *self = SlotState::Empty;
        }
    }

    /// Empties the slot. Part of [`Records::remove`](super::Records::remove).
    pub fn remove(&mut self) {
        *self = SlotState::Empty;
    }
}
