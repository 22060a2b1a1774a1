//! What the database is to refuse beside what a column's type does.

use super::definition::SchemaDefinition;

/// A reference of some columns to those of another model, or of the same one: each record names one that exists.
///
/// ```
/// use store_core::{OnDelete, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Team {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(references(Team::id, on_delete = "cascade"))]
///     team: i64,
/// }
///
/// let team = &Player::definition().references()[0];
/// assert_eq!((team.columns.as_slice(), (team.target)().name(), team.target_columns.as_slice()), (&["team"][..], "team", &["id"][..]));
/// assert_eq!(team.on_delete, OnDelete::Cascade);
/// ```
#[derive(Debug, Clone)]
pub struct ReferenceDefinition {
    /// The columns that refer.
    pub columns: Vec<&'static str>,
    /// The model that is referred to.
    pub target: fn() -> &'static SchemaDefinition,
    /// Its columns, in the order of those that refer to them: its key, or unique ones.
    pub target_columns: Vec<&'static str>,
    /// What becomes of the record when the one that it refers to is deleted.
    pub on_delete: OnDelete,
}

/// What becomes of the records that refer to one that is deleted.
///
/// ```
/// use store_core::OnDelete;
///
/// assert!(OnDelete::Cascade.changes_records() && !OnDelete::default().changes_records());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnDelete {
    /// They keep it from being deleted.
    #[default]
    Restrict,
    /// They are deleted with it.
    Cascade,
    /// They refer to nothing from then on.
    SetNull,
}

impl OnDelete {
    /// Whether the database then changes records that nobody wrote.
    pub const fn changes_records(self) -> bool {
        !matches!(self, OnDelete::Restrict)
    }
}

/// A condition that every record meets.
///
/// ```
/// use store_core::{CheckDefinition, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(check = "level <= highest_level")]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(check = "level > 0")]
///     level: i64,
///     highest_level: i64,
/// }
///
/// let of_level = CheckDefinition { column: Some("level"), condition: "level > 0" };
/// assert!(Player::definition().checks().contains(&of_level));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckDefinition {
    /// The column that the model declares it on; `None` for one of the whole record.
    pub column: Option<&'static str>,
    /// The condition in SQL.
    pub condition: &'static str,
}
