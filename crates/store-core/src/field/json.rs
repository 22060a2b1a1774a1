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
                    place(&error)
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
                    format!("the stored JSON does not fit the field's type ({}); mend the row, or the type", place(&error)),
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
            None => Error::new(ErrorKind::EncodeFailed, "the nested value cannot be written as JSON").with_source(error),
        });
    }
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::Internal, "JSON was written that is not UTF-8").with_source(error))
}

/// Where and of what kind a fault is. serde's own message can quote the content, so it is never told.
fn place(error: &serde_json::Error) -> String {
    format!("{:?} fault at line {}, column {}", error.classify(), error.line(), error.column())
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
