//! A PostgreSQL whose files are put back as they were, below a shared tier and stores that go on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use store_testkit::servers::{PostgresOptions, PostgresServer};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::redis::RedisTier;
use strata::{Collection, Freshness, Role, Store};
use tokio::time::Instant;

use store_tests::models::{Player, player};
use store_tests::stacks::redis;
use store_tests::waiting::until;

/// How stale memory may be.
const BOUND: Duration = Duration::from_millis(500);
const PLAYERS: usize = 20;
/// The number of a transaction is far higher by then than the server will give while the test runs on what was put back.
const WRITES_SINCE: i64 = 60;

async fn open(postgres: &PostgresServer, redis: RedisTier) -> Store {
    let tier = PgTier::connect(PgConfig::from_url(&postgres.url()).unwrap()).await.unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(redis).tier(tier).schema::<Player>();
    builder.configure(|settings| settings.freshness = BOUND).build().await.unwrap()
}

fn id(number: usize) -> String {
    format!("player-{number}")
}

async fn level(players: &Collection<Player>, number: usize) -> Option<i64> {
    players.get(id(number)).await.ok()?.map(|player| player.level)
}

async fn shown(instances: &[Collection<Player>]) -> Vec<Option<i64>> {
    let mut shown = Vec::new();
    for players in instances {
        for number in 0..PLAYERS {
            shown.push(level(players, number).await);
        }
    }
    shown
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "the files were not copied");
}

/// Before any store can connect, the log gets further than it had ever come.
fn outgrow(postgres: &mut PostgresServer) {
    let settings = postgres.directory().join("data/postgresql.conf");
    let usual = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{usual}\nlisten_addresses = ''\n")).unwrap();
    postgres.restart().unwrap();
    let grow = format!(
        "DO $$ BEGIN FOR n IN 1..{} LOOP \
         INSERT INTO _strata_log (schema, key, version, kind) VALUES ('other', n, nextval('_strata_version'), 1); COMMIT; END LOOP; END $$",
        WRITES_SINCE * 20
    );
    postgres.query(&grow).unwrap();
    postgres.stop().unwrap();
    fs::write(&settings, usual).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shared_tier_has_from_a_truth_that_was_put_back_gets_into_no_memory() {
    put_back(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truth_that_was_put_back_is_noticed_however_far_its_log_has_come_since() {
    put_back(outgrow).await;
}

async fn put_back(since: impl FnOnce(&mut PostgresServer)) {
    let mut postgres = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let (redis, tier) = redis::open().await;
    let stores = [open(&postgres, tier).await, open(&postgres, redis.tier().await).await];
    let players = stores.each_ref().map(|store| store.collection::<Player>().unwrap());
    players[0].set_many((0..PLAYERS).map(|number| player(&id(number), 1))).await.unwrap();

    let (data, kept) = (postgres.directory().join("data"), postgres.directory().join("kept"));
    postgres.stop().unwrap();
    copy(&data, &kept);
    postgres.restart().unwrap();
    for written in 2..=WRITES_SINCE {
        let all = || (0..PLAYERS).map(|number| player(&id(number), written));
        until("the server takes writes again", async || players[0].set_many(all()).await.is_ok()).await;
    }
    for players in &players {
        for number in 0..PLAYERS {
            until("the last write is shown", async || level(players, number).await == Some(WRITES_SINCE)).await;
        }
    }
    // What is put back is noticed by a place in the log behind the copy: that of each instance, and that of the mark.
    for players in &players {
        players.clone().with_freshness(Freshness::Strong).get(id(0)).await.unwrap();
    }
    until("the mark has come past the last write", async || {
        let late = open(&postgres, redis.tier().await).await;
        let answer = late.collection::<Player>().unwrap().read(id(0)).await.unwrap();
        answer.is_some_and(|answer| answer.level == WRITES_SINCE && answer.tier == Role::Shared)
    })
    .await;

    postgres.stop().unwrap();
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&kept, &data).unwrap();
    since(&mut postgres);
    postgres.restart().unwrap();
    // As soon as an instance has looked at the log, it forgets what it had; and what the shared tier has may not come back into memory, where it would stay.
    until("every instance shows what was put back", async || shown(&players).await.iter().all(|level| *level == Some(1))).await;
    let noticed = Instant::now();
    while noticed.elapsed() < BOUND * 2 {
        assert_eq!(shown(&players).await, vec![Some(1); 2 * PLAYERS]);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    players[1].set(player(&id(0), 2)).await.unwrap();
    until("the other instance hears of a write", async || level(&players[0], 0).await == Some(2)).await;
    // The first that is opened fills the slot.
    until("the shared tier is believed again", async || {
        let late = open(&postgres, redis.tier().await).await;
        let answer = late.collection::<Player>().unwrap().read(id(0)).await.unwrap();
        answer.is_some_and(|answer| answer.level == 2 && answer.tier == Role::Shared)
    })
    .await;
}
