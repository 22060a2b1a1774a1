//! A model's column as the compiler knows it.

use std::fmt;
use std::marker::PhantomData;

use super::assignment::{Assignment, IntoField};
use super::column_name::ColumnName;
use super::filter::{Comparison, Filter};
use super::operand::Operand;
use super::order::{Direction, Order};
use crate::error::Result;
use crate::tag::Tag;
use crate::value::Value;

/// A column of the model `T` whose field has the type `F`. The derive macro makes one function for each: `City::population()`.
///
/// Columns hold times to the microsecond, cut towards the past. A finer time is compared as it is: it equals none, not even that of the record that was
/// written with it, and lies between its microsecond and the next.
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
    encode: fn(&F) -> Result<Value<'static>>,
    model: PhantomData<fn() -> T>,
}

impl<T, F> Column<T, F> {
    #[doc(hidden)]
    pub const fn new(
        schema: &'static str,
        name: &'static str,
        decode: fn(Value<'static>) -> Result<F>,
        encode: fn(&F) -> Result<Value<'static>>,
    ) -> Self {
        Column { schema, name, decode, encode, model: PhantomData }
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

    /// The column with a new value, for [`patch`](crate::Collection::patch).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, country: Option<String> }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// cities.patch(7, [City::name().set("Lima"), City::country().set("PE")]).await?;
    /// cities.patch(8, City::country().set(None)).await?;
    /// # Ok(()) } let _ = example;
    /// ```
    pub fn set(self, value: impl IntoField<F>) -> Assignment<T> {
        let value = (self.encode)(&value.into_field());
        Assignment::new(self.full_name(), value.map_err(|error| error.with_schema(self.schema).with_column(self.name)))
    }

    /// Lowest first; NULL last.
    pub fn asc(self) -> Order {
        Order { column: self.full_name(), direction: Direction::Ascending, similar_to: None }
    }

    /// Highest first; NULL first.
    pub fn desc(self) -> Order {
        Order { column: self.full_name(), direction: Direction::Descending, similar_to: None }
    }

    /// The column is NULL.
    pub fn is_null(self) -> Filter {
        Filter::IsNull { column: self.full_name() }
    }

    /// The column is not NULL.
    pub fn is_not_null(self) -> Filter {
        !self.is_null()
    }

    fn compare(self, comparison: Comparison, operand: &impl Operand<F>) -> Filter {
        match operand.to_operand() {
            Ok(value) if operand.is_cut() => self.compare_between(comparison, value),
            Ok(value) => self.compare_exact(comparison, value),
            Err(error) => Filter::Invalid { column: self.full_name(), reason: error.to_string() },
        }
    }

    fn compare_exact(self, comparison: Comparison, value: Value<'static>) -> Filter {
        Filter::Compare { column: self.full_name(), comparison, value }
    }

    /// Compares with what lies above `below` and under the next value that the column holds. A NULL answers neither the condition nor its opposite,
    /// as everywhere.
    fn compare_between(self, comparison: Comparison, below: Value<'static>) -> Filter {
        let lower = |value| self.compare_exact(Comparison::LessOrEqual, value);
        let higher = |value| self.compare_exact(Comparison::Greater, value);
        match comparison {
            Comparison::Equal | Comparison::Like => higher(below.clone()).and(lower(below)),
            Comparison::NotEqual => higher(below.clone()).or(lower(below)),
            Comparison::Less | Comparison::LessOrEqual => lower(below),
            Comparison::Greater | Comparison::GreaterOrEqual => higher(below),
        }
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

    /// The tag that a record has with this value in the column, which is declared `#[schema(tag)]`.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, #[schema(tag)] country: String }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// cities.invalidate_tag(City::country().tag("PE")).await?;
    /// # Ok(()) } let _ = example;
    /// ```
    pub fn tag(self, value: impl Operand<F>) -> Tag {
        Tag::of_column(self.full_name(), value.to_operand())
    }

    /// One of the values; no row if there are none.
    pub fn one_of<V: Operand<F>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        let (mut exact, mut between) = (Vec::new(), None);
        for value in values {
            match value.to_operand() {
                Ok(below) if value.is_cut() => between = Some(below),
                Ok(value) => exact.push(value),
                Err(error) => return Filter::Invalid { column: self.full_name(), reason: error.to_string() },
            }
        }
        match between {
            Some(below) if exact.is_empty() => self.compare_between(Comparison::Equal, below),
            // No column holds the others.
            _ => Filter::OneOf { column: self.full_name(), values: exact },
        }
    }
}

/// How much two texts have in common that [`similar`](Column::similar) takes for alike, as `pg_trgm` does by itself.
pub const SIMILARITY: f32 = 0.3;

fn similar_to(column: ColumnName, text: &str, threshold: f32) -> Filter {
    if (0.0..=1.0).contains(&threshold) {
        return Filter::Similar { column, text: text.to_owned(), threshold };
    }
    Filter::Invalid { column, reason: format!("texts have from 0 to 1 in common, and {threshold} is beyond that") }
}

impl<T> Column<T, String> {
    /// Matches a pattern with `%` and `_` as wildcards; `\` stands before those, and before a `\`, meant literally. Case counts.
    pub fn like(self, pattern: &str) -> Filter {
        self.compare(Comparison::Like, &pattern)
    }

    /// Is alike a text: [`similar_to`](Self::similar_to) with [`SIMILARITY`] as the least.
    pub fn similar(self, text: &str) -> Filter {
        self.similar_to(text, SIMILARITY)
    }

    /// Is alike a text by at least so much, from 0 to 1: the share of the groups of three characters that both have, of all that either has. Case and punctuation do
    /// not count. See [`sql::similarity`](crate::sql::similarity).
    ///
    /// PostgreSQL finds the rows by an index of the kind `gin_trigram` if the least is [`SIMILARITY`] or more, and looks at every row for less, as SQLite does for any.
    /// PostgreSQL needs the extension `pg_trgm`, which a model with such an index brings.
    pub fn similar_to(self, text: &str, least: f32) -> Filter {
        similar_to(self.full_name(), text, least)
    }

    /// Most alike a text first; NULL last. A query with it is read page by page with `offset`: there is no cursor for such an order.
    pub fn by_similarity(self, text: &str) -> Order {
        Order { column: self.full_name(), direction: Direction::Descending, similar_to: Some(text.to_owned()) }
    }
}

impl<T> Column<T, Option<String>> {
    /// Matches a pattern with `%` and `_` as wildcards; `\` stands before those, and before a `\`, meant literally. Case counts.
    pub fn like(self, pattern: &str) -> Filter {
        self.compare(Comparison::Like, &pattern)
    }

    /// Is alike a text: [`similar_to`](Self::similar_to) with [`SIMILARITY`] as the least.
    pub fn similar(self, text: &str) -> Filter {
        self.similar_to(text, SIMILARITY)
    }

    /// Is alike a text by at least so much, from 0 to 1: the share of the groups of three characters that both have, of all that either has. Case and punctuation do
    /// not count. See [`sql::similarity`](crate::sql::similarity).
    ///
    /// PostgreSQL finds the rows by an index of the kind `gin_trigram` if the least is [`SIMILARITY`] or more, and looks at every row for less, as SQLite does for any.
    /// PostgreSQL needs the extension `pg_trgm`, which a model with such an index brings.
    pub fn similar_to(self, text: &str, least: f32) -> Filter {
        similar_to(self.full_name(), text, least)
    }

    /// Most alike a text first; NULL last. A query with it is read page by page with `offset`: there is no cursor for such an order.
    pub fn by_similarity(self, text: &str) -> Order {
        Order { column: self.full_name(), direction: Direction::Descending, similar_to: Some(text.to_owned()) }
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;

    const NANOSECONDS: [i64; 7] = [-2_300, -2_000, -300, 0, 300, 1_000, 1_999];

    fn moment(nanoseconds: i64) -> SystemTime {
        let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
        if nanoseconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }

    /// What a condition says of a time, in microseconds.
    fn holds(filter: &Filter, stored: i64) -> bool {
        let of_value = |value: &Value<'_>| match value {
            Value::Time(time) => time.as_microseconds(),
            other => panic!("{other:?} is no time"),
        };
        match filter {
            Filter::All(parts) => parts.iter().all(|part| holds(part, stored)),
            Filter::Any(parts) => parts.iter().any(|part| holds(part, stored)),
            Filter::OneOf { values, .. } => values.iter().any(|value| of_value(value) == stored),
            Filter::Compare { comparison, value, .. } => {
                let ordering = stored.cmp(&of_value(value));
                match comparison {
                    Comparison::Equal => ordering.is_eq(),
                    Comparison::NotEqual => ordering.is_ne(),
                    Comparison::Less => ordering.is_lt(),
                    Comparison::LessOrEqual => ordering.is_le(),
                    Comparison::Greater => ordering.is_gt(),
                    Comparison::GreaterOrEqual => ordering.is_ge(),
                    Comparison::Like => panic!("times have no patterns"),
                }
            }
            other => panic!("{other:?} compares nothing"),
        }
    }

    #[test]
    fn a_time_between_two_microseconds_is_compared_as_it_is() {
        let at: Column<(), Option<SystemTime>> = Column::new("event", "at", |_| Ok(None), |_| Ok(Value::Null));
        for nanoseconds in NANOSECONDS {
            let time = moment(nanoseconds);
            for stored in -4..4 {
                let exact = stored * 1_000;
                for (filter, expected) in [
                    (at.eq(time), exact == nanoseconds),
                    (at.ne(time), exact != nanoseconds),
                    (at.lt(time), exact < nanoseconds),
                    (at.le(time), exact <= nanoseconds),
                    (at.gt(time), exact > nanoseconds),
                    (at.ge(time), exact >= nanoseconds),
                    (at.between(moment(-2_001), time), (-2_001..=nanoseconds).contains(&exact)),
                    (at.between(time, moment(1_001)), (nanoseconds..=1_001).contains(&exact)),
                    (at.one_of([time]), exact == nanoseconds),
                    (at.one_of([time, moment(2_000), moment(2_001)]), exact == nanoseconds || exact == 2_000),
                ] {
                    assert_eq!(holds(&filter, stored), expected, "{stored} microseconds, {nanoseconds} nanoseconds, {filter:?}");
                }
            }
        }
        assert_eq!(at.one_of([UNIX_EPOCH; 0]), Filter::OneOf { column: at.full_name(), values: Vec::new() });
    }
}
