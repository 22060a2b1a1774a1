//! Writing the rows that a condition holds for.

use rusqlite::types::Value as Stored;
use rusqlite::{Connection, params_from_iter};
use store_core::facet::{LogKind, Touched};
use store_core::{Result, Row, Value};

use crate::commit::{draw_versions, to_version, transaction};
use crate::error::{self, Origin};
use crate::plan::Plan;
use crate::read::Statement;
use crate::value::{self, NewRow, key_to_stored, to_stored};
use crate::workers::Worker;
use crate::write::{LogKeys, log, with_key};

/// Deletes the rows whose keys a statement finds, in one transaction.
pub(crate) fn delete_where(worker: &Worker, plan: &Plan, find: &Statement) -> Result<Vec<Touched>> {
    transaction(worker, Origin::Table(plan), |connection| delete_where_within(connection, plan, find))
}

/// As [`delete_where`], within a transaction that is open.
pub(crate) fn delete_where_within(connection: &Connection, plan: &Plan, find: &Statement) -> Result<Vec<Touched>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Table(plan));
    write_where(connection, plan, find, None, |connection, key, _| {
        let mut statement = connection.prepare_cached(&plan.delete).map_err(from_sqlite)?;
        statement.execute(params_from_iter(key)).map(drop).map_err(from_sqlite)
    })
}

/// The columns that an update sets.
pub(crate) struct Changes {
    /// The positions of the key's columns and of those that are set, rising.
    given: Box<[usize]>,
    /// Their values; `None` for the key's.
    values: Vec<Option<Stored>>,
}

impl Changes {
    pub(crate) fn new(row: &Row<'_>, plan: &Plan) -> Result<Self> {
        let (mut given, mut values) = (Vec::new(), Vec::new());
        for (position, (column, value)) in plan.columns().iter().zip(row).enumerate() {
            let stored = if column.is_key { None } else { to_stored(value, column, plan)? };
            if column.is_key || stored.is_some() {
                given.push(position);
                values.push(stored);
            }
        }
        Ok(Changes { given: given.into(), values })
    }

    fn row(&self, key: Vec<Stored>, version: i64) -> NewRow {
        let mut key = key.into_iter();
        let values = self.values.iter().map(|value| value.clone().or_else(|| key.next()).unwrap_or(Stored::Null));
        NewRow { given: Some(self.given.clone()), values: values.chain([Stored::Integer(version)]).collect() }
    }
}

/// Sets columns of the rows whose keys a statement finds, in one transaction.
pub(crate) fn update_where(worker: &Worker, plan: &Plan, changes: &Changes, find: &Statement) -> Result<Vec<Touched>> {
    transaction(worker, Origin::Table(plan), |connection| update_where_within(connection, plan, changes, find))
}

/// As [`update_where`], within a transaction that is open.
pub(crate) fn update_where_within(connection: &Connection, plan: &Plan, changes: &Changes, find: &Statement) -> Result<Vec<Touched>> {
    let sql = plan.update_only(&changes.given);
    let from_sqlite = |error| error::from_sqlite(error, Origin::Table(plan));
    write_where(connection, plan, find, Some(&changes.given), |connection, key, version| {
        let row = changes.row(key, version);
        let mut statement = connection.prepare_cached(&sql).map_err(from_sqlite)?;
        let updated = statement.execute(params_from_iter(&row.values)).map_err(from_sqlite);
        updated.map(drop).map_err(|error| with_key(error, &row, plan))
    })
}

/// Sets the columns at `given` of the rows whose keys a statement finds, or deletes the rows where none are given: SQLite has one writer, so that nothing changes
/// between the two.
fn write_where(
    connection: &Connection,
    plan: &Plan,
    find: &Statement,
    given: Option<&[usize]>,
    mut write: impl FnMut(&Connection, Vec<Stored>, i64) -> Result<()>,
) -> Result<Vec<Touched>> {
    let keys = find_keys(connection, plan, find)?;
    let first = draw_versions(connection, keys.len())?;
    for (version, key) in (first..).zip(&keys) {
        write(connection, key_to_stored(key, plan)?, version)?;
    }
    let borrowed = keys.iter().map(|key| key.iter().map(Value::as_borrowed).collect());
    let log_keys = LogKeys::of(borrowed)?;
    let (log_keys, kind) = match given {
        Some(given) => (log_keys.updated(plan, given), LogKind::Put),
        None => (log_keys, LogKind::Delete),
    };
    log(connection, plan, &log_keys, (first..).take(keys.len()).map(Some), kind)?;
    Ok((first..).zip(keys).map(|(version, key)| Touched { key, version: to_version(version) }).collect())
}

fn find_keys(connection: &Connection, plan: &Plan, find: &Statement) -> Result<Vec<Row<'static>>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Query(plan));
    let mut statement = connection.prepare_cached(&find.sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params_from_iter(&find.values)).map_err(from_sqlite)?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let mut row = value::from_row(row, find.columns.iter().copied(), plan)?.row;
        keys.push(plan.key_positions().iter().map(|&position| std::mem::replace(&mut row[position], Value::Unset)).collect());
    }
    Ok(keys)
}
