//! How a table compares texts: those that differ must not be one where a key and a unique index are to keep apart what the model does.

use store_core::BoundSchema;
use store_core::sql::index_plans;

use super::{DIALECT, Part, drift, partitions};
use crate::catalog::{self, Relation, mismatch};
use crate::error::Failure;
use crate::pool::Lease;

/// Refuses a table whose key, or a column of a unique index, takes texts that differ for one, and tells of other such columns.
pub(super) async fn check(lease: &Lease, schema: &BoundSchema, relation: &Relation, part: &mut Part) -> Result<(), Failure> {
    let table = DIALECT.quote_table(schema.table());
    let key: Vec<&str> = schema.definition().key_columns().map(|column| column.name).collect();
    let plans = index_plans(DIALECT, schema);
    for (name, collation) in lax_columns(lease, relation.oid).await? {
        let Some(position) = schema.definition().position(&name) else { continue };
        let column = &schema.definition().columns()[position];
        let divides = schema.definition().partition().is_some_and(|partition| partition.column == name);
        let remedy = match divides && relation.is_divided() {
            true => partitions::making_anew(schema),
            false => format!(
                "run: ALTER TABLE {table} ALTER COLUMN {} TYPE {} COLLATE \"default\"",
                DIALECT.quote(&name),
                DIALECT.type_name(column.column_type)
            ),
        };
        let has = format!("has the collation {collation}, which is not deterministic");
        let is_unique = plans.iter().any(|plan| plan.unique && plan.columns.contains(&column.name));
        if column.is_key || is_unique {
            let of = if column.is_key { "the primary key" } else { "a unique index" };
            let message = format!("the column `{name}` is part of {of} and {has}, so that texts which differ are one; {remedy}");
            return Err(mismatch(schema, message).with_column(column.name).into());
        }
        let what = format!(
            "the column `{name}` {has}: conditions take texts for equal that the model takes for different ones; to change that, {remedy}"
        );
        part.drift.push(drift(schema, column.name, what));
    }
    // A write finds its row by each unique index over the key.
    let indexes = catalog::indexes(lease, relation.oid).await?;
    match indexes.iter().find(|index| index.is_unique && !index.is_deterministic && index.is_over(&key)) {
        Some(index) => {
            let message = format!(
                "the unique index `{}` of the key has a collation that is not deterministic, so that texts which differ are one key; run: DROP INDEX {}",
                index.name,
                DIALECT.quote_table(&catalog::beside(schema, &index.name))
            );
            Err(mismatch(schema, message).into())
        }
        None => Ok(()),
    }
}

/// The columns that are compared otherwise than by what they hold, with their collations.
async fn lax_columns(lease: &Lease, table: u32) -> Result<Vec<(String, String)>, Failure> {
    const TEXT: &str = "SELECT a.attname::TEXT, c.collname::TEXT FROM pg_catalog.pg_attribute AS a \
        JOIN pg_catalog.pg_collation AS c ON c.oid = a.attcollation \
        WHERE a.attrelid = $1::OID AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.collisdeterministic ORDER BY a.attnum";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
