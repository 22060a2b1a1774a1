//! The interleavings of a shelf's calls, checked against what each thread knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use store_core::facet::{Shelf, ShelfOptions};
use store_core::{Eviction, Record, Version};
use store_testkit::ManualClock;
use store_testkit::models::Player;

use crate::limited::LimitedShelf;
use crate::sweep::{ErasedShelf, SWEEP_INTERVAL};
use crate::unlimited::UnlimitedShelf;

const KEYS: [&str; 3] = ["a", "b", "c"];
const LIMIT: u64 = 2;

/// A shelf, and what is known of it.
#[derive(Debug)]
struct World<S> {
    shelf: S,
    clock: ManualClock,
    last_version: AtomicU64,
    /// By key, the newest version that a removal, under a lock of the test's, has ended.
    removed: [AtomicU64; 3],
    /// Held by whoever installs or removes a key, as the fence is in the store.
    writing: [shuttle::sync::Mutex<()>; 3],
    /// Entries that left on their own.
    departed: Arc<AtomicI64>,
}

fn options(
    max_entries: Option<u64>,
    max_weight: Option<u64>,
    eviction: Eviction,
    clock: &ManualClock,
    departed: &Arc<AtomicI64>,
) -> ShelfOptions<Player> {
    let departed = Arc::clone(departed);
    ShelfOptions {
        max_entries,
        max_weight,
        weigher: Some(Arc::new(|_, player: &Player| player.level as u64)),
        eviction,
        on_evict: Some(Arc::new(move |_, _, _| {
            departed.fetch_add(1, Ordering::SeqCst);
        })),
        clock: Arc::new(clock.clone()),
    }
}

impl<S: Shelf<Player> + ErasedShelf + 'static> World<S> {
    fn new(shelf: impl FnOnce(&ManualClock, &Arc<AtomicI64>) -> S) -> Arc<Self> {
        let (clock, departed) = (ManualClock::new(), Arc::default());
        let shelf = shelf(&clock, &departed);
        Arc::new(World {
            shelf,
            clock,
            last_version: AtomicU64::new(0),
            removed: Default::default(),
            writing: Default::default(),
            departed,
        })
    }

    fn install(&self, key: usize, deadline: Option<Duration>) {
        let _writing = self.writing[key].lock().expect("no test panics under it");
        let version = self.last_version.fetch_add(1, Ordering::SeqCst) + 1;
        let player = Player { id: KEYS[key].to_owned(), level: 1 };
        self.shelf.install(KEYS[key].to_owned(), Record::new(Arc::new(player), Version::new(version)), deadline);
    }

    fn remove(&self, key: usize) {
        let _writing = self.writing[key].lock().expect("no test panics under it");
        self.shelf.remove(KEYS[key]);
        // Whatever was installed before is gone.
        self.removed[key].fetch_max(self.last_version.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn clear(&self) {
        let _all: Vec<_> = self.writing.iter().map(|writing| writing.lock().expect("no test panics under it")).collect();
        Shelf::clear(&self.shelf);
        let last = self.last_version.load(Ordering::SeqCst);
        for removed in &self.removed {
            removed.fetch_max(last, Ordering::SeqCst);
        }
    }

    fn look(&self, key: usize) {
        let removed = self.removed[key].load(Ordering::SeqCst);
        let found = match thread_rng().gen_range(0..3) {
            0 => self.shelf.get(KEYS[key]).map(|record| {
                assert_eq!(record.model().id, KEYS[key]);
                record.version()
            }),
            1 => self.shelf.version(KEYS[key]),
            _ => {
                let mut seen = None;
                self.shelf.peek_with(KEYS[key], &mut |record| seen = Some(record.version()));
                seen
            }
        };
        assert!(found.is_none_or(|version| version.get() > removed), "{} was removed at {removed}, and shows {found:?}", KEYS[key]);
    }

    fn sweep(&self) {
        let mut position = 0;
        while self.shelf.sweep_step(&mut position).is_some() {}
    }

    fn step(&self) {
        let key = thread_rng().gen_range(0..3);
        match thread_rng().gen_range(0..12) {
            0..4 => self.install(key, None),
            4 => self.install(key, Some(store_core::Clock::monotonic(&self.clock) + Duration::from_secs(1))),
            5 | 6 => self.remove(key),
            7 => self.clear(),
            8 => self.sweep(),
            9 => self.clock.advance(SWEEP_INTERVAL),
            _ => self.look(key),
        }
    }
}

fn run<S: Shelf<Player> + ErasedShelf + 'static>(limit: Option<u64>, shelf: impl FnOnce(&ManualClock, &Arc<AtomicI64>) -> S) {
    let world = World::new(shelf);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                for _ in 0..5 {
                    world.step();
                    let entries = Shelf::entries(&world.shelf);
                    assert!(limit.is_none_or(|limit| entries <= limit), "{entries} entries");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    // What the shelf counts is what it shows, once what has ended is swept out.
    world.sweep();
    let shown = KEYS.iter().filter(|key| world.shelf.version(key).is_some()).count() as u64;
    assert_eq!(Shelf::entries(&world.shelf), shown);
    // Nor is weight lost: a full house fits, and leaves as a whole.
    Shelf::clear(&world.shelf);
    let before = world.departed.load(Ordering::SeqCst);
    for key in 0..KEYS.len() {
        world.install(key, None);
    }
    let kept = limit.unwrap_or(3).min(3);
    assert_eq!(Shelf::entries(&world.shelf), kept);
    assert_eq!(world.departed.load(Ordering::SeqCst) - before, 3 - kept as i64, "what was evicted to make room");
    for key in 0..KEYS.len() {
        world.remove(key);
    }
    assert_eq!(Shelf::entries(&world.shelf), 0);
}

/// Nobody removes anything and nothing is in the way of what is installed: it stays, though what was there before ends meanwhile.
fn run_installs<S: Shelf<Player> + ErasedShelf + 'static>(shelf: impl FnOnce(&ManualClock, &Arc<AtomicI64>) -> S) {
    let world = World::new(shelf);
    world.install(0, Some(store_core::Clock::monotonic(&world.clock) + Duration::from_secs(1)));
    world.clock.advance(Duration::from_secs(2));
    let install = |world: &World<S>| {
        // Without the lock that keeps the writers of a key apart.
        let version = world.last_version.fetch_add(1, Ordering::SeqCst) + 1;
        let player = Player { id: KEYS[0].to_owned(), level: 1 };
        world.shelf.install(KEYS[0].to_owned(), Record::new(Arc::new(player), Version::new(version)), None);
    };
    let steps: [fn(&World<S>); 2] = [|world| world.look(0), World::sweep];
    let threads: Vec<_> = (0..5)
        .map(|number| {
            let world = Arc::clone(&world);
            thread::spawn(move || match steps.get(number) {
                Some(step) => step(&world),
                None if number == 4 => world.look(0),
                None => install(&world),
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    assert!(world.shelf.version(KEYS[0]).is_some_and(|version| version.get() > 1), "what was installed is gone");
    assert_eq!(Shelf::entries(&world.shelf), 1);
    world.remove(0);
    assert_eq!((world.shelf.version(KEYS[0]), Shelf::entries(&world.shelf)), (None, 0));
}

fn explore(test: fn()) {
    let given = std::env::var("STRATA_INTERLEAVINGS").map(|text| text.parse().expect("a number"));
    let half = given.unwrap_or(1_000) / 2;
    shuttle::check_random(test, half);
    shuttle::check_pct(test, half, 3);
}

#[test]
fn an_unlimited_shelf_never_shows_what_was_removed() {
    explore(|| run(None, |clock, departed| UnlimitedShelf::new("player", options(None, None, Eviction::Lru, clock, departed))));
}

#[test]
fn a_shelf_limited_by_entries_keeps_count() {
    explore(|| run(Some(LIMIT), |clock, departed| LimitedShelf::new("player", options(Some(LIMIT), None, Eviction::Lru, clock, departed))));
}

#[test]
fn a_shelf_limited_by_weight_keeps_count() {
    explore(|| run(Some(LIMIT), |clock, departed| LimitedShelf::new("player", options(None, Some(LIMIT), Eviction::Lfu, clock, departed))));
}

#[test]
fn what_is_installed_stays_and_is_one() {
    explore(|| run_installs(|clock, departed| UnlimitedShelf::new("player", options(None, None, Eviction::Lru, clock, departed))));
    explore(|| run_installs(|clock, departed| LimitedShelf::new("player", options(Some(LIMIT), None, Eviction::Fifo, clock, departed))));
}
