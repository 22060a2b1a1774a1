//! What indexes a table has, held against the schema.

use rusqlite::{Connection, OptionalExtension};
use store_core::facet::MissingIndex;
use store_core::sql::{Dialect, IndexPlan, index_plans};
use store_core::{BoundSchema, Result};

use crate::error::{self, Origin};
use crate::plan::quote;

/// An index of a table, its primary key among them.
struct Index {
    name: String,
    /// By the names that the schema has for them, where it has.
    columns: Vec<String>,
    is_unique: bool,
    /// Whether it covers all rows, by columns alone.
    is_plain: bool,
    is_partial: bool,
    /// Whether it compares texts by their bytes.
    is_binary: bool,
}

impl Index {
    /// Whether it does what a planned one is for. The name of one for some rows tells which.
    fn serves(&self, plan: &IndexPlan) -> bool {
        if plan.unique && !self.is_binary {
            return false;
        }
        if plan.condition.is_none() {
            return self.is_plain && plan.is_served_by(&self.columns, self.is_unique);
        }
        let is_alike = self.name.eq_ignore_ascii_case(&plan.name) && self.is_unique == plan.unique;
        is_alike && self.is_partial && self.columns == plan.columns
    }
}

/// The indexes of a schema that its table lacks. A view can have none.
pub(crate) fn missing(connection: &Connection, schema: &BoundSchema) -> Result<Vec<MissingIndex>> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    let is_table = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type = 'table'")
        .and_then(|mut statement| statement.exists([schema.table()]));
    if !is_table.map_err(from_sqlite)? {
        return Ok(Vec::new());
    }
    let present = indexes(connection, schema).map_err(from_sqlite)?;
    let plans = index_plans(Dialect::Sqlite, schema).into_iter();
    let mut missing = Vec::new();
    for plan in plans.filter(|plan| !present.iter().any(|index| index.serves(plan))) {
        let statement = plan.create_statement(Dialect::Sqlite, schema, false);
        let is_here = present.iter().any(|index| index.name.eq_ignore_ascii_case(&plan.name));
        let statement = if is_here {
            format!("DROP INDEX {}; {statement}", quote(&plan.name))
        } else {
            under_free_name(connection, &plan.name, &statement).map_err(from_sqlite)?
        };
        missing.push(MissingIndex { schema: schema.definition().name(), plan, statement });
    }
    Ok(missing)
}

/// The unique indexes of names that Strata makes up, of which the model has none like them any more.
pub(crate) fn left(connection: &Connection, schema: &BoundSchema) -> Result<Vec<String>> {
    let present = indexes(connection, schema).map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))?;
    let plans = index_plans(Dialect::Sqlite, schema);
    let table = format!("{}_", schema.table());
    let is_left = |index: &Index| {
        let is_wanted = |plan: &IndexPlan| plan.name == index.name || index.serves(plan);
        let is_made_up = index.name.strip_prefix(&table).is_some_and(|rest| rest.contains("_key"));
        // It stands in the place of the model's, and refuses more.
        let is_lax = !index.is_binary && plans.iter().any(|plan| plan.unique && plan.is_served_by(&index.columns, true));
        let can_go = !index.name.is_empty() && !index.name.starts_with("sqlite_");
        index.is_unique && can_go && (is_made_up || is_lax) && !plans.iter().any(is_wanted)
    };
    Ok(present.into_iter().filter(is_left).map(|index| index.name).collect())
}

/// What has a name: whether an `index`, a `table` or another thing, and its table.
pub(crate) fn holder(connection: &Connection, name: &str) -> rusqlite::Result<Option<(String, String)>> {
    let text = "SELECT type, tbl_name FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
    connection.query_row(text, [name], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The statement, with a name that nothing else has: an index serves under any.
fn under_free_name(connection: &Connection, name: &str, statement: &str) -> rusqlite::Result<String> {
    let (mut free, mut number) = (name.to_owned(), 1);
    while holder(connection, &free)?.is_some() {
        number += 1;
        free = format!("{name}_{number}");
    }
    Ok(statement.replacen(&quote(name), &quote(&free), 1))
}

fn indexes(connection: &Connection, schema: &BoundSchema) -> rusqlite::Result<Vec<Index>> {
    let named = |name: String| {
        let known = schema.definition().columns().iter().find(|column| column.name.eq_ignore_ascii_case(&name));
        known.map_or(name, |column| column.name.to_owned())
    };
    let mut found = Vec::new();
    // A key that is the row's own number has no index.
    let mut key = connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
    let key = key.query_map([schema.table()], |row| row.get(0).map(named))?.collect::<rusqlite::Result<Vec<_>>>()?;
    found.push(Index { name: String::new(), columns: key, is_unique: true, is_plain: true, is_partial: false, is_binary: true });
    let mut listed = connection.prepare("SELECT name, \"unique\", partial FROM pragma_index_list(?1)")?;
    let listed = listed.query_map([schema.table()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for index in listed.collect::<rusqlite::Result<Vec<(String, bool, bool)>>>()? {
        let (name, is_unique, is_partial) = index;
        let mut parts = connection
            .prepare_cached("SELECT name, coll = 'BINARY' COLLATE NOCASE FROM pragma_index_xinfo(?1) WHERE \"key\" ORDER BY seqno")?;
        let parts = parts.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let parts = parts.collect::<rusqlite::Result<Vec<(Option<String>, bool)>>>()?;
        let (columns, binary): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        // An expression has no name.
        let is_plain = !is_partial && columns.iter().all(Option::is_some);
        let (columns, is_binary) = (columns.into_iter().flatten().map(named).collect(), !binary.contains(&false));
        found.push(Index { name, columns, is_unique, is_plain, is_partial, is_binary });
    }
    Ok(found)
}

/// The indexes to drop before a column can be: those over it, and those whose expression or condition names it. `None` where a constraint made one of them, which
/// goes with its table alone.
pub(crate) fn over_column(connection: &Connection, schema: &BoundSchema, column: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let found = of_column(connection, schema, column)?;
    Ok(found.iter().all(|(_, can_go)| *can_go).then(|| found.into_iter().map(|(name, _)| name).collect()))
}

/// The indexes over a column, and those whose expression or condition names it.
pub(crate) fn naming_column(connection: &Connection, schema: &BoundSchema, column: &str) -> rusqlite::Result<Vec<String>> {
    Ok(of_column(connection, schema, column)?.into_iter().map(|(name, _)| name).collect())
}

/// The indexes that need a column, and whether each can be dropped by itself.
fn of_column(connection: &Connection, schema: &BoundSchema, column: &str) -> rusqlite::Result<Vec<(String, bool)>> {
    let mut statement = connection.prepare(
        "SELECT listed.name, listed.origin = 'c' FROM pragma_index_list(?1) AS listed LEFT JOIN sqlite_schema AS made ON made.type = 'index' AND made.name = listed.name
         WHERE EXISTS (SELECT 1 FROM pragma_index_info(listed.name) AS part WHERE part.name = ?2 COLLATE NOCASE)
            OR ((listed.partial OR EXISTS (SELECT 1 FROM pragma_index_info(listed.name) AS part WHERE part.name IS NULL))
                AND instr(lower(made.sql), lower(?2)) > 0)
         ORDER BY listed.name",
    )?;
    let found = statement.query_map([schema.table(), column], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}
