use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::thread;

use super::*;
use crate::sync::explore;

const KEYS: usize = 2;

/// Fences, the truth, and what memory holds of it.
#[derive(Debug)]
struct World {
    fences: Fences,
    stored: [Mutex<u64>; KEYS],
    memory: [Mutex<Option<u64>>; KEYS],
    /// Nothing older may be in memory from here on.
    told: [AtomicU64; KEYS],
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World { fences: Fences::new(), stored: Default::default(), memory: Default::default(), told: Default::default() })
    }

    fn stored(&self, key: usize) -> u64 {
        *self.stored[key].lock().expect("no test panics under it")
    }

    fn store(&self, key: usize) -> u64 {
        let mut stored = self.stored[key].lock().expect("no test panics under it");
        *stored += 1;
        *stored
    }

    fn kept(&self, key: usize) -> Option<u64> {
        *self.memory[key].lock().expect("no test panics under it")
    }

    fn keep(&self, key: usize, value: Option<u64>) {
        *self.memory[key].lock().expect("no test panics under it") = value;
    }

    /// Another load may have brought something newer.
    fn keep_newer(&self, key: usize, value: u64) {
        if self.kept(key).is_none_or(|kept| kept <= value) {
            self.keep(key, Some(value));
        }
    }

    fn load(&self, key: usize) {
        let token = self.fences.begin(&key);
        let value = self.stored(key);
        self.fences.install_loaded(token, Version::new(value), || self.keep_newer(key, value));
    }

    fn load_all(&self) {
        let mut snapshot = self.fences.begin_many();
        let values = [0, 1].map(|key| self.stored(key));
        for (key, value) in values.into_iter().enumerate() {
            self.fences.install_one(&mut snapshot, &key, Version::new(value), || self.keep_newer(key, value));
        }
    }

    /// A write of somebody else is heard of.
    fn hear(&self, key: usize) {
        let value = self.store(key);
        self.fences.hear(&key, LogKind::Put, Some(Version::new(value)), || {
            if self.kept(key).is_some_and(|kept| kept < value) {
                self.keep(key, None);
            }
        });
        self.told[key].fetch_max(value, Ordering::SeqCst);
    }

    fn hear_of_all(&self) {
        let values = [0, 1].map(|key| self.store(key));
        self.fences.touch_all();
        for (key, value) in values.into_iter().enumerate() {
            self.keep(key, None);
            self.told[key].fetch_max(value, Ordering::SeqCst);
        }
    }

    /// A write of this instance's own, of both keys.
    fn write(&self) {
        let keys = [0, 1];
        let mut snapshot = self.fences.begin_keys(keys.iter());
        for key in keys {
            let value = self.store(key);
            self.fences.publish(&mut snapshot, &key, false, |undisturbed| {
                let is_newest = self.kept(key).is_none_or(|kept| kept <= value);
                self.keep(key, (undisturbed && is_newest).then_some(value));
            });
            self.told[key].fetch_max(value, Ordering::SeqCst);
        }
    }

    fn check(&self) {
        for key in 0..KEYS {
            let told = self.told[key].load(Ordering::SeqCst);
            let kept = self.kept(key);
            assert!(kept.is_none_or(|kept| kept >= told), "key {key} was told to be at {told}, and memory keeps {kept:?}");
        }
    }
}

fn run(steps: &'static [fn(&World)]) {
    let world = World::new();
    let threads: Vec<_> = steps
        .iter()
        .map(|step| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                step(&world);
                world.check();
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    world.check();
    // What is at rest is what is stored, or nothing.
    for key in 0..KEYS {
        assert!(world.kept(key).is_none_or(|kept| kept == world.stored(key)), "memory keeps what was replaced");
    }
}

#[test]
fn nothing_is_installed_after_a_touch_that_the_load_did_not_know_of() {
    explore(|| run(&[|world| world.load(0), World::load_all, |world| world.load(1), |world| world.hear(0), World::hear_of_all]));
}

#[test]
fn of_writes_loads_and_what_is_heard_the_newest_stays() {
    explore(|| run(&[World::write, World::write, |world| world.load(0), World::load_all, |world| world.hear(1)]));
}
