//! A real Redis under loaders: other instances, and a server that is killed.

use std::time::Duration;

use store_testkit::servers::{RedisOptions, RedisServer};
use strata::mem::MemTier;
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, Load, Store};

use super::{Page, Source, held, held_at, kept, loaded, page};
use store_tests::models::{Player, player};
use store_tests::stacks::Stack;
use store_tests::waiting::until;

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_on_one_server_share_loads_and_invalidations() {
    let mut bench = Stack::MemRedis.open().await;
    let other_store = bench.another().await;
    let other = other_store.collection::<Player>().unwrap();
    let (players, source) = (bench.players(), Source::new());
    let load = held_at(&players, "a", &source, Load::value(player("a", 1))).await;
    let waiting = tokio::spawn({
        let (other, source) = (other.clone(), source.clone());
        async move { other.get_or_load("a", source.gives(Load::value(player("a", 9)))).await }
    });
    until("the other looked into memory", async || other_store.stats().l1_misses == 1).await;
    source.release();
    assert_eq!(load.await.unwrap().unwrap().unwrap().level, 1);
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().level, 1);
    assert_eq!(source.asked(), 1);

    for step in 0..3 {
        players.invalidate("a").await.unwrap();
        let load = held_at(&players, "a", &source, Load::value(player("a", 1))).await;
        match step {
            0 => other.invalidate("a").await.unwrap(),
            1 => drop(other.invalidate_all().await.unwrap()),
            _ => drop(other.set(player("a", 2)).await.unwrap()),
        }
        source.release();
        assert_eq!(load.await.unwrap().unwrap().unwrap().level, 1);
        assert_eq!(players.get("a").await.unwrap().map(|player| player.level), (step == 2).then_some(2), "{step}");
    }
}

async fn open(server: &RedisServer) -> Collection<Page> {
    let config = RedisConfig::from_url(&server.url()).unwrap();
    let tier = RedisTier::connect(config.with_read_timeout(LIMIT).with_write_timeout(LIMIT).with_dial_timeout(LIMIT)).await.unwrap();
    let builder =
        Store::builder().near(MemTier::new()).tier(tier).configure(|settings| settings.stale_on_error = Some(Duration::from_secs(600)));
    builder.schema::<Page>().build().await.unwrap().collection().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_costs_no_load() {
    let mut server = RedisServer::start(&RedisOptions::default()).unwrap();
    let (pages, source) = (open(&server).await, Source::new());
    assert_eq!(loaded(&pages, &source, Load::value(page("/", 1)).ttl(Duration::from_millis(50))).await, Some(1));

    let over = async || until("its life time is over", async || pages.peek("/").is_none()).await;
    over().await;

    // While loading.
    let load = held(&pages, &source, Load::value(page("/", 2)).ttl(Duration::from_millis(1))).await;
    server.kill().unwrap();
    source.release();
    assert_eq!(load.await.unwrap().unwrap().unwrap().body, 2);
    over().await;
    // Before. Memory knows the last one.
    assert_eq!(loaded(&pages, &source, Load::value(page("/", 3)).ttl(Duration::from_millis(1))).await, Some(3));
    over().await;
    let answer = pages.read_or_load("/", source.fails()).await.unwrap().unwrap();
    assert!(answer.is_stale);

    server.restart().unwrap();
    until("the slot is filled", async || {
        assert_eq!(pages.get_or_load("/", source.gives(Load::value(page("/", 4)))).await.unwrap().map(|page| page.body > 2), Some(true));
        server.command(&["EXISTS", "strata:page:/"]).unwrap().trim() == "1"
    })
    .await;
    assert_eq!(kept(&pages).await, Some(4));
}
