//! How far the shared tier has been told of the log of commits.

use std::sync::Arc;

use super::records::Slot;
use super::tags::TagInvalidation;
use crate::facet::LogCursor;
use crate::schema::BoundSchema;
use crate::version::Version;

/// How far the relayer has come with one schema's slots, as a shard of the shared tier holds it.
///
/// A mark stands for removals: whatever the log told before its position has left the slots, in every shard. It is lost with the shard's content, and goes
/// back with it when an older copy takes over.
///
/// ```
/// use store_core::facet::{LogCursor, Mark};
///
/// let before = Mark { generation: 7, era: 1, position: LogCursor::new("1042") };
/// let after_a_flush = Mark { generation: 8, ..before.clone() };
/// assert_ne!(before, after_a_flush);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Records of any other generation are misses. It changes when it cannot be known what the slots hold.
    pub generation: u64,
    /// How many times the shards were told of invalidated tags in this generation, the beginning included: a load that begins after this was read is stamped
    /// with it. 0 where they cannot be told.
    pub era: u64,
    /// The place in the log.
    pub position: LogCursor,
}

/// A slot, and the mark of its shard.
///
/// ```
/// use store_core::facet::{Fetched, Slot};
///
/// fn may_be_used(fetched: &Fetched) -> bool {
///     match (&fetched.slot, &fetched.mark) {
///         (Slot::Record(record), Some(mark)) => record.generation == mark.generation,
///         _ => false,
///     }
/// }
/// assert!(!may_be_used(&Fetched { slot: Slot::Empty, mark: None }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What is in the slot.
    pub slot: Slot,
    /// What the shard's mark was before the slot was read, on the same connection.
    pub mark: Option<Arc<Mark>>,
}

/// What a slot, or every slot of a schema, loses.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::Removal;
/// use store_core::{BoundSchema, Schema, Version};
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64 }
///
/// let schema = Arc::new(BoundSchema::standalone(City::definition()));
/// let overwritten = Removal { schema, key: Some("7".into()), below: Some(Version::new(3)) };
/// assert!(overwritten.key.is_some());
/// ```
#[derive(Debug, Clone)]
pub struct Removal {
    /// Whose slots.
    pub schema: Arc<BoundSchema>,
    /// The key's text form; `None` for every slot of the schema.
    pub key: Option<String>,
    /// A record of at least this version stays; `None` empties the slot whatever it holds. Leases are voided in both cases.
    pub below: Option<Version>,
}

/// One step of the relayer.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::{LogCursor, Mark, Relay};
/// use store_core::{BoundSchema, Schema};
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64 }
///
/// let schema = Arc::new(BoundSchema::standalone(City::definition()));
/// let mark = Mark { generation: 7, era: 1, position: LogCursor::new("1042") };
/// let first = Relay { marks: vec![(schema, mark)], ..Relay::default() };
/// assert_eq!(first.marks.len(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Relay {
    /// What leaves the slots.
    pub removals: Vec<Removal>,
    /// The tags whose copies are void from now on.
    pub tags: Vec<TagInvalidation>,
    /// The marks that stand for it, of each schema concerned.
    pub marks: Vec<(Arc<BoundSchema>, Mark)>,
}
