//! The journal that acknowledged writes are kept in until the truth has them.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Weak};

use store_log::{Commit, Log, LogConfig, LogError, LogErrorKind};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

use super::{Behind, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Mutex, MutexGuard, PoisonError};

const SMALLEST_SEGMENT: u64 = 512;
const LARGEST_SEGMENT: u64 = 64 << 20;
/// How far ahead of its entries a segment is filled.
const FILL: u64 = 1 << 20;

/// What is on its way to the disk, with the checksum of the last entry.
type Appended = (Commit<Range<u64>>, Box<dyn Staged>, Option<u64>);

/// A journal that is open. Its directory belongs to it alone.
#[derive(Debug)]
pub(crate) struct Journal {
    name: String,
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    log: Arc<Log>,
    appended: mpsc::UnboundedSender<Appended>,
}

fn name_of(id: [u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of the journal that could not be opened because it is damaged, if that is why, and it still says its name.
pub(crate) fn name_of_damaged(error: &Error) -> Option<String> {
    let error = std::error::Error::source(error)?.downcast_ref::<LogError>()?;
    Some(name_of(error.log_id()?))
}

/// What a journal holds that the truth may not have.
pub(crate) type Left = Vec<(u64, Vec<u8>)>;

impl Journal {
    /// Opens the journal in a directory, or begins one there. What lands is told to `behind`, once [`Landing::run`] does so. Damaged entries up to `skip` may be missing.
    pub(crate) async fn open(runtime: &Handle, directory: &Path, most_bytes: u64, skip: Option<u64>) -> Result<(Self, Landing)> {
        let path = directory.to_owned();
        // Room comes back by whole segments.
        let segment = (most_bytes / 8).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT);
        let config = LogConfig::default().with_max_bytes(Some(most_bytes)).with_segment_bytes(segment).with_fill_bytes(FILL.min(segment));
        let config = config.with_skip_damage_up_to(skip);
        let log = blocking(runtime, move || Log::open(path, config)).await?.map_err(|error| refused(&error, directory))?;
        if let Some(cut) = &log.recovery().cut {
            tracing::info!(?cut, "the end of the journal was unfinished, and so never acknowledged; it was cut off");
        }
        let name = name_of(log.id());
        let (appended, landing) = mpsc::unbounded_channel();
        let open = Open { log: Arc::new(log), appended };
        Ok((Journal { name, open: Mutex::new(Some(open)) }, Landing(landing)))
    }

    /// What tells it from every other.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> Option<Arc<Log>> {
        self.lock().as_ref().map(|open| Arc::clone(&open.log))
    }

    /// The last place that it holds.
    pub(crate) fn last(&self) -> u64 {
        self.log().map_or(0, |log| log.next_sequence().saturating_sub(1))
    }

    /// The first place that it holds.
    pub(crate) fn first(&self) -> u64 {
        self.log().map_or(1, |log| log.first_sequence())
    }

    /// The entries behind a place.
    pub(crate) async fn left(&self, runtime: &Handle, applied: u64) -> Result<Left> {
        let Some(log) = self.log() else { return Ok(Vec::new()) };
        let read = move || {
            log.entries(applied.saturating_add(1).max(log.first_sequence())).map(|entry| entry.map(|entry| (entry.sequence, entry.payload)))
        };
        blocking(runtime, move || read().collect::<Result<Left, LogError>>()).await?.map_err(|error| unusable(&error))
    }

    /// The checksum of the entry at a place, if it is still there.
    pub(crate) async fn checksum(&self, runtime: &Handle, place: u64) -> Result<Option<u64>> {
        let Some(log) = self.log().filter(|log| (log.first_sequence()..log.next_sequence()).contains(&place)) else { return Ok(None) };
        let read = move || log.entries(place).next().transpose();
        let entry = blocking(runtime, read).await?.map_err(|error| unusable(&error))?;
        Ok(entry.filter(|entry| entry.sequence == place).map(|entry| xxh3_64(&entry.payload)))
    }

    /// Appends entries, all or none, in the order of the calls; `staged` is landed, in the same order, once they are written and, if `synced`, durable.
    pub(crate) fn append(&self, entries: &[Vec<u8>], synced: bool, staged: Box<dyn Staged>) {
        let open = self.lock();
        let Some(Open { log, appended }) = &*open else {
            drop(open);
            return staged.refuse(Error::new(ErrorKind::Closed, "`close` was called; build a new store"));
        };
        let checksum = entries.last().map(|entry| xxh3_64(entry));
        let commit = if synced { log.append_batch(entries) } else { log.append_batch_unsynced(entries) };
        let sent = appended.send((commit, staged, checksum));
        drop(open);
        if let Err(mpsc::error::SendError((_, staged, _))) = sent {
            staged.refuse(Error::runtime_ended());
        }
    }

    /// Makes all up to a place durable, so that the truth is never ahead of the journal.
    pub(crate) async fn sync(&self, up_to: u64) -> Result<()> {
        match self.log() {
            Some(log) if log.durable() < up_to => log.sync().await.map(drop).map_err(|error| unusable(&error)),
            _ => Ok(()),
        }
    }

    /// Gives room back that is taken by what the truth has.
    pub(crate) async fn release(&self, runtime: &Handle, applied: u64) {
        let Some(log) = self.log() else { return };
        if let Ok(Err(error)) = blocking(runtime, move || log.release(applied)).await {
            tracing::warn!(%error, "room in the journal could not be given back; the next flush tries it again");
        }
    }

    /// Closes it, and gives its directory free.
    pub(crate) async fn close(&self, runtime: &Handle) -> Result<()> {
        let Some(Open { log, appended }) = self.lock().take() else { return Ok(()) };
        drop(appended);
        let close = move || Arc::into_inner(log).map_or(Ok(()), Log::close);
        blocking(runtime, close).await?.map_err(|error| unusable(&error))
    }
}

/// Lands what was appended, in order.
#[derive(Debug)]
pub(crate) struct Landing(mpsc::UnboundedReceiver<Appended>);

impl Landing {
    pub(crate) async fn run(mut self, behind: Weak<Behind>) {
        while let Some((commit, staged, checksum)) = self.0.recv().await {
            let places = commit.await;
            match (behind.upgrade(), places) {
                (Some(behind), Ok(places)) => behind.land(staged, Some(places), checksum),
                (Some(behind), Err(error)) => {
                    if error.is_full() {
                        // What the truth takes makes room.
                        behind.hurry();
                    }
                    staged.refuse(not_taken(&error));
                }
                (None, _) => staged.refuse(Error::runtime_ended()),
            }
        }
    }
}

/// Runs what blocks where it may.
async fn blocking<R: Send + 'static>(runtime: &Handle, work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    runtime.spawn_blocking(work).await.map_err(|_| Error::runtime_ended())
}

fn refused(error: &LogError, directory: &Path) -> Error {
    let message = match error.kind() {
        LogErrorKind::Locked => format!(
            "the journal in `{}` belongs to another store{}; give each store a directory of its own (`journal`, STRATA_JOURNAL)",
            directory.display(),
            error.holder().map(|process| format!(", of process {process}")).unwrap_or_default()
        ),
        LogErrorKind::Corrupt if error.lost().is_some() => {
            format!(
                "the journal cannot be opened: {error} (a store is given it as `write_behind.skip_damage_up_to`, STRATA_WRITE_BEHIND_SKIP_DAMAGE_UP_TO)"
            )
        }
        _ => format!("the journal cannot be opened: {error}"),
    };
    let kind = if error.kind() == LogErrorKind::Locked { ErrorKind::InvalidConfig } else { ErrorKind::JournalUnavailable };
    Error::new(kind, message).with_source(error.clone())
}

/// The error of a write that the journal did not take.
fn not_taken(error: &LogError) -> Error {
    let told = match error.kind() {
        LogErrorKind::SyncFailed => format!("the write was not acknowledged, and may be found there when it is opened again: {error}"),
        LogErrorKind::TooLarge => {
            "nothing was written: all writes of a call must fit in an eighth of the journal, and in 64 MiB; write fewer at once, or raise `write_behind.journal_bytes`".to_owned()
        }
        LogErrorKind::Full => {
            "nothing was written: the journal is full; a flush makes room, so see in `health` why the truth takes none, or raise `write_behind.journal_bytes`".to_owned()
        }
        LogErrorKind::DiskFull => {
            let path = error.path().unwrap_or(Path::new("")).display();
            format!("nothing was written: the disk of the journal is full (`{path}`); make room there, or see in `health` why the truth takes no flush, which makes some")
        }
        _ => format!("nothing was written: {error}"),
    };
    Error::new(ErrorKind::JournalUnavailable, told).with_retryable(error.is_full()).with_source(error.clone())
}

fn unusable(error: &LogError) -> Error {
    Error::new(ErrorKind::JournalUnavailable, error.to_string()).with_source(error.clone())
}
