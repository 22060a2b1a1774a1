//! Damage, full disks and failed syncs, one by one.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::simulated::{Simulated, Survival};
use super::workload::open;
use crate::{Entry, Log, LogConfig, LogError, LogErrorKind};

fn small() -> LogConfig {
    LogConfig { segment_bytes: 256, max_bytes: None, fill_bytes: 100, skip_damage_up_to: None }
}

fn text(number: u64) -> String {
    format!("entry number {number}")
}

fn append(log: &Log, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        assert_eq!(log.append(text(number)).wait().expect("there is room"), number);
    }
}

/// Appends without a pause in which the log could be idle, and say in the file that it is.
fn append_together(disk: &Simulated, log: &Log, numbers: std::ops::RangeInclusive<u64>) {
    let paused = disk.pause();
    let commits: Vec<_> = numbers.map(|number| (number, log.append(text(number)))).collect();
    drop(paused);
    for (number, commit) in commits {
        assert_eq!(commit.wait().expect("there is room"), number);
    }
}

fn read_all(log: &Log) -> Vec<Entry> {
    log.entries(log.first_sequence()).collect::<Result<_, _>>().expect("all is well")
}

/// A log of twelve entries in three segments, and their names.
fn closed_log() -> (Simulated, Vec<String>) {
    let disk = Simulated::default();
    let log = open(&disk, &small()).expect("it opens");
    append_together(&disk, &log, 1..=12);
    log.close().expect("nothing fails");
    let segments: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".log")).collect();
    assert_eq!(segments.len(), 3);
    (disk, segments)
}

fn copy(disk: &Simulated) -> Simulated {
    disk.crash(disk.operations(), Survival::Everything)
}

#[test]
fn no_flipped_bit_loses_an_entry_in_silence() {
    let (disk, segments) = closed_log();
    for segment in &segments {
        for bit in 0..disk.content(segment).len() * 8 {
            let damaged = copy(&disk);
            damaged.tamper(segment, |content| content[bit / 8] ^= 1 << (bit % 8));
            match open(&damaged, &small()) {
                // Only the witness at the very end may be lost.
                Ok(log) => assert_eq!(read_all(&log).len(), 12, "{segment}, bit {bit}"),
                Err(error) => {
                    assert!(matches!(error.kind(), LogErrorKind::Corrupt | LogErrorKind::Unsupported), "{error}");
                    assert!(error.path().is_some_and(|path| path.ends_with(segment)), "{error}");
                    assert!(error.offset().is_none_or(|offset| offset <= bit as u64 / 8), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_after_a_crash_loses_at_most_what_was_synced_last() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig { segment_bytes: 4096, ..small() }).expect("it opens");
    append(&log, 1..=5);
    let crashed = copy(&disk);
    let segment = crashed.names().into_iter().find(|name| name.ends_with(".log")).expect("there is a segment");
    for bit in 0..crashed.content(&segment).len() * 8 {
        let damaged = copy(&crashed);
        damaged.tamper(&segment, |content| content[bit / 8] ^= 1 << (bit % 8));
        if let Ok(log) = open(&damaged, &small()) {
            assert!(read_all(&log).len() >= 4, "bit {bit}");
        }
    }
}

#[test]
fn once_the_log_is_idle_a_flipped_bit_loses_nothing_in_silence() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig::default()).expect("it opens");
    append_together(&disk, &log, 1..=5);
    let written = 48 + 5 * (24 + text(1).len());
    let begin = Instant::now();
    while log.used_bytes() <= written as u64 {
        assert!(begin.elapsed() < Duration::from_secs(10), "nothing says that the entries are durable");
        std::thread::yield_now();
    }
    let killed = copy(&disk);
    let segment = killed.names().into_iter().find(|name| name.ends_with(".log")).expect("there is a segment");
    for bit in 0..written * 8 {
        let damaged = copy(&killed);
        damaged.tamper(&segment, |content| content[bit / 8] ^= 1 << (bit % 8));
        assert!(open(&damaged, &small()).is_err(), "bit {bit}");
    }
}

#[test]
fn damage_is_told_with_a_way_on() {
    let (disk, segments) = closed_log();
    // The second entry of the second segment.
    let at = 48 + 24 + text(6).len();
    disk.tamper(&segments[1], |content| content[at + 30] ^= 1);
    let error = open(&disk, &small()).expect_err("it is damaged");
    assert_eq!(error.offset(), Some(at as u64));
    let first: u64 = segments[1][..20].parse().expect("a name is a number");
    assert_eq!(
        error.to_string(),
        format!(
            "the log is damaged: an entry's checksum does not match its bytes (log/{segment}, byte {at}); restore the file from a copy; \
             entries {0} to {0} are damaged, {1} and what follows is whole: to give up the former alone, open the log with `skip_damage_up_to` {0}; \
             to give up entry {0} and all after it, cut the file to {at} bytes and move later segments out of the directory",
            first + 1,
            first + 2,
            segment = segments[1],
        )
    );
    disk.tamper(&segments[1], |content| content.truncate(at));
    disk.remove_file(&segments[2]);
    let log = open(&disk, &small()).expect("what the error advised helps");
    assert_eq!(log.next_sequence(), first + 1);
    assert_eq!(log.recovery().cut, None);
}

#[test]
fn damage_is_found_by_readers_too() {
    let disk = Simulated::default();
    let log = open(&disk, &small()).expect("it opens");
    append_together(&disk, &log, 1..=5);
    let segment = disk.names().into_iter().find(|name| name.ends_with(".log")).expect("there is a segment");
    // In the payload of the third entry.
    let at = 48 + 2 * (24 + text(1).len());
    disk.tamper(&segment, |content| content[at + 30] ^= 1);
    let error = log.read(3).expect_err("it is damaged");
    assert_eq!((error.kind(), error.offset()), (LogErrorKind::Corrupt, Some(at as u64)));
    let entries: Vec<_> = log.entries(1).map(|entry| entry.map(|entry| entry.sequence).map_err(|error| error.kind())).collect();
    assert_eq!(entries, [Ok(1), Ok(2), Err(LogErrorKind::Corrupt)], "the damage is not passed over");
    assert_eq!(log.read(4).expect("others can be read").map(|entry| entry.payload), Some(text(4).into_bytes()));
}

#[test]
fn a_shortened_or_missing_segment_is_damage() {
    let (disk, segments) = closed_log();
    for length in 0..disk.content(&segments[1]).len() {
        let damaged = copy(&disk);
        damaged.tamper(&segments[1], |content| content.truncate(length));
        let error = open(&damaged, &small()).expect_err("entries are missing");
        assert_eq!(error.kind(), LogErrorKind::Corrupt, "{length}: {error}");
    }
    disk.remove_file(&segments[1]);
    let error = open(&disk, &small()).expect_err("entries are missing");
    assert_eq!(error.kind(), LogErrorKind::Corrupt);
    assert!(error.to_string().contains("are missing"), "{error}");
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let (disk, segments) = closed_log();
    let (other, _) = closed_log();
    let foreign = other.content(&segments[1]);
    disk.tamper(&segments[1], |content| *content = foreign);
    let error = open(&disk, &small()).expect_err("it is of another log");
    assert_eq!(error.kind(), LogErrorKind::Corrupt);
    assert!(error.to_string().contains("of another log"), "{error}");
}

#[test]
fn an_unfinished_end_is_cut_off_and_told() {
    let disk = Simulated::default();
    let log = open(&disk, &small()).expect("it opens");
    append(&log, 1..=2);
    let before = disk.operations();
    drop(log.append_unsynced(text(3)));
    drop(log);
    // The crash comes while the third entry is written, and keeps parts of it.
    let (crashed, log) = (0..1000)
        .map(|seed| {
            let crashed = disk.crash(before + 1 + seed % 2, Survival::Random(seed as u64));
            let log = open(&crashed, &small()).expect("a torn end is no damage");
            (crashed, log)
        })
        .find(|(_, log)| log.recovery().cut.is_some())
        .expect("some crash tears the entry");
    let cut = log.recovery().cut.clone().expect("it was cut");
    assert_eq!(cut.sequence, 3);
    // Behind each entry lies a witness if the log had nothing to do for a moment.
    let witnesses = cut.offset - (48 + 2 * (24 + text(1).len() as u64));
    assert!([0, 24, 48].contains(&witnesses), "{witnesses} bytes more than two entries");
    assert_eq!(read_all(&log).len(), 2);
    append(&log, 3..=4);
    drop(log);
    assert_eq!(open(&crashed, &small()).expect("it opens").recovery().cut, None);
}

#[test]
fn a_failed_sync_stops_the_log_until_it_is_opened_again() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig { fill_bytes: 0, ..small() }).expect("it opens");
    append(&log, 1..=2);
    disk.fail_next_sync();
    let error = log.append(text(3)).wait().expect_err("the sync failed");
    assert_eq!(error.kind(), LogErrorKind::SyncFailed);
    assert!(std::error::Error::source(&error).is_some());
    let operations = disk.operations();
    for commit in [log.append(text(4)), log.append_unsynced(text(4)), log.sync()] {
        assert_eq!(commit.wait().expect_err("the log has stopped").kind(), LogErrorKind::SyncFailed);
    }
    assert_eq!(log.release(2).err().map(|error| error.kind()), None, "there is nothing to remove");
    assert_eq!((log.durable(), read_all(&log).len()), (2, 2));
    assert_eq!(log.read(3).expect("reading goes on"), None);
    assert_eq!(log.close().expect_err("it is not well").kind(), LogErrorKind::SyncFailed);
    assert_eq!(disk.operations(), operations, "nothing is written after a failed sync");

    let log = open(&disk, &small()).expect("it opens");
    assert_eq!(read_all(&log).len(), 3, "the operating system still had it, and now the disk has");
    assert_eq!(open(&copy(&disk), &small()).expect("it opens").durable(), 3);
    append(&log, 4..=5);
}

#[test]
fn appends_that_wait_share_a_sync() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig::default()).expect("it opens");
    let before = disk.syncs();
    let commits: Vec<_> = {
        let _paused = disk.pause();
        (0..1000).map(|number| log.append(text(number))).collect()
    };
    for commit in commits {
        commit.wait().expect("there is room");
    }
    // The first group may have been taken before the others came.
    assert!(disk.syncs() - before <= 2);
}

#[test]
fn a_full_disk_refuses_entries_until_there_is_room() {
    let disk = Simulated::default();
    let log = open(&disk, &small()).expect("it opens");
    append(&log, 1..=3);
    disk.limit(Some(700));
    let mut next = 4;
    let error = loop {
        match log.append(text(next)).wait() {
            Ok(sequence) => next = sequence + 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), LogErrorKind::DiskFull, "{error}");
    assert!(error.is_full());
    // One that is smaller may still fit; the refused one left nothing behind.
    assert_eq!(read_all(&open(&copy(&disk), &small()).expect("it opens")).len() as u64, next - 1);
    assert!(log.append(text(next)).wait().is_err_and(|error| error.is_full()));
    log.release(next - 1).expect("removing needs no room");
    append(&log, next..=next + 3);
    disk.limit(None);
    append(&log, next + 4..=next + 20);
    log.close().expect("nothing fails");
    assert_eq!(open(&disk, &small()).expect("it opens").next_sequence(), next + 21);
}

#[test]
fn a_disk_that_holds_less_than_a_segment_has_room_once_all_is_released() {
    let config = LogConfig { segment_bytes: 4096, ..small() };
    let disk = Simulated::default();
    let log = open(&disk, &config).expect("it opens");
    disk.limit(Some(700));
    let mut next = 1;
    let mut fill = |log: &Log| {
        let error = loop {
            match log.append(text(next)).wait() {
                Ok(sequence) => next = sequence + 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), LogErrorKind::DiskFull, "{error}");
        next
    };
    for _ in 0..3 {
        let next = fill(&log);
        log.release(next - 2).expect("nothing fails");
        assert!(log.append(text(next)).wait().is_err_and(|error| error.is_full()), "one entry is still needed");
        log.release(next - 1).expect("nothing fails");
        // Several at once, of which each is a batch of its own.
        let commits: Vec<_> = {
            let _paused = disk.pause();
            (0..3).map(|more| log.append_batch([text(next + 2 * more), text(next + 2 * more + 1)])).collect()
        };
        for (more, commit) in (0..).zip(commits) {
            let first = next + 2 * more;
            assert_eq!(commit.wait().expect("there is room"), first..first + 2);
        }
        let found: Vec<Vec<u8>> = read_all(&log).into_iter().map(|entry| entry.payload).collect();
        assert_eq!(found, (next..next + 6).map(|number| text(number).into_bytes()).collect::<Vec<_>>());
    }
    // A process that is killed leaves the disk as full as it was.
    let next = fill(&log);
    let killed = copy(&disk);
    killed.limit(Some(700));
    let log = open(&killed, &config).expect("it opens on a full disk");
    assert!(log.append(text(next)).wait().is_err_and(|error| error.is_full()));
    log.release(next - 1).expect("nothing fails");
    append(&log, next..=next + 3);
    log.close().expect("nothing fails");
    assert_eq!(killed.names().len(), 1, "the reserve is given back");
    assert_eq!(read_all(&open(&killed, &config).expect("it opens")).len(), 4);
}

#[test]
fn the_limit_is_kept_and_a_release_makes_room() {
    let config = LogConfig { max_bytes: Some(1000), ..small() };
    let disk = Simulated::default();
    let log = open(&disk, &config).expect("it opens");
    let bytes = || disk.names().iter().filter(|name| name.ends_with(".log")).map(|name| disk.content(name).len()).sum::<usize>();
    let mut next = 1;
    for _ in 0..5 {
        let error = loop {
            match log.append(text(next)).wait() {
                Ok(sequence) => next = sequence + 1,
                Err(error) => break error,
            }
            assert!(bytes() <= 1000, "{} bytes are on the disk", bytes());
        };
        assert_eq!(error.kind(), LogErrorKind::Full, "{error}");
        assert!(error.is_full());
        log.release(next - 1).expect("nothing fails");
        assert!(log.used_bytes() <= 256);
        assert!(log.first_sequence() > 1);
    }
    // Many at once are refused one by one.
    let commits: Vec<_> = (0..100).map(|_| log.append("0123456789")).collect();
    let results: Vec<Result<u64, LogError>> = commits.into_iter().map(|commit| commit.wait()).collect();
    assert!(results.iter().any(Result::is_ok));
    assert!(results.iter().any(|result| result.as_ref().is_err_and(LogError::is_full)));
    assert!(bytes() <= 1000, "{} bytes are on the disk", bytes());
    assert_eq!(log.next_sequence(), next + results.iter().filter(|result| result.is_ok()).count() as u64);
}

#[test]
fn a_log_with_larger_segments_than_the_limit_has_room_once_they_are_released() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig { segment_bytes: 4096, ..small() }).expect("it opens");
    append(&log, 1..=40);
    log.close().expect("nothing fails");
    let log = open(&disk, &LogConfig { max_bytes: Some(512), ..small() }).expect("it opens");
    assert!(log.used_bytes() > 512);
    assert_eq!(log.append("refused").wait().map_err(|error| error.kind()), Err(LogErrorKind::Full));
    assert_eq!(log.sync().wait().expect("a sync needs no room"), 40);
    log.release(39).expect("nothing fails");
    assert_eq!(log.append("refused").wait().map_err(|error| error.kind()), Err(LogErrorKind::Full), "one entry is still needed");
    log.release(40).expect("nothing fails");
    append(&log, 41..=44);
    assert_eq!(log.first_sequence(), 41);
    assert!(log.used_bytes() <= 512);
    let numbers: Vec<u64> = read_all(&log).iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, [41, 42, 43, 44]);
}

#[test]
fn headers_of_new_segments_count_too() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig { max_bytes: Some(512), fill_bytes: 0, ..small() }).expect("it opens");
    // Together they would fit, but each needs a segment.
    let commits: Vec<_> = {
        let _paused = disk.pause();
        let commits = (0..3).map(|_| log.append([0; 120])).collect();
        // What waits counts, so that not even memory holds more than the limit.
        let refused = pin!(log.append([0; 120])).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(refused, Poll::Ready(Err(error)) if error.kind() == LogErrorKind::Full));
        commits
    };
    let results: Vec<_> = commits.into_iter().map(|commit| commit.wait().map_err(|error| error.kind())).collect();
    assert_eq!(results, [Ok(1), Ok(2), Err(LogErrorKind::Full)]);
}

#[test]
fn what_was_released_while_it_was_written_goes_with_its_segment() {
    let disk = Simulated::default();
    let log = open(&disk, &small()).expect("it opens");
    for number in 1..=40 {
        append(&log, number..=number);
        let segments = disk.names().iter().filter(|name| name.ends_with(".log")).count();
        assert_eq!(segments, 1, "all entries before {number} are released");
        log.release(number).expect("nothing fails");
    }
    assert!(log.first_sequence() > 30);
    append(&log, 41..=60);
    let first = log.first_sequence();
    log.release(first).expect("nothing fails");
    assert_eq!(log.first_sequence(), first, "others of its segment are needed");
}
