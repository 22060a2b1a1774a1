//! Records as JSON objects.

use serde_json::{Map, Value as Json};
use strata::{ColumnDefinition, ColumnType, DefaultValue, Error, ErrorKind, Result, Row, SchemaDefinition, Stamp, Timestamp, Value};
use uuid::Uuid;

/// The fields of a record by name. Those that were not loaded are left out.
pub(crate) fn object(definition: &SchemaDefinition, row: Row<'_>) -> Result<Json> {
    let mut object = Map::new();
    for (column, value) in definition.columns().iter().zip(row) {
        if value != Value::Unset && column.blind_of.is_none() {
            object.insert(column.name.to_owned(), json(value).map_err(|error| of_column(error, definition, column))?);
        }
    }
    Ok(Json::Object(object))
}

fn json(value: Value<'_>) -> Result<Json> {
    Ok(match value {
        Value::Unset | Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Integer(value) => value.into(),
        // What JSON has no number for is told by name.
        Value::Double(value) if !value.is_finite() => value.to_string().into(),
        Value::Double(value) => value.into(),
        Value::Text(text) => text.into_owned().into(),
        Value::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")).into(),
        Value::Time(time) => time_text(time)?.into(),
        Value::Uuid(uuid) => uuid.to_string().into(),
        Value::Json(text) => serde_json::from_str(&text)
            .map_err(|_| Error::new(ErrorKind::DecodeFailed, "the column holds text that is no JSON; mend the row"))?,
    })
}

pub(crate) fn time_text(time: Timestamp) -> Result<String> {
    let shown = jiff::Timestamp::from_microsecond(time.as_microseconds());
    shown.map(|time| time.to_string()).map_err(|_| Error::new(ErrorKind::DecodeFailed, "the time lies outside of the years -9999 to 9999"))
}

/// The row of an object: what it leaves out takes the column's default, or NULL, or is stamped.
pub(crate) fn row(definition: &SchemaDefinition, object: &Json) -> Result<Row<'static>> {
    let refuse = |message: String| Error::new(ErrorKind::InvalidValue, message).with_schema(definition.name());
    let Json::Object(object) = object else { return Err(refuse("a record is a JSON object with the columns' names".to_owned())) };
    let fields = || definition.columns().iter().filter(|column| column.blind_of.is_none());
    if let Some(unknown) = object.keys().find(|name| fields().all(|column| column.name != name.as_str())) {
        let known: Vec<_> = fields().map(|column| column.name).collect();
        return Err(refuse(format!("there is no column `{}`; the columns are {}", unknown.escape_debug(), known.join(", "))));
    }
    let columns = definition.columns().iter();
    columns
        .map(|column| match object.get(column.name) {
            // The store fills it.
            None if column.blind_of.is_some() => Ok(Value::Unset),
            Some(Json::Null) if column.nullable => Ok(Value::Null),
            Some(value) => read(plain_type(column), value).map_err(|error| of_column(error, definition, column)),
            None => absent(column).ok_or_else(|| refuse(format!("the record lacks `{}`, which has no default", column.name))),
        })
        .collect()
}

/// What the field holds: models have encrypted ones in plain.
fn plain_type(column: &ColumnDefinition) -> ColumnType {
    column.encryption.map_or(column.column_type, |encryption| encryption.plain_type)
}

fn absent(column: &ColumnDefinition) -> Option<Value<'static>> {
    match column.default {
        _ if column.stamp != Stamp::Never => Some(Value::Time(Timestamp::from_microseconds(0).ok()?)),
        Some(DefaultValue::Bool(value)) => Some(value.into()),
        Some(DefaultValue::Integer(value)) if column.column_type == ColumnType::Double => Some(Value::Double(value as f64)),
        Some(DefaultValue::Integer(value)) => Some(Value::Integer(value)),
        Some(DefaultValue::Double(value)) => Some(value.into()),
        Some(DefaultValue::Text(text)) if column.column_type == ColumnType::Json => Some(Value::Json(text.into())),
        Some(DefaultValue::Text(text)) => Some(text.into()),
        None if column.nullable => Some(Value::Null),
        None => None,
    }
}

/// A value as a column of the type holds it.
fn read(column_type: ColumnType, value: &Json) -> Result<Value<'static>> {
    let refuse = |wanted: &str| Error::new(ErrorKind::InvalidValue, format!("the value is not {wanted}"));
    Ok(match (column_type, value) {
        (ColumnType::Json, document) => Value::Json(document.to_string().into()),
        (_, Json::Null) => Value::Null,
        (ColumnType::Bool, value) => Value::Bool(value.as_bool().ok_or_else(|| refuse("true or false"))?),
        (ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt, value) => {
            Value::Integer(value.as_i64().ok_or_else(|| refuse("a whole number of 64 bits"))?)
        }
        (ColumnType::Double, Json::String(text)) => match text.as_str() {
            "NaN" | "inf" | "-inf" => Value::Double(text.parse().unwrap_or(f64::NAN)),
            _ => return Err(refuse("a number, \"NaN\", \"inf\" or \"-inf\"")),
        },
        (ColumnType::Double, value) => Value::Double(value.as_f64().ok_or_else(|| refuse("a number"))?),
        (ColumnType::Text, value) => Value::Text(value.as_str().ok_or_else(|| refuse("a text"))?.to_owned().into()),
        (ColumnType::Bytes, value) => {
            Value::Bytes(value.as_str().and_then(bytes).ok_or_else(|| refuse("`\\x` and pairs of hexadecimal digits"))?.into())
        }
        (ColumnType::Time, value) => {
            let time = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let time = time.ok_or_else(|| refuse("a time such as \"2026-11-22T10:30:00Z\""))?;
            Value::Time(Timestamp::from_microseconds(time.as_microsecond())?)
        }
        (ColumnType::Uuid, value) => {
            let uuid = value.as_str().and_then(|text| text.parse::<Uuid>().ok());
            Value::Uuid(uuid.ok_or_else(|| refuse("a UUID"))?)
        }
    })
}

/// A parameter of a condition, whose column nobody knows.
pub(crate) fn parameter(text: &str) -> Value<'static> {
    match serde_json::from_str(text) {
        Ok(Json::Null) => Value::Null,
        Ok(Json::Bool(value)) => Value::Bool(value),
        Ok(Json::Number(number)) => number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Integer),
        Ok(Json::String(text)) => Value::Text(text.into()),
        // What is no JSON is text without its quotes.
        Ok(Json::Array(_) | Json::Object(_)) | Err(_) => Value::Text(text.to_owned().into()),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        std::str::from_utf8(pair).ok().filter(|pair| !pair.contains('+')).and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    rest.is_empty().then(|| pairs.iter().map(byte).collect::<Option<_>>()).flatten()
}

fn of_column(error: Error, definition: &SchemaDefinition, column: &ColumnDefinition) -> Error {
    error.with_schema(definition.name()).with_column(column.name)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;
    use strata::Schema;

    use super::*;

    #[derive(Debug, PartialEq, Schema)]
    struct Thing {
        #[schema(primary_key)]
        id: Uuid,
        name: Option<String>,
        #[schema(default = 1)]
        level: i32,
        share: f64,
        data: Vec<u8>,
        seen: SystemTime,
        labels: Vec<String>,
        is_new: bool,
    }

    fn thing() -> Json {
        json!({
            "id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "name": "a", "level": 3, "share": 0.5, "data": "\\x00ff",
            "seen": "2026-11-22T10:30:00.000001Z", "labels": ["x", "y"], "is_new": true
        })
    }

    fn read(object: &Json) -> Result<Thing> {
        Thing::from_row(row(Thing::definition(), object)?)
    }

    #[test]
    fn a_record_comes_back_from_its_object() {
        let read_back = read(&thing()).unwrap();
        assert_eq!((read_back.level, read_back.data.as_slice(), read_back.labels.len()), (3, [0, 255].as_slice(), 2));
        assert_eq!(object(Thing::definition(), read_back.to_row().unwrap()).unwrap(), thing());
    }

    #[test]
    fn what_is_left_out_takes_its_default() {
        let mut few = thing();
        few.as_object_mut().unwrap().retain(|name, _| name != "name" && name != "level");
        let read_back = read(&few).unwrap();
        assert_eq!((read_back.name, read_back.level), (None, 1));
        few.as_object_mut().unwrap().remove("share");
        assert!(read(&few).unwrap_err().to_string().contains("lacks `share`"));
    }

    #[test]
    fn what_no_column_holds_is_refused_by_name() {
        for (column, value) in [
            ("level", json!("3")),
            ("level", json!(1.5)),
            ("share", json!("much")),
            ("data", json!("\\x0")),
            ("data", json!("\\x+1")),
            ("data", json!("00")),
            ("seen", json!("yesterday")),
            ("id", json!("7")),
            ("is_new", json!(1)),
        ] {
            let mut wrong = thing();
            wrong[column] = value.clone();
            let error = read(&wrong).unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some(column)), "{value}: {error}");
        }
        let mut unknown = thing();
        unknown["lavel"] = json!(1);
        assert!(read(&unknown).unwrap_err().to_string().contains("no column `lavel`"));
        assert!(read(&json!([1])).is_err());
        let mut infinite = thing();
        infinite["share"] = json!("-inf");
        assert_eq!(read(&infinite).unwrap().share, f64::NEG_INFINITY);
    }

    #[test]
    fn parameters_are_json_or_text() {
        assert_eq!(
            ["7", "1.5", "true", "null", "\"7\"", "Lima"].map(parameter),
            [Value::Integer(7), Value::Double(1.5), Value::Bool(true), Value::Null, Value::Text("7".into()), Value::Text("Lima".into())]
        );
    }
}
