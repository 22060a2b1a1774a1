//! Tables and indexes from a schema.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::dialect::{Dialect, VERSION_COLUMN};
use crate::schema::{BoundSchema, ColumnDefinition};
use crate::value::ColumnType;

/// PostgreSQL cuts longer names off in silence.
const LONGEST_NAME: usize = 63;

/// An index as it is made: those of single fields and those of the struct.
///
/// ```
/// use store_core::sql::{IndexPlan, index_plans};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(unique)]
///     username: String,
/// }
///
/// let plan = IndexPlan { name: "player_username_key".into(), columns: vec!["username"], unique: true };
/// assert_eq!(index_plans(&BoundSchema::standalone(Player::definition())), [plan]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPlan {
    /// Its name in the database.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<&'static str>,
    /// Whether it is unique.
    pub unique: bool,
}

impl IndexPlan {
    /// Whether an index over `columns` does what this one is for. A unique one needs the same columns in any order; another one begins with this one's.
    pub fn is_served_by(&self, columns: &[String], unique: bool) -> bool {
        if self.unique {
            return unique
                && columns.len() == self.columns.len()
                && self.columns.iter().all(|wanted| columns.iter().any(|column| column == wanted));
        }
        columns.len() >= self.columns.len() && columns.iter().zip(&self.columns).all(|(column, wanted)| column == wanted)
    }
}

/// Every index of a schema beyond the primary key.
pub fn index_plans(schema: &BoundSchema) -> Vec<IndexPlan> {
    let definition = schema.definition();
    let of_columns = definition.columns().iter().filter(|column| column.unique || column.indexed).map(|column| {
        let suffix = if column.unique { "key" } else { "idx" };
        IndexPlan { name: index_name(schema, &[column.name], suffix), columns: vec![column.name], unique: column.unique }
    });
    let of_struct = definition.indexes().iter().map(|index| IndexPlan {
        name: index
            .name
            .map_or_else(|| index_name(schema, &index.columns, if index.unique { "key" } else { "idx" }), |given| fit(given.to_owned())),
        columns: index.columns.clone(),
        unique: index.unique,
    });
    let mut plans: Vec<IndexPlan> = Vec::new();
    for mut plan in of_columns.chain(of_struct) {
        if plans.contains(&plan) {
            continue;
        }
        // `a_b` and `c` are joined to the same name as `a` and `b_c`.
        if plans.iter().any(|present| present.name.eq_ignore_ascii_case(&plan.name)) {
            plan.name = hashed(&plan.name, &format!("{:?}", plan.columns));
        }
        plans.push(plan);
    }
    plans
}

/// The statements that make a schema's table and indexes where they are missing.
///
/// ```
/// use store_core::sql::{Dialect, create_statements};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(index, default = 1)]
///     level: i64,
/// }
///
/// let statements = create_statements(Dialect::Postgres, &BoundSchema::standalone(Player::definition()));
/// assert!(statements[0].contains(r#""level" BIGINT NOT NULL DEFAULT 1"#));
/// assert_eq!(statements[1], r#"CREATE INDEX IF NOT EXISTS "player_level_idx" ON "player" ("level")"#);
/// ```
pub fn create_statements(dialect: Dialect, schema: &BoundSchema) -> Vec<String> {
    let definition = schema.definition();
    let mut table = format!("CREATE TABLE IF NOT EXISTS {} (\n", dialect.quote(schema.table()));
    for column in definition.columns() {
        let _ = writeln!(table, "    {},", column_definition(dialect, column));
    }
    let version_type = dialect.type_name(ColumnType::BigInt);
    let key: Vec<String> = definition.key_columns().map(|column| dialect.quote(column.name)).collect();
    let _ =
        write!(table, "    {} {version_type} NOT NULL DEFAULT 0,\n    PRIMARY KEY ({})\n)", dialect.quote(VERSION_COLUMN), key.join(", "));
    if dialect == Dialect::Sqlite {
        table.push_str(" STRICT");
    }

    let mut statements = vec![table];
    statements.extend(index_plans(schema).into_iter().map(|index| {
        let columns: Vec<String> = index.columns.iter().map(|column| dialect.quote(column)).collect();
        format!(
            "CREATE {}INDEX IF NOT EXISTS {} ON {} ({})",
            if index.unique { "UNIQUE " } else { "" },
            dialect.quote(&index.name),
            dialect.quote(schema.table()),
            columns.join(", ")
        )
    }));
    statements
}

/// A column as `CREATE TABLE` and `ALTER TABLE … ADD COLUMN` name it: name, type, whether it may be NULL, default.
///
/// ```
/// use store_core::sql::{Dialect, column_definition};
/// use store_core::{ColumnDefinition, ColumnType};
///
/// let column = ColumnDefinition::new("level", ColumnType::BigInt);
/// assert_eq!(column_definition(Dialect::Postgres, &column), r#""level" BIGINT NOT NULL"#);
/// ```
pub fn column_definition(dialect: Dialect, column: &ColumnDefinition) -> String {
    let mut sql = format!("{} {}", dialect.quote(column.name), dialect.type_name(column.column_type));
    if !column.nullable {
        sql.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        let _ = write!(sql, " DEFAULT {}", dialect.literal(default, column.column_type));
    }
    sql
}

/// Stands in a statement where nobody but the program's author knows a value. No database takes it for one.
const UNKNOWN_JSON: &str = "<JSON>";

/// The statement that adds a column to a table, for people to run. Rows that are there take the column's default, or zero or empty where it needs a value and
/// has no default. For JSON that is the field's own `Default`, or what its type reads of `{}`, `[]` and the like; where it reads none of them, `<JSON>` stands
/// in its place, which no database accepts.
///
/// ```
/// use store_core::sql::{Dialect, add_column_statement};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     level: i64,
/// }
///
/// let schema = BoundSchema::standalone(Player::definition());
/// let statement = add_column_statement(Dialect::Postgres, &schema, &schema.definition().columns()[1]);
/// assert_eq!(statement, r#"ALTER TABLE "player" ADD COLUMN "level" BIGINT NOT NULL DEFAULT 0"#);
/// ```
pub fn add_column_statement(dialect: Dialect, schema: &BoundSchema, column: &ColumnDefinition) -> String {
    let mut sql = format!("ALTER TABLE {} ADD COLUMN {}", dialect.quote(schema.table()), column_definition(dialect, column));
    if !column.nullable && column.default.is_none() {
        let zero = dialect.zero(column.column_type).map(str::to_owned);
        let zero = zero.or_else(|| (column.filler)().map(|json| dialect.text(&json)));
        let _ = write!(sql, " DEFAULT {}", zero.as_deref().unwrap_or(UNKNOWN_JSON));
    }
    sql
}

/// Says of a column that a table lacks how to add it, and how to keep the rows' values where the field was renamed.
///
/// `old_names` are the table's columns of the same type that the model lacks, `others` those of another type. Where there are neither, the explanation ends with
/// the statement that adds the column; else the first statement is the one that loses nothing.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use store_core::sql::{Dialect, explain_missing_column};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Serialize, Deserialize)]
/// struct Item {
///     name: String,
/// }
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     items: Vec<Item>,
/// }
///
/// let schema = BoundSchema::standalone(Player::definition());
/// let items = &schema.definition().columns()[1];
/// let explanation = explain_missing_column(Dialect::Sqlite, &schema, items, &[], &[]);
/// assert!(explanation.ends_with(r#"run: ALTER TABLE "player" ADD COLUMN "items" TEXT NOT NULL DEFAULT '[]'"#));
/// let explanation = explain_missing_column(Dialect::Sqlite, &schema, items, &["bag"], &[]);
/// assert!(explanation.contains(r#"run: ALTER TABLE "player" RENAME COLUMN "bag" TO "items"; "#));
/// ```
pub fn explain_missing_column(
    dialect: Dialect,
    schema: &BoundSchema,
    column: &ColumnDefinition,
    old_names: &[&str],
    others: &[&str],
) -> String {
    let (table, name) = (dialect.quote(schema.table()), dialect.quote(column.name));
    let mut explanation = "the table lacks the column".to_owned();
    for old in old_names.iter().map(|old| dialect.quote(old)) {
        let _ = write!(
            explanation,
            "; if it is the new name of {old}, which the model lacks, keep the values, run: ALTER TABLE {table} RENAME COLUMN {old} TO {name}"
        );
    }
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|other| dialect.quote(other)).collect();
        let _ = write!(
            explanation,
            "; the model lacks {} of the table's, of another type: if the field replaces it, copy the values before you drop it",
            others.join(", ")
        );
    }
    let statement = add_column_statement(dialect, schema, column);
    if !old_names.is_empty() {
        explanation.push_str("; if it is new");
    }
    if statement.ends_with(UNKNOWN_JSON) {
        let _ = write!(
            explanation,
            "{} put what the field is to hold in rows that are there, in JSON and in single quotes, in the place of {UNKNOWN_JSON}, and",
            if old_names.is_empty() { ";" } else { "," }
        );
    } else {
        explanation.push_str(if old_names.is_empty() { ";" } else { "," });
    }
    let _ = write!(explanation, " run{}: {statement}", if old_names.is_empty() { "" } else { " instead" });
    explanation
}

/// Says of a column that a view lacks, which stands in the place of a table, how to add it.
///
/// ```
/// use store_core::sql::explain_view_column;
///
/// assert!(explain_view_column("player", "level").ends_with(r#"make "player" again by a query that gives "level" too"#));
/// ```
pub fn explain_view_column(view: &str, column: &str) -> String {
    let [view, column] = [view, column].map(|name| Dialect::Postgres.quote(name));
    let note = if column.contains(VERSION_COLUMN) { " (the version, 0 where there is none)" } else { "" };
    format!("the view lacks the column{note}; make {view} again by a query that gives {column} too")
}

/// Says of an index whose name something else has what to do.
///
/// `holder` is what has the name, in words.
///
/// ```
/// use store_core::sql::{IndexPlan, explain_taken_name};
///
/// let plan = IndexPlan { name: "player_level_idx".into(), columns: vec!["level"], unique: false };
/// let explanation = explain_taken_name(&plan, "an index of the table `players`");
/// assert!(explanation.contains(r#"`#[schema(index(columns(level), name = "…"))]`"#));
/// ```
pub fn explain_taken_name(plan: &IndexPlan, holder: &str) -> String {
    format!(
        "the index `{}` cannot be made, as {holder} has its name; declare it on the struct with a name of its own, \
         `#[schema(index(columns({}){}, name = \"…\"))]`, in the place of the one that is declared, or rename the other",
        plan.name,
        plan.columns.join(", "),
        if plan.unique { ", unique" } else { "" }
    )
}

fn index_name(schema: &BoundSchema, columns: &[&str], suffix: &str) -> String {
    fit(format!("{}_{}_{suffix}", schema.table(), columns.join("_")))
}

/// Shortens a name that is too long, so that different long names stay different.
fn fit(name: String) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    hashed(&name, &name)
}

/// As much of a name as fits, and the hash of what tells it apart.
fn hashed(name: &str, difference: &str) -> String {
    let hash = format!("_{:016x}", xxh3_64(difference.as_bytes()));
    let mut cut = name.len().min(LONGEST_NAME - hash.len());
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{hash}", &name[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, IndexDefinition, Policies, SchemaDefinition};

    #[test]
    fn different_indexes_of_a_table_have_different_names() {
        let columns = ["id", "a", "b_c", "a_b", "c"].map(|name| ColumnDefinition::new(name, ColumnType::BigInt)).to_vec();
        let indexes = [["a", "b_c"], ["a_b", "c"], ["a", "b_c"]];
        let indexes = indexes.map(|columns| IndexDefinition { name: None, columns: columns.to_vec(), unique: true }).to_vec();
        let definition = Box::leak(Box::new(SchemaDefinition::new("t", columns, indexes, Policies::default())));
        let plans = index_plans(&BoundSchema::standalone(definition));
        assert_eq!(plans.len(), 2, "{plans:?}");
        assert_eq!(plans[0].name, "t_a_b_c_key");
        assert!(plans[1].name.starts_with("t_a_b_c_key_"), "{plans:?}");
        assert_eq!(fit("x".repeat(100)).len(), LONGEST_NAME);
    }
}
