//! Several threads on one shelf.

use std::sync::atomic::{AtomicBool, Ordering};

use store_core::{Eviction, NearTier};

use super::workbench::{Bench, Workbench, on_every_shelf};

pub(super) const THREADS: u64 = 4;
const KEYS: u64 = 24;
const CALLS: u64 = 10_000;

/// A small generator of well-spread numbers, the same in each run.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Each thread has keys of its own on a shelf that is too small for all: of such a key it finds its last install or, evicted, nothing;
/// after a removal it finds nothing.
pub fn every_thread_finds_what_it_left_or_nothing<N: NearTier>(make: impl Fn() -> N) {
    for eviction in [None, Some(Eviction::Lru), Some(Eviction::Lfu), Some(Eviction::Fifo)] {
        let workbench = Workbench::new(&make);
        let shelf = workbench.shelf(|options| {
            options.eviction = eviction.unwrap_or_default();
            options.max_entries = eviction.map(|_| THREADS * KEYS / 2);
        });
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (shelf, near) = (shelf.clone(), workbench.near());
                scope.spawn(move || keep_own_keys(&shelf, thread, eviction.is_none(), &|| near.sweep()));
            }
        });
    }
}

fn keep_own_keys(shelf: &Bench, thread: u64, keeps_all: bool, sweep: &dyn Fn() -> u64) {
    let keys: Vec<_> = (0..KEYS).map(|number| format!("{thread}/{number}")).collect();
    let mut left = vec![None; keys.len()];
    let mut numbers = Numbers::new(thread);
    for version in 1..=CALLS {
        let chosen = numbers.below(KEYS) as usize;
        let key = &keys[chosen];
        let found = match numbers.below(10) {
            0..5 => {
                shelf.install(key, version);
                left[chosen] = Some(version);
                shelf.version(key)
            }
            5 => {
                shelf.0.remove(key);
                left[chosen] = None;
                shelf.get(key)
            }
            6 => shelf.peek(key),
            7 if version % 100 == 0 => {
                assert_eq!(sweep(), 0, "nothing has a deadline");
                shelf.get(key)
            }
            _ => shelf.get(key),
        };
        assert!(found == left[chosen] || (found.is_none() && !keeps_all), "{key}: found {found:?}, left {:?}", left[chosen]);
    }
}

/// While one thread installs newer and newer versions, readers see each with its own model, and never an older one after a newer one.
pub fn a_reader_never_sees_a_version_with_another_model_or_goes_back<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |_, shelf| {
        shelf.install("a", 1);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(|| {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut check = |level: i64, version: u64| {
                            assert_eq!(level.unsigned_abs(), version);
                            assert!(version >= last, "{version} after {last}");
                            last = version;
                        };
                        assert!(shelf.0.peek_with("a", &mut |record| check(record.level, record.version().get())));
                        let record = shelf.0.get("a").expect("it is replaced, never removed");
                        check(record.level, record.version().get());
                    }
                });
            }
            for version in 2..CALLS {
                shelf.install("a", version);
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// A reader that meets an expired entry takes no other with it that was installed in the meantime.
pub fn an_expired_entry_takes_no_successor_with_it<N: NearTier>(make: impl Fn() -> N) {
    on_every_shelf(make, |workbench, shelf| {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        shelf.get("a");
                    }
                });
            }
            let lost = (1..CALLS).find(|&version| {
                shelf.install_until("a", version, workbench.after(1));
                workbench.advance(1);
                shelf.install("a", version);
                std::hint::spin_loop();
                shelf.get("a") != Some(version)
            });
            done.store(true, Ordering::Relaxed);
            assert_eq!(lost, None);
        });
    });
}
