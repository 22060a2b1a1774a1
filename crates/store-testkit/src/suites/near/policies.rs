//! Who leaves first, by example and against the reference.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{Just, Strategy};
use proptest::test_runner::{Config, TestRunner};
use proptest::{collection, option, prop_oneof};
use store_core::{Clock, Eviction, EvictionCause, NearTier};

use super::limits::by_level;
use super::reference::{Reference, Rules};
use super::workbench::{Bench, Workbench};

fn of_three<N: NearTier>(workbench: &Workbench<N>, eviction: Eviction) -> Bench {
    workbench.shelf(|options| {
        options.eviction = eviction;
        options.max_entries = Some(3);
    })
}

/// LRU: `get`, `peek_with` and a replacement are uses.
pub fn lru_evicts_what_was_not_used_for_the_longest_time<N: NearTier>(make: impl Fn() -> N) {
    let shelf = of_three(&Workbench::new(make), Eviction::Lru);
    shelf.install_all("a b c");
    shelf.get("a");
    shelf.install("d", 1);
    assert_eq!(shelf.present("a b c d"), ["a", "c", "d"]);
    shelf.peek("c");
    shelf.install("e", 1);
    assert_eq!(shelf.present("a c d e"), ["c", "d", "e"]);
    shelf.install("d", 2);
    shelf.install_all("f g");
    assert_eq!(shelf.present("c d e f g"), ["d", "f", "g"]);
}

/// LFU: `get`, `peek_with` and a replacement are uses, and a replaced entry hands its uses on.
pub fn lfu_evicts_what_was_used_least_often<N: NearTier>(make: impl Fn() -> N) {
    let shelf = of_three(&Workbench::new(make), Eviction::Lfu);
    shelf.install_all("a b c");
    for _ in 0..2 {
        shelf.get("a");
        shelf.peek("b");
    }
    shelf.get("c");
    shelf.install("d", 1);
    assert_eq!(shelf.present("a b c d"), ["a", "b", "d"]);
    shelf.install("a", 2);
    shelf.install("e", 1);
    assert_eq!(shelf.present("a b d e"), ["a", "b", "e"]);
    for _ in 0..3 {
        shelf.get("e");
    }
    shelf.install("f", 1);
    assert_eq!(shelf.present("a b e f"), ["a", "e", "f"]);
}

/// LFU: among entries used equally often, the one not used for the longest time leaves.
pub fn lfu_breaks_ties_by_the_longest_time_without_use<N: NearTier>(make: impl Fn() -> N) {
    let shelf = of_three(&Workbench::new(make), Eviction::Lfu);
    shelf.install_all("a b c");
    for key in ["c", "a", "b"] {
        shelf.get(key);
    }
    shelf.install("d", 1);
    assert_eq!(shelf.present("a b c d"), ["a", "b", "d"]);
}

/// FIFO: reads change nothing; a replacement is an install.
pub fn fifo_evicts_what_was_installed_first<N: NearTier>(make: impl Fn() -> N) {
    let shelf = of_three(&Workbench::new(make), Eviction::Fifo);
    shelf.install_all("a b c");
    shelf.get("a");
    shelf.peek("a");
    shelf.install("d", 1);
    assert_eq!(shelf.present("a b c d"), ["b", "c", "d"]);
    shelf.install("b", 2);
    shelf.install("e", 1);
    assert_eq!(shelf.present("b c d e"), ["b", "d", "e"]);
}

/// `version` counts as no use, under any policy.
pub fn asking_for_the_version_is_no_use<N: NearTier>(make: impl Fn() -> N) {
    for eviction in [Eviction::Lru, Eviction::Lfu, Eviction::Fifo] {
        let shelf = of_three(&Workbench::new(&make), eviction);
        shelf.install_all("a b c");
        for _ in 0..3 {
            shelf.version("a");
        }
        shelf.install("d", 1);
        assert_eq!(shelf.present("a b c d"), ["b", "c", "d"], "{eviction:?}");
    }
}

/// Any sequence of calls under LRU, with any limits, does what the reference does.
pub fn lru_follows_the_reference<N: NearTier>(make: impl Fn() -> N) {
    follows_the_reference(make, Eviction::Lru);
}

/// Any sequence of calls under LFU, with any limits, does what the reference does.
pub fn lfu_follows_the_reference<N: NearTier>(make: impl Fn() -> N) {
    follows_the_reference(make, Eviction::Lfu);
}

/// Any sequence of calls under FIFO, with any limits, does what the reference does.
pub fn fifo_follows_the_reference<N: NearTier>(make: impl Fn() -> N) {
    follows_the_reference(make, Eviction::Fifo);
}

const KEYS: [&str; 9] = ["", "a", "b", "c", "d", "e", "f", "g", "h"];

#[derive(Debug, Clone)]
enum Call {
    Get(&'static str),
    Peek(&'static str),
    Version(&'static str),
    Install { key: &'static str, weight: u64, lifetime: Option<u64> },
    Remove(&'static str),
    Clear,
    Sweep,
    Advance(u64),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let key = || proptest::sample::select(&KEYS[..]);
    let install = (key(), 0_u64..7, option::of(0_u64..8));
    let call = prop_oneof![
        10 => install.prop_map(|(key, weight, lifetime)| Call::Install { key, weight, lifetime }),
        6 => key().prop_map(Call::Get),
        3 => key().prop_map(Call::Peek),
        1 => key().prop_map(Call::Version),
        2 => key().prop_map(Call::Remove),
        2 => (1_u64..4).prop_map(Call::Advance),
        1 => Just(Call::Sweep),
        1 => (0..4).prop_map(|die| if die == 0 { Call::Clear } else { Call::Sweep }),
    ];
    collection::vec(call, 0..120)
}

fn follows_the_reference<N: NearTier>(make: impl Fn() -> N, eviction: Eviction) {
    let limits = (option::of(0_u64..7), option::of(0_u64..16));
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(limits, calls()), |((max_entries, max_weight), calls)| {
        let mut comparison = Comparison::new(&make, Rules { eviction, max_entries, max_weight });
        for call in calls {
            comparison.make(&call);
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

struct Comparison<N> {
    workbench: Workbench<N>,
    shelf: Bench,
    reference: Reference,
    rules: Rules,
    version: u64,
}

impl<N: NearTier> Comparison<N> {
    fn new(make: impl Fn() -> N, rules: Rules) -> Self {
        let workbench = Workbench::new(make);
        let shelf = workbench.shelf(|options| {
            options.eviction = rules.eviction;
            options.max_entries = rules.max_entries;
            options.max_weight = rules.max_weight;
            // The weight is the last digit of the version, which is different for each install.
            options.weigher = Some(Arc::new(|key, player| by_level()(key, player) % 10));
        });
        Comparison { workbench, shelf, reference: Reference::new(rules), rules, version: 0 }
    }

    fn make(&mut self, call: &Call) {
        let now = self.workbench.clock.monotonic();
        let mut victims = Vec::new();
        match *call {
            Call::Get(key) => assert_eq!(self.shelf.get(key), self.reference.get(key, now)),
            Call::Peek(key) => assert_eq!(self.shelf.peek(key), self.reference.get(key, now)),
            Call::Version(key) => assert_eq!(self.shelf.version(key), self.reference.version(key, now)),
            Call::Install { key, weight, lifetime } => {
                self.version += 10;
                let version = self.version + weight;
                let deadline = lifetime.map(|seconds| now + Duration::from_secs(seconds));
                self.shelf.install_until(key, version, deadline);
                victims = self.reference.install(key, version, weight, deadline, now);
            }
            Call::Remove(key) => assert_eq!(self.shelf.0.remove(key), self.reference.remove(key, now)),
            Call::Clear => {
                self.shelf.0.clear();
                self.reference.clear();
            }
            Call::Sweep => {
                self.reference.begin(now);
                let before = self.shelf.0.entries();
                let dropped = self.workbench.near().sweep();
                assert_eq!(self.shelf.0.entries() + dropped, before);
            }
            Call::Advance(seconds) => self.workbench.advance(seconds),
        }
        self.check_notices(victims);
        match *call {
            Call::Install { key, .. } | Call::Remove(key) => self.reference.forget_expired(key),
            Call::Sweep => assert_eq!(self.reference.entries(), {
                let entries = self.shelf.0.entries();
                entries..=entries
            }),
            _ => {}
        }
        self.check_entries();
    }

    /// Victims must leave at once and in order; expired entries may leave with any call, once each.
    fn check_notices(&mut self, victims: Vec<(String, u64)>) {
        let mut evicted = Vec::new();
        for (key, version, cause) in self.workbench.notices.take() {
            match cause {
                EvictionCause::Expired => assert!(self.reference.note_expired(&key, version), "no notice was due of {key:?}, {version}"),
                _ => evicted.push((key, version)),
            }
        }
        assert_eq!(evicted, victims);
    }

    fn check_entries(&mut self) {
        let now = self.workbench.clock.monotonic();
        for key in KEYS {
            assert_eq!(self.shelf.version(key), self.reference.version(key, now), "of {key:?}");
        }
        let entries = self.shelf.0.entries();
        assert!(self.rules.max_entries.is_none_or(|limit| entries <= limit));
        self.check_notices(Vec::new());
        assert!(self.reference.entries().contains(&entries), "{entries} is not in {:?}", self.reference.entries());
    }
}
