//! Reading rows of one schema.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;
use rusqlite::types::Value as Stored;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use store_core::{Result, StoredRow, Version};
use tokio::sync::mpsc;

use crate::commit::{snapshot, to_version};
use crate::error::{self, Origin};
use crate::plan::Plan;
use crate::value;
use crate::workers::{Interest, Interested, Worker};

/// A query as SQLite runs it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Stored>,
    /// The positions in the schema of the columns that it answers.
    pub(crate) columns: Vec<usize>,
}

/// Runs a statement with each key, several on one snapshot.
fn with_each_key<T>(
    connection: &Connection,
    plan: &Plan,
    sql: &str,
    keys: &[Vec<Stored>],
    read: impl Fn(Option<&rusqlite::Row<'_>>) -> Result<T>,
) -> Result<Vec<T>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Table(plan));
    let read_all = || {
        let mut statement = connection.prepare_cached(sql).map_err(from_sqlite)?;
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            let mut rows = statement.query(params_from_iter(key)).map_err(from_sqlite)?;
            results.push(read(rows.next().map_err(from_sqlite)?)?);
        }
        Ok(results)
    };
    // A single statement is a snapshot of its own, and so is a transaction that is open.
    if keys.len() == 1 || !connection.is_autocommit() { read_all() } else { snapshot(connection, Origin::Table(plan), read_all) }
}

/// Reads rows by key.
pub(crate) fn get(connection: &Connection, plan: &Plan, keys: &[Vec<Stored>]) -> Result<Vec<Option<StoredRow>>> {
    with_each_key(connection, plan, &plan.get, keys, |row| row.map(|row| value::from_row(row, 0..plan.columns().len(), plan)).transpose())
}

/// Tells which keys have a row.
pub(crate) fn exists(connection: &Connection, plan: &Plan, keys: &[Vec<Stored>]) -> Result<Vec<bool>> {
    with_each_key(connection, plan, &plan.exists, keys, |row| Ok(row.is_some()))
}

/// The version of a key's row, if there is one.
pub(crate) fn version(connection: &Connection, plan: &Plan, key: &[Stored]) -> Result<Option<Version>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Table(plan));
    let mut statement = connection.prepare_cached(&plan.version).map_err(from_sqlite)?;
    let version = statement.query_row(params_from_iter(key), |row| row.get(0)).optional().map_err(from_sqlite)?;
    Ok(version.map(to_version))
}

/// Runs a count.
pub(crate) fn count(connection: &Connection, plan: &Plan, count: &Statement) -> Result<u64> {
    connection
        .prepare_cached(&count.sql)
        .and_then(|mut statement| statement.query_row(params_from_iter(&count.values), |row| row.get::<_, i64>(0)))
        .map(i64::unsigned_abs)
        .map_err(|error| error::from_sqlite(error, Origin::Query(plan)))
}

/// Runs a query within a transaction that is open, and gives all its rows.
pub(crate) fn rows(connection: &Connection, plan: &Plan, query: &Statement) -> Result<Vec<StoredRow>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Query(plan));
    let mut statement = connection.prepare_cached(&query.sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params_from_iter(&query.values)).map_err(from_sqlite)?;
    let mut stored = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        stored.push(value::from_row(row, query.columns.iter().copied(), plan)?);
    }
    Ok(stored)
}

/// Rows of a first chunk: those of a search with the usual limit come at once. Later chunks double up to [`LARGEST_CHUNK`].
const FIRST_CHUNK: usize = 128;
const LARGEST_CHUNK: usize = 512;

/// A chunk ends early where its rows are large: this bounds what an open stream holds, to a few chunks.
const LARGEST_CHUNK_BYTES: usize = 1 << 20;

/// Chunks that may wait for the reader.
const WAITING_CHUNKS: usize = 2;

/// Rows on their way from a worker to a reader.
#[derive(Debug)]
pub(crate) struct Chunk {
    rows: Vec<StoredRow>,
    /// Whether the result is complete with them: a stream that ends without it was cut off.
    is_last: bool,
}

/// Runs a query and sends its rows until nobody takes them any more.
pub(crate) fn select(worker: &mut Worker, plan: &Plan, query: &Statement, rows: &mpsc::Sender<Result<Chunk>>) {
    if let Err(error) = try_select(worker, plan, query, rows) {
        worker.split().1.send(rows, Err(error));
    }
}

fn try_select(worker: &mut Worker, plan: &Plan, query: &Statement, sender: &mpsc::Sender<Result<Chunk>>) -> Result<()> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Query(plan));
    let (connection, mut outlet) = worker.split();
    let mut statement = connection.prepare_cached(&query.sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params_from_iter(&query.values)).map_err(from_sqlite)?;
    let (mut chunk, mut size, mut bytes) = (Vec::new(), FIRST_CHUNK, 0);
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        if chunk.len() >= size || bytes >= LARGEST_CHUNK_BYTES {
            size = (size * 2).min(LARGEST_CHUNK);
            bytes = 0;
            let rows = std::mem::replace(&mut chunk, Vec::with_capacity(size));
            if !outlet.send(sender, Ok(Chunk { rows, is_last: false })) {
                return Ok(());
            }
        }
        let stored = value::from_row(row, query.columns.iter().copied(), plan)?;
        bytes += value::weight(&stored.row);
        chunk.push(stored);
    }
    outlet.send(sender, Ok(Chunk { rows: chunk, is_last: true }));
    Ok(())
}

/// The reader's end of a query. Dropping it ends the query.
#[derive(Debug)]
pub(crate) struct Rows {
    chunks: mpsc::Receiver<Result<Chunk>>,
    rows: vec::IntoIter<StoredRow>,
    has_ended: bool,
    _reader: Interested,
}

/// The two ends of a query's channel, and whether anybody still takes its rows.
pub(crate) fn channel() -> (Rows, mpsc::Sender<Result<Chunk>>, Arc<Interest>) {
    let (sender, chunks) = mpsc::channel(WAITING_CHUNKS);
    let reader = Interested::default();
    let interest = Arc::clone(&reader.0);
    (Rows { chunks, rows: Vec::new().into_iter(), has_ended: false, _reader: reader }, sender, interest)
}

impl Stream for Rows {
    type Item = Result<StoredRow>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(row) = self.rows.next() {
                return Poll::Ready(Some(Ok(row)));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            match ready!(self.chunks.poll_recv(context)) {
                Some(Ok(chunk)) => {
                    self.rows = chunk.rows.into_iter();
                    self.has_ended = chunk.is_last;
                }
                Some(Err(error)) => {
                    self.has_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.has_ended = true;
                    return Poll::Ready(Some(Err(error::closed())));
                }
            }
        }
    }
}
