//! What cannot be asked of encrypted columns.

use crate::schema::ColumnDefinition;

/// Why values of an encrypted column cannot be compared so.
pub(crate) fn why_incomparable(column: &ColumnDefinition) -> String {
    if column.encryption.is_some_and(|encryption| encryption.blind_index.is_some()) {
        format!(
            "`{}` is encrypted, and its blind index tells a store alone whether values are equal; compare it with `eq`, `ne` or `one_of` in a query of a store, \
             at most to the microsecond, or read the records and compare them in Rust",
            column.name
        )
    } else {
        format!(
            "`{}` is encrypted, so the database cannot compare it; declare it `#[schema(encrypted, index)]` (or `unique`) to find equal values, or read the \
             records and compare them in Rust",
            column.name
        )
    }
}

/// Why rows cannot be ordered by a column, if they cannot.
pub(super) fn why_unordered(column: &ColumnDefinition) -> Option<String> {
    let field = column.blind_of.or(column.encryption.map(|_| column.name))?;
    Some(format!("`{field}` is encrypted, so the database cannot order by it; order by another column, or sort the records in Rust"))
}
