//! Who sweeps, and when.

use std::time::Duration;

use store_core::Tier;
use store_core::facet::{Near, Shelf};
use store_testkit::ManualClock;
use store_testkit::models::Player;
use tier_mem::MemTier;
use tokio::runtime::{Builder, Runtime};

use super::{install, install_short, shelf};

const COUNT: u64 = 20_000;
const INTERVAL: Duration = Duration::from_secs(30);

/// A runtime whose time passes as soon as all its tasks wait for it.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Installs one entry over and over until only that one is left, and returns how often that took.
fn installs_until_clean(shelf: &dyn Shelf<Player>) -> u64 {
    for installs in 1..COUNT {
        install(shelf, "again", None);
        if shelf.entries() == 1 {
            return installs;
        }
    }
    panic!("{} entries are left", shelf.entries());
}

#[test]
fn without_a_runtime_installs_sweep_every_30_seconds_in_short_steps() {
    for max_entries in [None, Some(2 * COUNT)] {
        let (tier, clock) = (MemTier::new(), ManualClock::new());
        let shelf = shelf(&tier, &clock, max_entries);
        for _ in 0..2 {
            install(&*shelf, "again", None);
            install_short(&*shelf, &clock, COUNT);
            clock.advance(INTERVAL - Duration::from_millis(1));
            for _ in 0..100 {
                install(&*shelf, "again", None);
            }
            assert_eq!(shelf.entries(), COUNT + 1, "no sweep was due yet");

            clock.advance(Duration::from_millis(1));
            install(&*shelf, "again", None);
            let swept = COUNT + 1 - shelf.entries();
            assert!((1..2_000).contains(&swept), "one step took {swept} entries");
            installs_until_clean(&*shelf);
            // The step that finds the sweep through sets the time of the next.
            install(&*shelf, "again", None);
        }
    }
}

#[test]
fn within_a_runtime_a_task_sweeps_an_idle_shelf() {
    runtime().block_on(async {
        let (tier, clock) = (MemTier::new(), ManualClock::new());
        let shelves = [shelf(&tier, &clock, None), shelf(&tier, &clock, Some(2 * COUNT))];
        for _ in 0..2 {
            for shelf in &shelves {
                install_short(&**shelf, &clock, COUNT);
            }
            clock.advance(Duration::from_secs(1));
            assert_eq!(tier.entries(), 2 * COUNT);
            tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
            assert_eq!(tier.entries(), 0);
        }
    });
}

#[test]
fn the_task_ends_with_the_tier_and_when_it_is_closed() {
    let runtime = runtime();
    runtime.block_on(async {
        let clock = ManualClock::new();
        let dropped = MemTier::new();
        shelf(&dropped, &clock, None);
        drop(dropped);

        let closed = MemTier::new();
        let first = shelf(&closed, &clock, None);
        closed.close().await.expect("closing succeeds");
        let second = shelf(&closed, &clock, None);
        for shelf in [&first, &second] {
            install_short(&**shelf, &clock, 10);
        }
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(2 * INTERVAL).await;
        assert_eq!(closed.entries(), 20, "nobody sweeps a closed tier by itself");
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn a_tier_that_outlives_its_runtime_sweeps_in_the_next() {
    let (tier, clock) = (MemTier::new(), ManualClock::new());
    for _ in 0..2 {
        runtime().block_on(async {
            let shelf = shelf(&tier, &clock, None);
            install_short(&*shelf, &clock, 10);
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
            assert_eq!(shelf.entries(), 0);
        });
    }
}

#[test]
fn a_shelf_that_is_gone_is_counted_no_more() {
    let (tier, clock) = (MemTier::new(), ManualClock::new());
    let (kept, gone) = (shelf(&tier, &clock, None), shelf(&tier, &clock, Some(10)));
    install_short(&*kept, &clock, 2);
    install_short(&*gone, &clock, 3);
    drop(gone);
    assert_eq!(tier.entries(), 2);
}
