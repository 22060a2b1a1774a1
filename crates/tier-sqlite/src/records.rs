//! What migrations have done, in `_strata_migrations`.

use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use store_core::{DirtyMark, MigrationRecord, Result, Timestamp};

use crate::commit::MIGRATIONS;
use crate::error::{self, Origin};
use crate::layout;

const COLUMNS: &str = "id, schema, file, what, applied_at, took, checksum, statement, statement_text, error, blocks, done";

/// All of them, in their order.
pub(crate) fn all(connection: &Connection) -> Result<Vec<MigrationRecord>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own);
    if layout::kind(connection, MIGRATIONS).map_err(from_sqlite)?.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM \"{MIGRATIONS}\" ORDER BY id")).map_err(from_sqlite)?;
    let records = statement.query_map([], record).and_then(Iterator::collect);
    records.map_err(from_sqlite)
}

fn record(row: &Row<'_>) -> rusqlite::Result<MigrationRecord> {
    let statement: Option<u32> = row.get(7)?;
    let dirty = match statement {
        Some(statement) => Some(DirtyMark {
            statement,
            text: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
            error: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
            blocks: row.get(10)?,
            done: row.get(11)?,
        }),
        None => None,
    };
    Ok(MigrationRecord {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        schema: row.get(1)?,
        file_name: row.get(2)?,
        what: row.get(3)?,
        applied_at: Timestamp::from_microseconds(row.get(4)?)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Integer, Box::new(error)))?,
        took: Duration::from_micros(row.get::<_, i64>(5)?.unsigned_abs()),
        checksum: row.get(6)?,
        dirty,
    })
}

/// Writes a record, in the place of an earlier one of the same file, and answers it with its number.
pub(crate) fn put(connection: &Connection, record: MigrationRecord) -> Result<MigrationRecord> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own);
    if let Some(file) = &record.file_name {
        forget(connection, file)?;
    }
    let mark = record.dirty.as_ref();
    let values = params![
        record.schema,
        record.file_name,
        record.what,
        record.applied_at.as_microseconds(),
        i64::try_from(record.took.as_micros()).unwrap_or(i64::MAX),
        record.checksum,
        mark.map(|mark| mark.statement),
        mark.map(|mark| &mark.text),
        mark.map(|mark| &mark.error),
        mark.is_some_and(|mark| mark.blocks),
        mark.and_then(|mark| mark.done.as_ref()),
    ];
    let text = format!(
        "INSERT INTO \"{MIGRATIONS}\" (schema, file, what, applied_at, took, checksum, statement, statement_text, error, blocks, done) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING id"
    );
    let id: i64 = connection.query_row(&text, values, |row| row.get(0)).map_err(from_sqlite)?;
    Ok(MigrationRecord { id: id.unsigned_abs(), ..record })
}

/// Drops the record of a file.
pub(crate) fn forget(connection: &Connection, file: &str) -> Result<()> {
    let forgotten = connection.execute(&format!("DELETE FROM \"{MIGRATIONS}\" WHERE file = ?1"), [file]);
    forgotten.map(drop).map_err(|error| error::from_sqlite(error, Origin::Own))
}
