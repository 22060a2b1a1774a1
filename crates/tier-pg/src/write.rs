//! Writing rows.
//!
//! Each write is one transaction, or part of a longer one: the rows, their versions, their log rows. Versions of one key must rise in the order of commits, so a number may only be
//! drawn once no other writer can commit a larger one for the key before it. `ON CONFLICT DO UPDATE` draws after it locked the row; `UPDATE` draws again
//! whenever the row changed while it waited for the lock; a delete draws in `RETURNING`, with the lock held.
//!
//! A number in the `VALUES` of an insert is drawn too early, before another writer of the key is waited for. There are two cures:
//!
//! - A row that an upsert inserts gets version 0, and a second statement of the same transaction gives it its number.
//! - A statement that only inserts draws each row's number, and another one in `RETURNING`. If that is the next number, nobody drew one in between, and the row's number
//!   is right; else the second statement gives the row a new one.
//!
//! The second needs no knowledge of who the others are: whoever committed a write of the key before the insertion had drawn by then, since the unique index let the row in only once
//! they had ended, and `RETURNING` comes behind that. So their numbers are below the one that is drawn there. If this is the next after the row's own, they are below that,
//! too. Whoever comes later waits for this transaction, and draws then. Nothing of it depends on the level of isolation, on what the log or its pruning keeps, on
//! transactions that roll back, nor on how another writer wrote: by key, a whole table, behind a trigger, or without a log row. It does depend on the sequence, which
//! holds back no numbers for a session ([`prepare`](crate::prepare) sees to that), and on an index that is checked row by row, as `ON CONFLICT` demands too.
//!
//! What is there, and what is not, is guessed from what the last writes of the table found: it decides which statements are tried first, and nothing else.

mod batch;

pub(crate) use batch::{Batch, BatchWrite, Chunk};

use std::cmp::Ordering;
use std::sync::Arc;

use futures_util::future::join4;
use store_core::{BoundSchema, Error, ErrorKind, Result, Role, Row, StoredRow, Value, Version};
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::ToSql;

use crate::error::{Attempt, Failure};
use crate::pool::{ATTEMPTS, Lease, Pool, within};
use crate::read::stored_row;
use crate::scope::{Prepared, Scope};
use crate::statements::{Statements, TableSql, Upsert};
use crate::value::Param;
use batch::Finds;

/// The server, not the caller, chooses who loses a deadlock, and where many insert one key it may choose the same one again.
pub(crate) const ATTEMPTS_AFTER_DEADLOCK: usize = 6;

pub(crate) type Params<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// Inserts or updates rows, in a transaction of its own.
pub(crate) async fn put_many(pool: &Pool, statements: &Statements, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
    let mut put = Put::new(schema, rows, statements.of(schema))?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    put.expect_what_was_found();
    let mut begun = 0;
    loop {
        begun += 1;
        let (lease, prepared) = pool.lease_to_write(&put.texts(), Attempt::Table(schema)).await?;
        let outcome = put.run(Scope::own(pool, &lease), &prepared).await;
        let outcome = end(pool, &lease, outcome).await;
        match lease.settle(outcome) {
            Err(failure) if put.may_have_found_more(&failure) => {}
            Err(failure) if begun < put.attempts(&failure) => {}
            outcome => return outcome.map_err(|failure| put.error(failure, Failure::into_write_error)),
        }
    }
}

/// How often a write of rows is begun in all where it fails so: more than once if the failure may come from a race.
///
/// Another writer that inserts the same key at the same moment makes PostgreSQL see a conflict in whichever unique index it meets first. And batches whose
/// rows have different columns unset do not lock in the order of keys alone. All is well once the other writer is done.
pub(crate) fn attempts(failure: &Failure) -> usize {
    match failure.code() {
        Some("23505") => ATTEMPTS,
        _ if failure.is_rolled_back() => ATTEMPTS_AFTER_DEADLOCK,
        _ => 1,
    }
}

/// Rows to insert or update, and the statements for it.
pub(crate) struct Put<'a> {
    batch: Batch,
    schema: &'a BoundSchema,
    rows: &'a [Row<'a>],
    sql: Arc<TableSql>,
    chunks: Vec<Chunk>,
}

impl<'a> Put<'a> {
    pub(crate) fn new(schema: &'a BoundSchema, rows: &'a [Row<'a>], sql: Arc<TableSql>) -> Result<Self> {
        let batch = Batch::check(schema, rows)?;
        let chunks = batch.chunks(schema, &sql, rows, &in_key_order(schema.definition().key_positions(), rows), Chunk::upsert);
        Ok(Put { batch, schema, rows, sql, chunks })
    }

    /// Expects what the last batch found. Where that was nothing, rows are only inserted, which costs the server two thirds as much, and breaks the transaction off
    /// where one is there after all: so this is for a transaction of the batch's own.
    fn expect_what_was_found(&mut self) {
        if self.rows.len() > 1 && self.sql.are_batches_new() {
            for chunk in self.chunks.iter_mut().filter(|chunk| !chunk.upsert.only_updates) {
                chunk.finds = Finds::NoneOrFails;
            }
        }
    }

    /// Whether it failed for rows that were expected not to be there, perhaps; from here on it expects any.
    fn may_have_found_more(&mut self, failure: &Failure) -> bool {
        if failure.code() != Some("23505") || self.chunks.iter().all(|chunk| chunk.finds == Finds::Some) {
            return false;
        }
        self.sql.set_batches_new(false);
        self.chunks.iter_mut().for_each(|chunk| chunk.finds = Finds::Some);
        true
    }

    /// What is to be prepared before it runs.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match (self.rows, self.chunks.as_slice()) {
            ([_], [chunk]) => vec![&chunk.upsert.one, &self.sql.stamp_one],
            (_, chunks) => Chunk::texts(chunks, &self.sql),
        }
    }

    /// Writes the rows and their log rows.
    pub(crate) async fn run(&self, scope: Scope<'_>, prepared: Prepared<'_>) -> Result<Vec<StoredRow>, Failure> {
        match (self.rows, self.chunks.as_slice()) {
            ([row], [chunk]) => self.put_one(scope, prepared, row, &chunk.upsert).await.map(|stored| vec![stored]),
            (_, chunks) => {
                let written = BatchWrite::new(&self.batch, self.schema, self.rows, scope).run(chunks, prepared).await?;
                self.sql.set_batches_new(written.new_count == self.rows.len());
                written.stored.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| suppressed().into())
            }
        }
    }

    /// Writes one row in one round trip.
    async fn put_one(&self, scope: Scope<'_>, prepared: Prepared<'_>, row: &Row<'_>, upsert: &Upsert) -> Result<StoredRow, Failure> {
        let values: Vec<Param<'_>> =
            upsert.set.iter().enumerate().map(|(index, &position)| Param::new(&row[position], index + 1)).collect();
        let key_positions = self.schema.definition().key_positions();
        let keys: Vec<Param<'_>> =
            key_positions.iter().enumerate().map(|(index, &position)| Param::new(&row[position], index + 1)).collect();
        let name = self.schema.name();
        let values: Params<'_> = values.iter().map(|value| value as _).collect();
        let mut stamps: Params<'_> = keys.iter().map(|key| key as _).collect();
        stamps.push(&name);
        stamps.push(&self.batch.texts[0]);

        // All are sent before the first answer is awaited. If one fails, so do those behind it, and the commit rolls back.
        let lease = scope.lease;
        let work = async {
            let written = lease.query(&prepared[0], &values);
            let stamped = lease.query(&prepared[1], &stamps);
            let (begun, written, stamped, committed) = join4(scope.begin(), written, stamped, scope.commit()).await;
            begun?;
            let (written, stamped) = (written?, stamped?);
            committed?;
            match (written.as_slice(), stamped.as_slice()) {
                ([written], [stamped]) => {
                    let mut stored = stored_row(self.schema, written, 0)?;
                    stored.version = version(stamped, 0)?;
                    Ok(stored)
                }
                _ => Err(suppressed().into()),
            }
        };
        within(scope.limit, work).await
    }

    /// As [`attempts`]. Where a column's present content was looked for, the row may have appeared since.
    fn attempts(&self, failure: &Failure) -> usize {
        match failure.code() {
            Some("23502") if self.chunks.iter().any(|chunk| chunk.upsert.only_updates) => ATTEMPTS,
            _ => attempts(failure),
        }
    }

    /// What the failure says, with the key of the row that a unique index refused.
    pub(crate) fn error(&self, failure: Failure, told: fn(Failure, Attempt<'_>) -> Error) -> Error {
        self.batch.error(failure, told, self.schema, self.rows)
    }
}

/// Rolls back after a failure that left the connection whole, so that it can be used again.
pub(crate) async fn end<T>(pool: &Pool, lease: &Lease, outcome: Result<T, Failure>) -> Result<T, Failure> {
    if outcome.as_ref().is_err_and(Failure::leaves_connection_usable) {
        within(pool.limits().statement, async { Ok(lease.batch_execute("ROLLBACK").await?) }).await?;
    }
    outcome
}

pub(crate) fn version(row: &PgRow, column: usize) -> Result<Version, Failure> {
    Ok(Version::new(row.try_get::<_, i64>(column)?.unsigned_abs()))
}

/// Keys of one call are distinct; a batch that breaks this would fail in the middle.
pub(crate) fn refuse_duplicates(schema: &BoundSchema, texts: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::with_capacity(texts.len());
    match texts.iter().find(|text| !seen.insert(text.as_str())) {
        None => Ok(()),
        Some(twice) => Err(Error::new(ErrorKind::Internal, "a key was given twice in one call")
            .with_schema(schema.name())
            .with_key(twice.clone())
            .with_tier(Role::Truth)),
    }
}

/// The positions of rows in the order of their keys, the same for every writer.
pub(crate) fn in_key_order(keys: &[usize], rows: &[Row<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&left, &right| {
        let columns = keys.iter().map(|&column| compare(&rows[left][column], &rows[right][column]));
        columns.fold(Ordering::Equal, Ordering::then)
    });
    order
}

fn compare(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Uuid(left), Value::Uuid(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

pub(crate) fn unset(row: &Row<'_>) -> Vec<usize> {
    row.iter().enumerate().filter(|(_, value)| matches!(value, Value::Unset)).map(|(position, _)| position).collect()
}

pub(crate) fn suppressed() -> Error {
    Error::new(ErrorKind::ConstraintViolation, "the table took a row without keeping it; look for triggers or rules that suppress writes")
        .with_tier(Role::Truth)
}
