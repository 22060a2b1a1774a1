//! Making tables and indexes, and checking those that exist.

use std::sync::Arc;

use futures_util::future::join;
use store_core::facet::MissingIndex;
use store_core::sql::{Dialect, IndexPlan, create_statements, index_plans};
use store_core::{BoundSchema, Result};

use tokio_postgres::error::SqlState;

use crate::catalog::Index;
use crate::error::{Attempt, Failure};
use crate::pool::{Lease, Pool, begin, within};
use crate::write::end;
use crate::{catalog, triggers};

/// The advisory lock that every process takes while it makes tables: "strata" in ASCII.
const LOCK: i64 = 0x7374_7261_7461;

/// How much of a name leaves room for a number behind it: PostgreSQL cuts names off at 63 bytes.
const LONGEST_STEM: usize = 56;

/// Strata's own sequence and tables, each with the statements that make it.
///
/// The sequence caches nothing: a session that held numbers back would draw small ones late.
const OWN: [(&str, &str); 5] = [
    ("_strata_version", "CREATE SEQUENCE _strata_version CACHE 1"),
    (
        "_strata_log",
        "CREATE TABLE _strata_log (
            xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
            horizon XID8 NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot()),
            id BIGINT GENERATED ALWAYS AS IDENTITY,
            at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
            schema TEXT NOT NULL,
            key TEXT,
            version BIGINT NOT NULL,
            kind SMALLINT NOT NULL,
            PRIMARY KEY (xid, id)
        );
        CREATE INDEX _strata_log_at_idx ON _strata_log (at)",
    ),
    ("_strata_log_pruned", "CREATE TABLE _strata_log_pruned (is_floor BOOLEAN, xid XID8, PRIMARY KEY (is_floor, xid))"),
    ("_strata_journals", "CREATE TABLE _strata_journals (journal_id TEXT PRIMARY KEY, applied_seq BIGINT NOT NULL)"),
    (
        "_strata_dead_letters",
        "CREATE TABLE _strata_dead_letters (
            journal_id TEXT COLLATE \"C\",
            seq BIGINT,
            schema TEXT NOT NULL,
            key TEXT NOT NULL,
            entry BYTEA NOT NULL,
            error TEXT NOT NULL,
            failed_at TIMESTAMPTZ NOT NULL,
            PRIMARY KEY (journal_id, seq)
        )",
    ),
];

/// Makes what is missing and checks what is there, in one transaction. Where nothing is missing, the right to make tables is not needed.
///
/// With `outside_writers`, also the triggers by which writes of other programs reach the log.
pub(crate) async fn prepare(pool: &Pool, schemas: &[Arc<BoundSchema>], outside_writers: bool) -> Result<()> {
    let lease = pool.lease().await?;
    let limit = pool.limits().prepare;
    let begin = begin(limit);
    let mut at_work = None;
    let outcome = within(limit, async {
        let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
        let (begun, locked) = join(lease.batch_execute(&begin), lease.batch_execute(&lock)).await;
        begun?;
        locked?;
        make_own(&lease).await?;
        if outside_writers {
            triggers::make_functions(&lease).await?;
        }
        for schema in schemas {
            at_work = Some(schema);
            make(&lease, schema).await?;
            if outside_writers && let Some(relation) = catalog::relation(&lease, schema.table()).await? {
                triggers::make(&lease, schema, &relation).await?;
            }
        }
        at_work = None;
        Ok(lease.batch_execute("COMMIT").await?)
    })
    .await;
    let outcome = end(pool, &lease, outcome).await;
    lease.settle(outcome).map_err(|failure| failure.into_error(at_work.map_or(Attempt::Log, |schema| Attempt::Table(schema))))
}

/// Names what is found nowhere on the search path.
pub(crate) async fn missing_tables(pool: &Pool, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
    const TEXT: &str = "SELECT name FROM unnest($1::TEXT[]) WITH ORDINALITY AS wanted (name, place) \
        WHERE to_regclass(quote_ident(name)) IS NULL ORDER BY place";
    let wanted: Vec<&str> = OWN.iter().map(|(name, _)| *name).chain(schemas.iter().map(|schema| schema.table())).collect();
    let rows = pool.read(TEXT, &[&wanted], Attempt::Log).await?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(|error| Failure::from(error).into_error(Attempt::Log))
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
                    missing.push(with_free_name(&lease, index).await?);
                }
            }
        }
        Ok(missing)
    })
    .await;
    lease.settle(outcome).map_err(|failure| failure.into_error(Attempt::Log))
}

fn lacking(schema: &BoundSchema, present: &[Index]) -> Vec<MissingIndex> {
    let statements = create_statements(Dialect::Postgres, schema).into_iter().skip(1);
    let plans = index_plans(schema).into_iter().zip(statements);
    let missing = plans.filter(|(plan, _)| !present.iter().any(|index| index.serves(plan))).map(|(plan, statement)| {
        let taken = present.iter().any(|index| index.name == plan.name);
        let statement = if taken { format!("DROP INDEX {}; {statement}", Dialect::Postgres.quote(&plan.name)) } else { statement };
        MissingIndex { schema: schema.definition().name(), plan, statement }
    });
    missing.collect()
}

/// An index serves under any name, so one whose name something else has is told to be made under another.
async fn with_free_name(lease: &Lease, index: MissingIndex) -> Result<MissingIndex, Failure> {
    if index.statement.starts_with("DROP ") {
        return Ok(index);
    }
    let name = &index.plan.name;
    let (mut free, mut number) = (name.clone(), 1);
    while catalog::relation(lease, &free).await?.is_some() {
        number += 1;
        free = format!("{}_{number}", &name[..name.floor_char_boundary(LONGEST_STEM)]);
    }
    let quoted = |name: &str| Dialect::Postgres.quote(name);
    let statement = index.statement.replacen(&quoted(name), &quoted(&free), 1);
    Ok(MissingIndex { statement, ..index })
}

async fn make_own(lease: &Lease) -> Result<(), Failure> {
    for (name, statements) in OWN {
        if catalog::relation(lease, name).await?.is_none() {
            lease.batch_execute(statements).await?;
        }
    }
    catalog::check_sequence(lease, OWN[0].0).await
}

async fn make(lease: &Lease, schema: &BoundSchema) -> Result<(), Failure> {
    // The table, and then its indexes in the order of their plans.
    let mut statements = create_statements(Dialect::Postgres, schema).into_iter();
    let create_table = statements.next().unwrap_or_default();
    let present = match catalog::relation(lease, schema.table()).await? {
        Some(relation) => {
            catalog::check_table(lease, schema, &relation).await?;
            catalog::indexes(lease, relation.oid).await?
        }
        None => {
            lease.batch_execute(&create_table).await?;
            Vec::new()
        }
    };
    for (plan, create_index) in index_plans(schema).iter().zip(statements) {
        match present.iter().find(|index| index.name == plan.name) {
            Some(index) => catalog::check_index(schema, plan, index, &create_index)?,
            None => {
                catalog::check_name_is_free(lease, schema, plan).await?;
                lease.batch_execute(&create_index).await.map_err(|error| broken_index(error, schema, plan, &create_index))?;
            }
        }
    }
    Ok(())
}

/// The error of an index that cannot be made; rows that break a unique one are the table's fault, not a write's.
fn broken_index(error: tokio_postgres::Error, schema: &BoundSchema, plan: &IndexPlan, create_index: &str) -> Failure {
    if error.code() != Some(&SqlState::UNIQUE_VIOLATION) {
        return error.into();
    }
    let message = format!("rows of the table break the unique index that the model asks for; mend them, then run: {create_index}");
    let mismatch = catalog::mismatch(schema, message);
    match plan.columns.as_slice() {
        [column] => mismatch.with_column(*column).into(),
        _ => mismatch.into(),
    }
}
