//! Limits of entries and of weight.

use std::sync::Arc;

use store_core::facet::Weigher;
use store_core::{Eviction, EvictionCause, NearTier};

use super::workbench::{Bench, Noticed, Workbench};
use crate::models::Player;

const POLICIES: [Eviction; 3] = [Eviction::Lru, Eviction::Lfu, Eviction::Fifo];

/// Weighs a player by the level, which is the version in these cases.
pub(super) fn by_level() -> Weigher<Player> {
    Arc::new(|_, player| player.level.unsigned_abs())
}

fn weighing<N: NearTier>(workbench: &Workbench<N>, eviction: Eviction, max_entries: Option<u64>, max_weight: u64) -> Bench {
    workbench.shelf(|options| {
        options.eviction = eviction;
        options.max_entries = max_entries;
        options.max_weight = Some(max_weight);
        options.weigher = Some(by_level());
    })
}

fn evicted(notices: Vec<Noticed>) -> Vec<String> {
    notices
        .into_iter()
        .map(|(key, _, cause)| {
            assert_eq!(cause, EvictionCause::Size);
            key
        })
        .collect()
}

/// Without limits nothing is evicted.
pub fn no_limit_keeps_everything<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = workbench.shelf(|options| options.eviction = eviction);
        for number in 0..10_000 {
            shelf.install(&number.to_string(), 1);
        }
        assert_eq!(shelf.0.entries(), 10_000);
        assert_eq!(workbench.notices.take(), []);
    }
}

/// `max_entries` counts the whole shelf: exactly so many stay, and each further one evicts one.
pub fn the_limit_of_entries_is_a_total<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = workbench.shelf(|options| {
            options.eviction = eviction;
            options.max_entries = Some(1_000);
        });
        for number in 0..1_500 {
            shelf.install(&number.to_string(), 1);
        }
        assert_eq!(shelf.0.entries(), 1_000);
        let oldest: Vec<_> = (0..500).map(|number| number.to_string()).collect();
        assert_eq!(evicted(workbench.notices.take()), oldest);
    }
}

/// `max_weight` counts the whole shelf: it is reached exactly, and as many leave as the newcomer needs.
pub fn the_limit_of_weight_is_a_total<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = weighing(&workbench, eviction, None, 10);
        for (key, weight) in [("a", 3), ("b", 2), ("c", 5)] {
            shelf.install(key, weight);
        }
        assert_eq!(workbench.notices.take(), []);
        shelf.install("d", 4);
        assert_eq!(evicted(workbench.notices.take()), ["a", "b"]);
        shelf.install("e", 1);
        assert_eq!(workbench.notices.take(), []);
        assert_eq!(shelf.present("a b c d e"), ["c", "d", "e"]);
    }
}

/// With both limits an entry stays only while neither is passed.
pub fn both_limits_count_at_once<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = weighing(&workbench, eviction, Some(3), 10);
        for (key, weight) in [("a", 1), ("b", 1), ("c", 1)] {
            shelf.install(key, weight);
        }
        shelf.install("d", 1);
        assert_eq!(evicted(workbench.notices.take()), ["a"]);
        shelf.install("e", 9);
        assert_eq!(evicted(workbench.notices.take()), ["b", "c"]);
    }
}

/// `max_weight` without a weigher is a number of entries.
pub fn weight_is_one_without_a_weigher<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let shelf = workbench.shelf(|options| options.max_weight = Some(2));
    for key in ["a", "b", "c"] {
        shelf.install(key, 100);
    }
    assert_eq!(evicted(workbench.notices.take()), ["a"]);
    assert_eq!(shelf.0.entries(), 2);
}

/// A capacity of zero entries keeps nothing, and one of zero weight only what weighs nothing.
pub fn no_capacity_keeps_nothing<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let none = workbench.shelf(|options| {
            options.eviction = eviction;
            options.max_entries = Some(0);
        });
        none.install("a", 1);
        assert_eq!((none.0.entries(), none.get("a"), none.0.remove("a")), (0, None, false));
        let weightless = weighing(&workbench, eviction, None, 0);
        weightless.install("a", 1);
        weightless.install("b", 0);
        assert_eq!(weightless.present("a b"), ["b"]);
        assert_eq!(workbench.notices.take(), []);
    }
}

/// An entry heavier than the whole shelf evicts nobody and is not kept; the present entry of its key leaves without a notice.
pub fn too_heavy_an_entry_is_not_kept_and_the_present_one_leaves<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = weighing(&workbench, eviction, None, 10);
        shelf.install("a", 1);
        shelf.install("b", 9);
        shelf.install("a", 11);
        shelf.install("c", u64::MAX >> 1);
        assert_eq!(shelf.present("a b c"), ["b"]);
        shelf.install("d", 1);
        assert_eq!(shelf.present("b d"), ["b", "d"], "the weight of what left must be free again");
        assert_eq!(workbench.notices.take(), []);
    }
}

/// A replacement that is heavier evicts others, never itself.
pub fn a_heavier_replacement_evicts_others<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = weighing(&workbench, eviction, None, 10);
        for (key, weight) in [("a", 2), ("b", 3), ("c", 5)] {
            shelf.install(key, weight);
        }
        shelf.install("a", 4);
        assert_eq!(evicted(workbench.notices.take()), ["b"]);
        assert_eq!(shelf.present("a b c"), ["a", "c"]);
        shelf.install("a", 10);
        assert_eq!(evicted(workbench.notices.take()), ["c"]);
        assert_eq!(shelf.get("a"), Some(10));
    }
}

/// A full shelf replaces an entry without evicting another.
pub fn a_replacement_of_the_same_size_evicts_nobody<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = workbench.shelf(|options| {
            options.eviction = eviction;
            options.max_entries = Some(2);
        });
        shelf.install_all("a b a b b a");
        assert_eq!(shelf.present("a b"), ["a", "b"]);
        assert_eq!(workbench.notices.take(), []);
    }
}

/// When room is needed, an expired entry leaves before every live one, and is noticed as expired.
pub fn expired_entries_make_room_first<N: NearTier>(make: impl Fn() -> N) {
    for eviction in POLICIES {
        let workbench = Workbench::new(&make);
        let shelf = workbench.shelf(|options| {
            options.eviction = eviction;
            options.max_entries = Some(3);
        });
        shelf.install_all("a b");
        shelf.install_until("short", 1, workbench.after(1));
        assert_eq!((shelf.get("short"), shelf.get("short")), (Some(1), Some(1)));
        workbench.advance(1);
        shelf.install("c", 1);
        assert_eq!(workbench.notices.take(), [("short".into(), 1, EvictionCause::Expired)]);
        assert_eq!(shelf.present("a b short c"), ["a", "b", "c"]);
    }
}

/// A weigher that panics does not take the installing thread with it; the new entry is not kept, and the outdated one does not stay.
pub fn a_panicking_weigher_keeps_nothing_old<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let shelf = workbench.shelf(|options| {
        options.max_weight = Some(10);
        options.weigher = Some(Arc::new(|_, player| {
            assert!(player.level < 2, "the weigher panics on purpose");
            1
        }));
    });
    shelf.install("a", 1);
    shelf.install("a", 2);
    assert_eq!((shelf.get("a"), shelf.0.entries()), (None, 0));
    shelf.install("a", 1);
    assert_eq!(shelf.get("a"), Some(1));
}
