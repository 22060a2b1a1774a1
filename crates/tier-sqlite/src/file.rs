//! The file at the database's path: whether it is still the one that was opened.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use store_core::{Error, ErrorKind, Result, Role};

/// What tells one file from another, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    number: u64,
}

impl Identity {
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Identity { device: metadata.dev(), number: metadata.ino() }
    }

    /// Other systems do not let go of a name whose file is open.
    #[cfg(not(unix))]
    pub(crate) fn of(_metadata: &Metadata) -> Self {
        Identity {}
    }
}

/// A database's path, and the file that was found there first.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    first: OnceLock<Identity>,
}

impl DatabaseFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        DatabaseFile { path, first: OnceLock::new() }
    }

    /// Whether a file was found there.
    pub(crate) fn is_known(&self) -> bool {
        self.first.get().is_some()
    }

    /// Whether the path leads to the file that it led to at the first call. It asks the system once, and opens nothing: closing a file would take
    /// SQLite's locks on it away.
    ///
    /// # Errors
    ///
    /// [`L3Unavailable`](ErrorKind::L3Unavailable) if the file was moved, deleted or replaced. What is written to it then is lost with it.
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.path.display();
        let failed = |reason: String| Error::new(ErrorKind::L3Unavailable, reason).with_tier(Role::Truth);
        match fs::metadata(&self.path) {
            Ok(found) => {
                let found = Identity::of(&found);
                if *self.first.get_or_init(|| found) == found {
                    return Ok(());
                }
                Err(failed(format!("another file has taken the place of `{path}` while it was open; open the store again"))
                    .with_retryable(false))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(moved(&self.path).with_source(error)),
            Err(error) => Err(failed(format!("`{path}` cannot be looked at; check its directory and the disk")).with_source(error)),
        }
    }
}

/// The error where nothing is at the path any more.
pub(crate) fn moved(path: &Path) -> Error {
    let reason = format!("`{}` was moved or deleted while it was open; put it back, or open the store again", path.display());
    Error::new(ErrorKind::L3Unavailable, reason).with_tier(Role::Truth)
}
