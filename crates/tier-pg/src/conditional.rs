//! Writing a row if what is there is what the writer expects.
//!
//! The condition is looked at with the row's lock held: an update that waited for another writer looks again, and an insert waits for whoever is inserting
//! the key.

use std::sync::Arc;

use futures_util::future::{join3, join4};
use store_core::facet::Condition;
use store_core::{BoundSchema, Error, ErrorKind, Result, Role, Row, StoredRow, Version};
use tokio_postgres::Statement;

use crate::error::{Attempt, Failure};
use crate::pool::{Pool, within};
use crate::read::{key_arrays, number, stored_row};
use crate::scope::{Prepared, Scope};
use crate::statements::{PutIf, Statements, TableSql, kind};
use crate::value::Param;
use crate::write::{Batch, BatchWrite, Chunk, Params, attempts, in_key_order, suppressed, unset, version};

/// Writes a row if the condition holds, in a transaction of its own.
pub(crate) async fn put_if(
    pool: &Pool,
    statements: &Statements,
    schema: &BoundSchema,
    row: &Row<'_>,
    condition: Condition,
) -> Result<Option<StoredRow>> {
    let rows = std::slice::from_ref(row);
    let batch = Batch::check(schema, rows)?;
    let write = WriteIf::new(schema, &statements.of(schema), row, &batch.texts[0], condition);
    let mut begun = 0;
    loop {
        begun += 1;
        let (lease, prepared) = pool.lease_to_write(&write.texts(), Attempt::Table(schema)).await?;
        let outcome = write.run(Scope::own(pool, &lease), &prepared).await;
        match lease.settle(outcome) {
            Err(failure) if begun < attempts(&failure) => {}
            outcome => return outcome.map_err(|failure| batch.error(failure, Failure::into_write_error, schema, rows)),
        }
    }
}

/// A row to write under a condition, and the statements for it.
struct WriteIf<'a> {
    schema: &'a BoundSchema,
    sql: Arc<PutIf>,
    row: &'a Row<'a>,
    text: &'a String,
    condition: Condition,
}

impl<'a> WriteIf<'a> {
    fn new(schema: &'a BoundSchema, sql: &TableSql, row: &'a Row<'a>, text: &'a String, condition: Condition) -> Self {
        WriteIf { schema, sql: sql.put_if(schema, &unset(row), condition), row, text, condition }
    }

    /// What is to be prepared before it runs.
    fn texts(&self) -> Vec<&str> {
        [self.sql.write.as_str()].into_iter().chain(self.sql.stamp.as_deref()).collect()
    }

    /// Writes the row and its log row in one round trip.
    async fn run(&self, scope: Scope<'_>, prepared: Prepared<'_>) -> Result<Option<StoredRow>, Failure> {
        match prepared {
            [write, stamp] => within(scope.limit, self.insert(scope, write, stamp)).await,
            [write, ..] => within(scope.limit, self.update(scope, write)).await,
            [] => Ok(None),
        }
    }

    async fn insert(&self, scope: Scope<'_>, write: &Statement, stamp: &Statement) -> Result<Option<StoredRow>, Failure> {
        let values = self.params(&self.sql.params);
        let keys = self.params(self.schema.definition().key_positions());
        let name = self.schema.name();
        let values: Params<'_> = values.iter().map(|value| value as _).collect();
        let mut stamps: Params<'_> = keys.iter().map(|key| key as _).collect();
        stamps.push(&name);
        stamps.push(self.text);
        // All are sent before the first answer is awaited. If one fails, so do those behind it, and the commit rolls back.
        let (begun, written, stamped, committed) =
            join4(scope.begin(), scope.lease.query(write, &values), scope.lease.query(stamp, &stamps), scope.commit()).await;
        begun?;
        let (written, stamped) = (written?, stamped?);
        committed?;
        match (written.as_slice(), stamped.as_slice()) {
            ([], _) => Ok(None),
            ([written], [stamped]) => {
                let stored = stored_row(self.schema, written, 0)?;
                Ok(Some(StoredRow { version: version(stamped, 0)?, ..stored }))
            }
            _ => Err(suppressed().into()),
        }
    }

    async fn update(&self, scope: Scope<'_>, write: &Statement) -> Result<Option<StoredRow>, Failure> {
        let values = self.params(&self.sql.params);
        let name = self.schema.name();
        let expected = match self.condition {
            Condition::Version(version) => Some(i64::try_from(version.get()).unwrap_or(-1)),
            Condition::Absent | Condition::Present => None,
        };
        let mut params: Params<'_> = values.iter().map(|value| value as _).collect();
        if let Some(expected) = &expected {
            params.push(expected);
        }
        let (text, _) = kind::of_put(self.text, self.sql.named.as_deref());
        params.push(&name);
        params.push(&text);
        let (begun, written, committed) = join3(scope.begin(), scope.lease.query(write, &params), scope.commit()).await;
        begun?;
        let written = written?;
        committed?;
        written.first().map(|row| stored_row(self.schema, row, 0)).transpose()
    }

    fn params(&self, positions: &[usize]) -> Vec<Param<'_>> {
        positions.iter().enumerate().map(|(index, &position)| Param::new(&self.row[position], index + 1)).collect()
    }
}

/// Rows to write, each under a condition of its own, in a transaction that is open.
pub(crate) struct PutManyIf<'a> {
    schema: &'a BoundSchema,
    sql: Arc<TableSql>,
    rows: &'a [Row<'a>],
    conditions: &'a [Condition],
    batch: Batch,
}

impl<'a> PutManyIf<'a> {
    pub(crate) fn new(schema: &'a BoundSchema, sql: Arc<TableSql>, rows: &'a [Row<'a>], conditions: &'a [Condition]) -> Result<Self> {
        if rows.len() != conditions.len() {
            let message = format!("{} conditions were given for {} rows", conditions.len(), rows.len());
            return Err(Error::new(ErrorKind::Internal, message).with_schema(schema.name()).with_tier(Role::Truth));
        }
        Ok(PutManyIf { schema, sql, rows, conditions, batch: Batch::check(schema, rows)? })
    }

    pub(crate) async fn run(&self, scope: Scope<'_>) -> Result<Vec<Option<StoredRow>>, Failure> {
        match (self.rows, self.conditions) {
            ([], _) => Ok(Vec::new()),
            ([row], [condition]) => {
                let write = WriteIf::new(self.schema, &self.sql, row, &self.batch.texts[0], *condition);
                let prepared = within(scope.limit, scope.lease.prepare(&write.texts())).await?;
                Ok(vec![write.run(scope, &prepared).await?])
            }
            (rows, conditions) => {
                let order = in_key_order(self.schema.definition().key_positions(), rows);
                let present = self.lock(scope, &order).await?;
                let holds = order.into_iter().filter(|&position| conditions[position].holds(present[position]));
                let (updated, inserted): (Vec<usize>, Vec<usize>) = holds.partition(|&position| present[position].is_some());
                self.write(scope, &updated, &inserted).await
            }
        }
    }

    /// The versions of the rows that are there, which nobody else changes any more.
    async fn lock(&self, scope: Scope<'_>, order: &[usize]) -> Result<Vec<Option<Version>>, Failure> {
        let keys = self.schema.definition().key_positions();
        let sorted: Vec<Row<'_>> =
            order.iter().map(|&row| keys.iter().map(|&column| self.rows[row][column].as_borrowed()).collect()).collect();
        let arrays = key_arrays(self.schema, &sorted);
        let params: Params<'_> = arrays.iter().map(|array| array as _).collect();
        let found = within(scope.limit, async {
            let prepared = scope.lease.prepare(&[&self.sql.lock_versions]).await?;
            Ok(scope.lease.query(&prepared[0], &params).await?)
        })
        .await?;
        let mut present = vec![None; self.rows.len()];
        for row in &found {
            if let Some(&position) = order.get(number(row, 0)?) {
                present[position] = Some(version(row, 1)?);
            }
        }
        Ok(present)
    }

    /// Writes the rows that are locked, and then those that were not there: one that somebody else has inserted since is left alone.
    async fn write(&self, scope: Scope<'_>, updated: &[usize], inserted: &[usize]) -> Result<Vec<Option<StoredRow>>, Failure> {
        let chunks = |positions, chunk_of: fn(_, _) -> _| self.batch.chunks(self.schema, &self.sql, self.rows, positions, chunk_of);
        let mut chunks_of_both = chunks(updated, Chunk::update);
        chunks_of_both.extend(chunks(inserted, Chunk::insert));
        if chunks_of_both.is_empty() {
            return Ok(self.rows.iter().map(|_| None).collect());
        }
        let prepared = within(scope.limit, scope.lease.prepare(&Chunk::texts(&chunks_of_both, &self.sql))).await?;
        Ok(BatchWrite::new(&self.batch, self.schema, self.rows, scope).run(&chunks_of_both, &prepared).await?.stored)
    }

    /// What the failure says, with the key of the row that a unique index refused.
    pub(crate) fn error(&self, failure: Failure, told: fn(Failure, Attempt<'_>) -> Error) -> Error {
        self.batch.error(failure, told, self.schema, self.rows)
    }
}
