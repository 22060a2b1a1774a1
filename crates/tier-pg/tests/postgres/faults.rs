//! Servers that die, freeze, restart or refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use store_core::facet::{Begin, Count, Log, Migrations, Select, Tables};
use store_core::{ErrorKind, Isolation, MigrationSettings, Row, StoredRow, Tier, Value};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};

use crate::database::{connect, wait_until};
use crate::table::{PROFILE, account, get, keys, put, row, row_with};

fn start(options: PostgresOptions) -> PostgresServer {
    PostgresServer::start(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// Limits that no call to a server in order comes near, on a busy machine.
fn config(server: &PostgresServer) -> PgConfig {
    limited(server, Duration::from_secs(30))
}

fn limited(server: &PostgresServer, limit: Duration) -> PgConfig {
    let config = PgConfig::from_url(&server.url()).unwrap();
    config.with_connect_timeout(limit).with_acquire_timeout(limit).with_statement_timeout(limit)
}

async fn tier(server: &PostgresServer) -> Arc<PgTier> {
    prepared(config(server)).await
}

async fn prepared(config: PgConfig) -> Arc<PgTier> {
    let tier = PgTier::connect(config).await.unwrap();
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    Arc::new(tier)
}

/// Writers go on while the server is killed and restarted, three times. What they were told is written is there; what failed failed by kind.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_the_server_is_killed() {
    const WRITERS: i64 = 4;
    let mut server = start(PostgresOptions::default());
    let tier = tier(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicI64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (tier, stop, acknowledged) = (Arc::clone(&tier), Arc::clone(&stop), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let (mut written, mut refused) = (Vec::new(), 0);
                for turn in 0_i64.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let id = 1 + writer * 1_000_000 + turn * 2;
                    let rows = if turn % 3 == 0 { vec![row(id), row(id + 1)] } else { vec![row(id)] };
                    match tier.put_many(&account(), &rows).await {
                        Ok(stored) => {
                            written.extend(stored.into_iter().zip([id, id + 1]).map(|(stored, id)| (id, stored.version)));
                            acknowledged.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => {
                            assert!(matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout), "{error:?}");
                            assert!(error.is_retryable());
                            refused += 1;
                        }
                    }
                }
                (written, refused)
            })
        })
        .collect();
    for _ in 0..3 {
        let before = acknowledged.load(Ordering::SeqCst);
        wait_until("writes", async || acknowledged.load(Ordering::SeqCst) > before + 50).await;
        tokio::task::block_in_place(|| {
            server.kill().unwrap();
            server.restart().unwrap();
        });
    }
    let before = acknowledged.load(Ordering::SeqCst);
    wait_until("writes after the last restart", async || acknowledged.load(Ordering::SeqCst) > before + 50).await;
    stop.store(true, Ordering::SeqCst);

    let mut refusals = 0;
    for writer in writers {
        let (written, refused) = writer.await.unwrap();
        refusals += refused;
        let ids: Vec<i64> = written.iter().map(|(id, _)| *id).collect();
        let held = tier.get_many(&account(), &keys(ids)).await.unwrap();
        for ((id, version), held) in written.iter().zip(held) {
            assert_eq!(held.unwrap_or_else(|| panic!("the write of {id} is lost")).version, *version);
        }
    }
    assert!(refusals > 0, "no writer noticed a dead server");
}

/// Connections that died while nobody used them are replaced, unnoticed by the next call.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_after_a_restart_succeeds() {
    let mut server = start(PostgresOptions::default());
    let tier = tier(&server).await;
    for turn in 0..6 {
        // Several connections, all dead after the restart.
        let warm: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn({
                    let tier = Arc::clone(&tier);
                    async move { get(&tier, 1).await.unwrap() }
                })
            })
            .collect();
        for read in warm {
            read.await.unwrap();
        }
        tokio::task::block_in_place(|| if turn % 2 == 0 { server.restart() } else { server.kill().and_then(|()| server.restart()) })
            .unwrap();
        match turn / 2 {
            0 => drop(get(&tier, 1).await.unwrap()),
            1 => drop(put(&tier, row(turn + 1)).await.unwrap()),
            _ => drop(Arc::clone(&tier).select(account(), Select::default()).collect::<Vec<_>>().await),
        }
        tier.end().await.unwrap();
    }
    assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 2);
}

/// A frozen server keeps nobody longer than the limits say, and all is well once it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_a_timeout_within_the_limits() {
    const LIMIT: Duration = Duration::from_secs(3);
    let mut server = start(PostgresOptions::default());
    let tier = prepared(limited(&server, LIMIT)).await;
    put(&tier, row(1)).await.unwrap();
    let mut stream = Arc::clone(&tier).select(account(), Select::default());
    stream.next().await.unwrap().unwrap();
    server.pause().unwrap();
    let begin = Instant::now();
    let (read, write, batch, search, log, ping) = tokio::join!(
        get(&tier, 1),
        put(&tier, row(2)),
        async { tier.put_many(&account(), &[row(3), row(4)]).await },
        async { tier.count(&account(), Count::default()).await },
        tier.end(),
        tier.ping(),
    );
    for error in [read.unwrap_err(), write.unwrap_err(), batch.unwrap_err(), search.unwrap_err(), log.unwrap_err(), ping.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.is_retryable());
    }
    // Waiting, connecting and a statement, and some time for a slow machine.
    assert!(begin.elapsed() < 3 * LIMIT + Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(PgTier::connect(limited(&server, Duration::from_millis(500))).await.unwrap_err().kind(), ErrorKind::Timeout);
    drop(stream);
    server.resume().unwrap();
    wait_until("an answer", async || get(&tier, 1).await.is_ok_and(|found| found.is_some())).await;
    put(&tier, row(5)).await.unwrap();
    let there = tier.exists_many(&account(), &keys([3, 4])).await.unwrap();
    assert_eq!(there[0], there[1], "the batch is there whole or not at all");
}

/// A query that is being read when its server dies ends in an error, and does not look like a short result.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_server_dies_fails() {
    let mut server = start(PostgresOptions::default());
    let tier = tier(&server).await;
    // More than the buffers between here and there hold.
    let text = format!("\"{}\"", "x".repeat(10_000));
    let large = |id| row_with(id, PROFILE, Value::Json(text.clone().into()));
    tier.put_many(&account(), &(1..=5_000).map(large).collect::<Vec<_>>()).await.unwrap();
    let mut stream = Arc::clone(&tier).select(account(), Select::default());
    stream.next().await.unwrap().unwrap();
    server.kill().unwrap();
    let mut rows = 1;
    let error = loop {
        match stream.next().await.expect("a broken stream does not end as a whole one") {
            Ok(_) => rows += 1,
            Err(error) => break error,
        }
    };
    assert!(rows < 5_000);
    assert_eq!(error.kind(), ErrorKind::L3Unavailable, "{error}");
    assert!(!error.to_string().contains("unknown"), "{error}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let mut server = start(PostgresOptions::default());
    server.stop().unwrap();
    let error = PgTier::connect(config(&server)).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::L3Unavailable, true));
    assert!(error.to_string().contains(&format!("127.0.0.1:{}", server.port())), "{error}");
    let unknown = PgConfig::from_url("postgres://user@no-such-host.invalid/x").unwrap();
    assert_eq!(PgTier::connect(unknown).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    let directory = tempfile::tempdir().unwrap();
    let socket = PgConfig::from_url(&format!("postgres://user@/x?host={}", directory.path().display())).unwrap();
    assert_eq!(PgTier::connect(socket).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
}

#[tokio::test]
async fn wrong_credentials_are_refused_without_showing_them() {
    let server = start(PostgresOptions { password: Some("right-secret".into()), ..PostgresOptions::default() });
    PgTier::connect(config(&server)).await.unwrap();
    let host = format!("127.0.0.1:{}", server.port());
    for (credentials, kind) in [
        ("postgres:wrong-secret@", ErrorKind::AccessDenied),
        ("postgres@", ErrorKind::AccessDenied),
        ("nobody:wrong-secret@", ErrorKind::AccessDenied),
    ] {
        let config = PgConfig::from_url(&format!("postgres://{credentials}{host}/postgres")).unwrap();
        let error = PgTier::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_retryable());
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let missing = PgConfig::from_url(&server.url_of("no_such_database")).unwrap();
    let error = PgTier::connect(missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn a_server_without_free_connections_is_unavailable() {
    let settings = vec![("max_connections".into(), "6".into()), ("superuser_reserved_connections".into(), "1".into())];
    let server = start(PostgresOptions { settings, ..PostgresOptions::default() });
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(connect(&server.url()).await);
    }
    taken[0].batch_execute("CREATE ROLE app LOGIN").await.unwrap();
    let url = server.url().replace("postgres@", "app@");
    let error = PgTier::connect(PgConfig::from_url(&url).unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::L3Unavailable, true), "{error}");
    assert!(error.to_string().contains("max_connections"), "{error}");
    taken.pop();
    wait_until("a free connection", async || PgTier::connect(PgConfig::from_url(&url).unwrap()).await.is_ok()).await;
}

/// A server may have fewer connections to give than the pool may have.
#[tokio::test]
async fn a_call_waits_for_a_connection_of_the_pool_where_the_server_has_no_more() {
    let server = start(PostgresOptions::default());
    let client = connect(&server.url()).await;
    client.batch_execute("CREATE ROLE app LOGIN CONNECTION LIMIT 2; GRANT CREATE ON SCHEMA public TO app").await.unwrap();
    let config = |wait| {
        let config = PgConfig::from_url(&server.url().replace("postgres@", "app@")).unwrap();
        config.with_max_connections(4).with_acquire_timeout(wait)
    };
    let tier = prepared(config(Duration::from_secs(30))).await;
    tier.put_many(&account(), &(1..=5_000).map(row).collect::<Vec<_>>()).await.unwrap();
    let mut streams: Vec<_> = (0..2).map(|_| Arc::clone(&tier).select(account(), Select::default())).collect();
    for stream in &mut streams {
        stream.next().await.unwrap().unwrap();
    }
    let mut waiting = Box::pin(get(&tier, 1));
    assert!(tokio::time::timeout(Duration::from_millis(250), &mut waiting).await.is_err(), "it did not wait");
    assert_eq!(streams.pop().unwrap().count().await, 4_999);
    waiting.await.unwrap().unwrap();

    let mut again = Arc::clone(&tier).select(account(), Select::default());
    again.next().await.unwrap().unwrap();
    let stranger = PgTier::connect(config(Duration::from_secs(30))).await.unwrap_err();
    assert!(stranger.to_string().contains("53300"), "a pool without a connection has nothing to wait for: {stranger}");
    drop((streams, again));
    tier.close().await.unwrap();
    // The server ends the sessions some time after they were told to.
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    wait_until("no session of the closed tier", async || client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0).await;

    let hasty = prepared(config(Duration::from_millis(200))).await;
    let mut streams: Vec<_> = (0..2).map(|_| Arc::clone(&hasty).select(account(), Select::default())).collect();
    for stream in &mut streams {
        stream.next().await.unwrap().unwrap();
    }
    let error = get(&hasty, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::L3Unavailable, true), "{error}");
    assert!(error.to_string().contains("53300"), "{error}");
}

#[cfg(unix)]
fn signal(name: &str, process: &str) {
    assert!(std::process::Command::new("kill").args([name, process]).status().unwrap().success());
}

/// For what a loaded machine takes longer to do than a statement may.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a row, however long the server takes to end an earlier write that hung, or to wake up itself.
#[cfg(unix)]
async fn put_once_it_is_over(tier: &PgTier, row: Row<'static>) -> StoredRow {
    let begin = Instant::now();
    loop {
        match put(tier, row.clone()).await {
            Err(error) if error.kind() == ErrorKind::Timeout && begin.elapsed() < PATIENCE => {}
            written => return written.unwrap(),
        }
    }
}

/// Stops a process of the server that made one write, and lets it have the next. Answers which.
#[cfg(unix)]
async fn hang_with_a_write(server: &PostgresServer, tier: &PgTier, first: Row<'static>, lost: Row<'static>) -> String {
    loop {
        put_once_it_is_over(tier, first.clone()).await;
        // The pool lends the connection that was used last, unless that is still on its way back.
        let process = server.query("SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' ORDER BY state_change DESC LIMIT 1").unwrap();
        let process = process.trim().to_owned();
        signal("-STOP", &process);
        match put(tier, lost.clone()).await {
            Ok(_) => signal("-CONT", &process),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                return process;
            }
        }
    }
}

/// A process of the server that hung with a write, and goes on with it later, does not overwrite what was written after the write had failed.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_unknown_outcome_never_comes_after_a_later_one() {
    let server = start(PostgresOptions::default());
    let config = limited(&server, Duration::from_secs(30)).with_statement_timeout(Duration::from_secs(2)).with_max_connections(2);
    let tier = prepared(config).await;
    for round in 0..2_i64 {
        let first = row_with(1, PROFILE, Value::Json(format!("{{\"at\":{round}}}").into()));
        let process = hang_with_a_write(&server, &tier, first, row_with(1, PROFILE, Value::Json("{\"at\":\"lost\"}".into()))).await;
        let hung = put(&tier, row_with(1, PROFILE, Value::Json("{\"at\":\"refused\"}".into()))).await.unwrap_err();
        assert_eq!(hung.kind(), ErrorKind::Timeout, "nothing is written before it is known that the first is over: {hung}");
        assert!(hung.to_string().contains("an earlier write"), "{hung}");
        signal("-CONT", &process);
        let later = put_once_it_is_over(&tier, row_with(1, PROFILE, Value::Json("{\"at\":\"later\"}".into()))).await;
        assert!(server.query(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process}")).unwrap().trim() == "0");
        assert_eq!(get(&tier, 1).await.unwrap().unwrap(), later);
    }
}

/// As above, where the later write is made in a transaction that was open before.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_unknown_outcome_never_comes_after_that_of_an_open_transaction() {
    let server = start(PostgresOptions::default());
    let config = limited(&server, Duration::from_secs(30)).with_statement_timeout(Duration::from_secs(2)).with_max_connections(4);
    let tier = prepared(config).await;
    let at = |text: &str| row_with(1, PROFILE, Value::Json(format!("{{\"at\":\"{text}\"}}").into()));
    let begin = Begin { isolation: Isolation::ReadCommitted, limit: Duration::from_secs(60) };
    let (mut early, mut open) = (tier.begin(&begin).await.unwrap(), tier.begin(&begin).await.unwrap());
    early.put_many(&account(), &[row(2)]).await.unwrap();
    let process = hang_with_a_write(&server, &tier, at("first"), at("lost")).await;

    open.savepoint().await.unwrap();
    let refused = [open.put_many(&account(), &[at("refused")]).await.unwrap_err(), early.commit().await.unwrap_err()];
    for refused in refused {
        assert!(refused.to_string().contains("an earlier write"), "{refused}");
    }
    open.roll_back_to_savepoint().await.unwrap();
    signal("-CONT", &process);
    let begin = Instant::now();
    loop {
        open.savepoint().await.unwrap();
        match open.put_many(&account(), &[at("later")]).await {
            Err(error) if error.kind() == ErrorKind::Timeout && begin.elapsed() < PATIENCE => open.roll_back_to_savepoint().await.unwrap(),
            written => {
                written.unwrap();
                break;
            }
        }
    }
    assert!(server.query(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process}")).unwrap().trim() == "0");
    open.commit().await.unwrap();
    let shown = get(&tier, 1).await.unwrap().unwrap().row;
    assert!(matches!(&shown[PROFILE], Value::Json(json) if json.contains("later")), "{shown:?}");
    assert_eq!(get(&tier, 2).await.unwrap(), None, "the commit that was refused rolled back");
}

/// A standby answers reads; a write says what is wrong.
#[tokio::test]
async fn a_server_that_only_reads_is_told() {
    let mut server = start(PostgresOptions::default());
    let tier_before = tier(&server).await;
    put(&tier_before, row(1)).await.unwrap();
    tier_before.close().await.unwrap();
    server.stop().unwrap();
    std::fs::write(server.directory().join("data/standby.signal"), "").unwrap();
    server.restart().unwrap();
    let tier = PgTier::connect(config(&server)).await.unwrap();
    assert!(get(&tier, 1).await.unwrap().is_some());
    let refused = [
        put(&tier, row(2)).await.unwrap_err(),
        tier.put_many(&account(), &[row(2), row(3)]).await.unwrap_err(),
        tier.delete_many(&account(), &keys([1])).await.unwrap_err(),
        tier.prune(Duration::ZERO).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::L3Unavailable, "{error}");
        assert!(error.to_string().contains("primary"), "{error}");
    }
}

/// Of a transaction that was rolled back nothing need be on the disk when the server dies, so that a later one, which commits, may have its number.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_a_crash_gives_twice_hides_no_commit() {
    let settings = [("wal_writer_delay", "10s"), ("autovacuum", "off")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut server = start(PostgresOptions { settings: settings.to_vec(), ..PostgresOptions::default() });
    let tier = tier(&server).await;
    put(&tier, row(1)).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&"BEGIN; SELECT pg_current_xact_id(); ROLLBACK;".repeat(20)).await.unwrap();
    let numbers = client.query_one("SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT", &[]).await.unwrap();
    let place = tier.end().await.unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    let _ = connection.await;

    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let again = client.query_one("SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT", &[]).await.unwrap();
    let number = |row: &tokio_postgres::Row| row.get::<_, &str>(0).parse::<u64>().unwrap();
    assert!(number(&again) < number(&numbers), "the server gives numbers again");
    client.batch_execute(&"BEGIN; SELECT pg_current_xact_id(); ROLLBACK;".repeat(3)).await.unwrap();
    wait_until("the pool has connections again", async || put(&tier, row(2)).await.is_ok()).await;
    client.batch_execute(&"BEGIN; SELECT pg_current_xact_id(); ROLLBACK;".repeat(30)).await.unwrap();
    let batch = tier.read(&place).await.unwrap();
    let keys: Vec<_> = batch.entries.iter().filter_map(|entry| entry.key.as_deref()).collect();
    assert!(batch.gap || keys == ["2"], "{keys:?}");
}
