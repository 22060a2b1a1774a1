//! What must hold before a store may exist.

use std::collections::HashSet;
use std::sync::Arc;

use super::registration::Registration;
use crate::behind::Acknowledge;
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Journals, Log, Migrations, MissingIndex, Records, Tables, Wakes};
use crate::guard::Guard;
use crate::schema::{BoundSchema, Lifetime, WriteMode};
use crate::settings::{Settings, out_of_range};
use crate::sql::{Dialect, LONGEST_NAME, index_plans, partition_plans};
use crate::tier::{Role, Tier};
use crate::timestamp::Timestamp;

/// The first codec number that is not Strata's own.
const FIRST_OF_PROGRAMS: u8 = 128;

/// The facets that the tiers below memory give.
#[derive(Default)]
pub(super) struct Stack {
    pub(super) records: Option<Arc<dyn Records>>,
    pub(super) tables: Option<Arc<dyn Tables>>,
    pub(super) migrations: Option<Arc<dyn Migrations>>,
    pub(super) log: Option<Arc<dyn Log>>,
    pub(super) journals: Option<Arc<dyn Journals>>,
    /// From near to far.
    pub(super) wakes: Vec<Arc<dyn Wakes>>,
}

/// Refuses to go on without a table, a column or a unique index, for stores that may make none. Other indexes are a matter of speed.
pub(crate) async fn tables(tables: &dyn Migrations, schemas: &[Arc<BoundSchema>]) -> Result<()> {
    let missing = tables.missing_tables(schemas).await?;
    if missing.is_empty() {
        tables.check_columns(schemas).await?;
        return indexes(tables.missing_indexes(schemas).await?);
    }
    let message = format!(
        "the database lacks `{}`, which the store may not make as the setting `create_tables` is off; turn it on, or call `migrate` of the \
         builder's `migrator()` as a user who may make tables",
        missing.join("`, `")
    );
    Err(Error::new(ErrorKind::SchemaMismatch, message))
}

fn indexes(missing: Vec<MissingIndex>) -> Result<()> {
    let (unique, others): (Vec<_>, Vec<_>) = missing.into_iter().partition(|index| index.plan.unique);
    for MissingIndex { schema, plan, statement } in others {
        tracing::warn!(
            schema,
            index = plan.name,
            statement,
            "the table lacks an index of the model, so that queries may be slow; run the statement"
        );
    }
    let Some(first) = unique.first() else { return Ok(()) };
    let names: Vec<_> = unique.iter().map(|index| format!("`{}`", index.plan.name)).collect();
    let statements: Vec<_> = unique.iter().map(|index| index.statement.as_str()).collect();
    let message = format!(
        "without the unique index {}, rows that the model rules out could be written, and the store may not make it as the setting `create_tables` is off; run: {}",
        names.join(", "),
        statements.join("; ")
    );
    let error = Error::new(ErrorKind::SchemaMismatch, message).with_schema(first.schema);
    Err(match first.plan.columns[..] {
        [column] => error.with_column(column),
        _ => error,
    })
}

/// `guards` stand before the tiers, in the same order.
pub(super) fn stack(has_near: bool, tiers: &[Arc<dyn Tier>], guards: &[Guard], problems: &mut Vec<String>) -> Stack {
    let mut stack = Stack::default();
    let mut last: Option<Role> = None;
    for (tier, guard) in tiers.iter().zip(guards) {
        let (name, role) = (tier.name(), tier.role());
        if last.is_some_and(|last| last == role) {
            problems.push(format!("two tiers have the role {role}; the second is `{name}`: leave one out"));
        } else if last.is_some_and(|last| last > role) {
            problems.push(format!("`{name}` ({role}) stands below a farther tier; give tiers from near to far"));
        }
        last = Some(role);
        let facets = guard.facets(Arc::clone(tier).facets());
        stack.wakes.extend(facets.wakes);
        match role {
            Role::Near => problems.push(format!("`{name}` is a memory tier; give it to `near`, not to `tier`")),
            Role::Shared if facets.records.is_none() => problems.push(format!("`{name}` cannot be the shared tier: it has no `records`")),
            Role::Shared => stack.records = facets.records,
            Role::Truth if facets.tables.is_none() => problems.push(format!("`{name}` cannot be the tier of truth: it has no `tables`")),
            Role::Truth if facets.log.is_none() => problems.push(format!("`{name}` cannot be the tier of truth: it has no `log`")),
            Role::Truth => {
                (stack.tables, stack.log, stack.journals) = (facets.tables, facets.log, facets.journals);
                stack.migrations = facets.migrations;
            }
            Role::Ledger => problems.push(format!("`{name}`: a ledger tier is not supported by this version; leave it out")),
        }
    }
    if tiers.is_empty() && !has_near {
        problems.push("the store has no tier; give it at least one, such as the embedded pair of memory and SQLite".to_owned());
    }
    stack
}

pub(super) fn schemas<N>(
    schemas: &[Box<dyn Registration<N>>],
    bound: &[Arc<BoundSchema>],
    stack: &Stack,
    has_near: bool,
    settings: &Settings,
    problems: &mut Vec<String>,
) {
    // Schemas that were given in the wrong place were told of already.
    if schemas.is_empty() && problems.is_empty() {
        problems.push("the store has no schema; add `.schema::<YourModel>()`".to_owned());
    }
    for (registration, schema) in schemas.iter().zip(bound) {
        let mut problem = |text: String| problems.push(format!("schema `{}`: {text}", schema.name()));
        if !schema.is_cache_only() && stack.tables.is_none() {
            problem(
                "it needs a tier of truth; add PostgreSQL or SQLite (`DATABASE_URL` for `from_env`), or mark the model `#[schema(cache_only)]` if losing it is fine"
                    .to_owned(),
            );
        }
        if schema.is_cache_only() && stack.records.is_none() && !has_near {
            problem("it is `cache_only`, and the store has no memory or shared tier to hold it; add one".to_owned());
        }
        if schema.is_cache_only() && schema.shared_positions().len() < schema.definition().columns().len() {
            problem(
                "it is `cache_only` and leaves out columns (`omit_cache`), which no tier would hold; store it in a tier of truth"
                    .to_owned(),
            );
        }
        if schema.write_mode() == WriteMode::WriteBehind {
            let acknowledge = registration.acknowledge().unwrap_or(settings.write_behind.acknowledge);
            let lacking = if schema.is_cache_only() {
                Some("write-behind needs a tier of truth to write to, and it is `cache_only`; use `write_through`")
            } else if stack.tables.is_some() && stack.journals.is_none() {
                Some("write-behind needs a tier of truth that keeps `journals`, which this one does not; use `write_through`")
            } else if acknowledge == Acknowledge::Journal && settings.journal.is_none() {
                Some(
                    "write-behind acknowledges writes by a journal, and the store has none; give it a directory (`.journal(…)`, STRATA_JOURNAL), or let it acknowledge \
                     by `Memory`, if what is pending may be lost, or by `Truth`",
                )
            } else {
                None
            };
            lacking.into_iter().for_each(|text| problem(text.to_owned()));
        }
        let is_memory = schema.is_cache_only() && stack.records.is_none();
        if is_memory && schema.write_mode() == WriteMode::WriteThroughLazyL1 {
            problem("memory is its only tier, so it cannot be filled by the next read; use `write_through`".to_owned());
        }
        if is_memory && schema.near_positions().len() < schema.definition().columns().len() {
            problem("memory is its only tier and leaves out columns (`omit_l1`), which no tier would hold; add a shared tier".to_owned());
        }
        let policies = registration.policies();
        for (tier, lifetime) in [("l1", policies.near.ttl), ("l2", policies.shared.ttl)] {
            if let Lifetime::For(ttl) = lifetime
                && let Some(out_of_range) = out_of_range(ttl)
            {
                problem(format!("its life time in {tier} {out_of_range}, or `Lifetime::Never` for no end"));
            }
        }
        if let Some(out_of_range) = policies.negative_ttl.and_then(out_of_range) {
            problem(format!("its `negative_ttl` {out_of_range}, or none to remember no absence"));
        }
        if policies.near.max_entries == Some(0) || registration.max_weight() == Some(0) {
            problem("its memory tier may hold nothing; leave the limit out, or raise it".to_owned());
        }
        let table = schema.table();
        if !table.split('.').all(is_table_name) || table.split('.').count() > 2 {
            problem(format!(
                "`{}` cannot be a table: a name has 1 to {LONGEST_NAME} bytes and does not begin with `_strata`; one dot may part the name of a schema of the \
                 database from it",
                table.escape_debug()
            ));
        }
        let prefix = schema.key_prefix();
        if prefix.is_empty() || prefix.starts_with('_') || prefix.chars().any(char::is_control) {
            problem(format!(
                "`{}` cannot be a key prefix: it is not empty, does not begin with `_`, and has no control characters",
                prefix.escape_debug()
            ));
        }
    }
}

fn is_table_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('\0') && !name.starts_with("_strata")
}

pub(super) fn duplicates<N>(schemas: &[Box<dyn Registration<N>>], bound: &[Arc<BoundSchema>]) -> Result<()> {
    let mut types = HashSet::new();
    for registration in schemas {
        if !types.insert(registration.type_id()) {
            return Err(Error::new(ErrorKind::SchemaDuplicate, "the model was added twice; add it once")
                .with_schema(registration.definition().name()));
        }
    }
    for (position, schema) in bound.iter().enumerate() {
        if let Some(twice) = named_twice(schema) {
            let message = format!(
                "schema `{}`: two of its table, its primary key, its indexes and its partitions have the name `{twice}`; give the index another",
                schema.name()
            );
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        for other in &bound[..position] {
            let clash = if schema.name() == other.name() {
                Some("another model has this name; rename one with `#[schema(name = \"…\")]`".to_owned())
            } else if !schema.is_cache_only() && !other.is_cache_only() && schema.table().eq_ignore_ascii_case(other.table()) {
                Some(format!("it shares the table `{}` with schema `{}`; give one of them another", schema.table(), other.name()))
            } else if one_begins_with_the_other(schema.key_prefix(), other.key_prefix()) {
                Some(format!(
                    "its key prefix `{}` and `{}` of schema `{}` would give different records one key; give one of them another",
                    schema.key_prefix(),
                    other.key_prefix(),
                    other.name()
                ))
            } else {
                shared_index(schema, other).map(|index| {
                    format!(
                        "the name `{index}` of one of its indexes or partitions is taken by schema `{}`; give one of the indexes or tables another name",
                        other.name()
                    )
                })
            };
            if let Some(clash) = clash {
                return Err(Error::new(ErrorKind::SchemaDuplicate, clash).with_schema(schema.name()));
            }
        }
    }
    Ok(())
}

/// A database has one namespace for all indexes and tables, or one for each of its schemas, and leaves out an index whose name is taken.
fn shared_index(schema: &BoundSchema, other: &BoundSchema) -> Option<String> {
    let taken = names_of(other);
    names_of(schema).into_iter().find(|name| taken.iter().any(|taken| taken.eq_ignore_ascii_case(name)))
}

/// What a schema has in that namespace.
fn names_of(schema: &BoundSchema) -> Vec<String> {
    if schema.is_cache_only() {
        return Vec::new();
    }
    let (namespace, table) = Dialect::Postgres.split_table(schema.table());
    let within = |name: &str| namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}.{name}"));
    let indexes = index_plans(Dialect::Postgres, schema).into_iter().map(|index| within(&index.name));
    // PostgreSQL's own name for the index of the primary key.
    let primary_key = within(&format!("{table}_pkey"));
    [schema.table().to_owned(), primary_key].into_iter().chain(indexes).chain(partitions_of(schema)).collect()
}

/// The names of partitions that do not depend on the time.
fn partitions_of(schema: &BoundSchema) -> Vec<String> {
    let any_time = Timestamp::from_microseconds(0).into_iter();
    any_time.flat_map(|moment| partition_plans(schema, moment)).filter(|plan| plan.span.is_none()).map(|plan| plan.table).collect()
}

/// A name that two things of one schema have. Values of partitions may differ in case alone, since PostgreSQL tells their names apart.
fn named_twice(schema: &BoundSchema) -> Option<String> {
    let (names, partitions) = (names_of(schema), partitions_of(schema));
    let is_same = |name: &String, other: &String| name == other || (name.eq_ignore_ascii_case(other) && !partitions.contains(name));
    names.iter().enumerate().find(|(place, name)| names[..*place].iter().any(|other| is_same(name, other))).map(|(_, name)| name.clone())
}

fn one_begins_with_the_other(first: &str, second: &str) -> bool {
    let (first, second) = (format!("{first}:"), format!("{second}:"));
    first.starts_with(&second) || second.starts_with(&first)
}

/// All codecs to read with: those that the program gave come first, because it asked for them.
pub(super) fn codecs(given: Vec<Arc<dyn Codec>>, built_in: Vec<Arc<dyn Codec>>, problems: &mut Vec<String>) -> Vec<Arc<dyn Codec>> {
    let is_same = |one: &Arc<dyn Codec>, other: &Arc<dyn Codec>| format!("{one:?}") == format!("{other:?}");
    for (position, codec) in given.iter().enumerate() {
        let is_own = built_in.iter().any(|other| other.id() == codec.id() && is_same(other, codec));
        if codec.id() < FIRST_OF_PROGRAMS && !is_own {
            let problem = format!("the codec number {} is Strata's own; give your own one from {FIRST_OF_PROGRAMS} up", codec.id());
            problems.push(problem);
        } else if given[..position].iter().any(|other| other.id() == codec.id() && !is_same(other, codec)) {
            problems.push(format!("two codecs have the number {}; give one of them another", codec.id()));
        }
    }
    given.into_iter().chain(built_in).collect()
}
