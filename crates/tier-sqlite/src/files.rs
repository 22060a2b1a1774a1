//! Running SQL files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use store_core::facet::LogKind;
use store_core::sql::Dialect;
use store_core::{BoundSchema, DirtyMark, Error, ErrorKind, MigrationFile, MigrationRecord, PendingFile, Resolution, Result, Role};

use crate::commit::{draw_versions, kind_name, microseconds_before_now, transaction, write_entry};
use crate::error::{self, Origin};
use crate::migrations::migrate;
use crate::records;
use crate::workers::Worker;

/// As much of a statement as a mark and a message hold.
const LONGEST_TEXT: usize = 1_000;

/// Runs the first file that was not run yet; `None` if all were.
pub(crate) fn run_next(worker: &mut Worker, files: &[MigrationFile], schemas: &[Arc<BoundSchema>]) -> Result<Option<MigrationRecord>> {
    let mut failed: Option<(PendingFile, u32, String)> = None;
    let outcome = transaction(worker, Origin::Own, |connection| {
        // Strata's own tables alone: the files may be what makes the others fit.
        migrate(connection, &[])?;
        let pending = MigrationFile::pending(files, &records::all(connection)?, Dialect::Sqlite)?;
        let Some(next) = pending.into_iter().next() else { return Ok(None) };
        if !next.file.in_transaction() && !next.is_done {
            return Ok(Some(Next::Outside(next)));
        }
        let begun = Instant::now();
        if !next.is_done {
            for (statement, number) in next.statements.iter().zip(1..) {
                connection.execute_batch(statement).map_err(|error| {
                    failed = Some((next.clone(), number, error.to_string()));
                    refused(&next, number, error)
                })?;
            }
            void(connection, schemas)?;
        }
        done(connection, &next, begun.elapsed()).map(|record| Some(Next::Done(record)))
    });
    match outcome {
        Ok(Some(Next::Done(record))) => Ok(Some(record)),
        Ok(Some(Next::Outside(next))) => {
            let outcome = run_outside(worker, &next, schemas);
            // A file may have turned them off to make a table anew.
            let restored = worker.connection.pragma_update(None, "foreign_keys", true);
            outcome.and_then(|record| restored.map(|()| Some(record)).map_err(|error| error::from_sqlite(error, Origin::Own)))
        }
        Ok(None) => Ok(None),
        Err(error) => {
            if let Some((next, number, said)) = failed {
                transaction(worker, Origin::Own, |connection| {
                    migrate(connection, &[])?;
                    mark(connection, &next, number, said, false)
                })?;
            }
            Err(error)
        }
    }
}

enum Next {
    Done(MigrationRecord),
    Outside(PendingFile),
}

/// Runs each statement by itself. The mark of a statement stands before it runs, for whoever finds the process gone.
fn run_outside(worker: &Worker, next: &PendingFile, schemas: &[Arc<BoundSchema>]) -> Result<MigrationRecord> {
    let begun = Instant::now();
    for (statement, number) in next.statements.iter().zip(1..).skip((next.first as usize).saturating_sub(1)) {
        let cut_off = "it was begun and nobody has seen its end: it was cut off, or another process is still at it".to_owned();
        transaction(worker, Origin::Own, |connection| mark(connection, next, number, cut_off, true))?;
        tracing::info!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement of an SQL file");
        if let Err(error) = worker.connection.execute_batch(statement) {
            if !worker.connection.is_autocommit() {
                let _ = worker.connection.execute_batch("ROLLBACK");
            }
            transaction(worker, Origin::Own, |connection| {
                void(connection, schemas)?;
                mark(connection, next, number, error.to_string(), true)
            })?;
            return Err(refused(next, number, error));
        }
    }
    transaction(worker, Origin::Own, |connection| {
        void(connection, schemas)?;
        done(connection, next, begun.elapsed())
    })
}

/// Says how a file goes on, within a transaction that writes.
pub(crate) fn resolve(connection: &Connection, file: &str, resolution: Resolution, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    let record = records::all(connection)?.into_iter().find(|record| record.file_name.as_deref() == Some(file));
    let Some(mut record) = record.filter(|record| record.dirty.is_some()) else {
        let message = format!("`{file}` is no SQL file that stopped in its middle; `migration_status` names those");
        return Err(Error::new(ErrorKind::InvalidConfig, message).with_tier(Role::Truth));
    };
    record.resolve(resolution);
    records::put(connection, record)?;
    void(connection, schemas)
}

fn done(connection: &Connection, next: &PendingFile, took: Duration) -> Result<MigrationRecord> {
    let record = records::new(None, Some(next.file.name().to_owned()), next.file.description().to_owned(), took)?;
    records::put(connection, MigrationRecord { checksum: Some(next.file.checksum()), ..record })
}

fn mark(connection: &Connection, next: &PendingFile, statement: u32, error: String, blocks: bool) -> Result<()> {
    let record = records::new(None, Some(next.file.name().to_owned()), next.file.description().to_owned(), Duration::ZERO)?;
    let text = beginning(&next.statements[statement as usize - 1]).to_owned();
    let done = blocks.then(|| next.checksum_before(statement));
    let dirty = Some(DirtyMark { statement, text, error, blocks, done });
    records::put(connection, MigrationRecord { checksum: Some(next.file.checksum()), dirty, ..record }).map(drop)
}

/// Has every instance drop its copies of the schemas.
fn void(connection: &Connection, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    if schemas.is_empty() {
        return Ok(());
    }
    let at = microseconds_before_now(Duration::ZERO);
    for (version, schema) in (draw_versions(connection, schemas.len())?..).zip(schemas) {
        write_entry(connection, version, at, schema.name(), None, kind_name(LogKind::Invalidate))?;
    }
    Ok(())
}

fn refused(next: &PendingFile, number: u32, error: rusqlite::Error) -> Error {
    let (name, statement) = (next.file.name(), beginning(&next.statements[number as usize - 1]));
    let left = if next.file.in_transaction() { "nothing of the file is left" } else { "what stands in front of it took effect" };
    let message = format!(
        "statement {number} of `{name}` failed, {left}: {error}; mend the file, or the rows, and run it again. The statement: {statement}"
    );
    let kind = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => ErrorKind::ConstraintViolation,
        Some(rusqlite::ErrorCode::Unknown) | None => ErrorKind::InvalidQuery,
        Some(_) => error::from_sqlite(error_again(&error), Origin::Own).kind(),
    };
    Error::new(kind, message).with_retryable(false).with_tier(Role::Truth).with_source(error)
}

/// The error's code alone: errors of SQLite cannot be cloned.
fn error_again(error: &rusqlite::Error) -> rusqlite::Error {
    let code = error.sqlite_error().map_or(rusqlite::ffi::SQLITE_ERROR, |error| error.extended_code);
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
}

fn beginning(statement: &str) -> &str {
    &statement[..statement.floor_char_boundary(LONGEST_TEXT)]
}
