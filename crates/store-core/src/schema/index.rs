//! The indexes that a model declares.

/// An index over one or more columns.
///
/// ```
/// use store_core::{IndexDefinition, IndexKind, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(index(columns(region, level), unique))]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(index(kind = "gin_trigram"))]
///     name: String,
///     region: String,
///     level: i64,
/// }
///
/// let names = IndexDefinition { columns: vec!["name"], kind: IndexKind::GinTrigram, ..IndexDefinition::default() };
/// let ranks = IndexDefinition { columns: vec!["region", "level"], unique: true, ..IndexDefinition::default() };
/// assert_eq!(Player::definition().indexes(), [ranks, names]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexDefinition {
    /// The index's name; made of table and columns if the model gives none.
    pub name: Option<&'static str>,
    /// The columns, in order.
    pub columns: Vec<&'static str>,
    /// Whether no two rows may agree in all the columns.
    pub unique: bool,
    /// How it finds rows.
    pub kind: IndexKind,
    /// Columns that it holds without ordering by them, so that queries for these need not look at the table.
    pub include: Vec<&'static str>,
    /// SQL that says which rows it holds; `None` for all.
    pub condition: Option<&'static str>,
}

/// How an index finds rows.
///
/// ```
/// use store_core::IndexKind;
///
/// assert_eq!(IndexKind::default(), IndexKind::BTree);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IndexKind {
    /// In the order of the columns: by equality, ranges and prefixes of the columns.
    #[default]
    BTree,
    /// By the groups of three characters that texts have in common, for [`similar`](crate::Column::similar) and `LIKE` with a wildcard in front. PostgreSQL needs the
    /// extension `pg_trgm`; SQLite has no such index, and looks at every row.
    GinTrigram,
}
