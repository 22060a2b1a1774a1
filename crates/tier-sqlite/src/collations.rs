//! How a table compares texts: by their bytes, where a key and a unique index are to keep apart what the model does.

use rusqlite::{Connection, OptionalExtension};
use store_core::sql::{Dialect, index_plans};
use store_core::{BoundSchema, ColumnDefinition, Result};

use crate::error::{self, Origin};
use crate::layout::mismatch;
use crate::plan::quote;

/// Refuses a table whose key, or a column of a unique index, takes texts that differ for one. `remedy` makes the table anew.
pub(crate) fn check(
    connection: &Connection,
    schema: &BoundSchema,
    missing: &[ColumnDefinition],
    remedy: impl Fn() -> Result<String>,
) -> Result<()> {
    let plans = index_plans(Dialect::Sqlite, schema);
    for name in lax_columns(connection, schema, missing)? {
        let is_key = schema.definition().key_columns().any(|column| column.name == name);
        let is_unique = plans.iter().any(|plan| plan.unique && plan.columns.contains(&name));
        if is_key || is_unique {
            let part = if is_key { "the primary key" } else { "a unique index" };
            let reason = format!(
                "the column `{name}` is part of {part} and has another collation than BINARY, so that texts which differ are one; SQLite cannot change that in place; {}",
                remedy()?
            );
            return Err(mismatch(schema, reason).with_column(name));
        }
    }
    const KEY: &str = "SELECT part.coll FROM pragma_index_list(?1) AS listed, pragma_index_xinfo(listed.name) AS part \
        WHERE listed.origin = 'pk' AND part.\"key\" AND part.coll <> 'BINARY' COLLATE NOCASE";
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    let collation = connection.query_row(KEY, [schema.table()], |row| row.get::<_, String>(0)).optional().map_err(from_sqlite)?;
    collation.map_or(Ok(()), |collation| {
        let reason = format!(
            "the primary key has the collation {collation} where the model's is BINARY, so that texts which differ are one key; {}",
            remedy()?
        );
        Err(mismatch(schema, reason))
    })
}

/// The columns of texts that are compared otherwise than by their bytes. No pragma tells a column's collation, so it is asked to compare.
pub(crate) fn lax_columns(connection: &Connection, schema: &BoundSchema, missing: &[ColumnDefinition]) -> Result<Vec<&'static str>> {
    let is_text = |column: &&ColumnDefinition| Dialect::Sqlite.type_name(column.column_type) == "TEXT";
    let is_there = |column: &&ColumnDefinition| missing.iter().all(|missing| missing.name != column.name);
    let mut found = Vec::new();
    for column in schema.definition().columns().iter().filter(is_text).filter(is_there) {
        let (name, table) = (quote(column.name), quote(schema.table()));
        let query = format!("SELECT x = 'A' OR x = 'a ' FROM (SELECT {name} AS x FROM {table} WHERE 0 UNION ALL SELECT 'a')");
        let is_lax: rusqlite::Result<bool> = connection.query_row(&query, [], |row| row.get(0));
        if is_lax.map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()).with_column(column.name))? {
            found.push(column.name);
        }
    }
    Ok(found)
}
