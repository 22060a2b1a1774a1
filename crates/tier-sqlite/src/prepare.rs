//! Making tables, and checking those that are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use store_core::facet::MissingIndex;
use store_core::sql::{Dialect, VERSION_COLUMN, create_statements, explain_missing_column, index_plans};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, DefaultValue, Error, ErrorKind, Result, Role};

use crate::commit::{FORMAT, OWN_NAMES, OWN_TABLES, transaction};
use crate::error::{self, Origin};
use crate::indexes;
use crate::plan::quote;
use crate::workers::Worker;

/// What no table of a schema may begin with: SQLite's own names and Strata's.
const RESERVED: [&str; 2] = ["sqlite_", "_strata_"];

/// Makes what is missing, in one transaction.
pub(crate) fn prepare(worker: &Worker, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    check_names(schemas)?;
    transaction(worker, Origin::Own, |connection| {
        connection.execute_batch(OWN_TABLES).map_err(|error| error::from_sqlite(error, Origin::Own))?;
        check_format(connection)?;
        for schema in schemas {
            check_table(connection, schema)?;
            for statement in create_statements(Dialect::Sqlite, schema) {
                connection.execute_batch(&statement).map_err(|error| from_sqlite(error, schema))?;
            }
            // What has an index's name keeps it from being made.
            if let Some(index) = indexes::missing(connection, schema)?.into_iter().next() {
                let reason = format!("the index `{}` exists and differs; run: {}", index.plan.name, index.statement);
                return Err(mismatch(schema, reason));
            }
        }
        Ok(())
    })
}

/// The tables that must be there.
pub(crate) fn wanted_tables(schemas: &[Arc<BoundSchema>]) -> Vec<String> {
    OWN_NAMES.into_iter().chain(schemas.iter().map(|schema| schema.table())).map(str::to_owned).collect()
}

/// Those of the tables that the file lacks.
pub(crate) fn missing_tables(worker: &Worker, wanted: Vec<String>) -> Result<Vec<String>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own);
    let mut present = worker
        .connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')")
        .map_err(from_sqlite)?;
    let mut missing = Vec::new();
    for table in wanted {
        if !present.exists([&table]).map_err(from_sqlite)? {
            missing.push(table);
        }
    }
    Ok(missing)
}

/// Those of the schemas' indexes that the file lacks.
pub(crate) fn missing_indexes(worker: &Worker, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
    let missing = schemas.iter().map(|schema| indexes::missing(&worker.connection, schema)).collect::<Result<Vec<_>>>()?;
    Ok(missing.into_iter().flatten().collect())
}

fn from_sqlite(error: rusqlite::Error, schema: &BoundSchema) -> Error {
    let unique = error.sqlite_error().is_some_and(|failure| failure.code == rusqlite::ErrorCode::ConstraintViolation);
    if unique {
        return mismatch(
            schema,
            format!(
                "the rows of `{}` break a unique index that the schema asks for ({error}); mend the rows, then build the store again",
                schema.table()
            ),
        )
        .with_source(error);
    }
    error::from_sqlite(error, Origin::Own).with_schema(schema.name())
}

fn mismatch(schema: &BoundSchema, reason: String) -> Error {
    Error::new(ErrorKind::SchemaMismatch, reason).with_schema(schema.name()).with_tier(Role::Truth)
}

/// SQLite takes names that differ in case alone for the same.
fn check_names(schemas: &[Arc<BoundSchema>]) -> Result<()> {
    let mut tables = BTreeSet::new();
    for schema in schemas {
        let refuse = |kind, reason: String| Err(Error::new(kind, reason).with_schema(schema.name()).with_tier(Role::Truth));
        let table = schema.table().to_ascii_lowercase();
        if RESERVED.iter().any(|reserved| table.starts_with(reserved)) || table.is_empty() || table.contains('\0') {
            return refuse(
                ErrorKind::InvalidConfig,
                format!("the table's name `{}` is reserved or empty; choose another", table.escape_debug()),
            );
        }
        if !tables.insert(table) {
            return refuse(
                ErrorKind::SchemaDuplicate,
                format!(
                    "another schema has the table `{}`, or one that differs only in case; name one of them differently",
                    schema.table()
                ),
            );
        }
        let mut columns = BTreeSet::from([VERSION_COLUMN.to_owned()]);
        for column in schema.definition().columns() {
            if !columns.insert(column.name.to_ascii_lowercase()) {
                return refuse(
                    ErrorKind::InvalidConfig,
                    format!("the column `{}` is there twice (SQLite does not heed case) or reserved; rename the field", column.name),
                );
            }
        }
    }
    Ok(())
}

fn check_format(connection: &Connection) -> Result<()> {
    let format: i64 = connection
        .query_row("SELECT format FROM \"_strata_version\"", [], |row| row.get(0))
        .map_err(|error| error::from_sqlite(error, Origin::Own))?;
    if format == FORMAT {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::SchemaMismatch,
        format!("a newer Strata made this file (its own tables have format {format}, this build knows {FORMAT}); use that version or a newer one"),
    )
    .with_tier(Role::Truth))
}

/// A column as the file declares it.
struct Found {
    name: String,
    type_name: String,
    /// The place in the primary key, counted from 1; 0 for none.
    key_place: i64,
    /// Whether an insert must give a value.
    is_required: bool,
}

/// Compares the table, if there is one, with the schema.
fn check_table(connection: &Connection, schema: &BoundSchema) -> Result<()> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    let kind: Option<String> = connection
        .query_row("SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')", [schema.table()], |row| {
            row.get(0)
        })
        .optional()
        .map_err(from_sqlite)?;
    match kind.as_deref() {
        None => return Ok(()),
        Some("table") => {}
        Some(_) => {
            return Err(mismatch(schema, format!("`{}` is a view; rename it, or give the schema another table", schema.table())));
        }
    }
    let mut statement =
        connection.prepare("SELECT name, type, pk, \"notnull\" AND dflt_value IS NULL FROM pragma_table_info(?1)").map_err(from_sqlite)?;
    let found = statement.query_map([schema.table()], |row| {
        Ok(Found { name: row.get(0)?, type_name: row.get(1)?, key_place: row.get(2)?, is_required: row.get(3)? })
    });
    let found: Vec<Found> = found.and_then(Iterator::collect).map_err(from_sqlite)?;
    compare(&found, schema)
}

fn compare(found: &[Found], schema: &BoundSchema) -> Result<()> {
    let table = quote(schema.table());
    let definition = schema.definition();
    let version = ColumnDefinition { default: Some(DefaultValue::Integer(0)), ..ColumnDefinition::new(VERSION_COLUMN, ColumnType::BigInt) };
    for wanted in definition.columns().iter().chain([&version]) {
        let name = wanted.name;
        let type_name = Dialect::Sqlite.type_name(wanted.column_type);
        let Some(column) = found.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
            return Err(mismatch(schema, explain_missing_column(Dialect::Sqlite, schema, wanted)).with_column(name.to_owned()));
        };
        let same =
            column.type_name.eq_ignore_ascii_case(type_name) || (type_name == "INTEGER" && column.type_name.eq_ignore_ascii_case("INT"));
        if !same {
            let reason = format!(
                "the column `{name}` has the type {} where the schema needs {type_name}, which SQLite cannot change in place; {}",
                if column.type_name.is_empty() { "ANY" } else { &column.type_name },
                rebuilding(found, schema),
            );
            return Err(mismatch(schema, reason).with_column(name.to_owned()));
        }
    }
    let is_known = |name: &str| {
        definition.columns().iter().map(|column| column.name).chain([VERSION_COLUMN]).any(|known| known.eq_ignore_ascii_case(name))
    };
    if let Some(left) = found.iter().find(|column| column.is_required && !is_known(&column.name)) {
        let name = quote(&left.name);
        let reason = format!(
            "the table has the column {name}, which the model lacks and which every insert must give a value; run: ALTER TABLE {table} DROP COLUMN {name} \
             (or RENAME COLUMN {name} TO the field's name)"
        );
        return Err(mismatch(schema, reason).with_column(left.name.clone()));
    }
    let mut key: Vec<&Found> = found.iter().filter(|column| column.key_place > 0).collect();
    key.sort_by_key(|column| column.key_place);
    let wanted: BTreeSet<_> = definition.key_columns().map(|column| column.name.to_ascii_lowercase()).collect();
    if key.iter().map(|column| column.name.to_ascii_lowercase()).collect::<BTreeSet<_>>() != wanted {
        let present: Vec<_> = key.iter().map(|column| column.name.as_str()).collect();
        return Err(mismatch(
            schema,
            format!(
                "the table's primary key is ({}) where the schema's is ({}), which SQLite cannot change in place; {}",
                present.join(", "),
                definition.key_columns().map(|column| column.name).collect::<Vec<_>>().join(", "),
                rebuilding(found, schema),
            ),
        ));
    }
    Ok(())
}

/// How to make a table anew around its rows. No step loses a row, even where the one before it failed.
fn rebuilding(found: &[Found], schema: &BoundSchema) -> String {
    let (table, aside) = (quote(schema.table()), quote(&format!("{}_before", schema.table())));
    let is_there = |name: &str| found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let known = schema.definition().columns().iter().map(|column| column.name).chain([VERSION_COLUMN]);
    let columns = known.filter(|name| is_there(name)).map(quote).collect::<Vec<_>>().join(", ");
    let mut steps = vec![format!("BEGIN IMMEDIATE; ALTER TABLE {table} RENAME TO {aside}")];
    // An index keeps its name and goes with the table that was set aside.
    steps.extend(index_plans(schema).iter().map(|plan| format!("DROP INDEX IF EXISTS {}", quote(&plan.name))));
    steps.extend(create_statements(Dialect::Sqlite, schema));
    steps.push(format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {aside}; COMMIT"));
    format!(
        "make a backup, then run: {}; then build the store again, and once it shows the rows, run: DROP TABLE {aside}",
        steps.join("; ")
    )
}
