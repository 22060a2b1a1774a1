//! What a write expects to find, and what it tells of rows that it was not given by key.

use crate::value::Row;
use crate::version::Version;

/// What must be so of a key's row for a [conditional write](super::Tables::put_if) to take effect.
///
/// ```
/// use store_core::Version;
/// use store_core::facet::Condition;
///
/// let unchanged = Condition::Version(Version::new(7));
/// assert!(unchanged.holds(Some(Version::new(7))));
/// assert!(!unchanged.holds(Some(Version::new(8))));
/// assert!(Condition::Absent.holds(None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// There is one, of exactly this version.
    Version(Version),
}

impl Condition {
    /// Whether it holds where the row has this version, or where there is no row.
    pub fn holds(self, present: Option<Version>) -> bool {
        match self {
            Condition::Absent => present.is_none(),
            Condition::Present => present.is_some(),
            Condition::Version(expected) => present == Some(expected),
        }
    }
}

/// A row that a write by condition changed or deleted.
///
/// ```
/// use store_core::Version;
/// use store_core::facet::Touched;
///
/// let touched = Touched { key: vec![7.into()], version: Version::new(3) };
/// assert_eq!(touched.key.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Touched {
    /// The values of the key columns, in key order.
    pub key: Row<'static>,
    /// The version that the write drew for it.
    pub version: Version,
}
