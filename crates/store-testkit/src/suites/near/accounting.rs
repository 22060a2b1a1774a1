//! What a shelf counts must still be right after many threads were at it with every call.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store_core::{Eviction, NearTier};

use super::threads::{Numbers, THREADS};
use super::workbench::{Bench, Workbench};

const KEYS: u64 = 96;
const CALLS: u64 = 15_000;
const MAX_ENTRIES: u64 = 40;
const MAX_WEIGHT: u64 = 100;

/// An unlimited shelf counts its entries, and notices each expired one once.
pub fn is_right_after_threads_without_limits<N: NearTier>(make: impl Fn() -> N) {
    is_right_after_threads(make, None);
}

/// A shelf under LRU keeps its limits, to the last entry and unit of weight, and notices each entry once.
pub fn is_right_after_threads_under_lru<N: NearTier>(make: impl Fn() -> N) {
    is_right_after_threads(make, Some(Eviction::Lru));
}

/// A shelf under LFU keeps its limits, to the last entry and unit of weight, and notices each entry once.
pub fn is_right_after_threads_under_lfu<N: NearTier>(make: impl Fn() -> N) {
    is_right_after_threads(make, Some(Eviction::Lfu));
}

/// A shelf under FIFO keeps its limits, to the last entry and unit of weight, and notices each entry once.
pub fn is_right_after_threads_under_fifo<N: NearTier>(make: impl Fn() -> N) {
    is_right_after_threads(make, Some(Eviction::Fifo));
}

/// The weight of what was installed with a version: 0 to 6.
fn weight(version: u64) -> u64 {
    version % 7
}

fn is_right_after_threads<N: NearTier>(make: impl Fn() -> N, eviction: Option<Eviction>) {
    let workbench = Workbench::new(make);
    let shelf = workbench.shelf(|options| {
        options.eviction = eviction.unwrap_or_default();
        options.max_entries = eviction.map(|_| MAX_ENTRIES);
        options.max_weight = eviction.map(|_| MAX_WEIGHT);
        options.weigher = Some(Arc::new(|_, player| weight(player.level.unsigned_abs())));
    });
    let versions = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (shelf, workbench, versions) = (&shelf, &workbench, &versions);
            scope.spawn(move || call_everything(workbench, shelf, versions, thread));
        }
    });
    workbench.near().sweep();

    let present: Vec<u64> = (0..KEYS).filter_map(|key| shelf.version(&key.to_string())).collect();
    assert_eq!(shelf.0.entries(), present.len() as u64);
    let mut noticed = HashSet::new();
    for (_, version, _) in workbench.notices.take() {
        assert!(noticed.insert(version), "version {version} was noticed twice");
    }
    assert!(!noticed.is_empty(), "the run must make entries leave");
    assert!(!present.iter().any(|version| noticed.contains(version)), "a present entry was noticed");
    if eviction.is_some() {
        assert!(present.len() as u64 <= MAX_ENTRIES);
        assert!(present.iter().copied().map(weight).sum::<u64>() <= MAX_WEIGHT);
        limits_are_met_exactly(&workbench, &shelf);
    }
}

fn call_everything<N: NearTier>(workbench: &Workbench<N>, shelf: &Bench, versions: &AtomicU64, thread: u64) {
    let mut numbers = Numbers::new(thread);
    for call in 0..CALLS {
        let key = numbers.below(KEYS).to_string();
        match numbers.below(16) {
            0..7 => {
                let deadline = workbench.after(numbers.below(20)).filter(|_| call % 2 == 0);
                shelf.install_until(&key, versions.fetch_add(1, Ordering::Relaxed), deadline);
            }
            7..10 => drop(shelf.get(&key)),
            10 => drop(shelf.peek(&key)),
            11 => drop(shelf.version(&key)),
            12 => drop(shelf.0.remove(&key)),
            13 if call % 16 == 0 => workbench.advance(1),
            14 if call % 64 == 0 => drop(workbench.near().sweep()),
            15 if call % 512 == 0 => shelf.0.clear(),
            _ => drop(shelf.get(&key)),
        }
    }
}

/// Once emptied key by key, a shelf that lost count takes too much or too little.
fn limits_are_met_exactly<N: NearTier>(workbench: &Workbench<N>, shelf: &Bench) {
    for key in 0..KEYS {
        shelf.0.remove(&key.to_string());
    }
    assert_eq!(shelf.0.entries(), 0);
    // 40 entries of weight 0 fill it by number, 25 of weight 4 by weight.
    for (version, count) in [(7, MAX_ENTRIES), (4, MAX_WEIGHT / 4)] {
        for number in 0..count {
            shelf.install(&format!("full {number}"), version);
        }
        assert_eq!(workbench.notices.take(), []);
        shelf.install("one too many", version);
        assert_eq!(workbench.notices.take().len(), 1);
        assert_eq!(shelf.0.entries(), count);
        for number in 0..count {
            shelf.0.remove(&format!("full {number}"));
        }
        shelf.0.remove("one too many");
    }
}
