//! What a query must answer, worked out row by row in memory.

use std::cmp::Ordering;

use store_core::facet::Select;
use store_core::{BoundSchema, Comparison, Direction, Filter, Row, Value};

use super::schemas::at;

/// The rows that a query answers, in its order. Raw conditions are beyond this evaluator.
pub(super) fn select(schema: &BoundSchema, rows: &[Row<'static>], query: &Select) -> Vec<Row<'static>> {
    let mut matching = matching(schema, rows, query.filter.as_ref());
    matching.sort_by(|left, right| {
        query
            .order
            .iter()
            .map(|order| {
                let column = at(schema, &order.column);
                let ascending = nulls_last(&left[column], &right[column]);
                match order.direction {
                    Direction::Ascending => ascending,
                    Direction::Descending => ascending.reverse(),
                }
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    let rows = matching.into_iter().skip(query.offset as usize);
    let limited = rows.take(query.limit.map_or(usize::MAX, |limit| limit as usize));
    limited
        .map(|mut row| {
            if let Some(columns) = &query.columns {
                for (position, value) in row.iter_mut().enumerate() {
                    if !columns.contains(&position) {
                        *value = Value::Unset;
                    }
                }
            }
            row
        })
        .collect()
}

/// The rows for which a condition is true.
pub(super) fn matching(schema: &BoundSchema, rows: &[Row<'static>], filter: Option<&Filter>) -> Vec<Row<'static>> {
    rows.iter().filter(|row| filter.is_none_or(|filter| truth(schema, row, filter) == Some(true))).cloned().collect()
}

/// SQL's logic of three values: `None` stands for unknown.
fn truth(schema: &BoundSchema, row: &Row<'static>, filter: &Filter) -> Option<bool> {
    match filter {
        Filter::All(parts) => any(parts.iter().map(|part| truth(schema, row, part).map(|truth| !truth))).map(|any_false| !any_false),
        Filter::Any(parts) => any(parts.iter().map(|part| truth(schema, row, part))),
        Filter::Not(inner) => truth(schema, row, inner).map(|truth| !truth),
        Filter::Compare { column, comparison, value } => {
            let stored = &row[at(schema, column)];
            if let Comparison::Like = comparison {
                return Some(like(stored.as_text()?, value.as_text()?));
            }
            let ordering = compare(stored, value)?;
            Some(match comparison {
                Comparison::Equal => ordering.is_eq(),
                Comparison::NotEqual => ordering.is_ne(),
                Comparison::Less => ordering.is_lt(),
                Comparison::LessOrEqual => ordering.is_le(),
                Comparison::Greater => ordering.is_gt(),
                Comparison::GreaterOrEqual => ordering.is_ge(),
                Comparison::Like => unreachable!("handled above"),
            })
        }
        Filter::OneOf { column, values } => {
            let stored = &row[at(schema, column)];
            any(values.iter().map(|value| compare(stored, value).map(Ordering::is_eq)))
        }
        Filter::IsNull { column } => Some(row[at(schema, column)] == Value::Null),
        other => panic!("the reference does not know {other:?}"),
    }
}

/// Whether one is true, or may be: none is true only if all are known to be false.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut any = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return Some(true),
            Some(false) => {}
            None => any = None,
        }
    }
    any
}

fn nulls_last(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        _ => compare(left, right).expect("two values of one column can be compared"),
    }
}

/// The order of two values of one type; `None` if one is NULL.
fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
        (Value::Uuid(left), Value::Uuid(right)) => Some(left.cmp(right)),
        _ => panic!("{} was compared with {}", left.kind(), right.kind()),
    }
}

/// `LIKE` with `\` as escape, heeding case.
fn like(text: &str, pattern: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('%') => {
            text.char_indices().map(|(start, _)| start).chain([text.len()]).any(|start| like(&text[start..], pattern_rest.as_str()))
        }
        Some(wanted) => {
            let mut text_rest = text.chars();
            let found = text_rest.next();
            let matches = match wanted {
                '_' => found.is_some(),
                '\\' => found.is_some() && found == pattern_rest.next(),
                literal => found == Some(literal),
            };
            matches && like(text_rest.as_str(), pattern_rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_sql() {
        for (text, pattern, expected) in [
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("a_c", "a\\_c", true),
            ("a\\c", "a\\\\c", true),
            ("", "%", true),
            ("", "_", false),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
    }
}
