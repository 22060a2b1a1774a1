//! What tables there are, held against the schemas.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use store_core::facet::MissingIndex;
use store_core::sql::{
    Dialect, VERSION_COLUMN, explain_bytes_column, explain_missing_column, explain_needed_value, explain_old_name, explain_plain_column,
    explain_view_column, may_be_renamed,
};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, DefaultValue, Error, ErrorKind, Result, Role};

use crate::commit::{FORMAT, OWN_NAMES};
use crate::constraints;
use crate::error::{self, Origin};
use crate::indexes;
use crate::plan::quote;
use crate::rebuilding::{rebuilding, rebuilding_without};
use crate::workers::Worker;

/// What no table of a schema may begin with: SQLite's own names and Strata's.
const RESERVED: [&str; 2] = ["sqlite_", "_strata_"];

/// The tables that must be there.
pub(crate) fn wanted_tables(schemas: &[Arc<BoundSchema>]) -> Vec<String> {
    OWN_NAMES.into_iter().chain(schemas.iter().map(|schema| schema.table())).map(str::to_owned).collect()
}

/// Those of the tables that the file lacks, and the triggers without which records that the database deletes or changes by itself would stay in the caches.
pub(crate) fn missing_tables(worker: &Worker, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own);
    let mut present = worker
        .connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view', 'trigger')")
        .map_err(from_sqlite)?;
    let mut missing = Vec::new();
    for table in wanted_tables(schemas) {
        if !present.exists([&table]).map_err(from_sqlite)? {
            missing.push(table);
        }
    }
    for schema in schemas {
        if missing.iter().any(|table| table == schema.table()) {
            continue;
        }
        for trigger in constraints::trigger_names(schema) {
            if !present.exists([&trigger]).map_err(from_sqlite)? {
                missing.push(format!("{trigger} on {}", schema.table()));
            }
        }
    }
    Ok(missing)
}

/// Refuses tables and views that lack a column, and tables with one that no write can fill.
pub(crate) fn check_columns(worker: &Worker, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    for schema in schemas {
        let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
        let Some(kind) = kind(&worker.connection, schema.table()).map_err(from_sqlite)? else { continue };
        let found = columns(&worker.connection, schema).map_err(from_sqlite)?;
        check_missing(&found, schema, kind == "view")?;
        check_generated(&worker.connection, &found, schema)?;
    }
    Ok(())
}

/// Those of the schemas' indexes that the file lacks.
pub(crate) fn missing_indexes(worker: &Worker, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
    let missing = schemas.iter().map(|schema| indexes::missing(&worker.connection, schema)).collect::<Result<Vec<_>>>()?;
    Ok(missing.into_iter().flatten().collect())
}

pub(crate) fn mismatch(schema: &BoundSchema, reason: String) -> Error {
    Error::new(ErrorKind::SchemaMismatch, reason).with_schema(schema.name()).with_tier(Role::Truth)
}

/// SQLite takes names that differ in case alone for the same.
pub(crate) fn check_names(schemas: &[Arc<BoundSchema>]) -> Result<()> {
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

pub(crate) fn check_format(connection: &Connection) -> Result<()> {
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
pub(crate) struct Found {
    pub(crate) name: String,
    type_name: String,
    /// The place in the primary key, counted from 1; 0 for none.
    pub(crate) key_place: i64,
    is_nullable: bool,
    has_default: bool,
    /// Whether the database computes it, and no write can give it a value.
    pub(crate) is_generated: bool,
}

impl Found {
    /// Whether an insert must give a value.
    pub(crate) fn is_required(&self) -> bool {
        !self.is_nullable && !self.has_default
    }

    pub(crate) fn is_text(&self) -> bool {
        self.is_of_type("TEXT")
    }

    pub(crate) fn is_of_type(&self, type_name: &str) -> bool {
        self.type_name.eq_ignore_ascii_case(type_name) || (type_name == "INTEGER" && self.type_name.eq_ignore_ascii_case("INT"))
    }
}

/// Refuses a table that no addition makes fit. `is_added` says of a missing column whether it will be.
pub(crate) fn check_table(
    connection: &Connection,
    schema: &BoundSchema,
    found: &[Found],
    is_added: impl Fn(&ColumnDefinition) -> bool,
) -> Result<()> {
    let version = version_column();
    let is_there = |name: &str| found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let mut columns = schema.definition().columns().iter().chain([&version]);
    if let Some(wanted) = columns.find(|column| !is_there(column.name) && !is_added(column)) {
        let (alike, others) = look_alikes(found, schema, wanted);
        return Err(mismatch(schema, explain_needed_value(Dialect::Sqlite, schema, wanted, &alike, &others)).with_column(wanted.name));
    }
    check_types(connection, found, schema)?;
    check_generated(connection, found, schema)?;
    check_left_over(connection, found, schema)?;
    check_nullable(connection, found, schema)?;
    check_key(connection, found, schema)
}

/// Those of the table's columns that the model lacks: of the wanted one's type, and of others.
pub(crate) fn look_alikes<'a>(found: &'a [Found], schema: &BoundSchema, wanted: &ColumnDefinition) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_none = wanted.name == VERSION_COLUMN || wanted.blind_of.is_some();
    let is_blind = |column: &&Found| wanted.column_type == ColumnType::Bytes && column.name.ends_with("_blind");
    let unknown = left_over(found, schema).filter(|column| !is_none && !is_blind(column));
    let (alike, others): (Vec<_>, Vec<_>) = unknown.partition(|column| column.is_of_type(Dialect::Sqlite.type_name(wanted.column_type)));
    let names = |columns: Vec<&'a Found>| columns.into_iter().map(|column| column.name.as_str()).collect();
    (names(alike), names(others))
}

/// Whether a name is that of a `table` or of a `view`.
pub(crate) fn kind(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    const TEXT: &str = "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')";
    connection.query_row(TEXT, [name], |row| row.get(0)).optional()
}

pub(crate) fn columns(connection: &Connection, schema: &BoundSchema) -> rusqlite::Result<Vec<Found>> {
    let mut statement = connection.prepare(
        "SELECT name, type, pk, NOT \"notnull\", dflt_value IS NOT NULL OR hidden, hidden <> 0 FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
    )?;
    let found = statement.query_map([schema.table()], |row| {
        let (name, type_name, key_place) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Found { name, type_name, key_place, is_nullable: row.get(3)?, has_default: row.get(4)?, is_generated: row.get(5)? })
    })?;
    found.collect()
}

pub(crate) fn version_column() -> ColumnDefinition {
    ColumnDefinition { default: Some(DefaultValue::Integer(0)), ..ColumnDefinition::new(VERSION_COLUMN, ColumnType::BigInt) }
}

/// Those of the table's columns that the model lacks.
pub(crate) fn left_over<'a>(found: &'a [Found], schema: &BoundSchema) -> impl Iterator<Item = &'a Found> {
    let known = schema.definition().columns().iter().map(|column| column.name).chain([VERSION_COLUMN]);
    let known: BTreeSet<String> = known.map(str::to_ascii_lowercase).collect();
    found.iter().filter(move |column| !known.contains(&column.name.to_ascii_lowercase()))
}

/// Refuses a table or view that lacks a column.
fn check_missing(found: &[Found], schema: &BoundSchema, is_view: bool) -> Result<()> {
    let version = version_column();
    let is_there = |name: &str| found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let Some(wanted) = schema.definition().columns().iter().chain([&version]).find(|column| !is_there(column.name)) else { return Ok(()) };
    let reason = if is_view {
        explain_view_column(schema.table(), wanted.name)
    } else {
        let (alike, others) = look_alikes(found, schema, wanted);
        explain_missing_column(Dialect::Sqlite, schema, wanted, &alike, &others)
    };
    Err(mismatch(schema, reason).with_column(wanted.name))
}

fn check_types(connection: &Connection, found: &[Found], schema: &BoundSchema) -> Result<()> {
    let version = version_column();
    for wanted in schema.definition().columns().iter().chain([&version]) {
        let (name, type_name) = (wanted.name, Dialect::Sqlite.type_name(wanted.column_type));
        if let Some(column) = found.iter().find(|column| column.name.eq_ignore_ascii_case(name) && !column.is_of_type(type_name)) {
            let present = if column.type_name.is_empty() { "ANY" } else { &column.type_name };
            let reason = match wanted.encryption {
                Some(_) => explain_plain_column(name, present),
                None if present.eq_ignore_ascii_case("BLOB") => explain_bytes_column(name, present, type_name),
                None if type_name == "BLOB" && !column.is_text() => format!(
                    "the column `{name}` has the type {present} where the schema needs {type_name}, and no copy makes the one of the other; keep the field as it was, give \
                     the new one another name and make it an `Option`, let the program set it from the old one, then drop this column"
                ),
                None => format!(
                    "the column `{name}` has the type {present} where the schema needs {type_name}, which SQLite cannot change in place; {}",
                    rebuilding(connection, found, schema)?,
                ),
            };
            return Err(mismatch(schema, reason).with_column(name));
        }
    }
    Ok(())
}

/// Refuses a table that computes a column itself, for which a write gives a value.
fn check_generated(connection: &Connection, found: &[Found], schema: &BoundSchema) -> Result<()> {
    let is_known = |column: &&Found| !left_over(found, schema).any(|left| left.name == column.name);
    let Some(generated) = found.iter().filter(|column| column.is_generated).find(is_known) else { return Ok(()) };
    let reason = format!(
        "the column `{}` is GENERATED ALWAYS, so that every write would fail, and SQLite cannot change that in place; leave the field out of the model, or {}",
        generated.name,
        rebuilding(connection, found, schema)?,
    );
    Err(mismatch(schema, reason).with_column(generated.name.clone()))
}

/// Refuses a table with a column that every insert must fill and the model does not.
fn check_left_over(connection: &Connection, found: &[Found], schema: &BoundSchema) -> Result<()> {
    let Some(left) = left_over(found, schema).find(|column| column.is_required()) else { return Ok(()) };
    let (table, name) = (quote(schema.table()), quote(&left.name));
    let in_the_way = indexes::over_column(connection, schema, &left.name);
    let in_the_way = in_the_way.map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))?;
    let remedy = match in_the_way.filter(|_| left.key_place == 0) {
        Some(indexes) => {
            let indexes: String = indexes.iter().map(|index| format!("DROP INDEX {}; ", quote(index))).collect();
            format!("run: {indexes}ALTER TABLE {table} DROP COLUMN {name}")
        }
        // Neither a key nor a constraint can be dropped.
        None => rebuilding_without(connection, found, schema, &left.name)?,
    };
    let is_there = |name: &str| found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let new_names: Vec<&str> = schema
        .definition()
        .columns()
        .iter()
        .filter(|column| !is_there(column.name) && may_be_renamed(&left.name, column))
        .filter(|column| left.is_of_type(Dialect::Sqlite.type_name(column.column_type)))
        .map(|column| column.name)
        .collect();
    let renaming = explain_old_name(Dialect::Sqlite, schema.table(), &left.name, &new_names);
    let reason = format!(
        "the table has the column {name}, which the model lacks and which every insert must give a value; {renaming}copy what is to stay of it into another column \
         (UPDATE {table} SET … = {name}), then drop it: {remedy}"
    );
    Err(mismatch(schema, reason).with_column(left.name.clone()))
}

/// Refuses a table whose column would refuse a field's `None`.
fn check_nullable(connection: &Connection, found: &[Found], schema: &BoundSchema) -> Result<()> {
    let refuses_null = |wanted: &&ColumnDefinition| {
        let column = found.iter().find(|column| column.name.eq_ignore_ascii_case(wanted.name));
        wanted.nullable && column.is_some_and(|column| !column.is_nullable)
    };
    let Some(wanted) = schema.definition().columns().iter().find(refuses_null) else { return Ok(()) };
    let reason = format!(
        "the column `{}` is NOT NULL where the model's may be NULL, which SQLite cannot change in place; make the field of a type that is never NULL, or {}",
        wanted.name,
        rebuilding(connection, found, schema)?,
    );
    Err(mismatch(schema, reason).with_column(wanted.name))
}

/// Whether the table's column of a name may be NULL.
pub(crate) fn may_be_null(found: &[Found], wanted: &ColumnDefinition) -> bool {
    found.iter().any(|column| column.name.eq_ignore_ascii_case(wanted.name) && column.is_nullable)
}

fn check_key(connection: &Connection, found: &[Found], schema: &BoundSchema) -> Result<()> {
    let definition = schema.definition();
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
                rebuilding(connection, found, schema)?,
            ),
        ));
    }
    Ok(())
}
