//! The thread that checks a run while it goes on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::checker::{Checker, Verdict};
use crate::history::{Reader, now};

/// How often it looks for what was written.
const LOOK: Duration = Duration::from_millis(500);
/// How long after its end a read is checked, in nanoseconds: a process that stood still may have had something to add. A write is noted before it begins, so
/// that nothing is missed that a read may show.
const DELAY: u64 = 3_000_000_000;

/// How far it has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) operations: u64,
    pub(crate) violations: u64,
    /// How many events, writes and versions are remembered.
    pub(crate) remembered: usize,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    progress: Mutex<Progress>,
}

/// Checks what is written in one directory.
#[derive(Debug)]
pub(crate) struct Observer {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<Verdict>>,
}

impl Observer {
    /// Begins; `bound` is how stale a plain read may be, in nanoseconds.
    pub(crate) fn start(directory: PathBuf, bound: u64) -> Self {
        let shared = Arc::<Shared>::default();
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || observe(&directory, Checker::new(bound), &shared)
        });
        Observer { shared, thread }
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has failed.
    pub(crate) fn is_gone(&self) -> bool {
        self.thread.is_finished()
    }

    /// Checks what is left, when nothing more is written.
    pub(crate) fn finish(self) -> Result<Verdict> {
        self.shared.is_over.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().map_err(|_| anyhow!("the checker panicked"))?.context("the histories cannot be checked")
    }
}

fn observe(directory: &Path, mut checker: Checker, shared: &Shared) -> Result<Verdict> {
    let mut readers: HashMap<PathBuf, (usize, Reader)> = HashMap::new();
    loop {
        let is_over = shared.is_over.load(Ordering::Acquire);
        let begun = now();
        for file in std::fs::read_dir(directory)? {
            let path = file?.path();
            if !readers.contains_key(&path) {
                let reader = (readers.len(), Reader::open(&path)?);
                readers.insert(path.clone(), reader);
            }
        }
        for (instance, reader) in readers.values_mut() {
            checker.add(*instance, &reader.read()?);
        }
        checker.advance(if is_over { begun } else { begun.saturating_sub(DELAY) });
        let counts = checker.verdict.counts;
        let progress = Progress { operations: counts.operations(), violations: counts.violations, remembered: checker.size() };
        *shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        if is_over {
            return Ok(checker.verdict);
        }
        std::thread::park_timeout(LOOK);
    }
}
