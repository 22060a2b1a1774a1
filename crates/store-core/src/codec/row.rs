//! A row in serde's data model: the positions of unset columns, then one optional value for each column.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Row, Value};

/// Serializes a row, for [`Codec::encode`](super::Codec::encode).
///
/// ```
/// use store_core::{SerializeRow, Value};
///
/// let row = [Value::from(7), Value::Unset];
/// assert_eq!(serde_json::to_string(&SerializeRow(&row))?, "[[1],7,null]");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SerializeRow<'a>(pub &'a [Value<'a>]);

impl Serialize for SerializeRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unset: Vec<u32> =
            (0_u32..).zip(self.0).filter(|(_, value)| matches!(value, Value::Unset)).map(|(position, _)| position).collect();
        let human_readable = serializer.is_human_readable();
        let mut tuple = serializer.serialize_tuple(self.0.len() + 1)?;
        tuple.serialize_element(&unset)?;
        for value in self.0 {
            tuple.serialize_element(&SerializeValue { value, human_readable })?;
        }
        tuple.end()
    }
}

struct SerializeValue<'a> {
    value: &'a Value<'a>,
    human_readable: bool,
}

struct RawBytes<'a>(&'a [u8]);

impl Serialize for RawBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for SerializeValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Unset | Value::Null => serializer.serialize_none(),
            Value::Bool(value) => serializer.serialize_some(value),
            Value::Integer(value) => serializer.serialize_some(value),
            // Text formats have no spelling for infinities and NaN of their own.
            Value::Double(value) if self.human_readable && !value.is_finite() => serializer.serialize_some(&value.to_string()),
            Value::Double(value) => serializer.serialize_some(value),
            Value::Text(value) | Value::Json(value) => serializer.serialize_some(value.as_ref()),
            Value::Bytes(value) => serializer.serialize_some(&RawBytes(value)),
            Value::Time(value) => serializer.serialize_some(&value.as_microseconds()),
            Value::Uuid(value) if self.human_readable => serializer.serialize_some(&value.to_string()),
            Value::Uuid(value) => serializer.serialize_some(&RawBytes(value.as_bytes())),
        }
    }
}

/// Deserializes a row of the given column types, for [`Codec::decode`](super::Codec::decode).
///
/// ```
/// use serde::de::DeserializeSeed;
/// use store_core::{ColumnType, RowSeed, Value};
///
/// let mut json = serde_json::Deserializer::from_str("[[1],7,null]");
/// let row = RowSeed(&[ColumnType::BigInt, ColumnType::Text]).deserialize(&mut json)?;
/// assert_eq!(row, [Value::Integer(7), Value::Unset]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RowSeed<'a>(pub &'a [ColumnType]);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Row<'static>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let human_readable = deserializer.is_human_readable();
        deserializer.deserialize_tuple(self.0.len() + 1, RowVisitor { columns: self.0, human_readable })
    }
}

struct RowVisitor<'a> {
    columns: &'a [ColumnType],
    human_readable: bool,
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = Row<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record of {} columns", self.columns.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let unset: Vec<u32> = sequence.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let mut row = Vec::with_capacity(self.columns.len());
        for (position, &column_type) in self.columns.iter().enumerate() {
            let seed = ValueSeed { column_type, human_readable: self.human_readable };
            row.push(sequence.next_element_seed(seed)?.ok_or_else(|| de::Error::invalid_length(position + 1, &self))?);
        }
        if sequence.next_element::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(self.columns.len() + 2, &self));
        }
        for position in unset {
            match row.get_mut(position as usize) {
                Some(value @ Value::Null) => *value = Value::Unset,
                _ => {
                    return Err(de::Error::custom("an unset column does not exist or has a value"));
                }
            }
        }
        Ok(row)
    }
}

struct ValueSeed {
    column_type: ColumnType,
    human_readable: bool,
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'static>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        fn read<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
            deserializer: D,
            wrap: impl FnOnce(T) -> Result<Value<'static>, D::Error>,
        ) -> Result<Value<'static>, D::Error> {
            Option::<T>::deserialize(deserializer)?.map_or(Ok(Value::Null), wrap)
        }
        match (self.column_type, self.human_readable) {
            (ColumnType::Bool, _) => read(deserializer, |value| Ok(Value::Bool(value))),
            (ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt, _) => read(deserializer, |value| Ok(Value::Integer(value))),
            (ColumnType::Double, false) => read(deserializer, |value| Ok(Value::Double(value))),
            (ColumnType::Double, true) => read(deserializer, |Spelled(value)| Ok(Value::Double(value))),
            (ColumnType::Text, _) => read(deserializer, |value: String| Ok(Value::Text(Cow::Owned(value)))),
            (ColumnType::Json, _) => read(deserializer, |value: String| Ok(Value::Json(Cow::Owned(value)))),
            (ColumnType::Bytes, _) => read(deserializer, |OwnedBytes(value)| Ok(Value::Bytes(Cow::Owned(value)))),
            (ColumnType::Time, _) => {
                read(deserializer, |value| Timestamp::from_microseconds(value).map(Value::Time).map_err(de::Error::custom))
            }
            (ColumnType::Uuid, true) => {
                read(deserializer, |value: String| Uuid::try_parse(&value).map(Value::Uuid).map_err(de::Error::custom))
            }
            (ColumnType::Uuid, false) => {
                read(deserializer, |OwnedBytes(value)| Uuid::from_slice(&value).map(Value::Uuid).map_err(de::Error::custom))
            }
        }
    }
}

/// A number that a text format may have had to spell.
struct Spelled(f64);

impl<'de> Deserialize<'de> for Spelled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Spelled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Spelled, E> {
                Ok(Spelled(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Spelled, E> {
                Ok(Spelled(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Spelled, E> {
                Ok(Spelled(value as f64))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Spelled, E> {
                value.parse().map(Spelled).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// Bytes in whichever form a format has them.
struct OwnedBytes(Vec<u8>);

impl<'de> Deserialize<'de> for OwnedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyBytes<'de>(PhantomData<&'de ()>);

        impl<'de> Visitor<'de> for AnyBytes<'de> {
            type Value = OwnedBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, value: &[u8]) -> Result<OwnedBytes, E> {
                Ok(OwnedBytes(value.to_vec()))
            }

            fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<OwnedBytes, E> {
                Ok(OwnedBytes(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<OwnedBytes, A::Error> {
                // The length a hostile record claims is not to be trusted with an allocation.
                let mut bytes = Vec::with_capacity(sequence.size_hint().unwrap_or(0).min(4096));
                while let Some(byte) = sequence.next_element()? {
                    bytes.push(byte);
                }
                Ok(OwnedBytes(bytes))
            }
        }

        deserializer.deserialize_byte_buf(AnyBytes(PhantomData))
    }
}
