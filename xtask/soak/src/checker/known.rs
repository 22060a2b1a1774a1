//! What is known of the writes of one key.

use std::collections::{BTreeMap, HashMap};

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its process was killed, or is still at it.
    Unknown,
    /// The call failed then. It may have been committed all the same, but not after a later write of the same instance.
    Failed(u64),
    Acknowledged(u64),
    /// It was refused or rolled back.
    Never,
}

/// One write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    #[expect(dead_code, reason = "it is shown with a violation")]
    pub(super) number: u64,
    pub(super) instance: usize,
    pub(super) began: u64,
    pub(super) outcome: Outcome,
    /// 0 if it is not known.
    pub(super) version: u64,
}

impl Write {
    fn acknowledged(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Acknowledged(at) => Some(at),
            Outcome::Unknown | Outcome::Failed(_) | Outcome::Never => None,
        }
    }

    /// Whether what began at a moment is newer for certain; an instance's own writes are even if this one failed.
    fn precedes(&self, instance: usize, began: u64) -> bool {
        match self.outcome {
            Outcome::Acknowledged(at) => at < began,
            Outcome::Failed(at) => at < began && self.instance == instance,
            Outcome::Unknown | Outcome::Never => false,
        }
    }
}

/// An answer to a read of the key; number 0 is nothing, version 0 one that was not told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) version: u64,
    pub(super) at: u64,
    /// It must reflect every commit that was acknowledged before.
    pub(super) limit: u64,
}

/// The writes of one key, as far back as an answer may still depend on them.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_number: HashMap<u64, Write>,
    /// In the order in which they began.
    deletions: Vec<Write>,
    /// The acknowledged puts, by version.
    puts: BTreeMap<u64, Write>,
    /// Those of which the version was not told.
    unversioned: Vec<Write>,
    /// When writes began, in that order, and ended if they did.
    spans: Vec<(u64, u64)>,
}

/// How many of the writes before the end of a read are looked at to tell whether one ran beside it.
const LATEST: usize = 16;

impl Known {
    pub(super) fn begin(&mut self, instance: usize, number: u64, began: u64) {
        let write = Write { number, instance, began, outcome: Outcome::Unknown, version: 0 };
        match number {
            0 => self.deletions.insert(self.deletions.partition_point(|deletion| deletion.began < began), write),
            number => drop(self.by_number.insert(number, write)),
        }
        self.spans.insert(self.spans.partition_point(|span| span.0 < began), (began, u64::MAX));
    }

    pub(super) fn acknowledge(&mut self, instance: usize, number: u64, began: u64, at: u64, version: u64) {
        let Some(write) = self.end(instance, number, began, at) else { return };
        (write.outcome, write.version) = (Outcome::Acknowledged(at), version);
        let write = *write;
        match (number, version) {
            (0, _) => {}
            (_, 0) => self.unversioned.push(write),
            _ => drop(self.puts.insert(version, write)),
        }
    }

    pub(super) fn fail(&mut self, instance: usize, number: u64, began: u64, at: u64) {
        if let Some(write) = self.end(instance, number, began, at) {
            write.outcome = Outcome::Failed(at);
        }
    }

    /// A put did not take place.
    pub(super) fn never(&mut self, instance: usize, number: u64, began: u64, at: u64) {
        if let Some(write) = self.end(instance, number, began, at) {
            write.outcome = Outcome::Never;
        }
    }

    /// Finds a write whose call ended.
    fn end(&mut self, instance: usize, number: u64, began: u64, at: u64) -> Option<&mut Write> {
        if let Some(span) = self.spans.iter_mut().rev().find(|span| span.0 == began) {
            span.1 = at;
        }
        match number {
            0 => self.deletions.iter_mut().rev().find(|deletion| (deletion.began, deletion.instance) == (began, instance)),
            number => self.by_number.get_mut(&number),
        }
    }

    /// Forgets what no answer depends on any more that must reflect every commit acknowledged before `horizon`; a write without an outcome is taken to be over
    /// when one was acknowledged that began `patience` later.
    pub(super) fn forget(&mut self, horizon: u64, patience: u64) {
        self.spans.retain(|(began, _)| *began >= horizon);
        let Some(floor) = self.newest(horizon).copied() else { return };
        let is_over = |write: &Write| write.began + patience < floor.began;
        self.puts = self.puts.split_off(&floor.version);
        self.unversioned.retain(|write| !write.precedes(floor.instance, floor.began));
        self.by_number.retain(|_, write| match write.acknowledged() {
            Some(_) if write.version == 0 => !write.precedes(floor.instance, floor.began),
            Some(_) => write.version >= floor.version,
            None => !is_over(write),
        });
        let is_old = |deletion: &Write| deletion.acknowledged().is_some_and(|at| at < horizon);
        let old = || self.deletions.iter().filter(|deletion| is_old(deletion));
        // Of those that every answer must reflect, these two say all there is to say.
        let kept = [old().max_by_key(|deletion| deletion.began), old().max_by_key(|deletion| deletion.acknowledged())]
            .map(|kept| kept.map(|kept| kept.began));
        self.deletions.retain(|deletion| match deletion.acknowledged() {
            Some(_) => !is_old(deletion) || kept.contains(&Some(deletion.began)),
            None => !is_over(deletion),
        });
    }

    /// The newest put that was acknowledged before a moment.
    fn newest(&self, moment: u64) -> Option<&Write> {
        self.puts.values().rev().find(|put| put.acknowledged().is_some_and(|at| at < moment))
    }

    /// The put of a number.
    pub(super) fn put(&self, number: u64) -> Option<&Write> {
        self.by_number.get(&number)
    }

    pub(super) fn overlaps(&self, began: u64, ended: u64) -> bool {
        let before = self.spans.partition_point(|(start, _)| *start <= ended);
        self.spans[..before].iter().rev().take(LATEST).any(|(_, end)| *end >= began)
    }

    /// Whether a put may be gone when a read is answered.
    pub(super) fn may_be_deleted(&self, put: &Write, answered: u64) -> bool {
        self.deletions.iter().rev().any(|deletion| deletion.began < answered && !deletion.precedes(put.instance, put.began))
    }

    /// Whether the put of a number is older for certain than what an instance began at a moment.
    pub(super) fn precedes(&self, number: u64, instance: usize, began: u64) -> bool {
        self.put(number).is_some_and(|put| put.precedes(instance, began))
    }

    /// What is wrong with an answer.
    pub(super) fn problem(&self, answer: Answer) -> Option<String> {
        let Answer { number, at: answered, limit, .. } = answer;
        let version = if answer.version == 0 { self.put(number).map_or(0, |put| put.version) } else { answer.version };
        let newest = self.newest(limit);
        let mut in_time = self.unversioned.iter().filter(|put| put.acknowledged().is_some_and(|at| at < limit));
        if number == 0 {
            // The newest put that must show, unless a deletion may have come after it.
            let put = newest.into_iter().chain(in_time).find(|put| !self.may_be_deleted(put, answered))?;
            return Some(format!("nothing, though {put:?} was acknowledged in time and not deleted"));
        }
        if let Some(newest) = newest.filter(|newest| version > 0 && newest.version > version) {
            return Some(format!("version {version}, though {newest:?} was acknowledged in time"));
        }
        let Some(write) = self.put(number) else { return Some(format!("number {number}, which nobody wrote")) };
        if write.began > answered {
            return Some(format!("{write:?}, which had not begun"));
        }
        if write.version != 0 && write.version != version {
            return Some(format!("version {version} of {write:?}"));
        }
        let over = match write.outcome {
            Outcome::Acknowledged(over) | Outcome::Failed(over) => over,
            Outcome::Unknown => return None,
            Outcome::Never => return Some(format!("{write:?}, which was refused or rolled back")),
        };
        // Though it failed, what its instance wrote later has a higher version.
        let mut older = self.puts.range(..version).rev().map(|(_, put)| put);
        if let Outcome::Failed(_) = write.outcome
            && let Some(later) = older.find(|put| write.precedes(put.instance, put.began))
        {
            return Some(format!("version {version} of {write:?}, which was over before {later:?} began"));
        }
        if let Some(later) = in_time.find(|later| write.precedes(later.instance, later.began)) {
            return Some(format!("version {version} of {write:?}, though {later:?} came after it and was acknowledged in time"));
        }
        let later = self.deletions.partition_point(|deletion| deletion.began <= over);
        let is_deleted =
            |deletion: &&Write| write.precedes(deletion.instance, deletion.began) && deletion.acknowledged().is_some_and(|at| at < limit);
        let deletion = self.deletions[later..].iter().find(is_deleted)?;
        Some(format!("version {version} of {write:?}, though it was deleted: {deletion:?}"))
    }

    /// A put that an update overwrote unseen: its version lies between that of the number that was updated and its own.
    pub(super) fn lost(&self, of: u64, version: u64) -> Option<&Write> {
        let seen = self.put(of)?.version;
        (seen > 0 && seen < version).then(|| self.puts.range(seen + 1..version).next())?.map(|(_, put)| put)
    }

    /// Whether what a snapshot shows is older for certain than a put that it must reflect.
    pub(super) fn lacks(&self, shown: u64, put: u64, answered: u64) -> bool {
        let Some(put) = self.put(put) else { return false };
        match self.put(shown) {
            _ if shown == 0 => !self.may_be_deleted(put, answered),
            Some(shown) => shown.precedes(put.instance, put.began) || (shown.version > 0 && shown.version < put.version),
            None => false,
        }
    }

    /// How much is remembered.
    pub(super) fn size(&self) -> usize {
        self.by_number.len() + self.unversioned.len() + self.deletions.len() + self.puts.len() + self.spans.len()
    }
}
