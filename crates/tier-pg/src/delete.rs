//! Deleting rows.

use std::sync::Arc;

use futures_util::future::{join, join3};
use store_core::facet::BULK_LOG_LIMIT;
use store_core::{BoundSchema, Result, Row, Version, key_text};
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::ToSql;

use crate::error::{Attempt, Failure};
use crate::pool::{ATTEMPTS, Pool, within};
use crate::read::{check_keys, key_arrays, number};
use crate::scope::{Prepared, Scope};
use crate::statements::{LOG_SCHEMA, Statements, TableSql, kind};
use crate::value::Param;
use crate::write::{Params, end, in_key_order, refuse_duplicates, version};

/// Deletes rows by key, in a transaction of its own. The results stand in the order of the keys.
pub(crate) async fn delete_many(
    pool: &Pool,
    statements: &Statements,
    schema: &BoundSchema,
    keys: &[Row<'_>],
) -> Result<Vec<Option<Version>>> {
    let delete = Delete::new(schema, keys, statements.of(schema))?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut begun = 0;
    loop {
        begun += 1;
        let (lease, prepared) = pool.lease_to_write(&delete.texts(), Attempt::Table(schema)).await?;
        let outcome = delete.run(Scope::own(pool, &lease), &prepared).await;
        let outcome = end(pool, &lease, outcome).await;
        match lease.settle(outcome) {
            Err(failure) if failure.is_rolled_back() && begun < ATTEMPTS => {}
            outcome => return outcome.map_err(|failure| failure.into_write_error(Attempt::Table(schema))),
        }
    }
}

/// Keys whose rows are to be deleted, and the statements for it.
pub(crate) struct Delete<'a> {
    schema: &'a BoundSchema,
    keys: &'a [Row<'a>],
    texts: Vec<String>,
    sql: Arc<TableSql>,
}

impl<'a> Delete<'a> {
    pub(crate) fn new(schema: &'a BoundSchema, keys: &'a [Row<'a>], sql: Arc<TableSql>) -> Result<Self> {
        check_keys(schema, keys)?;
        let texts = keys.iter().map(|key| key_text(key)).collect::<Result<Vec<_>>>().map_err(|error| error.with_schema(schema.name()))?;
        refuse_duplicates(schema, &texts)?;
        Ok(Delete { schema, keys, texts, sql })
    }

    fn is_bulk(&self) -> bool {
        self.keys.len() > BULK_LOG_LIMIT
    }

    /// What is to be prepared before it runs.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self.keys {
            [_] => vec![&self.sql.delete_one],
            _ if self.is_bulk() => vec![&self.sql.delete_bulk, LOG_SCHEMA],
            _ => vec![&self.sql.delete_many],
        }
    }

    /// Deletes the rows and writes their log rows.
    pub(crate) async fn run(&self, scope: Scope<'_>, prepared: Prepared<'_>) -> Result<Vec<Option<Version>>, Failure> {
        match self.keys {
            [key] => self.delete_one(scope, prepared, key).await,
            _ => self.delete_batch(scope, prepared).await,
        }
    }

    /// Deletes one row in one round trip.
    async fn delete_one(&self, scope: Scope<'_>, prepared: Prepared<'_>, key: &Row<'_>) -> Result<Vec<Option<Version>>, Failure> {
        let keys = Param::all(key);
        let name = self.schema.name();
        let mut params: Params<'_> = keys.iter().map(|key| key as _).collect();
        params.push(&name);
        params.push(&self.texts[0]);
        let work = async {
            let (begun, deleted, committed) = join3(scope.begin(), scope.lease.query(&prepared[0], &params), scope.commit()).await;
            begun?;
            let deleted = deleted?;
            committed?;
            Ok(vec![deleted.first().map(|row| version(row, 0)).transpose()?])
        };
        within(scope.limit, work).await
    }

    async fn delete_batch(&self, scope: Scope<'_>, prepared: Prepared<'_>) -> Result<Vec<Option<Version>>, Failure> {
        let columns: Vec<usize> = (0..self.schema.definition().key_positions().len()).collect();
        let order = in_key_order(&columns, self.keys);
        let sorted: Vec<Row<'_>> =
            order.iter().map(|&position| self.keys[position].iter().map(|value| value.as_borrowed()).collect()).collect();
        let texts: Vec<&str> = order.iter().map(|&position| self.texts[position].as_str()).collect();
        let arrays = key_arrays(self.schema, &sorted);
        let name = self.schema.name();
        let mut params: Params<'_> = arrays.iter().map(|array| array as _).collect();
        if !self.is_bulk() {
            params.push(&texts);
            params.push(&name);
        }
        let rows = within(scope.limit, async {
            let (begun, deleted) = join(scope.begin(), scope.lease.query(&prepared[0], &params)).await;
            begun?;
            Ok(deleted?)
        })
        .await?;
        self.log_and_commit(scope, prepared, &rows).await?;
        let mut versions = vec![None; self.keys.len()];
        for row in &rows {
            if let Some(&position) = order.get(number(row, 0)?) {
                versions[position] = Some(version(row, 1)?);
            }
        }
        Ok(versions)
    }

    /// Writes the log row of the whole schema, where the statement has not written one for each key.
    async fn log_and_commit(&self, scope: Scope<'_>, prepared: Prepared<'_>, rows: &[PgRow]) -> Result<(), Failure> {
        within(scope.limit, async {
            if !self.is_bulk() || rows.is_empty() {
                return Ok(scope.commit().await?);
            }
            let mut newest = 0_i64;
            for row in rows {
                newest = newest.max(row.try_get(1)?);
            }
            let name = self.schema.name();
            let params: [&(dyn ToSql + Sync); 3] = [&name, &kind::DELETE, &newest];
            let (logged, committed) = join(scope.lease.execute(&prepared[1], &params), scope.commit()).await;
            logged?;
            Ok(committed?)
        })
        .await
    }
}
