//! JSON for rows that are older than a column.

use super::{FieldCodec, Json, JsonField};
use crate::value::Value;

/// What types without a `Default` are asked to read.
const EMPTY: [&str; 6] = ["{}", "[]", "null", "\"\"", "0", "false"];

/// The type's default.
pub(crate) fn of_default<F: JsonField + Default>() -> Option<String> {
    written(&F::default())
}

/// The first of what is empty that the type reads.
pub(crate) fn of_what_is_read<F: JsonField>() -> Option<String> {
    EMPTY.into_iter().find(|json| serde_json::from_str::<F>(json).is_ok_and(|field| written(&field).is_some())).map(str::to_owned)
}

fn written<F: JsonField>(field: &F) -> Option<String> {
    match Json.encode(field) {
        Ok(Value::Json(json)) => Some(json.into_owned()),
        _ => None,
    }
}
