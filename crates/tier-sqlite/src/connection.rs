//! Opening connections to the file.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use store_core::sql::similarity;
use store_core::{Error, ErrorKind, Result, Role};

use crate::config::{SqliteConfig, Synchronous};
use crate::error::{self, Origin};
use crate::file;

/// Statements kept prepared on each connection: some for each schema, and the searches that come again.
const STATEMENTS: usize = 256;

/// What the write-ahead log is cut back to after a large transaction.
const WAL_SIZE_LIMIT: i64 = 64 << 20;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    /// Looking for commits of other connections.
    Listen,
    Write,
}

/// Opens the file for a purpose; a writer makes it if it is missing.
pub(crate) fn open(config: &SqliteConfig, purpose: Purpose) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if purpose == Purpose::Write {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    if fs::metadata(&config.path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let reason = format!("`{}` is a device, a pipe or a socket; give the path of a file", config.path.display());
        return Err(Error::new(ErrorKind::InvalidConfig, reason).with_tier(Role::Truth));
    }
    let cannot_open = |error| cannot_open(config, purpose, error);
    let connection = Connection::open_with_flags(&config.path, flags).map_err(cannot_open)?;
    configure(&connection, config, purpose).map_err(cannot_open)?;
    add_functions(&connection).map_err(cannot_open)?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(cannot_open)?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "`{}` cannot use a write-ahead log (it is in mode `{mode}`); move it to a local disk that this user may write to",
                config.path.display()
            ),
        )
        .with_tier(Role::Truth));
    }
    Ok(connection)
}

fn configure(connection: &Connection, config: &SqliteConfig, purpose: Purpose) -> rusqlite::Result<()> {
    connection.busy_timeout(config.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without these a misspelt column in double quotes is a string, and a query that names it finds nothing without a word.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    if purpose == Purpose::Write {
        enter_wal_mode(connection, config.busy_timeout)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT)?;
    } else {
        connection.pragma_update(None, "query_only", true)?;
    }
    match config.synchronous {
        Synchronous::Full => {
            connection.pragma_update(None, "synchronous", "FULL")?;
            // On macOS a plain sync stops at the drive's cache; elsewhere these do nothing.
            connection.pragma_update(None, "fullfsync", true)?;
            connection.pragma_update(None, "checkpoint_fullfsync", true)
        }
        Synchronous::Normal => connection.pragma_update(None, "synchronous", "NORMAL"),
    }
}

/// Adds the functions that conditions are written with.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("similarity", 2, flags, |context| {
        let text = |position| context.get_raw(position).as_str_or_null();
        let (Some(one), Some(other)) = (text(0)?, text(1)?) else { return Ok(None) };
        Ok(Some(f64::from(similarity(one, other))))
    })
}

/// Turns the write-ahead log on. SQLite does not wait for others here, who may be doing the same on a new file.
fn enter_wal_mode(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Whether the file is missing and may be made, as far as can be told without making it.
pub(crate) fn can_make(path: &Path) -> bool {
    let is_missing = fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    is_missing && directory.is_dir() && !is_denied(directory)
}

/// Whether this user may not read and write what is at the path. It asks without opening: closing a database's file takes away the locks that this process
/// has on it.
#[cfg(unix)]
fn is_denied(path: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    use rustix::io::Errno;

    let answer = accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS);
    matches!(answer, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

#[cfg(not(unix))]
fn is_denied(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().readonly())
}

/// Says why a file cannot be opened: SQLite itself says no more than "unable to open database file".
fn cannot_open(config: &SqliteConfig, purpose: Purpose, error: rusqlite::Error) -> Error {
    let path = config.path.display();
    let unable = matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly));
    let directory = config.path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let (kind, reason) = if unable && config.path.is_dir() {
        (ErrorKind::InvalidConfig, format!("`{path}` is a directory; give the path of a file in it"))
    } else if let Some(directory) = directory.filter(|directory| unable && !directory.exists()) {
        (ErrorKind::InvalidConfig, format!("the directory `{}` does not exist; create it first", directory.display()))
    } else if let Some(directory) = directory.filter(|directory| unable && !directory.is_dir()) {
        (ErrorKind::InvalidConfig, format!("`{}` is not a directory; give a path in one", directory.display()))
    } else if unable && is_denied(&config.path) {
        (ErrorKind::AccessDenied, format!("this user may not read and write `{path}`; change its owner or mode"))
    } else if unable && purpose != Purpose::Write && !config.path.exists() {
        return file::moved(&config.path).with_source(error);
    } else if unable && !config.path.exists() {
        (
            ErrorKind::AccessDenied,
            format!(
                "`{path}` does not exist and cannot be made; let this user write to its directory, or give a path on a file system that is not mounted read-only"
            ),
        )
    } else {
        return error::from_sqlite(error, Origin::Opening(&config.path));
    };
    Error::new(kind, reason).with_tier(Role::Truth).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_set_up_as_promised() {
        let directory = tempfile::tempdir().unwrap();
        for (synchronous, number) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
            let config = SqliteConfig::new(directory.path().join("app.db")).with_synchronous(synchronous);
            let writer = open(&config, Purpose::Write).unwrap();
            let reader = open(&config, Purpose::Read).unwrap();
            let asked =
                |connection: &Connection, pragma: &str| -> i64 { connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap() };
            assert_eq!(asked(&writer, "synchronous"), number);
            assert_eq!(asked(&writer, "foreign_keys"), 1);
            assert_eq!(asked(&reader, "query_only"), 1);
            assert_eq!(asked(&reader, "busy_timeout"), 5_000);
            assert!(reader.execute_batch("CREATE TABLE t (a)").is_err());
            assert!(writer.prepare("SELECT \"not a column\"").is_err());
        }
    }
}
