//! Callers that meet each other.

use std::sync::Arc;

use store_core::facet::{Fill, Records, Slot};
use store_core::{BoundSchema, EncodedRecord};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::RecordsServer;
use super::bench::{Bench, LONG, only, record};

const ROUNDS: u64 = 60;

/// Runs one call on each of several tiers at the same moment, and returns the answers in the order of the calls.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tiers: &[Arc<dyn Records>],
    call: impl Fn(usize, Arc<dyn Records>) -> F,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(tiers.len()));
    let mut tasks = JoinSet::new();
    for (number, tier) in tiers.iter().enumerate() {
        let (barrier, call) = (Arc::clone(&barrier), call(number, Arc::clone(tier)));
        tasks.spawn(async move {
            barrier.wait().await;
            (number, call.await)
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn tiers<S: RecordsServer>(bench: &Bench<S>, count: usize) -> (Vec<Arc<dyn Records>>, Arc<BoundSchema>) {
    let mut tiers = vec![Arc::clone(&bench.records)];
    while tiers.len() < count {
        tiers.push(bench.other_tier().await);
    }
    (tiers, Arc::new(bench.schema_with_suffix("")))
}

fn key(round: u64) -> String {
    format!("round {round}")
}

/// "In the same atomic step as the read": of all who miss at once, one gets the lease.
pub async fn one_of_many_readers_gets_the_lease<S: RecordsServer>(bench: &Bench<S>) {
    let (tiers, schema) = tiers(bench, 4).await;
    for round in 0..ROUNDS {
        let slots = at_once(&tiers, |_, tier| {
            let schema = Arc::clone(&schema);
            async move { only(tier.fetch(&schema, &[key(round)], Some(LONG)).await.expect("a fetch succeeds")) }
        })
        .await;
        let leased = slots.iter().filter(|slot| matches!(slot, Slot::Leased(_))).count();
        let busy = slots.iter().filter(|slot| matches!(slot, Slot::Busy)).count();
        assert_eq!((leased, busy), (1, 3), "{slots:?}");
    }
}

/// A lease that two callers come to hold fills the slot once.
pub async fn one_of_two_fills_with_the_same_lease_counts<S: RecordsServer>(bench: &Bench<S>) {
    let (tiers, schema) = tiers(bench, 2).await;
    for round in 0..ROUNDS {
        let lease = bench.lease(&key(round)).await;
        let filled = at_once(&tiers, |number, tier| {
            let schema = Arc::clone(&schema);
            let fill = Fill { key: key(round), lease, record: record(number as u64) };
            async move { only(tier.fill(&schema, &[fill]).await.expect("a fill succeeds")) }
        })
        .await;
        let winner = u64::from(filled[1]);
        assert_eq!(filled.iter().filter(|filled| **filled).count(), 1);
        bench.assert_holds(&key(round), &record(winner)).await;
    }
}

/// A reader that loaded the old value and a writer of the new one: whoever comes first, the old value is not what stays.
pub async fn a_late_fill_never_hides_a_newer_record<S: RecordsServer>(bench: &Bench<S>) {
    let (tiers, schema) = tiers(bench, 2).await;
    for round in 0..ROUNDS {
        let lease = bench.lease(&key(round)).await;
        let done = at_once(&tiers, |number, tier| {
            let schema = Arc::clone(&schema);
            async move {
                only(match number {
                    0 => tier.fill(&schema, &[Fill { key: key(round), lease, record: record(1) }]).await.expect("a fill succeeds"),
                    _ => tier.replace(&schema, &[(key(round), record(2))]).await.expect("a replacement succeeds"),
                })
            }
        })
        .await;
        let slot = bench.fetch(&key(round), None).await;
        match done[..] {
            [true, true] => assert_eq!(slot, Slot::Record(record(2))),
            [false, false] => assert_eq!(slot, Slot::Empty),
            _ => panic!("the fill said {}, the replacement {}: {slot:?}", done[0], done[1]),
        }
    }
}

/// Replacements may arrive in any order.
pub async fn the_newest_of_concurrent_replacements_stays<S: RecordsServer>(bench: &Bench<S>) {
    let (tiers, schema) = tiers(bench, 4).await;
    for round in 0..ROUNDS {
        bench.install(&key(round), &record(1)).await;
        let held = at_once(&tiers, |number, tier| {
            let schema = Arc::clone(&schema);
            let newer = record(2 + (number as u64 + round) % 4);
            async move { (newer.version, only(tier.replace(&schema, &[(key(round), newer)]).await.expect("a replacement succeeds"))) }
        })
        .await;
        assert!(held.iter().any(|(version, held)| version.get() == 5 && *held), "{held:?}");
        bench.assert_holds(&key(round), &record(5)).await;
    }
}

/// Every write gets a version of its own, and the greatest is what stays.
pub async fn the_newest_of_concurrent_puts_stays<S: RecordsServer>(bench: &Bench<S>) {
    let (tiers, schema) = tiers(bench, 4).await;
    for round in 0..ROUNDS {
        let versions = at_once(&tiers, |number, tier| {
            let schema = Arc::clone(&schema);
            async move { only(tier.put(&schema, &[(key(round), record(number as u64))]).await.expect("a put succeeds")) }
        })
        .await;
        let (winner, newest) = versions.iter().enumerate().max_by_key(|(_, version)| **version).expect("four versions");
        assert!(versions.iter().enumerate().all(|(number, version)| number == winner || version < newest), "{versions:?}");
        bench.assert_holds(&key(round), &EncodedRecord { version: *newest, ..record(winner as u64) }).await;
    }
}

/// The record is there afterwards exactly if it is newer than the deletion.
pub async fn a_deletion_and_a_put_end_as_their_versions_say<S: RecordsServer>(bench: &Bench<S>) {
    let (tiers, schema) = tiers(bench, 2).await;
    for round in 0..ROUNDS {
        bench.put(&key(round), &record(0)).await;
        let versions = at_once(&tiers, |number, tier| {
            let schema = Arc::clone(&schema);
            async move {
                match number {
                    0 => only(tier.delete(&schema, &[key(round)]).await.expect("a deletion succeeds")),
                    _ => Some(only(tier.put(&schema, &[(key(round), record(7))]).await.expect("a put succeeds"))),
                }
            }
        })
        .await;
        let [Some(deleted), Some(version)] = versions[..] else { panic!("there was a record: {versions:?}") };
        let expected = if version > deleted { Slot::Record(EncodedRecord { version, ..record(7) }) } else { Slot::Empty };
        assert_eq!(bench.fetch(&key(round), None).await, expected);
    }
}
