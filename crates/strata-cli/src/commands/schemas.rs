//! The models, and the SQL of their tables.

use std::time::SystemTime;

use serde_json::json;
use strata::sql::{Dialect, create_all_statements};
use strata::{BoundSchema, Timestamp};

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

pub(super) fn dump(
    registry: &Registry,
    schema: Option<&str>,
    dialect: Option<Dialect>,
    servers: &Servers,
    output: &Output,
) -> Result<Answer, Failure> {
    let chosen = schema.map(|name| registry.model(name).map_err(Failure::Usage)).transpose()?;
    let all = registry.models().iter().map(|model| &**model);
    let models = chosen.map_or_else(|| all.collect(), |model| vec![model]);
    let dialect = dialect.unwrap_or_else(|| match environment::variables(servers).get("DATABASE_URL") {
        Some(url) if url.starts_with("sqlite:") => Dialect::Sqlite,
        _ => Dialect::Postgres,
    });
    let bound: Vec<_> =
        models.iter().map(|model| BoundSchema::standalone(model.definition())).filter(|bound| !bound.is_cache_only()).collect();
    let now = Timestamp::from_system_time(SystemTime::now()).unwrap_or(Timestamp::MIN);
    for (schema, statement) in create_all_statements(dialect, &bound.iter().collect::<Vec<_>>(), now) {
        if !output.show(|| format!("{statement};"), || json!({ "schema": schema, "statement": statement })) {
            break;
        }
    }
    Ok(Answer::Yes)
}
