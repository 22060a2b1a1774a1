//! What befalls a Redis server, under two instances whose every read is checked against what was written.

use std::time::Duration;

use store_testkit::servers::{RedisOptions, RedisServer};
use strata::mem::MemTier;
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, Freshness, Role, Store};
use tempfile::TempDir;

use store_tests::models::{City, city};
use store_tests::stacks::open_sqlite;

const KEYS: i64 = 6;
const LIMIT: Duration = Duration::from_millis(300);

struct World {
    server: RedisServer,
    directory: TempDir,
    instances: [Collection<City>; 2],
    written: i64,
}

async fn open(server: &RedisServer, directory: &TempDir) -> Collection<City> {
    let config = RedisConfig::from_url(&server.url()).unwrap();
    let config = config.with_read_timeout(LIMIT).with_write_timeout(LIMIT).with_dial_timeout(LIMIT);
    let builder = Store::builder().near(MemTier::new()).tier(RedisTier::connect_lazily(config).unwrap()).tier(open_sqlite(directory).await);
    let builder = builder.configure(|settings| settings.breaker.cool_down = Duration::from_millis(50));
    builder.schema::<City>().build().await.unwrap().collection().unwrap()
}

impl World {
    async fn new(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let server = RedisServer::start(&RedisOptions { settings, ..RedisOptions::default() }).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let instances = [open(&server, &directory).await, open(&server, &directory).await];
        let mut world = World { server, directory, instances, written: 0 };
        world.check(3).await;
        world
    }

    /// Writes through either instance and reads through both, in every way.
    async fn check(&mut self, rounds: usize) {
        for round in 0..rounds {
            for key in 1..=KEYS {
                self.written += 1;
                let (writer, other) = (&self.instances[round % 2], &self.instances[1 - round % 2]);
                let expected = if self.written % 7 == 0 {
                    writer.delete(key).await.unwrap();
                    None
                } else {
                    writer.set(City { population: self.written, ..city(key) }).await.unwrap();
                    Some(self.written)
                };
                let population = |found: Option<std::sync::Arc<City>>| found.map(|city| city.population);
                assert_eq!(population(writer.get(key).await.unwrap()), expected, "the writer's own");
                let fresh = other.with_freshness(Freshness::Bounded(Duration::ZERO));
                assert_eq!(population(fresh.get(key).await.unwrap()), expected, "the other's, where it asks for every commit");
                // Both were told: from here on nothing older shows in any way.
                for instance in [writer, other] {
                    let shared = instance.from(Role::Shared).get(key).await.unwrap();
                    assert_eq!(shared.map(|city| city.population), expected);
                    assert_eq!(population(instance.get_many([key]).await.unwrap().remove(0)), expected);
                }
            }
        }
        // Who knows nothing but what Redis and the truth say.
        let newcomer = open(&self.server, &self.directory).await;
        for key in 1..=KEYS {
            let truth = newcomer.from(Role::Truth).get(key).await.unwrap().map(|city| city.population);
            let fresh = open(&self.server, &self.directory).await;
            assert_eq!(fresh.get(key).await.unwrap().map(|city| city.population), truth);
        }
    }

    fn command(&self, arguments: &[&str]) {
        self.server.command(arguments).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_evicts_or_is_full_shows_nothing_old() {
    let mut world = World::new(&[("maxmemory-policy", "allkeys-lru")]).await;
    // Room for next to nothing: slots, leases and marks come and go.
    let used = world.server.command(&["INFO", "memory"]).unwrap();
    let used: u64 = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap();
    world.command(&["CONFIG", "SET", "maxmemory", &(used + 2_000).to_string()]);
    world.check(6).await;
    // Room for nothing at all: evicted at once, or refused.
    world.command(&["CONFIG", "SET", "maxmemory", "1"]);
    world.check(4).await;
    world.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    world.check(4).await;
    world.command(&["CONFIG", "SET", "maxmemory", "0"]);
    world.check(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_emptied_or_drops_connections_shows_nothing_old() {
    let mut world = World::new(&[]).await;
    for round in 0..4 {
        world.command(&["FLUSHALL"]);
        world.check(2).await;
        world.command(&["CLIENT", "KILL", "TYPE", if round % 2 == 0 { "normal" } else { "pubsub" }]);
        world.check(2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_or_dies_shows_nothing_old() {
    let mut world = World::new(&[("save", ""), ("appendonly", "yes"), ("appendfsync", "everysec")]).await;
    world.server.pause().unwrap();
    world.check(2).await;
    world.server.resume().unwrap();
    world.check(3).await;
    world.server.kill().unwrap();
    world.check(2).await;
    world.server.restart().unwrap();
    world.check(3).await;
}
