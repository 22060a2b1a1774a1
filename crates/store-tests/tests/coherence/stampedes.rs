//! A thousand readers of one cold key, spread over four processes.

use std::sync::Arc;
use std::time::Duration;

use store_testkit::servers::{RedisOptions, RedisServer};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::redis::{RedisConfig, RedisTier};
use strata::{BoundSchema, Collection, Schema, Store, Tier};

use store_tests::models::{City, city};
use store_tests::processes::{Process, answer, wait_for_go};
use store_tests::stacks::postgres;
use store_tests::waiting::until;

/// Names the servers to the processes that are there to run [`reader`]: Redis and PostgreSQL, a space between.
const SERVERS: &str = "STRATA_TEST_STAMPEDE";
const PROCESSES: usize = 4;
const READERS: usize = 250;

/// Longer than a read of the truth may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn open(redis: &str, postgres: &str) -> Store {
    let redis = RedisTier::connect_lazily(RedisConfig::from_url(redis).unwrap().with_dial_timeout(Duration::from_secs(2))).unwrap();
    let postgres = PgTier::connect(PgConfig::from_url(postgres).unwrap().with_max_connections(4)).await.unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(redis).tier(postgres).schema::<City>();
    let builder = builder.configure(|settings| {
        settings.flight_wait = PATIENCE;
        settings.fill_lease = PATIENCE;
        // All readers wait for the slowest of calls.
        settings.operation_timeout = PATIENCE * 3;
    });
    builder.build().await.unwrap()
}

/// Not a test of its own: one of the processes of the tests below. It reads when it is told to, and answers how often it asked the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader() {
    let Ok(servers) = std::env::var(SERVERS) else { return };
    let (redis, postgres) = servers.split_once(' ').unwrap();
    let store = open(redis, postgres).await;
    let cities: Collection<City> = store.collection().unwrap();
    wait_for_go();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let cities = cities.clone();
            tokio::spawn(async move { cities.get(1).await })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().as_deref(), Some(&city(1)));
    }
    let stats = store.stats();
    answer(&(stats.l3_hits + stats.l3_misses).to_string());
}

/// How often each process asks the truth.
fn stampede(redis: &str, postgres: &str) -> Vec<u64> {
    let servers = format!("{redis} {postgres}");
    let mut readers: Vec<_> = (0..PROCESSES).map(|_| Process::start("stampedes::reader", &[(SERVERS, &servers)])).collect();
    readers.iter_mut().for_each(Process::go);
    let reads = readers.iter_mut().map(|reader| reader.answer().expect("the reader ends well").parse().unwrap()).collect();
    println!("{PROCESSES} processes of {READERS} readers each read the truth so often: {reads:?}");
    reads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_key_costs_one_read_of_the_truth_with_redis_and_one_a_process_without() {
    let mut server = RedisServer::start(&RedisOptions::default()).unwrap();
    let (database, _) = postgres::open().await;
    let (redis, postgres) = (server.url(), database.url());
    let store = open(&redis, &postgres).await;
    store.collection::<City>().unwrap().set(city(1)).await.unwrap();

    // The relayer voids leases on its way: it must have passed the write.
    let log = Arc::new(PgTier::connect(PgConfig::from_url(&postgres).unwrap()).await.unwrap()).facets().log.unwrap();
    let records = Arc::new(RedisTier::connect(RedisConfig::from_url(&redis).unwrap()).await.unwrap()).facets().records.unwrap();
    let (schemas, end) = ([Arc::new(BoundSchema::standalone(City::definition()))], store.token().await.unwrap().unwrap());
    until("the relayer has passed the write", async || {
        let marks = records.marks(&schemas).await.unwrap().remove(0);
        marks.iter().flatten().any(|mark| log.covers(&mark.position, end.place()))
    })
    .await;
    let run = async |redis: &str| {
        let (redis, postgres) = (redis.to_owned(), postgres.clone());
        tokio::task::spawn_blocking(move || stampede(&redis, &postgres)).await.unwrap()
    };
    assert_eq!(run(&redis).await.iter().sum::<u64>(), 1, "one of them all");

    server.kill().unwrap();
    assert_eq!(run(&redis).await, [1; PROCESSES], "one in each");
}
