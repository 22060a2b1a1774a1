//! A truth that is away, slow, or does not answer, and a journal that is full.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store_testkit::servers::{PostgresOptions, PostgresServer};
use store_testkit::{Fault, Operation};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{Acknowledge, Error, ErrorKind, Hooks, Role, Store, WriteBehind, WriteMode};

use super::{Bench, level, on_truths, players, schemas, truth, unhurried};
use store_tests::models::{Player, player};

const AWAY: Fault = Fault::FailBefore(ErrorKind::L3Unavailable);
const PATIENCE: Duration = Duration::from_secs(40);

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<ErrorKind>>>, Arc<AtomicUsize>);

impl Hooks<Player> for Told {
    fn on_write_error(&self, _: &str, error: &Error) {
        self.0.lock().unwrap().push(error.kind());
    }

    fn after_set(&self, _: &strata::Record<Player>) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

async fn what_is_pending_waits_for_the_truth(bench: &Bench) {
    let told = Told::default();
    let hooks = told.clone();
    let quick = WriteBehind { flush_interval: Duration::from_millis(1), max_retries: 2, ..WriteBehind::default() };
    let (store, faults) =
        bench.try_open("a", |builder| builder.write_behind(quick).schema_with::<Player>(|options| _ = options.hooks(hooks))).await;
    let (store, other) = (store.unwrap(), bench.open("b").await);
    faults.always(Operation::Begin, AWAY);
    players(&store).set(player("a", 1)).await.unwrap();
    until("the hook is told once the retries are used up", || !told.0.lock().unwrap().is_empty()).await;
    assert_eq!(*told.0.lock().unwrap(), [ErrorKind::WriteBehindMaxRetry]);
    let error = store.flush().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::L3Unavailable, Some("flush")));
    let health = store.health();
    assert!(!health.is_healthy());
    let behind = health.write_behind.unwrap();
    assert!(behind.pending == 1 && behind.failed_flushes >= 3 && behind.last_error.is_some());
    assert_eq!((level(&players(&store), "a").await, truth(&other, "a").await), (Some(1), None));
    players(&store).set(player("a", 2)).await.unwrap();

    faults.heal();
    until("it is flushed by itself", || store.stats().dirty_entries == 0 && store.health().is_healthy()).await;
    assert_eq!(truth(&other, "a").await, Some(2));
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
    assert_eq!(told.1.load(Ordering::Relaxed), 1, "stored once");
}

async fn a_lost_answer_to_a_commit_applies_nothing_twice(bench: &Bench) {
    let (store, faults) = bench.open_with("a", |builder| builder).await;
    let other = bench.open("b").await;
    players(&store).set_many([player("a", 1), player("b", 1)]).await.unwrap();
    faults.next(Operation::Commit, Fault::FailAfter(ErrorKind::L3Unavailable));
    assert_eq!(store.flush().await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    let version = players(&other).from(Role::Truth).get("a").await.unwrap().unwrap().version();
    assert_eq!(level(&players(&store), "a").await, Some(1));
    players(&store).set(player("b", 2)).await.unwrap();
    store.flush().await.unwrap();
    let now = players(&other).from(Role::Truth).get_many(["a", "b"]).await.unwrap();
    assert_eq!((now[0].as_ref().unwrap().version(), now[1].as_ref().unwrap().level), (version, 2));

    // One that was lost before it took effect is sent again.
    players(&store).set(player("a", 3)).await.unwrap();
    faults.next(Operation::Commit, AWAY);
    assert!(store.flush().await.is_err());
    store.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(3));
    assert_eq!(store.stats().dirty_entries, 0);
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
}

async fn writers_wait_for_room(bench: &Bench) {
    let narrow = WriteBehind { max_pending: 3, ..unhurried() };
    let (store, faults) = bench.open_with("a", |builder| builder.write_behind(narrow)).await;
    faults.always(Operation::Begin, AWAY);
    players(&store).set_many([player("a", 1), player("b", 1), player("c", 1)]).await.unwrap();
    let players_of = players(&store);
    let short = tokio::time::timeout(Duration::from_millis(100), players_of.set(player("d", 1)));
    assert!(short.await.is_err(), "there is no room");
    assert_eq!(store.stats().dirty_entries, 3);
    let waiting = tokio::spawn({
        let players = players(&store);
        async move { players.set_many((0..10).map(|number| player(&format!("p{number}"), number))).await }
    });
    faults.heal();
    waiting.await.unwrap().unwrap();
    store.flush().await.unwrap();
    assert_eq!(level(&players(&store), "d").await, None, "who gave up before there was room wrote nothing");
    assert_eq!(truth(&store, "p9").await, Some(9));
}

async fn a_call_that_waits_for_room_until_its_limit_passes_has_written_nothing(bench: &Bench) {
    let narrow = WriteBehind { max_pending: 2, acknowledge: Acknowledge::Truth, ..unhurried() };
    let (store, faults) = bench
        .open_with("a", |builder| {
            builder.write_behind(narrow).configure(|settings| settings.operation_timeout = Duration::from_millis(200))
        })
        .await;
    faults.always(Operation::Begin, AWAY);
    let players = players(&store);
    let taken = players.set_many([player("a", 1), player("b", 1)]).await.unwrap_err();
    assert!(taken.kind() == ErrorKind::Timeout && taken.to_string().contains("may have taken effect"), "{taken}");
    let told = tokio::time::timeout(PATIENCE, async {
        [
            players.set(player("a", 2)).await.unwrap_err(),
            players.set_many([player("b", 2), player("c", 2)]).await.unwrap_err(),
            players.delete("a").await.unwrap_err(),
            players.delete_many(["a", "b"]).await.unwrap_err(),
            players.import([player("d", 2)]).run().await.unwrap_err().into(),
        ]
    });
    for error in told.await.unwrap() {
        assert!(error.kind() == ErrorKind::Timeout && error.is_retryable(), "{error}");
        assert!(error.to_string().contains("nothing was written") && error.to_string().contains("`write_behind.max_pending`"), "{error}");
    }
    faults.heal();
    store.flush().await.unwrap();
    for (id, expected) in [("a", Some(1)), ("b", Some(1)), ("c", None), ("d", None)] {
        assert_eq!(truth(&store, id).await, expected, "{id}");
    }
}

async fn a_full_journal_refuses_until_a_flush_makes_room(bench: &Bench) {
    let small = WriteBehind { journal_bytes: 8_192, ..unhurried() };
    let (store, faults) = bench.open_with("a", |builder| builder.write_behind(small)).await;
    faults.always(Operation::Begin, AWAY);
    let mut written = 0;
    let refused = loop {
        match players(&store).set(player("a", written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the journal has no bound");
    };
    assert!(refused.kind() == ErrorKind::JournalUnavailable && refused.is_retryable(), "{refused}");
    assert!(refused.to_string().contains("`write_behind.journal_bytes`"), "{refused}");
    assert_eq!(level(&players(&store), "a").await, Some(written - 1), "what was refused is not pending");
    faults.heal();
    store.flush().await.unwrap();
    for number in 0..100 {
        players(&store).set(player("a", number)).await.unwrap();
        store.flush().await.unwrap();
    }
    assert_eq!(truth(&store, "a").await, Some(99));
}

async fn closing_flushes(bench: &Bench) {
    let other = bench.open("b").await;
    let store = bench.open("a").await;
    players(&store).set(player("a", 1)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(1));
    assert_eq!(players(&store).set(player("a", 2)).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(players(&store).get("a").await.unwrap_err().kind(), ErrorKind::Closed);
    store.close().await.unwrap();

    // Where that fails, it says what becomes of the rest, and the next store has it.
    let told = Told::default();
    let hooks = told.clone();
    let hasty = WriteBehind { flush_interval: Duration::from_millis(100), max_retries: 1, ..unhurried() };
    let (store, faults) =
        bench.try_open("c", |builder| builder.write_behind(hasty).schema_with::<Player>(|options| _ = options.hooks(hooks))).await;
    let store = store.unwrap();
    faults.always(Operation::Begin, AWAY);
    players(&store).set(player("a", 3)).await.unwrap();
    let error = store.close().await.unwrap_err();
    assert_eq!(*told.0.lock().unwrap(), [ErrorKind::WriteBehindMaxRetry], "once");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::WriteBehindMaxRetry, Some("close")));
    assert!(error.to_string().contains("1 writes could not be flushed") && error.to_string().contains("in the journal"), "{error}");
    let next = bench.open("c").await;
    next.flush().await.unwrap();
    assert_eq!(truth(&other, "a").await, Some(3));
}

async fn a_caller_who_gives_up_has_written_all_or_nothing(bench: &Bench) {
    let store = bench.open("a").await;
    let players = players(&store);
    for round in 0..40_i64 {
        let ids = ["a", "b", "c"];
        let write = players.set_many(ids.map(|id| player(id, round + 1)));
        let _ = tokio::time::timeout(Duration::from_micros(round as u64 * 20), write).await;
        let levels = || async {
            players.get_many(ids).await.unwrap().iter().map(|found| found.as_ref().map(|player| player.level)).collect::<Vec<_>>()
        };
        // It may be landing just now; then all of it does.
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = levels().await;
            if seen.iter().all(|level| *level == seen[0]) {
                break;
            }
            assert!(tokio::time::Instant::now() < limit, "{seen:?}");
        }
    }
    // What was on its way when its caller gave up is there, too.
    players.set(player("a", 1_000)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(truth(&store, "a").await, Some(1_000));
}

on_truths![
    what_is_pending_waits_for_the_truth,
    a_lost_answer_to_a_commit_applies_nothing_twice,
    writers_wait_for_room,
    a_call_that_waits_for_room_until_its_limit_passes_has_written_nothing,
    a_full_journal_refuses_until_a_flush_makes_room,
    closing_flushes,
    a_caller_who_gives_up_has_written_all_or_nothing,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_gets_all_of_it_once_it_is_back() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let journals = tempfile::tempdir().unwrap();
    let tier = PgTier::connect(PgConfig::from_url(&server.url()).unwrap()).await.unwrap();
    let quick = WriteBehind { flush_interval: Duration::from_millis(5), ..WriteBehind::default() };
    let builder = Store::builder().near(MemTier::new()).tier(tier).write_mode(WriteMode::WriteBehind);
    let store = schemas(builder.journal(journals.path()).write_behind(quick)).build().await.unwrap();
    let players = players(&store);
    for round in 0..3 {
        let writer = tokio::spawn({
            let players = players.clone();
            async move {
                for number in 0..200 {
                    players.set(player(&format!("p{}", number % 20), round * 1_000 + number)).await.unwrap();
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.kill().unwrap();
        writer.await.unwrap();
        assert_eq!(level(&players, "p19").await, Some(round * 1_000 + 199), "reads and writes go on");
        server.restart().unwrap();
        until("all of it is flushed", || store.stats().dirty_entries == 0).await;
    }
    for number in 0..20 {
        assert_eq!(truth(&store, &format!("p{number}")).await, Some(2_180 + number));
    }
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
    store.close().await.unwrap();
}
