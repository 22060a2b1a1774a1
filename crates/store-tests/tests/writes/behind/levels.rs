//! What a call answers at each level, and what sessions carry from it.

use std::time::Duration;

use strata::{Acknowledge, ErrorKind, Freshness, Token, WriteBehind};

use super::{Bench, acknowledged_by, level, on_truths, players, truth, unhurried};
use store_tests::models::{Player, player};

async fn the_level_of_the_truth_answers_what_is_stored(bench: &Bench) {
    let (store, _) = bench.open_with("a", acknowledged_by(Acknowledge::Truth)).await;
    let other = bench.open("b").await;
    let first = players(&store).set(player("a", 1)).await.unwrap();
    assert!(!first.is_pending());
    assert_eq!(truth(&other, "a").await, Some(1));
    let second = players(&store).set_many([player("a", 2), player("b", 1)]).await.unwrap();
    assert!(second[0].version() > first.version());
    assert!(players(&store).delete("a").await.unwrap());
    assert!(!players(&store).delete("a").await.unwrap());
    assert_eq!(players(&store).delete_many(["a", "b"]).await.unwrap(), 1);
    assert_eq!(truth(&other, "b").await, None);
    assert_eq!(store.stats().dirty_entries, 0);
}

async fn a_call_that_no_flush_answers_ends(bench: &Bench) {
    let short = |settings: &mut strata::Settings| settings.operation_timeout = Duration::from_millis(200);
    let (store, faults) = bench.open_with("a", |builder| acknowledged_by(Acknowledge::Truth)(builder).configure(short)).await;
    let players_of = players(&store);
    players_of.set(player("b", 1)).await.unwrap();
    faults.always(store_testkit::Operation::Begin, store_testkit::Fault::FailBefore(ErrorKind::L3Unavailable));
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        [
            players_of.set(player("a", 1)).await.unwrap_err(),
            players_of.set_many([player("a", 2), player("c", 2)]).await.unwrap_err(),
            players_of.delete_many(["b"]).await.unwrap_err(),
            players_of.import([player("d", 2)]).run().await.unwrap_err().into(),
        ]
    });
    let told = ended.await.unwrap().map(|error| (error.kind(), error.is_retryable(), error.operation().unwrap_or_default().to_owned()));
    let expected = ["set", "set_many", "delete_many", "import"].map(|call| (ErrorKind::Timeout, true, call.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(store.stats().dirty_entries, 4, "they may still be stored");
    faults.heal();
    store.flush().await.unwrap();
    assert_eq!((truth(&store, "a").await, truth(&store, "b").await, truth(&store, "d").await), (Some(2), None, Some(2)));
}

async fn calls_that_wait_together_share_a_flush(bench: &Bench) {
    let (store, faults) = bench.open_with("a", acknowledged_by(Acknowledge::Truth)).await;
    let writes = (0..50).map(|number| {
        let players = players(&store);
        tokio::spawn(async move { players.set(player(&format!("p{number}"), number)).await })
    });
    for write in writes.collect::<Vec<_>>() {
        assert!(!write.await.unwrap().unwrap().is_pending());
    }
    let flushes = faults.calls(store_testkit::Operation::Commit);
    assert!(flushes < 50, "{flushes} flushes");
}

async fn a_schema_may_have_a_level_of_its_own(bench: &Bench) {
    let (store, _) = bench
        .try_open("a", |builder| {
            builder.schema_with::<Player>(|options| _ = options.acknowledge(Acknowledge::Truth)).schema::<super::City>()
        })
        .await;
    let store = store.unwrap();
    assert!(!players(&store).set(player("a", 1)).await.unwrap().is_pending());
    assert!(store.collection::<super::City>().unwrap().set(store_tests::models::city(1)).await.unwrap().is_pending());
}

async fn the_interval_and_the_threshold_flush(bench: &Bench) {
    let quick = WriteBehind { flush_interval: Duration::from_millis(20), ..WriteBehind::default() };
    let (store, _) = bench.open_with("a", |builder| builder.write_behind(quick)).await;
    let by_number = WriteBehind { flush_threshold: 10, ..unhurried() };
    let (counting, _) = bench.open_with("b", |builder| builder.write_behind(by_number)).await;
    players(&store).set(player("a", 1)).await.unwrap();
    players(&counting).set_many((0..10).map(|number| player(&format!("p{number}"), number))).await.unwrap();
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while store.stats().dirty_entries + counting.stats().dirty_entries > 0 {
        assert!(tokio::time::Instant::now() < limit, "nothing flushes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_session_s_token_tells_of_pending_writes(bench: &Bench) {
    let (store, _) = bench.open_with("a", |builder| builder).await;
    let short = |builder: super::Builder| builder.configure(|settings| settings.operation_timeout = Duration::from_millis(600));
    let (other, _) = bench.open_with("b", short).await;
    assert!(!store.token().await.unwrap().unwrap().is_pending());
    players(&store).set(player("a", 1)).await.unwrap();
    let token: Token = store.token().await.unwrap().unwrap().to_string().parse().unwrap();
    assert!(token.is_pending());
    let session = |store| players(store).with_freshness(Freshness::Session(token.clone()));
    assert_eq!(level(&session(&store), "a").await, Some(1), "here it is seen at once");
    let error = session(&other).get("a").await.unwrap_err();
    assert!(error.kind() == ErrorKind::PendingElsewhere && error.is_retryable(), "{error}");
    assert_eq!(level(&players(&other), "a").await, None, "who does not ask for it need not wait");
    store.flush().await.unwrap();
    assert_eq!(level(&session(&other), "a").await, Some(1));
    assert_eq!(session(&other).get_many(["a"]).await.unwrap().iter().flatten().count(), 1);
    assert!(!store.token().await.unwrap().unwrap().is_pending());
}

on_truths![
    the_level_of_the_truth_answers_what_is_stored,
    a_call_that_no_flush_answers_ends,
    calls_that_wait_together_share_a_flush,
    a_schema_may_have_a_level_of_its_own,
    the_interval_and_the_threshold_flush,
    a_session_s_token_tells_of_pending_writes,
];
