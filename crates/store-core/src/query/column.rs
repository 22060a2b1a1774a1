//! A model's column as the compiler knows it.

use std::fmt;
use std::marker::PhantomData;

use super::column_name::ColumnName;
use super::filter::{Comparison, Filter};
use super::operand::Operand;
use super::order::{Direction, Order};
use crate::error::Result;
use crate::value::Value;

/// A column of the model `T` whose field has the type `F`. The derive macro makes one function for each: `City::population()`.
///
/// ```
/// use store_core::{Query, sql::Dialect};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let place = City::name().like("San %").and(City::population().between(10_000, 50_000));
/// let query: Query<City> = Query::new().filter(place).order_by(City::name().desc());
/// assert!(query.to_sql(Dialect::Postgres)?.0.contains(r#"("name" LIKE $1 ESCAPE '\' AND ("population" >= $2 AND "population" <= $3))"#));
/// # Ok::<(), store_core::Error>(())
/// ```
pub struct Column<T, F> {
    schema: &'static str,
    name: &'static str,
    decode: fn(Value<'static>) -> Result<F>,
    model: PhantomData<fn() -> T>,
}

impl<T, F> Column<T, F> {
    #[doc(hidden)]
    pub const fn new(schema: &'static str, name: &'static str, decode: fn(Value<'static>) -> Result<F>) -> Self {
        Column { schema, name, decode, model: PhantomData }
    }

    const fn full_name(&self) -> ColumnName {
        ColumnName::of_schema(self.schema, self.name)
    }

    pub(crate) fn decode_value(&self, value: Value<'static>) -> Result<F> {
        (self.decode)(value).map_err(|error| error.with_column(self.name))
    }

    /// The column's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Lowest first; NULL last.
    pub fn asc(self) -> Order {
        Order { column: self.full_name(), direction: Direction::Ascending }
    }

    /// Highest first; NULL first.
    pub fn desc(self) -> Order {
        Order { column: self.full_name(), direction: Direction::Descending }
    }

    /// The column is NULL.
    pub fn is_null(self) -> Filter {
        Filter::IsNull { column: self.full_name() }
    }

    /// The column is not NULL.
    pub fn is_not_null(self) -> Filter {
        !self.is_null()
    }

    fn with_operand(self, operand: &impl Operand<F>, build: impl FnOnce(Value<'static>) -> Filter) -> Filter {
        match operand.to_operand() {
            Ok(value) => build(value),
            Err(error) => Filter::Invalid { column: self.full_name(), reason: error.to_string() },
        }
    }

    fn compare(self, comparison: Comparison, operand: &impl Operand<F>) -> Filter {
        self.with_operand(operand, |value| Filter::Compare { column: self.full_name(), comparison, value })
    }

    /// Equal.
    pub fn eq(self, value: impl Operand<F>) -> Filter {
        self.compare(Comparison::Equal, &value)
    }

    /// Not equal.
    pub fn ne(self, value: impl Operand<F>) -> Filter {
        self.compare(Comparison::NotEqual, &value)
    }

    /// Less than.
    pub fn lt(self, value: impl Operand<F>) -> Filter {
        self.compare(Comparison::Less, &value)
    }

    /// Less than or equal.
    pub fn le(self, value: impl Operand<F>) -> Filter {
        self.compare(Comparison::LessOrEqual, &value)
    }

    /// Greater than.
    pub fn gt(self, value: impl Operand<F>) -> Filter {
        self.compare(Comparison::Greater, &value)
    }

    /// Greater than or equal.
    pub fn ge(self, value: impl Operand<F>) -> Filter {
        self.compare(Comparison::GreaterOrEqual, &value)
    }

    /// Between two values, both included.
    pub fn between(self, low: impl Operand<F>, high: impl Operand<F>) -> Filter {
        self.ge(low).and(self.le(high))
    }

    /// One of the values; no row if there are none.
    pub fn one_of<V: Operand<F>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        match values.into_iter().map(|value| value.to_operand()).collect() {
            Ok(values) => Filter::OneOf { column: self.full_name(), values },
            Err(error) => Filter::Invalid { column: self.full_name(), reason: crate::Error::to_string(&error) },
        }
    }
}

impl<T> Column<T, String> {
    /// Matches a pattern with `%` and `_` as wildcards; `\` stands before those, and before a `\`, meant literally. Case counts.
    pub fn like(self, pattern: &str) -> Filter {
        self.compare(Comparison::Like, &pattern)
    }
}

impl<T> Column<T, Option<String>> {
    /// Matches a pattern with `%` and `_` as wildcards; `\` stands before those, and before a `\`, meant literally. Case counts.
    pub fn like(self, pattern: &str) -> Filter {
        self.compare(Comparison::Like, &pattern)
    }
}

impl<T, F> Clone for Column<T, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, F> Copy for Column<T, F> {}

impl<T, F> fmt::Debug for Column<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column({})", self.name)
    }
}

impl<T, F> From<Column<T, F>> for Order {
    fn from(column: Column<T, F>) -> Order {
        column.asc()
    }
}
