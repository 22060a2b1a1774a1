use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::LogId;

/// What went wrong, in one word, for code that decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogErrorKind {
    /// Another `Log` owns the directory; see [`LogError::holder`].
    Locked,
    /// A file holds what no crash explains.
    Corrupt,
    /// A file is of a format that this version does not read.
    Unsupported,
    /// The log has reached its `max_bytes`.
    Full,
    /// The file system has no room, or a quota or a limit on file sizes is reached.
    DiskFull,
    /// The entry or batch is larger than a segment.
    TooLarge,
    /// The entry has been released, and its segment is gone.
    Released,
    /// A sync failed: the log stands still until it is opened again.
    SyncFailed,
    /// The log was closed.
    Closed,
    /// Any other failure of the file system.
    Io,
    /// The configuration is wrong.
    InvalidConfig,
}

impl LogErrorKind {
    const fn headline(self) -> &'static str {
        match self {
            LogErrorKind::Locked => "the log is in use",
            LogErrorKind::Corrupt => "the log is damaged",
            LogErrorKind::Unsupported => "the log's format is unknown",
            LogErrorKind::Full => "the log is full",
            LogErrorKind::DiskFull => "the disk is full",
            LogErrorKind::TooLarge => "the entry is too large",
            LogErrorKind::Released => "the entry was released",
            LogErrorKind::SyncFailed => "the log could not be made durable",
            LogErrorKind::Closed => "the log is closed",
            LogErrorKind::Io => "the log's files cannot be used",
            LogErrorKind::InvalidConfig => "the log's configuration is wrong",
        }
    }
}

impl fmt::Display for LogErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.headline())
    }
}

#[derive(Debug)]
struct Inner {
    kind: LogErrorKind,
    what: String,
    hint: Cow<'static, str>,
    path: Option<PathBuf>,
    offset: Option<u64>,
    holder: Option<u32>,
    log: Option<LogId>,
    lost: Option<Range<u64>>,
    source: Option<io::Error>,
}

/// An error of any call of the log: [`kind`](LogError::kind) is for handling, the `Display` text for reading. It is cheap to clone, since all who shared a failed sync get it.
///
/// ```
/// use store_log::{Log, LogConfig, LogErrorKind};
///
/// let directory = tempfile::tempdir().unwrap();
/// let owner = Log::open(directory.path(), LogConfig::default()).unwrap();
/// let error = Log::open(directory.path(), LogConfig::default()).unwrap_err();
/// assert_eq!(error.kind(), LogErrorKind::Locked);
/// assert_eq!(error.holder(), Some(std::process::id()));
/// owner.close().unwrap();
/// ```
#[derive(Clone)]
pub struct LogError {
    inner: Arc<Inner>,
}

impl LogError {
    pub(crate) fn new(kind: LogErrorKind, what: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            what: what.into(),
            hint: Cow::Borrowed(""),
            path: None,
            offset: None,
            holder: None,
            log: None,
            lost: None,
            source: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A failure of the file system, full disks told from the rest.
    pub(crate) fn io(operation: &str, path: &Path, source: io::Error) -> Self {
        let (kind, hint) = if is_disk_full(&source) {
            (LogErrorKind::DiskFull, "make room; nothing was appended, and it can be tried again")
        } else {
            (LogErrorKind::Io, "see the cause")
        };
        Self::new(kind, format!("cannot {operation}")).with_hint(hint).with_path(path).with_source(source)
    }

    pub(crate) fn sync_failed(path: &Path, source: io::Error) -> Self {
        Self::new(LogErrorKind::SyncFailed, "a sync failed, so what it covered may or may not be on the disk")
            .with_hint("mend the disk, then open the log again; it keeps what proves whole")
            .with_path(path)
            .with_source(source)
    }

    fn edit(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        // An error is shared only once it is finished.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            edit(inner);
        }
        self
    }

    pub(crate) fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.hint = hint.into())
    }

    pub(crate) fn with_path(self, path: &Path) -> Self {
        self.edit(|inner| inner.path = Some(path.to_owned()))
    }

    pub(crate) fn with_offset(self, offset: u64) -> Self {
        self.edit(|inner| inner.offset = Some(offset))
    }

    pub(crate) fn with_holder(self, holder: Option<u32>) -> Self {
        self.edit(|inner| inner.holder = holder)
    }

    pub(crate) fn with_log(self, log: Option<LogId>) -> Self {
        self.edit(|inner| inner.log = log)
    }

    pub(crate) fn with_lost(self, lost: Option<Range<u64>>) -> Self {
        self.edit(|inner| inner.lost = lost)
    }

    pub(crate) fn with_source(self, source: io::Error) -> Self {
        self.edit(|inner| inner.source = Some(source))
    }

    /// What went wrong, in one word.
    #[must_use]
    pub fn kind(&self) -> LogErrorKind {
        self.inner.kind
    }

    /// Whether there was no room, by the log's own limit or by the disk's: nothing was appended, and it can be tried again once there is.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), LogErrorKind::Full | LogErrorKind::DiskFull)
    }

    /// The file or directory that is concerned.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// The byte of the file at which the damage begins.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.inner.offset
    }

    /// Of a damaged log: what tells it from every other, if any segment still says so; see [`Log::id`](crate::Log::id).
    #[must_use]
    pub fn log_id(&self) -> Option<[u8; 16]> {
        self.inner.log
    }

    /// The entries that are damaged, where a whole one follows them:
    /// [`skip_damage_up_to`](crate::LogConfig::skip_damage_up_to) the last of them opens the log without them.
    #[must_use]
    pub fn lost(&self) -> Option<Range<u64>> {
        self.inner.lost.clone()
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.inner.hint
    }

    /// The process that owns the directory, where it is locked and the owner has told.
    #[must_use]
    pub fn holder(&self) -> Option<u32> {
        self.inner.holder
    }
}

/// Whether the file system refused for want of room.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, what, hint, path, offset, .. } = &*self.inner;
        write!(f, "{kind}: {what}")?;
        match (path, offset) {
            (Some(path), Some(offset)) => write!(f, " ({}, byte {offset})", path.display())?,
            (Some(path), None) => write!(f, " ({})", path.display())?,
            (None, _) => {}
        }
        if !hint.is_empty() {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_ref().map(|source| source as _)
    }
}
