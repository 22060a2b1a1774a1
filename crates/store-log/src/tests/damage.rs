//! Damage that a log is opened in spite of: what is skipped, and what is not.

use std::time::{Duration, Instant};

use super::simulated::{Simulated, Survival};
use super::workload::open;
use crate::{Log, LogConfig, LogErrorKind};

fn small(skip: Option<u64>) -> LogConfig {
    LogConfig { segment_bytes: 256, max_bytes: None, fill_bytes: 100, skip_damage_up_to: skip }
}

fn text(number: u64) -> String {
    format!("entry number {number}")
}

/// A log of twelve entries in three segments or more, and their names; 4 to 6 are a batch. How many witnesses it has besides is left to chance.
fn closed_log() -> (Simulated, Vec<String>) {
    let disk = Simulated::default();
    let log = open(&disk, &small(None)).expect("it opens");
    for number in (1..=3).chain(7..=12) {
        if number == 7 {
            log.append_batch([text(4), text(5), text(6)]).wait().expect("there is room");
        }
        assert_eq!(log.append(text(number)).wait().expect("there is room"), number);
    }
    log.close().expect("nothing fails");
    let segments: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".log")).collect();
    assert!(segments.len() >= 3);
    (disk, segments)
}

/// What can be read, each entry as it was appended.
fn sequences(log: &Log) -> Vec<u64> {
    let entries = log.entries(1).collect::<Result<Vec<_>, _>>().expect("what is left is whole");
    assert!(entries.iter().all(|entry| entry.payload == text(entry.sequence).into_bytes()));
    entries.into_iter().map(|entry| entry.sequence).collect()
}

#[test]
fn a_flipped_bit_loses_nothing_that_is_still_needed() {
    let (disk, segments) = closed_log();
    let mut skipped = 0;
    for segment in &segments {
        for bit in (0..disk.content(segment).len() * 8).step_by(5) {
            let damaged = || {
                let damaged = disk.crash(disk.operations(), Survival::Everything);
                damaged.tamper(segment, |content| content[bit / 8] ^= 1 << (bit % 8));
                damaged
            };
            let lost = open(&damaged(), &small(None)).err().map(|error| (error.lost(), error.kind(), error.log_id()));
            for applied in 0..=12 {
                let log = open(&damaged(), &small(Some(applied)));
                match (log, &lost) {
                    (Ok(log), lost) => {
                        let gaps: Vec<u64> = log.recovery().skipped.iter().flat_map(|skipped| skipped.sequences.clone()).collect();
                        assert!(gaps.iter().all(|gap| *gap <= applied), "{segment}, bit {bit}: {gaps:?} with {applied}");
                        let expected: Vec<u64> = (1..=12).filter(|number| !gaps.contains(number)).collect();
                        assert_eq!((sequences(&log), log.next_sequence()), (expected, 13), "{segment}, bit {bit}, {applied}");
                        for gap in &gaps {
                            assert_eq!(log.read(*gap).expect_err("it is damaged").kind(), LogErrorKind::Corrupt);
                        }
                        assert_eq!(
                            gaps.is_empty(),
                            lost.as_ref().is_none_or(|(lost, ..)| lost.as_ref().is_some_and(|lost| lost.is_empty()))
                        );
                        skipped += usize::from(!gaps.is_empty());
                        let next = log.append(text(13)).wait().expect("it goes on");
                        drop(log);
                        assert_eq!(next, 13);
                    }
                    (Err(error), Some((Some(lost), ..))) => assert!(lost.end > applied + 1, "{segment}, bit {bit}, {applied}: {error}"),
                    // The header of a segment.
                    (Err(error), lost) => assert!(bit < 48 * 8, "{segment}, bit {bit}, {applied}: {error} {lost:?}"),
                }
            }
            if let Some((Some(lost), kind, id)) = lost {
                assert_eq!(kind, LogErrorKind::Corrupt);
                let damaged = damaged();
                let log = open(&damaged, &small(Some(lost.end - 1))).expect("what the error advises helps");
                assert_eq!(Some(log.id()), id);
                drop(log);
                let log = open(&damaged, &small(Some(lost.end - 1))).expect("again");
                assert_eq!(sequences(&log).len() as u64, 12 - (lost.end - lost.start));
            }
        }
    }
    assert!(skipped > 500, "{skipped}");
}

#[test]
fn a_damaged_witness_is_passed_over() {
    let disk = Simulated::default();
    let log = open(&disk, &LogConfig::default()).expect("it opens");
    assert_eq!(log.append(text(1)).wait().expect("there is room"), 1);
    let (written, begin) = (48 + 24 + text(1).len() as u64, Instant::now());
    while log.used_bytes() == written {
        assert!(begin.elapsed() < Duration::from_secs(10), "nothing says that the entry is durable");
        std::thread::yield_now();
    }
    for number in 2..=3 {
        assert_eq!(log.append(text(number)).wait().expect("there is room"), number);
    }
    log.close().expect("nothing fails");
    let segment = disk.names().into_iter().find(|name| name.ends_with(".log")).expect("there is a segment");
    disk.tamper(&segment, |content| content[written as usize + 10] ^= 1);
    let error = open(&disk, &LogConfig::default()).expect_err("it is damaged");
    assert_eq!((error.offset(), error.lost()), (Some(written), Some(2..2)), "{error}");
    let log = open(&disk, &LogConfig { skip_damage_up_to: Some(1), ..LogConfig::default() }).expect("what the error advises helps");
    assert_eq!(sequences(&log), [1, 2, 3]);
    for number in 1..=3 {
        assert_eq!(log.read(number).expect("it is whole").map(|entry| entry.payload), Some(text(number).into_bytes()));
    }
    assert_eq!(log.append(text(4)).wait().expect("it goes on"), 4);
}

#[test]
fn what_runs_to_the_end_of_a_segment_is_skipped_and_the_next_one_kept() {
    let (disk, segments) = closed_log();
    let following: u64 = segments[1][..20].parse().expect("a name is a number");
    for length in 48..disk.content(&segments[0]).len() {
        let damaged = disk.crash(disk.operations(), Survival::Everything);
        damaged.tamper(&segments[0], |content| content.truncate(length));
        let error = open(&damaged, &small(Some(following - 2))).err();
        if let Some(error) = &error {
            assert_eq!(error.lost().map(|lost| lost.end), Some(following), "{length}: {error}");
        }
        let log = open(&damaged, &small(Some(following - 1))).expect("nothing that is needed is gone");
        assert_eq!(log.recovery().skipped.is_empty(), error.is_none(), "{length}");
        assert_eq!(sequences(&log).last(), Some(&12));
    }
}

#[test]
fn an_unfinished_end_is_cut_off_whatever_may_be_skipped() {
    let disk = Simulated::default();
    let log = open(&disk, &small(None)).expect("it opens");
    for number in 1..=2 {
        log.append(text(number)).wait().expect("there is room");
    }
    let before = disk.operations();
    drop(log.append_batch_unsynced([text(3), text(4)]));
    drop(log);
    let mut cuts = 0;
    for seed in 0..200 {
        let crashed = disk.crash(before + 1 + seed as usize % 2, Survival::Random(seed));
        let log = open(&crashed, &small(Some(2))).expect("a torn end is no damage");
        assert!(log.recovery().skipped.is_empty() && [2, 4].contains(&sequences(&log).len()));
        cuts += usize::from(log.recovery().cut.is_some());
    }
    assert!(cuts > 0);
}
