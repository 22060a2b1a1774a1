//! One load for all readers of a key.

use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::facet::Slot;
use strata::{ErrorKind, Freshness};

use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;
use store_tests::waiting::{slot, until};

const READERS: usize = 1_000;

/// Starts readers of the record `a` in tasks of their own, and waits until all of them are on the flight.
async fn crowd(bench: &FaultyBench) -> Vec<tokio::task::JoinHandle<strata::Result<Option<std::sync::Arc<Player>>>>> {
    let misses = bench.store.stats().l1_misses;
    let readers = (0..READERS).map(|_| {
        let players = bench.players();
        tokio::spawn(async move { players.get("a").await })
    });
    let readers = readers.collect();
    until("every reader looked into memory", async || bench.store.stats().l1_misses == misses + READERS as u64).await;
    readers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_a_cold_key_cost_one_read_of_each_tier() {
    let bench = FaultyBench::open().await;
    bench.another().await.collection::<Player>().unwrap().set(player("a", 1)).await.unwrap();
    // What is heard of a key ends its flight for later readers.
    let fresh = bench.players().with_freshness(Freshness::Bounded(Duration::ZERO));
    assert!(fresh.get("nobody").await.unwrap().is_none());
    let calls = || {
        let shared = &bench.shared_faults;
        [bench.truth_faults.calls(Operation::GetMany), shared.calls(Operation::Fetch), shared.calls(Operation::Fill)]
    };
    let before = calls();
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    let readers = crowd(&bench).await;
    held.arrived().await;
    held.release();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().unwrap().level, 1);
    }
    assert_eq!(calls(), before.map(|calls| calls + 1));
}

// On one thread, so that nobody looks into memory before the flight fails and asks for one after it.
#[tokio::test]
async fn a_flight_that_fails_fails_its_readers_and_nobody_later() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    players.invalidate("a").await.unwrap();
    let held = bench.shared_faults.hold_after(Operation::Fetch);
    bench.truth_faults.next(Operation::GetMany, Fault::FailBefore(ErrorKind::L3Unavailable));
    let readers = crowd(&bench).await;
    held.arrived().await;
    held.release();
    for reader in readers {
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::L3Unavailable);
        assert_eq!((error.schema(), error.key(), error.operation()), (Some("player"), Some("a"), Some("get")));
        assert!(error.is_retryable());
    }
    assert_eq!(slot(&bench.shared, "a").await, Slot::Empty, "the lease was given back");
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_gives_up_stops_nobody() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    players.invalidate("a").await.unwrap();
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    assert!(tokio::time::timeout(Duration::from_millis(20), players.get("a")).await.is_err());
    held.arrived().await;
    let second = tokio::spawn({
        let players = players.clone();
        async move { players.get("a").await }
    });
    held.release();
    assert_eq!(second.await.unwrap().unwrap().unwrap().level, 1);
    assert_eq!(bench.truth_faults.calls(Operation::GetMany), 1);
    assert!(players.peek("a").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_record_leaves_no_lease_behind() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    assert_eq!(players.get("a").await.unwrap(), None);
    assert_eq!(slot(&bench.shared, "a").await, Slot::Empty);
    assert_eq!(players.get_many(["a", "b"]).await.unwrap(), [None, None]);
    assert_eq!(slot(&bench.shared, "b").await, Slot::Empty);
    bench.truth_faults.next(Operation::GetMany, Fault::FailBefore(ErrorKind::L3Unavailable));
    players.get_many(["a", "b"]).await.unwrap_err();
    assert_eq!(slot(&bench.shared, "a").await, Slot::Empty);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_takes_too_long_is_a_timeout_and_its_write_goes_on() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema::<Player>().configure(|settings| settings.operation_timeout = Duration::from_millis(500))
    })
    .await;
    let players = bench.players();
    let held = bench.truth_faults.hold_after(Operation::PutMany);
    let error = players.set(player("a", 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Timeout, Some("set")));
    assert!(error.to_string().contains("500ms") && error.to_string().contains("may have taken effect"), "{error}");
    held.arrived().await;
    held.release();
    until("the write is done", async || players.get("a").await.is_ok_and(|found| found.is_some())).await;
    until("an invalidation is quick enough", async || players.invalidate("a").await.is_ok()).await;
    let held = bench.truth_faults.hold_before(Operation::GetMany);
    let error = players.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.to_string().contains("taken effect"), "a read changes nothing: {error}");
    held.release();
    until("the load is done", async || players.peek("a").is_some()).await;
}
