//! A shared tier that could not be told of a write.

use store_testkit::{Fault, Hold, Operation};
use strata::facet::Slot;
use strata::{Collection, ErrorKind, Role};

use super::{PAST_L1, outside, slot, until};
use crate::store::models::{Player, player};
use crate::store::stacks::FaultyBench;

const DOWN: Fault = Fault::FailBefore(ErrorKind::L2Unavailable);

/// The record `a` with level 1 in memory, in its slot and in the truth.
async fn everywhere() -> FaultyBench {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    players.from(Role::Shared).get("a").await.unwrap();
    assert!(matches!(slot(&bench.shared, "a").await, Slot::Record(_)));
    bench
}

/// The shared tier answers reads and takes no change.
fn take_no_change(bench: &FaultyBench) {
    for operation in [Operation::Fill, Operation::Replace, Operation::Remove, Operation::Clear] {
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

    // An invalidation says that others may not have been told, and holds here all the same.
    let error = players.invalidate("b").await.unwrap_err();
    assert_eq!((error.kind(), error.operation(), error.key()), (ErrorKind::L2Unavailable, Some("invalidate"), Some("b")));
    assert_eq!(players.peek("b"), None);
    let error = players.invalidate_all().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::L2Unavailable, Some("invalidate_all")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_invalidation_is_made_good() {
    for all in [false, true] {
        let bench = everywhere().await;
        let players = bench.players();
        take_no_change(&bench);
        outside(&bench).await.set(player("a", 2)).await.unwrap();
        let error = if all { players.invalidate_all().await.map(drop) } else { players.invalidate("a").await };
        assert_eq!(error.unwrap_err().kind(), ErrorKind::L2Unavailable);
        check_reads(&bench, Some(2)).await;
        bench.shared_faults.heal();
        until("the slot is emptied", async || slot(&bench.shared, "a").await == Slot::Empty).await;
        check_reads(&bench, Some(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_distrusted_slot_is_not_even_asked() {
    let bench = everywhere().await;
    take_no_change(&bench);
    let players = bench.players();
    players.set(player("a", 2)).await.unwrap();
    bench.clock.advance(PAST_L1);
    let asked = bench.shared_faults.calls(Operation::Fetch);
    assert_eq!(players.get_many(["a"]).await.unwrap()[0].as_ref().unwrap().level, 2);
    bench.clock.advance(PAST_L1);
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 2);
    bench.clock.advance(PAST_L1);
    assert!(players.exists("a").await.unwrap());
    // An answer that was asked for before the slot was emptied could come after it.
    assert_eq!(bench.shared_faults.calls(Operation::Fetch), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_during_the_repair_of_an_earlier_one_is_repaired_too() {
    for (first_of_all, second_of_all) in [(false, false), (false, true), (true, false), (true, true)] {
        let bench = everywhere().await;
        let (players, other) = (bench.players(), bench.another().await.collection::<Player>().unwrap());
        let outside = outside(&bench).await;
        // The change fails at the slot; the answer is what holds its repair.
        let change = async |of_all: bool, level, hold: fn(&FaultyBench, Operation) -> Hold| {
            let repair = if of_all { Operation::Clear } else { Operation::Remove };
            if of_all {
                outside.set(player("a", level)).await.unwrap();
                bench.shared_faults.next(Operation::Clear, DOWN);
                let held = hold(&bench, repair);
                players.invalidate_all().await.unwrap_err();
                held
            } else {
                bench.shared_faults.next(Operation::Replace, DOWN);
                let held = hold(&bench, repair);
                players.set(player("a", level)).await.unwrap();
                held
            }
        };
        // The first repair takes effect and is held before it is done.
        let held = change(first_of_all, 2, |bench, repair| bench.shared_faults.hold_after(repair)).await;
        held.arrived().await;
        // Another instance fills the emptied slot, and the next change cannot be told to it either.
        let before = other.from(Role::Shared).get("a").await.unwrap().unwrap().level;
        let second = change(second_of_all, 3, |bench, repair| bench.shared_faults.hold_before(repair)).await;
        held.release();
        // Both instances' slot is old until the second repair.
        second.arrived().await;
        assert!(matches!(slot(&bench.shared, "a").await, Slot::Record(_)));
        bench.clock.advance(PAST_L1);
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 3, "the slot holds {before}");
        second.release();
        until("the slot is emptied", async || slot(&bench.shared, "a").await == Slot::Empty).await;
    }
}
