//! What the database must have before a schema's table and indexes can be made.

use super::dialect::Dialect;
use crate::schema::{BoundSchema, IndexKind};

/// Something that a schema needs of PostgreSQL, beside its table.
///
/// ```
/// use store_core::sql::{Requirement, requirements};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(table = "game.player")]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(index(kind = "gin_trigram"))]
///     name: String,
/// }
///
/// let needed = requirements(&BoundSchema::standalone(Player::definition()));
/// assert_eq!(needed, [Requirement::Namespace("game".into()), Requirement::Extension("pg_trgm")]);
/// assert_eq!(needed[1].create_statement(), r#"CREATE EXTENSION IF NOT EXISTS "pg_trgm""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// A schema of the database, in which the table lies.
    Namespace(String),
    /// An extension.
    Extension(&'static str),
}

impl Requirement {
    /// The statement that makes it if it is missing.
    pub fn create_statement(&self) -> String {
        match self {
            Requirement::Namespace(name) => format!("CREATE SCHEMA IF NOT EXISTS {}", Dialect::Postgres.quote(name)),
            Requirement::Extension(name) => format!("CREATE EXTENSION IF NOT EXISTS {}", Dialect::Postgres.quote(name)),
        }
    }
}

/// What a schema needs of PostgreSQL, in the order in which it is made.
pub fn requirements(schema: &BoundSchema) -> Vec<Requirement> {
    let namespace = Dialect::Postgres.split_table(schema.table()).0.map(|name| Requirement::Namespace(name.to_owned()));
    let has_trigrams = schema.definition().indexes().iter().any(|index| index.kind == IndexKind::GinTrigram);
    namespace.into_iter().chain(has_trigrams.then_some(Requirement::Extension("pg_trgm"))).collect()
}
