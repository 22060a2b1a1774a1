//! Columns as conditions and orders name them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use crate::schema::SchemaDefinition;

/// A column's name in the schema. Where a typed column gave it, it knows its schema too, and a query of another one refuses it.
///
/// Names are equal if their texts are.
///
/// ```
/// use store_core::{ColumnName, ErrorKind, Query, sql::Dialect};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
/// # #[derive(Schema)]
/// # struct Country {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// # }
///
/// assert_eq!(City::name().asc().column, ColumnName::from("name"));
///
/// let mistaken: Query<Country> = Query::from(City::name().eq("Lima"));
/// assert_eq!(mistaken.to_sql(Dialect::Sqlite).unwrap_err().kind(), ErrorKind::InvalidQuery);
/// ```
#[derive(Clone)]
pub struct ColumnName {
    name: Cow<'static, str>,
    schema: Option<&'static str>,
}

impl ColumnName {
    pub(super) const fn of_schema(schema: &'static str, name: &'static str) -> Self {
        ColumnName { name: Cow::Borrowed(name), schema: Some(schema) }
    }

    /// The text, for errors.
    pub(crate) fn to_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// The column's position in the schema of a query, or why it has none there.
    pub(crate) fn position_in(&self, definition: &SchemaDefinition) -> Result<usize, String> {
        let shown = self.name.escape_debug();
        match (self.schema, definition.position(&self.name)) {
            (Some(schema), _) if schema != definition.name() => {
                let queried = definition.name();
                Err(format!("the column `{shown}` is one of `{schema}`, and the query is for `{queried}`; name a column of that model"))
            }
            (_, Some(position)) => Ok(position),
            (_, None) => {
                let known: Vec<_> = definition.columns().iter().map(|column| column.name).collect();
                Err(format!("there is no column `{shown}`; the columns are {}", known.join(", ")))
            }
        }
    }
}

impl From<&'static str> for ColumnName {
    fn from(name: &'static str) -> Self {
        ColumnName { name: name.into(), schema: None }
    }
}

impl From<String> for ColumnName {
    fn from(name: String) -> Self {
        ColumnName { name: name.into(), schema: None }
    }
}

impl Deref for ColumnName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl PartialEq for ColumnName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ColumnName {}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}
