//! A disk that is full in earnest, under the journal of a process that is killed in the end: a limit on the size of files.

use std::env;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use store_testkit::{Fault, FaultTier, Faults, Operation};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{Collection, Error, ErrorKind, Query, Store, WriteMode};

use super::{level, players, schemas, unhurried};
use store_tests::models::{Player, player};
use store_tests::noted;

const SERVER: &str = "STRATA_TEST_FULL_SERVER";
const JOURNAL: &str = "STRATA_TEST_FULL_JOURNAL";
/// Far less than a segment may have.
const MOST: u64 = 50_000;

async fn open(server: &str, journal: &Path) -> (Store, Faults) {
    let tier = FaultTier::new(PgTier::connect(PgConfig::from_url(server).unwrap()).await.unwrap());
    let faults = tier.faults();
    let builder = Store::builder().near(MemTier::new()).tier(tier).write_mode(WriteMode::WriteBehind).journal(journal);
    let builder = builder.write_behind(unhurried()).configure(|settings| {
        settings.breaker.enabled = false;
        settings.retries = 0;
    });
    (schemas(builder).build().await.unwrap(), faults)
}

/// Writes new players until the journal takes no more. How many there are now, and what the last one was told.
async fn fill(players: &Collection<Player>, mut written: i64) -> (i64, Error) {
    loop {
        match players.set(player(&format!("p{written}"), written)).await {
            Ok(_) => written += 1,
            Err(error) => return (written, error),
        }
        assert!(written < 10_000, "the disk is not full");
    }
}

async fn write_on_a_full_disk(server: String, journal: &Path) {
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(MOST), maximum: before.maximum }).unwrap();
    let (store, faults) = open(&server, journal).await;
    let players = players(&store);
    faults.always(Operation::Begin, Fault::FailBefore(ErrorKind::L3Unavailable));
    let (written, error) = fill(&players, 0).await;
    assert!(written > 100, "{written}");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::JournalUnavailable, true), "{error}");
    assert_eq!((error.operation(), error.schema()), (Some("set"), Some("player")));
    let text = error.to_string();
    let told = ["nothing was written", "disk of the journal is full", journal.to_str().unwrap(), "make room there"];
    assert!(told.iter().all(|told| text.contains(told)), "{text}");
    // All or nothing, whatever the call.
    let many = players.set_many((0..10).map(|number| player(&format!("refused-{number}"), number))).await;
    let deleted = players.delete_many((0..50).map(|number| format!("p{number}"))).await;
    for kind in [many.unwrap_err().kind(), deleted.unwrap_err().kind()] {
        assert_eq!(kind, ErrorKind::JournalUnavailable);
    }
    assert_eq!(level(&players, "p0").await, Some(0), "what was acknowledged is there");
    assert_eq!((level(&players, "p49").await, level(&players, &format!("p{}", written - 1)).await), (Some(49), Some(written - 1)));
    assert_eq!(store.stats().dirty_entries, written as u64, "and nothing else is pending");

    // A flush makes room, on a disk as small as it was.
    faults.heal();
    store.flush().await.unwrap();
    faults.always(Operation::Begin, Fault::FailBefore(ErrorKind::L3Unavailable));
    let (more, error) = fill(&players, written).await;
    assert!(more > written + 100 && error.is_retryable(), "{written}, {more}: {error}");
    // So does the one who has the disk.
    setrlimit(Resource::Fsize, before).unwrap();
    players.set(player(&format!("p{more}"), more)).await.unwrap();
    println!("\nacknowledged: {}", more + 1);
    kill_process(getpid(), Signal::KILL).unwrap();
}

/// Not a test of its own: what the child of the test below runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    if let (Ok(server), Some(journal)) = (env::var(SERVER), env::var_os(JOURNAL)) {
        write_on_a_full_disk(server, Path::new(&journal)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_disk_refuses_is_told_and_what_it_took_outlives_a_kill() {
    let server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let journal = tempfile::tempdir().unwrap();
    drop(open(&server.url(), &journal.path().join("tables")).await);
    server.query(noted::BEGIN).unwrap();
    let journal = journal.path().join("journal");
    // A program that passes the limit is killed, unless it was started with that signal ignored.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "behind::full_disk::child", "--nocapture"])
        .env(SERVER, server.url())
        .env(JOURNAL, &journal)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let acknowledged = said.lines().find_map(|line| line.strip_prefix("acknowledged: ")?.parse::<i64>().ok());
    let acknowledged = acknowledged.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));

    let (store, _) = open(&server.url(), &journal).await;
    assert_eq!(level(&players(&store), &format!("p{}", acknowledged - 1)).await, Some(acknowledged - 1));
    store.flush().await.unwrap();
    assert_eq!(players(&store).count(Query::new()).await.unwrap(), acknowledged as u64);
    let mut noted = noted::all(&server);
    noted.sort_by_key(|(_, level)| *level);
    let expected: Vec<_> = (0..acknowledged).map(|number| (format!("p{number}"), number)).collect();
    assert_eq!(noted.len(), expected.len(), "each was applied once");
    assert_eq!(noted, expected);
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
    store.close().await.unwrap();
}
