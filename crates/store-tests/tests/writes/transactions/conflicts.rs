//! Transactions that the truth rolls back because of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use store_testkit::{Fault, Operation};
use strata::{ErrorKind, Isolation, TransactionOptions};
use tokio::sync::Barrier;

use super::{level, raise, truth};
use store_tests::models::{Player, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench, Stack};

fn serializable(retries: u32) -> TransactionOptions {
    TransactionOptions { isolation: Isolation::Serializable, retries, ..TransactionOptions::default() }
}

/// Read-modify-write without locks, by several at once: retries make every one of them count.
async fn conflicts_are_run_again_until_they_succeed(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 0)).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    let raised = store.transaction_with(serializable(100), async |tx| {
                        let mut player = tx.get::<Player>("a").await?.expect("it is there");
                        tokio::task::yield_now().await;
                        player.level += 1;
                        tx.set(player).await.map(drop)
                    });
                    raised.await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!((level(&players, "a").await, truth(&players, "a").await), (Some(20), Some(20)));
}

/// Two that lock two rows in opposite orders: one is the victim, and its second run succeeds.
///
/// Of PostgreSQL alone, since SQLite has one writer at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlocks_are_run_again() {
    let bench = Stack::MemPostgres.open().await;
    let players = bench.players();
    players.set_many([player("a", 0), player("b", 0)]).await.unwrap();
    let (runs, both_hold_one) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
    let writers: Vec<_> = [["a", "b"], ["b", "a"]]
        .map(|order| {
            let (store, runs, both_hold_one) = (bench.store.clone(), Arc::clone(&runs), Arc::clone(&both_hold_one));
            tokio::spawn(async move {
                let options = TransactionOptions { retries: 10, ..TransactionOptions::default() };
                let both = store.transaction_with(options, async |tx| {
                    raise(tx, order[0]).await?;
                    if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                        both_hold_one.wait().await;
                    }
                    raise(tx, order[1]).await
                });
                both.await
            })
        })
        .into();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert!(runs.load(Ordering::Relaxed) > 2, "one was the victim");
    assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(2), Some(2)));
}

on_stacks!(with_tables: [conflicts_are_run_again_until_they_succeed]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_retries_a_conflict_is_told() {
    let bench = store_tests::stacks::Stack::MemPostgres.open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    for retries in [0, 1] {
        let runs = AtomicUsize::new(0);
        let overtaken = bench.store.transaction_with(serializable(retries), async |tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            let read = tx.get::<Player>("a").await?.expect("it is there");
            // Another write commits in between, in every run.
            players.set(player("a", read.level + 10)).await?;
            tx.set(player("a", 0)).await.map(drop)
        });
        let error = overtaken.await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::TransactionFailed, true), "{error}");
        assert_eq!(runs.into_inner(), retries as usize + 1);
    }
    assert_eq!((level(&players, "a").await, truth(&players, "a").await), (Some(31), Some(31)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_failures_are_not_run_again() {
    let bench = FaultyBench::open().await;
    for (operation, kind) in [
        (Operation::PutMany, ErrorKind::L3Unavailable),
        (Operation::PutMany, ErrorKind::TransactionFailed),
        (Operation::Begin, ErrorKind::Timeout),
        (Operation::Commit, ErrorKind::L3Unavailable),
    ] {
        bench.truth_faults.next(operation, Fault::FailBefore(kind));
        let begun = bench.truth_faults.calls(Operation::Begin);
        let failed = bench.store.transaction_with(serializable(5), async |tx| tx.set(player("a", 1)).await.map(drop)).await;
        assert_eq!(failed.unwrap_err().kind(), kind);
        assert_eq!(bench.truth_faults.calls(Operation::Begin), begun + 1, "{operation:?}");
    }
    assert_eq!(truth(&bench.players(), "a").await, None);
}
