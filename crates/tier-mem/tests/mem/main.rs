//! The memory tier from outside.

mod allocations;
mod conformance;
mod sweeping;

use std::sync::Arc;
use std::time::Duration;

use store_core::facet::{Shelf, ShelfOptions};
use store_core::{Clock, Eviction, NearTier, Record, Version};
use store_testkit::ManualClock;
use store_testkit::models::Player;
use tier_mem::MemTier;

fn shelf(tier: &MemTier, clock: &ManualClock, max_entries: Option<u64>) -> Arc<dyn Shelf<Player>> {
    let clock = Arc::new(clock.clone());
    let options = ShelfOptions { max_entries, max_weight: None, weigher: None, eviction: Eviction::Lru, on_evict: None, clock };
    tier.shelf("player", options)
}

fn install(shelf: &dyn Shelf<Player>, id: &str, deadline: Option<Duration>) {
    shelf.install(id.to_owned(), Record::new(Arc::new(Player { id: id.to_owned(), level: 1 }), Version::new(1)), deadline);
}

/// Installs that many entries which live for a second.
fn install_short(shelf: &dyn Shelf<Player>, clock: &ManualClock, count: u64) {
    for number in 0..count {
        install(shelf, &number.to_string(), Some(clock.monotonic() + Duration::from_secs(1)));
    }
}
