//! What other instances see.

use std::time::Duration;

use super::{level, raise};
use store_tests::models::{City, Player, city, player};
use store_tests::stacks::Stack;
use store_tests::waiting::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_reaches_every_instance_and_an_open_transaction_none() {
    for stack in [Stack::MemSqlite, Stack::MemModelSqlite, Stack::MemPostgres, Stack::MemRedisPostgres] {
        let mut bench = stack.open_fresh_for(Duration::from_millis(200)).await;
        let other = bench.another().await;
        let (players, seen, seen_cities) = (bench.players(), other.collection::<Player>().unwrap(), other.collection::<City>().unwrap());
        players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
        until("it holds them", async || level(&seen, "a").await == Some(1) && level(&seen, "b").await == Some(1)).await;
        bench
            .store
            .transaction(async |tx| {
                raise(tx, "a").await?;
                tx.delete::<Player>("b").await?;
                tx.set(city(1)).await?;
                // Longer than the bound: it has read the log since.
                tokio::time::sleep(Duration::from_millis(300)).await;
                assert_eq!((level(&seen, "a").await, level(&seen, "b").await), (Some(1), Some(1)), "{stack:?}");
                assert!(seen_cities.get(1).await?.is_none());
                Ok(())
            })
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((level(&seen, "a").await, level(&seen, "b").await), (Some(2), None), "{stack:?}");
        assert!(seen_cities.get(1).await.unwrap().is_some());
        other.close().await.unwrap();
    }
}

/// Transfers between accounts by two instances at once: what every reader adds up is what was there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_by_several_instances_lose_nothing() {
    for stack in [Stack::MemSqlite, Stack::MemRedisPostgres] {
        let mut bench = stack.open_fresh_for(Duration::from_millis(100)).await;
        let other = bench.another().await;
        let ids = ["a", "b", "c", "d"];
        bench.players().set_many(ids.map(|id| player(id, 100))).await.unwrap();
        let workers: Vec<_> = (0..4_usize)
            .map(|worker| {
                let store = if worker % 2 == 0 { bench.store.clone() } else { other.clone() };
                tokio::spawn(async move {
                    for turn in 0..10_usize {
                        let (from, to) = (ids[(worker + turn) % 4], ids[(worker + turn * 3 + 1) % 4]);
                        if from == to {
                            continue;
                        }
                        let moved = store.transaction(async |tx| {
                            let mut both = tx.get_many_for_update::<Player>([from, to]).await?.into_iter().flatten();
                            let (mut from, mut to) = (both.next().expect("there"), both.next().expect("there"));
                            from.level -= 7;
                            to.level += 7;
                            tx.set_many([from, to]).await.map(drop)
                        });
                        moved.await.unwrap();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        for store in [bench.store.clone(), other] {
            let players = store.collection::<Player>().unwrap();
            until("the instance shows every transfer", async || {
                let found = players.get_many(ids).await.unwrap();
                let in_truth = players.from(strata::Role::Truth).get_many(ids).await.unwrap();
                let found: Vec<i64> = found.iter().flatten().map(|player| player.level).collect();
                let in_truth: Vec<i64> = in_truth.iter().flatten().map(|player| player.level).collect();
                assert_eq!(in_truth.iter().sum::<i64>(), 400, "{stack:?}");
                found == in_truth
            })
            .await;
        }
    }
}
