//! What the attributes said: the form between reading and expansion.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Path, Visibility};

use super::field_type::FieldType;
use crate::runtime::Runtime;

/// A struct that derives `Schema`.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) runtime: Runtime,
    /// The schema's name.
    pub(crate) name: String,
    /// Where the name stands, or what it is made of.
    pub(crate) name_span: Span,
    pub(crate) fields: Vec<Field>,
    /// Whether a field has a tag that could not be read: what seems to be missing may be that one.
    pub(crate) has_unreadable_tags: bool,
    /// Those of the struct, then those that stand on a field and are more than `index`.
    pub(crate) indexes: Vec<Index>,
    pub(crate) partition: Option<Partition>,
    pub(crate) references: Vec<Reference>,
    pub(crate) checks: Vec<Check>,
    pub(crate) policies: Policies,
    pub(crate) version: Versions,
}

impl Model {
    /// The fields that are columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.tags.has(Tag::Skip))
    }

    /// The fields that make the primary key.
    pub(crate) fn key(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.tags.has(Tag::PrimaryKey))
    }
}

/// One field.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// The column's name: the field's without `r#`.
    pub(crate) column: String,
    pub(crate) field_type: FieldType,
    pub(crate) tags: Tags,
}

impl Field {
    /// The name of the column by which the truth finds equal values of an encrypted field.
    pub(crate) fn blind_index(&self) -> Option<String> {
        let has_one = self.tags.has(Tag::Encrypted) && (self.tags.has(Tag::Unique) || self.tags.has(Tag::Index));
        has_one.then(|| format!("{}_blind", self.column))
    }
}

/// An argument that a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    PrimaryKey,
    Unique,
    Index,
    Nullable,
    Default,
    AutoNowAdd,
    AutoNow,
    OmitCache,
    OmitL1,
    OfRecord,
    References,
    Check,
    Skip,
    Encrypted,
    PlainInL2,
    Vector,
}

impl Tag {
    pub(crate) const ALL: [Tag; 16] = [
        Tag::PrimaryKey,
        Tag::Unique,
        Tag::Index,
        Tag::Nullable,
        Tag::Default,
        Tag::AutoNowAdd,
        Tag::AutoNow,
        Tag::OmitCache,
        Tag::OmitL1,
        Tag::OfRecord,
        Tag::References,
        Tag::Check,
        Tag::Skip,
        Tag::Encrypted,
        Tag::PlainInL2,
        Tag::Vector,
    ];

    /// As the user writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Tag::PrimaryKey => "primary_key",
            Tag::Unique => "unique",
            Tag::Index => "index",
            Tag::Nullable => "nullable",
            Tag::Default => "default",
            Tag::AutoNowAdd => "auto_now_add",
            Tag::AutoNow => "auto_now",
            Tag::OmitCache => "omit_cache",
            Tag::OmitL1 => "omit_l1",
            Tag::OfRecord => "tag",
            Tag::References => "references",
            Tag::Check => "check",
            Tag::Skip => "skip",
            Tag::Encrypted => "encrypted",
            Tag::PlainInL2 => "plain_in_l2",
            Tag::Vector => "vector",
        }
    }
}

/// The tags of one field.
#[derive(Default)]
pub(crate) struct Tags {
    pub(crate) given: Vec<(Tag, Span)>,
    pub(crate) default: Option<DefaultLiteral>,
}

impl Tags {
    pub(crate) fn has(&self, tag: Tag) -> bool {
        self.span(tag).is_some()
    }

    /// Where the tag stands.
    pub(crate) fn span(&self, tag: Tag) -> Option<Span> {
        self.given.iter().find(|(given, _)| *given == tag).map(|(_, span)| *span)
    }
}

/// The literal of `default = …`.
pub(crate) struct DefaultLiteral {
    pub(crate) value: DefaultValue,
    /// The literal as written.
    pub(crate) tokens: TokenStream,
    pub(crate) span: Span,
}

/// What a default is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DefaultValue {
    Bool(bool),
    Integer(i64),
    Double(f64),
    Text(String),
}

/// An index of columns.
pub(crate) struct Index {
    pub(crate) span: Span,
    pub(crate) columns: Vec<Ident>,
    pub(crate) unique: bool,
    pub(crate) kind: IndexKind,
    /// Where the kind stands; the index where it is the usual one.
    pub(crate) kind_span: Span,
    pub(crate) include: Vec<Ident>,
    pub(crate) condition: Option<(String, Span)>,
    pub(crate) name: Option<(String, Span)>,
}

/// How an index finds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexKind {
    BTree,
    GinTrigram,
}

impl IndexKind {
    /// The variant of the runtime's `IndexKind`.
    pub(crate) const fn variant(self) -> &'static str {
        match self {
            IndexKind::BTree => "BTree",
            IndexKind::GinTrigram => "GinTrigram",
        }
    }
}

/// `partition_by(…)`.
pub(crate) struct Partition {
    pub(crate) span: Span,
    pub(crate) column: Ident,
    pub(crate) partitioning: Partitioning,
}

/// What a partition holds.
pub(crate) enum Partitioning {
    Range { every: Period, ahead: u32 },
    List { values: Vec<DefaultLiteral> },
    Hash { partitions: u32 },
}

/// How long a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    Days(u32),
    Months(u32),
}

/// `references(…)`.
pub(crate) struct Reference {
    pub(crate) span: Span,
    pub(crate) columns: Vec<Ident>,
    /// The model that is referred to.
    pub(crate) target: Path,
    pub(crate) target_columns: Vec<Ident>,
    /// The variant of `OnDelete`.
    pub(crate) on_delete: &'static str,
    pub(crate) on_delete_span: Span,
}

/// `check = "…"`.
pub(crate) struct Check {
    pub(crate) span: Span,
    /// The field that it stands on.
    pub(crate) column: Option<String>,
    pub(crate) condition: String,
    pub(crate) condition_span: Span,
}

/// The policies that the struct declares.
#[derive(Default)]
pub(crate) struct Policies {
    pub(crate) l1: Option<NearPolicy>,
    pub(crate) l2: Option<SharedPolicy>,
    pub(crate) l3: Option<TruthPolicy>,
    /// Milliseconds.
    pub(crate) negative_ttl: Option<u64>,
    /// The variant of `WriteMode`.
    pub(crate) write_mode: Option<&'static str>,
    /// Where `cache_only` stands.
    pub(crate) cache_only: Option<Span>,
    /// The variant of `UpgradePolicy`.
    pub(crate) upgrade_policy: Option<&'static str>,
    /// Where `upgrade_incomplete` stands.
    pub(crate) upgrade_incomplete: Option<Span>,
}

/// `version` and `upgrade_from`, of a model or a document.
#[derive(Default)]
pub(crate) struct Versions {
    pub(crate) version: Option<(u32, Span)>,
    /// The type of the version before.
    pub(crate) older: Option<(Path, Span)>,
    /// Whether one of them could not be read: what seems to be missing may be that one.
    pub(crate) is_unreadable: bool,
}

/// `l1(…)`.
#[derive(Default)]
pub(crate) struct NearPolicy {
    pub(crate) ttl: Option<Lifetime>,
    pub(crate) max_entries: Option<u64>,
    /// The variant of `Eviction`.
    pub(crate) eviction: Option<&'static str>,
}

/// `l2(…)`.
#[derive(Default)]
pub(crate) struct SharedPolicy {
    pub(crate) ttl: Option<Lifetime>,
    pub(crate) key_prefix: Option<String>,
}

/// `l3(…)`.
pub(crate) struct TruthPolicy {
    pub(crate) span: Span,
    pub(crate) table: Option<String>,
}

/// How long entries live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Inherit,
    Never,
    Milliseconds(u64),
}
