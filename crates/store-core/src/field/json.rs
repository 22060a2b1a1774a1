//! Nested values, which every tier holds as JSON.

mod strict;

use std::borrow::Cow;
use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::strict::Strict;
use super::{FieldCodec, unexpected};
use crate::error::{Error, ErrorKind, Result};
use crate::value::{ColumnType, Value};

/// The most characters of serde's message that are passed on.
const LONGEST_REASON: usize = 200;

/// A type that is stored as a JSON document: structs, maps, lists, `serde_json::Value`.
///
/// It is implemented for every type that serde can write and read.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use store_core::{Schema, Value};
/// # use store_derive::Schema;
///
/// #[derive(Serialize, Deserialize)]
/// struct Address {
///     street: String,
/// }
///
/// #[derive(Schema)]
/// struct Person {
///     #[schema(primary_key)]
///     id: i64,
///     address: Address,
/// }
///
/// let person = Person { id: 1, address: Address { street: "Jirón Puno".into() } };
/// assert_eq!(person.to_row()?[1], Value::Json(r#"{"street":"Jirón Puno"}"#.into()));
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a column",
    note = "nest a type of your own by deriving `serde::Serialize` and `serde::Deserialize` on it: it is then stored as JSON",
    note = "times of jiff, chrono and time are columns once Strata's feature of that name is on",
    note = "or leave the field out of storage with `#[schema(skip)]`"
)]
pub trait JsonField: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<F: Serialize + DeserializeOwned> JsonField for F {}

/// The codec of fields that are stored as JSON.
///
/// ```
/// use store_core::{FieldCodec, Json, Value};
///
/// let tags: Vec<String> = Json.decode(Value::Json(r#"["port","capital"]"#.into()))?;
/// assert_eq!(tags, ["port", "capital"]);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl<F: JsonField> FieldCodec<F> for Json {
    const COLUMN_TYPE: ColumnType = ColumnType::Json;
    const NULLABLE: bool = false;

    fn encode(self, field: &F) -> Result<Value<'_>> {
        let text = write(field)?;
        // What serde writes is not always what it reads: a flattened map may repeat a field.
        if let Err(error) = serde_json::from_str::<F>(&text) {
            return Err(Error::new(
                ErrorKind::EncodeFailed,
                format!(
                    "the nested value could not be read back from its JSON ({}); a type must read what it writes, and a flattened map may not repeat a field's name",
                    reason(&error)
                ),
            ));
        }
        Ok(Value::Json(Cow::Owned(text)))
    }

    fn decode(self, value: Value<'static>) -> Result<F> {
        match value {
            Value::Json(text) => serde_json::from_str(&text).map_err(|error| {
                Error::new(
                    ErrorKind::DecodeFailed,
                    format!("the JSON does not fit the field's type ({}); mend the row, or the type", reason(&error)),
                )
            }),
            other => Err(unexpected(&other, "JSON")),
        }
    }
}

fn write<F: Serialize>(field: &F) -> Result<String> {
    let refusal = Cell::new(None);
    let mut bytes = Vec::new();
    if let Err(error) = field.serialize(Strict::new(&mut serde_json::Serializer::new(&mut bytes), &refusal)) {
        return Err(match refusal.get() {
            Some(refusal) => Error::new(ErrorKind::EncodeFailed, format!("the nested value cannot be stored: {}", refusal.reason())),
            None => Error::new(ErrorKind::EncodeFailed, format!("the nested value cannot be written as JSON ({})", reason(&error))),
        });
    }
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::Internal, "JSON was written that is not UTF-8").with_source(error))
}

/// What serde says: it names fields, variants, types and the place. The value that it quotes is left out, as from every error; what else a type's own
/// code says is for people, but may be long.
fn reason(error: &serde_json::Error) -> String {
    let mut said = error.to_string();
    for form in ["invalid type: ", "invalid value: "] {
        if let Some((found, wanted)) = said.strip_prefix(form).and_then(|rest| rest.rsplit_once(", expected ")) {
            let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
            said = format!("{form}{kind}, expected {wanted}");
        }
    }
    match said.char_indices().nth(LONGEST_REASON) {
        None => said,
        Some((end, _)) => format!("{}… at line {} column {}", &said[..end], error.line(), error.column()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn nested(levels: usize) -> serde_json::Value {
        (0..levels).fold(serde_json::json!("[[{{\\\"[["), |inner, _| serde_json::Value::Array(vec![inner]))
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Unit;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Wrapped<T>(T);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Nothing,
        Number(Option<f64>),
        Pair(f64, Option<f32>),
        Named { number: Option<Option<f64>> },
    }

    #[track_caller]
    fn kept<F: JsonField + PartialEq + std::fmt::Debug>(field: F) {
        let read: F = Json.decode(Json.encode(&field).unwrap().into_owned()).unwrap();
        assert_eq!(read, field);
    }

    #[track_caller]
    fn refused<F: JsonField>(field: &F, said: &str) {
        let error = Json.encode(field).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::EncodeFailed);
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn what_can_be_read_back_is_written() {
        kept(nested(127));
        kept(serde_json::json!({"a": [null, 1, -2.5, "x"], "b": null}));
        kept(vec![Some(1.5), None]);
        kept(vec![Choice::Nothing, Choice::Number(None), Choice::Number(Some(0.5)), Choice::Pair(1e300, None)]);
        kept(vec![Choice::Named { number: None }, Choice::Named { number: Some(Some(-0.0)) }]);
        kept((Unit, (), Wrapped(Some(Wrapped(7_u128))), Some(Choice::Nothing), i128::MIN));
        kept(BTreeMap::from([(1_u8, 'c'), (2, 'd')]));
        kept(None::<Option<()>>);
    }

    #[test]
    fn numbers_that_json_lacks_are_refused_wherever_they_stand() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let said = "NaN or an infinity";
            refused(&number, said);
            refused(&vec![number], said);
            refused(&vec![Some(number)], said);
            refused(&Some(Wrapped(number as f32)), said);
            refused(
                &BTreeMap::from([("a", number)]).into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect::<BTreeMap<_, _>>(),
                said,
            );
            refused(&Choice::Number(Some(number)), said);
            refused(&Choice::Pair(number, None), said);
            refused(&Choice::Pair(1.0, Some(number as f32)), said);
            refused(&Choice::Named { number: Some(Some(number)) }, said);
        }
    }

    #[test]
    fn a_some_that_would_be_read_as_none_is_refused() {
        let said = "would be read as `None`";
        refused(&vec![Some(None::<i64>)], said);
        refused(&vec![Some(())], said);
        refused(&(Some(Unit), 1), said);
        refused(&Wrapped(Some(Wrapped(None::<String>))), said);
        refused(&vec![Some(serde_json::Value::Null)], said);
        refused(&Choice::Named { number: Some(None) }, said);
    }

    #[test]
    fn what_serde_refuses_is_told_in_its_words_without_the_value() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Address {
            street: String,
            number: u8,
            kind: Option<Choice>,
        }

        for (stored, said) in [
            (r#"{"street":"Jirón Puno"}"#, "(missing field `number` at line 1 column 24);"),
            (r#"{"street":7,"number":1}"#, "(invalid type: integer, expected a string at line 1 column 11);"),
            (r#"{"number":"a`, expected \"b\", expected c"}"#, "(invalid type: string, expected u8 at line 1 column 42);"),
            (r#"{"number":300}"#, "(invalid value: integer, expected u8 at line 1 column 13);"),
            (r#"{"number":[]}"#, "(invalid type: sequence, expected u8 at line 1 column 10);"),
            (r#"{"kind":"Other"}"#, "(unknown variant `Other`, expected one of `Nothing`, `Number`, `Pair`, `Named` at line 1 column 15);"),
            ("{", "(EOF while parsing an object at line 1 column 1);"),
        ] {
            let error = FieldCodec::<Address>::decode(Json, Value::Json(stored.into())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DecodeFailed);
            assert!(error.to_string().contains(said), "{error}");
        }
        let long = format!(r#"{{"kind":"{}"}}"#, "é".repeat(10_000));
        let error = FieldCodec::<Address>::decode(Json, Value::Json(long.into())).unwrap_err().to_string();
        assert!(error.contains("unknown variant `éé") && error.contains("é… at line 1 column 20010);"), "{error}");

        refused(&BTreeMap::from([(vec![1], 2)]), "cannot be written as JSON (key must be a string)");
        refused(&Mute, "cannot be written as JSON (it keeps silent)");
        refused(&Flattened { a: 1, rest: BTreeMap::from([("a".to_owned(), 2)]) }, "(duplicate field `a` at line 1 column 10)");
    }

    #[derive(Deserialize)]
    struct Mute;

    impl Serialize for Mute {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it keeps silent"))
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Flattened {
        a: i64,
        #[serde(flatten)]
        rest: BTreeMap<String, i64>,
    }

    #[test]
    fn values_nested_too_deeply_are_refused_before_they_end_the_stack() {
        for levels in [128, 2_000] {
            let mut deep = nested(levels);
            refused(&deep, "more than 127 levels");
            // Dropped bit by bit: the drop of `serde_json` recurses too.
            while let Some(inner) = deep.as_array_mut().and_then(Vec::pop) {
                deep = inner;
            }
        }
    }
}
