//! Two instances on one storage.

use std::time::Duration;

use strata::{Collection, Freshness, Query, Store};

use store_tests::models::{Player, player};
use store_tests::stacks::{Bench, Stack};
use store_tests::waiting::until;

/// How stale memory may be.
const BOUND: Duration = Duration::from_secs(1);

/// How the other instance comes by its copy.
#[derive(Debug, Clone, Copy)]
enum Fill {
    Get,
    GetMany,
    Search,
    Warm,
    Write,
}

impl Fill {
    async fn run(self, players: &Collection<Player>) {
        match self {
            Fill::Get => drop(players.get("a").await.unwrap()),
            Fill::GetMany => drop(players.get_many(["a", "b"]).await.unwrap()),
            Fill::Search => drop(players.search(Query::new()).await.unwrap()),
            Fill::Warm => drop(players.warm(None).await.unwrap()),
            Fill::Write => drop(players.set(player("a", 1)).await.unwrap()),
        }
    }
}

/// What the writing instance does to the copy.
#[derive(Debug, Clone, Copy)]
enum Change {
    Set,
    SetMany,
    Delete,
    DeleteMany,
}

impl Change {
    async fn run(self, players: &Collection<Player>) {
        match self {
            Change::Set => drop(players.set(player("a", 2)).await.unwrap()),
            Change::SetMany => drop(players.set_many([player("b", 2), player("a", 2)]).await.unwrap()),
            Change::Delete => assert!(players.delete("a").await.unwrap()),
            Change::DeleteMany => drop(players.delete_many(["a", "b"]).await.unwrap()),
        }
    }

    fn expected(self) -> Option<i64> {
        match self {
            Change::Set | Change::SetMany => Some(2),
            Change::Delete | Change::DeleteMany => None,
        }
    }
}

async fn level(players: &Collection<Player>) -> Option<i64> {
    players.get("a").await.unwrap().map(|player| player.level)
}

fn of(store: &Store) -> Collection<Player> {
    store.collection().unwrap()
}

/// Every way to come by a copy.
async fn no_copy_outlives_the_bound(mut bench: Bench) {
    let other = of(&bench.another().await);
    let players = bench.players();
    let mut fills = vec![Fill::Get, Fill::GetMany, Fill::Write];
    if bench.stack.has_tables() {
        fills.extend([Fill::Search, Fill::Warm]);
    }
    for (fill, change) in fills.into_iter().zip([Change::Set, Change::Delete, Change::SetMany, Change::DeleteMany, Change::Set]) {
        players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
        tokio::time::sleep(BOUND).await;
        fill.run(&other).await;
        assert_eq!(level(&other).await, Some(1), "{fill:?}");
        change.run(&players).await;
        tokio::time::sleep(BOUND).await;
        assert_eq!(level(&other).await, change.expected(), "{fill:?}, {change:?}");
        assert_eq!(level(&players).await, change.expected(), "{fill:?}, {change:?}");
    }
}

/// Messages and polls bring a write long before the bound would.
async fn a_write_wakes_the_other_instance(bench: Bench) {
    let mut bench = bench.stack.open().await;
    let other = of(&bench.another().await);
    let players = bench.players();
    for number in 1..=5 {
        until("the other instance shows the write", async || {
            // Without a log, what was announced before the other instance listened is lost.
            players.set(player("a", number)).await.unwrap();
            level(&other).await == Some(number)
        })
        .await;
    }
}

async fn fresher_reads_see_the_write_at_once(mut bench: Bench) {
    let other = of(&bench.another().await);
    let players = bench.players();
    players.set(player("a", 0)).await.unwrap();
    for number in 1..=20 {
        level(&other).await;
        players.set(player("a", number)).await.unwrap();
        let token = bench.store.token().await.unwrap().expect("the truth has a log");
        let reader = match number % 4 {
            0 => other.with_freshness(Freshness::Strong),
            1 => other.with_freshness(Freshness::Session(token.to_string().parse().unwrap())),
            2 => other.with_freshness(Freshness::Bounded(Duration::ZERO)),
            _ => other.with_freshness(Freshness::Bounded(Duration::from_nanos(1))),
        };
        let found = match number % 3 {
            0 => level(&reader).await,
            1 => reader.read("a").await.unwrap().map(|answer| answer.level),
            _ => reader.get_many(["a"]).await.unwrap().remove(0).map(|player| player.level),
        };
        assert_eq!(found, Some(number));
    }
}

async fn an_invalidation_reaches_the_other_instance(mut bench: Bench) {
    let other = of(&bench.another().await);
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
    tokio::time::sleep(BOUND).await;
    for all in [false, true] {
        until("memory holds it", async || level(&other).await.is_some() && other.peek("a").is_some()).await;
        if all {
            players.invalidate_all().await.unwrap();
        } else {
            players.invalidate("a").await.unwrap();
        }
        until("the copy is dropped", async || other.peek("a").is_none()).await;
        assert_eq!(level(&other).await, Some(1));
    }
}

/// The log has one row for all of them.
async fn a_large_batch_reaches_the_other_instance(mut bench: Bench) {
    let other = of(&bench.another().await);
    let players = bench.players();
    let batch = |level: i64| (0..1_500).map(|number| player(&format!("p{number}"), level)).collect::<Vec<_>>();
    players.set_many(batch(1)).await.unwrap();
    tokio::time::sleep(BOUND).await;
    let keys: Vec<String> = (0..1_500).map(|number| format!("p{number}")).collect();
    assert!(other.get_many(&keys).await.unwrap().into_iter().all(|player| player.unwrap().level == 1));
    players.set_many(batch(2)).await.unwrap();
    tokio::time::sleep(BOUND).await;
    assert!(other.get_many(&keys).await.unwrap().into_iter().all(|player| player.unwrap().level == 2));
}

/// Cases over a bench of their own, one test for each stack.
macro_rules! with_two_instances {
    ($($module:ident $stack:ident [$($case:ident),*];)*) => {$(
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(Stack::$stack.open_fresh_for(BOUND).await).await;
                }
            )*
        }
    )*};
}

with_two_instances! {
    mem_sqlite MemSqlite [no_copy_outlives_the_bound, a_write_wakes_the_other_instance, fresher_reads_see_the_write_at_once,
        an_invalidation_reaches_the_other_instance, a_large_batch_reaches_the_other_instance];
    mem_model_sqlite MemModelSqlite [no_copy_outlives_the_bound, a_write_wakes_the_other_instance, fresher_reads_see_the_write_at_once,
        an_invalidation_reaches_the_other_instance, a_large_batch_reaches_the_other_instance];
    mem_postgres MemPostgres [no_copy_outlives_the_bound, a_write_wakes_the_other_instance, fresher_reads_see_the_write_at_once,
        an_invalidation_reaches_the_other_instance, a_large_batch_reaches_the_other_instance];
    mem_redis_postgres MemRedisPostgres [no_copy_outlives_the_bound, a_write_wakes_the_other_instance, fresher_reads_see_the_write_at_once,
        an_invalidation_reaches_the_other_instance, a_large_batch_reaches_the_other_instance];
    mem_redis MemRedis [no_copy_outlives_the_bound, a_write_wakes_the_other_instance, an_invalidation_reaches_the_other_instance];
}
