//! Rows in SQL tables.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::types::Value as Stored;
use store_core::facet::{Begin, Condition, Count, Select, Tables, Touched, Transaction};
use store_core::sql::{self, Dialect};
use store_core::{BoundSchema, Error, Filter, ReplicaHealth, Result, Role, Row, StoredRow, Value, Version, key_text};

use crate::bulk;
use crate::conditional::{self, RowIf};
use crate::plan::Plan;
use crate::read::{self, Statement};
use crate::tier::SqliteTier;
use crate::transaction::SqliteTransaction;
use crate::value::{NewRow, key_to_stored, operand_to_stored, row_to_stored};
use crate::workers::{Interested, Worker, Workers};
use crate::write::{self, LogKeys};

#[async_trait]
impl Tables for SqliteTier {
    async fn get_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<StoredRow>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan(schema);
        let keys = keys.iter().map(|key| key_to_stored(key, &plan)).collect::<Result<Vec<_>>>()?;
        self.on_table(self.readers(), plan, move |worker, plan| read::get(&worker.connection, plan, &keys)).await
    }

    async fn exists_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan(schema);
        let keys = keys.iter().map(|key| key_to_stored(key, &plan)).collect::<Result<Vec<_>>>()?;
        self.on_table(self.readers(), plan, move |worker, plan| read::exists(&worker.connection, plan, &keys)).await
    }

    async fn put_many(&self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan(schema);
        let (new, keys) = new_rows(rows, &plan)?;
        self.on_table(self.writer(), plan, move |worker, plan| write::put(worker, plan, new, &keys)).await
    }

    async fn put_if(&self, schema: &BoundSchema, row: &Row<'_>, condition: Condition) -> Result<Option<StoredRow>> {
        let plan = self.plan(schema);
        let new = row_if(row, condition, &plan)?;
        self.on_table(self.writer(), plan, move |worker, plan| conditional::put_if(worker, plan, new)).await
    }

    async fn delete_many(&self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan(schema);
        let (stored, keys) = old_keys(keys, &plan)?;
        self.on_table(self.writer(), plan, move |worker, plan| write::delete(worker, plan, &stored, &keys)).await
    }

    async fn delete_where(&self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        let plan = self.plan(schema);
        let keys = keys_where(schema, filter).map_err(|error| of_schema(error, &plan))?;
        self.on_table(self.writer(), plan, move |worker, plan| bulk::delete_where(worker, plan, &keys)).await
    }

    async fn update_where(&self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        let plan = self.plan(schema);
        let changes = bulk::Changes::new(changes, &plan)?;
        let keys = keys_where(schema, filter).map_err(|error| of_schema(error, &plan))?;
        self.on_table(self.writer(), plan, move |worker, plan| bulk::update_where(worker, plan, &changes, &keys)).await
    }

    fn select(self: Arc<Self>, schema: Arc<BoundSchema>, select: Select) -> BoxStream<'static, Result<StoredRow>> {
        let plan = self.plan(&schema);
        let rows = stream::once({
            let plan = Arc::clone(&plan);
            async move { self.start(plan, &schema, &select).await }
        });
        rows.try_flatten().map_err(move |error| of_schema(error, &plan)).boxed()
    }

    fn reads_from_replica(&self) -> bool {
        false
    }

    fn replicas(&self) -> Vec<ReplicaHealth> {
        Vec::new()
    }

    async fn count(&self, schema: &BoundSchema, count: Count) -> Result<u64> {
        let plan = self.plan(schema);
        let count = statement(sql::count(Dialect::Sqlite, schema, &count).map_err(|error| of_schema(error, &plan))?);
        let caller = Interested::default();
        let interest = Arc::clone(&caller.0);
        let job =
            move |worker: &mut Worker, plan: &Plan| worker.run_while(&interest, |worker| read::count(&worker.connection, plan, &count));
        self.on_table(self.readers(), plan, job).await
    }

    async fn begin(&self, begin: &Begin) -> Result<Box<dyn Transaction>> {
        let transaction = SqliteTransaction::begin(self.writer(), self.plans(), begin).await?;
        Ok(Box::new(transaction))
    }
}

impl SqliteTier {
    /// Runs a job about one schema's table.
    async fn on_table<T: Send + 'static>(
        &self,
        workers: &Workers,
        plan: Arc<Plan>,
        job: impl FnOnce(&mut Worker, &Plan) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let of_job = Arc::clone(&plan);
        workers.run(move |worker| job(worker, &of_job)).await.map_err(|error| of_schema(error, &plan))
    }

    /// Hands a query to a reader. The rows keep the tier alive.
    async fn start(
        self: Arc<Self>,
        plan: Arc<Plan>,
        schema: &BoundSchema,
        select: &Select,
    ) -> Result<impl futures_core::Stream<Item = Result<StoredRow>> + use<>> {
        let query = statement(sql::select(Dialect::Sqlite, schema, select)?);
        let (rows, sender, interest) = read::channel();
        let job = move |worker: Result<&mut Worker>| match worker {
            Ok(worker) if !sender.is_closed() => worker.run_while(&interest, |worker| read::select(worker, &plan, &query, &sender)),
            Ok(_) => {}
            // There is room: nothing was sent before.
            Err(error) => drop(sender.try_send(Err(error))),
        };
        self.readers().submit(job).await?;
        Ok(rows.inspect(move |_| {
            let _keep_alive = &self;
        }))
    }
}

/// Rows to write, as SQLite takes them, and what the log is told of them.
pub(crate) fn new_rows(rows: &[Row<'_>], plan: &Plan) -> Result<(Vec<NewRow>, LogKeys)> {
    let new = rows.iter().map(|row| row_to_stored(row, plan)).collect::<Result<Vec<_>>>()?;
    let keys = LogKeys::of(rows.iter().map(|row| key_of(row, plan))).map_err(|error| of_schema(error, plan))?;
    Ok((new, keys))
}

/// A row to write under a condition, as SQLite takes it.
pub(crate) fn row_if(row: &Row<'_>, condition: Condition, plan: &Plan) -> Result<RowIf> {
    let new = row_to_stored(row, plan)?;
    let text = key_text(&key_of(row, plan)).map_err(|error| of_schema(error, plan))?;
    Ok(RowIf { row: new, text, condition })
}

/// Keys of rows to delete, as SQLite takes them, and what the log is told of them.
pub(crate) fn old_keys(keys: &[Row<'_>], plan: &Plan) -> Result<(Vec<Vec<Stored>>, LogKeys)> {
    let stored = keys.iter().map(|key| key_to_stored(key, plan)).collect::<Result<Vec<_>>>()?;
    let keys = LogKeys::of(keys.iter().map(|key| key.iter().map(Value::as_borrowed).collect()));
    Ok((stored, keys.map_err(|error| of_schema(error, plan))?))
}

fn key_of<'a>(row: &'a Row<'_>, plan: &Plan) -> Row<'a> {
    plan.key_positions().iter().map(|&position| row[position].as_borrowed()).collect()
}

/// Finds the keys of the rows that a condition holds for.
pub(crate) fn keys_where(schema: &BoundSchema, filter: &Filter) -> Result<Statement> {
    let columns = Some(schema.definition().key_positions().to_vec());
    sql::select(Dialect::Sqlite, schema, &Select { columns, filter: Some(filter.clone()), ..Select::default() }).map(statement)
}

pub(crate) fn statement(statement: sql::Statement) -> Statement {
    Statement { sql: statement.sql, values: statement.params.into_iter().map(operand_to_stored).collect(), columns: statement.columns }
}

pub(crate) fn of_schema(error: Error, plan: &Plan) -> Error {
    error.with_schema(plan.name()).with_tier(Role::Truth)
}
