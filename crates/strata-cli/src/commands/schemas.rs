//! The models, and the SQL of their tables.

#[cfg(feature = "pg")]
use std::time::SystemTime;

use serde_json::json;
#[cfg(feature = "sqlite")]
use strata::mem::MemTier;
use strata::sql::Dialect;
#[cfg(feature = "pg")]
use strata::{BoundSchema, Timestamp, pg::PgConfig};
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
        _ => of_postgres(registry, servers)?,
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
    let tier = strata::sqlite::SqliteTier::open(&unmade).await?;
    let builder = registry.add_to(Store::builder().near(MemTier::new()).tier(tier));
    // A migration opens no journal, but is refused to models that want one where there is none.
    let builder = builder.configure(|settings| settings.journal = Some(unmade));
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
fn of_postgres(registry: &Registry, servers: &Servers) -> Result<Statements, Failure> {
    let variables = environment::variables(servers)?;
    let set = |name: &str| variables.get(name).map_or("", String::as_str);
    // It stands for any server, as none is asked.
    let mut config = PgConfig::from_url("postgres://localhost")?.with_outside_writers(set("STRATA_PG_OUTSIDE_WRITERS") == "true");
    for extension in set("STRATA_PG_EXTENSIONS").split(',').map(str::trim).filter(|name| !name.is_empty()) {
        config = config.with_extension(extension);
    }
    let bound: Vec<_> = registry.models().iter().filter_map(|model| model.bound()).collect();
    let referred = |schema: &BoundSchema| {
        // Bound anew, as a schema cannot be copied.
        let own = BoundSchema::standalone(schema.definition()).with_names(schema.table(), schema.key_prefix());
        bound.iter().fold(own, BoundSchema::with_referred)
    };
    let all: Vec<_> = bound.iter().map(referred).collect();
    let now = Timestamp::from_system_time(SystemTime::now()).unwrap_or(Timestamp::MIN);
    let statements = config.create_statements(&all.iter().collect::<Vec<_>>(), now).into_iter();
    Ok(statements.map(|(schema, statement)| (schema.map(str::to_owned), statement)).collect())
}

#[cfg(not(feature = "pg"))]
fn of_postgres(_: &Registry, _: &Servers) -> Result<Statements, Failure> {
    Err(Failure::Usage("this program cannot tell PostgreSQL's tables; turn on the feature `pg` of strata-cli".to_owned()))
}
