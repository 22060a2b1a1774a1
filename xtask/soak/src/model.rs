//! What the workers store.

use strata::Schema;

/// How stale a plain read may be.
pub(crate) const BOUND: std::time::Duration = std::time::Duration::from_millis(500);

/// A record whose number says which write it is of: no two writes of a run share one.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "soak_item", l1(ttl = "20s"), l2(ttl = "60s"))]
pub(crate) struct Item {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) number: i64,
}
