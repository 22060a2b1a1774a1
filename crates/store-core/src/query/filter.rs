//! Conditions on rows.

use std::ops::Not;

use crate::value::Value;

/// How two values are compared.
///
/// ```
/// use store_core::{Comparison, Filter};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let large = Filter::Compare { column: "population", comparison: Comparison::Greater, value: 1_000_000.into() };
/// assert_eq!(City::population().gt(1_000_000), large);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `LIKE`, with `%` and `_` as wildcards and `\` before those, and before a `\`, meant literally. PostgreSQL heeds case, SQLite does not for ASCII letters.
    Like,
}

/// A condition. Typed columns make them; they combine with [`and`](Filter::and), [`or`](Filter::or) and `!`.
///
/// As everywhere in SQL, a comparison with NULL is never true: rows whose column is NULL are found by `is_null` alone.
///
/// ```
/// use store_core::{Filter, Query, sql::Dialect};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let large_or_named: Filter = City::population().gt(1_000_000).or(City::name().one_of(["Cusco", "Puno"]));
/// let others: Query<City> = Query::from(!large_or_named);
/// let (sql, _) = others.to_sql(Dialect::Sqlite)?;
/// assert!(sql.contains(r#"WHERE NOT (("population" > ?1 OR "name" IN (?2, ?3)))"#), "{sql}");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Filter {
    /// Every one of them (all rows if there is none).
    All(Vec<Filter>),
    /// At least one of them (no row if there is none).
    Any(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// A column against a value.
    Compare {
        /// The column's name in the schema.
        column: &'static str,
        /// How.
        comparison: Comparison,
        /// The value.
        value: Value<'static>,
    },
    /// A column among values.
    OneOf {
        /// The column's name in the schema.
        column: &'static str,
        /// The values.
        values: Vec<Value<'static>>,
    },
    /// A column that is NULL.
    IsNull {
        /// The column's name in the schema.
        column: &'static str,
    },
    /// SQL of the program's own.
    Raw {
        /// The condition, with `$1`, `$2`, … for the values.
        sql: String,
        /// The values.
        params: Vec<Value<'static>>,
    },
    /// A condition that could not be built, kept until the query runs: the column, and why.
    Invalid {
        /// The column's name in the schema.
        column: &'static str,
        /// What was wrong with the value.
        reason: String,
    },
}

impl Filter {
    /// Both.
    #[must_use]
    pub fn and(self, other: Filter) -> Filter {
        match self {
            Filter::All(mut parts) => {
                parts.push(other);
                Filter::All(parts)
            }
            first => Filter::All(vec![first, other]),
        }
    }

    /// Either.
    #[must_use]
    pub fn or(self, other: Filter) -> Filter {
        match self {
            Filter::Any(mut parts) => {
                parts.push(other);
                Filter::Any(parts)
            }
            first => Filter::Any(vec![first, other]),
        }
    }
}

impl Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        Filter::Not(Box::new(self))
    }
}
