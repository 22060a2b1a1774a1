//! The tier of truth: one row, and the log of commits.

use std::sync::Arc;

use super::rules::{Protection, Rules};
use crate::facet::{LogCursor, LogKind};

/// A copy of the row, or of version 0, the knowledge that there is none. Changes of the truth are counted; a copy is as new as the last change before it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) version: u64,
    pub(super) as_of: u8,
}

impl Row {
    pub(super) fn is_absence(self) -> bool {
        self.version == 0
    }
}

/// Whether an entry of the log says nothing of the row but that it may have been edited.
pub(super) fn is_invalidation(kind: LogKind) -> bool {
    matches!(kind, LogKind::Invalidate | LogKind::InvalidateTag)
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Open,
    Committed,
    RolledBack,
    /// Committed, and unknown to the standby that took over.
    Lost,
}

/// A transaction, with its row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) kind: LogKind,
    pub(super) version: u64,
    pub(super) phase: Phase,
    /// The change of the truth that it stands for.
    pub(super) as_of: u8,
    /// When it committed.
    pub(super) at: u8,
    pruned: bool,
    /// The row that it replaced.
    before: Option<Row>,
}

/// A place in the log: which transactions had ended, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    timeline: u8,
    ended: u8,
}

impl Place {
    pub(super) fn cursor(self) -> LogCursor {
        LogCursor::new(format!("{}{}", char::from(b'0' + self.timeline), char::from(b'0' + self.ended)))
    }

    pub(super) fn of(cursor: &LogCursor) -> Self {
        let bytes = cursor.as_str().as_bytes();
        Place { timeline: bytes[0] - b'0', ended: bytes[1] - b'0' }
    }
}

/// As [`Log::covers`](crate::facet::Log::covers).
pub(super) fn covers(place: &LogCursor, earlier: &LogCursor) -> bool {
    let (place, earlier) = (Place::of(place), Place::of(earlier));
    place.timeline == earlier.timeline && place.ended & earlier.ended == earlier.ended
}

/// As [`LogBatch`](crate::facet::LogBatch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Batch {
    /// The entries, one bit for each.
    pub(super) entries: u8,
    pub(super) end: Place,
    pub(super) gap: bool,
    /// With a gap, the newest change that everything is read after: the truth may lose it once it has answered.
    pub(super) as_of: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Truth {
    timeline: u8,
    /// The change of the truth that the timeline began with.
    began: u8,
    pub(super) row: Option<Row>,
    as_of: u8,
    pub(super) log: Arc<Vec<Entry>>,
}

impl Truth {
    pub(super) fn new(rules: &Rules) -> Self {
        let row = Row { version: 1, as_of: 1 };
        Truth { timeline: 0, began: 1, row: (!rules.begins_absent).then_some(row), as_of: 1, log: Arc::default() }
    }

    /// What a read finds: the row, or where absences are remembered, that there is none.
    pub(super) fn found(&self, rules: &Rules) -> Option<Row> {
        self.row.or(rules.absences.then_some(Row { version: 0, as_of: self.as_of }))
    }

    fn entry(&mut self, index: usize) -> &mut Entry {
        &mut Arc::make_mut(&mut self.log)[index]
    }

    /// Whether a transaction holds the lock of the row.
    pub(super) fn is_locked(&self) -> bool {
        self.log.iter().any(|entry| entry.phase == Phase::Open && !is_invalidation(entry.kind))
    }

    pub(super) fn is_open(&self) -> bool {
        self.log.iter().any(|entry| entry.phase == Phase::Open)
    }

    /// Whether a copy of the row is of a transaction that committed, though it may have been lost since.
    pub(super) fn has_committed(&self, row: Row) -> bool {
        let of_row = |entry: &&Entry| entry.version == row.version && entry.kind == LogKind::Put;
        row.version <= 1 || self.log.iter().filter(of_row).any(|entry| matches!(entry.phase, Phase::Committed | Phase::Lost))
    }

    /// Begins a transaction, which draws its version; that of a write when it has the row's lock. Somebody has edited the row, under its old version, before
    /// an invalidation begins.
    pub(super) fn begin(&mut self, kind: LogKind, rules: &Rules) -> usize {
        let is_known = |entry: &&Entry| rules.has(Protection::NewVersions) || entry.phase != Phase::Lost;
        let issued = self.log.iter().filter(is_known).map(|entry| entry.version);
        let version = issued.max().unwrap_or(1) + 1;
        if is_invalidation(kind) {
            self.as_of += 1;
            self.row = self.row.map(|row| Row { as_of: self.as_of, ..row });
        }
        let as_of = self.as_of;
        let entry = Entry { kind, version, phase: Phase::Open, as_of, at: 0, pruned: false, before: None };
        Arc::make_mut(&mut self.log).push(entry);
        self.log.len() - 1
    }

    pub(super) fn commit(&mut self, index: usize, now: u8) {
        let (row, kind) = (self.row, self.log[index].kind);
        if !is_invalidation(kind) {
            self.as_of += 1;
        }
        let as_of = self.as_of;
        let entry = self.entry(index);
        (entry.phase, entry.at) = (Phase::Committed, now);
        let version = entry.version;
        if !is_invalidation(kind) {
            (entry.as_of, entry.before) = (as_of, row);
            self.row = (kind == LogKind::Put).then_some(Row { version, as_of });
        }
    }

    pub(super) fn roll_back(&mut self, index: usize) {
        self.entry(index).phase = Phase::RolledBack;
    }

    /// An asynchronous standby takes over that never heard of the last commit.
    pub(super) fn fail_over(&mut self) {
        for entry in Arc::make_mut(&mut self.log) {
            if entry.phase == Phase::Open {
                entry.phase = Phase::RolledBack;
            }
        }
        self.as_of += 1;
        let last =
            (0..self.log.len()).filter(|&index| self.log[index].phase == Phase::Committed).max_by_key(|&index| self.log[index].as_of);
        if let Some(last) = last {
            let entry = self.entry(last);
            entry.phase = Phase::Lost;
            if !is_invalidation(entry.kind) {
                self.row = entry.before;
            }
        }
        self.row = self.row.map(|row| Row { as_of: self.as_of, ..row });
        self.timeline += 1;
        self.began = self.as_of;
    }

    pub(super) fn prune(&mut self) {
        Arc::make_mut(&mut self.log).iter_mut().filter(|entry| entry.phase == Phase::Committed).for_each(|entry| entry.pruned = true);
    }

    pub(super) fn can_be_pruned(&self) -> bool {
        self.log.iter().any(|entry| entry.phase == Phase::Committed && !entry.pruned)
    }

    /// The newest change that the log tells of.
    pub(super) fn logged(&self) -> u8 {
        self.as_of_place(self.end(None))
    }

    /// The newest change that the log tells of before a place.
    pub(super) fn as_of_place(&self, place: Place) -> u8 {
        let told = entries_in(place.ended).filter(|&index| self.log[index].phase == Phase::Committed).map(|index| self.log[index].as_of);
        told.max().unwrap_or(0).max(if place.timeline == self.timeline { self.began } else { 0 })
    }

    pub(super) fn end(&self, rules: Option<&Rules>) -> Place {
        let is_in = |index: usize| match rules {
            // The last number that is there stands for all before it.
            Some(rules) if !rules.has(Protection::SnapshotCursor) => self.log[index..].iter().any(|entry| entry.phase == Phase::Committed),
            _ => self.log[index].phase != Phase::Open,
        };
        let ended = (0..self.log.len()).filter(|&index| is_in(index)).fold(0, |ended, index| ended | 1 << index);
        Place { timeline: self.timeline, ended }
    }

    /// An answer to one who has to begin anew.
    pub(super) fn start(&self, rules: &Rules) -> Batch {
        let end = self.end(Some(rules));
        Batch { entries: 0, end, gap: true, as_of: self.as_of_place(end) }
    }

    /// As [`Log::read`](crate::facet::Log::read).
    pub(super) fn read(&self, after: Place, rules: &Rules) -> Batch {
        let end = self.end(Some(rules));
        let new = |index: &usize| after.ended & (1 << index) == 0 && self.log[*index].phase == Phase::Committed;
        let unread = || (0..self.log.len()).filter(new);
        let gap = after.timeline != self.timeline || unread().any(|index| self.log[index].pruned);
        if gap {
            return self.start(rules);
        }
        Batch { entries: unread().fold(0, |entries, index| entries | 1 << index), end, gap, as_of: 0 }
    }
}

/// The numbers of a set of entries.
pub(super) fn entries_in(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |index| set & (1 << index) != 0)
}
