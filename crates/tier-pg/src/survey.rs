//! What a database lacks of what the schemas need.

use std::sync::Arc;

use store_core::sql::{
    Dialect, IndexPlan, column_definition, create_statements, explain_left_column, explain_left_rule, explain_look_alike,
    explain_nullable_column, index_plans,
};
use store_core::{Blocking, BoundSchema, ColumnDefinition, Drift, Error, ErrorKind, MigrationPlan, MigrationStep};

use crate::catalog::{self, Index, Relation};
use crate::config::Extras;
use crate::error::Failure;
use crate::pool::Lease;
use crate::triggers;

mod collations;
mod constraints;
mod partitions;
mod requirements;

pub(crate) use partitions::moves_rows;

const DIALECT: Dialect = Dialect::Postgres;

/// Strata's own sequence and tables, each with the statements that make it.
///
/// The sequence caches nothing: a session that held numbers back would draw small ones late.
pub(crate) const OWN: [(&str, &str); 5] = [
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
    (
        "_strata_journals",
        "CREATE TABLE _strata_journals (journal_id TEXT PRIMARY KEY, applied_seq BIGINT NOT NULL, applied_checksum BIGINT)",
    ),
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

/// Where migrations are recorded, which a store that makes no tables does without.
pub(crate) const MIGRATIONS: (&str, &str) = (
    "_strata_migrations",
    "CREATE TABLE _strata_migrations (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            schema TEXT,
            file TEXT UNIQUE,
            what TEXT NOT NULL,
            checksum TEXT,
            applied_at TIMESTAMPTZ NOT NULL,
            took BIGINT NOT NULL,
            statement INTEGER,
            statement_text TEXT,
            error TEXT,
            blocks BOOLEAN NOT NULL,
            done TEXT
        )",
);

/// What is to be there.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) schemas: &'a [Arc<BoundSchema>],
    pub(crate) extras: &'a Extras,
    /// From how many rows on an index is made beside writers.
    pub(crate) large_table: u64,
    /// Whether partitions of tables that are there are all.
    pub(crate) only_partitions: bool,
}

/// A step with what its errors are told by.
pub(crate) struct Task {
    pub(crate) step: MigrationStep,
    pub(crate) schema: Option<Arc<BoundSchema>>,
    pub(crate) index: Option<IndexPlan>,
}

/// What is to be done, and the first reason to do none of it.
#[derive(Default)]
pub(crate) struct Survey {
    /// Those of a group are one transaction, unless it is one step that can be in none.
    pub(crate) groups: Vec<Vec<Task>>,
    pub(crate) drift: Vec<Drift>,
    pub(crate) refusal: Option<Error>,
    /// An index that another session is at, be it for a migration that is no more. Whether it comes to be in force is seen once that is over.
    pub(crate) awaited: Option<String>,
}

impl Survey {
    pub(crate) fn into_plan(self) -> MigrationPlan {
        MigrationPlan { steps: self.groups.into_iter().flatten().map(|task| task.step).collect(), drift: self.drift }
    }

    /// A refusal leaves the others to be found.
    fn refuse(&mut self, schema: &str, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Found(error) if error.kind() == ErrorKind::SchemaMismatch => {
                let column = error.column().map(str::to_owned);
                self.drift.push(Drift { schema: schema.to_owned(), column, what: error.to_string(), is_refused: true });
                self.refusal.get_or_insert(error);
                Ok(())
            }
            failure => Err(failure),
        }
    }
}

/// What one table needs.
#[derive(Default)]
struct Part {
    /// What makes something new.
    new: Vec<Task>,
    /// What changes the table, or makes readers or writers of it wait.
    changes: Vec<Task>,
    /// Indexes that make writers wait, in a transaction of their own: what changes the table keeps readers waiting to the end of its own.
    indexes: Vec<Task>,
    /// What can be in no transaction.
    outside: Vec<Task>,
    /// What needs other tables, each in a transaction of its own.
    last: Vec<Task>,
    drift: Vec<Drift>,
    awaited: Option<String>,
}

pub(crate) async fn survey(lease: &Lease, wanted: Wanted<'_>) -> Result<Survey, Failure> {
    let mut survey = Survey::default();
    if wanted.only_partitions {
        partitions::of_all(lease, wanted, &mut survey).await?;
        return Ok(survey);
    }
    let mut new = of_own(lease, wanted).await?;
    if let Err(failure) = check_own(lease).await {
        survey.refuse("strata", failure)?;
    }
    requirements::add(lease, wanted.schemas, &mut new, &mut survey).await?;
    let (mut changes, mut indexes, mut outside, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for schema in wanted.schemas {
        match of_schema(lease, schema, wanted).await {
            Ok(part) => {
                new.extend(part.new);
                changes.push(part.changes);
                indexes.push(part.indexes);
                outside.extend(part.outside.into_iter().map(|task| vec![task]));
                last.extend(part.last.into_iter().map(|task| vec![task]));
                survey.drift.extend(part.drift);
                survey.awaited = survey.awaited.or(part.awaited);
            }
            Err(failure) => survey.refuse(schema.name(), failure)?,
        }
    }
    let groups = std::iter::once(new).chain(changes).chain(indexes).chain(outside).chain(last);
    survey.groups = groups.filter(|group| !group.is_empty()).collect();
    Ok(survey)
}

async fn check_own(lease: &Lease) -> Result<(), Failure> {
    match catalog::relation(lease, OWN[0].0).await? {
        Some(_) => catalog::check_sequence(lease, OWN[0].0).await,
        None => Ok(()),
    }
}

async fn of_own(lease: &Lease, Wanted { schemas, extras, .. }: Wanted<'_>) -> Result<Vec<Task>, Failure> {
    let mut tasks = Vec::new();
    let mut add = |what: String, why: &str, sql: String| tasks.push(task(None, None, step(None, what, why, sql, Blocking::Nobody)));
    for (name, statements) in std::iter::once(MIGRATIONS).chain(OWN) {
        if catalog::relation(lease, name).await?.is_none() {
            add(format!("make `{name}`"), "Strata keeps versions, its log and its records there", statements.to_owned());
        }
    }
    for name in &extras.extensions {
        const TEXT: &str = "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = $1::TEXT";
        if lease.query_opt(TEXT, &[name]).await?.is_none() {
            add(format!("make the extension `{name}`"), "the configuration asks for it", extension_statement(name));
        }
    }
    if extras.outside_writers || schemas.iter().any(|schema| triggers::are_needed(schema)) {
        for (name, sql) in triggers::missing_functions(lease).await? {
            add(format!("make the function `{name}`"), "writes of other programs are to reach the log", sql);
        }
    }
    Ok(tasks)
}

pub(crate) fn extension_statement(name: &str) -> String {
    format!("CREATE EXTENSION IF NOT EXISTS {}", DIALECT.quote(name))
}

async fn of_schema(lease: &Lease, schema: &Arc<BoundSchema>, wanted: Wanted<'_>) -> Result<Part, Failure> {
    let relation = catalog::relation(lease, schema.table()).await?;
    let mut part = match &relation {
        Some(relation) => old_table(lease, schema, relation, wanted.large_table).await?,
        None => new_table(lease, schema).await?,
    };
    constraints::add(lease, schema, relation.as_ref(), &mut part).await?;
    if wanted.extras.outside_writers || triggers::are_needed(schema) {
        let tasks = if relation.is_some() { &mut part.changes } else { &mut part.new };
        for (name, sql) in triggers::missing(lease, schema, relation.as_ref()).await? {
            let (what, why) = (format!("make the trigger `{name}`"), "writes of other programs are to reach the log");
            let blocking = if relation.is_some() { Blocking::Briefly } else { Blocking::Nobody };
            tasks.push(task(Some(schema), None, step(Some(schema), what, why, sql, blocking)));
        }
    }
    Ok(part)
}

async fn new_table(lease: &Lease, schema: &Arc<BoundSchema>) -> Result<Part, Failure> {
    let (what, why) = (format!("make the table `{}`", schema.table()), "the model has none");
    // Its indexes follow, each as a step.
    let sql = create_statements(DIALECT, schema).swap_remove(0);
    let create = step(Some(schema), what, why, sql, Blocking::Nobody);
    let mut new = vec![task(Some(schema), None, create)];
    partitions::of_new_table(lease, schema, &mut new).await?;
    for index in index_plans(DIALECT, schema) {
        catalog::check_name_is_free(lease, schema, &index).await?;
        let sql = index.create_statement(DIALECT, schema, false);
        new.push(index_task(schema, index, sql, Blocking::Nobody));
    }
    Ok(Part { new, ..Part::default() })
}

async fn old_table(lease: &Lease, schema: &Arc<BoundSchema>, relation: &Relation, large_table: u64) -> Result<Part, Failure> {
    catalog::check_kind(schema, relation)?;
    let present = catalog::columns(lease, relation.oid).await?;
    let missing = catalog::missing_columns(schema, &present);
    let is_needed = |column: &ColumnDefinition| !column.nullable && column.default.is_none();
    let table = DIALECT.quote_table(schema.table());
    let is_empty = !missing.iter().any(is_needed) || {
        let any: bool = lease.query_one(&format!("SELECT EXISTS (SELECT FROM {table})"), &[]).await?.try_get(0)?;
        !any
    };
    catalog::check_table(lease, schema, relation, &present, |column| is_empty || !is_needed(column)).await?;
    let mut part = Part::default();
    collations::check(lease, schema, relation, &mut part).await?;
    for column in &missing {
        let sql = format!("ALTER TABLE {table} ADD COLUMN {}", column_definition(DIALECT, column));
        let (what, why) = (format!("add the column `{}`", column.name), "the model has it and the table does not");
        part.changes.push(task(Some(schema), None, step(Some(schema), what, why, sql, Blocking::Briefly)));
        for alike in catalog::look_alikes(schema, &present, column).0 {
            part.drift.push(drift(schema, alike, explain_look_alike(DIALECT, schema.table(), alike, column)));
        }
    }
    partitions::of_old_table(lease, schema, relation, large_table, &mut part).await?;
    partitions::tell_of_others(lease, schema, relation, &mut part).await?;
    add_indexes(lease, schema, relation, large_table, &mut part).await?;
    for column in schema.definition().columns().iter().filter(|column| !column.nullable) {
        if present.iter().any(|present| present.name == column.name && present.is_nullable) {
            let remedy = format!("run: ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL", DIALECT.quote(column.name));
            part.drift.push(drift(schema, column.name, explain_nullable_column(column.name, &remedy)));
        }
    }
    for left in present.iter().filter(|column| !catalog::is_known(schema, &column.name)) {
        part.drift.push(drift(schema, &left.name, explain_left_column(DIALECT, schema.table(), &left.name)));
    }
    Ok(part)
}

async fn add_indexes(
    lease: &Lease,
    schema: &Arc<BoundSchema>,
    relation: &Relation,
    large_table: u64,
    part: &mut Part,
) -> Result<(), Failure> {
    let present = catalog::indexes(lease, relation.oid).await?;
    let plans = index_plans(DIALECT, schema);
    for left in present.iter().filter(|index| index.is_left(schema, &plans)) {
        let drop = match left.is_of_constraint {
            true => format!("run: ALTER TABLE {} DROP CONSTRAINT {}", DIALECT.quote_table(schema.table()), DIALECT.quote(&left.name)),
            false => format!("run: DROP INDEX {}", DIALECT.quote_table(&catalog::beside(schema, &left.name))),
        };
        part.drift.push(of_schema_drift(schema, explain_left_rule(&format!("unique index `{}`", left.name), &drop)));
    }
    let lacking: Vec<IndexPlan> = plans.into_iter().filter(|plan| !present.iter().any(|index| index.serves(plan))).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let is_beside = relation.is_plain_table() && catalog::estimated_rows(lease, relation.oid).await? >= large_table;
    for plan in lacking {
        let sql = plan.create_statement(DIALECT, schema, is_beside);
        match present.iter().find(|index| index.name == plan.name) {
            Some(Index { is_valid: true, .. }) => {
                let name = DIALECT.quote_table(&catalog::beside(schema, &plan.name));
                let message = format!("the index {name} exists and differs; run: DROP INDEX {name}; {sql}");
                return Err(catalog::mismatch(schema, message).into());
            }
            Some(Index { is_being_made: true, .. }) => {
                let what = format!("the index `{}` is being made by another session, which a migration waits for", plan.name);
                part.drift.push(of_schema_drift(schema, what));
                part.awaited = Some(plan.name.clone());
            }
            // It is valid once all partitions have it.
            Some(_) if relation.is_divided() => {
                let what = format!(
                    "the index `{}` of the divided table is not on all of its partitions, and so not in force; make it on the others, and attach those \
                     (ALTER INDEX … ATTACH PARTITION …)",
                    plan.name
                );
                part.drift.push(of_schema_drift(schema, what));
                continue;
            }
            Some(_) => {
                let what = format!("drop what is left of the index `{}`", plan.name);
                let beside = if is_beside { "CONCURRENTLY " } else { "" };
                let sql = format!("DROP INDEX {beside}IF EXISTS {}", DIALECT.quote_table(&catalog::beside(schema, &plan.name)));
                let blocking = if is_beside { Blocking::Nobody } else { Blocking::Briefly };
                let step = step(Some(schema), what, "it was not made to its end, and serves no query", sql, blocking);
                let tasks = if is_beside { &mut part.outside } else { &mut part.changes };
                tasks.push(task(Some(schema), None, MigrationStep { in_transaction: !is_beside, ..step }));
            }
            None => catalog::check_name_is_free(lease, schema, &plan).await?,
        }
        if is_beside {
            let mut task = index_task(schema, plan, sql, Blocking::Nobody);
            task.step.in_transaction = false;
            part.outside.push(task);
        } else {
            part.indexes.push(index_task(schema, plan, sql, Blocking::Writers));
        }
    }
    Ok(())
}

fn index_task(schema: &Arc<BoundSchema>, plan: IndexPlan, sql: String, blocking: Blocking) -> Task {
    let what = format!("make the {}index `{}`", if plan.unique { "unique " } else { "" }, plan.name);
    task(Some(schema), Some(plan), step(Some(schema), what, "the model asks for it", sql, blocking))
}

fn task(schema: Option<&Arc<BoundSchema>>, index: Option<IndexPlan>, step: MigrationStep) -> Task {
    Task { step, schema: schema.cloned(), index }
}

fn step(schema: Option<&BoundSchema>, what: String, why: &str, sql: String, blocking: Blocking) -> MigrationStep {
    let schema = schema.map(|schema| schema.name().to_owned());
    MigrationStep { schema, what, why: why.to_owned(), sql, blocking, in_transaction: true }
}

fn drift(schema: &BoundSchema, column: &str, what: String) -> Drift {
    Drift { column: Some(column.to_owned()), ..of_schema_drift(schema, what) }
}

fn of_schema_drift(schema: &BoundSchema, what: String) -> Drift {
    Drift { schema: schema.name().to_owned(), column: None, what, is_refused: false }
}
