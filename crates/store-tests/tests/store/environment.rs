//! `Store::from_env`, in processes of their own: variables belong to all threads of one.

use std::ffi::OsStr;
use std::process::Command;

use strata::{Setup, Store};

use store_tests::models::{Player, player};

/// Set in the processes that are there to run [`child`].
const CHILD: &str = "STRATA_TEST_CHILD";

/// Runs [`child`] with these variables and no others of Strata's, and answers what it printed.
fn with(variables: &[(&str, &OsStr)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("the test has a file"));
    command.args(["--exact", "environment::child", "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("STRATA_") || name == "DATABASE_URL" || name == "REDIS_URL") {
            command.env_remove(name);
        }
    }
    command.env(CHILD, "1").envs(variables.iter().copied());
    let output = command.output().expect("the test can be run again");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

fn with_text(variables: &[(&str, &str)]) -> String {
    with(&variables.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect::<Vec<_>>())
}

/// Opens a store as its variables say, writes, reads, and tells how it went, to the test that started this process for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let builder = match Store::from_env().await {
        Ok(builder) => builder,
        Err(error) => return println!("refused: {error:?}"),
    };
    println!("builder: {builder:?}");
    let built = builder
        .schema_with::<Player>(|options| {
            // Redis is shared: names of its own, and nothing left behind.
            let name = format!("player_{}", uuid::Uuid::new_v4().simple());
            options.policies.truth.table = Some(name.clone());
            options.policies.shared.key_prefix = Some(name);
        })
        .build()
        .await;
    let store = match built {
        Ok(store) => store,
        Err(error) => return println!("not built: {error:?}"),
    };
    let players = store.collection::<Player>().unwrap();
    players.set(player("a", 1)).await.unwrap();
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
    println!("ping: {:?}, {:?}", store.ping().await, store.health());
    players.delete("a").await.unwrap();
    store.close().await.unwrap();
    println!("done: {store:?}");
}

#[track_caller]
fn check(printed: &str, said: &[&str]) {
    for said in said {
        assert!(printed.contains(said), "`{said}` is not in: {printed}");
    }
}

#[test]
fn an_embedded_store_needs_one_variable() {
    let directory = tempfile::tempdir().unwrap();
    for (number, prefix) in ["sqlite:", "sqlite://", "SQLite:"].into_iter().enumerate() {
        let file = directory.path().join(format!("{number}.db"));
        let printed = with_text(&[("DATABASE_URL", &format!("{prefix}{}", file.display()))]);
        check(&printed, &["ping: Ok", "done: ", "\"memory\", \"sqlite\""]);
        assert!(file.exists());
    }
}

#[test]
fn without_a_truth_the_model_is_refused() {
    check(&with(&[]), &["not built: InvalidConfig", "schema `player`: it needs a tier of truth"]);
    check(&with_text(&[("DATABASE_URL", ""), ("REDIS_URL", "")]), &["not built: InvalidConfig"]);
}

#[test]
fn every_setting_has_a_variable() {
    let printed = with_text(&[
        ("STRATA_L1_TTL", "90s"),
        ("STRATA_L1_MAX_ENTRIES", "5000"),
        ("STRATA_L1_EVICTION", "lfu"),
        ("STRATA_L2_TTL", "never"),
        ("STRATA_WRITE_MODE", "write_through_lazy_l1"),
        ("STRATA_UPGRADE_POLICY", "write_back"),
        ("STRATA_JOURNAL", "/var/lib/game/journal"),
        ("STRATA_WRITE_BEHIND_FLUSH_INTERVAL", "50ms"),
        ("STRATA_WRITE_BEHIND_FLUSH_THRESHOLD", "11"),
        ("STRATA_WRITE_BEHIND_MAX_RETRIES", "3"),
        ("STRATA_WRITE_BEHIND_MAX_PENDING", "99"),
        ("STRATA_WRITE_BEHIND_JOURNAL_BYTES", "65536"),
        ("STRATA_WRITE_BEHIND_SKIP_DAMAGE_UP_TO", "78"),
        ("STRATA_WRITE_BEHIND_ACKNOWLEDGE", "truth"),
        ("STRATA_NEGATIVE_TTL", "7s"),
        ("STRATA_FILL_LEASE", "250ms"),
        ("STRATA_LOAD_TIMEOUT", "45s"),
        ("STRATA_OPERATION_TIMEOUT", "2m"),
        ("STRATA_TRANSACTION_TIMEOUT", "9s"),
        ("STRATA_FLIGHT_WAIT", "80ms"),
        ("STRATA_FRESHNESS", "400ms"),
        ("STRATA_LOG_RETENTION", "20m"),
        ("STRATA_STALE_ON_ERROR", "1h"),
        ("STRATA_SOFT_TIMEOUT", "30ms"),
        ("STRATA_REFRESH_AHEAD", "0.25"),
        ("STRATA_JITTER", "0.5"),
        ("STRATA_QUERY_MAX_ENTRIES", "40"),
        ("STRATA_QUERY_MAX_ROWS", "41"),
        ("STRATA_TRUTH_READS", "32"),
        ("STRATA_TRUTH_WRITES", "33"),
        ("STRATA_VERIFY", "0.125"),
        ("STRATA_BREAKER", "false"),
        ("STRATA_BREAKER_FAILURES", "9"),
        ("STRATA_BREAKER_COOL_DOWN", "3s"),
        ("STRATA_BREAKER_LONGEST_COOL_DOWN", "1m"),
        ("STRATA_RETRIES", "4"),
        ("STRATA_UPDATE_RETRIES", "30"),
        ("STRATA_CREATE_TABLES", "false"),
        ("STRATA_MIGRATION_MIGRATOR_WAIT", "31s"),
        ("STRATA_MIGRATION_LOCK_TIMEOUT", "32s"),
        ("STRATA_MIGRATION_PATIENCE", "33s"),
        ("STRATA_MIGRATION_LARGE_TABLE", "34"),
        ("STRATA_MIGRATION_PARTITION_UPKEEP", "35s"),
        ("STRATA_CODEC", "postcard"),
        ("STRATA_TEST_ANYTHING", "is not looked at"),
    ]);
    let settings = [
        "l1_ttl: Some(90s)",
        "l1_max_entries: Some(5000)",
        "l1_eviction: Lfu",
        "l2_ttl: None",
        "write_mode: WriteThroughLazyL1",
        "upgrade_policy: WriteBack",
        "journal: Some(\"/var/lib/game/journal\")",
        "write_behind: WriteBehind { flush_interval: 50ms, flush_threshold: 11, max_retries: 3, max_pending: 99, journal_bytes: 65536, skip_damage_up_to: 78, acknowledge: Truth }",
        "query_max_entries: 40",
        "query_max_rows: 41",
        "negative_ttl: Some(7s)",
        "fill_lease: 250ms",
        "load_timeout: 45s",
        "operation_timeout: 120s",
        "transaction_timeout: 9s",
        "flight_wait: 80ms",
        "freshness: 400ms",
        "log_retention: 1200s",
        "stale_on_error: Some(3600s)",
        "soft_timeout: Some(30ms)",
        "refresh_ahead: 0.25",
        "jitter: 0.5",
        "truth_reads: 32",
        "truth_writes: 33",
        "verify: 0.125",
        "breaker: BreakerSettings { enabled: false, failures: 9, cool_down: 3s, longest_cool_down: 60s }",
        "retries: 4",
        "update_retries: 30",
        "create_tables: false",
        "migration: MigrationSettings { migrator_wait: 31s, lock_timeout: 32s, patience: 33s, large_table: 34, partition_upkeep: 35s }",
        "codec: Postcard",
    ];
    check(&printed, &settings);
    check(&with_text(&[("STRATA_CODEC", "json")]), &["codec: Json"]);
    check(&with_text(&[("STRATA_CODEC", "messagepack")]), &["codec: MessagePack"]);
}

#[test]
fn a_variable_that_cannot_be_used_is_named_and_its_value_is_not_told() {
    for (name, value, said) in [
        ("STRATA_L1_TLL", "5s", "is not a setting; the settings are"),
        ("STRATA_L1_TTL", "5 hunter2", "is not a duration above zero and up to a century such as"),
        ("STRATA_L1_TTL", "0s", "is not a duration above zero and up to a century such as"),
        ("STRATA_L2_TTL", "hunter2", "never"),
        ("STRATA_L1_MAX_ENTRIES", "-1", "is not a whole number"),
        ("STRATA_L1_EVICTION", "hunter2", "is none of: lru, lfu, fifo"),
        ("STRATA_WRITE_MODE", "hunter2", "is none of: write_through"),
        ("STRATA_WRITE_BEHIND_ACKNOWLEDGE", "hunter2", "is none of: memory, journal, truth"),
        ("STRATA_WRITE_BEHIND_FLUSH_THRESHOLD", "0", "is not a whole number from 1 up"),
        ("STRATA_CREATE_TABLES", "yes", "is not `true` or `false`"),
        ("STRATA_CODEC", "hunter2", "is none of: postcard, json, messagepack"),
        ("STRATA_SQLITE_SYNCHRONOUS", "hunter2", "is none of: full, normal"),
        ("DATABASE_URL", "sqlite:", "a file's path"),
        ("DATABASE_URL", "sqlite:a.db?mode=hunter2", "without options"),
        ("DATABASE_URL", "mysql://root:hunter2@localhost/x", "begins neither with `postgres://` nor with `sqlite:`"),
        ("DATABASE_URL", "root:hunter2@localhost/x", "put `postgres://` in front of a server's address"),
        ("STRATA_L1_MAX_ENTRIES", "0", "is not a whole number from 1 up; unset it for no limit"),
        ("STRATA_BREAKER_FAILURES", "0", "is not a whole number from 1 up; to turn the breakers off, set STRATA_BREAKER=false"),
        ("STRATA_BREAKER_LONGEST_COOL_DOWN", "1ms", "is 1ms, below STRATA_BREAKER_COOL_DOWN, which is 1s"),
        ("STRATA_RETRIES", "11", "is not a whole number from 0 to 10"),
        ("STRATA_FILL_LEASE", "99999d", "up to a century"),
        ("STRATA_JITTER", "1", "is not a part from 0 to below 1"),
        ("STRATA_SOFT_TIMEOUT", "1s", "has no effect without STRATA_STALE_ON_ERROR"),
        ("STRATA_LOG_RETENTION", "1m", "is below ten minutes"),
        ("STRATA_FRESHNESS", "0s", "is not a duration above zero"),
    ] {
        let printed = with_text(&[(name, value)]);
        check(&printed, &["refused: InvalidConfig", name, said]);
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    let list = "postgres://localhost/x, postgres://hunter2@localhost/y?sslmode=perhaps,";
    let printed = with_text(&[("STRATA_PG_READ_REPLICA_URL", list), ("DATABASE_URL", "postgres://localhost/x")]);
    check(&printed, &["refused: InvalidConfig", "STRATA_PG_READ_REPLICA_URL has a URL that cannot be used", "sslmode"]);
    assert!(!printed.contains("hunter2"), "{printed}");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        check(&with(&[("STRATA_L1_TTL", OsStr::from_bytes(b"\xFF"))]), &["refused: InvalidConfig", "STRATA_L1_TTL is not valid Unicode"]);
    }
    check(&with_text(&[("REDIS_URL", "127.0.0.1:6379")]), &["refused: InvalidConfig", "REDIS_URL has no scheme; put `redis://` in front"]);
    check(
        &with_text(&[("STRATA_PG_MIN_CONNECTIONS", "11"), ("DATABASE_URL", "postgres://localhost/x")]),
        &["refused: InvalidConfig", "STRATA_PG_MIN_CONNECTIONS is 11, above STRATA_PG_MAX_CONNECTIONS, which is 10"],
    );
}

#[test]
fn a_setting_of_a_server_that_is_not_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("a.db").display());
    let refused = |variables: &[(&str, &str)], said: &str| check(&with_text(variables), &["refused: InvalidConfig", variables[0].0, said]);
    let redis = "is set, and REDIS_URL is not; set REDIS_URL";
    refused(&[("STRATA_REDIS_POOL_SIZE", "3")], redis);
    refused(&[("STRATA_REDIS_PASSWORD", "hunter2"), ("REDIS_URL", ""), ("DATABASE_URL", &sqlite)], redis);
    check(
        &with_text(&[("STRATA_REDIS_KEY_ROOT", "a b"), ("REDIS_URL", "redis://localhost")]),
        &["refused: InvalidConfig", "the key root is empty or holds white space"],
    );
    refused(&[("STRATA_PG_MAX_CONNECTIONS", "7")], "and DATABASE_URL is not set; give DATABASE_URL");
    refused(&[("STRATA_PG_READ_REPLICA_URL", "postgres://x"), ("DATABASE_URL", &sqlite)], "and DATABASE_URL names another database");
    refused(&[("STRATA_SQLITE_READERS", "2")], "and DATABASE_URL is not set; give DATABASE_URL a file");
    refused(&[("STRATA_SQLITE_BUSY_TIMEOUT", "2s"), ("DATABASE_URL", "postgres://localhost/x")], "and DATABASE_URL names another database");
    refused(&[("strata_l1_ttl", "5s")], "write STRATA_L1_TTL");
    check(&with_text(&[("STRATA_REDIS_POOL_SIZE", ""), ("STRATA_PG_MAX_CONNECTIONS", ""), ("DATABASE_URL", &sqlite)]), &["done: "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_taken_from_their_variables() {
    let (database, _) = store_tests::stacks::postgres::open().await;
    let printed = with_text(&[
        ("REDIS_URL", &store_tests::stacks::redis::url()),
        ("STRATA_REDIS_POOL_SIZE", "3"),
        ("DATABASE_URL", &database.url()),
        ("STRATA_PG_MAX_CONNECTIONS", "7"),
        ("STRATA_PG_EXTENSIONS", "pg_trgm, intarray"),
        ("STRATA_PG_PREPARE_TIMEOUT", "77s"),
    ]);
    check(&printed, &["connections: 3", "max_connections: 7", "prepare: 77s", "ping: Ok", "done: ", "\"memory\", \"redis\", \"postgres"]);
}

#[test]
fn a_store_starts_without_its_redis_unless_that_is_the_truth() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let redis = format!("redis://127.0.0.1:{nobody}");
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", directory.path().join("a.db").display());
    let printed = with_text(&[("REDIS_URL", &redis), ("DATABASE_URL", &sqlite)]);
    check(&printed, &["ping: Err(L2Unavailable", "last_error: Some(\"L2 shared tier unavailable: ", "done: "]);
    check(&with_text(&[("REDIS_URL", &redis)]), &["refused: L2Unavailable"]);
}
