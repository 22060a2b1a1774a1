//! Transactions that do not come to a commit.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use store_testkit::{Fault, Operation};
use strata::{ErrorKind, TransactionOptions};

use super::{level, raise, truth};
use store_tests::models::{Player, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench};

fn limited(limit: Duration) -> TransactionOptions {
    TransactionOptions { limit: Some(limit), ..TransactionOptions::default() }
}

/// Work that waits for something else for ever is ended; whoever waited for it goes on.
async fn a_time_out_rolls_back(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let began = Instant::now();
    let options = limited(Duration::from_millis(300));
    let waiting = bench.store.transaction_with(options, async |tx| {
        raise(tx, "a").await?;
        std::future::pending::<()>().await;
        Ok(())
    });
    let (ended, written) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        players.set(player("a", 7)).await
    });
    let error = ended.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::TransactionTimeout, Some("transaction")), "{error}");
    written.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((level(&players, "a").await, truth(&players, "a").await), (Some(7), Some(7)));
}

/// A panic passes through and leaves nothing behind.
async fn a_panic_rolls_back(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let store = bench.store.clone();
    let panicked = tokio::spawn(async move {
        store
            .transaction(async |tx| -> strata::Result<()> {
                raise(tx, "a").await?;
                panic!("on purpose");
            })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!((level(&players, "a").await, truth(&players, "a").await), (Some(1), Some(1)));
    players.set(player("a", 2)).await.unwrap();
    assert_eq!(level(&players, "a").await, Some(2));
}

/// A call whose future is dropped, or a savepoint's work, leaves nothing that could be committed.
async fn a_part_that_is_given_up_takes_all_with_it(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let given_up = async || {
        let call = bench.store.transaction(async |tx| {
            tx.set(player("b", 1)).await?;
            match tx.set(player("a", 2)).now_or_never() {
                None => Ok(()),
                // This thread was held up, and the tier quicker.
                Some(_) => Err(strata::Error::new(ErrorKind::NotFound, "it was not given up")),
            }
        });
        call.await.unwrap_err().kind()
    };
    let mut kind = given_up().await;
    while kind == ErrorKind::NotFound {
        kind = given_up().await;
    }
    assert_eq!(kind, ErrorKind::TransactionFailed);
    let savepoint = bench.store.transaction(async |tx| {
        let work = tx.savepoint(async |tx| {
            raise(tx, "a").await?;
            std::future::pending::<strata::Result<()>>().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(200), work).await.is_err());
        assert_eq!(tx.get::<Player>("a").await.unwrap_err().kind(), ErrorKind::TransactionFailed);
        Ok(())
    });
    assert_eq!(savepoint.await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    assert_eq!((level(&players, "a").await, truth(&players, "a").await, truth(&players, "b").await), (Some(1), Some(1), None));
}

/// A store that closes waits for a commit that began, and refuses one that did not.
async fn closing_ends_transactions(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let (store, began) = (bench.store.clone(), tokio::sync::Notify::new());
    let refused = async {
        store
            .transaction(async |tx| {
                raise(tx, "a").await?;
                began.notify_one();
                while store.health().is_open {
                    tokio::task::yield_now().await;
                }
                assert_eq!(tx.get::<Player>("a").await.unwrap_err().kind(), ErrorKind::Closed);
                Ok(())
            })
            .await
    };
    let (refused, closed) = tokio::join!(refused, async {
        began.notified().await;
        bench.store.close().await
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    closed.unwrap();
    let error = bench.store.transaction(async |_| Ok(())).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Closed, Some("transaction")));
}

on_stacks!(with_tables: [
    a_time_out_rolls_back,
    a_panic_rolls_back,
    a_part_that_is_given_up_takes_all_with_it,
    closing_ends_transactions,
]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setting_is_the_limit_of_all_others() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema::<Player>().configure(|settings| settings.transaction_timeout = Duration::from_millis(100))
    });
    let bench = bench.await;
    let ended = bench.store.transaction(async |tx| {
        tx.set(player("a", 1)).await?;
        std::future::pending::<strata::Result<()>>().await
    });
    let error = ended.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TransactionTimeout);
    assert!(error.to_string().contains("100ms") && error.to_string().contains("`transaction_timeout`"), "{error}");
    assert_eq!(level(&bench.players(), "a").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waits_takes_no_turn_of_the_writes_that_wait_for_it() {
    let bench = FaultyBench::open_with(|builder| builder.schema::<Player>().configure(|settings| settings.truth_writes = 1)).await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let began = Instant::now();
    let mut writing = None;
    bench
        .store
        .transaction(async |tx| {
            raise(tx, "a").await?;
            // It has the only turn, and waits for the file's only writer.
            let players = players.clone();
            writing = Some(tokio::spawn(async move { players.set(player("b", 1)).await }));
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        })
        .await
        .unwrap();
    writing.unwrap().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(2), Some(1)));
}

/// Of a caller that ran out of time, the write that follows in a transaction comes after the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_comes_after_writes_that_were_given_up() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let replaces = bench.shared_faults.hold_before(Operation::Replace);
    let given_up = tokio::spawn({
        let players = players.clone();
        async move { players.set(player("a", 2)).await }
    });
    replaces.arrived().await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    let begun = bench.truth_faults.calls(Operation::Begin);
    let error = bench.store.transaction_with(limited(Duration::from_millis(100)), async |tx| raise(tx, "a").await).await.unwrap_err();
    assert_eq!((error.kind(), bench.truth_faults.calls(Operation::Begin)), (ErrorKind::TransactionTimeout, begun));
    let (raised, ()) = tokio::join!(bench.store.transaction(async |tx| raise(tx, "a").await), async { replaces.release() });
    assert_eq!((raised.unwrap(), level(&players, "a").await, truth(&players, "a").await), (3, Some(3), Some(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_cannot_begin_says_why() {
    let bench = FaultyBench::open().await;
    bench.truth_faults.next(Operation::Begin, Fault::FailBefore(ErrorKind::L3Unavailable));
    let error = bench.store.transaction(async |_| -> strata::Result<()> { panic!("it never runs") }).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::L3Unavailable, Some("transaction")));
    assert!(error.is_retryable());
}
