//! Models whose end is the user's code.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use store_core::facet::{Near, Shelf, ShelfOptions};
use store_core::{Clock, Eviction, NearTier, Record, Version};
use store_derive::Schema;

use crate::ManualClock;

#[derive(Debug, Schema)]
struct Parting {
    #[schema(primary_key)]
    id: i64,
    #[schema(skip)]
    #[expect(dead_code, reason = "it is there to be dropped")]
    call: Call,
}

/// Calls a shelf when it is dropped.
#[derive(Debug, Default)]
struct Call(Option<(Weak<dyn Shelf<Parting>>, Sender<()>)>);

impl Drop for Call {
    fn drop(&mut self) {
        if let Some((shelf, done)) = self.0.take()
            && let Some(shelf) = shelf.upgrade()
        {
            shelf.version(&1);
            let _ = done.send(());
        }
    }
}

/// Whatever takes the last reference to a model, it is dropped outside the shelf's locks, so that its `Drop` may call the shelf.
pub fn a_model_is_dropped_outside_the_locks<N: NearTier>(make: impl Fn() -> N) {
    type Cause = fn(&dyn Shelf<Parting>, &dyn Near, &ManualClock, Record<Parting>);
    let causes: [(&str, Cause); 7] = [
        ("removal", |shelf, _, _, _| {
            shelf.remove(&1);
        }),
        ("replacement", |shelf, _, _, other| shelf.install(1, other, None)),
        ("clearing", |shelf, _, _, _| shelf.clear()),
        ("clearing the tier", |_, near, _, _| near.clear()),
        ("expiry", |shelf, _, clock, _| {
            clock.advance(Duration::from_secs(1));
            shelf.get(&1);
        }),
        ("sweep", |_, near, clock, _| {
            clock.advance(Duration::from_secs(1));
            near.sweep();
        }),
        ("late arrival", |shelf, _, clock, other| {
            shelf.install(1, other, Some(clock.monotonic()));
            shelf.remove(&1);
        }),
    ];
    for max_entries in [None, Some(0), Some(1)] {
        for (name, cause) in causes {
            let (clock, tier) = (ManualClock::new(), Arc::new(make()));
            let shelf_clock = Arc::new(clock.clone());
            let options =
                ShelfOptions { max_entries, max_weight: None, weigher: None, eviction: Eviction::Lru, on_evict: None, clock: shelf_clock };
            let shelf = tier.shelf::<Parting>("parting", options);
            let (sender, done) = channel();
            let parting =
                |id| Record::new(Arc::new(Parting { id, call: Call(Some((Arc::downgrade(&shelf), sender.clone()))) }), Version::new(1));
            let (first, other) = (parting(1), parting(1));
            let near = Arc::clone(&tier).facets().near.expect("a near tier has the near facet");
            let shelf = Arc::clone(&shelf);
            // In a thread of its own: a shelf that deadlocks fails the case instead of stopping it.
            std::thread::spawn(move || {
                shelf.install(1, first, Some(clock.monotonic() + Duration::from_secs(1)));
                cause(&*shelf, &*near, &clock, other);
            });
            let dropped = done.recv_timeout(Duration::from_secs(30));
            assert!(dropped.is_ok(), "a model could not call its shelf in its drop, after {name}, with at most {max_entries:?} entries");
        }
    }
}
