//! Operations on a log, what they answered, and what a log that is opened later must therefore hold.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::simulated::Simulated;
use crate::{Log, LogConfig, LogErrorKind, Result};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Appends of these payload lengths that wait for each other only in the end. Each is a batch.
    Append(Vec<(Vec<usize>, bool)>),
    Sync,
    /// Releases so many of the entries that are there, in hundredths.
    Release(u64),
    Reopen,
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let batch = (prop::collection::vec(0_usize..60, 1..4), prop::bool::weighted(0.7));
    let step = prop_oneof![
        6 => prop::collection::vec(batch, 1..5).prop_map(Step::Append),
        1 => Just(Step::Sync),
        2 => (0_u64..=100).prop_map(Step::Release),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..most)
}

pub(crate) fn config(fill: bool) -> LogConfig {
    LogConfig { segment_bytes: 300, max_bytes: None, fill_bytes: if fill { 150 } else { 0 }, skip_damage_up_to: None }
}

/// A batch that was appended: its first payload has the number `id`, the next the number after it.
#[derive(Debug, Clone)]
struct Batch {
    id: u64,
    count: u64,
    durable: bool,
    /// The first sequence, or why there is none; with how many operations the disk had seen by then.
    answer: Option<(Result<u64, LogErrorKind>, usize)>,
}

/// Everything that has been done to a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    batches: Vec<Batch>,
    next_id: u64,
    /// How far was released, and how many operations the disk had seen before.
    releases: Vec<(u64, usize)>,
    /// Syncs that succeeded: the last sequence, and how many operations the disk had seen by then.
    synced: Vec<(u64, usize)>,
    /// How many operations the disks before this one had seen when they crashed.
    base: usize,
}

fn payload(id: u64, length: usize) -> Vec<u8> {
    let mut payload = id.to_le_bytes().to_vec();
    payload.resize(8 + length, id as u8);
    payload
}

pub(crate) fn open(disk: &Simulated, config: &LogConfig) -> Result<Log> {
    Log::open_on(Arc::new(disk.clone()), Path::new("log"), config.clone())
}

impl History {
    /// Does the steps, and ends early where the log cannot be opened again.
    pub(crate) fn run(&mut self, disk: &Simulated, config: &LogConfig, steps: &[Step]) -> Result<()> {
        let mut log = open(disk, config)?;
        for step in steps {
            match step {
                Step::Append(batches) => self.append(disk, &log, batches),
                Step::Sync => {
                    if let Ok(last) = log.sync().wait() {
                        self.synced.push((last, self.count(disk)));
                    }
                }
                Step::Release(part) => {
                    let (first, next) = (log.first_sequence(), log.next_sequence());
                    let up_to = first + (next - first) * part / 100;
                    self.releases.push((up_to.min(next - 1), self.count(disk)));
                    let _ = log.release(up_to);
                }
                Step::Reopen => {
                    drop(log);
                    log = open(disk, config)?;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, disk: &Simulated, log: &Log, batches: &[(Vec<usize>, bool)]) {
        let mut commits = Vec::new();
        for (lengths, durable) in batches {
            let id = self.next_id;
            let payloads: Vec<_> = (id..).zip(lengths).map(|(id, length)| payload(id, *length)).collect();
            let count = payloads.len() as u64;
            self.next_id += count;
            self.batches.push(Batch { id, count, durable: *durable, answer: None });
            commits.push(if *durable { log.append_batch(payloads) } else { log.append_batch_unsynced(payloads) });
        }
        let begin = self.batches.len() - commits.len();
        for (batch, commit) in (begin..).zip(commits) {
            let answer = commit.wait().map(|range| range.start).map_err(|error| error.kind());
            self.batches[batch].answer = Some((answer, self.count(disk)));
        }
    }

    /// Checks what a log holds after a crash that came when the disk had seen `crash` operations. Whether the machine crashed, or the process alone, which loses nothing that
    /// the operating system has.
    pub(crate) fn check(&self, log: &Log, crash: usize, machine: bool) {
        let first = log.first_sequence();
        let found: Vec<(u64, Vec<u8>)> = log
            .entries(first)
            .map(|entry| {
                let entry = entry.expect("what was opened can be read");
                (entry.sequence, entry.payload)
            })
            .collect();
        let next = first + found.len() as u64;
        assert_eq!(log.next_sequence(), next);
        let released = self.releases.iter().filter(|(_, at)| *at <= crash).map(|(up_to, _)| *up_to).max().unwrap_or(0);
        assert!(first <= released + 1, "entries up to {first} are gone, and only those up to {released} were released");

        let mut last_id = None;
        for (at, (sequence, payload)) in found.iter().enumerate() {
            assert_eq!(*sequence, first + at as u64);
            let id = u64::from_le_bytes(payload[..8].try_into().expect("eight bytes"));
            assert!(payload[8..].iter().all(|byte| *byte == id as u8), "entry {sequence} is not what was appended");
            assert!(last_id < Some(id), "entry {sequence} is out of order");
            last_id = Some(id);
        }
        let sequence_of = |id: u64| found.iter().find(|(_, payload)| payload[..8] == id.to_le_bytes()).map(|(sequence, _)| *sequence);
        for batch in &self.batches {
            let places: Vec<_> = (batch.id..batch.id + batch.count).filter_map(sequence_of).collect();
            assert!(places.is_empty() || places.len() as u64 == batch.count, "a part of {batch:?} is there: {places:?}");
            match &batch.answer {
                Some((Ok(sequence), at)) if *at <= crash && (batch.durable || !machine) && *sequence >= first => {
                    assert_eq!(places.first(), Some(sequence), "{batch:?} is lost");
                }
                Some((Err(kind), at)) if *at <= crash && *kind != LogErrorKind::SyncFailed => {
                    assert!(places.is_empty(), "{batch:?} was not appended, and is there");
                }
                _ => {}
            }
        }
        for (last, at) in &self.synced {
            assert!(*at > crash || *last < next, "entry {last} was synced and is lost");
        }
    }

    /// How many operations the disks have seen.
    fn count(&self, disk: &Simulated) -> usize {
        self.base + disk.operations()
    }

    /// Notes what a log shows after it was opened: from then on it is durable.
    pub(crate) fn note_opened(&mut self, log: &Log, disk: &Simulated) {
        self.synced.push((log.next_sequence() - 1, self.count(disk)));
    }

    /// Goes on after a crash, with another disk: what came after it has not happened.
    pub(crate) fn crash(&mut self, crash: usize) {
        for batch in &mut self.batches {
            batch.answer.take_if(|(_, at)| *at > crash);
        }
        self.releases.retain(|(_, at)| *at <= crash);
        self.synced.retain(|(_, at)| *at <= crash);
        self.base = crash;
    }
}
