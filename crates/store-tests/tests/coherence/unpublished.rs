//! Writes that the truth has taken while the shared tier is slow to be told.

use std::time::Duration;

use store_testkit::Operation;
use strata::{Collection, Freshness};

use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;

async fn level(players: &Collection<Player>) -> Option<i64> {
    players.get("a").await.unwrap().map(|player| player.level)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_asks_for_every_commit_sees_a_write_that_waits_for_the_shared_tier() {
    for batch in [false, true] {
        let bench = FaultyBench::open().await;
        let players = bench.players();
        players.set(player("a", 1)).await.unwrap();
        let held = bench.shared_faults.hold_before(Operation::Replace);
        let writing = tokio::spawn({
            let players = players.clone();
            async move {
                if batch {
                    players.set_many([player("a", 2), player("b", 2)]).await.map(drop)
                } else {
                    players.set(player("a", 2)).await.map(drop)
                }
            }
        });
        held.arrived().await;
        // Another instance shows it, and gives its token away.
        let elsewhere = bench.another().await;
        assert_eq!(level(&elsewhere.collection().unwrap()).await, Some(2));
        let token = elsewhere.token().await.unwrap().unwrap();
        assert_eq!(level(&players.with_freshness(Freshness::Session(token))).await, Some(2));
        assert_eq!(level(&players.with_freshness(Freshness::Bounded(Duration::ZERO))).await, Some(2));
        // Past the bound, the plain read does as well.
        bench.clock.advance(Duration::from_secs(2));
        assert_eq!(level(&players).await, Some(2));
        held.release();
        writing.await.unwrap().unwrap();
        assert_eq!(level(&players).await, Some(2));
    }
}
