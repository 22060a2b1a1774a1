//! Tables and indexes from a schema.

use std::fmt::Write;

use super::constraint::constraint_plans;
use super::dialect::{Dialect, VERSION_COLUMN};
use super::index::{IndexPlan, index_plans};
use super::partition::{partition_clause, partition_plans};
use super::requirement::{Requirement, requirements};
use crate::schema::{BoundSchema, ColumnDefinition};
use crate::timestamp::Timestamp;
use crate::value::ColumnType;

/// The statements that make a schema's table and indexes where they are missing: first the table, then each index, in the order of their
/// [plans](super::index_plans). What PostgreSQL needs beside them, [`requirements`](super::requirements), [`constraint_plans`](super::constraint_plans) and
/// [`partition_plans`](super::partition_plans) say.
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
    let mut table = format!("CREATE TABLE IF NOT EXISTS {} (\n", dialect.quote_table(schema.table()));
    for column in definition.columns() {
        let _ = writeln!(table, "    {},", column_definition(dialect, column));
    }
    let version_type = dialect.type_name(ColumnType::BigInt);
    let key: Vec<String> = definition.key_columns().map(|column| dialect.quote(column.name)).collect();
    let _ = write!(table, "    {} {version_type} NOT NULL DEFAULT 0,\n    PRIMARY KEY ({})", dialect.quote(VERSION_COLUMN), key.join(", "));
    for constraint in constraint_plans(dialect, schema).iter().filter(|constraint| constraint.is_made_with_table(dialect)) {
        let _ = write!(table, ",\n    CONSTRAINT {} {}", dialect.quote(&constraint.name), constraint.definition);
    }
    table.push_str("\n)");
    match dialect {
        Dialect::Sqlite => table.push_str(" STRICT"),
        Dialect::Postgres => table.push_str(&partition_clause(schema)),
    }

    let mut statements = vec![table];
    statements.extend(index_plans(dialect, schema).iter().map(|index| index.create_statement(dialect, schema, false)));
    statements
}

/// The statements that make everything of some schemas in an empty database, in an order in which they can be run. Partitions are those of `now`.
///
/// ```
/// use store_core::sql::{Dialect, create_all_statements};
/// use store_core::{BoundSchema, Schema, Timestamp};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(table = "game.player", partition_by(hash(id), partitions = 2))]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// let schema = BoundSchema::standalone(Player::definition());
/// let statements = create_all_statements(Dialect::Postgres, &[&schema], Timestamp::MIN);
/// assert_eq!(statements[0], ("player", r#"CREATE SCHEMA IF NOT EXISTS "game""#.to_owned()));
/// assert_eq!(statements.len(), 4);
/// ```
pub fn create_all_statements(dialect: Dialect, schemas: &[&BoundSchema], now: Timestamp) -> Vec<(&'static str, String)> {
    let (mut first, mut tables, mut last): (Vec<(&'static str, String)>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for schema in schemas {
        let mut statements = create_statements(dialect, schema).into_iter();
        tables.extend(statements.next().map(|statement| (schema.name(), statement)));
        if dialect == Dialect::Postgres {
            for statement in requirements(schema).iter().map(Requirement::create_statement) {
                if first.iter().all(|(_, present)| *present != statement) {
                    first.push((schema.name(), statement));
                }
            }
            tables.extend(partition_plans(schema, now).iter().map(|plan| (schema.name(), plan.create_statement(schema))));
            let plans = constraint_plans(dialect, schema);
            let references = plans.iter().filter(|plan| !plan.is_made_with_table(dialect));
            last.extend(references.map(|plan| (schema.name(), plan.add_statement(schema, true))));
        }
        tables.extend(statements.map(|statement| (schema.name(), statement)));
    }
    first.into_iter().chain(tables).chain(last).collect()
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
/// has no default; an encrypted one can have none. For JSON that is the field's own `Default`, or what its type reads of `{}`, `[]` and the like; where it reads none of them, `<JSON>` stands
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
    let mut sql = format!("ALTER TABLE {} ADD COLUMN {}", dialect.quote_table(schema.table()), column_definition(dialect, column));
    // Nobody but the store can write what an encrypted column holds.
    if !column.nullable && column.default.is_none() && column.encryption.is_none() {
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
    let (table, name) = (dialect.quote_table(schema.table()), dialect.quote(column.name));
    let mut explanation = "the table lacks the column".to_owned();
    if column.encryption.is_some() || column.blind_of.is_some() {
        let unknown: Vec<String> = old_names.iter().chain(others).map(|old| dialect.quote(old)).collect();
        if !unknown.is_empty() {
            let _ = write!(
                explanation,
                "; the model lacks {} of the table's: if the field replaces one of them, keep that; {ONLY_THE_STORE}",
                unknown.join(", ")
            );
        }
        let _ = write!(explanation, "; run: {}", add_column_statement(dialect, schema, column));
        return explanation;
    }
    for old in old_names.iter().map(|old| dialect.quote(old)) {
        let _ = write!(
            explanation,
            "; if it is the new name of {old}, which the model lacks{}, keep the values, run: ALTER TABLE {table} RENAME COLUMN {old} TO {name}",
            if column.column_type == ColumnType::Bytes { " and which never was encrypted" } else { "" }
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

/// As [`explain_missing_column`], of a table with rows, which do not say what a column without a default is to hold.
///
/// ```
/// use store_core::sql::{Dialect, explain_needed_value};
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
/// let explanation = explain_needed_value(Dialect::Sqlite, &schema, &schema.definition().columns()[1], &[], &[]);
/// assert!(explanation.contains("#[schema(default = …)]"));
/// ```
pub fn explain_needed_value(
    dialect: Dialect,
    schema: &BoundSchema,
    column: &ColumnDefinition,
    old_names: &[&str],
    others: &[&str],
) -> String {
    if column.encryption.is_some() {
        return "there are rows, and nobody but the store can write what they are to hold in it, as the column is encrypted: make the field an `Option`; where it \
                replaces another, let the program set it from that one before you drop it, as docs/encryption.md says"
            .to_owned();
    }
    let explanation = explain_missing_column(dialect, schema, column, old_names, others);
    format!(
        "there are rows, and nothing says what they are to hold in it: give the field a default (`#[schema(default = …)]`) or make it an `Option`; else: {explanation}"
    )
}

/// Says of a column whose field is encrypted, and which has another type than ciphertexts, how its values are moved: no statement can encrypt them.
///
/// ```
/// use store_core::sql::explain_plain_column;
///
/// assert!(explain_plain_column("email", "text").starts_with("the column `email` has the type text, and the model's is encrypted"));
/// ```
pub fn explain_plain_column(column: &str, found: &str) -> String {
    format!(
        "the column `{column}` has the type {found}, and the model's is encrypted, which nobody but the store can fill; give the encrypted field another name and make \
         it an `Option`, let the program set it from this column, then drop this one, as docs/encryption.md says"
    )
}

/// Says of a column that is added what may become of the values that another one holds, if it is that one's new name.
///
/// ```
/// use store_core::sql::{Dialect, explain_look_alike};
/// use store_core::{ColumnDefinition, ColumnType};
///
/// let rank = ColumnDefinition::new("rank", ColumnType::BigInt);
/// let explanation = explain_look_alike(Dialect::Postgres, "player", "level", &rank);
/// assert!(explanation.ends_with(r#"run: UPDATE "player" SET "rank" = "level""#));
/// ```
pub fn explain_look_alike(dialect: Dialect, table: &str, old: &str, new: &ColumnDefinition) -> String {
    let (table, [old, name]) = (dialect.quote_table(table), [old, new.name].map(|name| dialect.quote(name)));
    let alike = format!("{name} is added, and {old}, which the model lacks, has the same type");
    if new.encryption.is_some() || new.blind_of.is_some() {
        return format!("{alike}; if the field replaces it, its values stay there; {ONLY_THE_STORE}");
    }
    let note = if new.column_type == ColumnType::Bytes { " and never was encrypted" } else { "" };
    format!("{alike}; if the field was renamed{note}, its values stay there until you run: UPDATE {table} SET {name} = {old}")
}

/// Why no statement moves the values of an encrypted column.
const ONLY_THE_STORE: &str = "what is encrypted is bound to its column, so that no statement can move it: let the program read the old field and set the new one, an \
     `Option`, through the store, before you drop the old column, as docs/encryption.md says";

/// Whether a column that the model lacks may hold what a new one is to take over, as it is: no ciphertext, and no blind index.
///
/// ```
/// use store_core::sql::may_be_renamed;
/// use store_core::{ColumnDefinition, ColumnType};
///
/// let picture = ColumnDefinition::new("picture", ColumnType::Bytes);
/// assert!(may_be_renamed("photo", &picture));
/// assert!(!may_be_renamed("email_blind", &picture));
/// ```
pub fn may_be_renamed(old: &str, new: &ColumnDefinition) -> bool {
    let is_sealed = new.encryption.is_some() || new.blind_of.is_some();
    let was_blind = new.column_type == ColumnType::Bytes && old.ends_with("_blind");
    !is_sealed && !was_blind
}

/// Says of a column of bytes that is to have another type what becomes of its values, if they are ciphertexts: no cast opens them.
///
/// ```
/// use store_core::sql::explain_bytes_column;
///
/// assert!(explain_bytes_column("email", "bytea", "TEXT").starts_with("the column `email` has the type bytea"));
/// ```
pub fn explain_bytes_column(column: &str, found: &str, wanted: &str) -> String {
    format!(
        "the column `{column}` has the type {found} where the model's has {wanted}; if its field was encrypted, nobody but the store can read it: keep that field, give the \
         new one another name and make it an `Option`, let the program set it from the old one, then drop this column, as docs/encryption.md says; other bytes a \
         statement of your own must convert, as no cast does"
    )
}

/// Says of a column that the model lacks, and that every insert must fill, what keeps its values if one of the columns to be added is its new name: a sentence
/// to go on with, empty where there are none.
///
/// ```
/// use store_core::sql::{Dialect, explain_old_name};
///
/// let explanation = explain_old_name(Dialect::Postgres, "player", "level", &["rank"]);
/// assert!(explanation.ends_with(r#"run: ALTER TABLE "player" RENAME COLUMN "level" TO "rank"; else "#));
/// assert_eq!(explain_old_name(Dialect::Postgres, "player", "level", &[]), "");
/// ```
pub fn explain_old_name(dialect: Dialect, table: &str, old: &str, new_names: &[&str]) -> String {
    let (table, old) = (dialect.quote_table(table), dialect.quote(old));
    let mut explanation = String::new();
    for new in new_names.iter().map(|new| dialect.quote(new)) {
        let _ =
            write!(explanation, "if {new} is its new name, keep the values, run: ALTER TABLE {table} RENAME COLUMN {old} TO {new}; else ");
    }
    explanation
}

/// Says of a column that a table has and the model lacks that it stays.
///
/// ```
/// use store_core::sql::{Dialect, explain_left_column};
///
/// assert!(explain_left_column(Dialect::Sqlite, "player", "age").ends_with(r#"ALTER TABLE "player" DROP COLUMN "age""#));
/// ```
pub fn explain_left_column(dialect: Dialect, table: &str, column: &str) -> String {
    let (table, column) = (dialect.quote_table(table), dialect.quote(column));
    format!(
        "the table has the column {column}, which the model lacks; it stays as it is, until nothing needs it any more and you run: ALTER TABLE {table} DROP COLUMN {column}"
    )
}

/// Says of a column that may be NULL, where the model's may not, what becomes of rows that hold it.
///
/// ```
/// use store_core::sql::explain_nullable_column;
///
/// let explanation = explain_nullable_column("level", "run: ALTER TABLE player ALTER COLUMN level SET NOT NULL");
/// assert!(explanation.ends_with("run: ALTER TABLE player ALTER COLUMN level SET NOT NULL"));
/// ```
pub fn explain_nullable_column(column: &str, remedy: &str) -> String {
    format!(
        "the column `{column}` may be NULL where the model's may not, and a row that holds NULL there cannot be read; give such rows a value, then {remedy}"
    )
}

/// Says of a unique index, a reference or a check that a table has and the model had that it is still in force. `what` names it, and `remedy` removes it.
///
/// ```
/// use store_core::sql::explain_left_rule;
///
/// let explanation = explain_left_rule("unique index `player_name_key`", "run: DROP INDEX player_name_key");
/// assert!(explanation.starts_with("the table has the unique index `player_name_key`, which the model lacks"));
/// ```
pub fn explain_left_rule(what: &str, remedy: &str) -> String {
    format!("the table has the {what}, which the model lacks; it is still in force; to remove it, {remedy}")
}

/// The query for the text forms of the keys of two rows, by which a unique index could not be made.
///
/// ```
/// use store_core::sql::{Dialect, IndexPlan, duplicates};
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
/// let schema = BoundSchema::standalone(Player::definition());
/// let plan = IndexPlan { name: "player_username_key".into(), columns: vec!["username"], unique: true, ..IndexPlan::default() };
/// assert!(duplicates(Dialect::Postgres, &schema, &plan).contains(r#"GROUP BY "username" HAVING count(*) > 1"#));
/// ```
pub fn duplicates(dialect: Dialect, schema: &BoundSchema, plan: &IndexPlan) -> String {
    let columns: Vec<String> = plan.columns.iter().map(|column| dialect.quote(column)).collect();
    let (table, list) = (dialect.quote_table(schema.table()), columns.join(", "));
    let given = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect::<Vec<_>>().join(" AND ");
    format!(
        "SELECT {} FROM {table} JOIN (SELECT {list} FROM {table} WHERE {given} GROUP BY {list} HAVING count(*) > 1 LIMIT 1) AS twice \
         USING ({list}) ORDER BY 1 LIMIT 2",
        key_text(dialect, schema)
    )
}

/// The text form of a row's key, as an expression.
pub(super) fn key_text(dialect: Dialect, schema: &BoundSchema) -> String {
    let part = |column: &ColumnDefinition| {
        let name = dialect.quote(column.name);
        match (dialect, column.column_type) {
            (Dialect::Sqlite, ColumnType::Bytes | ColumnType::Uuid) => format!("lower(hex({name}))"),
            (Dialect::Sqlite, _) => name,
            (Dialect::Postgres, _) => format!("{name}::TEXT"),
        }
    };
    format!("CAST({} AS TEXT)", schema.definition().key_columns().map(part).collect::<Vec<_>>().join(" || ':' || "))
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
/// let plan = IndexPlan { name: "player_level_idx".into(), columns: vec!["level"], ..IndexPlan::default() };
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
