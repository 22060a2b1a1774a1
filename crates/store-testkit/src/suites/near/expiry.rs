//! Deadlines.

use std::time::Duration;

use store_core::{EvictionCause, NearTier};

use super::workbench::on_every_shelf;

/// An entry is live until its deadline, and a miss for every form of access from the deadline on.
pub fn an_entry_lives_until_its_deadline_and_no_longer<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install_until("get", 1, workbench.after(10));
        shelf.install_until("peek", 1, workbench.after(10));
        shelf.install_until("version", 1, workbench.after(10));
        workbench.clock.advance(Duration::from_secs(10) - Duration::from_nanos(1));
        assert_eq!((shelf.get("get"), shelf.peek("peek"), shelf.version("version")), (Some(1), Some(1), Some(1)));
        workbench.clock.advance(Duration::from_nanos(1));
        assert_eq!((shelf.get("get"), shelf.peek("peek"), shelf.version("version")), (None, None, None));
    });
}

/// An expired entry leaves with the read that meets it, and its notice is given before the read returns.
pub fn an_expired_entry_leaves_with_the_read_that_meets_it<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        for key in ["get", "peek"] {
            shelf.install_until(key, 1, workbench.after(1));
        }
        workbench.advance(1);
        assert_eq!((shelf.0.entries(), shelf.get("get")), (2, None));
        assert_eq!((shelf.0.entries(), shelf.peek("peek")), (1, None));
        assert_eq!(shelf.0.entries(), 0);
        let noticed = ["get", "peek"].map(|key| (key.to_owned(), 1, EvictionCause::Expired));
        assert_eq!(workbench.notices.take(), noticed);
    });
}

/// An entry without a deadline never expires.
pub fn an_entry_without_deadline_lives_on<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install("a", 1);
        workbench.advance(100 * 365 * 86_400);
        assert_eq!(workbench.near().sweep(), 0);
        assert_eq!(shelf.get("a"), Some(1));
    });
}

/// A replacement counts by its own deadline, be it later, earlier or none.
pub fn an_install_counts_by_its_own_deadline<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        for (key, first, second) in
            [("later", Some(5), Some(20)), ("earlier", Some(20), Some(5)), ("none", Some(5), None), ("one", None, Some(5))]
        {
            for seconds in [first, second] {
                shelf.install_until(key, 1, seconds.and_then(|seconds| workbench.after(seconds)));
            }
        }
        workbench.advance(10);
        assert_eq!(workbench.near().sweep(), 2);
        assert_eq!(shelf.present("later earlier none one"), ["later", "none"]);
    });
}

/// An entry whose deadline has passed when it arrives is not kept, and the key's present one leaves all the same.
pub fn an_install_past_its_deadline_keeps_nothing<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install("a", 1);
        shelf.install_until("a", 2, workbench.after(0));
        shelf.install_until("b", 2, Some(Duration::ZERO));
        assert_eq!((shelf.get("a"), shelf.get("b")), (None, None));
        workbench.near().sweep();
        assert_eq!(shelf.0.entries(), 0);
        assert!(!workbench.notices.take().iter().any(|&(_, version, _)| version == 1), "what was replaced gives no notice");
    });
}

/// `remove` says that there was nothing where the entry had expired, whether or not a sweep was there first.
pub fn an_expired_entry_is_not_there_to_be_removed<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        shelf.install_until("a", 1, workbench.after(1));
        workbench.advance(1);
        assert!(!shelf.0.remove("a"));
        assert_eq!(shelf.0.entries(), 0);
    });
}

/// Whoever meets an expired entry first, a read or a sweep, there is one notice.
pub fn an_expired_entry_is_noticed_once<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        for key in ["a", "b"] {
            shelf.install_until(key, 3, workbench.after(1));
        }
        workbench.advance(1);
        for _ in 0..2 {
            assert_eq!(shelf.get("a"), None);
            workbench.near().sweep();
        }
        let mut notices = workbench.notices.take();
        notices.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(notices, [("a".into(), 3, EvictionCause::Expired), ("b".into(), 3, EvictionCause::Expired)]);
        assert_eq!(shelf.0.entries(), 0);
    });
}
