//! Making a table anew around its rows, and around what else somebody gave it.

use rusqlite::Connection;
use store_core::sql::{Dialect, constraint_plans, create_statements, index_plans, is_made_up_constraint};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, Result};

use crate::constraints::{plain, sql_of};
use crate::declared::{self, Item};
use crate::error::{self, Origin};
use crate::indexes;
use crate::layout::{Found, left_over, version_column};
use crate::plan::quote;

/// The types that a column may have in a table that Strata makes.
const TYPES: [&str; 6] = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];

/// How to make a table anew around its rows. No step loses a row, even where the one before it failed.
pub(crate) fn rebuilding(connection: &Connection, found: &[Found], schema: &BoundSchema) -> Result<String> {
    steps(connection, found, schema, None)
}

/// As [`rebuilding`], without a column that the model does not have.
pub(crate) fn rebuilding_without(connection: &Connection, found: &[Found], schema: &BoundSchema, column: &str) -> Result<String> {
    steps(connection, found, schema, Some(column))
}

fn steps(connection: &Connection, found: &[Found], schema: &BoundSchema, without: Option<&str>) -> Result<String> {
    let (table, aside) = (quote(schema.table()), quote(&format!("{}_before", schema.table())));
    let declared = declared::items(&sql_of(connection, schema)?);
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    let others = others(connection, schema).map_err(from_sqlite)?;
    let gone_indexes = match without {
        Some(column) => indexes::naming_column(connection, schema, column).map_err(from_sqlite)?,
        None => Vec::new(),
    };
    let is_gone = |other: &Other| match (other.kind, without) {
        ("index", _) => gone_indexes.contains(&other.name),
        (_, Some(column)) => other.sql.to_lowercase().contains(&column.to_lowercase()),
        _ => false,
    };
    let plans = index_plans(Dialect::Sqlite, schema);
    let (gone, others): (Vec<_>, Vec<_>) =
        others.into_iter().filter(|other| plans.iter().all(|plan| !plan.name.eq_ignore_ascii_case(&other.name))).partition(is_gone);

    let is_there = |name: &str| found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let version = version_column();
    let kept: Vec<_> = schema.definition().columns().iter().chain([&version]).filter(|column| is_there(column.name)).collect();
    let extra: Vec<&Found> = left_over(found, schema).filter(|column| Some(column.name.as_str()) != without).collect();
    let names = kept.iter().map(|column| column.name).chain(copied_extra(&extra)).map(quote).collect::<Vec<_>>().join(", ");
    let values = kept.iter().map(|column| copied(found, column)).chain(copied_extra(&extra).map(quote)).collect::<Vec<_>>().join(", ");

    // Else the references of other tables would follow the one that is set aside.
    let keep = "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON";
    let mut steps = vec![format!("{keep}; BEGIN IMMEDIATE; ALTER TABLE {table} RENAME TO {aside}")];
    // Indexes and triggers keep their names and go with the table that was set aside.
    steps.extend(plans.iter().map(|plan| format!("DROP INDEX IF EXISTS {}", quote(&plan.name))));
    steps.extend(others.iter().map(|other| format!("DROP {} {}", other.kind.to_uppercase(), quote(&other.name))));
    let mut creating = create_statements(Dialect::Sqlite, schema);
    if let Some(create) = creating.first_mut() {
        let columns: String = extra.iter().map(|column| format!("    {},\n", definition(column, &declared))).collect();
        *create = create.replacen("    PRIMARY KEY (", &format!("{columns}    PRIMARY KEY ("), 1);
    }
    steps.extend(creating);
    steps.push(format!("INSERT INTO {table} ({names}) SELECT {values} FROM {aside}"));
    // No trigger takes a copy for a new row.
    steps.extend(others.into_iter().map(|other| other.sql));
    steps.push("COMMIT".to_owned());

    let rules = rules(schema, &extra, &declared).map(|rule| format!("`{rule}`"));
    let left: Vec<String> = rules.chain(gone.iter().map(|other| format!("{} `{}`", other.kind, other.name))).collect();
    let copy = match left.as_slice() {
        [] => String::new(),
        left => format!(" and copy what is to stay of these, which the statements leave out: {}", left.join(", ")),
    };
    Ok(format!(
        "make a backup{copy}, then run: {}; then build the store again, and once it shows the rows, run: DROP TABLE {aside}",
        steps.join("; ")
    ))
}

/// An index or a trigger of a table, as somebody made it.
struct Other {
    kind: &'static str,
    name: String,
    sql: String,
}

/// The indexes of a table that no rule made, and its triggers but for Strata's own, which the next migration makes as the model needs them.
fn others(connection: &Connection, schema: &BoundSchema) -> rusqlite::Result<Vec<Other>> {
    let mut statement = connection.prepare(
        "SELECT type = 'index', name, sql FROM sqlite_schema \
         WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL AND name NOT LIKE '\\_strata\\_%' ESCAPE '\\' ORDER BY type, rowid",
    )?;
    let others = statement.query_map([schema.table()], |row| {
        let kind = if row.get(0)? { "index" } else { "trigger" };
        Ok(Other { kind, name: row.get(1)?, sql: row.get(2)? })
    })?;
    others.collect()
}

/// A column that the model lacks, as the new table declares it. A type that it cannot have there takes any value, and what was of the key is no more.
fn definition(column: &Found, declared: &[Item]) -> String {
    let known = TYPES.iter().find(|known| column.is_of_type(known));
    let (name, type_name) = (quote(&column.name), known.unwrap_or(&"ANY"));
    match declared_as(declared, &column.name).filter(|item| column.key_place == 0 && !item.rules.is_empty()) {
        Some(item) => format!("{name} {type_name} {}", item.rules),
        None => format!("{name} {type_name}"),
    }
}

fn declared_as<'a>(declared: &'a [Item], name: &str) -> Option<&'a Item> {
    declared.iter().find(|item| item.column.as_ref().is_some_and(|column| column.eq_ignore_ascii_case(name)))
}

/// Those that an insert can give a value.
fn copied_extra<'a>(extra: &[&'a Found]) -> impl Iterator<Item = &'a str> {
    extra.iter().filter(|column| !column.is_generated).map(|column| column.name.as_str())
}

/// The rules of a table, and of its columns that are made as the model has them, that the model knows nothing of: the table that is made anew lacks them.
fn rules(schema: &BoundSchema, extra: &[&Found], declared: &[Item]) -> impl Iterator<Item = String> {
    let bare = |sql: &str| plain(sql).to_ascii_lowercase();
    let plans: Vec<String> = constraint_plans(Dialect::Sqlite, schema).iter().map(|plan| bare(&plan.definition)).collect();
    let unique: Vec<Vec<&str>> =
        index_plans(Dialect::Sqlite, schema).into_iter().filter(|plan| plan.unique).map(|plan| plan.columns).collect();
    let refers = |start: &str| plans.iter().any(|plan| plan.split("references").next() == Some(start));
    let is_known = |item: &&Item| {
        let has = |word: &str| item.words.iter().any(|own| own == word);
        let text = bare(&item.text);
        let checks_as_model = plans.iter().any(|plan| text.contains(plan));
        match &item.column {
            Some(column) if extra.iter().any(|extra| extra.name.eq_ignore_ascii_case(column)) => true,
            Some(column) if schema.definition().position(column).is_none() => true,
            Some(column) => {
                let is_unique = unique.iter().any(|columns| matches!(columns.as_slice(), [only] if only.eq_ignore_ascii_case(column)));
                let is_known_reference = refers(&format!("foreignkey({})", column.to_ascii_lowercase()));
                (!has("UNIQUE") || is_unique) && (!has("CHECK") || checks_as_model) && (!has("REFERENCES") || is_known_reference)
            }
            None => {
                let named = item.text.strip_prefix("CONSTRAINT \"").and_then(|rest| rest.split_once('"'));
                let is_made_up = named.is_some_and(|(name, _)| [false, true].iter().any(|kind| is_made_up_constraint(schema, name, *kind)));
                let is_unique = unique.iter().any(|columns| text.ends_with(&format!("unique({})", columns.join(",").to_ascii_lowercase())));
                let start = text.find("foreignkey").and_then(|start| text[start..].split("references").next());
                has("PRIMARY") || is_made_up || checks_as_model || is_unique || start.is_some_and(refers)
            }
        }
    };
    declared.iter().filter(|item| !is_known(item)).map(|item| item.text.clone()).collect::<Vec<_>>().into_iter()
}

/// What a table that is made anew gets of a column. What can be made nothing of stays as it was, so that the new column refuses it.
fn copied(found: &[Found], wanted: &ColumnDefinition) -> String {
    let name = quote(wanted.name);
    if !found.iter().any(|column| column.name.eq_ignore_ascii_case(wanted.name) && column.is_text()) {
        return name;
    }
    match wanted.column_type {
        ColumnType::Uuid => {
            let bytes = format!("unhex(replace({name}, '-', ''))");
            format!("CASE WHEN length({bytes}) = 16 THEN {bytes} ELSE {name} END")
        }
        ColumnType::Bytes => format!("CAST({name} AS BLOB)"),
        _ => name,
    }
}
