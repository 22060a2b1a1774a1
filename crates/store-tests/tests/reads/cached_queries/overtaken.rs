//! Searches that a write or an invalidation overtakes.

use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::{ErrorKind, Query};

use super::levels;
use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;

/// What comes between the truth's answer and its landing.
const INTRUDERS: [&str; 9] =
    ["set", "set_many", "delete", "patch", "update_where", "delete_where", "transaction", "another instance", "a write nobody knows of"];

async fn intrude(bench: &FaultyBench, intruder: &str) {
    let players = bench.players();
    match intruder {
        "set" => drop(players.set(player("a", 2)).await.unwrap()),
        "set_many" => drop(players.set_many([player("a", 2), player("b", 2)]).await.unwrap()),
        "delete" => assert!(players.delete("a").await.unwrap()),
        "patch" => drop(players.patch("a", Player::level().set(2)).await.unwrap()),
        "update_where" => drop(players.update_where(Player::level().eq(1), Player::level().set(2)).await.unwrap()),
        "delete_where" => drop(players.delete_where(Player::level().eq(1)).await.unwrap()),
        "transaction" => {
            let write = bench.store.transaction(async |tx| tx.set(player("a", 2)).await.map(drop));
            write.await.unwrap();
        }
        "another instance" => {
            bench.another().await.collection::<Player>().unwrap().set(player("a", 2)).await.unwrap();
            // The log is read before anything else is shown.
            let fresh = players.with_freshness(strata::Freshness::Bounded(Duration::ZERO));
            fresh.get("a").await.unwrap();
        }
        _ => {
            bench.truth_faults.next(Operation::PutMany, Fault::FailAfter(ErrorKind::L3Unavailable));
            players.set(player("a", 2)).await.unwrap_err();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_overtaken_is_not_kept_and_later_readers_do_not_wait_for_it() {
    for intruder in INTRUDERS {
        let bench = FaultyBench::open().await;
        let players = bench.players();
        players.set(player("a", 1)).await.unwrap();
        let query = Query::new().order_by(Player::id());
        let held = bench.truth_faults.hold_after(Operation::Select);
        let early = tokio::spawn({
            let (players, query) = (players.clone(), query.clone());
            async move { levels(&players, &query).await }
        });
        held.arrived().await;
        intrude(&bench, intruder).await;
        let expected: Vec<i64> =
            players.from(strata::Role::Truth).search(query.clone()).await.unwrap().iter().map(|player| player.level).collect();
        assert_ne!(expected, [1], "{intruder}");
        let later = tokio::time::timeout(Duration::from_secs(20), levels(&players, &query)).await;
        assert_eq!(later.expect("a later reader waits for a search that began before"), expected, "{intruder}");
        held.release();
        let shown = early.await.unwrap();
        assert!(shown == [1] || shown == expected, "{intruder}: {shown:?}");
        assert_eq!(levels(&players, &query).await, expected, "{intruder}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overtaken_answer_is_refused_where_nobody_has_read_since() {
    for intruder in ["set", "delete", "invalidate", "invalidate_all", "tag"] {
        let bench = FaultyBench::open().await;
        let players = bench.players();
        players.set(player("a", 1)).await.unwrap();
        let outside = bench.another().await.collection::<Player>().unwrap();
        let held = bench.truth_faults.hold_after(Operation::Select);
        let early = tokio::spawn({
            let players = players.with_tags(["front"]);
            async move { levels(&players, &Query::new()).await }
        });
        held.arrived().await;
        match intruder {
            "set" => drop(outside.set(player("a", 2)).await.and(players.set(player("a", 3)).await).unwrap()),
            "delete" => assert!(players.delete("a").await.unwrap()),
            "invalidate" => players.invalidate("b").await.unwrap(),
            "invalidate_all" => drop(players.invalidate_all().await.unwrap()),
            _ => players.invalidate_tag("front").await.unwrap(),
        }
        held.release();
        assert_eq!(early.await.unwrap(), [1]);
        assert_eq!(bench.store.stats().query_entries, 0, "{intruder}");
    }
}
