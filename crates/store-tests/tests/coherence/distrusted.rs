//! A shared tier that could not be told of a write.

use store_testkit::{Fault, Operation};
use strata::facet::Slot;
use strata::{Collection, ErrorKind, Role};

use super::{PAST_L1, outside};
use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;
use store_tests::waiting::{slot, until};

const DOWN: Fault = Fault::FailBefore(ErrorKind::L2Unavailable);

/// The record `a` with level 1 in memory, in its slot and in the truth.
async fn everywhere() -> FaultyBench {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    // The relayer may void a lease.
    until("the slot is filled", async || {
        players.from(Role::Shared).get("a").await.unwrap();
        matches!(slot(&bench.shared, "a").await, Slot::Record(_))
    })
    .await;
    bench
}

/// The shared tier answers reads and takes no change.
fn take_no_change(bench: &FaultyBench) {
    for operation in [Operation::Fill, Operation::TakeOver, Operation::Replace, Operation::Remove, Operation::Clear, Operation::Relay] {
        bench.shared_faults.always(operation, DOWN);
    }
}

/// What every way to read the record shows, once memory has nothing of its own.
async fn check_reads(bench: &FaultyBench, now: Option<i64>) {
    let players = bench.players();
    let level = |player: Option<std::sync::Arc<Player>>| player.map(|player| player.level);
    let read = async |way: u8| match way {
        0 => level(players.get("a").await.unwrap()),
        1 => level(players.get_many(["a"]).await.unwrap().remove(0)),
        2 => players.from(Role::Shared).get("a").await.unwrap().map(|player| player.level),
        3 => players.from(Role::Shared).get_many(["a"]).await.unwrap().remove(0).map(|player| player.level),
        _ => players.exists("a").await.unwrap().then_some(now.unwrap_or_default()),
    };
    for way in 0..5 {
        bench.clock.advance(PAST_L1 / 5);
        assert_eq!(read(way).await, now, "way {way}");
    }
}

async fn change(players: &Collection<Player>, way: usize) -> Option<i64> {
    match way {
        0 => drop(players.set(player("a", 2)).await.unwrap()),
        1 => drop(players.set_many([player("b", 1), player("a", 2)]).await.unwrap()),
        2 => assert!(players.delete("a").await.unwrap()),
        _ => assert_eq!(players.delete_many(["a", "b"]).await.unwrap(), 1),
    }
    (way < 2).then_some(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_could_not_be_told_of_a_write_is_read_past_and_mended() {
    for way in 0..4 {
        let bench = everywhere().await;
        take_no_change(&bench);
        let now = change(&bench.players(), way).await;
        assert!(matches!(slot(&bench.shared, "a").await, Slot::Record(_)), "the slot is as old as the case needs it");
        check_reads(&bench, now).await;

        bench.shared_faults.heal();
        until("the slot is emptied", async || slot(&bench.shared, "a").await == Slot::Empty).await;
        check_reads(&bench, now).await;
        // The shared tier serves again.
        until("the slot is filled", async || {
            bench.clock.advance(PAST_L1);
            bench.players().get("a").await.unwrap();
            now.is_none() || matches!(slot(&bench.shared, "a").await, Slot::Record(_))
        })
        .await;
        assert_eq!(bench.another().await.collection::<Player>().unwrap().get("a").await.unwrap().map(|player| player.level), now);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_of_the_shared_tier_is_no_failure_of_the_write() {
    for way in 0..4 {
        let bench = everywhere().await;
        let lost = Fault::FailAfter(ErrorKind::Timeout);
        bench.shared_faults.next(Operation::Replace, lost);
        bench.shared_faults.next(Operation::Remove, lost);
        let now = change(&bench.players(), way).await;
        check_reads(&bench, now).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_is_away_costs_no_answer() {
    let bench = everywhere().await;
    let players = bench.players();
    bench.shared_faults.outage(DOWN);
    players.set(player("b", 1)).await.unwrap();
    assert!(players.exists("a").await.unwrap());
    check_reads(&bench, Some(1)).await;
    assert!(players.delete("a").await.unwrap());
    check_reads(&bench, None).await;
    assert_eq!(players.warm(None).await.unwrap(), 1);
    assert!(bench.store.stats().errors > 0, "the failures are counted");

    // The log tells the others, and the relayer empties the slots later.
    players.invalidate("b").await.unwrap();
    assert_eq!(players.peek("b"), None);
    assert_eq!(players.invalidate_all().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_invalidation_is_made_good() {
    for all in [false, true] {
        let bench = everywhere().await;
        let players = bench.players();
        take_no_change(&bench);
        outside(&bench).await.set(player("a", 2)).await.unwrap();
        if all { players.invalidate_all().await.map(drop) } else { players.invalidate("a").await }.unwrap();
        check_reads(&bench, Some(2)).await;
        bench.shared_faults.heal();
        until("the slot is emptied", async || slot(&bench.shared, "a").await == Slot::Empty).await;
        check_reads(&bench, Some(2)).await;
    }
}
