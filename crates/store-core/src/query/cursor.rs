//! Places in an order, for reading page by page.

use std::fmt::{self, Write};
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

use super::filter::{Comparison, Filter};
use super::order::{Direction, Order};
use crate::codec::{Codec, PostcardCodec};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Schema, SchemaDefinition};
use crate::value::{ColumnType, Row, Value};

/// The place behind one record in a query's order. Rows inserted or deleted elsewhere do not move it.
///
/// Its text form holds the record's values of the ordered columns, unencrypted; it may travel to a client and back. A cursor of another
/// order or schema is refused as [`InvalidQuery`](ErrorKind::InvalidQuery).
///
/// ```
/// use store_core::{Cursor, ErrorKind, Query, sql::Dialect};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// // As a client sent it back.
/// let cursor: Cursor = "9c1f0a64d2b85e37018e02".parse()?;
/// assert_eq!(cursor.to_string(), "9c1f0a64d2b85e37018e02");
///
/// let foreign: Query<City> = Query::new().order_by(City::name()).after(cursor);
/// assert_eq!(foreign.to_sql(Dialect::Sqlite).unwrap_err().kind(), ErrorKind::InvalidQuery);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    order: u64,
    encoded: Vec<u8>,
}

impl Cursor {
    pub(super) fn behind<T: Schema>(record: &T, order: &[Order]) -> Result<Self> {
        Self::behind_row(&record.to_row()?, order, T::definition())
    }

    /// The place behind a row of a tier.
    pub(crate) fn behind_row(row: &[Value<'_>], order: &[Order], definition: &SchemaDefinition) -> Result<Self> {
        let mut values = Vec::with_capacity(order.len());
        for criterion in order {
            if criterion.similar_to.is_some() {
                let refused = Error::new(ErrorKind::InvalidQuery, "a cursor cannot stand in an order by similarity; use `offset`");
                return Err(refused.with_schema(definition.name()).with_column(criterion.column.to_name()));
            }
            let value = definition.position(&criterion.column).and_then(|position| row.get(position));
            let problem = match value {
                Some(Value::Unset) | None => "a cursor needs every ordered column, and this deferred one was not loaded; order by another",
                // Its text here need not be the text there.
                Some(Value::Json(_)) => "a cursor cannot stand in an order by nested values; order by another column",
                Some(value) => {
                    values.push(value.as_borrowed());
                    continue;
                }
            };
            let refused = Error::new(ErrorKind::InvalidQuery, problem);
            return Err(refused.with_schema(definition.name()).with_column(criterion.column.to_name()));
        }
        Ok(Cursor { order: order_hash(order, definition), encoded: PostcardCodec.encode(&values)? })
    }

    /// The condition that holds for the rows behind the place.
    pub(super) fn condition(&self, order: &[Order], definition: &SchemaDefinition) -> Result<Filter> {
        let foreign = || {
            Error::new(ErrorKind::InvalidQuery, "the cursor belongs to another order or schema; start again from the first page")
                .with_schema(definition.name())
        };
        if self.order != order_hash(order, definition) || order.iter().any(|criterion| criterion.similar_to.is_some()) {
            return Err(foreign());
        }
        let mut columns = Vec::with_capacity(order.len());
        for criterion in order {
            let position = definition.position(&criterion.column).ok_or_else(foreign)?;
            columns.push(&definition.columns()[position]);
        }
        let types: Vec<ColumnType> = columns.iter().map(|column| column.column_type).collect();
        let values: Row<'static> = PostcardCodec.decode(&types, &self.encoded).map_err(|_| foreign())?;
        if values.contains(&Value::Unset) {
            return Err(foreign());
        }

        // (a, b) > (x, y) is a > x OR (a = x AND b > y), with NULL at the end that the order puts it.
        let mut alternatives = Vec::with_capacity(order.len());
        let mut equal_so_far: Vec<Filter> = Vec::new();
        for ((criterion, column), value) in order.iter().zip(&columns).zip(values) {
            let name = column.name;
            if let Some(beyond) = strictly_behind(name, column.nullable, criterion.direction, &value) {
                let mut parts = equal_so_far.clone();
                parts.push(beyond);
                alternatives.push(Filter::All(parts));
            }
            equal_so_far.push(match value {
                Value::Null => Filter::IsNull { column: name.into() },
                value => Filter::Compare { column: name.into(), comparison: Comparison::Equal, value },
            });
        }
        Ok(Filter::Any(alternatives))
    }
}

/// The rows strictly behind a value in one column; `None` if there can be none.
fn strictly_behind(column: &'static str, nullable: bool, direction: Direction, value: &Value<'static>) -> Option<Filter> {
    match (direction, value) {
        (Direction::Ascending, Value::Null) => None,
        (Direction::Descending, Value::Null) => Some(!Filter::IsNull { column: column.into() }),
        (Direction::Ascending, value) => {
            let greater = Filter::Compare { column: column.into(), comparison: Comparison::Greater, value: value.clone() };
            Some(if nullable { greater.or(Filter::IsNull { column: column.into() }) } else { greater })
        }
        (Direction::Descending, value) => {
            Some(Filter::Compare { column: column.into(), comparison: Comparison::Less, value: value.clone() })
        }
    }
}

fn order_hash(order: &[Order], definition: &SchemaDefinition) -> u64 {
    let mut text = format!("{}\n{:016x}", definition.name(), definition.fingerprint());
    for criterion in order {
        // A String takes whatever is written.
        let _ = write!(text, "\n{}|{:?}", criterion.column, criterion.direction);
        if let Some(similar) = &criterion.similar_to {
            let _ = write!(text, "|{similar:?}");
        }
    }
    xxh3_64(text.as_bytes())
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.order)?;
        self.encoded.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || Error::new(ErrorKind::InvalidQuery, "the text is no cursor; pass on unchanged what an earlier page gave");
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || text.len() < 16 || !text.len().is_multiple_of(2) {
            return Err(malformed());
        }
        let (order, encoded) = text.split_at(16);
        Ok(Cursor {
            order: u64::from_str_radix(order, 16).map_err(|_| malformed())?,
            encoded: (0..encoded.len())
                .step_by(2)
                .map(|start| u8::from_str_radix(&encoded[start..start + 2], 16).map_err(|_| malformed()))
                .collect::<Result<_>>()?,
        })
    }
}
