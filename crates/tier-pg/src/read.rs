//! Reading rows by key, and the form in which rows arrive.

use store_core::{BoundSchema, Error, ErrorKind, Result, Role, Row, StoredRow, Value, Version};
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::ToSql;

use crate::error::{Attempt, Failure};
use crate::pool::Pool;
use crate::statements::Statements;
use crate::value::{Cell, Param, Unfit, check};

/// Refuses keys that the key columns cannot hold.
pub(crate) fn check_keys(schema: &BoundSchema, keys: &[Row<'_>]) -> Result<()> {
    let definition = schema.definition();
    for key in keys {
        if key.len() != definition.key_positions().len() {
            let message = format!("a key of {} values was given for {} key columns", key.len(), definition.key_positions().len());
            return Err(Error::new(ErrorKind::Internal, message).with_schema(schema.name()).with_tier(Role::Truth));
        }
        for (column, value) in definition.key_columns().zip(key) {
            check(column, value).map_err(|error| error.with_schema(schema.name()))?;
        }
    }
    Ok(())
}

/// The key columns as arrays.
pub(crate) fn key_arrays<'a>(schema: &BoundSchema, keys: &'a [Row<'a>]) -> Vec<Vec<Param<'a>>> {
    let columns = 0..schema.definition().key_positions().len();
    columns.map(|column| keys.iter().map(|key| Param::new(&key[column], column + 1)).collect()).collect()
}

pub(crate) async fn get_many(
    pool: &Pool,
    statements: &Statements,
    schema: &BoundSchema,
    keys: &[Row<'_>],
) -> Result<Vec<Option<StoredRow>>> {
    check_keys(schema, keys)?;
    let sql = statements.of(schema);
    let attempt = Attempt::Table(schema);
    let to_error = |failure: Failure| failure.into_error(attempt);
    match keys {
        [] => Ok(Vec::new()),
        [key] => {
            let params = Param::all(key);
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
            let rows = pool.read(&sql.get_one, &params, attempt).await?;
            let row = rows.first().map(|row| stored_row(schema, row, 0)).transpose().map_err(to_error)?;
            Ok(vec![row])
        }
        keys => {
            let arrays = key_arrays(schema, keys);
            let params: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|array| array as _).collect();
            placed(schema, keys.len(), &pool.read(&sql.get_many, &params, attempt).await?).map_err(to_error)
        }
    }
}

/// Rows that begin with the numbers of their keys, in the order of those.
pub(crate) fn placed(schema: &BoundSchema, count: usize, rows: &[PgRow]) -> Result<Vec<Option<StoredRow>>, Failure> {
    let mut found: Vec<Option<StoredRow>> = (0..count).map(|_| None).collect();
    for row in rows {
        if let Some(place) = found.get_mut(number(row, 0)?) {
            *place = Some(stored_row(schema, row, 1)?);
        }
    }
    Ok(found)
}

pub(crate) async fn exists_many(pool: &Pool, statements: &Statements, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<bool>> {
    check_keys(schema, keys)?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let sql = statements.of(schema);
    let arrays = key_arrays(schema, keys);
    let params: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|array| array as _).collect();
    let attempt = Attempt::Table(schema);
    let mut found = vec![false; keys.len()];
    for row in pool.read(&sql.exists_many, &params, attempt).await? {
        let place = number(&row, 0).map_err(|failure| failure.into_error(attempt))?;
        if let Some(place) = found.get_mut(place) {
            *place = true;
        }
    }
    Ok(found)
}

/// The ordinal in a column as an index.
pub(crate) fn number(row: &PgRow, column: usize) -> Result<usize, Failure> {
    Ok(usize::try_from(row.try_get::<_, i64>(column)? - 1).unwrap_or(usize::MAX))
}

/// A row that holds every column of the schema from column `first` on, and then the version.
pub(crate) fn stored_row(schema: &BoundSchema, row: &PgRow, first: usize) -> Result<StoredRow, Failure> {
    let columns = 0..schema.definition().columns().len();
    selected_row(schema, row, columns.clone(), first, columns.len())
}

/// A row that holds some columns of the schema from column `first` on, and then the version.
pub(crate) fn selected_row(
    schema: &BoundSchema,
    row: &PgRow,
    columns: impl Iterator<Item = usize>,
    first: usize,
    count: usize,
) -> Result<StoredRow, Failure> {
    let definitions = schema.definition().columns();
    let mut values: Row<'static> = definitions.iter().map(|_| Value::Unset).collect();
    for (index, position) in columns.enumerate() {
        let cell: Cell = row.try_get(first + index).map_err(|error| named(error, definitions[position].name))?;
        values[position] = cell.0;
    }
    let version: i64 = row.try_get(first + count)?;
    Ok(StoredRow { row: values, version: Version::new(version.unsigned_abs()) })
}

/// Names the column whose content cannot be read.
fn named(error: tokio_postgres::Error, column: &'static str) -> Failure {
    let unreadable = match std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Unfit>()) {
        Some(unfit) => unfit.to_error(),
        None => Error::new(ErrorKind::DecodeFailed, "the stored value cannot be read; compare the table with the model"),
    };
    Failure::Found(unreadable.with_column(column).with_tier(Role::Truth))
}
