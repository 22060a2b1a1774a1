//! The libraries, one to a file.

mod foyer;
mod moka;
mod multi_tier_cache;
mod oxcache;
mod quick_cache;
mod strata;

pub(crate) use foyer::Foyer;
pub(crate) use moka::Moka;
pub(crate) use multi_tier_cache::MultiTierCache;
pub(crate) use oxcache::Oxcache;
pub(crate) use quick_cache::QuickCache;
pub(crate) use strata::Strata;
