//! The number that orders the writes of one key.

use std::fmt;

/// What orders the writes of one key. The tier of truth issues it; it is never a clock, and versions of different keys say nothing of each other.
///
/// ```
/// use store_core::Version;
///
/// assert!(Version::new(2) > Version::new(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(u64);

impl Version {
    /// Wraps a number that the tier of truth issued.
    pub const fn new(number: u64) -> Self {
        Version(number)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
