//! Answers while a tier is away or slow, loads ahead of an end, and life times that differ.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use store_testkit::servers::{PostgresOptions, PostgresServer};
use store_testkit::{Fault, ManualClock, Operation};
use strata::mem::MemTier;
use strata::{Collection, ErrorKind, Freshness, Role, Settings, Store};

use store_tests::models::{Player, city, player};
use store_tests::stacks::{FaultyBench, sqlite};
use store_tests::waiting::until;

const LIFE: Duration = Duration::from_secs(10);

async fn open(configure: impl Fn(&mut Settings) + 'static) -> FaultyBench {
    FaultyBench::open_with(|builder| {
        let builder = builder.schema_with::<Player>(|options| options.policies.near.ttl = LIFE.into());
        builder.configure(|settings| configure(settings))
    })
    .await
}

fn fail(bench: &FaultyBench) {
    bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    bench.truth_faults.outage(Fault::FailBefore(ErrorKind::L3Unavailable));
}

/// The level, and whether it is stale.
async fn read(players: &Collection<Player>, id: &str) -> Result<Option<(i64, bool)>, ErrorKind> {
    let answer = players.read(id).await.map_err(|error| error.kind())?;
    Ok(answer.map(|answer| (answer.level, answer.is_stale)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_known_record_is_answered_and_what_was_taken_away_is_not() {
    let bench = open(|settings| settings.stale_on_error = Some(Duration::from_secs(60))).await;
    let players = bench.players();
    players.set_many(["a", "deleted", "invalidated", "doubted", "committed"].map(|id| player(id, 1))).await.unwrap();
    assert!(players.delete("deleted").await.unwrap());
    players.invalidate("invalidated").await.unwrap();
    bench.truth_faults.next(Operation::PutMany, Fault::FailAfter(ErrorKind::L3Unavailable));
    players.set(player("doubted", 2)).await.unwrap_err();
    bench.truth_faults.next(Operation::Commit, Fault::FailAfter(ErrorKind::L3Unavailable));
    bench.store.tx().delete::<Player>("committed").commit().await.unwrap_err();
    let token = bench.store.token().await.unwrap().unwrap();
    assert_eq!(read(&players, "a").await, Ok(Some((1, false))));
    // Which gives it a slot in Redis.
    players.from(Role::Shared).get("a").await.unwrap();

    fail(&bench);
    // It ends before its commit, and so has deleted nothing.
    bench.store.tx().delete::<Player>("a").commit().await.unwrap_err();
    let known = async |players: &Collection<Player>| {
        assert_eq!(read(players, "a").await, Ok(Some((1, true))));
        for id in ["deleted", "invalidated", "doubted", "committed", "never there"] {
            assert_eq!(read(players, id).await, Err(ErrorKind::L3Unavailable), "{id}");
        }
    };
    // Its end has come, and so has that of the freshness lease.
    bench.clock.advance(LIFE);
    known(&players).await;
    known(&players.with_freshness(Freshness::Any)).await;
    known(&players.with_freshness(Freshness::Bounded(Duration::ZERO))).await;
    for freshness in [Freshness::Strong, Freshness::Session(token)] {
        assert_eq!(read(&players.with_freshness(freshness), "a").await, Err(ErrorKind::L3Unavailable));
    }
    assert!(bench.store.stats().stale_answers >= 3);
    // Beyond what the user allows, even that is an error, whatever Redis still holds.
    bench.clock.advance(Duration::from_secs(61));
    bench.shared_faults.heal();
    assert_eq!(read(&players, "a").await, Err(ErrorKind::L3Unavailable));

    bench.shared_faults.heal();
    bench.truth_faults.heal();
    assert_eq!(read(&players, "a").await, Ok(Some((1, false))));
    assert_eq!(read(&players, "deleted").await, Ok(None));
    assert_eq!(read(&players, "committed").await, Ok(None));
    assert_eq!(read(&players, "doubted").await, Ok(Some((2, false))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stale_unless_the_user_allows_it() {
    let bench = open(|_| {}).await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    fail(&bench);
    bench.clock.advance(LIFE);
    assert_eq!(read(&players, "a").await, Err(ErrorKind::L3Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_soft_limit_the_last_known_record_is_answered_while_the_load_goes_on() {
    let bench = open(|settings| {
        settings.stale_on_error = Some(Duration::from_secs(3_600));
        settings.soft_timeout = Some(Duration::from_millis(20));
    })
    .await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    bench.clock.advance(LIFE);
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    assert_eq!(read(&players, "a").await, Ok(Some((1, true))));
    held.arrived().await;
    assert_eq!(read(&players, "a").await, Ok(Some((1, true))), "and joins the load");
    let asked = bench.truth_faults.calls(Operation::GetMany);
    held.release();
    until("the load bring the record", async || players.peek("a").is_some()).await;
    assert_eq!(read(&players, "a").await, Ok(Some((1, false))));
    assert_eq!(bench.truth_faults.calls(Operation::GetMany), asked, "the load that went on brought it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_truth_holds_no_reader_up_beyond_the_soft_limit() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let tier = strata::pg::PgTier::connect(strata::pg::PgConfig::from_url(&server.url()).unwrap()).await.unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<Player>().configure(|settings| {
        settings.stale_on_error = Some(Duration::from_secs(3_600));
        settings.soft_timeout = Some(Duration::from_millis(100));
    });
    let players: Collection<Player> = builder.build().await.unwrap().collection().unwrap();
    players.set(player("a", 1)).await.unwrap();
    let fresh = players.with_freshness(Freshness::Bounded(Duration::ZERO));

    server.pause().unwrap();
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        assert_eq!(read(&fresh, "a").await, Ok(Some((1, true))));
        // Far below the limits of the call (15 s) and of a statement.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    server.resume().unwrap();
    until("the answer be fresh again", async || read(&fresh, "a").await == Ok(Some((1, false)))).await;
}

/// A read from memory alone, which the log has just been read for.
async fn from_memory(players: &Collection<Player>) -> i64 {
    // It reads the log; the next one, within the bound, does not.
    players.get("a").await.unwrap();
    players.get("a").now_or_never().expect("nobody waits for a load ahead").unwrap().unwrap().level
}

/// On one thread, a load that has counted its record has installed it when anybody else runs.
#[tokio::test]
async fn a_hot_record_is_loaded_ahead_of_its_end_and_nobody_waits() {
    let bench = open(|settings| settings.refresh_ahead = 0.2).await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let asked = || bench.truth_faults.calls(Operation::GetMany);
    bench.clock.advance(LIFE.mul_f64(0.16));
    for round in 1..=3 {
        bench.clock.advance(LIFE.mul_f64(0.5));
        assert_eq!(from_memory(&players).await, 1);
        assert_eq!(asked(), round - 1, "its end is not near");
        bench.clock.advance(LIFE.mul_f64(0.19));
        let held = bench.truth_faults.hold_after(Operation::GetMany);
        assert_eq!(from_memory(&players).await, 1);
        held.arrived().await;
        assert_eq!(from_memory(&players).await, 1);
        assert_eq!(asked(), round, "one load for all");
        held.release();
        until("the load have landed", async || bench.store.stats().l3_hits == round).await;
        // Past the former end, only what the load brought is there.
        bench.clock.advance(LIFE.mul_f64(0.16));
        assert!(players.with_freshness(Freshness::Any).peek("a").is_some());
        assert_eq!(asked(), round);
    }
}

/// On one thread, a load that never waits has ended once others had their turns.
#[tokio::test]
async fn a_load_ahead_that_fails_is_tried_again_after_longer_and_longer_pauses() {
    let bench = open(|settings| settings.refresh_ahead = 0.2).await;
    let players = bench.players().with_freshness(Freshness::Any);
    players.set(player("a", 1)).await.unwrap();
    bench.truth_faults.always(Operation::GetMany, Fault::FailBefore(ErrorKind::L3Unavailable));
    bench.clock.advance(LIFE.mul_f64(0.85));
    for _ in 0..50 {
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        bench.clock.advance(Duration::from_millis(25));
    }
    // At 0, 0.1, 0.3 and 0.7 seconds.
    assert!((3..=4).contains(&bench.truth_faults.calls(Operation::GetMany)), "{}", bench.truth_faults.calls(Operation::GetMany));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_voids_a_load_ahead() {
    let bench = open(|settings| settings.refresh_ahead = 0.2).await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    bench.clock.advance(LIFE.mul_f64(0.9));
    let held = bench.truth_faults.hold_after(Operation::GetMany);
    assert_eq!(from_memory(&players).await, 1);
    held.arrived().await;
    players.set(player("a", 2)).await.unwrap();
    let refused = bench.store.stats().fills_refused;
    held.release();
    until("the load be refused", async || {
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 2);
        bench.store.stats().fills_refused > refused
    })
    .await;
    assert_eq!(from_memory(&players).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jitter_shortens_each_life_by_no_more_than_its_part() {
    const MANY: i64 = 400;
    let (clock, (_directory, tier)) = (ManualClock::new(), sqlite().await);
    let given = clock.clone();
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<store_tests::models::City>().configure(move |settings| {
        settings.clock = Arc::new(given);
        settings.l1_ttl = Some(LIFE);
        settings.jitter = 0.5;
    });
    let cities = builder.build().await.unwrap().collection::<store_tests::models::City>().unwrap().with_freshness(Freshness::Any);
    cities.set_many((1..=MANY).map(city)).await.unwrap();
    // Where the log told of the batch before memory had it, memory has it from here.
    cities.get_many(1..=MANY).await.unwrap();
    let kept = || (1..=MANY).filter(|id| cities.peek(id).is_some()).count() as i64;
    clock.advance(LIFE / 2 - Duration::from_millis(1));
    assert_eq!(kept(), MANY, "none is shortened by more than a half");
    clock.advance(LIFE / 4);
    assert!((MANY / 4..MANY * 3 / 4).contains(&kept()), "{} of {MANY} after three quarters", kept());
    clock.advance(LIFE / 4 + Duration::from_millis(1));
    assert_eq!(kept(), 0, "none is lengthened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_heard_while_the_log_hangs() {
    let bench = open(|settings| settings.stale_on_error = Some(Duration::from_secs(3_600))).await;
    let players = bench.players();
    let another = bench.another().await;
    let other: Collection<Player> = another.collection().unwrap();
    let ids = ["deleted", "replaced", "invalidated"];
    players.set_many(ids.map(|id| player(id, 1))).await.unwrap();
    let at_hand = players.with_freshness(Freshness::Any);
    assert!(ids.iter().all(|id| at_hand.peek(*id).is_some()));
    // The follower's and the relayer's.
    let reads = [bench.truth_faults.hold_before(Operation::LogRead), bench.truth_faults.hold_before(Operation::LogRead)];
    for read in &reads {
        read.arrived().await;
    }
    assert!(other.delete("deleted").await.unwrap());
    other.set(player("replaced", 2)).await.unwrap();
    other.invalidate("invalidated").await.unwrap();
    until("memory has dropped what the messages name", async || ids.iter().all(|id| at_hand.peek(*id).is_none())).await;
    drop(reads);
}
