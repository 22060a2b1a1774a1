//! Callers that give up.

use std::pin::pin;

use futures_util::FutureExt;
use store_testkit::{Hold, Operation};
use strata::{Collection, Role};

use super::until;
use crate::store::models::{Player, player};
use crate::store::stacks::FaultyBench;

/// Where a call of a tier is held up.
type Place<'a> = &'a dyn Fn(&FaultyBench, Operation) -> Hold;

#[derive(Debug, Clone, Copy)]
enum Call {
    Set,
    SetMany,
    Delete,
    Invalidate,
    Get,
    GetMany,
}

impl Call {
    async fn run(self, players: &Collection<Player>, level: i64) {
        match self {
            Call::Set => drop(players.set(player("a", level)).await),
            Call::SetMany => drop(players.set_many([player("a", level), player("b", level)]).await),
            Call::Delete => drop(players.delete("a").await),
            Call::Invalidate => drop(players.invalidate("a").await),
            Call::Get => drop(players.get("a").await),
            Call::GetMany => drop(players.get_many(["a", "b"]).await),
        }
    }
}

/// What the truth holds of the record `a`.
async fn truth(players: &Collection<Player>) -> Option<i64> {
    players.from(Role::Truth).get("a").await.unwrap().map(|player| player.level)
}

async fn level(players: &Collection<Player>) -> Option<i64> {
    players.get("a").await.unwrap().map(|player| player.level)
}

/// Every tier shows the same in the end, here and in another instance.
async fn check_in_step(bench: &FaultyBench) {
    let players = bench.players();
    until("memory is in step", async || level(&players).await == truth(&players).await).await;
    // Closing waits for the writes under way.
    bench.store.close().await.unwrap();
    let other = bench.another().await.collection::<Player>().unwrap();
    assert_eq!(level(&other).await, truth(&other).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_began_is_finished_without_its_caller() {
    let before = |bench: &FaultyBench, operation| match operation {
        Operation::PutMany | Operation::DeleteMany | Operation::LogAppend => bench.truth_faults.hold_before(operation),
        _ => bench.shared_faults.hold_before(operation),
    };
    let after = |bench: &FaultyBench, operation| match operation {
        Operation::PutMany | Operation::DeleteMany | Operation::LogAppend => bench.truth_faults.hold_after(operation),
        _ => bench.shared_faults.hold_after(operation),
    };
    let holds: [Place<'_>; 2] = [&before, &after];
    for (call, operation, expected) in [
        (Call::Set, Operation::PutMany, Some(2)),
        (Call::Set, Operation::Replace, Some(2)),
        (Call::SetMany, Operation::PutMany, Some(2)),
        (Call::SetMany, Operation::Replace, Some(2)),
        (Call::Delete, Operation::DeleteMany, None),
        (Call::Delete, Operation::Remove, None),
        (Call::Invalidate, Operation::Remove, Some(1)),
        (Call::Invalidate, Operation::LogAppend, Some(1)),
    ] {
        for hold in holds {
            let bench = FaultyBench::open().await;
            let players = bench.players();
            players.set(player("a", 1)).await.unwrap();
            players.from(Role::Shared).get("a").await.unwrap();
            let held = hold(&bench, operation);
            let calling = tokio::spawn({
                let players = players.clone();
                async move { call.run(&players, 2).await }
            });
            held.arrived().await;
            calling.abort();
            assert!(calling.await.unwrap_err().is_cancelled());
            held.release();
            until("the write is done", async || level(&players).await == expected).await;
            check_in_step(&bench).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_given_up_anywhere_leaves_the_tiers_in_step() {
    for call in [Call::Get, Call::GetMany] {
        for operation in [Operation::Fetch, Operation::GetMany, Operation::Fill] {
            let bench = FaultyBench::open().await;
            let players = bench.players();
            players.set(player("a", 1)).await.unwrap();
            players.invalidate("a").await.unwrap();
            let faults = if operation == Operation::GetMany { &bench.truth_faults } else { &bench.shared_faults };
            let held = faults.hold_after(operation);
            let calling = tokio::spawn({
                let players = players.clone();
                async move { call.run(&players, 0).await }
            });
            held.arrived().await;
            calling.abort();
            let _ = calling.await;
            held.release();
            players.set(player("a", 2)).await.unwrap();
            assert_eq!(level(&players).await, Some(2));
            check_in_step(&bench).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_polled_a_little_and_dropped_leave_the_tiers_in_step() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set_many([player("a", 0), player("b", 0)]).await.unwrap();
    let calls = [Call::Set, Call::Get, Call::SetMany, Call::GetMany, Call::Delete, Call::Get, Call::Invalidate];
    for round in 0..60_usize {
        let (call, polls) = (calls[round % calls.len()], round % 6);
        {
            let mut call = pin!(call.run(&players, round as i64 + 1));
            for _ in 0..polls {
                if call.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        if round % 10 == 9 {
            until("memory is in step", async || level(&players).await == truth(&players).await).await;
        }
    }
    check_in_step(&bench).await;
}
