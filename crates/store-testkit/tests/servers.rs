//! The throw-away servers: they start, break on demand, come back, and leave nothing behind.

use std::error::Error;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use store_testkit::servers::{
    PostgresOptions, PostgresPrograms, PostgresServer, RedisCluster, RedisOptions, RedisPrograms, RedisSentinel, RedisServer, TlsFiles,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Set for a child of these tests: it starts servers, says so, and waits to be killed.
const VICTIM: &str = "STRATA_TESTKIT_VICTIM";

/// Runs one statement through psql; the answer without decoration.
fn query(url: &str, statement: &str) -> Result<String> {
    let output = Command::new(PostgresPrograms::find()?.directory.join("psql"))
        .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"])
        .args(["-d", url, "-c", statement])
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?.trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never saw {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_listening(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn postgres_keeps_committed_rows_through_a_crash() -> Result {
    let mut server = PostgresServer::start(&PostgresOptions::default())?;
    let url = server.url();
    query(&url, "CREATE TABLE city (name text); INSERT INTO city VALUES ('Bern')")?;

    server.kill()?;
    assert!(server.id().is_none());
    assert!(query(&url, "SELECT 1").is_err());

    server.restart()?;
    assert_eq!(server.url(), url);
    assert_eq!(query(&url, "SELECT name FROM city")?, "Bern");

    server.stop()?;
    assert!(!is_listening(server.port()));
    server.restart()?;
    assert_eq!(query(&url, "SELECT name FROM city")?, "Bern");
    Ok(())
}

#[test]
fn a_paused_postgres_accepts_connections_and_answers_once_resumed() -> Result {
    let mut server = PostgresServer::start(&PostgresOptions::default())?;
    let url = server.url();
    server.pause()?;
    assert!(is_listening(server.port()));
    let mut client = Command::new(PostgresPrograms::find()?.directory.join("psql"))
        .args(["-X", "-A", "-t", "-d", &url, "-c", "SELECT 42"])
        .stdout(Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    assert!(client.try_wait()?.is_none(), "a paused server answered");
    server.resume()?;
    let output = client.wait_with_output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), "42");
    Ok(())
}

#[test]
fn postgres_takes_settings_a_password_and_tls() -> Result {
    let directory = tempfile::tempdir()?;
    let tls = TlsFiles::generate(directory.path())?;
    let server = PostgresServer::start(&PostgresOptions {
        password: Some("it's: secret/ä".to_owned()),
        tls: Some(tls.clone()),
        require_tls: true,
        settings: vec![("cluster_name".to_owned(), "it's set".to_owned())],
        ..PostgresOptions::default()
    })?;
    let secure = format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), tls.authority.display());
    assert_eq!(query(&secure, "SHOW cluster_name")?, "it's set");
    assert!(query(&format!("{}?sslmode=disable", server.url()), "SELECT 1").is_err());
    let wrong = secure.replace("secret", "guess");
    assert!(query(&wrong, "SELECT 1").is_err());
    Ok(())
}

#[test]
fn a_postgres_replica_lags_catches_up_and_takes_over() -> Result {
    let mut primary = PostgresServer::start(&PostgresOptions { password: Some("secret".to_owned()), ..PostgresOptions::default() })?;
    primary.query("CREATE TABLE city (name text)")?;
    let mut replica = primary.start_replica()?;
    let count = |replica: &PostgresServer| replica.query("SELECT count(*) FROM city").ok();
    wait_until("the table on the replica", || count(&replica).is_some());

    replica.pause_replay()?;
    primary.query("INSERT INTO city VALUES ('Bern')")?;
    let end = primary.query("SELECT pg_current_wal_lsn()")?;
    let has_received = format!("SELECT pg_last_wal_receive_lsn() >= '{end}'");
    wait_until("the row received", || replica.query(&has_received).is_ok_and(|received| received == "t"));
    assert_eq!(count(&replica).as_deref(), Some("0"), "a paused replay shows what it received");
    replica.resume_replay()?;
    wait_until("the replica catch up", || count(&replica).as_deref() == Some("1"));

    assert!(query(&replica.url(), "DELETE FROM city").is_err(), "a replica took a write");
    primary.kill()?;
    replica.promote()?;
    query(&replica.url(), "INSERT INTO city VALUES ('Lima')")?;
    replica.restart()?;
    query(&replica.url(), "INSERT INTO city VALUES ('Oslo')")?;
    assert_eq!(count(&replica).as_deref(), Some("3"));
    Ok(())
}

#[test]
fn a_postgres_replica_finds_what_was_written_while_it_was_down() -> Result {
    let primary = PostgresServer::start(&PostgresOptions::default())?;
    let mut replica = primary.start_replica()?;
    replica.kill()?;
    primary.query("CREATE TABLE city (name text)")?;
    for _ in 0..2 {
        primary.query("SELECT pg_switch_wal()")?;
        primary.query("CHECKPOINT")?;
    }
    replica.restart()?;
    wait_until("the table on the replica", || replica.query("SELECT count(*) FROM city").is_ok());
    Ok(())
}

#[test]
fn replica_calls_on_a_primary_fail() -> Result {
    let primary = PostgresServer::start(&PostgresOptions::default())?;
    for refused in [primary.pause_replay(), primary.resume_replay(), primary.promote()] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("recovery is not in progress"), "{error}");
    }
    Ok(())
}

#[test]
fn redis_forgets_or_keeps_its_data_as_asked() -> Result {
    for append_only in [false, true] {
        let mut server = RedisServer::start(&RedisOptions { append_only, ..RedisOptions::default() })?;
        assert_eq!(server.command(&["SET", "city", "Bern"])?, "OK");
        server.kill()?;
        assert!(server.command(&["PING"]).is_err());
        server.restart()?;
        let kept = server.command(&["GET", "city"])?;
        assert_eq!(kept, if append_only { "Bern" } else { "" });
    }
    Ok(())
}

#[test]
fn a_paused_redis_accepts_connections_and_answers_once_resumed() -> Result {
    let mut server = RedisServer::start(&RedisOptions::default())?;
    server.pause()?;
    assert!(is_listening(server.port()));
    std::thread::scope(|scope| -> Result {
        let port = server.port().to_string();
        let answer = scope.spawn(move || {
            Command::new(RedisPrograms::find()?.cli)
                .args(["-p", &port, "PING"])
                .output()
                .map_err(|error| Box::new(error) as Box<dyn Error + Send + Sync>)
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!answer.is_finished(), "a paused server answered");
        server.resume()?;
        let output = answer.join().expect("the client ran").expect("it answered");
        assert_eq!(String::from_utf8(output.stdout)?.trim(), "PONG");
        Ok(())
    })
}

#[test]
fn redis_takes_a_password_and_tls() -> Result {
    let directory = tempfile::tempdir()?;
    let tls = TlsFiles::generate(directory.path())?;
    let server = RedisServer::start(&RedisOptions {
        password: Some("pass word/\"".to_owned()),
        tls: Some(tls),
        settings: vec![("maxmemory".to_owned(), "10mb".to_owned())],
        ..RedisOptions::default()
    })?;
    assert_eq!(server.url(), format!("rediss://:pass%20word%2F%22@127.0.0.1:{}", server.port()));
    let answer = server.command(&["CONFIG", "GET", "maxmemory"])?;
    assert_eq!(answer, "maxmemory\n10485760");
    Ok(())
}

#[test]
fn a_redis_replica_follows_and_takes_over() -> Result {
    let directory = tempfile::tempdir()?;
    let mut primary = RedisServer::start(&RedisOptions {
        password: Some("pass word/\"".to_owned()),
        tls: Some(TlsFiles::generate(directory.path())?),
        ..RedisOptions::default()
    })?;
    primary.command(&["SET", "city", "Bern"])?;
    let mut replica = RedisServer::start_replica_of(&primary)?;
    assert_eq!(replica.command(&["GET", "city"])?, "Bern");
    let refusal = replica.command(&["SET", "city", "Lima"]).unwrap_err().to_string();
    assert!(refusal.contains("READONLY"), "{refusal}");

    primary.kill()?;
    replica.promote()?;
    assert_eq!(replica.command(&["GET", "city"])?, "Bern");
    assert_eq!(replica.command(&["SET", "city", "Lima"])?, "OK");
    replica.restart()?;
    assert!(replica.command(&["ROLE"])?.starts_with("master"), "a restart undid the promotion");
    Ok(())
}

#[test]
fn a_cluster_spreads_the_slots_over_its_masters() -> Result {
    let mut cluster = RedisCluster::start(3)?;
    assert_eq!(cluster.url().matches("127.0.0.1:").count(), 3);
    for master in cluster.masters() {
        let info = master.command(&["CLUSTER", "INFO"])?;
        assert!(info.contains("cluster_slots_assigned:16384"), "{info}");
        assert!(info.contains("cluster_size:3"), "{info}");
    }
    Ok(())
}

#[test]
fn a_sentinel_promotes_the_replica_of_a_killed_primary() -> Result {
    let mut group = RedisSentinel::start()?;
    assert_eq!(group.primary_port()?, group.primary().port());
    let replica = group.replica().port();
    group.primary().kill()?;
    wait_until("the replica promoted", || group.primary_port().is_ok_and(|port| port == replica));
    Ok(())
}

#[test]
fn a_bad_setting_is_an_error_with_the_log() {
    let error = PostgresServer::start(&PostgresOptions {
        settings: vec![("no_such_setting".to_owned(), "1".to_owned())],
        ..PostgresOptions::default()
    })
    .unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");

    let error =
        RedisServer::start(&RedisOptions { settings: vec![("no-such-setting".to_owned(), "1".to_owned())], ..RedisOptions::default() })
            .unwrap_err();
    assert!(error.to_string().contains("no-such-setting"), "{error}");
}

#[test]
fn calls_on_a_killed_server_say_so() -> Result {
    let mut server = RedisServer::start(&RedisOptions::default())?;
    server.kill()?;
    let error = server.pause().unwrap_err().to_string();
    assert!(error.contains("not running"), "{error}");
    server.kill()?;
    server.stop()?;
    Ok(())
}

#[test]
fn dropping_a_server_removes_it() -> Result {
    let mut redis = RedisServer::start(&RedisOptions::default())?;
    let mut postgres = PostgresServer::start(&PostgresOptions::default())?;
    redis.pause()?;
    postgres.pause()?;
    let places = [(redis.port(), redis.directory().to_owned()), (postgres.port(), postgres.directory().to_owned())];
    drop((redis, postgres));
    for (port, directory) in places {
        assert!(!is_listening(port));
        assert!(!directory.exists());
    }
    Ok(())
}

#[test]
fn a_detached_server_stays_until_it_is_ended() -> Result {
    let redis = RedisServer::start(&RedisOptions::default())?;
    let postgres = PostgresServer::start(&PostgresOptions::default())?;
    let (redis_port, url) = (redis.port(), postgres.url());
    let (redis, postgres) = (redis.detach(), postgres.detach());
    assert!(is_listening(redis_port));
    assert_eq!(query(&url, "SELECT 1")?, "1");

    RedisServer::end_detached(&RedisPrograms::find()?, redis_port, &redis)?;
    PostgresServer::end_detached(&PostgresPrograms::find()?, &postgres)?;
    wait_until("both servers end", || !is_listening(redis_port) && query(&url, "SELECT 1").is_err());
    assert!(!redis.exists() && !postgres.exists());
    PostgresServer::end_detached(&PostgresPrograms::find()?, &postgres)?;
    Ok(())
}

#[test]
fn a_killed_owner_leaves_no_server_behind() -> Result {
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "servers_of_a_victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = victim.stdout.take().expect("stdout is piped");
    let mut places = Vec::new();
    for line in std::io::BufRead::lines(std::io::BufReader::new(output)) {
        let line = line?;
        if let Some(place) = line.strip_prefix("server ") {
            let (port, directory) = place.split_once(' ').expect("a port and a directory");
            places.push((port.parse::<u16>()?, Path::new(directory).to_owned()));
        }
        if places.len() == 2 {
            break;
        }
    }
    for (port, directory) in &places {
        assert!(is_listening(*port));
        assert!(directory.exists());
    }
    victim.kill()?;
    victim.wait()?;
    for (port, directory) in &places {
        wait_until("the server and its directory gone", || !is_listening(*port) && !directory.exists());
    }
    Ok(())
}

/// The victim of the test above; alone it has nothing to do.
#[test]
fn servers_of_a_victim() -> Result {
    if std::env::var_os(VICTIM).is_none() {
        return Ok(());
    }
    let redis = RedisServer::start(&RedisOptions::default())?;
    let postgres = PostgresServer::start(&PostgresOptions::default())?;
    println!();
    println!("server {} {}", redis.port(), redis.directory().display());
    println!("server {} {}", postgres.port(), postgres.directory().display());
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}
