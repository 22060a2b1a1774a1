//! The whole store: its handles, its signs of life and its end.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use store_testkit::{Fault, Operation};
use strata::{Error, ErrorKind, Load, Query, Role, Schema};

use store_tests::models::{Player, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench};

on_stacks!(everywhere: [
    a_closed_store_refuses_every_call,
    handles_of_one_store_are_one,
    calls_may_be_polled_outside_of_a_runtime,
]);

async fn a_closed_store_refuses_every_call(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    bench.store.ping().await.unwrap();
    bench.store.close().await.unwrap();
    bench.store.clone().close().await.unwrap();
    let mut errors = vec![
        bench.store.ping().await.unwrap_err(),
        players.get("a").await.unwrap_err(),
        players.get_record("a").await.unwrap_err(),
        players.get_or_err("a").await.unwrap_err(),
        players.get_many(["a"]).await.unwrap_err(),
        players.set(player("a", 2)).await.unwrap_err(),
        players.set_many([player("a", 2)]).await.unwrap_err(),
        players.delete("a").await.unwrap_err(),
        players.delete_many(["a"]).await.unwrap_err(),
        players.exists("a").await.unwrap_err(),
        players.count(Query::new()).await.unwrap_err(),
        players.search(Query::new()).await.unwrap_err(),
        players.page(Query::new()).await.unwrap_err(),
        players.stream(Query::new()).err().unwrap(),
        players.select(Query::new(), Player::level()).await.unwrap_err(),
        players.invalidate("a").await.unwrap_err(),
        players.invalidate_all().await.unwrap_err(),
        players.warm(None).await.unwrap_err(),
        players.get_or_load("a", |_| async { Ok(Load::value(player("a", 1))) }).await.unwrap_err(),
        players.read_or_load("a", |_| async { Ok(Load::value(player("a", 1))) }).await.unwrap_err(),
        players.get_or_load_many(["a"], |_| async { Ok(Vec::new()) }).await.unwrap_err(),
    ];
    for role in [Role::Near, Role::Shared, Role::Truth] {
        let lower = players.from(role);
        errors.push(lower.get("a").await.unwrap_err());
        errors.push(lower.get_many(["a"]).await.unwrap_err());
        errors.push(lower.search(Query::new()).await.unwrap_err());
        errors.push(lower.count(Query::new()).await.unwrap_err());
        errors.push(lower.stream(Query::new()).err().unwrap());
    }
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(error.to_string().contains("build a new store") && error.operation().is_some(), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(players.peek("a"), None);
    assert_eq!(players.peek_with("a", |_| ()), None);
    assert_eq!(bench.store.stats().l1_entries, 0);
}

async fn handles_of_one_store_are_one(bench: &Bench) {
    let (players, store) = (bench.players(), bench.store.clone());
    players.clone().set(player("a", 1)).await.unwrap();
    assert_eq!(store.collection::<Player>().unwrap().get("a").await.unwrap().unwrap().level, 1);
    assert_eq!(store.stats().sets, 1);

    /// Nobody gave it to the builder.
    #[derive(Debug, Schema)]
    struct Stranger {
        #[schema(primary_key)]
        id: i64,
    }
    let error = store.collection::<Stranger>().unwrap_err();
    assert_eq!((error.kind(), error.schema()), (ErrorKind::SchemaNotFound, Some("stranger")));
    assert!(error.to_string().contains(std::any::type_name::<Stranger>()), "{error}");
    assert!(error.to_string().contains("add `.schema::<Stranger>()`"), "{error}");
    assert!(format!("{store:?} {players:?} {:?}", players.from(Role::Truth)).contains("player"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_the_writes_under_way_and_lets_no_more_in() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    let held = bench.truth_faults.hold_before(Operation::PutMany);
    let write = tokio::spawn({
        let players = players.clone();
        async move { players.set(player("a", 1)).await }
    });
    held.arrived().await;
    let closing = tokio::spawn({
        let store = bench.store.clone();
        async move { store.close().await }
    });
    // The store is closing as soon as it refuses.
    while players.set(player("b", 1)).await.err().map(|error| error.kind()) != Some(ErrorKind::Closed) {
        tokio::task::yield_now().await;
    }
    assert!(!closing.is_finished());
    assert_eq!(bench.truth_faults.calls(Operation::Close), 0);
    held.release();
    assert_eq!(write.await.unwrap().unwrap().level, 1);
    closing.await.unwrap().unwrap();
    assert!(bench.another().await.collection::<Player>().unwrap().exists("a").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_a_close_overtakes_are_told_the_truth() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    let (writing, counting) = (bench.truth_faults.hold_before(Operation::PutMany), bench.truth_faults.hold_before(Operation::Count));
    let mut write = std::pin::pin!(players.set(player("a", 1)));
    let mut count = std::pin::pin!(players.count(Query::new()));
    assert!(write.as_mut().now_or_never().is_none());
    assert!(count.as_mut().now_or_never().is_none());
    writing.arrived().await;
    counting.arrived().await;
    let closing = tokio::spawn({
        let store = bench.store.clone();
        async move { store.close().await }
    });
    while bench.store.health().is_open {
        tokio::task::yield_now().await;
    }
    writing.release();
    closing.await.unwrap().unwrap();
    // They are not polled before the end.
    assert_eq!(write.await.unwrap().level, 1);
    let error = count.await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Closed, Some("count")));
    assert!(error.to_string().contains("`close` was called"), "{error}");
    assert!(bench.another().await.collection::<Player>().unwrap().exists("a").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_among_many_writes_tells_each_what_became_of_it() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    let writes = (0..300).map(|number| {
        let players = players.clone();
        tokio::spawn(async move { (number, players.set(player(&format!("p{number}"), number)).await.map(|_| ())) })
    });
    let writes: Vec<_> = writes.collect();
    tokio::task::yield_now().await;
    bench.store.close().await.unwrap();
    let another = bench.another().await.collection::<Player>().unwrap();
    for write in writes {
        let (number, answer) = write.await.unwrap();
        let is_stored = another.exists(&format!("p{number}")).await.unwrap();
        assert_eq!(answer.is_ok(), is_stored, "{number}: {answer:?}");
        if let Err(error) = answer {
            assert!(error.kind() == ErrorKind::Closed && error.to_string().contains("`close` was called"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_was_given_up_can_be_repeated() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    let held = bench.truth_faults.hold_before(Operation::PutMany);
    let write = tokio::spawn(async move { players.set(player("a", 1)).await });
    held.arrived().await;
    assert!(tokio::time::timeout(Duration::from_millis(10), bench.store.close()).await.is_err());
    held.release();
    write.await.unwrap().unwrap();
    bench.store.close().await.unwrap();
    assert_eq!((bench.shared_faults.calls(Operation::Close), bench.truth_faults.calls(Operation::Close)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_of_life_names_the_tier_that_gives_none() {
    let bench = FaultyBench::open().await;
    bench.store.ping().await.unwrap();
    let said = |error: Error| (error.kind(), error.tier(), error.operation());
    bench.truth_faults.always(Operation::Ping, Fault::FailBefore(ErrorKind::L3Unavailable));
    let error = bench.store.ping().await.unwrap_err();
    assert_eq!(said(error), (ErrorKind::L3Unavailable, Some(Role::Truth), Some("ping")));
    bench.shared_faults.always(Operation::Ping, Fault::FailBefore(ErrorKind::L2Unavailable));
    let error = bench.store.ping().await.unwrap_err();
    assert_eq!(said(error), (ErrorKind::L2Unavailable, Some(Role::Shared), Some("ping")), "the nearest one first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_that_does_not_close_in_order_keeps_no_other_from_it() {
    let bench = FaultyBench::open().await;
    bench.shared_faults.next(Operation::Close, Fault::FailBefore(ErrorKind::L2Unavailable));
    let error = bench.store.close().await.unwrap_err();
    assert_eq!((error.tier(), error.operation()), (Some(Role::Shared), Some("close")));
    assert_eq!(bench.truth_faults.calls(Operation::Close), 1);
    assert_eq!(bench.players().get("a").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_outlives_the_store_leaves_nothing_behind() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    players.invalidate("a").await.unwrap();
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    let read = tokio::spawn({
        let players = players.clone();
        async move { players.get("a").await }
    });
    held.arrived().await;
    bench.store.close().await.unwrap();
    held.release();
    let _ = read.await.unwrap();
    assert_eq!(players.get("a").await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(players.peek("a"), None);
}

#[test]
fn a_store_that_outlives_its_runtime_refuses_every_call() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let building = runtime();
    let bench = building.block_on(FaultyBench::open());
    let (store, players) = (&bench.store, bench.players());
    building.block_on(players.set_many(["a", "b"].map(|id| player(id, 1)))).unwrap();
    let mut rows = building.block_on(async {
        let mut rows = players.stream(Query::new()).unwrap();
        rows.next().await.unwrap().unwrap();
        rows
    });
    assert!(store.health().is_healthy());
    drop(building);

    assert!(!store.health().is_open && !store.health().is_healthy());
    assert!(players.peek("a").is_none());
    let calls = async || {
        for error in [
            players.get("a").await.unwrap_err(),
            players.get("c").await.unwrap_err(),
            players.get_many(["a", "c"]).await.unwrap_err(),
            players.exists("a").await.unwrap_err(),
            players.from(Role::Shared).get("a").await.unwrap_err(),
            players.from(Role::Truth).get("a").await.unwrap_err(),
            players.search(Query::new()).await.unwrap_err(),
            players.count(Query::new()).await.unwrap_err(),
            players.stream(Query::new()).err().unwrap(),
            players.set(player("b", 1)).await.unwrap_err(),
            players.delete("a").await.unwrap_err(),
            players.invalidate("a").await.unwrap_err(),
            players.invalidate_all().await.unwrap_err(),
            store.ping().await.unwrap_err(),
            store.token().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            assert!(error.to_string().contains("the runtime that the store was built in has ended") && !error.is_retryable(), "{error}");
            assert!(error.operation().is_some(), "{error}");
        }
    };
    runtime().block_on(async {
        calls().await;
        assert_eq!(rows.next().await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
        assert!(rows.next().await.is_none());
    });
    elsewhere(async {
        calls().await;
        store.close().await.unwrap();
    });
    assert_eq!((bench.shared_faults.calls(Operation::Close), bench.truth_faults.calls(Operation::Close)), (1, 1));
}

#[test]
fn a_call_whose_runtime_ends_under_it_is_told_so() {
    let building = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bench = building.block_on(FaultyBench::open());
    let players = bench.players();
    let held = bench.truth_faults.hold_before(Operation::Count);
    let error = elsewhere(async {
        // It is counted by its caller, in no task of the store's.
        let mut count = std::pin::pin!(players.count(Query::new()));
        assert!(count.as_mut().now_or_never().is_none());
        building.block_on(held.arrived());
        building.shutdown_background();
        count.await.unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
}

/// Another executor than tokio's: it polls on a thread that belongs to no runtime.
fn elsewhere<R: Send>(future: impl Future<Output = R> + Send) -> R {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let run = || {
        let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
        let mut context = std::task::Context::from_waker(&waker);
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut context) {
                std::task::Poll::Ready(answer) => return answer,
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

async fn calls_may_be_polled_outside_of_a_runtime(bench: &Bench) {
    let players = bench.players();
    elsewhere(async {
        players.set(player("a", 1)).await.unwrap();
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
        assert!(players.get("nobody").await.unwrap().is_none());
        assert_eq!(players.get_many(["a", "b"]).await.unwrap().iter().flatten().count(), 1);
        assert!(players.exists("a").await.unwrap());
        if bench.stack.has_tables() {
            assert_eq!(players.search(Query::new()).await.unwrap().len(), 1);
            let streamed: Vec<_> = players.stream(Query::new()).unwrap().collect().await;
            assert_eq!(streamed.len(), 1);
        }
        players.invalidate("a").await.unwrap();
        assert!(players.delete("a").await.unwrap());
        bench.store.ping().await.unwrap();
        bench.store.token().await.unwrap();
        bench.store.close().await.unwrap();
    });
}
