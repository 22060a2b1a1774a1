//! References and checks: those that a table lacks, and the triggers by which the records that a reference deletes or changes reach the log.

use rusqlite::{Connection, OptionalExtension};
use store_core::sql::{ConstraintPlan, Dialect, VERSION_COLUMN, constraint_plans, is_made_up_constraint};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, OnDelete, Result};

use crate::error::{self, Origin};
use crate::layout::mismatch;
use crate::plan::quote;

/// Refuses a table that lacks a reference or a check: SQLite adds none to a table that is there. `remedy` makes the table anew.
pub(crate) fn check(connection: &Connection, schema: &BoundSchema, remedy: impl Fn() -> String) -> Result<()> {
    let sql = plain(&sql_of(connection, schema)?);
    for plan in constraint_plans(Dialect::Sqlite, schema) {
        // Another table's new name is written into a reference to it, as SQLite spells it.
        if sql.contains(&plain(&plan.definition))
            || (plan.is_reference && sql.contains(&plain(&format!("CONSTRAINT {}FOREIGN", plan.name))))
        {
            continue;
        }
        let what = if plan.is_reference { "reference" } else { "check" };
        let error =
            mismatch(schema, format!("the table lacks the {what} `{}`, which SQLite cannot add to it; {}", plan.definition, remedy()));
        return Err(match plan.columns.as_slice() {
            [column] => error.with_column(*column),
            _ => error,
        });
    }
    Ok(())
}

/// The references and checks that the model had once and has no more: what each is, with its name.
pub(crate) fn left(connection: &Connection, schema: &BoundSchema) -> Result<Vec<String>> {
    let (sql, plans) = (sql_of(connection, schema)?, constraint_plans(Dialect::Sqlite, schema));
    let named = sql.split("CONSTRAINT \"").skip(1).filter_map(|constraint| constraint.split_once('"'));
    let left = named.filter_map(|(name, definition)| {
        let definition = plain(definition);
        let is_reference = definition.starts_with("FOREIGNKEY");
        // A check that follows its column's new name keeps its own.
        let is_wanted = |plan: &ConstraintPlan| plan.name == name || definition.starts_with(&plain(&plan.definition));
        let is_left = is_made_up_constraint(schema, name, is_reference) && !plans.iter().any(is_wanted);
        is_left.then(|| format!("{} `{name}`", if is_reference { "reference" } else { "check" }))
    });
    Ok(left.collect())
}

/// The statement that made a table.
fn sql_of(connection: &Connection, schema: &BoundSchema) -> Result<String> {
    const TEXT: &str = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let sql = connection.query_row(TEXT, [schema.table()], |row| row.get(0)).optional();
    sql.map(Option::unwrap_or_default).map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))
}

/// SQL without quotes around names and without space: a column that was renamed stands in quotes.
fn plain(sql: &str) -> String {
    let mut is_text = false;
    let counts = |character: &char| {
        is_text ^= *character == '\'';
        is_text || !(character.is_whitespace() || *character == '"')
    };
    sql.chars().filter(counts).collect()
}

/// The triggers that a table lacks: their names, and the statements that make them.
///
/// A record that goes with the one that it refers to is told from one that is deleted by itself: what it refers to is gone already. One that refers to nothing from
/// then on keeps its version, which whoever writes a record changes.
pub(crate) fn missing_triggers(connection: &Connection, schema: &BoundSchema) -> Result<Vec<(String, String)>> {
    let mut missing = Vec::new();
    for (name, create) in triggers(schema) {
        let present: Option<String> = connection
            .query_row("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE", [&name], |row| row.get(0))
            .optional()
            .map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))?;
        match present {
            Some(sql) if sql == create => {}
            Some(_) => missing.push((name.clone(), format!("DROP TRIGGER {}; {create}", quote(&name)))),
            None => missing.push((name, create)),
        }
    }
    Ok(missing)
}

/// The names of the triggers that a table must have.
pub(crate) fn trigger_names(schema: &BoundSchema) -> impl Iterator<Item = String> {
    triggers(schema).into_iter().map(|(name, _)| name)
}

fn triggers(schema: &BoundSchema) -> Vec<(String, String)> {
    let table = quote(schema.table());
    let changing = schema.references().filter(|(reference, _)| reference.on_delete.changes_records());
    changing
        .map(|(reference, target)| {
            let columns: Vec<String> = reference.columns.iter().map(|column| quote(column)).collect();
            let name = format!("_strata_follow_{}_{}", schema.table(), reference.columns.join("_"));
            let referred = |row: &str| columns.iter().map(|column| format!("{row}.{column} IS NOT NULL")).collect::<Vec<_>>().join(" AND ");
            let log = |row: &str, kind: &str| {
                format!(
                    "UPDATE \"_strata_version\" SET version = version + 1; \
                     INSERT INTO \"_strata_log\" (version, at, schema, key, kind) \
                     SELECT version, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER), '{}', {}, '{kind}' FROM \"_strata_version\";",
                    schema.name().replace('\'', "''"),
                    key_text(schema, row)
                )
            };
            let create = if reference.on_delete == OnDelete::Cascade {
                let same = columns.iter().zip(&reference.target_columns).map(|(column, target)| format!("{} = OLD.{column}", quote(target)));
                let same = same.collect::<Vec<_>>().join(" AND ");
                format!(
                    "CREATE TRIGGER {} AFTER DELETE ON {table} WHEN {} AND NOT EXISTS (SELECT 1 FROM {} WHERE {same}) BEGIN {} END",
                    quote(&name),
                    referred("OLD"),
                    quote(target),
                    log("OLD", "delete")
                )
            } else {
                let version = quote(VERSION_COLUMN);
                let same_key = schema.definition().key_columns().map(|column| format!("{0} = NEW.{0}", quote(column.name)));
                let same_key = same_key.collect::<Vec<_>>().join(" AND ");
                format!(
                    "CREATE TRIGGER {} AFTER UPDATE OF {} ON {table} WHEN NEW.{version} = OLD.{version} AND {} AND NOT ({}) BEGIN {} \
                     UPDATE {table} SET {version} = (SELECT version FROM \"_strata_version\") WHERE {same_key}; END",
                    quote(&name),
                    columns.join(", "),
                    referred("OLD"),
                    referred("NEW"),
                    log("NEW", "put")
                )
            };
            (name, create)
        })
        .collect()
}

/// The text form of the key of a row, as an expression.
fn key_text(schema: &BoundSchema, row: &str) -> String {
    let part = |column: &ColumnDefinition| {
        let name = format!("{row}.{}", quote(column.name));
        match column.column_type {
            ColumnType::Text => escaped(&name),
            ColumnType::Uuid => {
                let digits = |from: usize, count: usize| format!("substr(lower(hex({name})), {from}, {count})");
                [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)].map(|(from, count)| digits(from, count)).join(" || '-' || ")
            }
            _ => format!("CAST({name} AS TEXT)"),
        }
    };
    schema.definition().key_columns().map(part).collect::<Vec<_>>().join(" || ':' || ")
}

/// Text in which `%`, `:` and control characters are escaped, `%` first.
fn escaped(name: &str) -> String {
    let special = [b'%', b':'].into_iter().chain(1..=0x1f).chain([0x7f]);
    special.fold(name.to_owned(), |inner, byte| format!("replace({inner}, char({byte}), '%{byte:02X}')"))
}
