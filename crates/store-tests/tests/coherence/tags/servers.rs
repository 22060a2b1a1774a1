//! The same on every stack that has tables, real servers among them.

use strata::{Freshness, Role, Store};

use store_tests::models::{Player, player};
use store_tests::stacks::{Bench, Stack};
use store_tests::waiting::until;

fn truth_reads(store: &Store) -> u64 {
    let stats = store.stats();
    stats.l3_hits + stats.l3_misses
}

async fn an_invalidation_reaches_both_instances_and_the_slots(mut bench: Bench) {
    let other_store = bench.another().await;
    let (one, other) = (bench.players(), other_store.collection::<Player>().unwrap());
    let (shown, other_shown) = (one.with_tags(["front"]), other.with_tags(["front"]));
    shown.set(player("a", 1)).await.unwrap();
    one.set(player("b", 1)).await.unwrap();
    for round in 0..3 {
        let fill = async || {
            for (players, tagged, store) in [(&one, &shown, &bench.store), (&other, &other_shown, &other_store)] {
                tagged.get("a").await.unwrap();
                players.get("b").await.unwrap();
                let before = truth_reads(store);
                tagged.from(Role::Shared).get("a").await.unwrap();
                players.from(Role::Shared).get("b").await.unwrap();
                if bench.stack.has_cache() && truth_reads(store) > before {
                    return false;
                }
            }
            one.peek("a").and(other.peek("a")).and(one.peek("b")).and(other.peek("b")).is_some()
        };
        until("both are cached everywhere", fill).await;
        one.invalidate_tag("front").await.unwrap();
        assert_eq!(one.peek("a"), None, "round {round}");
        assert!(one.peek("b").is_some());
        let before = truth_reads(&bench.store);
        assert!(shown.get("a").await.unwrap().is_some());
        assert_eq!(truth_reads(&bench.store), before + 1, "round {round}: the slot is void");
        if bench.stack.has_cache() {
            // What the other instance had in memory is void once it has heard, and so is what it makes of the slot.
            let token = bench.store.token().await.unwrap().unwrap();
            let fresh = Freshness::Session(token);
            let before = truth_reads(&other_store);
            assert!(other_shown.with_freshness(fresh.clone()).get("a").await.unwrap().is_some());
            assert!(other.with_freshness(fresh).get("b").await.unwrap().is_some());
            assert!(truth_reads(&other_store) <= before + 1, "round {round}: the other player stays");
        }
    }
}

/// The instance holds copies that nobody gave a tag to, and reads with two.
async fn a_read_with_tags_gives_them_to_the_copies_that_are_there(bench: Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    bench.relayed::<Player>().await;
    until("it is cached everywhere", async || {
        let before = truth_reads(&bench.store);
        players.get("a").await.unwrap();
        players.from(Role::Shared).get("a").await.unwrap();
        players.peek("a").is_some() && (!bench.stack.has_cache() || truth_reads(&bench.store) == before)
    })
    .await;
    for tag in ["front", "back"] {
        let shown = players.with_tags([tag]);
        assert_eq!(shown.peek("a"), None);
        let before = truth_reads(&bench.store);
        assert!(shown.get("a").await.unwrap().is_some());
        assert_eq!(truth_reads(&bench.store), before + 1, "{tag}: it was brought anew");
        assert!(shown.get("a").await.unwrap().is_some());
        if bench.stack.has_cache() {
            assert!(shown.from(Role::Shared).get("a").await.unwrap().is_some());
        }
        assert_eq!(truth_reads(&bench.store), before + 1, "{tag}: the copies have it");
    }
    players.invalidate_tag("front").await.unwrap();
    assert_eq!(players.peek("a"), None);
    let before = truth_reads(&bench.store);
    assert!(players.get("a").await.unwrap().is_some());
    assert_eq!(truth_reads(&bench.store), before + 1, "the slot had the first tag too");
}

macro_rules! on {
    ($($name:ident: $stack:ident;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn invalidation() {
                an_invalidation_reaches_both_instances_and_the_slots(Stack::$stack.open().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn copies_that_are_there() {
                a_read_with_tags_gives_them_to_the_copies_that_are_there(Stack::$stack.open().await).await;
            }
        }
    )*};
}

on! {
    mem_sqlite: MemSqlite;
    mem_model_sqlite: MemModelSqlite;
    mem_postgres: MemPostgres;
    mem_redis_postgres: MemRedisPostgres;
}
