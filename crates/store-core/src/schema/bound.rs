//! A schema as one store uses it: the definition with all choices made.

use std::sync::OnceLock;
use std::time::Duration;

use super::constraint::ReferenceDefinition;
use super::definition::{Residence, SchemaDefinition};
use super::policy::{Eviction, Policies, WriteMode};
use crate::settings::Settings;
use crate::upgrade::UpgradePolicy;

/// A schema within a store: its definition, and every policy resolved against the store's defaults. Tiers get it with each call.
///
/// ```
/// use std::time::Duration;
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(l1(ttl = "60s"))]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// let schema = BoundSchema::standalone(City::definition()).with_names("city_of_one_test", "city-of-one-test");
/// assert_eq!(schema.table(), "city_of_one_test");
/// assert_eq!(schema.near_ttl(), Some(Duration::from_secs(60)));
/// assert_eq!(schema.shared_ttl(), Some(Duration::from_secs(30 * 60)));
/// ```
#[derive(Debug)]
pub struct BoundSchema {
    definition: &'static SchemaDefinition,
    table: String,
    /// Of each reference, the table that it refers to.
    referred_tables: Vec<String>,
    key_prefix: String,
    near_ttl: Option<Duration>,
    near_max_entries: Option<u64>,
    near_eviction: Eviction,
    shared_ttl: Option<Duration>,
    negative_ttl: Option<Duration>,
    write_mode: WriteMode,
    cache_only: bool,
    upgrade_policy: UpgradePolicy,
    upgrades_incomplete: bool,
    shared_positions: Vec<usize>,
    near_positions: Vec<usize>,
    fingerprint: OnceLock<u64>,
}

impl BoundSchema {
    /// Binds a definition with its own policies and the usual defaults, for using a tier without a store (as its tests do).
    pub fn standalone(definition: &'static SchemaDefinition) -> Self {
        Self::bind(definition, definition.policies(), &Settings::default())
    }

    pub(crate) fn bind(definition: &'static SchemaDefinition, policies: &Policies, settings: &Settings) -> Self {
        let table = policies.truth.table.clone().unwrap_or_else(|| definition.name().to_owned());
        BoundSchema {
            definition,
            referred_tables: definition.references().iter().map(|reference| declared_table(definition, reference, &table)).collect(),
            table,
            key_prefix: policies.shared.key_prefix.clone().unwrap_or_else(|| definition.name().to_owned()),
            near_ttl: policies.near.ttl.resolve(settings.l1_ttl),
            near_max_entries: policies.near.max_entries.or(settings.l1_max_entries),
            near_eviction: policies.near.eviction.unwrap_or(settings.l1_eviction),
            shared_ttl: policies.shared.ttl.resolve(settings.l2_ttl),
            negative_ttl: policies.negative_ttl.or(settings.negative_ttl),
            write_mode: policies.write_mode.unwrap_or(settings.write_mode),
            cache_only: policies.cache_only,
            upgrade_policy: policies.upgrades.policy.unwrap_or(settings.upgrade_policy),
            upgrades_incomplete: policies.upgrades.incomplete,
            shared_positions: held_by(definition, |residence| residence != Residence::TruthOnly),
            near_positions: held_by(definition, |residence| residence == Residence::Everywhere),
            fingerprint: OnceLock::new(),
        }
    }

    /// The same schema under another table and key prefix, so that tests can share a server.
    #[must_use]
    pub fn with_names(mut self, table: impl Into<String>, key_prefix: impl Into<String>) -> Self {
        self.table = table.into();
        self.refer(self.definition, &self.table.clone());
        self.key_prefix = key_prefix.into();
        self.fingerprint = OnceLock::new();
        self
    }

    /// The same schema with its references to another one led to that one's table.
    #[must_use]
    pub fn with_referred(mut self, other: &BoundSchema) -> Self {
        self.refer(other.definition, &other.table);
        self
    }

    /// Leads the references to a model to its table.
    pub(crate) fn refer(&mut self, target: &SchemaDefinition, table: &str) {
        for (reference, referred) in self.definition.references().iter().zip(&mut self.referred_tables) {
            if std::ptr::eq((reference.target)(), target) {
                table.clone_into(referred);
            }
        }
    }

    /// What the model says.
    pub fn definition(&self) -> &'static SchemaDefinition {
        self.definition
    }

    /// The schema's name.
    pub fn name(&self) -> &'static str {
        self.definition.name()
    }

    /// The SQL table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The references to other models, each with the table of the one that it refers to.
    pub fn references(&self) -> impl Iterator<Item = (&'static ReferenceDefinition, &str)> {
        self.definition.references().iter().zip(self.referred_tables.iter().map(String::as_str))
    }

    /// What stands between `strata:` and the key's text in the shared tier.
    pub fn key_prefix(&self) -> &str {
        &self.key_prefix
    }

    /// The layout's fingerprint; with encrypted fields also of the table, to which ciphertexts are bound.
    pub fn fingerprint(&self) -> u64 {
        *self.fingerprint.get_or_init(|| self.fingerprint_of(self.definition))
    }

    /// The fingerprint of records that a version of the model wrote.
    pub(crate) fn fingerprint_of(&self, version: &SchemaDefinition) -> u64 {
        version.fingerprint_as(self.definition.name(), &self.table)
    }

    /// How long memory keeps an entry; `None` until evicted.
    pub fn near_ttl(&self) -> Option<Duration> {
        self.near_ttl
    }

    /// The most entries that memory holds; `None` for no limit.
    pub fn near_max_entries(&self) -> Option<u64> {
        self.near_max_entries
    }

    /// Which entry leaves memory first.
    pub fn near_eviction(&self) -> Eviction {
        self.near_eviction
    }

    /// How long the shared tier keeps a record; `None` until evicted.
    pub fn shared_ttl(&self) -> Option<Duration> {
        self.shared_ttl
    }

    /// How long it is remembered that a key has no record; `None` for not at all.
    pub fn negative_ttl(&self) -> Option<Duration> {
        self.negative_ttl
    }

    /// How writes travel.
    pub fn write_mode(&self) -> WriteMode {
        self.write_mode
    }

    /// Whether the schema has no truth tier on purpose.
    pub fn is_cache_only(&self) -> bool {
        self.cache_only
    }

    /// What becomes of what was upgraded while it was read.
    pub fn upgrade_policy(&self) -> UpgradePolicy {
        self.upgrade_policy
    }

    /// Whether a cached record is upgraded though it lacks columns.
    pub(crate) fn upgrades_incomplete(&self) -> bool {
        self.upgrades_incomplete
    }

    /// The positions of the columns that records of the shared tier hold.
    pub fn shared_positions(&self) -> &[usize] {
        &self.shared_positions
    }

    /// The positions of the columns that memory holds.
    pub fn near_positions(&self) -> &[usize] {
        &self.near_positions
    }
}

fn held_by(definition: &SchemaDefinition, holds: impl Fn(Residence) -> bool) -> Vec<usize> {
    (0..definition.columns().len()).filter(|&position| holds(definition.columns()[position].residence)).collect()
}

/// The table of a reference as the models alone say it.
fn declared_table(definition: &SchemaDefinition, reference: &ReferenceDefinition, table: &str) -> String {
    let target = (reference.target)();
    if std::ptr::eq(target, definition) {
        return table.to_owned();
    }
    target.policies().truth.table.clone().unwrap_or_else(|| target.name().to_owned())
}
