//! Content of the shared tier that no store wrote.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use strata::Collection;
use strata::{BoundSchema, Role, Schema};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::models::{Player, player};
use super::stacks::FaultyBench;

/// Keeps the warnings that are logged on this thread, as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warnings(pub(crate) Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);

        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }

        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

// On one thread, which the subscriber is set for.
#[tokio::test]
async fn foreign_content_is_counted_each_time_and_logged_once() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let bench = FaultyBench::open_after(["a", "b", "c"].map(|id| player(id, 1))).await;
    let players = bench.players();
    let schema = BoundSchema::standalone(Player::definition());
    for id in ["a", "b", "c"] {
        bench.shared.put_foreign_content(&schema, id);
    }

    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
    assert_eq!(bench.store.stats().errors, 1);
    assert!(players.exists("b").await.unwrap());
    assert_eq!(bench.store.stats().errors, 2);
    assert_eq!(players.get_many(["a", "b", "c"]).await.unwrap().iter().flatten().count(), 3);
    assert_eq!(bench.store.stats().errors, 4, "memory has one of the three");
    let stats = bench.store.stats();
    assert_eq!((stats.l2_hits, stats.l2_misses, stats.l3_hits), (0, 3, 3));
    {
        let warnings = warnings.0.lock().unwrap();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("schema=\"player\"") && warning.contains("no version of Strata"), "{warning}");
    }

    // As the warning says.
    players.set(player("a", 2)).await.unwrap();
    players.invalidate("b").await.unwrap();
    players.from(Role::Shared).get_many(["a", "b"]).await.unwrap();
    assert_eq!(bench.store.stats().errors, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_redis_that_no_build_wrote_are_errors_and_those_of_other_builds_are_not() {
    use store_testkit::servers::{RedisOptions, RedisServer};
    use strata::Store;
    use strata::redis::{RedisConfig, RedisTier};

    use super::stacks::open_sqlite;

    let server = RedisServer::start(&RedisOptions::default()).unwrap();
    let redis = RedisTier::connect(RedisConfig::from_url(&server.url()).unwrap()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::builder().tier(redis).tier(open_sqlite(&directory).await).schema::<Player>().build().await.unwrap();
    let players: Collection<Player> = store.collection().unwrap();
    players.set(player("a", 1)).await.unwrap();
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);

    // The script gives the command line what it has no bytes for, and makes each content of the record that the store wrote.
    let edit = async |content: &str| {
        // An invalidation would be a floor under the key for a while, and the slot would not even be looked at.
        server.command(&["DEL", "strata:player:a"]).unwrap();
        players.get("a").await.unwrap();
        let script = format!("local record = redis.call('GET', KEYS[1]); redis.call('SET', KEYS[1], {content}); return #record");
        assert!(server.command(&["EVAL", &script, "1", "strata:player:a"]).unwrap().parse::<usize>().unwrap() > 26);
        let before = store.stats();
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 1, "{content}");
        let after = store.stats();
        assert_eq!((after.l2_misses - before.l2_misses, after.l3_hits - before.l3_hits), (1, 1), "{content}");
        after.errors - before.errors
    };
    for garbage in
        ["'some text that is longer than the header of a record'", "''", "record:sub(1, 25)", "record:sub(1, -2)", "record .. 'x'", "'\\0'"]
    {
        assert_eq!(edit(garbage).await, 1, "{garbage}");
    }
    let (codec, fingerprint, layout) = (
        "record:sub(1, 1) .. '\\200' .. record:sub(3)",
        "record:sub(1, 2) .. 'another!' .. record:sub(11)",
        "string.char(record:byte(1) + 1) .. record:sub(2)",
    );
    for deployed in [codec, fingerprint, layout] {
        assert_eq!(edit(deployed).await, 0, "{deployed}");
    }
}
