//! Writes whose callers gave up at random moments, and what memory shows meanwhile and when they have ended.

use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use strata::mem::MemTier;
use strata::{Collection, Freshness, Role, Store, Version};
use tokio::runtime::Handle;

use store_tests::models::{City, city};
use store_tests::stacks::sqlite;
use store_tests::waiting::until;

const KEYS: i64 = 4;
const ROUNDS: u64 = 40;
const WRITERS: u64 = 8;
const WRITES: u64 = 12;

/// Numbers that follow from a seed, so that a failure names the rounds that led to it.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

async fn truth(cities: &Collection<City>, key: i64) -> Option<Version> {
    cities.from(Role::Truth).get(key).await.unwrap().map(|city| city.version())
}

async fn shown(cities: &Collection<City>, key: i64) -> Option<Version> {
    cities.read(key).await.unwrap().map(|answer| answer.version())
}

/// Writes that are each given up after a random time, most of them under way.
async fn give_up_writes(cities: Collection<City>, mut chance: Chance) {
    for _ in 0..WRITES {
        let (key, way) = (1 + chance.below(KEYS as u64) as i64, chance.below(8));
        let change = async {
            match way {
                0 => drop(cities.delete(key).await.unwrap()),
                1 => drop(cities.set_many((1..=KEYS).map(new_city)).await.unwrap()),
                _ => drop(cities.set(new_city(key)).await.unwrap()),
            }
        };
        // A timer would be too coarse: most writes would end first, or not begin.
        let (mut change, patience, begun) = (pin!(change), Duration::from_micros(chance.below(600)), Instant::now());
        while change.as_mut().now_or_never().is_none() && begun.elapsed() < patience {
            tokio::task::yield_now().await;
        }
    }
}

/// A record that no other write stores.
fn new_city(key: i64) -> City {
    static LAST: AtomicI64 = AtomicI64::new(0);
    City { population: LAST.fetch_add(1, Ordering::Relaxed), ..city(key) }
}

/// Reads the truth and then memory: what was told is never taken back.
async fn watch(cities: Collection<City>, mut chance: Chance) {
    loop {
        let key = 1 + chance.below(KEYS as u64) as i64;
        let known = truth(&cities, key).await;
        let fresher = cities.with_freshness(Freshness::Bounded(Duration::ZERO));
        let now = if chance.below(2) == 0 { shown(&cities, key).await } else { shown(&fresher, key).await };
        assert!(now.is_none() || now >= known, "key {key} was told to be at {known:?}, and showed {now:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn memory_shows_the_truth_once_writes_that_were_given_up_have_ended() {
    let (_directory, tier) = sqlite().await;
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<City>();
    // Polls of the log meet as many writes as they can.
    let store = builder.configure(|settings| settings.freshness = Duration::from_millis(40)).build().await.unwrap();
    let cities = store.collection::<City>().unwrap();
    cities.set_many((1..=KEYS).map(city)).await.unwrap();
    let alive = || Handle::current().metrics().num_alive_tasks();
    let mut at_rest = alive();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        at_rest = at_rest.min(alive());
    }
    let mut held = 0;
    for round in 1..=ROUNDS {
        let watching: Vec<_> = (0..2).map(|number| tokio::spawn(watch(cities.clone(), Chance(round * 31 + number)))).collect();
        let writing: Vec<_> =
            (0..WRITERS).map(|number| tokio::spawn(give_up_writes(cities.clone(), Chance(round * 1_000 + number + 1)))).collect();
        for writer in writing {
            writer.await.unwrap();
        }
        for watcher in watching {
            watcher.abort();
            assert!(watcher.await.unwrap_err().is_cancelled(), "round {round}");
        }
        // Each write is a task, and so is each load.
        until("the writes have ended", async || alive() <= at_rest).await;
        for key in 1..=KEYS {
            // Memory first: a read of the truth would mend it.
            let kept = cities.with_freshness(Freshness::Any).peek(key);
            let now = cities.from(Role::Truth).get(key).await.unwrap();
            held += u64::from(kept.is_some());
            if let Some(kept) = kept {
                assert_eq!(Some(&kept), now.as_ref().map(|city| city.model()), "round {round}, key {key}");
            }
        }
    }
    assert!(held > 0, "memory held nothing to check");
}
