//! What a file lacks of what the schemas need.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use store_core::sql::{
    Dialect, IndexPlan, column_definition, create_statements, duplicates, explain_left_column, explain_left_rule, explain_look_alike,
    explain_nullable_column, explain_refused_condition, explain_taken_name, index_plans,
};
use store_core::{Blocking, BoundSchema, ColumnDefinition, Drift, Error, ErrorKind, MigrationPlan, MigrationStep, Result, Role};

use crate::collations;
use crate::commit::{MIGRATIONS, OWN_NAMES, OWN_TABLES};
use crate::constraints;
use crate::error::{self, Origin};
use crate::indexes;
use crate::layout::{self, Found, mismatch};
use crate::plan::quote;
use crate::rebuilding::rebuilding;

/// The steps, and the first reason to take none of them.
#[derive(Default)]
pub(crate) struct Survey {
    pub(crate) plan: MigrationPlan,
    pub(crate) refusal: Option<Error>,
}

pub(crate) fn survey(connection: &Connection, schemas: &[Arc<BoundSchema>]) -> Result<Survey> {
    layout::check_names(schemas)?;
    let mut survey = Survey::default();
    let own = of_own(connection);
    survey.take(own, "strata")?;
    for schema in schemas {
        survey.take(of_schema(connection, schema), schema.name())?;
    }
    Ok(survey)
}

impl Survey {
    /// A refusal leaves the others to be found.
    fn take(&mut self, part: Result<MigrationPlan>, schema: &str) -> Result<()> {
        match part {
            Ok(part) => {
                self.plan.steps.extend(part.steps);
                self.plan.drift.extend(part.drift);
            }
            Err(error) if error.kind() == ErrorKind::SchemaMismatch => {
                let column = error.column().map(str::to_owned);
                self.plan.drift.push(Drift { schema: schema.to_owned(), column, what: error.to_string(), is_refused: true });
                self.refusal.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn of_own(connection: &Connection) -> Result<MigrationPlan> {
    let is_there = |name: &&str| layout::kind(connection, name).map(|kind| kind.is_some());
    let mut missing = Vec::new();
    for name in OWN_NAMES.iter().chain([&MIGRATIONS]) {
        if !is_there(name).map_err(|error| error::from_sqlite(error, Origin::Own))? {
            missing.push(format!("`{name}`"));
        }
    }
    if !missing.iter().any(|name| name.contains(OWN_NAMES[0])) {
        layout::check_format(connection)?;
    }
    let mut plan = MigrationPlan::default();
    if !missing.is_empty() {
        let what = format!("make {}", missing.join(", "));
        plan.steps.push(step(
            None,
            what,
            "Strata keeps versions, its log and its records there",
            OWN_TABLES.trim().to_owned(),
            Blocking::Nobody,
        ));
    }
    Ok(plan)
}

fn of_schema(connection: &Connection, schema: &BoundSchema) -> Result<MigrationPlan> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    match layout::kind(connection, schema.table()).map_err(from_sqlite)?.as_deref() {
        None => new_table(connection, schema),
        Some("table") => old_table(connection, schema),
        Some(_) => Err(mismatch(schema, format!("`{}` is a view; rename it, or give the schema another table", schema.table()))),
    }
    .and_then(|plan| with_triggers(connection, schema, plan))
}

fn with_triggers(connection: &Connection, schema: &BoundSchema, mut plan: MigrationPlan) -> Result<MigrationPlan> {
    for (name, sql) in constraints::missing_triggers(connection, schema)? {
        let (what, why) = (format!("make the trigger `{name}`"), "what a reference deletes or changes is to reach the log");
        plan.steps.push(step(Some(schema), what, why, sql, Blocking::Briefly));
    }
    Ok(plan)
}

fn new_table(connection: &Connection, schema: &BoundSchema) -> Result<MigrationPlan> {
    let sql = create_statements(Dialect::Sqlite, schema).swap_remove(0);
    let (what, why) = (format!("make the table `{}`", schema.table()), "the model has none");
    let mut plan = MigrationPlan::default();
    plan.steps.push(step(Some(schema), what, why, sql, Blocking::Nobody));
    for index in index_plans(Dialect::Sqlite, schema) {
        check_name(connection, schema, &index)?;
        let sql = index.create_statement(Dialect::Sqlite, schema, false);
        plan.steps.push(index_step(schema, &index, sql, Blocking::Nobody));
    }
    Ok(plan)
}

fn old_table(connection: &Connection, schema: &BoundSchema) -> Result<MigrationPlan> {
    let from_sqlite = |error| error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    let found = layout::columns(connection, schema).map_err(from_sqlite)?;
    let missing = missing_columns(&found, schema);
    let is_needed = |column: &ColumnDefinition| !column.nullable && column.default.is_none();
    let is_empty = !missing.iter().any(is_needed) || {
        let any = format!("SELECT 1 FROM {} LIMIT 1", quote(schema.table()));
        connection.query_row(&any, [], |_| Ok(())).optional().map_err(from_sqlite)?.is_none()
    };
    layout::check_table(connection, schema, &found, |column| is_empty || !is_needed(column))?;
    constraints::check(connection, schema, || rebuilding(connection, &found, schema))?;
    collations::check(connection, schema, &missing, || rebuilding(connection, &found, schema))?;
    let mut plan = MigrationPlan::default();
    for column in &missing {
        let definition = column_definition(Dialect::Sqlite, column);
        let sql = format!("ALTER TABLE {} ADD COLUMN {definition}", quote(schema.table()));
        let what = format!("add the column `{}`", column.name);
        plan.steps.push(step(Some(schema), what, "the model has it and the table does not", sql, Blocking::Briefly));
        for alike in layout::look_alikes(&found, schema, column).0 {
            plan.drift.push(drift(schema, alike, explain_look_alike(Dialect::Sqlite, schema.table(), alike, column)));
        }
    }
    for index in indexes::missing(connection, schema)? {
        if index.statement.starts_with("DROP ") {
            return Err(mismatch(schema, format!("the index `{}` exists and differs; run: {}", index.plan.name, index.statement)));
        }
        check_name(connection, schema, &index.plan)?;
        plan.steps.push(index_step(schema, &index.plan, index.statement, Blocking::Writers));
    }
    for column in schema.definition().columns().iter().filter(|column| !column.nullable && !column.is_key) {
        if layout::may_be_null(&found, column) {
            let remedy = rebuilding(connection, &found, schema)?;
            plan.drift.push(drift(schema, column.name, explain_nullable_column(column.name, &remedy)));
        }
    }
    for name in indexes::left(connection, schema)? {
        let what = explain_left_rule(&format!("unique index `{name}`"), &format!("run: DROP INDEX {}", quote(&name)));
        plan.drift.push(of_schema_drift(schema, what));
    }
    for rule in constraints::left(connection, schema)? {
        plan.drift.push(of_schema_drift(schema, explain_left_rule(&rule, &rebuilding(connection, &found, schema)?)));
    }
    for column in collations::lax_columns(connection, schema, &missing)? {
        let what = format!(
            "the column `{column}` has another collation than BINARY: conditions take texts for equal that the model takes for different ones; to change that, {}",
            rebuilding(connection, &found, schema)?
        );
        plan.drift.push(drift(schema, column, what));
    }
    for left in layout::left_over(&found, schema) {
        plan.drift.push(drift(schema, &left.name, explain_left_column(Dialect::Sqlite, schema.table(), &left.name)));
    }
    Ok(plan)
}

fn missing_columns(found: &[Found], schema: &BoundSchema) -> Vec<ColumnDefinition> {
    let is_there = |name: &str| found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let wanted = schema.definition().columns().iter().cloned().chain([layout::version_column()]);
    wanted.filter(|column| !is_there(column.name)).collect()
}

/// Refuses an index whose name something else has: SQLite would not make it, and say nothing.
fn check_name(connection: &Connection, schema: &BoundSchema, plan: &IndexPlan) -> Result<()> {
    let holder =
        indexes::holder(connection, &plan.name).map_err(|error| error::from_sqlite(error, Origin::Own).with_schema(schema.name()))?;
    let Some((kind, table)) = holder else { return Ok(()) };
    let holder = if kind == "index" { format!("an index of the table `{table}`") } else { format!("the {kind} `{table}`") };
    Err(mismatch(schema, explain_taken_name(plan, &holder)))
}

fn index_step(schema: &BoundSchema, plan: &IndexPlan, sql: String, blocking: Blocking) -> MigrationStep {
    let what = format!("make the {}index `{}`", if plan.unique { "unique " } else { "" }, plan.name);
    step(Some(schema), what, "the model asks for it", sql, blocking)
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

/// The error of a step; rows that break a unique index are told by their keys.
pub(crate) fn failed(connection: &Connection, error: rusqlite::Error, step: &MigrationStep, schemas: &[Arc<BoundSchema>]) -> Error {
    let Some(schema) = schemas.iter().find(|schema| Some(schema.name()) == step.schema.as_deref()) else {
        return error::from_sqlite(error, Origin::Own);
    };
    let refused = match &error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => Some((msg, usize::try_from(*offset).ok())),
        // Of what is missing at the end, and of what no condition may hold, SQLite tells no place.
        rusqlite::Error::SqliteFailure(failure, Some(msg)) if failure.code == rusqlite::ErrorCode::Unknown => Some((msg, None)),
        _ => None,
    };
    if let Some((msg, place)) = refused {
        let said = format!("SQLite said `{msg}`");
        if let Some(reason) = explain_refused_condition(Dialect::Sqlite, schema, &step.sql, place, &said) {
            let told = Error::new(ErrorKind::InvalidConfig, reason).with_schema(schema.name()).with_tier(Role::Truth);
            return told.with_source(error);
        }
    }
    if error.sqlite_error_code() != Some(rusqlite::ErrorCode::ConstraintViolation) {
        return error::from_sqlite(error, Origin::Own).with_schema(schema.name());
    }
    let plans = index_plans(Dialect::Sqlite, schema);
    let plan = plans.iter().find(|plan| plan.unique && step.what.ends_with(&format!("`{}`", plan.name)));
    let keys: Vec<String> = plan.and_then(|plan| keys(connection, &duplicates(Dialect::Sqlite, schema, plan)).ok()).unwrap_or_default();
    let (table, example) = (schema.table(), keys.join("` and `"));
    let reason = format!(
        "the rows of `{table}` break a unique index that the schema asks for ({error}), those with the keys `{example}` for one; mend the rows, then migrate again, or run: {}",
        step.sql
    );
    let mut told = mismatch(schema, reason).with_source(error);
    if let Some(key) = keys.into_iter().next() {
        told = told.with_key(key);
    }
    match plan.map(|plan| plan.columns.as_slice()) {
        Some([column]) => told.with_column(*column),
        _ => told,
    }
}

fn keys(connection: &Connection, query: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}
