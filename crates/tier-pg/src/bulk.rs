//! Writing the rows that a condition holds for.
//!
//! One statement changes them and draws their versions, with their locks held; the log follows in the same transaction.

use std::fmt::Write;

use futures_util::future::join;
use store_core::facet::{BULK_LOG_LIMIT, Touched};
use store_core::sql::{self, Dialect, VERSION_COLUMN};
use store_core::{BoundSchema, Filter, Result, Role, Row, Value, key_text};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use crate::error::{Attempt, Failure};
use crate::pool::{Pool, check_count, within};
use crate::scope::{Prepared, Scope};
use crate::statements::{DRAW, LOG_KEYS, LOG_SCHEMA, kind, named};
use crate::value::{Cell, Param, check};
use crate::write::{ATTEMPTS_AFTER_DEADLOCK, Params, end, suppressed, version};

const DIALECT: Dialect = Dialect::Postgres;

/// Deletes rows, in a transaction of its own.
pub(crate) async fn delete_where(pool: &Pool, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
    run(pool, WriteWhere::delete(schema, filter)?).await
}

/// Sets columns of rows, in a transaction of its own.
pub(crate) async fn update_where(pool: &Pool, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
    run(pool, WriteWhere::update(schema, changes, filter)?).await
}

fn condition(schema: &BoundSchema, filter: &Filter, params: Vec<Value<'static>>) -> Result<(String, Vec<Value<'static>>)> {
    sql::condition(DIALECT, schema, filter, params).map_err(|error| error.with_tier(Role::Truth))
}

fn keys(schema: &BoundSchema) -> String {
    let keys: Vec<String> = schema.definition().key_columns().map(|column| DIALECT.quote(column.name)).collect();
    keys.join(", ")
}

/// On the heap: the layout of one future within the other is deeper than the compiler looks.
async fn run(pool: &Pool, write: WriteWhere<'_>) -> Result<Vec<Touched>> {
    Box::pin(async move {
        let attempt = Attempt::Query(write.schema);
        let mut begun = 0;
        loop {
            begun += 1;
            let (lease, prepared) = pool.lease_to_write(&write.texts(), attempt).await?;
            let outcome = write.run(Scope::own(pool, &lease), &prepared).await;
            let outcome = end(pool, &lease, outcome).await;
            match lease.settle(outcome) {
                Err(failure) if failure.is_rolled_back() && begun < ATTEMPTS_AFTER_DEADLOCK => {}
                outcome => return outcome.map_err(|failure| failure.into_write_error(attempt)),
            }
        }
    })
    .await
}

/// A statement that changes or deletes the rows that a condition holds for.
pub(crate) struct WriteWhere<'a> {
    schema: &'a BoundSchema,
    /// It answers the key columns and the version of each row that it touches.
    sql: String,
    params: Vec<Value<'static>>,
    kind: i16,
    /// The columns that the log names.
    named: Option<Vec<&'static str>>,
}

impl<'a> WriteWhere<'a> {
    /// Deletes the rows.
    pub(crate) fn delete(schema: &'a BoundSchema, filter: &Filter) -> Result<Self> {
        let (condition, params) = condition(schema, filter, Vec::new())?;
        let sql = format!("DELETE FROM {} WHERE {condition} RETURNING {}, {DRAW}", DIALECT.quote_table(schema.table()), keys(schema));
        Ok(WriteWhere { schema, sql, params, kind: kind::DELETE, named: None })
    }

    /// Sets columns of the rows.
    pub(crate) fn update(schema: &'a BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Self> {
        let mut sql = format!("UPDATE {} SET ", DIALECT.quote_table(schema.table()));
        let (mut values, mut changed) = (Vec::new(), Vec::new());
        for (position, (column, value)) in schema.definition().columns().iter().zip(changes).enumerate() {
            if column.is_key || matches!(value, Value::Unset) {
                continue;
            }
            check(column, value).map_err(|error| error.with_schema(schema.name()))?;
            values.push(value.clone().into_owned());
            changed.push(position);
            // Writing to a String cannot fail.
            let _ = write!(sql, "{} = ${}, ", DIALECT.quote(column.name), values.len());
        }
        let (condition, params) = condition(schema, filter, values)?;
        let version = DIALECT.quote(VERSION_COLUMN);
        let _ = write!(sql, "{version} = {DRAW} WHERE {condition} RETURNING {}, {version}", keys(schema));
        Ok(WriteWhere { schema, sql, params, kind: kind::PUT, named: named(schema.definition(), &changed) })
    }

    /// What is to be prepared before it runs.
    pub(crate) fn texts(&self) -> [&str; 3] {
        [&self.sql, LOG_KEYS, LOG_SCHEMA]
    }

    /// Writes the rows and their log rows.
    pub(crate) async fn run(&self, scope: Scope<'_>, prepared: Prepared<'_>) -> Result<Vec<Touched>, Failure> {
        let [write, by_key, by_schema] = prepared else { return Err(suppressed().into()) };
        check_count(write, self.params.len())?;
        let params = Param::all(&self.params);
        let params: Params<'_> = params.iter().map(|param| param as _).collect();
        let (begun, written) = within(scope.limit, async { Ok(join(scope.begin(), scope.lease.query(write, &params)).await) }).await?;
        begun?;
        let touched = written?.iter().map(|row| self.touched(row)).collect::<Result<Vec<_>, Failure>>()?;
        within(scope.limit, self.log_and_commit(scope, by_key, by_schema, &touched)).await?;
        Ok(touched)
    }

    fn touched(&self, row: &PgRow) -> Result<Touched, Failure> {
        let keys = self.schema.definition().key_positions().len();
        let key = (0..keys).map(|index| Ok(row.try_get::<_, Cell>(index)?.0)).collect::<Result<Row<'static>, Failure>>()?;
        Ok(Touched { key, version: version(row, keys)? })
    }

    /// What the log row of a row holds for its key, and its kind.
    fn entry(&self, touched: &Touched) -> Result<(String, i16)> {
        let key = key_text(&touched.key)?;
        if self.named.is_none() {
            return Ok((key, self.kind));
        }
        let (text, kind) = kind::of_put(&key, self.named.as_deref());
        Ok((text.into_owned(), kind))
    }

    async fn log_and_commit(
        &self,
        scope: Scope<'_>,
        by_key: &Statement,
        by_schema: &Statement,
        touched: &[Touched],
    ) -> Result<(), Failure> {
        let name = self.schema.name();
        let versions: Vec<i64> = touched.iter().map(|touched| touched.version.get() as i64).collect();
        let (texts, kinds): (Vec<String>, Vec<i16>) = if touched.len() > BULK_LOG_LIMIT {
            Default::default()
        } else {
            touched.iter().map(|touched| self.entry(touched)).collect::<Result<_>>()?
        };
        let newest = versions.iter().copied().max().unwrap_or_default();
        let of_keys: [&(dyn ToSql + Sync); 4] = [&name, &texts, &versions, &kinds];
        let of_schema: [&(dyn ToSql + Sync); 3] = [&name, &self.kind, &newest];
        let (statement, params): (_, &[&(dyn ToSql + Sync)]) =
            if touched.len() > BULK_LOG_LIMIT { (by_schema, &of_schema) } else { (by_key, &of_keys) };
        let (logged, committed) = join(scope.lease.execute(statement, params), scope.commit()).await;
        logged?;
        Ok(committed?)
    }
}
