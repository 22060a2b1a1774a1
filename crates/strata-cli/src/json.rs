//! Records as JSON objects.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use serde_json::value::RawValue;
use strata::{
    ColumnDefinition, ColumnType, DefaultValue, Error, ErrorKind, Result, Row, Schema, SchemaDefinition, Stamp, Timestamp, Value,
};
use uuid::Uuid;

use crate::layout;

/// The fields of a record by name, in one line. Those that were not loaded are left out.
pub(crate) fn object(definition: &SchemaDefinition, row: Row<'_>) -> Result<String> {
    let mut fields = Vec::new();
    for (column, value) in definition.columns().iter().zip(row) {
        if value != Value::Unset && column.blind_of.is_none() {
            let value = json(value).map_err(|error| of_column(error, definition, column))?;
            fields.push(format!("{}:{value}", Json::from(column.name)));
        }
    }
    Ok(format!("{{{}}}", fields.join(",")))
}

fn json(value: Value<'_>) -> Result<String> {
    let plain: Json = match value {
        Value::Unset | Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Integer(value) => value.into(),
        // What JSON has no number for is told by name.
        Value::Double(value) if !value.is_finite() => value.to_string().into(),
        Value::Double(value) => value.into(),
        Value::Text(text) => text.into_owned().into(),
        Value::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")).into(),
        Value::Time(time) => time.to_string().into(),
        Value::Uuid(uuid) => uuid.to_string().into(),
        Value::Json(text) => {
            return match serde_json::from_str::<&RawValue>(&text) {
                Ok(document) => Ok(layout::in_line(document.get())),
                Err(_) => Err(Error::new(ErrorKind::DecodeFailed, "the column holds text that is no JSON; mend the row")),
            };
        }
    };
    Ok(plain.to_string())
}

/// The most characters of what was given that a message shows.
const LONGEST_GIVEN: usize = 100;

/// What was given for a record, by the columns' names. Documents stay text: in a value of serde's, integers beyond 64 bits lose digits.
type Object = BTreeMap<String, Box<RawValue>>;

/// The model of an object: what it leaves out takes the column's default, or NULL, or is stamped.
pub(crate) fn model<T: Schema>(record: &RawValue) -> Result<T> {
    let refuse = |message: String| Error::new(ErrorKind::InvalidValue, message).with_schema(T::definition().name());
    if !record.get().starts_with('{') {
        return Err(refuse("a record is a JSON object with the columns' names".to_owned()));
    }
    let object = serde_json::from_str(record.get()).map_err(|error| refuse(format!("the record is no JSON: {error}")))?;
    T::from_row(row(T::definition(), &object)?).map_err(|error| unfit(error, T::definition(), &object))
}

fn row(definition: &SchemaDefinition, object: &Object) -> Result<Row<'static>> {
    let refuse = |message: String| Error::new(ErrorKind::InvalidValue, message).with_schema(definition.name());
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
            Some(value) if column.nullable && value.get() == "null" => Ok(Value::Null),
            Some(value) => read(column, value).map_err(|error| of_column(error, definition, column)),
            None => absent(column).ok_or_else(|| refuse(format!("the record lacks `{}`, which has no default", column.name))),
        })
        .collect()
}

/// The error of a model that cannot be made of an object: it is the object's fault, and not that of a row that was read.
fn unfit(error: Error, definition: &SchemaDefinition, object: &Object) -> Error {
    let column = error.column().and_then(|name| definition.columns().iter().find(|column| column.name == name));
    match column.filter(|_| error.kind() == ErrorKind::DecodeFailed) {
        Some(column) => {
            let message = format!("{} is refused: {}", given(column, object.get(column.name).map(Box::as_ref)), what(&error));
            of_column(Error::new(ErrorKind::InvalidValue, message), definition, column)
        }
        None => error,
    }
}

/// What an error says has happened, without what mends a stored row.
pub(crate) fn what(error: &Error) -> &str {
    let said = error.message();
    said.split_once("; ").map_or(said, |(what, _)| what)
}

/// What was given for a column, as a message may show it.
fn given(column: &ColumnDefinition, value: Option<&RawValue>) -> String {
    match value {
        Some(value) if column.encryption.is_none() => format!("`{}`", shortened(&layout::in_line(value.get()))),
        _ => "the value".to_owned(),
    }
}

/// The beginning of what was given.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_GIVEN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// What the field holds: models have encrypted ones in plain.
pub(crate) fn plain_type(column: &ColumnDefinition) -> ColumnType {
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
fn read(column: &ColumnDefinition, value: &RawValue) -> Result<Value<'static>> {
    let refused = |why: String| Error::new(ErrorKind::InvalidValue, format!("{} {why}", given(column, Some(value))));
    let refuse = |wanted: &str| refused(format!("is not {wanted}"));
    Ok(match (plain_type(column), serde_json::from_str::<Json>(value.get())) {
        (ColumnType::Json, _) => Value::Json(value.get().to_owned().into()),
        (_, Err(error)) => return Err(refused(format!("cannot be read: {error}"))),
        (_, Ok(Json::Null)) => Value::Null,
        (ColumnType::Bool, Ok(value)) => Value::Bool(value.as_bool().ok_or_else(|| refuse("true or false"))?),
        (ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt, Ok(value)) => {
            Value::Integer(value.as_i64().ok_or_else(|| refuse("a whole number of 64 bits"))?)
        }
        (ColumnType::Double, Ok(Json::String(text))) => match text.as_str() {
            "NaN" | "inf" | "-inf" => Value::Double(text.parse().unwrap_or(f64::NAN)),
            _ => return Err(refuse("a number, \"NaN\", \"inf\" or \"-inf\"")),
        },
        (ColumnType::Double, Ok(value)) => Value::Double(value.as_f64().ok_or_else(|| refuse("a number"))?),
        (ColumnType::Text, Ok(value)) => Value::Text(value.as_str().ok_or_else(|| refuse("a text"))?.to_owned().into()),
        (ColumnType::Bytes, Ok(value)) => {
            Value::Bytes(value.as_str().and_then(bytes).ok_or_else(|| refuse("`\\x` and pairs of hexadecimal digits"))?.into())
        }
        (ColumnType::Time, Ok(value)) => {
            let read = match value {
                Json::String(text) => text.parse().ok(),
                value => value.as_i64().and_then(|microseconds| Timestamp::from_microseconds(microseconds).ok()),
            };
            Value::Time(read.ok_or_else(|| {
                refuse("a time such as \"2026-11-22T10:30:00Z\" or \"+012000-01-01T00:00:00Z\", or the microseconds since 1970; 4714 BC to 294247")
            })?)
        }
        (ColumnType::Uuid, Ok(value)) => {
            let uuid = value.as_str().and_then(|text| text.parse::<Uuid>().ok());
            Value::Uuid(uuid.ok_or_else(|| refuse("a UUID"))?)
        }
    })
}

/// A parameter of a condition: JSON, or text. `compared` are the types of the columns that the condition names, where the database does not read a text as what it
/// is compared with: then a text without quotes is one of these.
pub(crate) fn parameter(text: &str, compared: &[ColumnType]) -> Result<Value<'static>> {
    match serde_json::from_str(text) {
        Ok(Json::Null) => Ok(Value::Null),
        Ok(Json::Bool(value)) => Ok(Value::Bool(value)),
        Ok(Json::Number(number)) => Ok(number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Integer)),
        Ok(Json::String(text)) => Ok(Value::Text(text.into())),
        Ok(Json::Array(_) | Json::Object(_)) | Err(_) => of_types(text, compared),
    }
}

fn of_types(text: &str, compared: &[ColumnType]) -> Result<Value<'static>> {
    let may_be_text = compared.is_empty() || compared.iter().any(|column_type| matches!(column_type, ColumnType::Text | ColumnType::Json));
    let of_type = |column_type: &ColumnType| match column_type {
        // A text such as `007` is one.
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt if may_be_text => None,
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => text.parse().ok().map(Value::Integer),
        ColumnType::Double => text.parse().ok().filter(|number: &f64| !may_be_text || !number.is_finite()).map(Value::Double),
        ColumnType::Bytes => bytes(text).map(|bytes| Value::Bytes(bytes.into())),
        ColumnType::Time => text.parse().ok().map(Value::Time),
        ColumnType::Uuid => text.parse::<Uuid>().ok().map(Value::Uuid),
        ColumnType::Bool | ColumnType::Text | ColumnType::Json => None,
    };
    let found = compared.iter().find_map(of_type).or_else(|| may_be_text.then(|| Value::Text(text.to_owned().into())));
    found.ok_or_else(|| {
        let types: Vec<_> = compared.iter().map(ToString::to_string).collect();
        Error::new(
            ErrorKind::InvalidQuery,
            format!(
                "the parameter `{}` is none of the types of the columns that the condition names ({}); write times as RFC 3339 and bytes as `\\x00ff`, or put it in \
                 JSON's quotes if it is a text",
                shortened(text),
                types.join(", ")
            ),
        )
    })
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

    use super::*;
    use serde_json::json;

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
        single: f32,
        wide: i128,
    }

    fn thing() -> Json {
        json!({
            "id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "name": "a", "level": 3, "share": 0.5, "data": "\\x00ff",
            "seen": "2026-11-22T10:30:00.000001Z", "labels": ["x", "y"], "is_new": true, "single": 0.5, "wide": 7
        })
    }

    fn read(object: &Json) -> Result<Thing> {
        read_text(&object.to_string())
    }

    fn read_text(object: &str) -> Result<Thing> {
        model(serde_json::from_str(object).unwrap())
    }

    fn shown(thing: &Thing) -> Json {
        serde_json::from_str(&object(Thing::definition(), thing.to_row().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_record_comes_back_from_its_object() {
        let read_back = read(&thing()).unwrap();
        assert_eq!((read_back.level, read_back.data.as_slice(), read_back.labels.len()), (3, [0, 255].as_slice(), 2));
        assert_eq!(shown(&read_back), thing());
    }

    /// The object with another value, whose digits stay as they are.
    fn with(column: &str, value: &str) -> String {
        let object = thing().to_string();
        let fields = object.strip_suffix('}').unwrap();
        format!("{fields}, \"{column}\": {value}}}")
    }

    #[test]
    fn an_integer_of_more_than_64_bits_comes_back() {
        for number in [i128::MAX, i128::MIN, i128::from(u64::MAX) + 1] {
            let read_back = read_text(&with("wide", &number.to_string())).unwrap();
            assert_eq!(read_back.wide, number);
            let object = object(Thing::definition(), read_back.to_row().unwrap()).unwrap();
            assert!(object.ends_with(&format!(r#","wide":{number}}}"#)), "{object}");
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_as_it_was_given() {
        for (column, number, told) in [
            ("level", "99999999999999999999", "`99999999999999999999` is not a whole number of 64 bits"),
            ("share", "1e400", "`1e400` cannot be read: number out of range"),
            ("single", "-1e39", "`-1e39` is refused: the number does not fit `f32` (-3.4028235e38 to 3.4028235e38)"),
            (
                "wide",
                "170141183460469231731687303715884105728",
                "`170141183460469231731687303715884105728` is refused: the JSON does not fit the field's type (number out of range",
            ),
        ] {
            let error = read_text(&with(column, number)).unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some(column)), "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
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
    fn a_time_of_any_year_comes_back_and_may_be_microseconds() {
        for (given, microseconds) in [
            (json!("+012000-01-01T00:00:00Z"), 316_516_204_800_000_000),
            (json!("-004713-11-24T00:00:00Z"), Timestamp::MIN.as_microseconds()),
            (json!(i64::MAX), i64::MAX),
        ] {
            let mut thing = thing();
            thing["seen"] = given;
            let read_back = read(&thing).unwrap();
            let seen = Timestamp::from_system_time(read_back.seen).unwrap();
            assert_eq!(seen.as_microseconds(), microseconds);
            thing["seen"] = json!(seen.to_string());
            assert_eq!(shown(&read_back), thing);
        }
    }

    #[test]
    fn what_no_column_holds_is_refused_by_name() {
        for (column, value, told) in [
            ("level", json!("3"), "`\"3\"` is not a whole number"),
            ("level", json!(1.5), "`1.5` is not a whole number"),
            ("level", json!(1_i64 << 31), "`2147483648` is refused: the number does not fit `i32` (-2147483648 to 2147483647)"),
            ("level", json!(null), "`null` is refused: "),
            ("labels", json!([1]), "`[1]` is refused: the JSON does not fit the field's type"),
            ("share", json!("much"), "`\"much\"` is not a number"),
            ("data", json!("\\x0"), "pairs of hexadecimal digits"),
            ("data", json!("\\x+1"), "pairs of hexadecimal digits"),
            ("data", json!("00"), "pairs of hexadecimal digits"),
            ("seen", json!("yesterday"), "is not a time such as"),
            ("seen", json!(i64::MIN), "is not a time such as"),
            ("id", json!("7"), "is not a UUID"),
            ("is_new", json!(1), "is not true or false"),
        ] {
            let mut wrong = thing();
            wrong[column] = value.clone();
            let error = read(&wrong).unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some(column)), "{value}: {error}");
            assert!(error.to_string().contains(told) && !error.to_string().contains("mend the row"), "{error}");
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
        let texts = ["7", "1.5", "true", "null", "\"7\"", "Lima"];
        assert_eq!(
            texts.map(|text| parameter(text, &[]).unwrap()),
            [Value::Integer(7), Value::Double(1.5), Value::Bool(true), Value::Null, Value::Text("7".into()), Value::Text("Lima".into())]
        );
    }

    #[test]
    fn a_parameter_is_of_the_types_that_it_may_be_compared_with() {
        use ColumnType::{BigInt, Bytes, Double, Text, Time};
        let (moment, id) = ("2026-11-22T10:30:00Z", "67E5504410B1426F9247BB680E5FE0C8");
        for (text, compared, wanted) in [
            (moment, &[BigInt, Time][..], Value::Time(moment.parse().unwrap())),
            (moment, &[Text, Time], Value::Time(moment.parse().unwrap())),
            (moment, &[Text], Value::Text(moment.into())),
            ("Lima", &[Text, Time], Value::Text("Lima".into())),
            (id, &[ColumnType::Uuid], Value::Uuid(id.parse().unwrap())),
            ("\\x00ff", &[Bytes], Value::Bytes(vec![0, 255].into())),
            ("-inf", &[Double], Value::Double(f64::NEG_INFINITY)),
            ("007", &[BigInt], Value::Integer(7)),
            ("007", &[BigInt, Text], Value::Text("007".into())),
            ("\"2026\"", &[Time], Value::Text("2026".into())),
        ] {
            assert_eq!(parameter(text, compared).unwrap(), wanted, "{text}");
        }
        let error = parameter("2026-11-22", &[BigInt, Time]).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidQuery && error.to_string().contains("`2026-11-22` is none of the types"), "{error}");
    }
}
