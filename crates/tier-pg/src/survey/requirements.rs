//! What the database lacks before tables can be made: its schemas, and extensions.

use std::sync::Arc;

use store_core::sql::{Requirement, requirements};
use store_core::{Blocking, BoundSchema};

use super::{Survey, Task, step, task};
use crate::catalog::mismatch;
use crate::error::Failure;
use crate::pool::Lease;

/// Adds what is missing, each once.
pub(super) async fn add(lease: &Lease, schemas: &[Arc<BoundSchema>], new: &mut Vec<Task>, survey: &mut Survey) -> Result<(), Failure> {
    let mut seen = Vec::new();
    for schema in schemas {
        for requirement in requirements(schema) {
            if seen.contains(&requirement) {
                continue;
            }
            let (what, why, is_there) = match &requirement {
                Requirement::Namespace(name) => {
                    const TEXT: &str = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::TEXT";
                    let is_there = lease.query_opt(TEXT, &[name]).await?.is_some();
                    (format!("make the schema `{name}`"), "a model's table lies in it", is_there)
                }
                Requirement::Extension(name) => match is_reached(lease, name).await? {
                    Some(false) => {
                        let message = format!(
                            "the extension `{name}` lies in a schema of the database that is not on the search path; add that one to `search_path`, or run: \
                             ALTER EXTENSION {name} SET SCHEMA public"
                        );
                        survey.refuse(schema.name(), mismatch(schema, message).into())?;
                        continue;
                    }
                    found => (format!("make the extension `{name}`"), "an index of a model needs it", found.is_some()),
                },
            };
            let sql = requirement.create_statement();
            if !is_there && !new.iter().any(|task| task.step.sql == sql) {
                new.push(task(None, None, step(None, what, why, sql, Blocking::Nobody)));
            }
            seen.push(requirement);
        }
    }
    Ok(())
}

/// Whether what an extension brings is found by its name; `None` where there is no such extension.
async fn is_reached(lease: &Lease, extension: &str) -> Result<Option<bool>, Failure> {
    const TEXT: &str = "SELECT n.nspname = ANY (current_schemas(true)) FROM pg_catalog.pg_extension AS e \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = $1::TEXT";
    let row = lease.query_opt(TEXT, &[&extension]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
