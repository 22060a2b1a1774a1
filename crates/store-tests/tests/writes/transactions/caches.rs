//! What the caches show before a commit, after it, and where there is none.

use std::sync::Arc;
use std::time::Duration;

use store_testkit::{Fault, Hold, Operation};
use strata::facet::Slot;
use strata::{Collection, ErrorKind, Role, Schema};

use super::{level, raise, truth};
use store_tests::models::{City, Player, city, player};
use store_tests::stacks::FaultyBench;
use store_tests::waiting::until;

fn in_memory(players: &Collection<Player>, id: &str) -> Option<i64> {
    players.peek(id).map(|player| player.level)
}

async fn slot(bench: &FaultyBench, id: &str) -> Slot {
    store_tests::waiting::slot(&bench.shared, id).await
}

/// Two players that memory and slots hold, and that the log tells nothing more of.
async fn everywhere() -> (FaultyBench, Collection<Player>) {
    let bench = FaultyBench::open_after([player("a", 1), player("b", 1)]).await;
    let players = bench.players();
    for id in ["a", "b"] {
        players.get(id).await.unwrap();
        assert!(players.peek(id).is_some() && matches!(slot(&bench, id).await, Slot::Record(_)));
    }
    (bench, players)
}

/// Holds those who read the log, the follower and the relayer. What they are told before the writer has told the caches itself may cost an entry or a slot.
async fn hold_the_log(bench: &FaultyBench) -> [Hold; 2] {
    let reads = [bench.truth_faults.hold_before(Operation::LogRead), bench.truth_faults.hold_before(Operation::LogRead)];
    for read in &reads {
        read.arrived().await;
    }
    reads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_change_with_the_commit_and_not_before() {
    let (bench, players) = everywhere().await;
    let before = slot(&bench, "a").await;
    let log = hold_the_log(&bench).await;
    bench
        .store
        .transaction(async |tx| {
            raise(tx, "a").await?;
            tx.delete::<Player>("b").await?;
            tx.set(player("c", 1)).await?;
            assert_eq!((in_memory(&players, "a"), in_memory(&players, "b"), in_memory(&players, "c")), (Some(1), Some(1), None));
            assert_eq!(slot(&bench, "a").await, before);
            assert_eq!(level(&players, "a").await, Some(1), "others read what was committed");
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((in_memory(&players, "a"), in_memory(&players, "b"), in_memory(&players, "c")), (Some(2), None, Some(1)));
    assert!(matches!(slot(&bench, "a").await, Slot::Record(_)));
    assert_ne!(slot(&bench, "a").await, before);
    assert!(!matches!(slot(&bench, "b").await, Slot::Record(_)));
    assert_eq!(players.from(Role::Shared).get("a").await.unwrap().unwrap().level, 2);
    drop(log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_stay_as_they_are_without_a_commit() {
    let (bench, players) = everywhere().await;
    let before = (slot(&bench, "a").await, slot(&bench, "b").await);
    let reads = bench.truth_faults.calls(Operation::GetMany);
    let error = bench.store.transaction(async |tx| {
        raise(tx, "a").await?;
        tx.delete::<Player>("b").await?;
        Err::<(), _>(strata::Error::new(ErrorKind::NotFound, "changed its mind"))
    });
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!((in_memory(&players, "a"), in_memory(&players, "b")), (Some(1), Some(1)));
    assert_eq!((slot(&bench, "a").await, slot(&bench, "b").await), before);
    assert_eq!(bench.truth_faults.calls(Operation::GetMany), reads + 1, "the transaction's own");
    assert_eq!((truth(&players, "a").await, truth(&players, "b").await), (Some(1), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_within_fill_no_cache_and_use_none() {
    let (bench, players) = everywhere().await;
    players.invalidate("a").await.unwrap();
    let (fetches, fills) = (bench.shared_faults.calls(Operation::Fetch), bench.shared_faults.calls(Operation::Fill));
    bench
        .store
        .transaction(async |tx| {
            assert_eq!(tx.get::<Player>("a").await?.unwrap().level, 1);
            assert_eq!(tx.search(strata::Query::<Player>::new()).await?.len(), 2);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(in_memory(&players, "a"), None);
    assert_eq!((bench.shared_faults.calls(Operation::Fetch), bench.shared_faults.calls(Operation::Fill)), (fetches, fills));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_a_transaction_overtakes_installs_nothing() {
    let (bench, players) = everywhere().await;
    players.invalidate("a").await.unwrap();
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    let load = tokio::spawn({
        let players = players.clone();
        async move { level(&players, "a").await }
    });
    held.arrived().await;
    bench.store.tx().set(player("a", 2)).commit().await.unwrap();
    held.release();
    load.await.unwrap();
    assert_eq!((in_memory(&players, "a"), level(&players, "a").await), (Some(2), Some(2)));
    assert_eq!(bench.another().await.collection::<Player>().unwrap().get("a").await.unwrap().unwrap().level, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_beside_an_open_transaction_is_not_lost_from_memory_for_an_older_one() {
    // On PostgreSQL the two meet; here the write waits, and is the newer one.
    let (bench, players) = everywhere().await;
    let store = bench.store.clone();
    let commits = bench.truth_faults.hold_after(Operation::Commit);
    let committing = tokio::spawn(async move { store.transaction(async |tx| raise(tx, "a").await).await });
    commits.arrived().await;
    players.set(player("a", 7)).await.unwrap();
    assert_eq!(level(&players, "a").await, Some(7));
    commits.release();
    assert_eq!(committing.await.unwrap().unwrap(), 2);
    assert_eq!((level(&players, "a").await, truth(&players, "a").await), (Some(7), Some(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_is_away_is_told_later() {
    let (bench, players) = everywhere().await;
    bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    bench.store.tx().set(player("a", 2)).delete::<Player>("b").commit().await.unwrap();
    assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(2), None));
    players.invalidate("a").await.unwrap();
    assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(2), None));
    bench.shared_faults.heal();
    let other = bench.another().await.collection::<Player>().unwrap();
    until("another instance sees it", async || (level(&other, "a").await, level(&other, "b").await) == (Some(2), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_commits_cost_memory_nothing_when_the_log_tells_of_them() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
    let log = hold_the_log(&bench).await;
    bench
        .store
        .transaction(async |tx| {
            tx.delete::<Player>("a").await?;
            tx.set(player("a", 5)).await?;
            tx.set_many((1..=1_500).map(city)).await?;
            raise(tx, "a").await
        })
        .await
        .unwrap();
    drop(log);
    let cities = bench.of::<City>();
    for _ in 0..3 {
        // Reads the log.
        bench.clock.advance(Duration::from_secs(2));
        assert_eq!(level(&players, "b").await, Some(1));
        assert_eq!((in_memory(&players, "a"), cities.peek(1_500).is_some()), (Some(6), true));
    }
}

/// A record with a tag.
#[derive(Debug, Clone, PartialEq, Schema)]
struct Note {
    #[schema(primary_key)]
    id: i64,
    #[schema(tag)]
    topic: String,
    text: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_transaction_leaves_in_the_caches_has_its_tags() {
    let bench = FaultyBench::open_with(|builder| builder.schema::<Note>()).await;
    let notes = bench.of::<Note>();
    let note = |id, topic: &str, text: &str| Note { id, topic: topic.into(), text: text.into() };
    bench.store.tx().set(note(1, "red", "one")).set(note(2, "blue", "two")).commit().await.unwrap();
    assert!(notes.peek(1).is_some() && notes.peek(2).is_some());
    notes.invalidate_tag("topic=red").await.unwrap();
    assert!(notes.peek(1).is_none() && notes.peek(2).is_some());
    // A tag that is invalidated while the transaction is open voids what it leaves.
    let held = bench.truth_faults.hold_after(Operation::Commit);
    let store = bench.store.clone();
    let writing = tokio::spawn(store.tx().set(note(3, "red", "three")).commit());
    held.arrived().await;
    notes.invalidate_tag("topic=red").await.unwrap();
    held.release();
    writing.await.unwrap().unwrap();
    assert!(notes.peek(3).is_none());
    let read: Option<Arc<Note>> = notes.get(3).await.unwrap();
    assert_eq!(read.unwrap().text, "three");
}
