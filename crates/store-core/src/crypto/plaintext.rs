//! A value as the bytes that are encrypted: `docs/encryption.md` describes the form.

use std::borrow::Cow;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

/// The bytes of a value, behind one that says what it is; `None` for NULL and what is not given, which are not encrypted.
pub(super) fn encode(value: &Value<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let of = |kind: u8, content: &[u8]| {
        let mut bytes = Vec::with_capacity(1 + content.len());
        bytes.push(kind);
        bytes.extend(content);
        Some(Zeroizing::new(bytes))
    };
    match value {
        Value::Unset | Value::Null => None,
        Value::Bool(value) => of(1, &[u8::from(*value)]),
        Value::Integer(value) => of(2, &value.to_le_bytes()),
        Value::Double(value) => of(3, &value.to_bits().to_le_bytes()),
        Value::Text(value) => of(4, value.as_bytes()),
        Value::Bytes(value) => of(5, value),
        Value::Time(value) => of(6, &value.as_microseconds().to_le_bytes()),
        Value::Uuid(value) => of(7, value.as_bytes()),
        Value::Json(value) => of(8, value.as_bytes()),
    }
}

/// The bytes of a value for a blind index: equal values have equal ones.
pub(super) fn encode_canonical(value: &Value<'_>) -> Option<Zeroizing<Vec<u8>>> {
    match value {
        Value::Double(value) if *value == 0.0 => encode(&Value::Double(0.0)),
        Value::Double(value) if value.is_nan() => encode(&Value::Double(f64::NAN)),
        value => encode(value),
    }
}

/// The value of bytes, if a column of this type can hold it.
pub(super) fn decode(bytes: Vec<u8>, column_type: ColumnType) -> Option<Value<'static>> {
    let bytes = Zeroizing::new(bytes);
    let (&kind, content) = bytes.split_first()?;
    let number = || content.try_into().ok().map(i64::from_le_bytes);
    let text = || std::str::from_utf8(content).ok().map(|text| Cow::Owned(text.to_owned()));
    Some(match (kind, column_type) {
        (1, ColumnType::Bool) => match content {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        (2, ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt) => Value::Integer(number()?),
        (3, ColumnType::Double) => Value::Double(f64::from_bits(number()?.cast_unsigned())),
        (4, ColumnType::Text) => Value::Text(text()?),
        (5, ColumnType::Bytes) => Value::Bytes(Cow::Owned(content.to_vec())),
        (6, ColumnType::Time) => Value::Time(Timestamp::from_microseconds(number()?).ok()?),
        (7, ColumnType::Uuid) => Value::Uuid(Uuid::from_slice(content).ok()?),
        (8, ColumnType::Json) => Value::Json(text()?),
        _ => return None,
    })
}
