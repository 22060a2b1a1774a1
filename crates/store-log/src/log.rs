use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use crate::Result;
use crate::commit::{Commit, Completion, Promise, closed};
use crate::config::LogConfig;
use crate::entries::{Entries, Entry};
use crate::error::{LogError, LogErrorKind};
use crate::files::{Disk, Files};
use crate::format::{ENTRY_HEADER, LogId};
use crate::recovery::{self, Lock, Opened, Recovery};
use crate::shared::Shared;
use crate::writer::full;

/// A log in a directory of its own.
///
/// All methods may be called from many threads and tasks at once. Appends are written in the order of the calls by a thread that the log has for it.
///
/// ```
/// use store_log::{Log, LogConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), LogConfig::default())?;
/// log.append(b"one").wait()?;
/// drop(log);
///
/// let log = Log::open(directory.path(), LogConfig::default())?;
/// assert_eq!(log.recovery().cut, None);
/// assert_eq!(log.read(1)?.unwrap().payload, b"one");
/// # Ok(())
/// # }
/// ```
pub struct Log {
    shared: Arc<Shared>,
    id: LogId,
    recovery: Recovery,
    writer: Option<JoinHandle<Result<()>>>,
    // Dropped last: the directory is free when nobody writes there.
    lock: Lock,
}

impl Log {
    /// Opens the log in `directory`, or begins one there. Every entry is read and checked; this blocks the thread.
    ///
    /// What a crash left unfinished at the end is cut off, see [`recovery`](Log::recovery). It is the part of the last segment that no later entry proves to have been durable.
    ///
    /// # Errors
    /// [`Locked`](LogErrorKind::Locked) if another `Log` owns the directory, [`Corrupt`](LogErrorKind::Corrupt) with the file, the byte and the way on if the log is damaged,
    /// [`Unsupported`](LogErrorKind::Unsupported), [`InvalidConfig`](LogErrorKind::InvalidConfig), [`DiskFull`](LogErrorKind::DiskFull), [`Io`](LogErrorKind::Io).
    pub fn open(directory: impl AsRef<Path>, config: LogConfig) -> Result<Self> {
        Self::open_on(Arc::new(Disk), directory.as_ref(), config)
    }

    pub(crate) fn open_on(files: Arc<dyn Files>, directory: &Path, config: LogConfig) -> Result<Self> {
        let Opened { shared, writer, id, recovery, lock } = recovery::open(files, directory, config)?;
        let thread = thread::Builder::new().name("store-log".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| LogError::io("start the thread that writes", directory, error))?;
        Ok(Self { shared, id, recovery, writer: Some(thread), lock })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// What tells this log from every other: drawn at random when it was begun.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Appends an entry and answers its sequence when it is durable.
    ///
    /// # Errors
    /// [`Full`](LogErrorKind::Full) and [`DiskFull`](LogErrorKind::DiskFull): nothing was appended, and it can be tried again once there is room.
    /// [`TooLarge`](LogErrorKind::TooLarge), [`Closed`](LogErrorKind::Closed), [`Io`](LogErrorKind::Io): nothing was appended.
    /// [`SyncFailed`](LogErrorKind::SyncFailed): the entry may or may not be found when the log is opened again; until then nothing is appended.
    pub fn append(&self, payload: impl AsRef<[u8]>) -> Commit<u64> {
        self.request([payload.as_ref()].into_iter(), true, |first, _| first)
    }

    /// Appends an entry and answers its sequence when the operating system has it, without a sync. It then outlives this process, but perhaps not the machine. It becomes
    /// durable with the next entry that is, with [`sync`](Log::sync), or with [`close`](Log::close).
    ///
    /// # Errors
    /// Those of [`append`](Log::append).
    pub fn append_unsynced(&self, payload: impl AsRef<[u8]>) -> Commit<u64> {
        self.request([payload.as_ref()].into_iter(), false, |first, _| first)
    }

    /// Appends entries and answers their sequences when they are durable. After a crash all of them are there or none. Together they must fit in one segment.
    ///
    /// # Errors
    /// Those of [`append`](Log::append).
    pub fn append_batch<P: AsRef<[u8]>>(&self, payloads: impl IntoIterator<Item = P>) -> Commit<Range<u64>> {
        let payloads: Vec<P> = payloads.into_iter().collect();
        self.request(payloads.iter().map(AsRef::as_ref), true, |first, count| first..first + count)
    }

    /// As [`append_batch`](Log::append_batch), without a sync, as [`append_unsynced`](Log::append_unsynced).
    ///
    /// # Errors
    /// Those of [`append`](Log::append).
    pub fn append_batch_unsynced<P: AsRef<[u8]>>(&self, payloads: impl IntoIterator<Item = P>) -> Commit<Range<u64>> {
        let payloads: Vec<P> = payloads.into_iter().collect();
        self.request(payloads.iter().map(AsRef::as_ref), false, |first, count| first..first + count)
    }

    /// Makes all that was appended before durable, and answers the last sequence of it.
    ///
    /// # Errors
    /// [`SyncFailed`](LogErrorKind::SyncFailed), [`Closed`](LogErrorKind::Closed).
    pub fn sync(&self) -> Commit<u64> {
        self.request(std::iter::empty(), true, |next, _| next - 1)
    }

    fn request<'a, T>(&self, payloads: impl Iterator<Item = &'a [u8]> + Clone, durable: bool, answer: fn(u64, u64) -> T) -> Commit<T> {
        let (count, bytes) =
            payloads.clone().fold((0, 0), |(count, bytes), payload| (count + 1, bytes + (ENTRY_HEADER + payload.len()) as u64));
        if let Some(error) = self.refuse(bytes) {
            return Commit::new(Completion::done(Err(error)), count, answer);
        }
        let (promise, completion) = Promise::new();
        self.shared.requested().fetch_add(bytes, Ordering::Relaxed);
        // A promise that is not pushed is dropped, and answers that the log is closed.
        if !self.shared.queue.push(|group| group.push(payloads, durable, promise)) {
            self.shared.requested().fetch_sub(bytes, Ordering::Relaxed);
        }
        Commit::new(completion, count, answer)
    }

    /// Why a request is refused before it is written.
    fn refuse(&self, bytes: u64) -> Option<LogError> {
        if let Some(failure) = self.shared.failure() {
            return Some(failure.clone());
        }
        let largest = self.shared.config.largest_batch();
        if bytes > largest {
            let what = format!("{bytes} bytes with their headers, where a segment takes {largest}");
            return Some(LogError::new(LogErrorKind::TooLarge, what).with_hint("raise segment_bytes, or append less at once"));
        }
        // The writer looks again, when it knows whether a new segment is needed.
        let requested = self.shared.requested().load(Ordering::Relaxed) + bytes;
        let has_room = bytes == 0 || self.shared.has_room_without(self.shared.leaving(requested), requested);
        (!has_room).then(|| full(&self.shared))
    }

    /// Reads one entry; `None` if it is not there yet.
    ///
    /// An entry is seen from when it is written on, perhaps before it is durable: compare with [`durable`](Log::durable) where that matters.
    ///
    /// # Errors
    /// [`Released`](LogErrorKind::Released), [`Corrupt`](LogErrorKind::Corrupt) if the file was changed from outside, [`Io`](LogErrorKind::Io).
    pub fn read(&self, sequence: u64) -> Result<Option<Entry>> {
        Entries::one(Arc::clone(&self.shared), sequence)
    }

    /// The entries from `from` on, in order. It reads the files and blocks the thread.
    ///
    /// # Errors
    /// Each item is an entry, or an error as of [`read`](Log::read).
    #[must_use]
    pub fn entries(&self, from: u64) -> Entries {
        Entries::new(Arc::clone(&self.shared), from)
    }

    /// The sequence of the oldest entry that is still there, or of the next one if there is none.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.shared.with_segments(|segments| segments.first().map_or(1, |segment| segment.first))
    }

    /// The sequence that the next entry will have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.shared.next_sequence()
    }

    /// The last sequence that is durable; 0 if none is.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.durable()
    }

    /// How many bytes the segments take, without zeros that are written ahead.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.used()
    }

    /// Says that the entries up to and including `up_to` are no longer needed, and removes every segment that holds no others, but for the last. This blocks the thread for a
    /// sync of the directory a segment.
    ///
    /// How far the release went is not stored: after a restart the log begins with the oldest segment that is left.
    ///
    /// # Errors
    /// [`Io`](LogErrorKind::Io): a file could not be removed, which the next release tries again. [`SyncFailed`](LogErrorKind::SyncFailed).
    pub fn release(&self, up_to: u64) -> Result<()> {
        self.shared.release(up_to)
    }

    /// Writes and syncs what was appended, and gives the directory free. This blocks the thread. Dropping the log does the same, and tells no error.
    ///
    /// # Errors
    /// [`SyncFailed`](LogErrorKind::SyncFailed), also if it came earlier; [`Io`](LogErrorKind::Io).
    pub fn close(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.shared.queue.close();
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(closed().with_hint("the thread that writes has panicked; please report it")),
            None => Ok(()),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the log could not be closed well");
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shared, recovery, lock, .. } = self;
        f.debug_struct("Log").field("directory", &shared.directory).field("recovery", recovery).field("lock", lock).finish_non_exhaustive()
    }
}
