use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{LogError, LogErrorKind};
use crate::files::{File, Files};
use crate::format::Seed;
use crate::scan::{Gap, Index, Scan};

/// A segment as readers see it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) seed: Seed,
    /// The sequence of its first entry.
    pub(crate) first: u64,
    next: AtomicU64,
    end: AtomicU64,
    index: Mutex<Index>,
    /// What was skipped when the log was opened.
    gaps: Vec<Gap>,
}

impl Segment {
    pub(crate) fn new(path: PathBuf, seed: Seed, first: u64, scan: Scan) -> Self {
        let Scan { end, next, index, gaps, .. } = scan;
        Self { path, seed, first, next: AtomicU64::new(next), end: AtomicU64::new(end), index: Mutex::new(index), gaps }
    }

    /// The sequence after its last entry.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// The sequence behind the damage that the entry of this one was skipped with, if it was.
    pub(crate) fn after_gap(&self, sequence: u64) -> Option<u64> {
        self.gaps.iter().find(|gap| gap.lost.contains(&sequence)).map(|gap| gap.lost.end)
    }

    /// Where the damage that begins at an offset ends, if it was skipped: no entry need be missing with it.
    pub(crate) fn after_damage(&self, offset: u64) -> Option<u64> {
        self.gaps.iter().find(|gap| gap.offset == offset).map(|gap| gap.offset + gap.bytes)
    }

    /// Where its entries end.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Shows readers what was written. They read `next` first, so `end` never is behind it.
    pub(crate) fn publish(&self, next: u64, end: u64) {
        self.end.store(end, Ordering::Release);
        self.next.store(next, Ordering::Release);
    }

    /// Takes from readers what turned out not to be durable.
    pub(crate) fn withdraw(&self, next: u64, end: u64) {
        self.next.store(next, Ordering::Release);
        self.end.store(end, Ordering::Release);
        self.index.lock().unwrap_or_else(PoisonError::into_inner).cut(next);
    }

    /// Notes the places of entries that were written.
    pub(crate) fn note(&self, entries: impl Iterator<Item = (u64, u64)>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        for (sequence, offset) in entries {
            index.note(sequence, offset);
        }
    }

    pub(crate) fn nearest(&self, sequence: u64) -> Option<(u64, u64)> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).before(sequence)
    }
}

/// The files that readers have open: a few, however many segments there are.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<VecDeque<(u64, Arc<dyn File>)>>);

impl Handles {
    const MOST: usize = 32;

    pub(crate) fn get(&self, files: &dyn Files, segment: &Segment) -> Result<Arc<dyn File>, LogError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(first, _)| *first == segment.first) {
            return Ok(Arc::clone(&open[at].1));
        }
        let file = files.open(&segment.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => released(segment.first),
            _ => LogError::io("open the segment", &segment.path, error),
        })?;
        open.push_front((segment.first, Arc::clone(&file)));
        open.truncate(Self::MOST);
        Ok(file)
    }

    /// Lets go of a segment that is gone, so that its room is given back.
    pub(crate) fn forget(&self, segment: &Segment) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(first, _)| *first != segment.first);
    }
}

pub(crate) fn released(sequence: u64) -> LogError {
    LogError::new(LogErrorKind::Released, format!("entry {sequence} was released")).with_hint("read from `first_sequence` on")
}
