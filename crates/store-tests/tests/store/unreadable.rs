//! Content of the shared tier that no store wrote.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use store_testkit::servers::{RedisOptions, RedisServer};
use strata::redis::{RedisConfig, RedisTier};
use strata::{BoundSchema, Collection, ErrorKind, Load, Role, Schema, Store};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use store_tests::models::{Player, player};
use store_tests::stacks::{FaultyBench, open_sqlite};

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
    let server = RedisServer::start(&RedisOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    write_earlier(&directory, [player("a", 1)]).await;
    let redis = RedisTier::connect(RedisConfig::from_url(&server.url()).unwrap()).await.unwrap();
    let store = Store::builder().tier(redis).tier(open_sqlite(&directory).await).schema::<Player>().build().await.unwrap();
    let players: Collection<Player> = store.collection().unwrap();
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

/// Writes before the store under test is there: that has heard of no version then which would keep another record from being believed, and its relayer has nothing to empty
/// slots for.
async fn write_earlier<const N: usize>(directory: &tempfile::TempDir, players: [Player; N]) {
    let earlier = Store::builder().tier(open_sqlite(directory).await).schema::<Player>().build().await.unwrap();
    earlier.collection().unwrap().set_many(players).await.unwrap();
    earlier.close().await.unwrap();
}

/// Makes a slot of Redis what another one is.
fn copy_slot(server: &RedisServer, from: &str, to: &str) {
    let script = "redis.call('SET', KEYS[2], redis.call('GET', KEYS[1])) return 'copied'";
    assert_eq!(server.command(&["EVAL", script, "2", from, to]).unwrap().trim(), "copied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_another_key_is_not_believed() {
    let server = RedisServer::start(&RedisOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    write_earlier(&directory, [player("a", 1), player("b", 2), player("c", 3)]).await;
    let redis = RedisTier::connect(RedisConfig::from_url(&server.url()).unwrap()).await.unwrap();
    let store = Store::builder().tier(redis).tier(open_sqlite(&directory).await).schema::<Player>().build().await.unwrap();
    let players: Collection<Player> = store.collection().unwrap();
    players.get_many(["a", "b", "c"]).await.unwrap();
    copy_slot(&server, "strata:player:b", "strata:player:a");
    let before = store.stats();
    for _ in 0..2 {
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
    }
    let after = store.stats();
    assert_eq!((after.errors - before.errors, after.l3_hits - before.l3_hits, after.l2_hits - before.l2_hits), (1, 1, 1), "it was mended");

    copy_slot(&server, "strata:player:c", "strata:player:b");
    let found = players.get_many(["a", "b", "c"]).await.unwrap();
    assert_eq!(found.into_iter().map(|player| player.unwrap().level).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.stats().errors - after.errors, 1);
}

/// What Redis alone holds.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(cache_only)]
struct Session {
    #[schema(primary_key)]
    region: String,
    #[schema(primary_key)]
    id: i64,
    user: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_another_key_is_an_error_where_there_is_no_other_copy() {
    let server = RedisServer::start(&RedisOptions::default()).unwrap();
    let redis = RedisTier::connect(RedisConfig::from_url(&server.url()).unwrap()).await.unwrap();
    let store = Store::builder().tier(redis).schema::<Session>().build().await.unwrap();
    let sessions: Collection<Session> = store.collection().unwrap();
    let session = |id: i64| Session { region: "e:u".to_owned(), id, user: format!("user {id}") };
    let key = |id: i64| ("e:u".to_owned(), id);
    sessions.set_many([session(1), session(2)]).await.unwrap();
    copy_slot(&server, "strata:session:e%3Au:1", "strata:session:e%3Au:2");
    for error in [
        sessions.get(key(2)).await.unwrap_err(),
        sessions.get_many([key(1), key(2)]).await.unwrap_err(),
        sessions.update(key(2), |session| session.user.clear()).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.schema(), error.key()), (ErrorKind::DecodeFailed, Some("session"), Some("e%3Au:2")), "{error}");
        assert!(error.to_string().contains("the record of another key"), "{error}");
    }
    sessions.set(session(2)).await.unwrap();
    assert_eq!(sessions.get(key(2)).await.unwrap().as_deref(), Some(&session(2)));

    // What a loader brought is a copy, and is loaded anew.
    let load = |id: i64| async move |_| Ok(Load::value(session(id)));
    for id in [3, 4] {
        sessions.get_or_load(key(id), load(id)).await.unwrap();
    }
    copy_slot(&server, "strata:session:e%3Au:3", "strata:session:e%3Au:4");
    assert_eq!(sessions.get_or_load(key(4), load(4)).await.unwrap().as_deref(), Some(&session(4)));
}
