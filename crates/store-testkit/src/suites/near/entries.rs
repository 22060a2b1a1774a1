//! Entries without limits and deadlines: installing, finding, removing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use store_core::facet::ShelfOptions;
use store_core::{Eviction, NearTier, Record, Version};

use super::workbench::{Workbench, on_every_shelf, record};
use crate::models::Score;

/// `get`, `peek_with` and `version` all find what was installed.
pub fn what_is_installed_is_found_under_every_form_of_access<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        shelf.install("a", 7);
        assert_eq!((shelf.get("a"), shelf.peek("a"), shelf.version("a")), (Some(7), Some(7), Some(7)));
        assert_eq!(shelf.0.entries(), 1);
    });
}

/// A key that was never installed is a miss, and `peek_with` calls no visitor for it.
pub fn a_missing_key_is_a_miss<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        shelf.install("a", 1);
        assert_eq!((shelf.get("b"), shelf.peek("b"), shelf.version("b")), (None, None, None));
        assert!(!shelf.0.remove("b"));
    });
}

/// An install takes the place of the present entry, whatever the two versions are: the fence is not the shelf's.
pub fn a_shelf_stores_what_it_is_told_to<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        for version in [5, 9, 2, 2] {
            shelf.install("a", version);
            assert_eq!(shelf.get("a"), Some(version));
        }
        assert_eq!(shelf.0.entries(), 1);
    });
}

/// `remove` returns whether there was an entry, leaves the others, and gives no notice.
pub fn a_removed_entry_is_gone_without_a_notice<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install_all("a b c");
        assert!(shelf.0.remove("b"));
        assert!(!shelf.0.remove("b"));
        assert_eq!(shelf.present("a b c"), ["a", "c"]);
        assert_eq!(shelf.0.entries(), 2);
        assert_eq!(workbench.notices.take(), []);
    });
}

/// `clear` takes all entries out without notices, and the shelf works on.
pub fn a_cleared_shelf_is_empty_without_a_notice_and_goes_on<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install_all("a b c");
        shelf.0.clear();
        assert_eq!((shelf.0.entries(), shelf.get("a")), (0, None));
        shelf.install("a", 2);
        assert_eq!((shelf.0.entries(), shelf.get("a")), (1, Some(2)));
        assert_eq!(workbench.notices.take(), []);
    });
}

/// A hit shares the model that was installed, and copies nothing.
pub fn a_hit_gives_the_installed_model_itself<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        let installed = record("a", 1);
        shelf.0.install("a".into(), installed.clone(), None);
        let found = shelf.0.get("a").expect("it was installed");
        assert!(Arc::ptr_eq(found.model(), installed.model()));
    });
}

/// `peek_with` shows the model without touching its reference count.
pub fn a_peek_touches_no_reference_count<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        let installed = record("a", 1);
        shelf.0.install("a".into(), installed.clone(), None);
        let before = Arc::strong_count(installed.model());
        let mut during = None;
        assert!(shelf.0.peek_with("a", &mut |record| {
            assert!(Arc::ptr_eq(record.model(), installed.model()));
            assert_eq!(record.version(), Version::new(1));
            during = Some(Arc::strong_count(installed.model()));
        }));
        assert_eq!(during, Some(before));
    });
}

/// A visitor that panics takes the panic to its caller; the shelf loses nothing and goes on.
pub fn a_panicking_visitor_leaves_the_shelf_usable<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        shelf.install("a", 1);
        let peek = || shelf.0.peek_with("a", &mut |_| panic!("the visitor panics on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(peek)).is_err());
        assert_eq!(shelf.get("a"), Some(1));
        shelf.install("a", 2);
        assert_eq!((shelf.get("a"), shelf.0.entries()), (Some(2), 1));
    });
}

/// A key of several columns is found by itself, and no other key by it.
pub fn a_key_of_several_columns_is_found_by_all_of_them<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    for max_entries in [None, Some(10)] {
        let clock = Arc::new(workbench.clock.clone());
        let options = ShelfOptions { max_entries, max_weight: None, weigher: None, eviction: Eviction::Lru, on_evict: None, clock };
        let shelf = workbench.tier.shelf("score", options);
        let score = Score { player: "a".into(), season: 1, points: 7 };
        shelf.install(("a".into(), 1), Record::new(Arc::new(score), Version::new(1)), None);
        assert!(shelf.get(&("a".into(), 1)).is_some());
        assert!(shelf.get(&("a".into(), 2)).is_none());
        assert!(shelf.get(&("b".into(), 1)).is_none());
    }
}

/// Neither keys nor models reach the debug output: they may be secret.
pub fn debug_output_shows_no_content<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install("swordfish", 1);
        let output = format!("{:?} {:?} {:?}", shelf.0, workbench.tier, workbench.near());
        assert!(!output.contains("swordfish"), "{output}");
    });
}
