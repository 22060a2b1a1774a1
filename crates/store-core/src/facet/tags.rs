//! What the shared tier knows of invalidated tags.

use std::sync::Arc;

use crate::schema::BoundSchema;

/// Above this many tags in one shard's list of a schema, the list begins anew, and with it the records that it speaks of.
pub const MOST_TAGS: usize = 10_000;

/// Tags of one schema whose copies are to be dropped, as the relayer tells every shard of them.
///
/// A shard counts invalidations in eras. A record is stamped with the era in which its load began, and a copy with a tag that was invalidated in a later era
/// is void.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::TagInvalidation;
/// use store_core::{BoundSchema, Schema};
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64 }
///
/// let schema = Arc::new(BoundSchema::standalone(City::definition()));
/// let told = TagInvalidation { schema, generation: 7, era: 2, tags: vec!["country=PE".into()] };
/// assert_eq!(told.tags.len(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct TagInvalidation {
    /// Whose records.
    pub schema: Arc<BoundSchema>,
    /// The generation that the eras are counted in.
    pub generation: u64,
    /// The era that this begins. Era 1 is the first of a generation: it empties the list, or makes it.
    pub era: u64,
    /// The tags; with none, the era begins all the same.
    pub tags: Vec<String>,
}

/// What a shard answers about some tags of a schema.
///
/// ```
/// use store_core::facet::TagEras;
///
/// /// Whether a record that was stamped with this era has none of the tags that were invalidated later.
/// fn holds(record_era: u64, told: &TagEras) -> bool {
///     told.of.iter().all(|era| *era <= record_era)
/// }
/// let told = TagEras { generation: 7, era: 3, of: vec![0, 2] };
/// assert!(holds(2, &told) && !holds(1, &told));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagEras {
    /// The generation that the eras are counted in.
    pub generation: u64,
    /// The present era: every invalidation up to it is known here.
    pub era: u64,
    /// In which era each of the tags that were asked for was invalidated last; 0 for never.
    pub of: Vec<u64>,
}
