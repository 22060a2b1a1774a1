//! What an embedded database is opened with.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use store_core::{Error, ErrorKind, Result, Role};

/// What a commit waits for. See SQLite's `PRAGMA synchronous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// The disk: a write that was acknowledged survives a power cut. A commit costs one sync of the write-ahead log.
    #[default]
    Full,
    /// The operating system: a write that was acknowledged survives the death of the process, `kill -9` included, but a power cut or a crash of
    /// the system may take back the last commits (whole ones, in order; the file stays sound). Commits are many times faster.
    Normal,
}

/// Where the database is and how it is used.
///
/// ```
/// use std::time::Duration;
/// use tier_sqlite::{SqliteConfig, Synchronous};
///
/// let config = SqliteConfig::new("app.db")
///     .with_readers(4)
///     .with_busy_timeout(Duration::from_secs(2))
///     .with_synchronous(Synchronous::Normal);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteConfig {
    pub(crate) path: PathBuf,
    pub(crate) readers: usize,
    pub(crate) busy_timeout: Duration,
    pub(crate) synchronous: Synchronous,
}

/// More connections than this compete for the same cores.
const MOST_READERS: usize = 64;

impl SqliteConfig {
    /// The defaults for a file, which is made if it is missing. Its directory must exist. A relative path is of the directory that is the process's own when the tier is
    /// opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SqliteConfig {
            path: path.into(),
            readers: available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4)),
            busy_timeout: Duration::from_secs(5),
            synchronous: Synchronous::default(),
        }
    }

    /// How many reads may run at once, each on a connection and a thread of its own that start when they are first needed: 1 to 64. Default: the
    /// number of cores, at least 2 and at most 4. Streams whose reader is slow do not count: they get connections beyond this number.
    #[must_use]
    pub fn with_readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// How long a write waits for another process that is writing to the same file, before it fails as [`Timeout`](ErrorKind::Timeout). Default: 5 seconds.
    ///
    /// The time runs from when the write was asked for, or from when the lock was first met, if that is later: all that wait for one lock wait at once, and earlier
    /// writes of the same process do not count. A write whose caller gives up meanwhile is not carried out.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// What a commit waits for. Default: [`Synchronous::Full`].
    #[must_use]
    pub fn with_synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// The same, whatever becomes the process's own directory.
    pub(crate) fn absolute(self) -> Result<Self> {
        let cannot = |error| {
            let reason =
                format!("`{}` is a relative path, and the process's own directory is unknown; give an absolute one", self.path.display());
            Error::new(ErrorKind::InvalidConfig, reason).with_tier(Role::Truth).with_source(error)
        };
        let path = std::path::absolute(&self.path).map_err(cannot)?;
        Ok(SqliteConfig { path, ..self })
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::new(ErrorKind::InvalidConfig, reason).with_tier(Role::Truth));
        if self.path.as_os_str().is_empty() {
            return refuse("the path is empty; give the path of a file, such as `app.db`".into());
        }
        if self.path == Path::new(":memory:") {
            return refuse(
                "SQLite in memory cannot be shared by connections; give a file's path, or build the store on the memory tier alone".into(),
            );
        }
        if self.path.as_os_str().as_encoded_bytes().contains(&0) {
            let shown = self.path.display().to_string();
            return refuse(format!("the path `{}` holds a NUL character, which no path can; leave it out", shown.escape_debug()));
        }
        if self.path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
            return refuse(format!("`{}` is a URI; give the file's path without `file:`", self.path.display()));
        }
        if self.readers == 0 || self.readers > MOST_READERS {
            return refuse(format!("{} readers were asked for; give 1 to {MOST_READERS}", self.readers));
        }
        if i32::try_from(self.busy_timeout.as_millis()).is_err() {
            return refuse("the busy timeout is longer than 24 days; give a shorter one".into());
        }
        Ok(())
    }
}

impl From<&str> for SqliteConfig {
    fn from(path: &str) -> Self {
        SqliteConfig::new(path)
    }
}

impl From<String> for SqliteConfig {
    fn from(path: String) -> Self {
        SqliteConfig::new(path)
    }
}

impl From<&Path> for SqliteConfig {
    fn from(path: &Path) -> Self {
        SqliteConfig::new(path)
    }
}

impl From<PathBuf> for SqliteConfig {
    fn from(path: PathBuf) -> Self {
        SqliteConfig::new(path)
    }
}

impl From<&PathBuf> for SqliteConfig {
    fn from(path: &PathBuf) -> Self {
        SqliteConfig::new(path)
    }
}
