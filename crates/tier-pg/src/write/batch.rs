//! Batches of rows: their checks, their portions for one statement each, and the writing of these.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesOrdered;
use store_core::facet::BULK_LOG_LIMIT;
use store_core::{BoundSchema, Error, ErrorKind, Result, Role, Row, StoredRow, Value, Version, key_text};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use super::{Params, refuse_duplicates, suppressed, unset, version};
use crate::error::{Attempt, Failure};
use crate::pool::within;
use crate::read::{number, stored_row};
use crate::scope::{Prepared, Scope};
use crate::statements::{LOG_KEYS, LOG_SCHEMA, TableSql, Upsert, kind};
use crate::value::{Param, check};
use crate::violation::violator;

/// One statement takes at most so many rows …
const CHUNK_ROWS: usize = 1_000;
/// … and about so many bytes of them, so that neither side needs much memory for a large batch.
const CHUNK_BYTES: usize = 8 << 20;
/// So many statements are sent before the first is answered: the server works while answers are read and rows are sent.
const SENT_AHEAD: usize = 2;
/// One statement draws the versions of at most so many rows.
const STAMPED_ROWS: usize = 5_000;

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

    /// What the failure says, as `told` has it, with the key of the row that a rule of the table refused, if it is known which.
    pub(crate) fn error(&self, failure: Failure, told: fn(Failure, Attempt<'_>) -> Error, schema: &BoundSchema, rows: &[Row<'_>]) -> Error {
        let violator = match (rows, failure.unique_detail()) {
            ([_], _) if failure.code().is_some_and(|code| code.starts_with("23")) => Some(0),
            (rows, Some(detail)) => violator(detail, schema, rows),
            (rows, None) => failure.column_without_value().and_then(|column| lacking(schema.definition().position(column)?, rows)),
        };
        let error = told(failure, Attempt::Table(schema));
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
    pub(super) upsert: Arc<Upsert>,
    positions: Vec<usize>,
    pub(super) finds: Finds,
}

/// What a chunk finds of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finds {
    Some,
    /// All: they are locked.
    All,
    /// None. One that is there after all stays as it is.
    None,
    /// None. One that is there after all breaks the transaction off.
    NoneOrFails,
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
        [sql.stamp_many.as_str(), log].into_iter().chain(chunks.iter().map(Chunk::text)).collect()
    }

    fn text(&self) -> &str {
        match self.finds {
            Finds::Some | Finds::All => &self.upsert.many,
            Finds::None => &self.upsert.insert_absent,
            Finds::NoneOrFails => &self.upsert.insert_many,
        }
    }

    /// Whether its statement only inserts, and draws a row's version before it can know of other writers of the key.
    fn draws_early(&self) -> bool {
        matches!(self.finds, Finds::None | Finds::NoneOrFails)
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
    new_count: usize,
    /// The rows whose versions are still to be drawn.
    unstamped: Vec<usize>,
}

/// What was written of a batch.
pub(crate) struct Written {
    /// What is stored of each row; `None` of one that was left alone.
    pub(crate) stored: Vec<Option<StoredRow>>,
    /// How many rows were not there before.
    pub(crate) new_count: usize,
}

impl<'a> BatchWrite<'a> {
    pub(crate) fn new(batch: &'a Batch, schema: &'a BoundSchema, rows: &'a [Row<'a>], scope: Scope<'a>) -> Self {
        let stored = rows.iter().map(|_| None).collect();
        BatchWrite { batch, schema, rows, scope, stored, new_count: 0, unstamped: Vec::new() }
    }

    /// Writes the chunks' rows, by their [texts](Chunk::texts).
    pub(crate) async fn run(mut self, chunks: &[Chunk], prepared: Prepared<'_>) -> Result<Written, Failure> {
        let [stamp, log, writes @ ..] = prepared else { return Err(suppressed().into()) };
        let (rows, scope) = (self.rows, self.scope);
        let mut waiting = chunks.iter().zip(writes).enumerate();
        let mut sent = FuturesOrdered::new();
        loop {
            while sent.len() < SENT_AHEAD
                && let Some((index, (chunk, statement))) = waiting.next()
            {
                sent.push_back(send(chunk, statement, rows, scope, index == 0));
            }
            let Some((chunk, written)) = within(scope.limit, sent.try_next()).await? else { break };
            self.keep(chunk, &written)?;
        }
        drop(sent);
        self.stamp(stamp).await?;
        self.log_and_commit(log, chunks).await?;
        Ok(Written { stored: self.stored, new_count: self.new_count })
    }

    /// Takes in what the server answered to a chunk.
    fn keep(&mut self, chunk: &Chunk, written: &[PgRow]) -> Result<(), Failure> {
        let (definition, rows) = (self.schema.definition(), self.rows);
        let mut expected = chunk.positions.iter().copied();
        for row in written {
            let stored = stored_row(self.schema, row, 0)?;
            let is_it = |position: &usize| definition.key_positions().iter().all(|&key| rows[*position][key] == stored.row[key]);
            // They are answered in the order in which they were sent, as far as they were written.
            let position = expected.by_ref().find(is_it).or_else(|| chunk.positions.iter().copied().find(is_it)).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the server answered a row of another key; look for triggers that change key columns")
            })?;
            let is_new = chunk.draws_early() || stored.version == Version::default();
            self.new_count += usize::from(is_new);
            if is_new && !(chunk.draws_early() && is_next(row, definition.columns().len(), stored.version)?) {
                self.unstamped.push(position);
            }
            self.stored[position] = Some(stored);
        }
        if chunk.finds != Finds::None && written.len() < chunk.positions.len() {
            return Err(suppressed().into());
        }
        Ok(())
    }

    /// Draws the versions of new rows, with their locks held.
    async fn stamp(&mut self, statement: &Statement) -> Result<(), Failure> {
        let unstamped = std::mem::take(&mut self.unstamped);
        for positions in unstamped.chunks(STAMPED_ROWS) {
            let keys = columns(self.rows, self.schema.definition().key_positions(), positions);
            let seen: Vec<i64> = positions.iter().map(|&position| self.stored_version(position)).collect();
            let mut params: Params<'_> = keys.iter().map(|column| column as _).collect();
            params.push(&seen);
            let stamped = within(self.scope.limit, async { Ok(self.scope.lease.query(statement, &params).await?) }).await?;
            for row in &stamped {
                let position = positions.get(number(row, 0)?).copied();
                if let Some(stored) = position.and_then(|position| self.stored[position].as_mut()) {
                    stored.version = version(row, 1)?;
                }
            }
        }
        Ok(())
    }

    fn stored_version(&self, position: usize) -> i64 {
        self.stored[position].as_ref().map_or(0, |stored| stored.version.get() as i64)
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

/// Sends a chunk's statement, behind what begins the transaction if it is the first, and answers with its rows.
async fn send<'a>(
    chunk: &'a Chunk,
    statement: &'a Statement,
    rows: &'a [Row<'a>],
    scope: Scope<'a>,
    is_first: bool,
) -> Result<(&'a Chunk, Vec<PgRow>), Failure> {
    let columns = columns(rows, &chunk.upsert.set, &chunk.positions);
    let params: Params<'_> = columns.iter().map(|column| column as _).collect();
    let written = scope.lease.query(statement, &params);
    if !is_first {
        return Ok((chunk, written.await?));
    }
    let (begun, written) = join(scope.begin(), written).await;
    begun?;
    Ok((chunk, written?))
}

/// Some columns of some rows as arrays.
fn columns<'a>(rows: &'a [Row<'a>], columns: &[usize], positions: &[usize]) -> Vec<Vec<Param<'a>>> {
    let column = |(index, &column): (usize, &usize)| positions.iter().map(|&row| Param::new(&rows[row][column], index + 1)).collect();
    columns.iter().enumerate().map(column).collect()
}

/// Whether the number that was drawn behind the insertion of a row is the next after the row's own: then nobody has drawn one in between.
fn is_next(row: &PgRow, columns: usize, own: Version) -> Result<bool, Failure> {
    Ok(version(row, columns + 1)?.get() == own.get() + 1)
}

/// The only row that has no value for a column.
fn lacking(column: usize, rows: &[Row<'_>]) -> Option<usize> {
    let mut lacking = rows.iter().enumerate().filter(|(_, row)| matches!(row[column], Value::Unset)).map(|(position, _)| position);
    lacking.next().filter(|_| lacking.next().is_none())
}

fn size(row: &Row<'_>) -> usize {
    let sizes = row.iter().map(|value| match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    });
    sizes.sum()
}
