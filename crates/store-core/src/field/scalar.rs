//! Types that are one SQL value.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use uuid::Uuid;

use super::{FieldCodec, unexpected};
use crate::error::{Error, ErrorKind, Result};
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Value};

/// A type that one column holds as it is: it can be compared in queries, and indexed.
///
/// ```
/// use store_core::{ColumnType, Query, Result, Scalar, Value, sql::Dialect};
/// # use store_derive::Schema;
///
/// /// Degrees Celsius.
/// struct Celsius(f64);
///
/// impl Scalar for Celsius {
///     const COLUMN_TYPE: ColumnType = ColumnType::Double;
///
///     fn to_value(&self) -> Result<Value<'_>> {
///         self.0.to_value()
///     }
///
///     fn from_value(value: Value<'static>) -> Result<Self> {
///         f64::from_value(value).map(Celsius)
///     }
/// }
///
/// #[derive(Schema)]
/// struct Reading {
///     #[schema(primary_key)]
///     id: i64,
///     outside: Celsius,
/// }
///
/// let hot: Query<Reading> = Query::new().filter(Reading::outside().gt(Celsius(30.0)));
/// assert!(hot.to_sql(Dialect::Sqlite)?.0.contains(r#"WHERE "outside" > ?1"#));
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a single SQL value",
    note = "booleans, integers, floats, `String`, `Vec<u8>`, `Bytes`, `Uuid`, `SystemTime` and (behind features) the time types of jiff, chrono and time are"
)]
pub trait Scalar: Sized {
    /// The type of the column.
    const COLUMN_TYPE: ColumnType;

    /// The column's value, borrowed where possible. Of times, what is finer than a microsecond is cut off, towards the past.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](ErrorKind::InvalidValue) for a value that no truth tier can hold exactly.
    fn to_value(&self) -> Result<Value<'_>>;

    /// Whether [`to_value`](Self::to_value) cut something off, as it does with what is finer than a microsecond of a time: the exact value then lies
    /// between the value that it gives and the next one that a column holds. Conditions heed it. A type that wraps another passes it on.
    fn is_cut(&self) -> bool {
        false
    }

    /// The value for a column's content.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](ErrorKind::DecodeFailed) if the content does not fit this type.
    fn from_value(value: Value<'static>) -> Result<Self>;
}

/// The codec of fields that are a [`Scalar`].
///
/// ```
/// use store_core::{FieldCodec, Plain, Value};
///
/// let level: u8 = Plain.decode(Value::Integer(200))?;
/// assert_eq!(level, 200);
/// assert!(FieldCodec::<u8>::decode(Plain, Value::Integer(300)).is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl<F: Scalar> FieldCodec<F> for Plain {
    const COLUMN_TYPE: ColumnType = F::COLUMN_TYPE;
    const NULLABLE: bool = false;

    fn encode(self, field: &F) -> Result<Value<'_>> {
        Scalar::to_value(field)
    }

    fn decode(self, value: Value<'static>) -> Result<F> {
        Scalar::from_value(value)
    }
}

impl Scalar for bool {
    const COLUMN_TYPE: ColumnType = ColumnType::Bool;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Bool(*self))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        match value {
            Value::Bool(value) => Ok(value),
            other => Err(unexpected(&other, "a boolean")),
        }
    }
}

/// The stored number is outside the range of the field's type.
fn out_of_range(type_name: &str, least: impl Debug, most: impl Debug) -> Error {
    let message = format!("the number does not fit `{type_name}` ({least:?} to {most:?}); widen the field or mend the row");
    Error::new(ErrorKind::DecodeFailed, message)
}

macro_rules! integer {
    ($($type:ty => $column:ident),* $(,)?) => {$(
        impl Scalar for $type {
            const COLUMN_TYPE: ColumnType = ColumnType::$column;

            fn to_value(&self) -> Result<Value<'_>> {
                i64::try_from(*self).map(Value::Integer).map_err(|_| {
                    Error::new(
                        ErrorKind::InvalidValue,
                        format!("the number is above {}, the largest integer a column holds; store it as text or bytes", i64::MAX),
                    )
                })
            }

            fn from_value(value: Value<'static>) -> Result<Self> {
                match value {
                    Value::Integer(number) => {
                        <$type>::try_from(number).map_err(|_| out_of_range(stringify!($type), <$type>::MIN, <$type>::MAX))
                    }
                    other => Err(unexpected(&other, "an integer")),
                }
            }
        }
    )*};
}
integer!(
    i8 => SmallInt, u8 => SmallInt, i16 => SmallInt, u16 => Integer,
    i32 => BigInt, u32 => BigInt, i64 => BigInt, u64 => BigInt, isize => BigInt, usize => BigInt,
);

impl Scalar for f64 {
    const COLUMN_TYPE: ColumnType = ColumnType::Double;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Double(*self))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        match value {
            Value::Double(value) => Ok(value),
            other => Err(unexpected(&other, "a floating-point number")),
        }
    }
}

impl Scalar for f32 {
    const COLUMN_TYPE: ColumnType = ColumnType::Double;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Double(f64::from(*self)))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        let wide = <f64 as Scalar>::from_value(value)?;
        // The nearest `f32`: a double that another program wrote need not have come from one.
        let nearest = wide as f32;
        if nearest.is_infinite() && wide.is_finite() {
            return Err(out_of_range("f32", f32::MIN, f32::MAX));
        }
        Ok(nearest)
    }
}

impl Scalar for String {
    const COLUMN_TYPE: ColumnType = ColumnType::Text;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Text(Cow::Borrowed(self)))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            other => Err(unexpected(&other, "text")),
        }
    }
}

impl Scalar for Vec<u8> {
    const COLUMN_TYPE: ColumnType = ColumnType::Bytes;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Bytes(Cow::Borrowed(self)))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.into_owned()),
            other => Err(unexpected(&other, "bytes")),
        }
    }
}

impl Scalar for Bytes {
    const COLUMN_TYPE: ColumnType = ColumnType::Bytes;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Bytes(Cow::Borrowed(self)))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        <Vec<u8> as Scalar>::from_value(value).map(Bytes::from)
    }
}

impl Scalar for Uuid {
    const COLUMN_TYPE: ColumnType = ColumnType::Uuid;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Uuid(*self))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        match value {
            Value::Uuid(value) => Ok(value),
            other => Err(unexpected(&other, "a UUID")),
        }
    }
}

impl Scalar for SystemTime {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        Timestamp::from_system_time(*self).map(Value::Time)
    }

    fn is_cut(&self) -> bool {
        let distance = self.duration_since(UNIX_EPOCH).unwrap_or_else(|before| before.duration());
        !distance.subsec_nanos().is_multiple_of(1_000)
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        Timestamp::from_value(value).map(Timestamp::to_system_time)
    }
}

impl Scalar for Timestamp {
    const COLUMN_TYPE: ColumnType = ColumnType::Time;

    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Time(*self))
    }

    fn from_value(value: Value<'static>) -> Result<Self> {
        match value {
            Value::Time(value) => Ok(value),
            other => Err(unexpected(&other, "a time")),
        }
    }
}
