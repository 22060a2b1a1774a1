//! Transactions whose caller gives up, at every await.

use std::time::Duration;

use store_testkit::Operation;
use strata::{Role, Store};

use super::{level, raise, truth};
use crate::given_up::{MOST_POLLS, give_up_after};
use store_tests::models::{City, Player, city, player};
use store_tests::stacks::{FaultyBench, Stack};
use store_tests::waiting::{give_up, until};

async fn transfer(store: &Store) -> strata::Result<()> {
    store
        .transaction(async |tx| {
            raise(tx, "a").await?;
            let undone = tx.savepoint(async |tx| {
                tx.delete::<Player>("b").await?;
                Err::<(), _>(strata::Error::new(strata::ErrorKind::NotFound, "undone"))
            });
            let _ = undone.await;
            raise(tx, "b").await?;
            tx.set(city(1)).await?;
            tx.delete::<City>(1).await.map(drop)
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_dropped_anywhere_is_all_or_nothing() {
    for stack in [Stack::MemModelSqlite, Stack::MemRedisPostgres] {
        let bench = stack.open().await;
        let players = bench.players();
        let mut reached = 0;
        players.set_many([player("a", 0), player("b", 0)]).await.unwrap();
        let (mut stopped, mut ended) = (0, 0);
        // How often it waits varies from one to the next.
        while ended < 3 {
            assert!(stopped < MOST_POLLS, "it waits again and again");
            match give_up_after(stopped + 1, Duration::ZERO, transfer(&bench.store)).await {
                Some(answer) => {
                    answer.unwrap();
                    ended += 1;
                }
                None => stopped += 1,
            }
            let tried = (stopped + ended) as i64;
            // A commit that had begun is finished without its caller; nothing else is there.
            until("memory and truth agree", async || {
                let both = players.from(Role::Truth).get_many(["a", "b"]).await.unwrap();
                let [Some(a), Some(b)] = &both[..] else { panic!("they are never deleted: {both:?}") };
                assert_eq!(a.level, b.level, "all or nothing");
                assert!((reached..=tried).contains(&a.level), "{} after {reached}, of {tried}", a.level);
                reached = a.level;
                level(&players, "a").await == Some(a.level) && level(&players, "b").await == Some(b.level)
            })
            .await;
            // What it held is free at once.
            players.set(player("c", 1)).await.unwrap();
            bench.store.tx().set(player("c", 0)).commit().await.unwrap();
        }
        assert!(stopped > 3, "{stopped} were stopped");
        bench.store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_began_is_finished_without_its_caller() {
    for (operation, before) in
        [(Operation::Commit, true), (Operation::Commit, false), (Operation::Replace, true), (Operation::Replace, false)]
    {
        let bench = FaultyBench::open().await;
        let players = bench.players();
        players.set_many([player("a", 0), player("b", 0)]).await.unwrap();
        let faults = if operation == Operation::Commit { &bench.truth_faults } else { &bench.shared_faults };
        let held = if before { faults.hold_before(operation) } else { faults.hold_after(operation) };
        let store = bench.store.clone();
        give_up(held, async move { transfer(&store).await }).await;
        until("the commit is done", async || level(&players, "a").await == Some(1) && level(&players, "b").await == Some(1)).await;
        bench.store.close().await.unwrap();
        let other = bench.another().await.collection::<Player>().unwrap();
        assert_eq!((level(&other, "a").await, truth(&other, "b").await), (Some(1), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_dropped_before_its_commit_leaves_nothing() {
    for operation in [Operation::Begin, Operation::GetMany, Operation::PutMany, Operation::DeleteMany, Operation::Savepoint] {
        for before in [true, false] {
            let bench = FaultyBench::open().await;
            let players = bench.players();
            players.set_many([player("a", 0), player("b", 0)]).await.unwrap();
            let held = if before { bench.truth_faults.hold_before(operation) } else { bench.truth_faults.hold_after(operation) };
            let store = bench.store.clone();
            give_up(held, async move { transfer(&store).await }).await;
            players.set(player("c", 1)).await.unwrap();
            assert_eq!((level(&players, "a").await, truth(&players, "a").await, truth(&players, "b").await), (Some(0), Some(0), Some(0)));
            transfer(&bench.store).await.unwrap();
            assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(1), Some(1)));
        }
    }
}
