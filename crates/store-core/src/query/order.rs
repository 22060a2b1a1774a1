//! The order of a query's rows.

use super::column_name::ColumnName;
use super::encrypted::why_unordered;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::SchemaDefinition;

/// Which way.
///
/// ```
/// use store_core::{Direction, Order};
///
/// let newest = Order { column: "created_at".into(), direction: Direction::Descending, similar_to: None };
/// assert_eq!(newest.direction.reverse(), Direction::Ascending);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Lowest first; NULL last.
    Ascending,
    /// Highest first; NULL first.
    Descending,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Direction::Ascending => Direction::Descending,
            Direction::Descending => Direction::Ascending,
        }
    }
}

/// One criterion of an order: a typed column, or a column's name, which is checked against the schema.
///
/// ```
/// use store_core::Order;
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// // By name, as from a client's request.
/// assert_eq!(Order::from("population"), City::population().asc());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The column's name in the schema.
    pub column: ColumnName,
    /// Which way.
    pub direction: Direction,
    /// Orders by how alike the column's text is to this one instead of by the text itself.
    pub similar_to: Option<String>,
}

impl Order {
    /// Whether a place in the order can be told apart by what it orders by: another criterion of the same adds nothing.
    fn is_of(&self, other: &Order) -> bool {
        self.column == other.column && self.similar_to == other.similar_to
    }
}

impl From<&'static str> for Order {
    fn from(column: &'static str) -> Self {
        Order { column: column.into(), direction: Direction::Ascending, similar_to: None }
    }
}

impl From<String> for Order {
    fn from(column: String) -> Self {
        Order { column: column.into(), direction: Direction::Ascending, similar_to: None }
    }
}

/// Refuses unknown columns, and adds the key columns that the order lacks, so that it is total.
pub(super) fn complete(order: &[Order], definition: &SchemaDefinition) -> Result<Vec<Order>> {
    let mut complete: Vec<Order> = Vec::with_capacity(order.len() + definition.key_positions().len());
    for criterion in order {
        let position = criterion.column.position_in(definition);
        let problem = position.map_or_else(Some, |position| why_unordered(&definition.columns()[position]));
        if let Some(reason) = problem {
            let shown = criterion.column.escape_debug();
            return Err(Error::new(ErrorKind::InvalidQuery, format!("cannot order by `{shown}`: {reason}")).with_schema(definition.name()));
        }
        if complete.iter().all(|present| !present.is_of(criterion)) {
            complete.push(criterion.clone());
        }
    }
    let direction = complete.last().map_or(Direction::Ascending, |last| last.direction);
    for key in definition.key_columns() {
        let by_key = Order { column: key.name.into(), direction, similar_to: None };
        if complete.iter().all(|present| !present.is_of(&by_key)) {
            complete.push(by_key);
        }
    }
    Ok(complete)
}
