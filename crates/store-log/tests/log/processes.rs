//! What other processes see of a log, and what is left of one whose process was killed.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use store_log::{Log, LogConfig, LogErrorKind};
use tempfile::TempDir;

const DIRECTORY: &str = "STRATA_TEST_LOG_DIRECTORY";

fn config() -> LogConfig {
    LogConfig::default().with_segment_bytes(16 << 10)
}

/// Not a test of its own: what the children of the tests below run. It appends until it is killed, and prints what was acknowledged.
#[test]
fn child() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let log = Log::open(directory, config()).unwrap();
    thread::scope(|scope| {
        for writer in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0_u64.. {
                    let payloads: Vec<String> = (0..1 + number % 3).map(|part| format!("{writer} {number} {part}")).collect();
                    let sequences = match writer % 2 {
                        0 => log.append_batch(&payloads).wait(),
                        _ => log.append_batch_unsynced(&payloads).wait(),
                    };
                    for (sequence, payload) in sequences.unwrap().zip(payloads) {
                        println!("acknowledged {sequence} {payload}");
                    }
                }
            });
        }
    });
}

fn start(directory: &Path) -> (Child, impl Iterator<Item = (u64, String)>) {
    let program = env::current_exe().expect("a test is a program");
    let mut child = Command::new(program)
        .args(["--exact", "processes::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test starts itself");
    let lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines().map_while(Result::ok);
    let acknowledged = lines.filter_map(|line| {
        let (sequence, payload) = line.split_once("acknowledged ")?.1.split_once(' ')?;
        Some((sequence.parse().ok()?, payload.to_owned()))
    });
    (child, acknowledged)
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let directory = TempDir::new().unwrap();
    let mut expected = BTreeMap::new();
    for run in 0..10_usize {
        let (mut child, mut acknowledged) = start(directory.path());
        expected.extend(acknowledged.by_ref().take(1 + 97 * run));
        child.kill().unwrap();
        child.wait().unwrap();
        // The last line may be cut short, in the midst of a payload.
        let rest: Vec<_> = acknowledged.collect();
        let whole = rest.len().saturating_sub(1);
        expected.extend(rest.into_iter().take(whole));

        let log = Log::open(directory.path(), config()).expect("a kill is no damage, and gives the lock free");
        let found: BTreeMap<u64, String> = log
            .entries(1)
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.sequence, String::from_utf8(entry.payload).unwrap())
            })
            .collect();
        assert_eq!(found.len() as u64, log.next_sequence() - 1);
        for (sequence, payload) in &expected {
            assert_eq!(found.get(sequence), Some(payload), "after {} kills", run + 1);
        }
        // What was not acknowledged is there in whole batches.
        let mut parts: BTreeMap<&str, u64> = BTreeMap::new();
        for payload in found.values() {
            let (batch, part) = payload.rsplit_once(' ').unwrap();
            assert_eq!(part.parse::<u64>().unwrap(), parts.get(batch).map_or(0, |parts| parts % (1 + number(batch) % 3)));
            *parts.entry(batch).or_default() += 1;
        }
        for (batch, count) in parts {
            assert_eq!(count % (1 + number(batch) % 3), 0, "a part of batch {batch} is there");
        }
        expected = found;
    }
}

fn number(batch: &str) -> u64 {
    batch.split_once(' ').and_then(|(_, number)| number.parse().ok()).expect("a batch has a number")
}

#[test]
fn a_directory_has_one_owner() {
    let directory = TempDir::new().unwrap();
    let (mut child, mut acknowledged) = start(directory.path());
    acknowledged.next().expect("the child appends");
    let error = Log::open(directory.path(), config()).unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Locked);
    assert_eq!(error.holder(), Some(child.id()));
    assert!(error.to_string().contains(&child.id().to_string()), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();

    let log = Log::open(directory.path(), config()).unwrap();
    let error = Log::open(directory.path(), config()).unwrap_err();
    assert_eq!(error.holder(), Some(std::process::id()));
    drop(log);
    Log::open(directory.path(), config()).unwrap();
}
