use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::Result;
use crate::config::LogConfig;
use crate::error::LogError;
use crate::files::Files;
use crate::queue::Queue;
use crate::segment::{Handles, Segment};

/// What the log, its readers and its writer's thread have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) directory: PathBuf,
    pub(crate) config: LogConfig,
    pub(crate) queue: Queue,
    pub(crate) handles: Handles,
    /// In order; the last is the one that is written.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// The bytes of all segments.
    used: AtomicU64,
    /// The bytes of requests that the writer has not answered.
    requested: AtomicU64,
    durable: AtomicU64,
    released: AtomicU64,
    removal: Mutex<()>,
    failure: OnceLock<LogError>,
}

impl Shared {
    /// All that `segments` hold is durable; there is at least one.
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf, config: LogConfig, segments: Vec<Arc<Segment>>) -> Self {
        let used = segments.iter().map(|segment| segment.end()).sum();
        let durable = segments.last().map_or(0, |segment| segment.next() - 1);
        Self {
            files,
            directory,
            config,
            queue: Queue::default(),
            handles: Handles::default(),
            segments: RwLock::new(segments),
            used: AtomicU64::new(used),
            requested: AtomicU64::new(0),
            durable: AtomicU64::new(durable),
            released: AtomicU64::new(0),
            removal: Mutex::new(()),
            failure: OnceLock::new(),
        }
    }

    pub(crate) fn with_segments<R>(&self, see: impl FnOnce(&[Arc<Segment>]) -> R) -> R {
        see(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The segment that holds a sequence, or would hold it if it were written; `None` if it was released.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<Arc<Segment>> {
        self.with_segments(|segments| {
            let after = segments.partition_point(|segment| segment.first <= sequence);
            segments[..after].last().map(Arc::clone)
        })
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        self.used.fetch_add(segment.end(), Ordering::Relaxed);
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// The sequence that the next entry will have.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.with_segments(|segments| segments.last().map_or(1, |segment| segment.next()))
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn add_used(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether so many bytes more fit the log's limit.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.has_room_without(0, bytes)
    }

    /// As [`has_room`](Self::has_room), when so many of the used bytes are about to go.
    pub(crate) fn has_room_without(&self, leaving: u64, bytes: u64) -> bool {
        self.config.max_bytes.is_none_or(|max| self.used().saturating_sub(leaving) + bytes <= max)
    }

    /// The bytes of the segment that is written, if all its entries are released and so many more do not fit it: it is dropped when the next one begins.
    pub(crate) fn leaving(&self, bytes: u64) -> u64 {
        let released = self.released.load(Ordering::Relaxed);
        self.with_segments(|segments| match segments.last() {
            Some(last) if last.next() <= released + 1 && last.end() + bytes > self.config.segment_bytes => last.end(),
            _ => 0,
        })
    }

    /// Whether the segment that is written has entries, and all of them are released.
    pub(crate) fn is_used_up(&self) -> bool {
        let released = self.released.load(Ordering::Relaxed);
        self.with_segments(|segments| segments.last().is_some_and(|last| last.first < last.next() && last.next() <= released + 1))
    }

    pub(crate) fn requested(&self) -> &AtomicU64 {
        &self.requested
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Release);
    }

    /// Why the log stands still, if it does.
    pub(crate) fn failure(&self) -> Option<&LogError> {
        self.failure.get()
    }

    /// Stops the log for good; the first reason stands.
    pub(crate) fn fail(&self, error: LogError) -> LogError {
        let failure = self.failure.get_or_init(|| {
            tracing::error!(%error, "the log stops");
            error
        });
        failure.clone()
    }

    pub(crate) fn sync_directory(&self) -> Result<()> {
        self.files.sync_directory(&self.directory).map_err(|error| self.fail(LogError::sync_failed(&self.directory, error)))
    }

    /// Notes what is no longer needed, and drops the segments that hold nothing else.
    pub(crate) fn release(&self, up_to: u64) -> Result<()> {
        // What does not exist yet cannot be released ahead.
        let up_to = up_to.min(self.next_sequence() - 1);
        self.released.fetch_max(up_to, Ordering::Relaxed);
        self.drop_released()
    }

    /// Drops the oldest segments, all of whose entries are released. The one that is written stays.
    pub(crate) fn drop_released(&self) -> Result<()> {
        let _one_at_a_time = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let released = self.released.load(Ordering::Relaxed);
            let oldest = self.with_segments(|segments| match segments {
                [oldest, _, ..] if oldest.next() <= released + 1 => Some(Arc::clone(oldest)),
                _ => None,
            });
            let Some(oldest) = oldest else { return Ok(()) };
            if let Some(failure) = self.failure() {
                return Err(failure.clone());
            }
            self.files.remove(&oldest.path).map_err(|error| LogError::io("remove a released segment", &oldest.path, error))?;
            // One by one, since a crash could keep an older segment and lose a newer one, which would look like damage.
            self.sync_directory()?;
            self.handles.forget(&oldest);
            self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(0);
            self.used.fetch_sub(oldest.end(), Ordering::Relaxed);
        }
    }
}
