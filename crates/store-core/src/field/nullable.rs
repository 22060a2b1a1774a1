//! `Option` fields, whose `None` is SQL's NULL.

use super::{FieldCodec, Json, JsonField, Plain, Scalar};
use crate::error::Result;
use crate::value::{ColumnType, Value};

/// The codec of `Option` fields that hold a [`Scalar`].
///
/// ```
/// use store_core::{FieldCodec, Nullable, Value};
///
/// assert_eq!(Nullable.encode(&Some(String::from("Lima")))?, Value::from("Lima"));
/// assert_eq!(Nullable.encode(&None::<String>)?, Value::Null);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Nullable;

/// The codec of `Option` fields that hold JSON; `Some` of a JSON null stays apart from `None`.
///
/// ```
/// use store_core::{FieldCodec, NullableJson, Value};
///
/// assert_eq!(NullableJson.encode(&Some(serde_json::Value::Null))?, Value::Json("null".into()));
/// assert_eq!(NullableJson.encode(&None::<serde_json::Value>)?, Value::Null);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct NullableJson;

impl<F: Scalar> FieldCodec<Option<F>> for Nullable {
    const COLUMN_TYPE: ColumnType = F::COLUMN_TYPE;
    const NULLABLE: bool = true;

    fn encode(self, field: &Option<F>) -> Result<Value<'_>> {
        field.as_ref().map_or(Ok(Value::Null), |inner| Plain.encode(inner))
    }

    fn decode(self, value: Value<'static>) -> Result<Option<F>> {
        match value {
            Value::Null => Ok(None),
            value => Plain.decode(value).map(Some),
        }
    }
}

impl<F: JsonField> FieldCodec<Option<F>> for NullableJson {
    const COLUMN_TYPE: ColumnType = ColumnType::Json;
    const NULLABLE: bool = true;

    fn encode(self, field: &Option<F>) -> Result<Value<'_>> {
        field.as_ref().map_or(Ok(Value::Null), |inner| Json.encode(inner))
    }

    fn decode(self, value: Value<'static>) -> Result<Option<F>> {
        match value {
            Value::Null => Ok(None),
            value => Json.decode(value).map(Some),
        }
    }
}
