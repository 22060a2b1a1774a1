//! The description of a model's columns and indexes.

use std::sync::OnceLock;

use super::constraint::{CheckDefinition, ReferenceDefinition};
use super::fingerprint;
use super::index::IndexDefinition;
use super::partition::PartitionDefinition;
use super::policy::Policies;
use crate::value::ColumnType;

/// What is known of a model at compile time.
///
/// ```
/// use store_core::{ColumnType, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: Option<String>,
/// }
///
/// let definition = City::definition();
/// assert_eq!(definition.name(), "city");
/// assert_eq!(definition.position("name"), Some(1));
/// assert_eq!(definition.columns()[1].column_type, ColumnType::Text);
/// assert!(definition.columns()[1].nullable);
/// ```
#[derive(Debug)]
pub struct SchemaDefinition {
    name: &'static str,
    columns: Vec<ColumnDefinition>,
    key: Vec<usize>,
    indexes: Vec<IndexDefinition>,
    partition: Option<PartitionDefinition>,
    references: Vec<ReferenceDefinition>,
    checks: Vec<CheckDefinition>,
    policies: Policies,
    version: u32,
    fingerprint: OnceLock<u64>,
}

impl SchemaDefinition {
    /// Describes a model. `columns` holds the key columns too, in the order of the struct's fields.
    pub fn new(name: &'static str, columns: Vec<ColumnDefinition>, indexes: Vec<IndexDefinition>, policies: Policies) -> Self {
        let key = (0..columns.len()).filter(|&position| columns[position].is_key).collect();
        let (partition, references, checks) = (None, Vec::new(), Vec::new());
        SchemaDefinition { name, columns, key, indexes, partition, references, checks, policies, version: 1, fingerprint: OnceLock::new() }
    }

    /// The same with a table that is divided.
    #[must_use]
    pub fn with_partition(mut self, partition: PartitionDefinition) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The same with references to other models.
    #[must_use]
    pub fn with_references(mut self, references: Vec<ReferenceDefinition>) -> Self {
        self.references = references;
        self
    }

    /// The same with conditions that every record meets.
    #[must_use]
    pub fn with_checks(mut self, checks: Vec<CheckDefinition>) -> Self {
        self.checks = checks;
        self
    }

    /// The same, as this version of the model. 1 is what a model has that says nothing.
    #[must_use]
    pub fn with_version(self, version: u32) -> Self {
        SchemaDefinition { version, fingerprint: OnceLock::new(), ..self }
    }

    /// The version of the model's layout.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The schema's name: the struct's in snake case unless the model says otherwise.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The columns, in the order of the struct's fields.
    pub fn columns(&self) -> &[ColumnDefinition] {
        &self.columns
    }

    /// The positions of the key columns in [`columns`](Self::columns), in key order.
    pub fn key_positions(&self) -> &[usize] {
        &self.key
    }

    /// The key columns, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &ColumnDefinition> {
        self.key.iter().map(|&position| &self.columns[position])
    }

    /// The position of a column by name.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name == column)
    }

    /// The indexes that the model declares on the struct; those of single fields are in their columns.
    pub fn indexes(&self) -> &[IndexDefinition] {
        &self.indexes
    }

    /// How the table is divided; `None` where it is not.
    pub fn partition(&self) -> Option<&PartitionDefinition> {
        self.partition.as_ref()
    }

    /// The references to other models.
    pub fn references(&self) -> &[ReferenceDefinition] {
        &self.references
    }

    /// The conditions that every record meets.
    pub fn checks(&self) -> &[CheckDefinition] {
        &self.checks
    }

    /// The policies that the model declares.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// A number that changes whenever the layout of encoded records does: schema name, version, and name, type, nullability and order of the columns.
    pub fn fingerprint(&self) -> u64 {
        *self.fingerprint.get_or_init(|| fingerprint::of(self, self.name, self.name))
    }

    /// The fingerprint that the layout had when its model was called so.
    pub(crate) fn fingerprint_as(&self, name: &str, table: &str) -> u64 {
        fingerprint::of(self, name, table)
    }
}

/// One column of a schema.
///
/// ```
/// use store_core::{ColumnDefinition, ColumnType};
///
/// let email = ColumnDefinition { nullable: true, unique: true, ..ColumnDefinition::new("email", ColumnType::Text) };
/// assert!(!email.is_key);
/// ```
#[derive(Debug, Clone)]
pub struct ColumnDefinition {
    /// The column's name: the field's.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// Whether it is part of the primary key.
    pub is_key: bool,
    /// Whether no two rows may hold the same value.
    pub unique: bool,
    /// Whether it has an index of its own.
    pub indexed: bool,
    /// The value that the database puts where a writer gives none.
    pub default: Option<DefaultValue>,
    /// Whether the store stamps it with the time of the write.
    pub stamp: Stamp,
    /// Which tiers hold it.
    pub residence: Residence,
    /// Whether its value is a tag of the record.
    pub is_tag: bool,
    /// Says that every tier but memory holds it encrypted, as [`Bytes`](ColumnType::Bytes).
    pub encryption: Option<Encryption>,
    /// The encrypted column whose blind index this one is.
    pub blind_of: Option<&'static str>,
    /// Writes a JSON document that the field reads, for rows which are older than the column; `None` where no such document is known.
    pub filler: fn() -> Option<String>,
}

impl ColumnDefinition {
    /// A required column without index, default or stamp.
    pub const fn new(name: &'static str, column_type: ColumnType) -> Self {
        ColumnDefinition {
            name,
            column_type,
            nullable: false,
            is_key: false,
            unique: false,
            indexed: false,
            default: None,
            stamp: Stamp::Never,
            residence: Residence::Everywhere,
            is_tag: false,
            encryption: None,
            blind_of: None,
            filler: || None,
        }
    }

    /// The type of the column in records of the shared tier.
    pub(crate) fn shared_type(&self) -> ColumnType {
        match self.encryption {
            // Plain bytes are written as text there, so that they are never taken for encrypted ones.
            Some(Encryption { plain_type: ColumnType::Bytes, plain_in_l2: true, .. }) => ColumnType::Text,
            Some(Encryption { plain_type, plain_in_l2: true, .. }) => plain_type,
            _ => self.column_type,
        }
    }
}

/// How a column is encrypted.
///
/// ```
/// use store_core::{ColumnType, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(encrypted, unique)]
///     email: String,
/// }
///
/// let email = &Player::definition().columns()[1];
/// let encryption = email.encryption.expect("it is encrypted");
/// assert_eq!((email.column_type, encryption.plain_type), (ColumnType::Bytes, ColumnType::Text));
/// assert_eq!(encryption.blind_index, Some("email_blind"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    /// What the field holds.
    pub plain_type: ColumnType,
    /// Whether records of the shared tier hold it as it is (`plain_in_l2`).
    pub plain_in_l2: bool,
    /// The column by which the truth finds equal values (`index`, `unique`).
    pub blind_index: Option<&'static str>,
}

/// A default as the model wrote it.
///
/// ```
/// use store_core::{DefaultValue, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(default = 1)]
///     level: i64,
/// }
///
/// assert_eq!(Player::definition().columns()[1].default, Some(DefaultValue::Integer(1)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'static str),
}

/// When the store writes the current time into a column.
///
/// ```
/// use std::time::SystemTime;
/// use store_core::{Schema, Stamp};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(auto_now_add)]
///     created_at: SystemTime,
/// }
///
/// assert_eq!(Player::definition().columns()[1].stamp, Stamp::OnInsert);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// Never: the model's value counts.
    #[default]
    Never,
    /// When the record is first inserted; kept on update (`auto_now_add`).
    OnInsert,
    /// On every write (`auto_now`).
    OnWrite,
}

/// Which tiers hold a column.
///
/// ```
/// use store_core::{Deferred, Residence, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(omit_cache)]
///     password_hash: Deferred<String>,
/// }
///
/// assert_eq!(Player::definition().columns()[1].residence, Residence::TruthOnly);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residence {
    /// All of them.
    #[default]
    Everywhere,
    /// All but memory (`omit_l1`).
    NotNear,
    /// The tier of truth alone (`omit_cache`).
    TruthOnly,
}
