//! Many tasks at once: a short form of what the prove command will run for hours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store_testkit::Operation;
use strata::{Collection, ErrorKind, Query, Role};

use store_tests::models::{City, city};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench};

on_stacks!(with_tables: [no_reader_sees_what_was_replaced_before_it_began]);

const KEYS: i64 = 3;
const WRITES: u64 = 120;
const READERS: u64 = 6;

/// How far the one writer of a key has come. Its states are numbered; every fifth is a deletion.
#[derive(Debug, Default)]
struct Progress {
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

/// The population in a state.
fn state(number: u64) -> Option<i64> {
    (!number.is_multiple_of(5)).then_some(number as i64)
}

impl Progress {
    async fn write(&self, cities: &Collection<City>, key: i64) {
        for number in 1..=WRITES {
            self.begun.store(number, Ordering::SeqCst);
            match state(number) {
                Some(population) if number % 2 == 0 => drop(cities.set_many([City { population, ..city(key) }]).await.unwrap()),
                Some(population) => drop(cities.set(City { population, ..city(key) }).await.unwrap()),
                None => drop(cities.delete(key).await.unwrap()),
            }
            self.acknowledged.store(number, Ordering::SeqCst);
            if number % 7 == 0 {
                cities.invalidate(key).await.unwrap_or_else(|error| assert_eq!(error.kind(), ErrorKind::L2Unavailable));
            }
        }
    }
}

/// Reads every key once, in a way of its own, as populations.
async fn read(cities: &Collection<City>, way: u64) -> Vec<Option<i64>> {
    let keys = 1..=KEYS;
    match way % 7 {
        0 | 1 => {
            let mut found = Vec::new();
            for key in keys {
                found.push(cities.get(key).await.unwrap().map(|city| city.population));
            }
            found
        }
        2 => cities.get_many(keys).await.unwrap().into_iter().map(|city| city.map(|city| city.population)).collect(),
        3 => cities.from(Role::Shared).get_many(keys).await.unwrap().into_iter().map(|city| city.map(|city| city.population)).collect(),
        4 | 5 => {
            let query = Query::new();
            let found = if way % 7 == 4 { cities.search(query).await } else { cities.search_cached(&query).await }.unwrap();
            keys.map(|key| found.iter().find(|city| city.id == key).map(|city| city.population)).collect()
        }
        _ => {
            cities.warm(None).await.unwrap();
            let mut found = Vec::new();
            for key in keys {
                found.push(cities.from(Role::Shared).get(key).await.unwrap().map(|city| city.population));
            }
            found
        }
    }
}

async fn soak(cities: Collection<City>) {
    let progress: Arc<Vec<Progress>> = Arc::new((0..KEYS).map(|_| Progress::default()).collect());
    let writers: Vec<_> = (1..=KEYS)
        .map(|key| {
            let (cities, progress) = (cities.clone(), Arc::clone(&progress));
            tokio::spawn(async move { progress[key as usize - 1].write(&cities, key).await })
        })
        .collect();
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (cities, progress) = (cities.clone(), Arc::clone(&progress));
            tokio::spawn(async move {
                let mut rounds = 0_u64;
                while progress.iter().any(|progress| progress.acknowledged.load(Ordering::SeqCst) < WRITES) {
                    let before: Vec<u64> = progress.iter().map(|progress| progress.acknowledged.load(Ordering::SeqCst)).collect();
                    let found = read(&cities, reader + rounds / 3).await;
                    for ((key, before), found) in progress.iter().zip(before).zip(found) {
                        let valid = before..=key.begun.load(Ordering::SeqCst);
                        assert!(valid.clone().any(|number| state(number) == found), "{found:?} was shown, between the states {valid:?}");
                    }
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0, "a reader did not come to read");
    }
    assert_eq!(read(&cities, 0).await, vec![state(WRITES); KEYS as usize]);
}

async fn no_reader_sees_what_was_replaced_before_it_began(bench: &Bench) {
    soak(bench.of()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_sees_what_was_replaced_while_the_shared_tier_fails() {
    let bench = FaultyBench::open().await;
    let operations = [Operation::Fetch, Operation::Fill, Operation::Replace, Operation::Remove];
    bench.shared_faults.random(3, 20, &operations, ErrorKind::L2Unavailable);
    soak(bench.of()).await;
    assert!(bench.store.stats().fills_refused > 0 && bench.store.stats().l2_hits > 0, "{:?}", bench.store.stats());
}
