//! Whether every read kept its promise.
//!
//! Nothing is assumed of what is not known: a write that was begun and never acknowledged may have been committed at any time since, or never. So what is
//! reported is wrong for certain.

use std::collections::HashMap;

use crate::history::{Event, Promise};

/// What is known of one write.
#[derive(Debug, Clone, Copy)]
struct Write {
    number: u64,
    began: u64,
    /// When it was acknowledged; `None` if it never was.
    acknowledged: Option<u64>,
    /// 0 if it is not known.
    version: u64,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) key: u64,
    /// When the read was answered.
    pub(crate) at: u64,
    pub(crate) text: String,
}

/// What the check found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) failures: u64,
    /// Reads that ran beside a write of their key.
    pub(crate) overlaps: u64,
    pub(crate) refused: u64,
    pub(crate) l1_hits: u64,
    pub(crate) l2_hits: u64,
    pub(crate) l3_hits: u64,
    pub(crate) violations: Vec<Violation>,
}

impl Verdict {
    /// Adds what was found in another run.
    pub(crate) fn add(&mut self, other: Verdict) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.failures += other.failures;
        self.overlaps += other.overlaps;
        self.refused += other.refused;
        self.l1_hits += other.l1_hits;
        self.l2_hits += other.l2_hits;
        self.l3_hits += other.l3_hits;
        self.violations.extend(other.violations);
    }
}

/// Checks the histories of the instances, one for each; `bound` in nanoseconds.
pub(crate) fn check(histories: &[Vec<Event>], bound: u64) -> Verdict {
    let mut verdict = Verdict::default();
    let mut writes: HashMap<u64, Vec<Write>> = HashMap::new();
    for event in histories.iter().flatten() {
        match *event {
            Event::Began { key, number, at } => {
                writes.entry(key).or_default().push(Write { number, began: at, acknowledged: None, version: 0 });
            }
            Event::Acknowledged { key, number, began, at, version } => {
                verdict.writes += 1;
                let same = |write: &&mut Write| write.number == number && write.began == began;
                if let Some(write) = writes.entry(key).or_default().iter_mut().rev().find(same) {
                    (write.acknowledged, write.version) = (Some(at), version);
                }
            }
            Event::Failed => verdict.failures += 1,
            Event::Ended { refused, l1_hits, l2_hits, l3_hits, .. } => {
                verdict.refused += refused;
                verdict.l1_hits += l1_hits;
                verdict.l2_hits += l2_hits;
                verdict.l3_hits += l3_hits;
            }
            Event::Read { .. } => {}
        }
    }
    let known: HashMap<u64, Known> = writes.into_iter().map(|(key, writes)| (key, Known::new(writes))).collect();
    for history in histories {
        let mut told: HashMap<u64, Told> = HashMap::new();
        for event in history {
            match *event {
                Event::Acknowledged { key, at, version, .. } if version > 0 => told.entry(key).or_default().add(at, version, *event),
                Event::Read { key, number, version, began, at, promise } => {
                    verdict.reads += 1;
                    let Some(known) = known.get(&key) else { continue };
                    verdict.overlaps += u64::from(known.overlaps(began, at));
                    let limit = if promise == Promise::Bounded { began.saturating_sub(bound) } else { began };
                    if let Some(text) = known.problem(number, version, at, limit) {
                        verdict.violations.push(Violation {
                            key,
                            at,
                            text: format!("{promise:?} read of key {key} at {began}..{at}: {text}"),
                        });
                    } else if number > 0 {
                        let newest = told.get(&key).and_then(|told| told.before(began));
                        if let Some((_, newest)) = newest.filter(|(newest, _)| *newest > version) {
                            let text = format!("{event:?}, though this process was told of a newer version before: {newest:?}");
                            verdict.violations.push(Violation { key, at, text });
                        }
                    }
                    if number > 0 {
                        told.entry(key).or_default().add(at, version, *event);
                    }
                }
                _ => {}
            }
        }
    }
    verdict
}

/// What a process was told of one key by its own reads and writes: when it knew of which version at least, and how.
#[derive(Debug, Default)]
struct Told(Vec<(u64, u64, Event)>);

impl Told {
    /// Events come nearly in the order of their ends; one that comes late counts from the end of the one before it.
    fn add(&mut self, at: u64, version: u64, event: Event) {
        match self.0.last() {
            Some(&(_, newest, _)) if newest >= version => {}
            Some(&(latest, ..)) => self.0.push((latest.max(at), version, event)),
            None => self.0.push((at, version, event)),
        }
    }

    /// The newest version that was known before a moment.
    fn before(&self, moment: u64) -> Option<(u64, Event)> {
        let count = self.0.partition_point(|(at, ..)| *at < moment);
        self.0[..count].last().map(|(_, version, event)| (*version, *event))
    }
}

/// The writes of one key.
#[derive(Debug)]
struct Known {
    by_number: HashMap<u64, Write>,
    deletions: Vec<Write>,
    /// Acknowledged puts by version, each with the earliest acknowledgement of it or of any later version.
    puts: Vec<(u64, u64)>,
    /// Acknowledgements of puts in the order of time, each with the newest put until then.
    newest: Vec<(u64, Write)>,
    spans: Vec<(u64, u64)>,
}

impl Known {
    fn new(writes: Vec<Write>) -> Self {
        let mut puts: Vec<(u64, u64)> =
            writes.iter().filter(|write| write.number > 0).filter_map(|write| Some((write.version, write.acknowledged?))).collect();
        puts.sort_unstable();
        let mut earliest = u64::MAX;
        for (_, acknowledged) in puts.iter_mut().rev() {
            earliest = earliest.min(*acknowledged);
            *acknowledged = earliest;
        }
        let mut spans: Vec<(u64, u64)> = writes.iter().map(|write| (write.began, write.acknowledged.unwrap_or(u64::MAX))).collect();
        spans.sort_unstable();
        let mut newest: Vec<(u64, Write)> =
            writes.iter().filter(|write| write.number > 0).filter_map(|write| Some((write.acknowledged?, *write))).collect();
        newest.sort_unstable_by_key(|(at, _)| *at);
        for index in 1..newest.len() {
            if newest[index - 1].1.version > newest[index].1.version {
                newest[index].1 = newest[index - 1].1;
            }
        }
        Known {
            newest,
            by_number: writes.iter().filter(|write| write.number > 0).map(|write| (write.number, *write)).collect(),
            deletions: writes.iter().filter(|write| write.number == 0).copied().collect(),
            puts,
            spans,
        }
    }

    fn overlaps(&self, began: u64, ended: u64) -> bool {
        let before = self.spans.partition_point(|(start, _)| *start <= ended);
        self.spans[..before].iter().rev().take(16).any(|(_, end)| *end >= began)
    }

    /// What is wrong with an answer that must reflect every commit acknowledged before `limit`.
    fn problem(&self, number: u64, version: u64, answered: u64, limit: u64) -> Option<String> {
        if number == 0 {
            // The newest put that must show, unless a deletion may have come after it.
            let count = self.newest.partition_point(|(at, _)| *at < limit);
            let (_, put) = self.newest[..count].last()?;
            let may_be_deleted =
                self.deletions.iter().any(|deletion| deletion.began < answered && deletion.acknowledged.is_none_or(|at| at > put.began));
            return (!may_be_deleted).then(|| format!("nothing, though {put:?} was acknowledged in time and not deleted"));
        }
        let Some(write) = self.by_number.get(&number) else { return Some(format!("number {number}, which nobody wrote")) };
        if write.began > answered {
            return Some(format!("{write:?}, which had not begun"));
        }
        if write.version != 0 && write.version != version {
            return Some(format!("version {version} of {write:?}"));
        }
        let later = self.puts.partition_point(|(put, _)| *put <= version);
        if let Some((newer, acknowledged)) = self.puts.get(later).filter(|(_, acknowledged)| *acknowledged < limit) {
            return Some(format!("version {version}, though version {newer} or a later one was acknowledged at {acknowledged}, in time"));
        }
        // A deletion that began after the write was acknowledged is newer than it.
        let acknowledged = write.acknowledged?;
        let deletion =
            self.deletions.iter().find(|deletion| deletion.began > acknowledged && deletion.acknowledged.is_some_and(|at| at < limit))?;
        Some(format!("version {version}, though it was deleted: {deletion:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u64 = 100;

    fn write(number: u64, version: u64, began: u64, at: u64) -> [Event; 2] {
        [Event::Began { key: 1, number, at: began }, Event::Acknowledged { key: 1, number, began, at, version }]
    }

    fn read(number: u64, version: u64, began: u64, promise: Promise) -> Event {
        Event::Read { key: 1, number, version, began, at: began + 5, promise }
    }

    fn violations(writer: &[Event], reader: &[Event]) -> usize {
        check(&[writer.to_vec(), reader.to_vec()], BOUND).violations.len()
    }

    #[test]
    fn a_read_may_be_as_old_as_its_promise() {
        let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
        for (began, promise, expected) in [
            (35, Promise::Latest, 0),
            (41, Promise::Latest, 1),
            (41, Promise::Bounded, 0),
            (140, Promise::Bounded, 0),
            (141, Promise::Bounded, 1),
        ] {
            assert_eq!(violations(&history, &[read(7, 1, began, promise)]), expected, "{began} {promise:?}");
        }
        assert_eq!(violations(&history, &[read(8, 2, 500, Promise::Latest)]), 0);
    }

    #[test]
    fn a_read_shows_what_was_written_and_nothing_else() {
        let history = write(7, 1, 10, 20);
        assert_eq!(violations(&history, &[read(9, 1, 50, Promise::Bounded)]), 1, "nobody wrote it");
        assert_eq!(violations(&history, &[read(7, 1, 1, Promise::Bounded)]), 1, "it had not begun");
        assert_eq!(violations(&history, &[read(7, 5, 50, Promise::Bounded)]), 1, "another version");
        assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Latest)]), 1, "it was not deleted");
        assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Bounded)]), 0);
    }

    #[test]
    fn deletions_count_once_they_are_certain() {
        let history = [write(7, 1, 10, 20), write(0, 0, 30, 40)].concat();
        assert_eq!(violations(&history, &[read(7, 1, 50, Promise::Latest)]), 1);
        assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Latest)]), 0);
        let overlapping = [write(7, 1, 10, 35), write(0, 0, 30, 40)].concat();
        assert_eq!(violations(&overlapping, &[read(7, 1, 50, Promise::Latest)]), 0, "either may have been first");
        let unknown = [write(7, 1, 10, 20).as_slice(), &[Event::Began { key: 1, number: 0, at: 30 }]].concat();
        assert_eq!(violations(&unknown, &[read(7, 1, 50, Promise::Latest)]), 0);
        assert_eq!(violations(&unknown, &[read(0, 0, 50, Promise::Latest)]), 0);
    }

    #[test]
    fn a_process_never_reads_less_than_it_was_told() {
        let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
        let reads = [read(8, 2, 50, Promise::Bounded), read(7, 1, 60, Promise::Bounded)];
        assert_eq!(violations(&history, &reads), 1);
        assert_eq!(violations(&history, &[reads[1], reads[0]]), 0);
    }
}
