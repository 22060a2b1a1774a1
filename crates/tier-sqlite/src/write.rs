//! Writing rows of one schema.

use rusqlite::types::Value as Stored;
use rusqlite::{Connection, params_from_iter};
use store_core::facet::{BULK_LOG_LIMIT, LogEntry, LogKind};
use store_core::{Error, ErrorKind, Result, Row, StoredRow, Version, key_text};

use crate::commit::{PUT_COLUMNS, draw_versions, kind_name, microseconds_before_now, to_version, transaction, write_entry};
use crate::error::{self, Origin};
use crate::plan::Plan;
use crate::tables::of_schema;
use crate::value::{self, NewRow};
use crate::workers::Worker;

/// What the log is told of the keys of one call.
#[derive(Debug)]
pub(crate) enum LogKeys {
    /// Each.
    Each(Vec<LogKey>),
    /// They are too many: the whole schema.
    Whole,
}

/// What the log is told of one key.
#[derive(Debug)]
pub(crate) struct LogKey {
    /// The key's text; the names of columns follow, where they are told.
    text: String,
    names_columns: bool,
}

impl LogKey {
    pub(crate) fn new(text: String) -> Self {
        LogKey { text, names_columns: false }
    }

    /// Of a row that is there and of which the columns at `given` are set.
    pub(crate) fn updated(text: String, plan: &Plan, given: &[usize]) -> Self {
        match plan.named(given) {
            Some(named) => LogKey { text: LogEntry::join_columns(&text, &named), names_columns: true },
            None => LogKey::new(text),
        }
    }
}

impl LogKeys {
    /// For the keys of a call, which were checked to have as many parts as the schema's.
    pub(crate) fn of<'a>(keys: impl ExactSizeIterator<Item = Row<'a>>) -> Result<Self> {
        if keys.len() > BULK_LOG_LIMIT {
            return Ok(LogKeys::Whole);
        }
        keys.map(|key| key_text(&key).map(LogKey::new)).collect::<Result<_>>().map(LogKeys::Each)
    }

    /// For the keys of a call.
    pub(crate) fn of_keys(keys: Vec<LogKey>) -> Self {
        if keys.len() > BULK_LOG_LIMIT { LogKeys::Whole } else { LogKeys::Each(keys) }
    }

    /// The same, where the columns at `given` are set of rows that are there.
    pub(crate) fn updated(self, plan: &Plan, given: &[usize]) -> Self {
        match self {
            LogKeys::Each(keys) => LogKeys::Each(keys.into_iter().map(|key| LogKey::updated(key.text, plan, given)).collect()),
            LogKeys::Whole => LogKeys::Whole,
        }
    }
}

/// Inserts or updates rows in one transaction, and gives what the table then holds.
pub(crate) fn put(worker: &Worker, plan: &Plan, rows: Vec<NewRow>, keys: &LogKeys) -> Result<Vec<StoredRow>> {
    transaction(worker, Origin::Table(plan), |connection| put_within(connection, plan, rows, keys))
}

/// As [`put`], within a transaction that is open. If it fails, some of the rows may have been written.
pub(crate) fn put_within(connection: &Connection, plan: &Plan, mut rows: Vec<NewRow>, keys: &LogKeys) -> Result<Vec<StoredRow>> {
    let first = draw_versions(connection, rows.len())?;
    let mut stored = Vec::with_capacity(rows.len());
    let mut statements = Statements::default();
    for (version, row) in (first..).zip(&mut rows) {
        row.values.push(Stored::Integer(version));
        stored.push(put_row(connection, plan, row, &mut statements).map_err(|error| with_key(error, row, plan))?);
    }
    log(connection, plan, keys, (first..).take(rows.len()).map(Some), LogKind::Put)?;
    Ok(stored)
}

/// The statements for rows that lack some columns, of the latest set of them: rows of one kind tend to follow each other.
#[derive(Debug, Default)]
struct Statements {
    given: Box<[usize]>,
    /// Updates a row that is there; only where an insert of these columns alone would be refused.
    update: Option<String>,
    upsert: String,
}

impl Statements {
    fn for_columns(&mut self, given: &[usize], plan: &Plan) {
        if *self.given == *given {
            return;
        }
        let columns = plan.columns().iter().enumerate();
        let refuses_insert =
            columns.into_iter().any(|(position, column)| !column.nullable && column.default.is_none() && !given.contains(&position));
        self.given = given.into();
        // SQLite checks NOT NULL before it looks for the row to update, so an upsert alone cannot leave such a column out.
        self.update = refuses_insert.then(|| plan.update(given));
        self.upsert = plan.upsert(given);
    }
}

/// Names the row that a rule of the table refused.
pub(crate) fn with_key(error: Error, row: &NewRow, plan: &Plan) -> Error {
    if !matches!(error.kind(), ErrorKind::UniqueViolation | ErrorKind::ConstraintViolation) {
        return error;
    }
    match value::key_of(row, plan).and_then(|key| key_text(&key)) {
        Ok(text) => error.with_key(text),
        Err(_) => error,
    }
}

fn put_row(connection: &Connection, plan: &Plan, row: &NewRow, statements: &mut Statements) -> Result<StoredRow> {
    let Some(given) = &row.given else {
        return write_and_read(connection, plan, &plan.put, &row.values)?.ok_or_else(|| of_schema(error::suppressed(), plan));
    };
    statements.for_columns(given, plan);
    if let Some(update) = &statements.update
        && let Some(stored) = write_and_read(connection, plan, update, &row.values)?
    {
        return Ok(stored);
    }
    write_and_read(connection, plan, &statements.upsert, &row.values)?.ok_or_else(|| of_schema(error::suppressed(), plan))
}

/// Runs a statement that returns the row it wrote, if it wrote one.
pub(crate) fn write_and_read(connection: &Connection, plan: &Plan, sql: &str, values: &[Stored]) -> Result<Option<StoredRow>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Table(plan));
    let mut statement = connection.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params_from_iter(values)).map_err(from_sqlite)?;
    match rows.next().map_err(from_sqlite)? {
        Some(row) => value::from_row(row, 0..plan.columns().len(), plan).map(Some),
        None => Ok(None),
    }
}

/// Deletes rows by key in one transaction, and gives the version of each deletion.
pub(crate) fn delete(worker: &Worker, plan: &Plan, keys: &[Vec<Stored>], log_keys: &LogKeys) -> Result<Vec<Option<Version>>> {
    transaction(worker, Origin::Table(plan), |connection| delete_within(connection, plan, keys, log_keys))
}

/// As [`delete`], within a transaction that is open. If it fails, some of the rows may have been deleted.
pub(crate) fn delete_within(
    connection: &Connection,
    plan: &Plan,
    keys: &[Vec<Stored>],
    log_keys: &LogKeys,
) -> Result<Vec<Option<Version>>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Table(plan));
    let first = draw_versions(connection, keys.len())?;
    let mut versions = Vec::with_capacity(keys.len());
    let mut statement = connection.prepare_cached(&plan.delete).map_err(from_sqlite)?;
    for (version, key) in (first..).zip(keys) {
        let deleted = statement.execute(params_from_iter(key)).map_err(from_sqlite)?;
        versions.push((deleted > 0).then_some(version));
    }
    log(connection, plan, log_keys, versions.iter().copied(), LogKind::Delete)?;
    Ok(versions.into_iter().map(|version| version.map(to_version)).collect())
}

/// Writes what a call did to its keys into the log; keys without a version were not touched.
pub(crate) fn log(
    connection: &Connection,
    plan: &Plan,
    keys: &LogKeys,
    versions: impl Iterator<Item = Option<i64>>,
    kind: LogKind,
) -> Result<()> {
    let at = microseconds_before_now(std::time::Duration::ZERO);
    match keys {
        LogKeys::Each(keys) => {
            for (key, version) in keys.iter().zip(versions) {
                if let Some(version) = version {
                    let kind = if key.names_columns { PUT_COLUMNS } else { kind_name(kind) };
                    write_entry(connection, version, at, plan.name(), Some(&key.text), kind)?;
                }
            }
            Ok(())
        }
        LogKeys::Whole => match versions.flatten().last() {
            Some(version) => write_entry(connection, version, at, plan.name(), None, kind_name(kind)),
            None => Ok(()),
        },
    }
}
