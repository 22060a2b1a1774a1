//! Writing rows.
//!
//! Each write is one transaction, or part of a longer one: the rows, their versions, their log rows. Versions of one key must rise in the order of commits, so a number may only be
//! drawn once no other writer can commit a larger one for the key before it. `ON CONFLICT DO UPDATE` draws after it locked the row; `UPDATE` draws again
//! whenever the row changed while it waited for the lock; a delete draws in `RETURNING`, with the lock held. A number in the `VALUES` of an insert
//! would be drawn too early, before a conflicting row is waited for: so a row is inserted with version 0, and a second statement of the same
//! transaction gives it its number.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{join, join4};
use store_core::facet::BULK_LOG_LIMIT;
use store_core::{BoundSchema, Error, ErrorKind, Result, Role, Row, StoredRow, Value, Version, key_text};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use crate::error::{Attempt, Failure};
use crate::pool::{ATTEMPTS, Lease, Pool, within};
use crate::read::{number, stored_row};
use crate::scope::{Prepared, Scope};
use crate::statements::{LOG_KEYS, LOG_SCHEMA, Statements, TableSql, Upsert, kind};
use crate::value::{Param, check};
use crate::violation::violator;

/// One statement takes at most so many rows …
const CHUNK_ROWS: usize = 5_000;
/// … and about so many bytes of them, so that neither side needs much memory for a large batch.
const CHUNK_BYTES: usize = 8 << 20;

/// The server, not the caller, chooses who loses a deadlock, and where many insert one key it may choose the same one again.
pub(crate) const ATTEMPTS_AFTER_DEADLOCK: usize = 6;

pub(crate) type Params<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// Inserts or updates rows, in a transaction of its own.
pub(crate) async fn put_many(pool: &Pool, statements: &Statements, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
    let put = Put::new(schema, rows, statements.of(schema))?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut begun = 0;
    loop {
        begun += 1;
        let (lease, prepared) = pool.lease_to_write(&put.texts(), Attempt::Table(schema)).await?;
        let outcome = put.run(Scope::own(pool, &lease), &prepared).await;
        let outcome = end(pool, &lease, outcome).await;
        match lease.settle(outcome) {
            Err(failure) if begun < put.attempts(&failure) => {}
            outcome => return outcome.map_err(|failure| put.error(failure)),
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
                let stored = BatchWrite::new(&self.batch, self.schema, self.rows, scope).run(chunks, prepared).await?;
                stored.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| suppressed().into())
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
    pub(crate) fn error(&self, failure: Failure) -> Error {
        self.batch.error(failure, self.schema, self.rows)
    }
}

/// Rows that passed the checks, with their keys.
pub(crate) struct Batch {
    /// The text forms of the keys, by position.
    pub(crate) texts: Vec<String>,
}

impl Batch {
    pub(crate) fn check(schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Self> {
        let definition = schema.definition();
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != definition.columns().len() {
                let message = format!("a row of {} values was given for {} columns", row.len(), definition.columns().len());
                return Err(Error::new(ErrorKind::Internal, message).with_schema(schema.name()).with_tier(Role::Truth));
            }
            let key: Vec<Value<'_>> = definition.key_positions().iter().map(|&position| row[position].as_borrowed()).collect();
            for (column, value) in definition.columns().iter().zip(row) {
                check(column, value).map_err(|error| {
                    let error = error.with_schema(schema.name());
                    match key_text(&key) {
                        Ok(text) if !column.is_key => error.with_key(text),
                        _ => error,
                    }
                })?;
            }
            texts.push(key_text(&key).map_err(|error| error.with_schema(schema.name()).with_tier(Role::Truth))?);
        }
        refuse_duplicates(schema, &texts)?;
        Ok(Batch { texts })
    }

    /// What the failure says, with the key of the row that a rule of the table refused, if it is known which.
    pub(crate) fn error(&self, failure: Failure, schema: &BoundSchema, rows: &[Row<'_>]) -> Error {
        let violator = match (rows, failure.unique_detail()) {
            ([_], _) if failure.code().is_some_and(|code| code.starts_with("23")) => Some(0),
            (rows, Some(detail)) => violator(detail, schema, rows),
            (rows, None) => failure.column_without_value().and_then(|column| lacking(schema.definition().position(column)?, rows)),
        };
        let error = failure.into_write_error(Attempt::Table(schema));
        match violator {
            Some(position) => error.with_key(self.texts[position].as_str()),
            None => error,
        }
    }

    /// Groups the rows at some positions, which are in key order, by their unset columns, into portions for one statement each.
    pub(crate) fn chunks(
        &self,
        schema: &BoundSchema,
        sql: &TableSql,
        rows: &[Row<'_>],
        positions: &[usize],
        chunk_of: impl Fn(Arc<Upsert>, Vec<usize>) -> Chunk,
    ) -> Vec<Chunk> {
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for &position in positions {
            let unset = unset(&rows[position]);
            match groups.iter_mut().find(|(present, _)| *present == unset) {
                Some((_, positions)) => positions.push(position),
                None => groups.push((unset, vec![position])),
            }
        }
        let mut chunks: Vec<Chunk> = Vec::new();
        for (unset, positions) in groups {
            let upsert = sql.upsert(schema, &unset);
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            for position in positions {
                chunk.push(position);
                bytes += size(&rows[position]);
                if chunk.len() >= CHUNK_ROWS || bytes >= CHUNK_BYTES {
                    chunks.push(chunk_of(upsert.clone(), std::mem::take(&mut chunk)));
                    bytes = 0;
                }
            }
            if !chunk.is_empty() {
                chunks.push(chunk_of(upsert, chunk));
            }
        }
        chunks
    }
}

/// Rows for one statement.
pub(crate) struct Chunk {
    upsert: Arc<Upsert>,
    positions: Vec<usize>,
    finds: Finds,
}

/// What a chunk finds of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finds {
    Some,
    /// All: they are locked.
    All,
    /// None. One that is there after all stays as it is.
    None,
}

impl Chunk {
    pub(crate) fn upsert(upsert: Arc<Upsert>, positions: Vec<usize>) -> Self {
        Chunk { upsert, positions, finds: Finds::Some }
    }

    pub(crate) fn update(upsert: Arc<Upsert>, positions: Vec<usize>) -> Self {
        Chunk { upsert, positions, finds: Finds::All }
    }

    pub(crate) fn insert(upsert: Arc<Upsert>, positions: Vec<usize>) -> Self {
        Chunk { upsert, positions, finds: Finds::None }
    }

    /// What is to be prepared before chunks are written.
    pub(crate) fn texts<'a>(chunks: &'a [Chunk], sql: &'a TableSql) -> Vec<&'a str> {
        let log = if Chunk::are_bulk(chunks) { LOG_SCHEMA } else { LOG_KEYS };
        let writes = chunks.iter().map(|chunk| if chunk.finds == Finds::None { &chunk.upsert.insert_many } else { &chunk.upsert.many });
        [sql.stamp_many.as_str(), log].into_iter().chain(writes.map(String::as_str)).collect()
    }

    /// Whether the log is told of the schema, rather than of each key.
    fn are_bulk(chunks: &[Chunk]) -> bool {
        chunks.iter().map(|chunk| chunk.positions.len()).sum::<usize>() > BULK_LOG_LIMIT
    }
}

/// The writing of a batch, while it runs.
pub(crate) struct BatchWrite<'a> {
    batch: &'a Batch,
    schema: &'a BoundSchema,
    rows: &'a [Row<'a>],
    scope: Scope<'a>,
    stored: Vec<Option<StoredRow>>,
    positions: HashMap<&'a str, usize>,
}

impl<'a> BatchWrite<'a> {
    pub(crate) fn new(batch: &'a Batch, schema: &'a BoundSchema, rows: &'a [Row<'a>], scope: Scope<'a>) -> Self {
        let stored = rows.iter().map(|_| None).collect();
        let positions = batch.texts.iter().enumerate().map(|(position, text)| (text.as_str(), position)).collect();
        BatchWrite { batch, schema, rows, scope, stored, positions }
    }

    /// Writes the chunks' rows, by their [texts](Chunk::texts), and gives what is stored of each row that was written.
    pub(crate) async fn run(mut self, chunks: &[Chunk], prepared: Prepared<'_>) -> Result<Vec<Option<StoredRow>>, Failure> {
        let [stamp, log, writes @ ..] = prepared else { return Err(suppressed().into()) };
        let Scope { lease, limit, .. } = self.scope;
        for (index, (chunk, upsert)) in chunks.iter().zip(writes).enumerate() {
            let columns = self.columns(&chunk.upsert.set, &chunk.positions);
            let params: Params<'_> = columns.iter().map(|column| column as _).collect();
            let written = within(limit, async {
                if index > 0 {
                    return Ok(lease.query(upsert, &params).await?);
                }
                let (begun, written) = join(self.scope.begin(), lease.query(upsert, &params)).await;
                begun?;
                Ok(written?)
            });
            let fresh = {
                let written = written.await?;
                self.keep(&written)?
            };
            if !fresh.is_empty() {
                self.stamp(stamp, &fresh).await?;
            }
            if chunk.finds != Finds::None && chunk.positions.iter().any(|&position| self.stored[position].is_none()) {
                return Err(suppressed().into());
            }
        }
        self.log_and_commit(log, chunks).await?;
        Ok(self.stored)
    }

    /// The columns of some rows as arrays.
    fn columns(&self, columns: &[usize], positions: &[usize]) -> Vec<Vec<Param<'_>>> {
        let column =
            |(index, &column): (usize, &usize)| positions.iter().map(|&row| Param::new(&self.rows[row][column], index + 1)).collect();
        columns.iter().enumerate().map(column).collect()
    }

    /// Takes in what the server answered, and tells which rows are new.
    fn keep(&mut self, written: &[PgRow]) -> Result<Vec<usize>, Failure> {
        let keys = self.schema.definition().key_positions();
        let mut fresh = Vec::new();
        for row in written {
            let stored = stored_row(self.schema, row, 0)?;
            let key: Vec<Value<'_>> = keys.iter().map(|&position| stored.row[position].as_borrowed()).collect();
            let position = self.positions.get(key_text(&key)?.as_str()).copied().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the server answered a row of another key; look for triggers that change key columns")
            })?;
            if stored.version == Version::default() {
                fresh.push(position);
            }
            self.stored[position] = Some(stored);
        }
        Ok(fresh)
    }

    /// Draws the versions of new rows.
    async fn stamp(&mut self, statement: &Statement, fresh: &[usize]) -> Result<(), Failure> {
        let keys = self.columns(self.schema.definition().key_positions(), fresh);
        let params: Params<'_> = keys.iter().map(|column| column as _).collect();
        let stamped = within(self.scope.limit, async { Ok(self.scope.lease.query(statement, &params).await?) }).await?;
        for row in &stamped {
            let position = fresh.get(number(row, 0)?).copied();
            if let Some(stored) = position.and_then(|position| self.stored[position].as_mut()) {
                stored.version = version(row, 1)?;
            }
        }
        Ok(())
    }

    async fn log_and_commit(&self, statement: &Statement, chunks: &[Chunk]) -> Result<(), Failure> {
        let name = self.schema.name();
        let (mut texts, mut versions, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in chunks {
            let named = chunk.upsert.named.as_deref().filter(|_| chunk.finds == Finds::All);
            for &position in &chunk.positions {
                let Some(stored) = &self.stored[position] else { continue };
                let (text, kind) = kind::of_put(&self.batch.texts[position], named);
                texts.push(text);
                versions.push(stored.version.get() as i64);
                kinds.push(kind);
            }
        }
        if versions.contains(&0) {
            return Err(suppressed().into());
        }
        let by_key: [&(dyn ToSql + Sync); 4] = [&name, &texts, &versions, &kinds];
        let Some(newest) = versions.iter().copied().max() else {
            return within(self.scope.limit, async { Ok(self.scope.commit().await?) }).await;
        };
        let by_schema: [&(dyn ToSql + Sync); 3] = [&name, &kind::PUT, &newest];
        let params: &[&(dyn ToSql + Sync)] = if Chunk::are_bulk(chunks) { &by_schema } else { &by_key };
        let work = async {
            let (logged, committed) = join(self.scope.lease.execute(statement, params), self.scope.commit()).await;
            logged?;
            Ok(committed?)
        };
        within(self.scope.limit, work).await
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

/// The only row that has no value for a column.
fn lacking(column: usize, rows: &[Row<'_>]) -> Option<usize> {
    let mut lacking = rows.iter().enumerate().filter(|(_, row)| matches!(row[column], Value::Unset)).map(|(position, _)| position);
    lacking.next().filter(|_| lacking.next().is_none())
}

pub(crate) fn unset(row: &Row<'_>) -> Vec<usize> {
    row.iter().enumerate().filter(|(_, value)| matches!(value, Value::Unset)).map(|(position, _)| position).collect()
}

fn size(row: &Row<'_>) -> usize {
    let sizes = row.iter().map(|value| match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    });
    sizes.sum()
}

pub(crate) fn suppressed() -> Error {
    Error::new(ErrorKind::ConstraintViolation, "the table took a row without keeping it; look for triggers or rules that suppress writes")
        .with_tier(Role::Truth)
}
