//! Two instances that write one record.

use std::time::Duration;

use strata::{Acknowledge, Collection, Error, ErrorKind, Freshness, OnConflict, Store};

use store_testkit::Operation;

use super::{Bench, acknowledged_by, level, on_truths, players, truth};
use store_tests::models::{Player, player};

/// An instance that deals so with conflicts, and another; both have the record in memory.
async fn instances(bench: &Bench, on_conflict: OnConflict<Player>) -> (Store, Store) {
    let store = bench.try_open("a", |builder| builder.schema_with::<Player>(|options| _ = options.on_conflict(on_conflict)));
    let (store, other) = (store.await.0.unwrap(), bench.open_with("b", acknowledged_by(Acknowledge::Truth)).await.0);
    players(&other).set_many([player("a", 1), player("b", 1)]).await.unwrap();
    // News of the write may void a read that fills memory.
    while !["a", "b"].iter().all(|id| players(&store).peek(*id).is_some()) {
        assert_eq!((level(&players(&store), "a").await, level(&players(&store), "b").await), (Some(1), Some(1)));
    }
    (store, other)
}

async fn write(players: &Collection<Player>, level: i64) {
    players.set(player("a", level)).await.unwrap();
}

/// Waits until an instance that holds "b" has heard of all that was committed.
async fn hear(store: &Store) {
    let fresh = players(store).with_freshness(Freshness::Bounded(Duration::ZERO));
    assert!(fresh.get("b").await.unwrap().is_some());
}

async fn a_rejected_write_becomes_a_dead_letter(bench: &Bench) {
    let (store, other) = instances(bench, OnConflict::Reject).await;
    write(&players(&store), 2).await;
    players(&store).delete("b").await.unwrap();
    write(&players(&other), 10).await;
    players(&other).set(player("b", 10)).await.unwrap();
    write(&players(&store), 3).await;
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await), (Some(10), Some(10)));
    assert_eq!((level(&players(&store), "a").await, level(&players(&store), "b").await), (Some(10), Some(10)), "nothing is pending");
    let letters = store.dead_letters().of::<Player>().list(None, 10).await.unwrap();
    assert_eq!(letters.len(), 2, "of the key, not of each write");
    assert!(letters[1].error.contains("based on version"), "{}", letters[1].error);
    // A retry is meant, whatever is there by now.
    store.dead_letters().retry(&letters[1]).await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(3));
    assert_eq!(store.dead_letters().retry(&letters[1]).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn the_last_flush_may_win(bench: &Bench) {
    let (store, other) = instances(bench, OnConflict::LastFlushWins).await;
    write(&players(&store), 2).await;
    players(&store).delete("b").await.unwrap();
    write(&players(&other), 10).await;
    players(&other).set(player("b", 10)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await), (Some(2), None));
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
}

async fn a_function_may_merge(bench: &Bench) {
    let merge = OnConflict::<Player>::merge(|conflict| match (conflict.pending, conflict.stored) {
        (Some(pending), Some(stored)) => Some(Player { level: pending.level + stored.level, ..pending }),
        (None, Some(stored)) if stored.level == 10 => Some(Player { level: 99, ..stored }),
        (pending, _) => pending,
    });
    let (store, other) = instances(bench, merge).await;
    write(&players(&store), 2).await;
    players(&store).delete("b").await.unwrap();
    write(&players(&other), 10).await;
    players(&other).set(player("b", 10)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await), (Some(12), Some(99)));
    // What was deleted meanwhile is absent for the function.
    write(&players(&store), 3).await;
    players(&other).delete("a").await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, level(&players(&store), "a").await), (Some(3), Some(3)));
    // To answer nothing deletes what another has written.
    assert_eq!(level(&players(&store), "b").await, Some(99));
    players(&store).delete("b").await.unwrap();
    players(&other).set(player("b", 50)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "b").await, level(&players(&store), "b").await), (None, None));
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
}

/// It has not seen what came of the merge.
async fn what_is_written_during_a_flush_that_merges_is_merged_too(bench: &Bench) {
    let sum = OnConflict::<Player>::merge(|conflict| match (conflict.pending, conflict.stored) {
        (Some(pending), Some(stored)) => Some(Player { level: pending.level + stored.level, ..pending }),
        (pending, _) => pending,
    });
    let opened = bench.try_open("a", |builder| builder.schema_with::<Player>(|options| _ = options.on_conflict(sum))).await;
    let (store, faults) = (opened.0.unwrap(), opened.1);
    let other = bench.open_with("b", acknowledged_by(Acknowledge::Truth)).await.0;
    write(&players(&store), 1).await;
    store.flush().await.unwrap();
    assert_eq!(level(&players(&other), "a").await, Some(1));
    write(&players(&store), 2).await;
    write(&players(&other), 10).await;
    let held = faults.hold_before(Operation::Commit);
    let flushing = tokio::spawn({
        let store = store.clone();
        async move { store.flush().await }
    });
    held.arrived().await;
    write(&players(&store), 3).await;
    held.release();
    flushing.await.unwrap().unwrap();
    store.flush().await.unwrap();
    assert_eq!(
        (truth(&other, "a").await, level(&players(&store), "a").await),
        (Some(15), Some(15)),
        "12 came of the first, and 3 of the second"
    );
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
    // What is written now knows of that.
    write(&players(&store), 4).await;
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(4));
}

async fn a_merge_that_panics_or_changes_the_key_loses_nothing(bench: &Bench) {
    let merge = OnConflict::<Player>::merge(|conflict| match conflict.pending {
        Some(pending) if pending.id == "a" => panic!("as the test wants"),
        pending => pending.map(|pending| Player { id: "z".into(), ..pending }),
    });
    let (store, other) = instances(bench, merge).await;
    players(&store).set_many([player("a", 2), player("b", 2), player("c", 2)]).await.unwrap();
    players(&other).set_many([player("a", 10), player("b", 10)]).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await, truth(&other, "c").await), (Some(10), Some(10), Some(2)));
    assert_eq!(store.dead_letters().list(None, 10).await.unwrap().len(), 2);
}

async fn a_write_of_what_was_read_before_the_news_is_a_conflict_too(bench: &Bench) {
    let max = OnConflict::<Player>::merge(|conflict| match (conflict.pending, conflict.stored) {
        (Some(pending), Some(stored)) => Some(Player { level: pending.level.max(stored.level), ..pending }),
        (pending, _) => pending,
    });
    let (store, other) = instances(bench, max).await;
    let read = level(&players(&store), "a").await.unwrap();
    write(&players(&other), 10).await;
    hear(&store).await;
    assert!(players(&store).peek("a").is_none(), "the news has come");
    write(&players(&store), read + 1).await;
    store.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, level(&players(&store), "a").await), (Some(10), Some(10)));

    // What was read since, or written here, is what counts.
    write(&players(&other), 20).await;
    hear(&store).await;
    assert_eq!(level(&players(&store), "a").await, Some(20));
    write(&players(&store), 3).await;
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(3));
    write(&players(&other), 30).await;
    hear(&store).await;
    players(&store).update("a", |player| player.level = 40).await.unwrap();
    write(&players(&store), 4).await;
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(4));
    // An invalidation says that nobody knows what is there.
    write(&players(&other), 50).await;
    hear(&store).await;
    players(&store).invalidate("a").await.unwrap();
    write(&players(&store), 5).await;
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(5));
}

async fn a_write_of_what_memory_did_not_take_in_is_a_conflict_too(bench: &Bench) {
    let max = OnConflict::<Player>::merge(|conflict| match (conflict.pending, conflict.stored) {
        (Some(pending), Some(stored)) => Some(Player { level: pending.level.max(stored.level), ..pending }),
        (pending, _) => pending,
    });
    let opened = bench.try_open("a", |builder| builder.schema_with::<Player>(|options| _ = options.on_conflict(max))).await;
    let (store, faults, other) = (opened.0.unwrap(), opened.1, bench.open_with("b", acknowledged_by(Acknowledge::Truth)).await.0);
    players(&other).set_many([player("a", 1), player("b", 1)]).await.unwrap();
    assert_eq!(level(&players(&store), "b").await, Some(1));
    let held = faults.hold_after(Operation::GetMany);
    let reader = tokio::spawn({
        let players = players(&store);
        async move { level(&players, "a").await }
    });
    held.arrived().await;
    write(&players(&other), 10).await;
    hear(&store).await;
    held.release();
    assert_eq!((reader.await.unwrap(), players(&store).peek("a").is_some()), (Some(1), false), "it was overtaken");
    write(&players(&store), 2).await;
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(10));
}

async fn a_write_of_what_memory_does_not_know_is_unconditional(bench: &Bench) {
    let (store, other) = (bench.open("a").await, bench.open_with("b", acknowledged_by(Acknowledge::Truth)).await.0);
    write(&players(&other), 1).await;
    write(&players(&store), 2).await;
    write(&players(&other), 3).await;
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(2));
}

async fn what_memory_knew_survives_a_kill(bench: &Bench) {
    let (store, other) = instances(bench, OnConflict::Reject).await;
    write(&players(&store), 2).await;
    write(&players(&store), 3).await;
    bench.copy("a", "after-a-kill");
    write(&players(&other), 10).await;
    let next = bench.open("after-a-kill").await;
    next.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, level(&players(&next), "a").await), (Some(10), Some(10)));
    assert_eq!(next.dead_letters().list(None, 10).await.unwrap().len(), 1);
}

async fn what_the_same_instance_wrote_meanwhile_is_no_conflict_after_a_kill(bench: &Bench) {
    let (store, other) = instances(bench, OnConflict::Reject).await;
    let beside = players(&store);
    let written = store.transaction(async |tx| {
        // They come after the transaction, and are based on what memory held before it.
        beside.set(player("a", 2)).await?;
        beside.delete("b").await?;
        tx.set(player("a", 5)).await?;
        tx.update_where(Player::id().eq("b"), Player::level().set(5)).await
    });
    assert_eq!(written.await.unwrap(), ["b"]);
    bench.copy("a", "after-a-kill");
    let next = bench.open("after-a-kill").await;
    next.flush().await.unwrap();
    assert!(next.dead_letters().list(None, 10).await.unwrap().is_empty());
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await), (Some(2), None));
}

async fn a_transaction_that_was_rolled_back_leaves_conflicts_what_they_are(bench: &Bench) {
    let (store, other) = instances(bench, OnConflict::Reject).await;
    let beside = players(&store);
    let given_up = store.transaction(async |tx| {
        beside.set(player("a", 2)).await?;
        tx.set(player("a", 5)).await?;
        Err::<(), _>(Error::new(ErrorKind::Refused, "as the test wants"))
    });
    assert_eq!(given_up.await.unwrap_err().kind(), ErrorKind::Refused);
    write(&players(&other), 10).await;
    bench.copy("a", "after-a-kill");
    let next = bench.open("after-a-kill").await;
    next.flush().await.unwrap();
    assert_eq!((truth(&other, "a").await, next.dead_letters().list(None, 10).await.unwrap().len()), (Some(10), 1));
}

on_truths![
    a_rejected_write_becomes_a_dead_letter,
    the_last_flush_may_win,
    a_function_may_merge,
    what_is_written_during_a_flush_that_merges_is_merged_too,
    a_merge_that_panics_or_changes_the_key_loses_nothing,
    a_write_of_what_was_read_before_the_news_is_a_conflict_too,
    a_write_of_what_memory_did_not_take_in_is_a_conflict_too,
    a_write_of_what_memory_does_not_know_is_unconditional,
    what_memory_knew_survives_a_kill,
    what_the_same_instance_wrote_meanwhile_is_no_conflict_after_a_kill,
    a_transaction_that_was_rolled_back_leaves_conflicts_what_they_are,
];
