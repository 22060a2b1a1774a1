//! Keys as they are typed.

use strata::{ColumnDefinition, ColumnType, Error, ErrorKind, Key, Result, SchemaDefinition, Timestamp, Value};
use uuid::Uuid;

use crate::json;

/// The key that a text names. Beside the text form of keys it takes what people write: UUIDs in every usual form, times as RFC 3339.
pub(crate) fn read<K: Key>(definition: &SchemaDefinition, text: &str) -> Result<K> {
    let refuse = |message: String| Error::new(ErrorKind::InvalidValue, message).with_schema(definition.name());
    let columns: Vec<&ColumnDefinition> = definition.key_columns().collect();
    let parts = parts(&columns, text).ok_or_else(|| {
        let names: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
        refuse(format!(
            "the key `{}` has not the parts {}; join them by `:`, and write `%3A` for a colon within one",
            json::shortened(text),
            names.join(", ")
        ))
    })?;
    let of_part = |(column, part): (&&ColumnDefinition, String)| {
        let value = value(column.column_type, &part);
        value.ok_or_else(|| refuse(format!("`{}` is not {}", json::shortened(&part), wanted(column.column_type))).with_column(column.name))
    };
    let values = columns.iter().zip(parts).map(of_part).collect::<Result<Vec<_>>>()?;
    K::from_values(values).map_err(|error| {
        let refused = refuse(format!("`{}` is no key: {}", json::shortened(text), json::what(&error)));
        match columns.as_slice() {
            [column] => refused.with_column(column.name),
            _ => refused,
        }
    })
}

/// The text of each column. A key of one column, and the first time in a longer one, may hold colons as they are.
fn parts(columns: &[&ColumnDefinition], text: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = text.split(':').collect();
    let colons = parts.len().checked_sub(columns.len())?;
    let time = columns.iter().position(|column| columns.len() == 1 || column.column_type == ColumnType::Time);
    let longest = if colons == 0 { 0 } else { time? };
    let place = |number: usize| if number > longest { number + colons } else { number };
    Some((0..columns.len()).map(|number| parts[place(number)..place(number + 1)].join(":")).collect())
}

fn value(column_type: ColumnType, part: &str) -> Option<Value<'static>> {
    let text = String::from_text(&part.replace(':', "%3A")).ok()?;
    match column_type {
        ColumnType::Text => Some(Value::Text(text.into())),
        ColumnType::Uuid => text.parse::<Uuid>().ok().map(Value::Uuid),
        ColumnType::Time => match text.parse() {
            Ok(microseconds) => Timestamp::from_microseconds(microseconds),
            Err(_) => text.parse(),
        }
        .ok()
        .map(Value::Time),
        _ => text.parse().ok().map(Value::Integer),
    }
}

fn wanted(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "a key's text; write `%25` for `%`, `%3A` for `:`, and control characters by `%` and two digits",
        ColumnType::Uuid => "a UUID such as `67e55044-10b1-426f-9247-bb680e5fe0c8`",
        ColumnType::Time => "a time such as `2026-11-22T10:30:00Z`, or the microseconds since 1970",
        _ => "a whole number of 64 bits",
    }
}

#[cfg(test)]
mod tests {
    use strata::Schema;

    use super::*;

    #[derive(Schema)]
    struct Event {
        #[schema(primary_key)]
        region: String,
        #[schema(primary_key)]
        at: Timestamp,
        #[schema(primary_key)]
        id: Uuid,
    }

    #[derive(Schema)]
    struct Level {
        #[schema(primary_key)]
        number: u8,
    }

    #[derive(Schema)]
    struct Label {
        #[schema(primary_key)]
        name: String,
    }

    const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

    #[test]
    fn a_key_is_read_in_every_usual_form() {
        let wanted = ("eu:w".to_owned(), Timestamp::from_microseconds(-1).unwrap(), ID.parse::<Uuid>().unwrap());
        for time in ["-1", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:59:59.999999+01:00", "1969-12-31T23%3A59%3A59.999999Z"] {
            for id in [ID, &ID.to_uppercase(), &ID.replace('-', ""), &format!("{{{ID}}}"), &format!("urn%3Auuid%3A{ID}")] {
                let text = format!("eu%3Aw:{time}:{id}");
                assert_eq!(read::<(String, Timestamp, Uuid)>(Event::definition(), &text).unwrap(), wanted, "{text}");
            }
        }
        for (text, wanted) in [("a:b", "a:b"), ("a%3Ab", "a:b"), ("50%25", "50%"), ("-x", "-x"), ("", "")] {
            assert_eq!(read::<String>(Label::definition(), text).unwrap(), wanted);
        }
        assert_eq!(read::<u8>(Level::definition(), "255").unwrap(), 255);
    }

    #[test]
    fn a_text_that_is_no_key_is_told_with_what_is_wanted() {
        let event = |text: &str| read::<(String, Timestamp, Uuid)>(Event::definition(), text).unwrap_err();
        let (long, moment) = ("x".repeat(300), format!("eu:0:{ID}"));
        for (error, column, told) in [
            (read::<u8>(Level::definition(), "abc").unwrap_err(), Some("number"), "`abc` is not a whole number"),
            (
                read::<u8>(Level::definition(), "256").unwrap_err(),
                Some("number"),
                "`256` is no key: the number does not fit `u8` (0 to 255)",
            ),
            (read::<u8>(Level::definition(), &long).unwrap_err(), Some("number"), "xxx…` is not a whole number"),
            (read::<String>(Label::definition(), "50%").unwrap_err(), Some("name"), "`50%` is not a key's text; write `%25` for `%`"),
            (event("eu:yesterday:1"), Some("at"), "`yesterday` is not a time such as"),
            (event("eu:0:1"), Some("id"), "`1` is not a UUID such as"),
            (event("eu"), None, "the key `eu` has not the parts `region`, `at`, `id`"),
            (event(&format!("{moment}:more")), Some("at"), "is not a time such as"),
        ] {
            assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, column), "{error}");
            assert!(error.schema().is_some() && error.to_string().contains(told) && error.to_string().len() < 400, "{error}");
        }
    }
}
