//! Nested values, which every tier holds as JSON.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
        let text = serde_json::to_string(field)
            .map_err(|error| Error::new(ErrorKind::EncodeFailed, "the nested value cannot be written as JSON").with_source(error))?;
        // What serde writes is not always what it reads: NaN becomes null, a flattened map may repeat a field, and reading ends at 128 levels.
        if let Err(error) = serde_json::from_str::<F>(&text) {
            return Err(Error::new(
                ErrorKind::EncodeFailed,
                format!(
                    "the nested value could not be read back from its JSON ({}); NaN, infinities, maps that repeat a field's name and more than 127 levels cannot be stored",
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

/// Where and of what kind a fault is. serde's own message can quote the content, so it is never told.
fn place(error: &serde_json::Error) -> String {
    format!("{:?} fault at line {}, column {}", error.classify(), error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> serde_json::Value {
        (0..levels).fold(serde_json::json!("[[{{\\\"[["), |inner, _| serde_json::json!([inner]))
    }

    #[test]
    fn what_is_written_can_be_read_and_what_cannot_be_read_is_refused() {
        let deepest = nested(127);
        let read: serde_json::Value = Json.decode(Json.encode(&deepest).unwrap().into_owned()).unwrap();
        assert_eq!(read, deepest);
        assert_eq!(Json.encode(&nested(128)).unwrap_err().kind(), ErrorKind::EncodeFailed);
        assert_eq!(Json.encode(&vec![f64::NAN]).unwrap_err().kind(), ErrorKind::EncodeFailed);
    }
}
