//! Conditions and orders as both databases answer them, where that is certain.
//!
//! Numbers, booleans, times, UUIDs and bytes compare alike everywhere. Of texts a column's collation decides which are equal and which is first, so that only what no
//! collation overlooks is taken for a difference. Conditions in SQL and patterns are never certain.

use std::cmp::Ordering;

use crate::query::{Comparison, Direction, Filter, Order};
use crate::schema::SchemaDefinition;
use crate::value::Value;

/// What a condition is for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    /// SQL's NULL.
    Unknown,
    /// The database may answer any of these.
    Unsure,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Truth::Yes } else { Truth::No }
    }

    fn not(self) -> Self {
        match self {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            other => other,
        }
    }

    /// Whether the row is certainly not found.
    pub(super) fn leaves_out(self) -> bool {
        matches!(self, Truth::No | Truth::Unknown)
    }
}

/// What a condition is for a row with all the columns of a schema.
pub(super) fn condition(filter: &Filter, row: &[Value<'_>], definition: &SchemaDefinition) -> Truth {
    let value = |column: &str| definition.position(column).and_then(|position| row.get(position));
    match filter {
        Filter::All(parts) => join(parts.iter().map(|part| condition(part, row, definition)), Truth::No, Truth::Yes),
        Filter::Any(parts) => join(parts.iter().map(|part| condition(part, row, definition)), Truth::Yes, Truth::No),
        Filter::Not(inner) => condition(inner, row, definition).not(),
        Filter::Compare { column, comparison, value: operand } => {
            value(column).map_or(Truth::Unsure, |value| compare(value, *comparison, operand))
        }
        Filter::OneOf { column, values } => match value(column) {
            Some(value) => join(values.iter().map(|operand| compare(value, Comparison::Equal, operand)), Truth::Yes, Truth::No),
            None => Truth::Unsure,
        },
        // What a letter is depends on the database's locale.
        Filter::Similar { column, .. } => match value(column) {
            Some(Value::Null) => Truth::Unknown,
            _ => Truth::Unsure,
        },
        Filter::IsNull { column } => match value(column) {
            None | Some(Value::Unset) => Truth::Unsure,
            Some(value) => Truth::of(*value == Value::Null),
        },
        Filter::Raw { .. } | Filter::Invalid { .. } | Filter::TooDeep => Truth::Unsure,
    }
}

/// AND, which No decides, or OR, which Yes does; `none` where there are no parts.
fn join(parts: impl Iterator<Item = Truth>, decisive: Truth, none: Truth) -> Truth {
    let mut joined = none;
    for part in parts {
        match part {
            part if part == decisive => return decisive,
            Truth::Unsure => joined = Truth::Unsure,
            Truth::Unknown if joined != Truth::Unsure => joined = Truth::Unknown,
            _ => {}
        }
    }
    joined
}

fn compare(value: &Value<'_>, comparison: Comparison, operand: &Value<'_>) -> Truth {
    if matches!((value, operand), (Value::Unset, _) | (_, Value::Unset)) || comparison == Comparison::Like {
        return Truth::Unsure;
    }
    if matches!((value, operand), (Value::Null, _) | (_, Value::Null)) {
        return Truth::Unknown;
    }
    if let Some(ordering) = ordering(value, operand) {
        return Truth::of(match comparison {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
            Comparison::Like => return Truth::Unsure,
        });
    }
    match (value, comparison, operand) {
        (Value::Text(value), Comparison::Equal, Value::Text(operand)) if certainly_differ(value, operand) => Truth::No,
        (Value::Text(value), Comparison::NotEqual, Value::Text(operand)) if certainly_differ(value, operand) => Truth::Yes,
        _ => Truth::Unsure,
    }
}

/// How two values stand to each other in both databases, where that is certain.
fn ordering(value: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    match (value, other) {
        (Value::Bool(value), Value::Bool(other)) => Some(value.cmp(other)),
        (Value::Integer(value), Value::Integer(other)) => Some(value.cmp(other)),
        (Value::Double(value), Value::Double(other)) => value.partial_cmp(other),
        (Value::Time(value), Value::Time(other)) => Some(value.cmp(other)),
        (Value::Uuid(value), Value::Uuid(other)) => Some(value.cmp(other)),
        (Value::Bytes(value), Value::Bytes(other)) => Some(value.cmp(other)),
        (Value::Text(value), Value::Text(other)) if value == other => Some(Ordering::Equal),
        _ => None,
    }
}

/// Whether texts differ by more than any usual collation overlooks: case, accents, punctuation, and how numbers are written.
fn certainly_differ(one: &str, other: &str) -> bool {
    let kept = |text: &str| -> Option<Vec<u8>> {
        let kept = text.bytes().filter(|byte| byte.is_ascii_alphanumeric() && *byte != b'0');
        text.is_ascii().then(|| kept.map(|byte| byte.to_ascii_lowercase()).collect())
    };
    kept(one).zip(kept(other)).is_some_and(|(one, other)| one != other)
}

/// Whether a row certainly stands behind another one in an order. Of the other one the values of the order's columns are given.
pub(super) fn is_behind(row: &[Value<'_>], other: &[Value<'_>], order: &[Order], definition: &SchemaDefinition) -> bool {
    for (criterion, other) in order.iter().zip(other) {
        if criterion.similar_to.is_some() {
            return false;
        }
        let Some(position) = definition.position(&criterion.column) else { return false };
        let Some(value) = row.get(position) else { return false };
        // NULL is the highest, as every statement says of columns that may hold it.
        let ordering = match (value, other) {
            (Value::Null, Value::Null) => Some(Ordering::Equal),
            (Value::Null, _) | (_, Value::Null) if !definition.columns()[position].nullable => None,
            (Value::Null, _) => Some(Ordering::Greater),
            (_, Value::Null) => Some(Ordering::Less),
            (value, other) => ordering(value, other),
        };
        match (ordering, criterion.direction) {
            (Some(Ordering::Equal), _) => {}
            (Some(Ordering::Greater), Direction::Ascending) | (Some(Ordering::Less), Direction::Descending) => return true,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, Policies};
    use crate::value::ColumnType;

    fn definition() -> SchemaDefinition {
        let column = |name, column_type| ColumnDefinition { nullable: name != "id", ..ColumnDefinition::new(name, column_type) };
        let columns = vec![
            ColumnDefinition { is_key: true, ..column("id", ColumnType::BigInt) },
            column("name", ColumnType::Text),
            column("level", ColumnType::BigInt),
            column("score", ColumnType::Double),
        ];
        SchemaDefinition::new("player", columns, vec![], Policies::default())
    }

    fn is(column: &'static str, comparison: Comparison, value: impl Into<Value<'static>>) -> Filter {
        Filter::Compare { column: column.into(), comparison, value: value.into() }
    }

    #[test]
    fn conditions_are_what_sql_says_or_unsure() {
        use Comparison::{Equal, Greater, LessOrEqual, Like, NotEqual};
        let definition = definition();
        let row = [Value::from(7), Value::from("Lima"), Value::Null, Value::from(1.5)];
        let raw = || Filter::Raw { sql: "TRUE".into(), params: vec![] };
        for (filter, expected) in [
            (is("id", Equal, 7), Truth::Yes),
            (is("id", Greater, 7), Truth::No),
            (is("id", LessOrEqual, 7), Truth::Yes),
            (is("id", Equal, 7.0), Truth::Unsure),
            (is("level", NotEqual, 7), Truth::Unknown),
            (is("id", Equal, None::<i64>), Truth::Unknown),
            (is("score", Greater, 1.0), Truth::Yes),
            (is("score", Equal, f64::NAN), Truth::Unsure),
            (is("name", Equal, "Lima"), Truth::Yes),
            (is("name", Equal, "Cusco"), Truth::No),
            (is("name", NotEqual, "Cusco"), Truth::Yes),
            (is("name", Equal, "LIMA "), Truth::Unsure),
            (is("name", Equal, "Líma"), Truth::Unsure),
            (is("name", Equal, "Lima-00"), Truth::Unsure),
            (is("name", Greater, "Cusco"), Truth::Unsure),
            (is("name", LessOrEqual, "Lima"), Truth::Yes),
            (is("name", Like, "%"), Truth::Unsure),
            (is("nothing", Equal, 7), Truth::Unsure),
            (Filter::Similar { column: "name".into(), text: "Lima".into(), threshold: 0.3 }, Truth::Unsure),
            (!Filter::Similar { column: "level".into(), text: "Lima".into(), threshold: 0.3 }, Truth::Unknown),
            (Filter::IsNull { column: "level".into() }, Truth::Yes),
            (!Filter::IsNull { column: "level".into() }, Truth::No),
            (!is("level", Equal, 7), Truth::Unknown),
            (Filter::All(vec![]), Truth::Yes),
            (Filter::Any(vec![]), Truth::No),
            (raw().and(is("id", Equal, 8)), Truth::No),
            (raw().and(is("level", Equal, 8)), Truth::Unsure),
            (is("level", Equal, 8).and(is("id", Equal, 7)), Truth::Unknown),
            (is("level", Equal, 8).and(is("id", Equal, 8)), Truth::No),
            (raw().or(is("id", Equal, 7)), Truth::Yes),
            (raw().or(is("id", Equal, 8)), Truth::Unsure),
            (is("level", Equal, 8).or(is("id", Equal, 8)), Truth::Unknown),
            (Filter::OneOf { column: "id".into(), values: vec![1.into(), 7.into()] }, Truth::Yes),
            (Filter::OneOf { column: "id".into(), values: vec![1.into(), Value::Null] }, Truth::Unknown),
            (Filter::OneOf { column: "id".into(), values: vec![] }, Truth::No),
            (Filter::OneOf { column: "name".into(), values: vec!["lima".into()] }, Truth::Unsure),
        ] {
            assert_eq!(condition(&filter, &row, &definition), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_row_is_behind_another_where_both_databases_say_so() {
        let definition = definition();
        let row = |id: i64, name: &'static str, level: Option<i64>| [Value::from(id), Value::from(name), Value::from(level), Value::Null];
        let order = |column: &'static str, direction| Order { column: column.into(), direction, similar_to: None };
        let (up, down) = (Direction::Ascending, Direction::Descending);
        for (one, other, orders, expected) in [
            (row(2, "", None), row(1, "", None), vec![order("id", up)], true),
            (row(2, "", None), row(1, "", None), vec![order("id", down)], false),
            (row(1, "", None), row(1, "", None), vec![order("id", up)], false),
            (row(1, "", None), row(2, "", Some(9)), vec![order("level", up), order("id", up)], true),
            (row(1, "", None), row(2, "", Some(9)), vec![order("level", down), order("id", up)], false),
            (row(1, "", Some(9)), row(2, "", None), vec![order("level", down), order("id", up)], true),
            (row(3, "", Some(9)), row(2, "", Some(9)), vec![order("level", down), order("id", up)], true),
            (row(2, "b", None), row(1, "a", None), vec![order("name", up), order("id", up)], false),
            (row(2, "a", None), row(1, "a", None), vec![order("name", up), order("id", up)], true),
        ] {
            let values: Vec<_> =
                orders.iter().filter_map(|order| definition.position(&order.column)).map(|position| other[position].clone()).collect();
            assert_eq!(is_behind(&one, &values, &orders, &definition), expected, "{one:?} {other:?} {orders:?}");
        }
    }
}
