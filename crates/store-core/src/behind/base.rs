//! What a pending write was based on.

use serde::{Deserialize, Serialize};

use crate::facet::Condition;
use crate::version::Version;

/// What this instance knew of a key when the first of its pending writes was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Base {
    /// Nothing: the write is unconditional.
    Unknown,
    /// There was no record, since a deletion of this version if one is known (else 0).
    Absent(u64),
    /// A record of this version.
    Version(u64),
}

impl Base {
    /// After a write of this instance: `None` where a deletion found nothing.
    pub(crate) fn put(version: Version) -> Self {
        Base::Version(version.get())
    }

    /// The version that it is as of.
    fn as_of(self) -> u64 {
        match self {
            Base::Unknown => 0,
            Base::Absent(version) | Base::Version(version) => version,
        }
    }

    /// Whether the other tells of something newer.
    pub(crate) fn is_before(self, other: Base) -> bool {
        self.as_of() < other.as_of()
    }

    /// What must hold for the write to take effect; `None` for nothing.
    pub(crate) fn condition(self) -> Option<Condition> {
        match self {
            Base::Unknown => None,
            Base::Absent(_) => Some(Condition::Absent),
            Base::Version(version) => Some(Condition::Version(Version::new(version))),
        }
    }
}
