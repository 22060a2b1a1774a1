//! A shared tier that is the truth.

use store_testkit::{Fault, FaultTier, Faults, ModelRecords, Operation};
use strata::mem::MemTier;
use strata::{Collection, ErrorKind, Role, Store};

use store_tests::models::{Player, player};
use store_tests::waiting::until;

async fn open() -> (Collection<Player>, Faults, ModelRecords) {
    let shared = ModelRecords::new();
    let tier = FaultTier::new(shared.clone());
    let faults = tier.faults();
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema_with::<Player>(|options| options.policies.cache_only = true);
    (builder.build().await.unwrap().collection().unwrap(), faults, shared)
}

async fn level(players: &Collection<Player>) -> Option<i64> {
    players.get("a").await.unwrap().map(|player| player.level)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truth_that_is_away_is_an_error_where_memory_does_not_help() {
    let (players, faults, _) = open().await;
    players.set(player("a", 1)).await.unwrap();
    faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    assert_eq!(level(&players).await, Some(1));
    for error in [
        players.get("b").await.unwrap_err(),
        players.get_many(["a", "b"]).await.unwrap_err(),
        players.from(Role::Shared).get("a").await.unwrap_err(),
        players.from(Role::Truth).get_many(["a"]).await.unwrap_err(),
        players.exists("b").await.unwrap_err(),
        players.set(player("b", 1)).await.unwrap_err(),
        players.delete("b").await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.tier()), (ErrorKind::L2Unavailable, Some(Role::Shared)), "{error}");
        assert!(error.is_retryable());
    }
    faults.heal();
    until("the breaker lets calls through", async || players.get("b").await.is_ok()).await;
    assert_eq!(players.get("b").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_shows_as_the_truth_has_it() {
    for delete in [false, true] {
        for (fault, now) in
            [(Fault::FailAfter(ErrorKind::Timeout), Some(2).filter(|_| !delete)), (Fault::FailBefore(ErrorKind::Timeout), Some(1))]
        {
            let (players, faults, _) = open().await;
            players.set(player("a", 1)).await.unwrap();
            faults.next(Operation::Put, fault);
            faults.next(Operation::Delete, fault);
            let error = if delete { players.delete("a").await.map(drop) } else { players.set(player("a", 2)).await.map(drop) };
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
            assert_eq!(level(&players).await, now);
            assert_eq!(players.from(Role::Truth).get("a").await.unwrap().map(|player| player.level), now);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_a_write_overtakes_installs_nothing() {
    let (players, faults, _) = open().await;
    players.set(player("a", 1)).await.unwrap();
    players.invalidate("a").await.unwrap();
    let held = faults.hold_after(Operation::Fetch);
    let load = tokio::spawn({
        let players = players.clone();
        async move { level(&players).await }
    });
    held.arrived().await;
    players.set(player("a", 2)).await.unwrap();
    assert_eq!(level(&players).await, Some(2));
    held.release();
    assert_eq!(load.await.unwrap(), Some(1));
    assert_eq!(level(&players).await, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_truth_lost_is_lost_once_memory_lets_go() {
    let (players, _, shared) = open().await;
    let first = players.set(player("a", 1)).await.unwrap();
    shared.lose_everything();
    assert_eq!(level(&players).await, Some(1));
    players.invalidate("a").await.unwrap();
    assert_eq!(level(&players).await, None);
    // A record that is written anew is an insert: its stamp is.
    let again = players.set(player("a", 2)).await.unwrap();
    assert!(again.created_at >= first.created_at);
    assert_eq!(again.created_at, again.updated_at);
}
