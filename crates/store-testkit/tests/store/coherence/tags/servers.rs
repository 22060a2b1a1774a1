//! The same on every stack that has tables, real servers among them.

use strata::{Freshness, Role, Store};

use crate::store::coherence::until;
use crate::store::models::{Player, player};
use crate::store::stacks::{Bench, Stack};

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
            let fresh = other_shown.with_freshness(Freshness::Session(token));
            let before = truth_reads(&other_store);
            assert!(fresh.get("a").await.unwrap().is_some());
            assert!(fresh.get("b").await.unwrap().is_some());
            assert!(truth_reads(&other_store) <= before + 1, "round {round}: the other player stays");
        }
    }
}

macro_rules! on {
    ($($name:ident: $stack:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            an_invalidation_reaches_both_instances_and_the_slots(Stack::$stack.open().await).await;
        }
    )*};
}

on! {
    mem_sqlite: MemSqlite;
    mem_model_sqlite: MemModelSqlite;
    mem_postgres: MemPostgres;
    mem_redis_postgres: MemRedisPostgres;
}
