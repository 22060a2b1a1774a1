//! Remembering that there is no record, no longer than that is so.

use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::mem::MemTier;
use strata::{Collection, ErrorKind, Freshness, Schema, Store};

use store_tests::models::player;
use store_tests::stacks::{FaultyBench, open_sqlite, sqlite};
use store_tests::waiting::until;

const TTL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(negative_ttl = "5s")]
struct Guest {
    #[schema(primary_key)]
    id: i64,
    name: String,
}

fn guest(id: i64) -> Guest {
    Guest { id, name: format!("guest {id}") }
}

async fn bench() -> FaultyBench {
    FaultyBench::open_with(|builder| builder.schema::<Guest>()).await
}

async fn another(bench: &FaultyBench) -> Store {
    let tier = open_sqlite(&bench.directory).await;
    let builder = Store::builder().near(MemTier::new()).tier(bench.shared.clone()).tier(tier).schema::<Guest>();
    builder.configure(|settings| settings.clock = std::sync::Arc::new(bench.clock.clone())).build().await.unwrap()
}

fn truth_reads(bench: &FaultyBench) -> u64 {
    bench.truth_faults.calls(Operation::GetMany)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_setting_every_read_asks_the_truth() {
    let bench = FaultyBench::open().await;
    let before = truth_reads(&bench);
    for _ in 0..3 {
        assert!(bench.players().get("a").await.unwrap().is_none());
    }
    assert_eq!(truth_reads(&bench), before + 3);
    bench.players().set(player("a", 1)).await.unwrap();
    assert!(bench.players().get("a").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_read_of_the_truth_serves_every_way_to_ask_until_its_end() {
    let bench = bench().await;
    let guests: Collection<Guest> = bench.of();
    let before = truth_reads(&bench);
    assert!(guests.get(1).await.unwrap().is_none());
    assert!(guests.get(1).await.unwrap().is_none());
    assert!(guests.read(1).await.unwrap().is_none());
    assert_eq!(guests.get_many([1, 1]).await.unwrap(), [None, None]);
    assert!(!guests.exists(1).await.unwrap());
    assert_eq!(truth_reads(&bench), before + 1);
    assert_eq!(bench.store.stats().negative_hits, 4);

    assert_eq!(guests.get_many([2, 3]).await.unwrap(), [None, None]);
    assert!(guests.get(2).await.unwrap().is_none());
    assert_eq!(truth_reads(&bench), before + 2);

    bench.clock.advance(TTL);
    assert!(guests.get(1).await.unwrap().is_none());
    assert_eq!(truth_reads(&bench), before + 3);
    assert!(guests.with_freshness(Freshness::Strong).get(1).await.unwrap().is_none());
    assert_eq!(truth_reads(&bench), before + 4, "who asks for the truth gets it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_instance_learns_of_an_absence_from_the_shared_tier() {
    let bench = bench().await;
    let other: Collection<Guest> = another(&bench).await.collection().unwrap();
    let guests: Collection<Guest> = bench.of();
    let before = truth_reads(&bench);
    assert_eq!(other.get_many([1, 2]).await.unwrap(), [None, None]);
    bench.clock.advance(TTL / 2);
    assert!(guests.get(1).await.unwrap().is_none());
    assert_eq!(guests.get_many([1, 2]).await.unwrap(), [None, None]);
    assert_eq!(truth_reads(&bench), before);

    bench.clock.advance(TTL / 2);
    let hits = bench.store.stats().negative_hits;
    assert_eq!((guests.get(1).await.unwrap(), guests.get_many([2]).await.unwrap()), (None, vec![None]));
    assert_eq!(bench.store.stats().negative_hits, hits, "a copy lives no longer than what it was made of");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_ends_an_absence_here_and_elsewhere() {
    let bench = bench().await;
    let other: Collection<Guest> = another(&bench).await.collection().unwrap();
    let guests: Collection<Guest> = bench.of();
    for round in 1..=5 {
        for reader in [&guests, &other] {
            until("the record is gone", async || reader.get(round).await.unwrap().is_none()).await;
        }
        guests.set(guest(round)).await.unwrap();
        assert_eq!(guests.get(round).await.unwrap().as_deref(), Some(&guest(round)));
        let token = bench.store.token().await.unwrap().unwrap();
        let session = other.with_freshness(Freshness::Session(token));
        assert!(session.get(round).await.unwrap().is_some());
        assert!(other.get(round).await.unwrap().is_some(), "nobody goes back behind what was told");
        assert!(guests.delete(round).await.unwrap());
        assert!(guests.get(round).await.unwrap().is_none());
        assert!(guests.get(round).await.unwrap().is_none());
        guests.set(guest(round)).await.unwrap();
        assert!(guests.get(round).await.unwrap().is_some());
        guests.delete(round).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidated_tag_ends_an_absence_for_those_who_give_it() {
    let bench = bench().await;
    let other: Collection<Guest> = another(&bench).await.collection().unwrap();
    let guests: Collection<Guest> = bench.of();
    let front = guests.with_tags(["front"]);
    // Whoever asked first: with the tag, without it, or on the other instance.
    for (id, first) in [(1, &front), (2, &guests), (3, &other)] {
        let asks = async |reader: &Collection<Guest>| {
            let before = truth_reads(&bench);
            assert!(reader.get(id).await.unwrap().is_none());
            truth_reads(&bench) - before
        };
        assert!(first.get(id).await.unwrap().is_none());
        asks(&front).await;
        guests.invalidate_tag("back").await.unwrap();
        asks(&front).await;
        assert_eq!(asks(&front).await, 0, "it is remembered");
        guests.invalidate_tag("front").await.unwrap();
        assert_eq!(asks(&front).await, 1, "the tag was invalidated since");
        assert_eq!((asks(&front).await, asks(&guests).await), (0, 0), "it is remembered anew");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_overtakes_the_load_leaves_no_absence() {
    let bench = bench().await;
    let other: Collection<Guest> = another(&bench).await.collection().unwrap();
    let guests: Collection<Guest> = bench.of();
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    let reader = tokio::spawn({
        let guests = guests.clone();
        async move { guests.get(1).await }
    });
    held.arrived().await;
    guests.set(guest(1)).await.unwrap();
    held.release();
    reader.await.unwrap().unwrap();
    assert!(guests.get(1).await.unwrap().is_some());
    guests.invalidate(1).await.unwrap();
    assert!(guests.get(1).await.unwrap().is_some(), "no absence was left behind the record");
    assert!(other.with_freshness(Freshness::Bounded(Duration::ZERO)).get(1).await.unwrap().is_some());
}

/// A record that a search brought into memory is not absent when memory has dropped it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_answered_is_not_absent_again() {
    let bench = bench().await;
    let guests: Collection<Guest> = bench.of();
    assert!(guests.get(1).await.unwrap().is_none());
    bench.truth_faults.always(Operation::LogRead, Fault::FailBefore(ErrorKind::L3Unavailable));
    let outside = Store::builder().tier(open_sqlite(&bench.directory).await).schema::<Guest>().build().await.unwrap();
    outside.collection::<Guest>().unwrap().set(guest(1)).await.unwrap();
    assert!(guests.get(1).await.unwrap().is_none(), "nothing told of it yet");
    assert_eq!(guests.search(strata::Query::new()).await.unwrap().len(), 1);
    assert!(guests.get(1).await.unwrap().is_some());
    guests.invalidate(1).await.unwrap();
    assert!(guests.get(1).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_shared_tier_costs_reads_and_no_answer() {
    let bench = bench().await;
    let guests: Collection<Guest> = bench.of();
    bench.shared_faults.next(Operation::Fill, Fault::FailBefore(ErrorKind::L2Unavailable));
    assert!(guests.get(1).await.unwrap().is_none());
    bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    let before = truth_reads(&bench);
    assert!(guests.get(1).await.unwrap().is_none());
    assert_eq!(truth_reads(&bench), before, "memory knows");
    assert!(guests.get(2).await.unwrap().is_none());
    guests.set(guest(2)).await.unwrap();
    assert!(guests.get(2).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_to_exist_is_absent_no_more() {
    let (directory, first) = sqlite().await;
    let open = async |tier| {
        let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<Guest>();
        let store = builder.configure(|settings| settings.freshness = Duration::from_secs(60)).build().await.unwrap();
        (store.collection::<Guest>().unwrap(), store)
    };
    let (guests, _store) = open(first).await;
    let (other, _other) = open(open_sqlite(&directory).await).await;
    // So often that the follower is too late at least once.
    for id in 1..=30 {
        assert!(guests.get(id).await.unwrap().is_none());
        other.set(guest(id)).await.unwrap();
        assert!(guests.with_freshness(Freshness::Strong).exists(id).await.unwrap());
        assert_eq!(guests.get(id).await.unwrap().as_deref(), Some(&guest(id)));
    }
}
