//! Callers that give up.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use store_testkit::{Faults, Hold, Operation};
use strata::{Collection, ErrorKind, Role, Store};

use store_tests::models::{Account, City, Player, player};
use store_tests::stacks::{FaultyBench, sqlite};
use store_tests::waiting::{give_up, until};

/// The writes of the truth.
const TRUTH: [Operation; 6] =
    [Operation::PutMany, Operation::PutIf, Operation::UpdateWhere, Operation::DeleteWhere, Operation::DeleteMany, Operation::LogAppend];

/// Orders the faults of the tier that a write reaches by this operation.
fn faults_of(bench: &FaultyBench, operation: Operation) -> &Faults {
    if TRUTH.contains(&operation) { &bench.truth_faults } else { &bench.shared_faults }
}

/// Where a call of a tier is held up.
type Place<'a> = &'a dyn Fn(&FaultyBench, Operation) -> Hold;

#[derive(Debug, Clone, Copy)]
enum Call {
    Set,
    SetMany,
    SetIfVersion,
    Update,
    Patch,
    UpdateWhere,
    DeleteWhere,
    Import,
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
            Call::SetIfVersion => {
                let version = players.get_record("a").await.ok().flatten().map(|player| player.version());
                drop(players.set_if_version(player("a", level), version.unwrap_or_default()).await);
            }
            Call::Update => drop(players.update("a", |player| player.level = level).await),
            Call::Patch => drop(players.patch("a", Player::level().set(level)).await),
            Call::UpdateWhere => drop(players.update_where(Player::id().one_of(["a", "b"]), Player::level().set(level)).await),
            Call::DeleteWhere => drop(players.delete_where(Player::id().eq("a")).await),
            Call::Import => drop(players.import([player("b", level), player("a", level)]).chunk(1).run().await),
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
    let before = |bench: &FaultyBench, operation| faults_of(bench, operation).hold_before(operation);
    let after = |bench: &FaultyBench, operation| faults_of(bench, operation).hold_after(operation);
    let holds: [(bool, Place<'_>); 2] = [(true, &before), (false, &after)];
    for (call, operation, expected) in [
        (Call::Set, Operation::PutMany, Some(2)),
        (Call::Set, Operation::Replace, Some(2)),
        (Call::SetMany, Operation::PutMany, Some(2)),
        (Call::SetMany, Operation::Replace, Some(2)),
        (Call::SetIfVersion, Operation::PutIf, Some(2)),
        (Call::SetIfVersion, Operation::Replace, Some(2)),
        (Call::Update, Operation::PutIf, Some(2)),
        (Call::Update, Operation::Replace, Some(2)),
        (Call::Patch, Operation::PutIf, Some(2)),
        (Call::Patch, Operation::Replace, Some(2)),
        (Call::UpdateWhere, Operation::UpdateWhere, Some(2)),
        (Call::UpdateWhere, Operation::Remove, Some(2)),
        (Call::DeleteWhere, Operation::DeleteWhere, None),
        (Call::DeleteWhere, Operation::Remove, None),
        (Call::Delete, Operation::DeleteMany, None),
        (Call::Delete, Operation::Remove, None),
        (Call::Invalidate, Operation::Remove, Some(1)),
        (Call::Invalidate, Operation::LogAppend, Some(1)),
    ] {
        for (is_before, hold) in holds {
            let bench = FaultyBench::open().await;
            let players = bench.players();
            players.set(player("a", 1)).await.unwrap();
            players.from(Role::Shared).get("a").await.unwrap();
            let given_up = players.clone();
            give_up(hold(&bench, operation), async move { call.run(&given_up, 2).await }).await;
            // What waits for the truth has not begun, and never does.
            let began = !(is_before && TRUTH.contains(&operation));
            let expected = if began { expected } else { Some(1) };
            until("the write is done", async || level(&players).await == expected).await;
            check_in_step(&bench).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_turn_has_not_come_never_begins_without_its_caller() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema::<Player>().schema::<City>().schema::<Account>().configure(|settings| {
            settings.truth_writes = 1;
            settings.operation_timeout = Duration::from_secs(1);
        })
    })
    .await;
    let players = bench.players();
    for call in [Call::Set, Call::SetMany, Call::SetIfVersion, Call::Patch, Call::Delete, Call::Invalidate] {
        players.set(player("a", 1)).await.unwrap();
        let puts = bench.truth_faults.hold_before(Operation::PutMany);
        let holder = tokio::spawn({
            let players = players.clone();
            async move { players.set_many([player("a", 2)]).await }
        });
        puts.arrived().await;
        let calls = || TRUTH.map(|operation| bench.truth_faults.calls(operation));
        let before = calls();
        let error = players.set(player("a", 3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(call.run(&players, 4).now_or_never().is_none(), "it waits");
        assert_eq!(calls(), before, "none of them began");
        puts.release();
        holder.await.unwrap().unwrap();
        assert_eq!((level(&players).await, truth(&players).await), (Some(2), Some(2)));
    }
    // The turns of those that gave up are free again.
    players.set(player("a", 5)).await.unwrap();
    check_in_step(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_comes_after_those_of_its_key_that_were_given_up() {
    let bench = FaultyBench::open_with(|builder| {
        let builder = builder.schema::<Player>().schema::<City>().schema::<Account>();
        builder.configure(|settings| settings.operation_timeout = Duration::from_secs(1))
    })
    .await;
    let players = bench.players();
    for call in [Call::Set, Call::SetMany, Call::Delete] {
        players.set(player("a", 1)).await.unwrap();
        let held = bench.truth_faults.hold_before(Operation::PutMany);
        assert_eq!(players.set(player("a", 2)).await.unwrap_err().kind(), ErrorKind::Timeout);
        held.arrived().await;
        let calls = || [Operation::PutMany, Operation::DeleteMany].map(|operation| bench.truth_faults.calls(operation));
        let before = calls();
        let mut later = pin!(call.run(&players, 3));
        assert!((&mut later).now_or_never().is_none(), "it waits for the first");
        players.set(player("b", 1)).await.unwrap();
        assert!((&mut later).now_or_never().is_none());
        assert_eq!(calls(), [before[0] + 1, before[1]], "only that of another key began");
        held.release();
        later.await;
        let expected = if matches!(call, Call::Delete) { None } else { Some(3) };
        assert_eq!((level(&players).await, truth(&players).await), (expected, expected), "{call:?}");
    }
    check_in_step(&bench).await;
}

/// In a queue of the tier's own, too: SQLite has one writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_the_writer_never_begins_without_its_caller() {
    let (directory, tier) = sqlite().await;
    let store =
        Store::builder().tier(tier).schema::<Player>().configure(|settings| settings.operation_timeout = Duration::from_millis(300));
    let store = store.build().await.unwrap();
    let players = store.collection::<Player>().unwrap();
    players.set(player("a", 1)).await.unwrap();
    let other = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first waits for the other connection; the second waits for the first.
    let results = tokio::join!(players.set(player("b", 2)), players.set(player("a", 2)), players.delete("a"));
    for error in [results.0.unwrap_err(), results.1.unwrap_err(), results.2.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    other.execute_batch("UPDATE player SET level = 3 WHERE id = 'a'; COMMIT").unwrap();
    // It comes after all that was queued.
    players.set_many([player("c", 1)]).await.unwrap();
    assert_eq!(level(&players).await, Some(3), "what others wrote after the calls had ended stays");
    assert!(!players.exists("b").await.unwrap(), "nor is a write carried out that had not got the lock");
    store.close().await.unwrap();
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
    let calls = [
        Call::Set,
        Call::Get,
        Call::SetMany,
        Call::SetIfVersion,
        Call::GetMany,
        Call::Update,
        Call::Patch,
        Call::UpdateWhere,
        Call::Import,
        Call::DeleteWhere,
        Call::Get,
        Call::Import,
        Call::Delete,
        Call::Invalidate,
        Call::Set,
    ];
    for round in 0..120_usize {
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
