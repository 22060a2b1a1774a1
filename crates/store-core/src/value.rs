//! The form in which a column's value crosses from tier to tier.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use uuid::Uuid;

use crate::field::Scalar;
use crate::timestamp::Timestamp;

/// One column's value, borrowed from the model where it can be.
///
/// ```
/// use store_core::Value;
///
/// let owned: Value<'static> = Value::from("Lima").into_owned();
/// assert_eq!(owned.as_text(), Some("Lima"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Not given: a deferred field that was not loaded, or a time of a condition that no column holds. A write leaves the stored column alone, a
    /// condition is refused.
    Unset,
    /// SQL's NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number of any width.
    Integer(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Raw bytes.
    Bytes(Cow<'a, [u8]>),
    /// A moment.
    Time(Timestamp),
    /// A UUID.
    Uuid(Uuid),
    /// A JSON document as text.
    Json(Cow<'a, str>),
}

/// One value for each column of a schema, in the schema's order.
///
/// ```
/// use store_core::{Row, Value};
///
/// let row: Row<'_> = vec![Value::from(7), Value::from("Lima"), Value::Null];
/// assert_eq!(row[1].as_text(), Some("Lima"));
/// ```
pub type Row<'a> = Vec<Value<'a>>;

impl Value<'_> {
    /// The same value, owning what it borrowed.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Unset => Value::Unset,
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Integer(value) => Value::Integer(value),
            Value::Double(value) => Value::Double(value),
            Value::Text(value) => Value::Text(Cow::Owned(value.into_owned())),
            Value::Bytes(value) => Value::Bytes(Cow::Owned(value.into_owned())),
            Value::Time(value) => Value::Time(value),
            Value::Uuid(value) => Value::Uuid(value),
            Value::Json(value) => Value::Json(Cow::Owned(value.into_owned())),
        }
    }

    /// The same value, borrowing from this one.
    pub fn as_borrowed(&self) -> Value<'_> {
        match self {
            Value::Unset => Value::Unset,
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(*value),
            Value::Integer(value) => Value::Integer(*value),
            Value::Double(value) => Value::Double(*value),
            Value::Text(value) => Value::Text(Cow::Borrowed(value)),
            Value::Bytes(value) => Value::Bytes(Cow::Borrowed(value)),
            Value::Time(value) => Value::Time(*value),
            Value::Uuid(value) => Value::Uuid(*value),
            Value::Json(value) => Value::Json(Cow::Borrowed(value)),
        }
    }

    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What this value is, for messages; never its content.
    pub const fn kind(&self) -> &'static str {
        match self {
            Value::Unset => "nothing",
            Value::Null => "NULL",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "an integer",
            Value::Double(_) => "a floating-point number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Time(_) => "a time",
            Value::Uuid(_) => "a UUID",
            Value::Json(_) => "JSON",
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

impl From<f32> for Value<'_> {
    fn from(value: f32) -> Self {
        Value::Double(f64::from(value))
    }
}

macro_rules! from_integer {
    ($($type:ty),*) => {$(
        impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Value::Integer(i64::from(value))
            }
        }
    )*};
}
from_integer!(i8, i16, i32, i64, u8, u16, u32);

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Value::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Value::Bytes(Cow::Borrowed(value))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(value: Vec<u8>) -> Self {
        Value::Bytes(Cow::Owned(value))
    }
}

impl From<Uuid> for Value<'_> {
    fn from(value: Uuid) -> Self {
        Value::Uuid(value)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Value::Time(value)
    }
}

/// A time is cut to the microsecond, towards the past; one outside [`Timestamp`]'s range becomes [`Value::Unset`], which every query refuses.
macro_rules! from_time {
    ($($time:ty),*) => {$(
        impl From<$time> for Value<'_> {
            fn from(value: $time) -> Self {
                Scalar::to_value(&value).map_or(Value::Unset, Value::into_owned)
            }
        }
    )*};
}
from_time!(SystemTime);
#[cfg(feature = "jiff")]
from_time!(jiff::Timestamp);
#[cfg(feature = "chrono")]
from_time!(chrono::DateTime<chrono::Utc>);
#[cfg(feature = "time")]
from_time!(time::OffsetDateTime);

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// What kind of values a column holds. The tier decides the type that it stores them as.
///
/// ```
/// use store_core::{ColumnType, Scalar, sql::Dialect};
///
/// assert_eq!(<u16 as Scalar>::COLUMN_TYPE, ColumnType::Integer);
/// assert_eq!(Dialect::Postgres.type_name(ColumnType::Time), "TIMESTAMPTZ");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `bool`.
    Bool,
    /// Whole numbers of at most 16 bits (`i8`, `u8`, `i16`).
    SmallInt,
    /// `u16`.
    Integer,
    /// Every wider whole number.
    BigInt,
    /// `f32` and `f64`.
    Double,
    /// `String`.
    Text,
    /// `Vec<u8>` and `bytes::Bytes`.
    Bytes,
    /// Moments, to the microsecond.
    Time,
    /// `uuid::Uuid`.
    Uuid,
    /// Everything that is nested: structs, maps, lists.
    Json,
}

impl ColumnType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ColumnType::Bool => "bool",
            ColumnType::SmallInt => "smallint",
            ColumnType::Integer => "integer",
            ColumnType::BigInt => "bigint",
            ColumnType::Double => "double",
            ColumnType::Text => "text",
            ColumnType::Bytes => "bytes",
            ColumnType::Time => "time",
            ColumnType::Uuid => "uuid",
            ColumnType::Json => "json",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
