//! Leadership among all tiers on one file, in this process and in others.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use store_core::Result;

use crate::error;
use crate::file::Identity;

/// What follows the database's name in that of the file whose lock the leader holds. The file is empty, and stays when nobody leads: whoever deleted it
/// could meet another who was about to lock it.
const SUFFIX: &str = "-leader";

/// One tier's part in the leadership of its file. Dropping it gives the leadership up.
#[derive(Debug)]
pub(crate) struct Leadership {
    database: PathBuf,
    held: Mutex<Option<Lock>>,
}

impl Leadership {
    pub(crate) fn new(database: PathBuf) -> Self {
        Leadership { database, held: Mutex::new(None) }
    }

    /// Takes the leadership if it is free, and says whether this tier has it. It touches the disk.
    pub(crate) fn seek(&self) -> Result<bool> {
        let mut held = self.held();
        if !held.as_ref().is_some_and(Lock::is_in_force) {
            // Given up before another is sought.
            *held = None;
            *held = self.try_lock()?;
        }
        Ok(held.is_some())
    }

    /// Gives the leadership up.
    pub(crate) fn release(&self) {
        *self.held() = None;
    }

    fn try_lock(&self) -> Result<Option<Lock>> {
        // SQLite too follows links before it names the files beside the database.
        let database = fs::canonicalize(&self.database).map_err(|error| error::cannot_lead(&self.database, error))?;
        let mut path = OsString::from(&database);
        path.push(SUFFIX);
        let path = PathBuf::from(path);
        let file = open(&path, &database).map_err(|error| error::cannot_lead(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file, path }).filter(Lock::is_in_force)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error::cannot_lead(&path, error)),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Lock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A locked file.
#[derive(Debug)]
struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Whether the file still has its name: once somebody deleted it, others lock another one.
    fn is_in_force(&self) -> bool {
        let named = fs::metadata(&self.path).map(|metadata| Identity::of(&metadata));
        named.is_ok_and(|named| self.file.metadata().is_ok_and(|own| Identity::of(&own) == named))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough while a child process that is just being started shares it.
        let _ = self.file.unlock();
    }
}

/// Opens the file beside the database, and makes it if it is missing.
fn open(path: &Path, database: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match create(path, database) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(),
            created => created,
        },
        opened => opened,
    }
}

#[cfg(unix)]
fn create(path: &Path, database: &Path) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};

    const OWNER_ALONE: u32 = 0o600;
    let metadata = fs::metadata(database)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(OWNER_ALONE).open(path)?;
    // The database's owner and mode, whatever the process's mask says, as SQLite makes the files of its write-ahead log: who may use the database must be
    // able to open them all. Only some users may give a file to others; where this one may not, the mode decides.
    let _ = fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
    file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o777))?;
    Ok(file)
}

#[cfg(not(unix))]
fn create(path: &Path, _database: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn database() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.db");
        File::create(&path).unwrap();
        (directory, path)
    }

    fn beside(path: &Path) -> PathBuf {
        path.with_file_name("app.db-leader")
    }

    #[cfg(unix)]
    #[test]
    fn the_file_has_the_database_s_mode() {
        use std::os::unix::fs::PermissionsExt;

        for mode in [0o600, 0o640, 0o644, 0o664, 0o666] {
            let (_directory, path) = database();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(Leadership::new(path.clone()).seek().unwrap());
            assert_eq!(fs::metadata(beside(&path)).unwrap().permissions().mode() & 0o777, mode, "{mode:o}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_to_one_file_share_its_leader() {
        let (directory, path) = database();
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (one, other) = (Leadership::new(path), Leadership::new(link));
        assert!(one.seek().unwrap());
        assert!(!other.seek().unwrap());
        drop(one);
        assert!(other.seek().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_deleted_lock_is_lost_and_sought_again() {
        let (_directory, path) = database();
        let (one, other) = (Leadership::new(path.clone()), Leadership::new(path.clone()));
        assert!(one.seek().unwrap());
        fs::remove_file(beside(&path)).unwrap();
        assert!(other.seek().unwrap());
        assert!(!one.seek().unwrap());
        other.release();
        assert!(one.seek().unwrap());
    }
}
