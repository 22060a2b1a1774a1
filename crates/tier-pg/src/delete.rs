//! Deleting rows.

use futures_util::future::{join, join3};
use store_core::facet::BULK_LOG_LIMIT;
use store_core::{BoundSchema, Result, Row, Version, key_text};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use crate::error::{Attempt, Failure};
use crate::pool::{ATTEMPTS, Lease, Pool, within};
use crate::read::{check_keys, key_arrays, number};
use crate::statements::{LOG_SCHEMA, Statements, TableSql, kind};
use crate::value::Param;
use crate::write::{Params, end, in_key_order, refuse_duplicates, version};

/// Deletes rows by key. The results stand in the order of the keys.
pub(crate) async fn delete_many(
    pool: &Pool,
    statements: &Statements,
    schema: &BoundSchema,
    keys: &[Row<'_>],
) -> Result<Vec<Option<Version>>> {
    check_keys(schema, keys)?;
    let texts = keys.iter().map(|key| key_text(key)).collect::<Result<Vec<_>>>().map_err(|error| error.with_schema(schema.name()))?;
    refuse_duplicates(schema, &texts)?;
    let sql = statements.of(schema);
    let mut begun = 0;
    loop {
        begun += 1;
        let result = match keys {
            [] => return Ok(Vec::new()),
            [key] => delete_one(pool, &sql, schema, key, &texts[0]).await,
            _ => delete_batch(pool, &sql, schema, keys, &texts).await,
        };
        match result {
            Err(failure) if failure.is_rolled_back() && begun < ATTEMPTS => {}
            result => return result.map_err(|failure| failure.into_error(Attempt::Table(schema))),
        }
    }
}

/// Deletes one row in one round trip.
async fn delete_one(
    pool: &Pool,
    sql: &TableSql,
    schema: &BoundSchema,
    key: &Row<'_>,
    text: &String,
) -> Result<Vec<Option<Version>>, Failure> {
    let (lease, statements) = pool.lease_to_write(&[&sql.delete_one], Attempt::Table(schema)).await?;
    let keys = Param::all(key);
    let name = schema.name();
    let mut params: Params<'_> = keys.iter().map(|key| key as _).collect();
    params.push(&name);
    params.push(text);
    let limit = pool.limits().statement;
    let work = async {
        let (begun, deleted, committed) =
            join3(lease.batch_execute(pool.begin()), lease.query(&statements[0], &params), lease.batch_execute("COMMIT")).await;
        begun?;
        let deleted = deleted?;
        committed?;
        Ok(vec![deleted.first().map(|row| version(row, 0)).transpose()?])
    };
    let outcome = within(limit, work).await;
    lease.settle(outcome)
}

async fn delete_batch(
    pool: &Pool,
    sql: &TableSql,
    schema: &BoundSchema,
    keys: &[Row<'_>],
    texts: &[String],
) -> Result<Vec<Option<Version>>, Failure> {
    let is_bulk = keys.len() > BULK_LOG_LIMIT;
    let delete = if is_bulk { &sql.delete_bulk } else { &sql.delete_many };
    let (lease, statements) = pool.lease_to_write(&[delete, LOG_SCHEMA], Attempt::Table(schema)).await?;

    let columns: Vec<usize> = (0..schema.definition().key_positions().len()).collect();
    let order = in_key_order(&columns, keys);
    let sorted: Vec<Row<'_>> = order.iter().map(|&position| keys[position].iter().map(|value| value.as_borrowed()).collect()).collect();
    let texts: Vec<&str> = order.iter().map(|&position| texts[position].as_str()).collect();
    let arrays = key_arrays(schema, &sorted);
    let name = schema.name();
    let mut params: Params<'_> = arrays.iter().map(|array| array as _).collect();
    if !is_bulk {
        params.push(&texts);
        params.push(&name);
    }

    let outcome = run(pool, &lease, &statements, &params, is_bulk.then_some(name)).await;
    let outcome = end(pool, &lease, outcome).await;
    let rows = lease.settle(outcome)?;
    let mut versions = vec![None; keys.len()];
    for row in &rows {
        if let Some(&position) = order.get(number(row, 0)?) {
            versions[position] = Some(version(row, 1)?);
        }
    }
    Ok(versions)
}

/// Deletes the rows, writes the log and commits.
async fn run(
    pool: &Pool,
    lease: &Lease,
    statements: &[Statement],
    params: &Params<'_>,
    log_schema: Option<&str>,
) -> Result<Vec<PgRow>, Failure> {
    let limit = pool.limits().statement;
    let rows = within(limit, async {
        let (begun, deleted) = join(lease.batch_execute(pool.begin()), lease.query(&statements[0], params)).await;
        begun?;
        Ok(deleted?)
    })
    .await?;
    within(limit, async {
        match log_schema.filter(|_| !rows.is_empty()) {
            None => lease.batch_execute("COMMIT").await?,
            Some(name) => {
                let mut newest = 0_i64;
                for row in &rows {
                    newest = newest.max(row.try_get(1)?);
                }
                let params: [&(dyn ToSql + Sync); 3] = [&name, &kind::DELETE, &newest];
                let (logged, committed) = join(lease.execute(&statements[1], &params), lease.batch_execute("COMMIT")).await;
                logged?;
                committed?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(rows)
}
