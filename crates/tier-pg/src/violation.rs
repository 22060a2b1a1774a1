//! Which row of a batch a unique index refused.

use std::fmt::Write;

use store_core::{BoundSchema, Row, Value};

/// The position of the row whose values a unique violation's detail tells, such as `Key (season, place)=(1, 2) already exists.`, in whichever language.
///
/// Of several rows with the same values it is the last. Nothing where the index is none of plain columns, or a type has no text that is known here.
pub(crate) fn violator(detail: &str, schema: &BoundSchema, rows: &[Row<'_>]) -> Option<usize> {
    let (names, told) = detail.split_once(")=(")?;
    let names = &names[names.find('(')? + 1..];
    let columns: Vec<usize> = names.split(", ").map(|name| schema.definition().position(name.trim_matches('"'))).collect::<Option<_>>()?;
    let matches = rows.iter().enumerate().filter_map(|(position, row)| {
        let text = text_of(row, &columns)?;
        told.strip_prefix(text.as_str())?.starts_with(')').then_some((text.len(), position))
    });
    // The text of one row may begin like another's, which goes on behind a parenthesis.
    matches.max().map(|(_, position)| position)
}

/// The values of some columns as PostgreSQL writes them; `None` for types whose text depends on settings.
fn text_of(row: &Row<'_>, columns: &[usize]) -> Option<String> {
    let mut text = String::new();
    for (index, &column) in columns.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        // A String takes whatever is written.
        let _ = match &row[column] {
            Value::Bool(value) => write!(text, "{}", if *value { "t" } else { "f" }),
            Value::Integer(value) => write!(text, "{value}"),
            Value::Text(value) => write!(text, "{value}"),
            Value::Uuid(value) => write!(text, "{}", value.hyphenated()),
            _ => return None,
        };
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use store_core::{ColumnDefinition, ColumnType, Policies, SchemaDefinition};

    use super::*;

    #[test]
    fn the_row_is_found_by_the_texts_of_its_values() {
        let columns =
            [("id", ColumnType::BigInt), ("e-mail", ColumnType::Text), ("active", ColumnType::Bool), ("score", ColumnType::Double)];
        let columns = columns.into_iter().map(|(name, column_type)| ColumnDefinition::new(name, column_type)).collect();
        let schema = BoundSchema::standalone(Box::leak(Box::new(SchemaDefinition::new("account", columns, vec![], Policies::default()))));
        let row = |id: i64, mail: &'static str| vec![id.into(), mail.into(), (id == 3).into(), 0.5.into()];
        let rows = [row(1, "a"), row(2, "a) b"), row(3, "a, t"), row(4, "ä")];
        for (detail, expected) in [
            ("Key (\"e-mail\")=(a) already exists.", Some(0)),
            ("Key (\"e-mail\")=(a) b) already exists.", Some(1)),
            ("Schlüssel »(\"e-mail\", active)=(a, t, t)« existiert bereits.", Some(2)),
            ("Key (id)=(4) already exists.", Some(3)),
            ("Key (id)=(40) already exists.", None),
            ("Key (score)=(0.5) already exists.", None),
            ("Key (lower(\"e-mail\"))=(a) already exists.", None),
            ("something else", None),
        ] {
            assert_eq!(violator(detail, &schema, &rows), expected, "{detail}");
        }
    }
}
