use std::sync::Arc;
use std::thread;

use store_log::{Log, LogConfig, LogErrorKind};
use tempfile::TempDir;

fn open(config: LogConfig) -> (TempDir, Log) {
    let directory = TempDir::new().expect("a directory for the test");
    let log = Log::open(directory.path(), config).expect("the log opens");
    (directory, log)
}

fn small() -> LogConfig {
    LogConfig::default().with_segment_bytes(64 << 10)
}

#[test]
fn every_entry_is_found_by_its_sequence() {
    let (_directory, log) = open(small());
    let payload = |sequence: u64| vec![sequence as u8; (sequence % 700) as usize];
    for batch in 0..100 {
        let range = log.append_batch_unsynced((1..=50).map(|at| payload(batch * 50 + at))).wait().unwrap();
        assert_eq!(range, batch * 50 + 1..batch * 50 + 51);
    }
    assert!(log.used_bytes() > 20 * (64 << 10), "there are many segments");
    for sequence in (1..=5000).rev() {
        let entry = log.read(sequence).unwrap().unwrap();
        assert_eq!((entry.sequence, entry.payload), (sequence, payload(sequence)));
    }
    assert_eq!(log.read(0).unwrap(), None);
    assert_eq!(log.read(5001).unwrap(), None);
    for from in [1, 2, 777, 5000, 5001, 9000] {
        let sequences: Vec<u64> = log.entries(from).map(|entry| entry.unwrap().sequence).collect();
        assert_eq!(sequences, (from..=5000).collect::<Vec<_>>());
    }
}

#[test]
fn readers_follow_while_others_append() {
    let (_directory, log) = open(small());
    let log = Arc::new(log);
    let reader = thread::spawn({
        let log = Arc::clone(&log);
        move || {
            let mut entries = log.entries(1);
            for sequence in 1..=4000 {
                let entry = loop {
                    match entries.next() {
                        Some(entry) => break entry.unwrap(),
                        None => thread::yield_now(),
                    }
                };
                assert_eq!(entry.sequence, sequence);
                assert_eq!(entry.payload.len() as u64 % 97, u64::from(entry.payload[0]) % 97);
            }
        }
    });
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for number in 0..1000_u64 {
                    let length = 1 + (writer * 1000 + number) % 96;
                    log.append_unsynced(vec![length as u8; length as usize]).wait().unwrap();
                }
            })
        })
        .collect();
    for thread in writers.into_iter().chain([reader]) {
        thread.join().unwrap();
    }
}

#[test]
fn released_entries_are_told_from_missing_ones() {
    let (_directory, log) = open(small());
    let mut entries = log.entries(1);
    log.append_batch((0..100).map(|_| vec![0; 300])).wait().unwrap();
    assert_eq!(entries.next().unwrap().unwrap().sequence, 1);
    log.append_batch((0..600).map(|_| [1; 80])).wait().unwrap();
    log.release(100).unwrap();
    assert_eq!(log.first_sequence(), 101);
    assert_eq!(log.read(1).unwrap_err().kind(), LogErrorKind::Released);
    assert_eq!(log.entries(100).next().unwrap().unwrap_err().kind(), LogErrorKind::Released);
    assert_eq!(log.entries(101).count(), 600);
    // Who reads a segment already may read it to its end, and learns then where the log goes on.
    assert_eq!(entries.by_ref().map_while(Result::ok).last().map(|entry| entry.sequence), Some(700));
}

#[tokio::test]
async fn appends_are_in_the_order_of_the_calls() {
    let (_directory, log) = open(small());
    let commits: Vec<_> = (0..200_u32).map(|number| log.append(number.to_le_bytes())).collect();
    // Nobody waits for this one, and it is appended all the same.
    drop(log.append(b"forgotten"));
    assert_eq!(log.append_batch(Vec::<Vec<u8>>::new()).await.unwrap(), 202..202);
    assert_eq!(log.sync().await.unwrap(), 201);
    assert_eq!(log.durable(), 201);
    for (sequence, commit) in (1..).zip(commits) {
        assert_eq!(commit.await.unwrap(), sequence);
    }
    assert_eq!(log.read(201).unwrap().unwrap().payload, b"forgotten");
    assert_eq!(log.read(8).unwrap().unwrap().payload, 7_u32.to_le_bytes());
}
