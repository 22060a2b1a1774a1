//! Queries: typed columns, raw SQL for the rest, order, limits, cursors and projections.

mod assignment;
mod column;
mod column_name;
mod cursor;
mod encrypted;
mod filter;
mod operand;
mod order;
mod projection;

pub use assignment::{Assignment, Changes, IntoField};
pub use column::{Column, SIMILARITY};
pub use column_name::ColumnName;
pub use cursor::Cursor;
pub(crate) use encrypted::why_incomparable;
pub(crate) use filter::DEEPEST;
pub use filter::{Comparison, Filter};
pub use operand::Operand;
pub use order::{Direction, Order};
pub use projection::{Columns, Projection};

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, ErrorKind, Result};
use crate::facet::Select;
use crate::schema::{BoundSchema, Schema};
use crate::sql::{self, Dialect};
use crate::value::Value;

/// The most rows that a search answers unless its query says otherwise. Streams and counts have no limit of their own.
pub const DEFAULT_LIMIT: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Default,
    Rows(u64),
    None,
}

/// The values for a raw condition's `$1`, `$2`, … Times are cut to the microsecond, towards the past, as stored ones are.
///
/// ```
/// use std::time::SystemTime;
/// use store_core::{params, Value};
///
/// let values: Vec<Value<'static>> = params![10, "eu-west", true, None::<i64>, SystemTime::now()];
/// assert_eq!(values.len(), 5);
/// ```
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        ::std::vec![$($crate::Value::into_owned($crate::Value::from($value))),*]
    };
}

/// A search over the records of one model.
///
/// Without an order, rows come in the order of their keys. Values are always sent apart from the SQL text, and column names come from the schema.
///
/// ```
/// use store_core::{Query, Value, params, sql::Dialect};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
///     population: i64,
/// }
///
/// let large: Query<City> = Query::new()
///     .filter(City::population().ge(1_000_000))
///     .where_sql("length(name) < $1", params![10])
///     .order_by(City::population())
///     .desc()
///     .limit(20);
/// let (sql, values) = large.to_sql(Dialect::Postgres)?;
/// assert!(sql.contains(r#"WHERE ("population" >= $1 AND (length(name) < $2))"#), "{sql}");
/// assert_eq!(values, [Value::from(1_000_000), Value::from(10)]);
/// # Ok::<(), store_core::Error>(())
/// ```
pub struct Query<T> {
    filter: Option<Filter>,
    order: Vec<Order>,
    limit: Limit,
    offset: u64,
    after: Option<Cursor>,
    model: PhantomData<fn() -> T>,
}

impl<T> Query<T> {
    /// Every record, up to [`DEFAULT_LIMIT`].
    pub fn new() -> Self {
        Query { filter: None, order: Vec::new(), limit: Limit::Default, offset: 0, after: None, model: PhantomData }
    }

    /// Adds a condition; several are joined by AND.
    #[must_use]
    pub fn filter(mut self, condition: Filter) -> Self {
        self.filter = Some(match self.filter {
            Some(present) => present.and(condition),
            None => condition,
        });
        self
    }

    /// Adds a condition in SQL, with `$1`, `$2`, … for the values; several conditions are joined by AND.
    ///
    /// The text is sent to the database as it is, so it must come from the program, never from a user; values belong into `params`. It means what it means
    /// there: `LIKE` in such a text heeds case in PostgreSQL and not in SQLite. Times among the values are cut to the microsecond, towards the past.
    #[must_use]
    pub fn where_sql(self, condition: impl Into<String>, params: Vec<Value<'static>>) -> Self {
        self.filter(Filter::Raw { sql: condition.into(), params })
    }

    /// Adds a criterion to the order. The key follows as the last one, in the direction of the last criterion, and ascending where there is none: rows that are equal
    /// by `order_by(Player::level().desc())` come with the highest key first. Add the key yourself to have it another way.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<Order>) -> Self {
        self.order.push(order.into());
        self
    }

    /// Turns the last criterion of the order around.
    #[must_use]
    pub fn desc(mut self) -> Self {
        if let Some(last) = self.order.last_mut() {
            last.direction = last.direction.reverse();
        }
        self
    }

    /// Answers at most `rows` rows. 0 stands for [`DEFAULT_LIMIT`].
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = if rows == 0 { Limit::Default } else { Limit::Rows(rows) };
        self
    }

    /// Answers every row. For results that may be large, use `stream`.
    #[must_use]
    pub fn no_limit(mut self) -> Self {
        self.limit = Limit::None;
        self
    }

    /// Skips `rows` rows. It costs the database the reading of them, and rows inserted meanwhile shift the page: prefer [`after`](Self::after).
    #[must_use]
    pub fn offset(mut self, rows: u64) -> Self {
        self.offset = rows;
        self
    }

    /// Continues behind a record that an earlier page ended with. The order must be the one of that page.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }
}

impl<T: Schema> Query<T> {
    /// The SQL that would run, and its values.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for what a search would refuse too.
    pub fn to_sql(&self, dialect: Dialect) -> Result<(String, Vec<Value<'static>>)> {
        let schema = BoundSchema::standalone(T::definition());
        let statement = sql::select(dialect, &schema, &self.to_select(self.search_limit())?)?;
        Ok((statement.sql, statement.params))
    }

    /// The query as tiers run it.
    pub(crate) fn to_select(&self, limit: Option<u64>) -> Result<Select> {
        let definition = T::definition();
        let order = order::complete(&self.order, definition)?;
        let mut filter = self.filter.clone();
        if let Some(cursor) = &self.after {
            let beyond = cursor.condition(&order, definition)?;
            filter = Some(match filter {
                Some(present) => present.and(beyond),
                None => beyond,
            });
        }
        Ok(Select { columns: None, filter, order, limit, offset: self.offset, ..Select::default() })
    }

    /// The same query with its conditions written anew.
    pub(crate) fn with_conditions(&self, change: impl FnOnce(Filter) -> Result<Filter>) -> Result<Self> {
        Ok(Query { filter: self.filter.clone().map(change).transpose()?, ..self.clone() })
    }

    /// The conditions.
    pub(crate) fn conditions(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// The criteria of the order, without those that follow from the schema.
    pub(crate) fn criteria(&self) -> &[Order] {
        &self.order
    }

    /// How many rows are skipped.
    pub(crate) fn skipped(&self) -> u64 {
        self.offset
    }

    /// The place that the rows come behind.
    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// The condition alone, for counting.
    pub(crate) fn condition(&self) -> Option<Filter> {
        self.filter.clone()
    }

    /// The condition of a write, which is all that the query may say.
    pub(crate) fn into_sole_condition(self) -> Result<Filter> {
        let refuse = |reason: &'static str| Error::new(ErrorKind::InvalidQuery, reason);
        if !self.order.is_empty() || self.offset > 0 || self.after.is_some() || matches!(self.limit, Limit::Rows(_)) {
            return Err(refuse(
                "a write by condition takes every record that the conditions hold for: leave out order, limit, offset and cursor; \
                 for some of them, search for their keys first",
            ));
        }
        self.filter.ok_or_else(|| {
            refuse("the query has no condition, so that every record would be meant; if it is, say so with `Filter::All(vec![])`")
        })
    }

    /// The place behind `record` in this query's order.
    pub(crate) fn cursor_behind(&self, record: &T) -> Result<Cursor> {
        Cursor::behind(record, &order::complete(&self.order, T::definition())?)
    }

    /// The most rows that a search answers.
    pub(crate) fn search_limit(&self) -> Option<u64> {
        match self.limit {
            Limit::Default => Some(DEFAULT_LIMIT),
            Limit::Rows(rows) => Some(rows),
            Limit::None => None,
        }
    }

    /// The most rows that a stream answers.
    pub(crate) fn stream_limit(&self) -> Option<u64> {
        match self.limit {
            Limit::Rows(rows) => Some(rows),
            Limit::Default | Limit::None => None,
        }
    }
}

impl<T> Default for Query<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Query<T> {
    fn clone(&self) -> Self {
        Query {
            filter: self.filter.clone(),
            order: self.order.clone(),
            limit: self.limit,
            offset: self.offset,
            after: self.after.clone(),
            model: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("filter", &self.filter)
            .field("order", &self.order)
            .field("limit", &self.limit)
            .field("offset", &self.offset)
            .field("after", &self.after)
            .finish()
    }
}

impl<T> From<Filter> for Query<T> {
    fn from(filter: Filter) -> Self {
        Query::new().filter(filter)
    }
}
