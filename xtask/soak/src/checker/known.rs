//! What is known of the writes of one key.

use std::collections::{BTreeMap, HashMap};

/// One write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    #[expect(dead_code, reason = "it is shown with a violation")]
    pub(super) number: u64,
    pub(super) began: u64,
    /// When it was acknowledged; `None` if it never was.
    pub(super) acknowledged: Option<u64>,
    /// 0 if it is not known.
    pub(super) version: u64,
}

/// The writes of one key, as far back as an answer may still depend on them.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_number: HashMap<u64, Write>,
    /// In the order in which they began.
    deletions: Vec<Write>,
    /// The acknowledged puts, by version.
    puts: BTreeMap<u64, Write>,
    /// When writes began, in that order, and ended if they did.
    spans: Vec<(u64, u64)>,
}

/// How many of the writes before the end of a read are looked at to tell whether one ran beside it.
const LATEST: usize = 16;

impl Known {
    pub(super) fn begin(&mut self, number: u64, began: u64) {
        let write = Write { number, began, acknowledged: None, version: 0 };
        match number {
            0 => self.deletions.insert(self.deletions.partition_point(|deletion| deletion.began < began), write),
            number => drop(self.by_number.insert(number, write)),
        }
        self.spans.insert(self.spans.partition_point(|span| span.0 < began), (began, u64::MAX));
    }

    pub(super) fn acknowledge(&mut self, number: u64, began: u64, at: u64, version: u64) {
        let write = match number {
            0 => self.deletions.iter_mut().rev().find(|deletion| deletion.began == began),
            number => self.by_number.get_mut(&number),
        };
        if let Some(write) = write {
            (write.acknowledged, write.version) = (Some(at), version);
            if number > 0 {
                self.puts.insert(version, *write);
            }
        }
        if let Some(span) = self.spans.iter_mut().rev().find(|span| span.0 == began) {
            span.1 = at;
        }
    }

    /// Forgets what no answer depends on any more that must reflect every commit acknowledged before `horizon`; a write without an outcome is taken to be over
    /// when one was acknowledged that began `patience` later.
    pub(super) fn forget(&mut self, horizon: u64, patience: u64) {
        self.spans.retain(|(began, _)| *began >= horizon);
        let Some(floor) = self.newest(horizon).copied() else { return };
        let is_over = |write: &Write| write.began + patience < floor.began;
        self.puts = self.puts.split_off(&floor.version);
        self.by_number.retain(|_, write| match write.acknowledged {
            Some(_) => write.version >= floor.version,
            None => !is_over(write),
        });
        let is_old = |deletion: &Write| deletion.acknowledged.is_some_and(|at| at < horizon);
        let old = || self.deletions.iter().filter(|deletion| is_old(deletion));
        // Of those that every answer must reflect, these two say all there is to say.
        let kept = [old().max_by_key(|deletion| deletion.began), old().max_by_key(|deletion| deletion.acknowledged)]
            .map(|kept| kept.map(|kept| kept.began));
        self.deletions.retain(|deletion| match deletion.acknowledged {
            Some(_) => !is_old(deletion) || kept.contains(&Some(deletion.began)),
            None => !is_over(deletion),
        });
    }

    /// The newest put that was acknowledged before a moment.
    fn newest(&self, moment: u64) -> Option<&Write> {
        self.puts.values().rev().find(|put| put.acknowledged.is_some_and(|at| at < moment))
    }

    pub(super) fn overlaps(&self, began: u64, ended: u64) -> bool {
        let before = self.spans.partition_point(|(start, _)| *start <= ended);
        self.spans[..before].iter().rev().take(LATEST).any(|(_, end)| *end >= began)
    }

    /// What is wrong with an answer that must reflect every commit acknowledged before `limit`.
    pub(super) fn problem(&self, number: u64, version: u64, answered: u64, limit: u64) -> Option<String> {
        let newest = self.newest(limit);
        if number == 0 {
            // The newest put that must show, unless a deletion may have come after it.
            let put = newest?;
            let may_follow = |deletion: &Write| deletion.began < answered && deletion.acknowledged.is_none_or(|at| at > put.began);
            let may_be_deleted = self.deletions.iter().rev().any(may_follow);
            return (!may_be_deleted).then(|| format!("nothing, though {put:?} was acknowledged in time and not deleted"));
        }
        if let Some(newest) = newest.filter(|newest| newest.version > version) {
            return Some(format!("version {version}, though {newest:?} was acknowledged in time"));
        }
        let Some(write) = self.by_number.get(&number) else { return Some(format!("number {number}, which nobody wrote")) };
        if write.began > answered {
            return Some(format!("{write:?}, which had not begun"));
        }
        if write.version != 0 && write.version != version {
            return Some(format!("version {version} of {write:?}"));
        }
        // A deletion that began after the write was acknowledged is newer than it.
        let acknowledged = write.acknowledged?;
        let later = self.deletions.partition_point(|deletion| deletion.began <= acknowledged);
        let deletion = self.deletions[later..].iter().find(|deletion| deletion.acknowledged.is_some_and(|at| at < limit))?;
        Some(format!("version {version}, though it was deleted: {deletion:?}"))
    }

    /// How much is remembered.
    pub(super) fn size(&self) -> usize {
        self.by_number.len() + self.deletions.len() + self.puts.len() + self.spans.len()
    }
}
