//! Eviction notices.

use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use store_core::facet::{Near, Shelf};
use store_core::{EvictionCause, NearTier};

use super::workbench::{Bench, Workbench, on_every_shelf, record};
use crate::models::Player;

/// The notice gets the key, the model itself and the cause.
pub fn a_notice_names_key_model_and_cause<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let (sender, notices) = channel();
    let shelf = workbench.shelf(|options| {
        options.max_entries = Some(1);
        options.on_evict = Some(Arc::new(move |key, player, cause| {
            let _ = sender.send((key.clone(), Arc::clone(player), cause));
        }));
    });
    let installed = record("a", 1);
    shelf.0.install("a".into(), installed.clone(), None);
    shelf.install_until("b", 1, workbench.after(1));
    let (key, player, cause) = notices.try_recv().expect("a notice is given before the install returns");
    assert_eq!((key.as_str(), cause), ("a", EvictionCause::Size));
    assert!(Arc::ptr_eq(&player, installed.model()));
    workbench.advance(1);
    assert_eq!(shelf.get("b"), None);
    workbench.near().sweep();
    let (key, _, cause) = notices.try_recv().expect("a notice is given before the sweep returns");
    assert_eq!((key.as_str(), cause), ("b", EvictionCause::Expired));
}

/// What is replaced gives no notice.
pub fn a_replacement_gives_no_notice<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        for version in 1..5 {
            shelf.install("a", version);
        }
        assert_eq!(workbench.notices.take(), []);
    });
}

/// The notice runs outside the shelf's locks, whatever caused it: it may read, install and remove on the same shelf.
pub fn a_notice_may_call_the_shelf<N: NearTier>(make: impl Fn() -> N) {
    let sweep: Cause = |_, near| {
        near.sweep();
    };
    let read: Cause = |shelf, _| {
        shelf.get("a");
    };
    let peek: Cause = |shelf, _| {
        shelf.peek("a");
    };
    let install: Cause = |shelf, _| shelf.install("d", 1);
    for cause in [sweep, read, peek] {
        calls_the_shelf_from_its_notice(&make, None, cause);
    }
    for cause in [sweep, read, peek, install] {
        calls_the_shelf_from_its_notice(&make, Some(2), cause);
    }
}

type Cause = fn(&Bench, &dyn Near);

fn calls_the_shelf_from_its_notice<N: NearTier>(make: impl Fn() -> N, max_entries: Option<u64>, cause: Cause) {
    let workbench = Workbench::new(make);
    let own: Arc<OnceLock<Weak<dyn Shelf<Player>>>> = Arc::default();
    let (sender, calls) = channel();
    let shelf = workbench.shelf(|options| {
        options.max_entries = max_entries;
        let own = Arc::clone(&own);
        options.on_evict = Some(Arc::new(move |key, _, _| {
            let shelf = Bench(own.get().and_then(Weak::upgrade).expect("the shelf is in use"));
            assert_eq!(shelf.get(key), None, "the entry has left when its notice is given");
            assert!(shelf.0.remove("b"));
            shelf.install("c", 1);
            assert_eq!((shelf.get("c"), shelf.peek("c"), shelf.version("c")), (Some(1), Some(1), Some(1)));
            shelf.0.entries();
            let _ = sender.send(());
        }));
    });
    let _ = own.set(Arc::downgrade(&shelf.0));
    shelf.install_until("a", 1, workbench.after(1));
    shelf.install("b", 1);
    workbench.advance(1);
    let (near, in_thread) = (workbench.near(), shelf.clone());
    // In a thread of its own: a shelf that deadlocks fails the case instead of stopping it.
    std::thread::spawn(move || cause(&in_thread, &*near));
    calls.recv_timeout(Duration::from_secs(30)).expect("the notice must get through its calls of the shelf");
    assert_eq!(shelf.present("a b c"), ["c"]);
}

/// A notice that panics neither takes the calling thread with it nor keeps the other notices back, and the shelf goes on.
pub fn a_panicking_notice_loses_nothing<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let notices = workbench.notices.clone();
    let shelf = workbench.shelf(|options| {
        options.max_entries = Some(2);
        options.on_evict = Some(Arc::new(move |key, _, cause| {
            notices.push((key.clone(), 0, cause));
            panic!("the notice panics on purpose");
        }));
    });
    for key in ["a", "b"] {
        shelf.install_until(key, 1, workbench.after(1));
    }
    workbench.advance(1);
    assert_eq!(workbench.near().sweep(), 2);
    assert_eq!(workbench.notices.take().len(), 2);
    shelf.install_all("c d e");
    assert_eq!(workbench.notices.take(), [("c".into(), 0, EvictionCause::Size)]);
    assert_eq!(shelf.present("a b c d e"), ["d", "e"]);
}
