//! What the tier of truth keeps of journals: how far they were applied, and what it refused of them.

use std::fmt::{self, Debug};

use async_trait::async_trait;

use crate::error::Result;
use crate::timestamp::Timestamp;

/// A write of a journal that the truth refused for its own sake, kept until somebody decides about it.
///
/// The journal and the sequence number name it. Its debug form leaves the entry out, which holds the content of a record.
///
/// ```
/// use store_core::Timestamp;
/// use store_core::facet::DeadLetter;
///
/// let letter = DeadLetter {
///     journal: "node-1".into(),
///     sequence: 7,
///     schema: "player".into(),
///     key: "p1".into(),
///     entry: b"secret".to_vec(),
///     error: "another row already holds this value".into(),
///     failed_at: Timestamp::from_microseconds(1_767_225_600_000_000)?,
/// };
/// assert!(format!("{letter:?}").contains("entry: 6 bytes"));
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The journal's name.
    pub journal: String,
    /// The place in the journal, up to `i64::MAX`.
    pub sequence: u64,
    /// The schema's name.
    pub schema: String,
    /// The key's text form.
    pub key: String,
    /// The write, in the journal's own form.
    pub entry: Vec<u8>,
    /// Why it was refused.
    pub error: String,
    /// When it was refused.
    pub failed_at: Timestamp,
}

impl Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeadLetter { journal, sequence, schema, key, entry, error, failed_at } = self;
        f.debug_struct("DeadLetter")
            .field("journal", journal)
            .field("sequence", sequence)
            .field("schema", schema)
            .field("key", key)
            .field("entry", &format_args!("{} bytes", entry.len()))
            .field("error", error)
            .field("failed_at", failed_at)
            .finish()
    }
}

/// How far a journal was applied.
///
/// ```
/// use store_core::facet::AppliedPlace;
///
/// let nothing = AppliedPlace::default();
/// assert_eq!((nothing.sequence, nothing.checksum), (0, None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppliedPlace {
    /// The last place that was applied, together with all before it; up to `i64::MAX`, and 0 for none.
    pub sequence: u64,
    /// The XXH3 (64 bits) of the entry at that place, by which a journal is told from a copy that went its own way; `None` where it is not known.
    pub checksum: Option<u64>,
}

/// How far journals were applied, and their dead letters. Both are written in [transactions](super::Transaction), together with the data that they are about.
///
/// The tables of both, `_strata_journals` and `_strata_dead_letters`, are made by [`Migrations::migrate`](super::Migrations::migrate). Errors are of kind
/// [`L3Unavailable`](crate::ErrorKind::L3Unavailable), [`Timeout`](crate::ErrorKind::Timeout), [`AccessDenied`](crate::ErrorKind::AccessDenied) or, where a table is
/// missing, [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch).
///
/// ```
/// use store_core::Result;
/// use store_core::facet::Journals;
///
/// /// Drops what the truth refused of one schema.
/// async fn drop_letters(journals: &dyn Journals, schema: &str) -> Result<u64> {
///     let mut dropped = 0;
///     loop {
///         let page = journals.dead_letters(Some(schema), None, 100).await?;
///         if page.is_empty() {
///             return Ok(dropped);
///         }
///         for letter in &page {
///             dropped += u64::from(journals.remove_dead_letter(&letter.journal, letter.sequence).await?);
///         }
///     }
/// }
/// # let _ = drop_letters;
/// ```
#[async_trait]
pub trait Journals: Debug + Send + Sync {
    /// How far a journal was applied; `None` if it never was.
    async fn applied(&self, journal: &str) -> Result<Option<AppliedPlace>>;

    /// Dead letters of one schema, or of all, at most `limit`, in the order of journal (by its bytes) and place; those behind a journal and place, if given.
    async fn dead_letters(&self, schema: Option<&str>, after: Option<(&str, u64)>, limit: u64) -> Result<Vec<DeadLetter>>;

    /// Removes a dead letter, and tells whether there was one.
    async fn remove_dead_letter(&self, journal: &str, sequence: u64) -> Result<bool>;
}
