//! Commits of which nobody knows whether the truth took them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::{ErrorKind, Role, TransactionOptions};

use super::{level, raise, truth};
use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;
use store_tests::waiting::until;

/// Past the life time of memory's entries.
const PAST_L1: Duration = Duration::from_secs(5 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_shows_what_the_truth_has_made_of_it() {
    for (fault, now) in [
        (Fault::FailAfter(ErrorKind::L3Unavailable), (Some(2), None)),
        (Fault::FailAfter(ErrorKind::Timeout), (Some(2), None)),
        (Fault::FailBefore(ErrorKind::L3Unavailable), (Some(1), Some(1))),
        (Fault::FailBefore(ErrorKind::TransactionFailed), (Some(1), Some(1))),
    ] {
        for shared_is_away in [false, true] {
            let bench = FaultyBench::open().await;
            let players = bench.players();
            players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
            for id in ["a", "b"] {
                players.from(Role::Shared).get(id).await.unwrap();
            }
            bench.truth_faults.next(Operation::Commit, fault);
            if shared_is_away {
                bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
            }
            let failed = bench.store.transaction(async |tx| {
                raise(tx, "a").await?;
                tx.delete::<Player>("b").await
            });
            let error = failed.await.unwrap_err();
            assert_eq!(error.operation(), Some("transaction"));
            for _ in 0..2 {
                assert_eq!((level(&players, "a").await, level(&players, "b").await), now, "{fault:?}");
                bench.clock.advance(PAST_L1);
            }
            assert_eq!((truth(&players, "a").await, truth(&players, "b").await), now);
            bench.shared_faults.heal();
            let other = bench.another().await.collection::<Player>().unwrap();
            until("another instance sees it too", async || (level(&other, "a").await, level(&other, "b").await) == now).await;
        }
    }
}

/// A conflict that the work recovered from is no reason to do all of it again when nobody knows whether the commit was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_is_run_again() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let runs = AtomicUsize::new(0);
    let options = TransactionOptions { retries: 3, ..TransactionOptions::default() };
    let unknown = bench.store.transaction_with(options, async |tx| {
        runs.fetch_add(1, Ordering::Relaxed);
        bench.truth_faults.next(Operation::PutMany, Fault::Conflict);
        assert!(tx.savepoint(async |tx| tx.set(player("b", 1)).await).await.unwrap_err().is_retryable());
        bench.truth_faults.next(Operation::Commit, Fault::FailAfter(ErrorKind::L3Unavailable));
        raise(tx, "a").await
    });
    assert_eq!(unknown.await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    assert_eq!((runs.into_inner(), truth(&players, "a").await), (1, Some(2)));
}
