//! Queries and counts as SQL.

use std::fmt::Write;

use super::condition::ConditionWriter;
use super::dialect::{Dialect, VERSION_COLUMN};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Count, Select};
use crate::query::Direction;
use crate::schema::BoundSchema;
use crate::value::Value;

/// SQL and the values for its placeholders.
///
/// ```
/// use store_core::facet::Select;
/// use store_core::sql::{self, Dialect};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let schema = BoundSchema::standalone(City::definition());
/// let statement = sql::select(Dialect::Sqlite, &schema, &Select { columns: Some(vec![1]), ..Select::default() })?;
/// assert_eq!(statement.sql, r#"SELECT "name", "_version" FROM "city""#);
/// assert_eq!(statement.columns, [1]);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// The values of the placeholders, in order.
    pub params: Vec<Value<'static>>,
    /// The positions in the schema of the columns that it answers, in order; the version follows as the last column. Empty for a count.
    pub columns: Vec<usize>,
}

/// The statement of a query.
///
/// # Errors
///
/// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for unknown columns and for raw conditions that do not fit their values.
///
/// ```
/// use store_core::facet::Select;
/// use store_core::sql::{self, Dialect};
/// use store_core::{BoundSchema, Schema, Value};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let schema = BoundSchema::standalone(City::definition());
/// let large = Select { filter: Some(City::population().gt(1_000_000)), limit: Some(20), ..Select::default() };
/// let statement = sql::select(Dialect::Postgres, &schema, &large)?;
/// assert!(statement.sql.ends_with(r#"FROM "city" WHERE "population" > $1 LIMIT 20"#));
/// assert_eq!(statement.params, [Value::from(1_000_000)]);
/// # Ok::<(), store_core::Error>(())
/// ```
pub fn select(dialect: Dialect, schema: &BoundSchema, select: &Select) -> Result<Statement> {
    let definition = schema.definition();
    let columns = select.columns.clone().unwrap_or_else(|| (0..definition.columns().len()).collect());
    let mut sql = String::from("SELECT ");
    for &position in &columns {
        let column = definition.columns().get(position).ok_or_else(|| {
            let reason = format!("there is no column at position {position}, counted from 0");
            Error::new(ErrorKind::InvalidQuery, reason).with_schema(schema.name())
        })?;
        sql.push_str(&dialect.quote(column.name));
        sql.push_str(", ");
    }
    let _ = write!(sql, "{} FROM {}", dialect.quote(VERSION_COLUMN), dialect.quote_table(schema.table()));
    let mut writer = ConditionWriter { dialect, schema, params: Vec::new() };
    if let Some(filter) = &select.filter {
        sql.push_str(" WHERE ");
        writer.write(filter, &mut sql)?;
    }
    for (position, order) in select.order.iter().enumerate() {
        sql.push_str(if position == 0 { " ORDER BY " } else { ", " });
        match &order.similar_to {
            None => sql.push_str(&writer.column(&order.column)?),
            Some(text) => writer.similarity(&order.column, text, &mut sql)?,
        }
        sql.push_str(match order.direction {
            Direction::Ascending => " ASC",
            Direction::Descending => " DESC",
        });
        let nullable = definition.position(&order.column).is_some_and(|position| definition.columns()[position].nullable);
        if nullable {
            // What is alike nothing comes behind what is hardly alike.
            sql.push_str(match (order.direction, &order.similar_to) {
                (Direction::Ascending, None) | (Direction::Descending, Some(_)) => " NULLS LAST",
                (Direction::Descending, None) | (Direction::Ascending, Some(_)) => " NULLS FIRST",
            });
        }
    }
    let largest = i64::MAX.unsigned_abs();
    if let Some(limit) = select.limit {
        let _ = write!(sql, " LIMIT {}", limit.min(largest));
    } else if select.offset > 0 && dialect == Dialect::Sqlite {
        sql.push_str(" LIMIT -1");
    }
    if select.offset > 0 {
        let _ = write!(sql, " OFFSET {}", select.offset.min(largest));
    }
    Ok(Statement { sql, params: writer.params, columns })
}

/// The statement of a count.
///
/// # Errors
///
/// As [`select`].
///
/// ```
/// use store_core::facet::Count;
/// use store_core::sql::{self, Dialect};
/// use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let schema = BoundSchema::standalone(City::definition());
/// let statement = sql::count(Dialect::Sqlite, &schema, &Count::default())?;
/// assert_eq!(statement.sql, r#"SELECT COUNT(*) FROM "city""#);
/// # Ok::<(), store_core::Error>(())
/// ```
pub fn count(dialect: Dialect, schema: &BoundSchema, count: &Count) -> Result<Statement> {
    let mut sql = format!("SELECT COUNT(*) FROM {}", dialect.quote_table(schema.table()));
    let mut writer = ConditionWriter { dialect, schema, params: Vec::new() };
    if let Some(filter) = &count.filter {
        sql.push_str(" WHERE ");
        writer.write(filter, &mut sql)?;
    }
    Ok(Statement { sql, params: writer.params, columns: Vec::new() })
}
