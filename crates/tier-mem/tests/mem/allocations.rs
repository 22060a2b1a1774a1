//! What a look-up costs the allocator: nothing.

use store_testkit::ManualClock;
use tier_mem::MemTier;

use super::{install, shelf};

#[test]
fn look_ups_by_the_borrowed_key_allocate_nothing() {
    for max_entries in [None, Some(10)] {
        let (tier, clock) = (MemTier::new(), ManualClock::new());
        let shelf = shelf(&tier, &clock, max_entries);
        install(&*shelf, "a key that no small-string trick could hold", None);
        let allocations = allocation_counter::measure(|| {
            for (key, there) in [("a key that no small-string trick could hold", true), ("another key of about the same length", false)] {
                assert_eq!(shelf.get(key).is_some(), there);
                assert_eq!(shelf.peek_with(key, &mut |_| {}), there);
                assert_eq!(shelf.version(key).is_some(), there);
            }
        });
        assert_eq!(allocations.count_total, 0);
    }
}
