//! The models, and the SQL of their tables.

#[cfg(feature = "pg")]
use std::time::SystemTime;

use serde_json::json;
#[cfg(feature = "sqlite")]
use strata::mem::MemTier;
use strata::sql::Dialect;
#[cfg(feature = "pg")]
use strata::sql::create_all_statements;
#[cfg(feature = "pg")]
use strata::{BoundSchema, Timestamp};
#[cfg(feature = "sqlite")]
use strata::{MigrationStep, Store};

use crate::arguments::Servers;
use crate::environment;
use crate::output::{Answer, Failure, Output};
use crate::registry::Registry;

pub(super) fn list(registry: &Registry, output: &Output) -> Answer {
    for model in registry.models() {
        let definition = model.definition();
        let columns: Vec<_> = definition.columns().iter().map(|column| column.name).collect();
        let shown = output.show(
            || format!("{:<20} {}", definition.name(), columns.join(", ")),
            || json!({ "schema": definition.name(), "columns": columns }),
        );
        if !shown {
            break;
        }
    }
    Answer::Yes
}

pub(super) async fn dump(
    registry: &Registry,
    schema: Option<&str>,
    dialect: Option<Dialect>,
    servers: &Servers,
    output: &Output,
) -> Result<Answer, Failure> {
    if let Some(name) = schema {
        registry.model(name).map_err(Failure::Usage)?;
    }
    let statements = match dialect.map_or_else(|| environment::dialect(servers), Ok)? {
        Dialect::Sqlite => of_sqlite(registry).await?,
        _ => of_postgres(registry)?,
    };
    for (of, statement) in statements.iter().filter(|(of, _)| schema.is_none() || of.as_deref() == schema) {
        if !output.show(|| format!("{statement};"), || json!({ "schema": of, "statement": statement })) {
            break;
        }
    }
    Ok(Answer::Yes)
}

/// Statements, each with the schema that it is of: none for what is Strata's own.
type Statements = Vec<(Option<String>, String)>;

/// What a migration would do for a file that nobody has made.
#[cfg(feature = "sqlite")]
async fn of_sqlite(registry: &Registry) -> Result<Statements, Failure> {
    let unmade = std::env::temp_dir().join(format!("{}.db", uuid::Uuid::new_v4().simple()));
    let tier = strata::sqlite::SqliteTier::open(unmade).await?;
    let builder = registry.add_to(Store::builder().near(MemTier::new()).tier(tier));
    let migrator = builder.migrator()?;
    let plan = migrator.plan().await;
    migrator.close().await?;
    let statement = |step: MigrationStep| (step.schema, step.sql.trim_end().trim_end_matches(';').to_owned());
    Ok(plan?.steps.into_iter().map(statement).collect())
}

#[cfg(not(feature = "sqlite"))]
async fn of_sqlite(_: &Registry) -> Result<Statements, Failure> {
    Err(Failure::Usage("this program cannot tell SQLite's tables; turn on the feature `sqlite` of strata-cli".to_owned()))
}

#[cfg(feature = "pg")]
fn of_postgres(registry: &Registry) -> Result<Statements, Failure> {
    let bound: Vec<_> = registry.models().iter().filter_map(|model| model.bound()).collect();
    let referred = |schema: &BoundSchema| {
        // Bound anew, as a schema cannot be copied.
        let own = BoundSchema::standalone(schema.definition()).with_names(schema.table(), schema.key_prefix());
        bound.iter().fold(own, BoundSchema::with_referred)
    };
    let all: Vec<_> = bound.iter().map(referred).collect();
    let now = Timestamp::from_system_time(SystemTime::now()).unwrap_or(Timestamp::MIN);
    let of_models = create_all_statements(Dialect::Postgres, &all.iter().collect::<Vec<_>>(), now);
    let own = strata::pg::own_statements().map(|statement| (None, statement.to_owned()));
    Ok(own.chain(of_models.into_iter().map(|(schema, statement)| (Some(schema.to_owned()), statement))).collect())
}

#[cfg(not(feature = "pg"))]
fn of_postgres(_: &Registry) -> Result<Statements, Failure> {
    Err(Failure::Usage("this program cannot tell PostgreSQL's tables; turn on the feature `pg` of strata-cli".to_owned()))
}
