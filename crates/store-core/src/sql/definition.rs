//! Tables and indexes from a schema.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::dialect::{Dialect, VERSION_COLUMN};
use crate::schema::BoundSchema;

/// PostgreSQL cuts longer names off in silence.
const LONGEST_NAME: usize = 63;

/// An index as it is made: those of single fields and those of the struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPlan {
    /// Its name in the database.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<&'static str>,
    /// Whether it is unique.
    pub unique: bool,
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
    for plan in of_columns.chain(of_struct) {
        if plans.iter().all(|present| present.name != plan.name) {
            plans.push(plan);
        }
    }
    plans
}

/// The statements that make a schema's table and indexes where they are missing.
pub fn create_statements(dialect: Dialect, schema: &BoundSchema) -> Vec<String> {
    let definition = schema.definition();
    let mut table = format!("CREATE TABLE IF NOT EXISTS {} (\n", dialect.quote(schema.table()));
    for column in definition.columns() {
        let _ = write!(table, "    {} {}", dialect.quote(column.name), dialect.type_name(column.column_type));
        if !column.nullable {
            table.push_str(" NOT NULL");
        }
        if let Some(default) = &column.default {
            let _ = write!(table, " DEFAULT {}", dialect.literal(default, column.column_type));
        }
        table.push_str(",\n");
    }
    let version_type = dialect.type_name(crate::value::ColumnType::BigInt);
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

fn index_name(schema: &BoundSchema, columns: &[&str], suffix: &str) -> String {
    fit(format!("{}_{}_{suffix}", schema.table(), columns.join("_")))
}

/// Shortens a name that is too long, so that different long names stay different.
fn fit(name: String) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let hash = format!("_{:016x}", xxh3_64(name.as_bytes()));
    let mut cut = LONGEST_NAME - hash.len();
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{hash}", &name[..cut])
}
