//! What is missing, for those who may make nothing.

use std::sync::Arc;

use store_core::facet::MissingIndex;
use store_core::sql::{Dialect, index_plans};
use store_core::{BoundSchema, Result};
use tokio_postgres::Row;

use crate::catalog;
use crate::catalog::Index;
use crate::error::{Attempt, Failure};
use crate::pool::{Lease, Pool, within};
use crate::survey::OWN;
use crate::triggers;

/// How much of a name leaves room for a number behind it: PostgreSQL cuts names off at 63 bytes.
const LONGEST_STEM: usize = 56;

/// Names what is found nowhere on the search path.
pub(crate) async fn missing_tables(pool: &Pool, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
    const TEXT: &str = "SELECT name FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (name, quoted, place) \
        WHERE to_regclass(quoted) IS NULL ORDER BY place";
    let wanted: Vec<&str> = OWN.iter().map(|(name, _)| *name).chain(schemas.iter().map(|schema| schema.table())).collect();
    let quoted: Vec<String> = wanted.iter().map(|name| Dialect::Postgres.quote_table(name)).collect();
    let mut rows = pool.read(TEXT, &[&wanted, &quoted], Attempt::Log).await?;
    rows.extend(unwatched(pool, schemas).await?);
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(|error| Failure::from(error).into_error(Attempt::Log))
}

/// The triggers without which records that the database deletes or changes by itself would stay in the caches.
async fn unwatched(pool: &Pool, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Row>> {
    const TEXT: &str = "SELECT trigger || ' on ' || name FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[]) AS wanted (name, quoted, trigger) \
        WHERE to_regclass(quoted) IS NOT NULL AND NOT EXISTS \
        (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = to_regclass(quoted) AND tgname = trigger)";
    let (mut names, mut quoted, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for schema in schemas {
        for trigger in triggers::needed(schema) {
            names.push(schema.table());
            quoted.push(Dialect::Postgres.quote_table(schema.table()));
            wanted.push(trigger);
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    pool.read(TEXT, &[&names, &quoted, &wanted], Attempt::Log).await
}

/// Refuses tables and views on the search path that lack a column.
pub(crate) async fn check_columns(pool: &Pool, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    let lease = pool.lease().await?;
    let outcome = within(pool.limits().prepare, async {
        for schema in schemas {
            catalog::check_presence(&lease, schema).await?;
        }
        Ok(())
    })
    .await;
    lease.settle(outcome).map_err(|failure| failure.into_error(Attempt::Log))
}

/// Tells which indexes the tables on the search path lack.
pub(crate) async fn missing_indexes(pool: &Pool, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
    let lease = pool.lease().await?;
    let outcome = within(pool.limits().prepare, async {
        let mut missing = Vec::new();
        for schema in schemas {
            if let Some(table) = catalog::table(&lease, schema.table()).await? {
                for index in lacking(schema, &catalog::indexes(&lease, table).await?) {
                    missing.push(with_free_name(&lease, schema, index).await?);
                }
            }
        }
        Ok(missing)
    })
    .await;
    lease.settle(outcome).map_err(|failure| failure.into_error(Attempt::Log))
}

fn lacking(schema: &BoundSchema, present: &[Index]) -> Vec<MissingIndex> {
    let plans = index_plans(Dialect::Postgres, schema).into_iter();
    let missing = plans.filter(|plan| !present.iter().any(|index| index.serves(plan))).map(|plan| {
        let statement = plan.create_statement(Dialect::Postgres, schema, false);
        let taken = present.iter().any(|index| index.name == plan.name);
        let statement = if taken {
            format!("DROP INDEX {}; {statement}", Dialect::Postgres.quote_table(&catalog::beside(schema, &plan.name)))
        } else {
            statement
        };
        MissingIndex { schema: schema.definition().name(), plan, statement }
    });
    missing.collect()
}

/// An index serves under any name, so one whose name something else has is told to be made under another.
async fn with_free_name(lease: &Lease, schema: &BoundSchema, index: MissingIndex) -> Result<MissingIndex, Failure> {
    if index.statement.starts_with("DROP ") {
        return Ok(index);
    }
    let name = &index.plan.name;
    let (mut free, mut number) = (name.clone(), 1);
    while catalog::relation(lease, &catalog::beside(schema, &free)).await?.is_some() {
        number += 1;
        free = format!("{}_{number}", &name[..name.floor_char_boundary(LONGEST_STEM)]);
    }
    let quoted = |name: &str| Dialect::Postgres.quote(name);
    let statement = index.statement.replacen(&quoted(name), &quoted(&free), 1);
    Ok(MissingIndex { statement, ..index })
}
