//! Conditions on rows.

use std::fmt;
use std::ops::Not;

use super::column_name::ColumnName;
use crate::value::Value;

/// Conditions nested deeper than any person or cursor writes, well before the stack or SQLite's own limit ends.
pub(crate) const DEEPEST: usize = 200;

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
/// let large = Filter::Compare { column: "population".into(), comparison: Comparison::Greater, value: 1_000_000.into() };
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
    /// `LIKE`, with `%` and `_` as wildcards and `\` before those, and before a `\`, meant literally. Case counts.
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
///
/// `Debug` shows columns and no values, which may be those of encrypted fields.
#[derive(Clone, PartialEq)]
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
        column: ColumnName,
        /// How.
        comparison: Comparison,
        /// The value.
        value: Value<'static>,
    },
    /// A column among values.
    OneOf {
        /// The column's name in the schema.
        column: ColumnName,
        /// The values.
        values: Vec<Value<'static>>,
    },
    /// A column whose text is alike another, by the groups of three characters that they have in common.
    Similar {
        /// The column's name in the schema.
        column: ColumnName,
        /// The text.
        text: String,
        /// The least that they have in common, from 0 to 1.
        threshold: f32,
    },
    /// A column that is NULL.
    IsNull {
        /// The column's name in the schema.
        column: ColumnName,
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
        column: ColumnName,
        /// What was wrong with the value.
        reason: String,
    },
    /// A condition that was nested more than 200 levels deep, dropped when it was built; a query refuses it.
    TooDeep,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::All(parts) => f.debug_tuple("All").field(parts).finish(),
            Filter::Any(parts) => f.debug_tuple("Any").field(parts).finish(),
            Filter::Not(inner) => f.debug_tuple("Not").field(inner).finish(),
            Filter::Compare { column, comparison, .. } => write!(f, "Compare({column}, {comparison:?}, …)"),
            Filter::OneOf { column, values } => write!(f, "OneOf({column}, {} values)", values.len()),
            Filter::Similar { column, threshold, .. } => write!(f, "Similar({column}, …, {threshold})"),
            Filter::IsNull { column } => write!(f, "IsNull({column})"),
            Filter::Raw { sql, params } => write!(f, "Raw({sql:?}, {} values)", params.len()),
            Filter::Invalid { column, reason } => write!(f, "Invalid({column}, {reason:?})"),
            Filter::TooDeep => f.write_str("TooDeep"),
        }
    }
}

impl Filter {
    /// Both.
    #[must_use]
    pub fn and(self, other: Filter) -> Filter {
        match self {
            Filter::All(mut parts) if other.fits(1) => {
                parts.push(other);
                Filter::All(parts)
            }
            first if other.fits(1) && first.fits(1) => Filter::All(vec![first, other]),
            _ => Filter::TooDeep,
        }
    }

    /// Either.
    #[must_use]
    pub fn or(self, other: Filter) -> Filter {
        match self {
            Filter::Any(mut parts) if other.fits(1) => {
                parts.push(other);
                Filter::Any(parts)
            }
            first if other.fits(1) && first.fits(1) => Filter::Any(vec![first, other]),
            _ => Filter::TooDeep,
        }
    }

    /// Whether it may stand so many levels deep. What cannot is never built, since its drop would end the stack.
    fn fits(&self, depth: usize) -> bool {
        depth <= DEEPEST
            && match self {
                Filter::All(parts) | Filter::Any(parts) => parts.iter().all(|part| part.fits(depth + 1)),
                Filter::Not(inner) => inner.fits(depth + 1),
                Filter::TooDeep => false,
                _ => true,
            }
    }
}

impl Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        if self.fits(1) { Filter::Not(Box::new(self)) } else { Filter::TooDeep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Filter {
        Filter::IsNull { column: "level".into() }
    }

    #[test]
    fn conditions_of_any_length_are_built_and_those_of_any_depth_end() {
        let wide = (0..30_000).fold(leaf(), |list, _| list.or(leaf()));
        assert!(matches!(&wide, Filter::Any(parts) if parts.len() == 30_001));
        assert!(matches!((0..DEEPEST).fold(leaf(), |inner, _| !inner), Filter::Not(_)));
        for deep in [
            (0..30_000).fold(leaf(), |inner, _| !inner),
            (0..30_000).fold(leaf(), |inner, _| inner.or(leaf()).and(leaf())),
            (0..30_000).fold(leaf(), |inner, _| leaf().and(leaf().or(inner))),
            (0..=DEEPEST).fold(leaf(), |inner, _| !inner),
        ] {
            assert_eq!(deep, Filter::TooDeep);
        }
        assert_eq!(
            (!Filter::TooDeep, leaf().and(Filter::TooDeep), Filter::TooDeep.or(leaf())),
            (Filter::TooDeep, Filter::TooDeep, Filter::TooDeep)
        );
    }
}
