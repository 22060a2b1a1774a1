//! What migrations have done, in `_strata_migrations`.

use std::time::Duration;

use store_core::{DirtyMark, MigrationRecord, Result, Timestamp};
use tokio_postgres::Row;

use crate::error::Failure;
use crate::pool::Lease;

const PRESENT: &str = "SELECT to_regclass('_strata_migrations') IS NOT NULL";

const ALL: &str = "SELECT id, schema, file, what, (extract(epoch FROM applied_at) * 1000000)::BIGINT, took, checksum, statement, statement_text, error, blocks, done \
    FROM _strata_migrations ORDER BY id";

const FORGET: &str = "DELETE FROM _strata_migrations WHERE file = $1::TEXT";

const PUT: &str = "INSERT INTO _strata_migrations (schema, file, what, applied_at, took, checksum, statement, statement_text, error, blocks, done) \
    VALUES ($1::TEXT, $2::TEXT, $3::TEXT, TIMESTAMPTZ 'epoch' + $4::BIGINT * INTERVAL '1 microsecond', $5::BIGINT, $6::TEXT, $7::INTEGER, $8::TEXT, \
    $9::TEXT, $10::BOOLEAN, $11::TEXT) RETURNING id";

/// All of them, in their order.
pub(crate) async fn all(lease: &Lease) -> Result<Vec<MigrationRecord>, Failure> {
    if !lease.query_one(PRESENT, &[]).await?.try_get(0)? {
        return Ok(Vec::new());
    }
    lease.query(ALL, &[]).await?.iter().map(record).collect()
}

fn record(row: &Row) -> Result<MigrationRecord, Failure> {
    let statement: Option<i32> = row.try_get(7)?;
    let dirty = match statement {
        Some(statement) => Some(DirtyMark {
            statement: statement.unsigned_abs(),
            text: row.try_get::<_, Option<String>>(8)?.unwrap_or_default(),
            error: row.try_get::<_, Option<String>>(9)?.unwrap_or_default(),
            blocks: row.try_get(10)?,
            done: row.try_get(11)?,
        }),
        None => None,
    };
    Ok(MigrationRecord {
        id: row.try_get::<_, i64>(0)?.unsigned_abs(),
        schema: row.try_get(1)?,
        file_name: row.try_get(2)?,
        what: row.try_get(3)?,
        applied_at: Timestamp::from_microseconds(row.try_get(4)?)?,
        took: Duration::from_micros(row.try_get::<_, i64>(5)?.unsigned_abs()),
        checksum: row.try_get(6)?,
        dirty,
    })
}

/// Writes a record, in the place of an earlier one of the same file, and answers it with its number. A transaction that writes is open.
pub(crate) async fn put(lease: &Lease, record: MigrationRecord) -> Result<MigrationRecord, Failure> {
    if let Some(file) = &record.file_name {
        forget(lease, file).await?;
    }
    let mark = record.dirty.as_ref();
    let took = i64::try_from(record.took.as_micros()).unwrap_or(i64::MAX);
    let row = lease
        .query_one(
            PUT,
            &[
                &record.schema,
                &record.file_name,
                &record.what,
                &record.applied_at.as_microseconds(),
                &took,
                &record.checksum,
                &mark.map(|mark| i32::try_from(mark.statement).unwrap_or(i32::MAX)),
                &mark.map(|mark| text(&mark.text)),
                &mark.map(|mark| text(&mark.error)),
                &mark.is_some_and(|mark| mark.blocks),
                &mark.and_then(|mark| mark.done.as_deref()),
            ],
        )
        .await?;
    Ok(MigrationRecord { id: row.try_get::<_, i64>(0)?.unsigned_abs(), ..record })
}

/// Drops the record of a file. A transaction that writes is open.
pub(crate) async fn forget(lease: &Lease, file: &str) -> Result<(), Failure> {
    lease.execute(FORGET, &[&file]).await?;
    Ok(())
}

/// PostgreSQL's text cannot hold the character NUL, and what is told must not keep the record from being written.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
