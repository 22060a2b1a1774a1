//! Running SQL files.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};
use store_core::facet::LogKind;
use store_core::sql::Dialect;
use store_core::{BoundSchema, Error, ErrorKind, MigrationFile, MigrationRecord, PendingFile, Resolution, Result, Role};

use crate::commit::{draw_versions, kind_name, microseconds_before_now, transaction, transaction_explained, write_entry};
use crate::error::{self, Origin};
use crate::migrations::migrate;
use crate::records;
use crate::workers::Worker;

/// What mends a file that SQLite refuses.
const REMEDY: &str = "mend the file, or the rows";

/// What became of the first file that was not run yet.
enum Next {
    Done(MigrationRecord, PendingFile),
    /// It is to be run statement by statement, and this is its first mark.
    Outside(PendingFile, MigrationRecord),
    /// References are enforced where it asks for the opposite, or not where it does not: within a transaction that cannot be changed.
    OtherReferences,
}

/// Runs the first file that was not run yet; `None` if all were.
pub(crate) fn run_next(worker: &mut Worker, files: &[MigrationFile], schemas: &[Arc<BoundSchema>]) -> Result<Option<MigrationRecord>> {
    let mut are_enforced = true;
    let outcome = loop {
        match attempt(worker, files, schemas, are_enforced) {
            Ok(None) => return Ok(None),
            Ok(Some(Next::OtherReferences)) => {
                are_enforced = !are_enforced;
                worker
                    .connection
                    .pragma_update(None, "foreign_keys", are_enforced)
                    .map_err(|error| error::from_sqlite(error, Origin::Own))?;
            }
            Ok(Some(Next::Done(record, _))) => break Ok(record),
            Ok(Some(Next::Outside(next, mark))) => break run_outside(worker, &next, mark, schemas),
            Err(error) => break Err(error),
        }
    };
    // A file may have set the connection up as it likes.
    let reopened = worker.reopen();
    let record = outcome?;
    reopened.map(|()| Some(record))
}

/// Chooses a file, and runs it in the same transaction if it is one, so that no two processes run it.
fn attempt(worker: &Worker, files: &[MigrationFile], schemas: &[Arc<BoundSchema>], are_enforced: bool) -> Result<Option<Next>> {
    let failed: Cell<Option<MigrationRecord>> = Cell::default();
    let run = |connection: &Connection| {
        // Strata's own tables alone: the files may be what makes the others fit.
        migrate(connection, &[])?;
        let records = without_forgotten(connection, files)?;
        let pending = MigrationFile::pending(files, &records, Dialect::Sqlite)?;
        let Some(next) = pending.into_iter().next() else { return Ok(None) };
        if !next.file.in_transaction() && !next.is_done {
            let mark = records::put(connection, next.mark(next.first, PendingFile::CUT_OFF)?)?;
            return Ok(Some(Next::Outside(next, mark)));
        }
        let begun = Instant::now();
        if !next.is_done {
            if next.statements.iter().any(|statement| ends_enforcement(statement)) == are_enforced {
                return Ok(Some(Next::OtherReferences));
            }
            tracing::info!(file = next.file.name(), statements = next.statements.len(), "running an SQL file");
            for (number, statement) in next.left() {
                tracing::debug!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement");
                if let Err(error) = connection.execute_batch(statement) {
                    failed.set(Some(next.mark(number, &error.to_string())?));
                    return Err(refused(&next, number, error));
                }
            }
            if !are_enforced {
                check_references(connection, &next, &failed)?;
            }
            void(connection, schemas)?;
        }
        let record = records::put(connection, next.done(begun.elapsed())?)?;
        Ok(Some(Next::Done(record, next)))
    };
    let outcome = transaction_explained(worker, Origin::Own, run, |connection, next, error| match next {
        // References that are checked at the end of a transaction.
        Some(Next::Done(_, next)) if error.kind() == ErrorKind::ConstraintViolation => {
            check_references(connection, next, &failed).err().unwrap_or(error)
        }
        _ => error,
    });
    if let (Err(_), Some(mark)) = (&outcome, failed.take()) {
        let marked = transaction(worker, Origin::Own, |connection| {
            migrate(connection, &[])?;
            without_forgotten(connection, files)?;
            keep_mark(connection, mark)
        });
        if let Err(error) = marked {
            tracing::warn!(%error, "the failure of an SQL file cannot be recorded");
        }
    }
    outcome
}

/// The records, those of failures of files that are gone dropped.
fn without_forgotten(connection: &Connection, files: &[MigrationFile]) -> Result<Vec<MigrationRecord>> {
    let records = records::all(connection)?;
    for file in MigrationFile::forgotten(files, &records) {
        records::forget(connection, file)?;
    }
    Ok(records)
}

/// Writes the mark of a file that failed, unless another process has run it since.
fn keep_mark(connection: &Connection, mark: MigrationRecord) -> Result<()> {
    let is_pending = |record: &MigrationRecord| record.dirty.as_ref().is_some_and(|mark| !mark.blocks);
    if records::all(connection)?.iter().filter(|record| record.file_name == mark.file_name).all(is_pending) {
        records::put(connection, mark)?;
    }
    Ok(())
}

/// Whether a statement stops SQLite from enforcing references, which it ignores without a word within a transaction.
fn ends_enforcement(statement: &str) -> bool {
    let plain: String = statement.chars().filter(|character| !character.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let value = plain.strip_prefix("pragmaforeign_keys").and_then(|rest| rest.strip_prefix(['=', '(']));
    value.is_some_and(|value| matches!(value.trim_matches([')', '\'', '"']), "off" | "0" | "false" | "no"))
}

/// Refuses a file that leaves rows which refer to nothing, or references that SQLite cannot check; `failed` is given its mark.
fn check_references(connection: &Connection, next: &PendingFile, failed: &Cell<Option<MigrationRecord>>) -> Result<()> {
    let (said, error) = match broken_reference(connection) {
        Ok(None) => return Ok(()),
        Ok(Some(said)) => {
            let error = next.refused(0, ErrorKind::ConstraintViolation, &said, REMEDY).with_retryable(false);
            (said, error)
        }
        Err(error) => (error.to_string(), refused(next, 0, error)),
    };
    failed.set(Some(next.mark(next.last(), &said)?));
    Err(error)
}

/// A reference of some row to nothing, in words. A table without a rowid does not say which row it is.
fn broken_reference(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said = |row: &rusqlite::Row<'_>| {
        let (table, rowid, target): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let example = rowid.map(|rowid| format!(", the one with the rowid {rowid} for one")).unwrap_or_default();
        Ok(format!("rows of `{table}` refer to rows of `{target}` that are not there{example}"))
    };
    connection.query_row("PRAGMA foreign_key_check", [], said).optional()
}

/// Runs each statement by itself. The mark of a statement stands before it runs, for whoever finds the process gone.
fn run_outside(worker: &Worker, next: &PendingFile, mut mark: MigrationRecord, schemas: &[Arc<BoundSchema>]) -> Result<MigrationRecord> {
    let begun = Instant::now();
    let replace = |mark: &MigrationRecord, record: MigrationRecord, has_written: bool| {
        transaction(worker, Origin::Own, |connection| {
            if !records::all(connection)?.contains(mark) {
                return Err(taken_over(next));
            }
            if has_written {
                void(connection, schemas)?;
            }
            records::put(connection, record)
        })
    };
    for (number, statement) in next.left() {
        if number > next.first {
            mark = replace(&mark, next.mark(number, PendingFile::CUT_OFF)?, false)?;
        }
        tracing::info!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement");
        if let Err(error) = worker.connection.execute_batch(statement) {
            if !worker.connection.is_autocommit() {
                let _ = worker.connection.execute_batch("ROLLBACK");
            }
            replace(&mark, next.mark(number, &error.to_string())?, true)?;
            return Err(refused(next, number, error));
        }
    }
    replace(&mark, next.done(begun.elapsed())?, true)
}

fn taken_over(next: &PendingFile) -> Error {
    let message = format!(
        "`{}` was resolved by somebody else while this process was at it; see in `migration_status` how far it is, and let one process run it at a time",
        next.file.name()
    );
    Error::new(ErrorKind::SchemaMismatch, message).with_tier(Role::Truth)
}

/// Says how a file goes on, within a transaction that writes.
pub(crate) fn resolve(connection: &Connection, file: &str, resolution: Resolution, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    let record = MigrationRecord::resolved(records::all(connection)?, file, resolution)?;
    records::put(connection, record)?;
    void(connection, schemas)
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
    let (code, said) = (error.sqlite_error_code(), error.to_string());
    let mapped = error::from_sqlite(error, Origin::Own);
    let kind = match code {
        Some(rusqlite::ErrorCode::ConstraintViolation) => ErrorKind::ConstraintViolation,
        Some(rusqlite::ErrorCode::Unknown) | None => ErrorKind::InvalidQuery,
        Some(_) => mapped.kind(),
    };
    next.refused(number, kind, &said, REMEDY).with_retryable(false).with_source(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_takes_the_place_of_no_success() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, &[]).unwrap();
        let file = MigrationFile::new("1_notes.sql", "SELECT 1").unwrap();
        let pending = MigrationFile::pending(&[file], &[], Dialect::Sqlite).unwrap();
        let failed = || pending[0].mark(1, "no").unwrap();
        let of_file = || records::all(&connection).unwrap().into_iter().filter(|record| record.file_name.is_some()).collect::<Vec<_>>();
        for _ in 0..2 {
            keep_mark(&connection, failed()).unwrap();
            assert!(of_file().len() == 1 && !of_file()[0].is_applied());
        }
        let done = records::put(&connection, pending[0].done(Duration::ZERO).unwrap()).unwrap();
        keep_mark(&connection, failed()).unwrap();
        assert_eq!(of_file(), [done]);
    }

    #[test]
    fn the_pragma_is_known_as_sqlite_knows_it() {
        for ends in ["PRAGMA foreign_keys=OFF", "pragma foreign_keys = 0", "PRAGMA foreign_keys(no)", "PRAGMA foreign_keys = 'false'"] {
            assert!(ends_enforcement(ends), "{ends}");
        }
        for keeps in ["PRAGMA foreign_keys = ON", "PRAGMA foreign_keys", "PRAGMA foreign_key_check", "SELECT 'PRAGMA foreign_keys = OFF'"] {
            assert!(!ends_enforcement(keeps), "{keeps}");
        }
    }
}
