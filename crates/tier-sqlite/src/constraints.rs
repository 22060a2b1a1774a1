//! References and checks: those that a table lacks, and the triggers by which the records that a reference deletes or changes reach the log.

use rusqlite::{Connection, OptionalExtension};
use store_core::sql::{ConstraintPlan, Dialect, VERSION_COLUMN, constraint_plans, is_made_up_constraint};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, OnDelete, ReferenceDefinition, Result};

use crate::error::{self, Origin};
use crate::layout::mismatch;
use crate::plan::quote;

/// Refuses a table that lacks a reference or a check, or has a reference that does something else: SQLite changes neither of a table that is there. `remedy` makes
/// the table anew.
pub(crate) fn check(connection: &Connection, schema: &BoundSchema, remedy: impl Fn() -> Result<String>) -> Result<()> {
    let (sql, plans) = (plain(&sql_of(connection, schema)?), constraint_plans(Dialect::Sqlite, schema));
    let refuse = |plan: &ConstraintPlan, reason: String| {
        let error = mismatch(schema, format!("{reason}; {}", remedy()?));
        Err(match plan.columns.as_slice() {
            [column] => error.with_column(*column),
            _ => error,
        })
    };
    if let Some(plan) = plans.iter().find(|plan| !plan.is_reference && !sql.contains(&plain(&plan.definition))) {
        return refuse(plan, format!("the table lacks the check `{}`, which SQLite cannot add to it", plan.definition));
    }
    let present = references(connection, schema)?;
    for ((reference, target), plan) in schema.references().zip(plans.iter().filter(|plan| plan.is_reference)) {
        let alike: Vec<&Present> = present.iter().filter(|present| present.leads_as(reference, target)).collect();
        if alike.iter().any(|present| present.does_as(plan)) {
            continue;
        }
        return match alike.first() {
            Some(other) => refuse(
                plan,
                format!(
                    "the table's reference is ON DELETE {} where the model's is `{}`, which SQLite cannot change in place",
                    other.on_delete, plan.definition
                ),
            ),
            None => refuse(plan, format!("the table lacks the reference `{}`, which SQLite cannot add to it", plan.definition)),
        };
    }
    Ok(())
}

/// A reference of a table.
struct Present {
    target: String,
    /// Each column with the one that it refers to, `None` for the target's primary key.
    columns: Vec<(String, Option<String>)>,
    on_delete: String,
}

impl Present {
    /// Whether it is of the same columns to the same ones.
    fn leads_as(&self, reference: &ReferenceDefinition, target: &str) -> bool {
        let wanted = || reference.columns.iter().zip(&reference.target_columns);
        let is_pair = |(column, to): &(String, Option<String>)| {
            wanted().any(|(own, other)| own.eq_ignore_ascii_case(column) && to.as_ref().is_none_or(|to| other.eq_ignore_ascii_case(to)))
        };
        self.target.eq_ignore_ascii_case(target) && self.columns.len() == reference.columns.len() && self.columns.iter().all(is_pair)
    }

    /// Whether it does the same with the rows. `NO ACTION` refuses as `RESTRICT` does, if later.
    fn does_as(&self, plan: &ConstraintPlan) -> bool {
        let action = if self.on_delete == "NO ACTION" { "RESTRICT" } else { &self.on_delete };
        plan.definition.strip_suffix(action).is_some_and(|rest| rest.ends_with(" ON DELETE "))
    }
}

fn references(connection: &Connection, schema: &BoundSchema) -> Result<Vec<Present>> {
    const TEXT: &str = "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq";
    let read = || -> rusqlite::Result<Vec<Present>> {
        let mut statement = connection.prepare(TEXT)?;
        let mut rows = statement.query([schema.table()])?;
        let (mut found, mut last): (Vec<Present>, i64) = (Vec::new(), -1);
        while let Some(row) = rows.next()? {
            let (id, column) = (row.get(0)?, (row.get(2)?, row.get(3)?));
            match found.last_mut().filter(|_| id == last) {
                Some(present) => present.columns.push(column),
                None => found.push(Present { target: row.get(1)?, columns: vec![column], on_delete: row.get(4)? }),
            }
            last = id;
        }
        Ok(found)
    };
    read().map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))
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
pub(crate) fn sql_of(connection: &Connection, schema: &BoundSchema) -> Result<String> {
    const TEXT: &str = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let sql = connection.query_row(TEXT, [schema.table()], |row| row.get(0)).optional();
    sql.map(Option::unwrap_or_default).map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))
}

/// SQL without quotes around names and without space: a column that was renamed stands in quotes.
pub(crate) fn plain(sql: &str) -> String {
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

/// Text in which `%`, `:` and control characters are escaped, `%` first. A few at a time: older builds of SQLite, which other programs may be, read no expression that
/// is as deep as all of them.
fn escaped(name: &str) -> String {
    let special: Vec<u8> = [b'%', b':'].into_iter().chain(1..=0x1f).chain([0x7f]).collect();
    let replaced = |text: &str, bytes: &[u8]| {
        bytes.iter().fold(text.to_owned(), |inner, byte| format!("replace({inner}, char({byte}), '%{byte:02X}')"))
    };
    let mut parts = special.chunks(9);
    let first = replaced(name, parts.next().unwrap_or_default());
    let all = parts.fold(format!("SELECT {first} AS x"), |inner, bytes| format!("SELECT {} AS x FROM ({inner})", replaced("x", bytes)));
    format!("({all})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_by_expressions_that_are_not_deep() {
        let escaped = escaped("OLD.\"id\"");
        let depths = escaped.chars().scan(0_i32, |depth, character| {
            *depth += i32::from(character == '(') - i32::from(character == ')');
            Some(*depth)
        });
        assert!(depths.max().is_some_and(|deepest| deepest < 20));
    }
}
