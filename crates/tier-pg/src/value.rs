//! Values on their way to the server and back.

use std::fmt;

use bytes::{BufMut, BytesMut};
use store_core::{ColumnDefinition, ColumnType, Error, ErrorKind, Result, Role, Timestamp, Value};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::json;

type BoxedError = Box<dyn std::error::Error + Sync + Send>;

/// PostgreSQL counts from 2000-01-01, in microseconds.
const EPOCH_OFFSET: i64 = 946_684_800_000_000;

/// No field of a row reaches a gibibyte.
const LONGEST_FIELD: usize = (1 << 30) - 1024;

/// Refuses a value that its column cannot hold exactly.
pub(crate) fn check(column: &ColumnDefinition, value: &Value<'_>) -> Result<()> {
    let refusal = match (column.column_type, value) {
        (_, Value::Unset | Value::Null) if column.is_key => {
            let message = format!("a key column needs a value, not {}; change the record", value.kind());
            return Err(Error::new(ErrorKind::ConstraintViolation, message).with_tier(Role::Truth).with_column(column.name));
        }
        (_, Value::Unset | Value::Null) => None,
        (ColumnType::Bool, Value::Bool(_))
        | (ColumnType::BigInt, Value::Integer(_))
        | (ColumnType::Double, Value::Double(_))
        | (ColumnType::Time, Value::Time(_))
        | (ColumnType::Uuid, Value::Uuid(_)) => None,
        (ColumnType::SmallInt, Value::Integer(number)) => {
            i16::try_from(*number).is_err().then(|| format!("{number} is out of the range of 16-bit integers"))
        }
        (ColumnType::Integer, Value::Integer(number)) => {
            i32::try_from(*number).is_err().then(|| format!("{number} is out of the range of 32-bit integers"))
        }
        (ColumnType::Text, Value::Text(text)) if text.contains('\0') => {
            Some("PostgreSQL's text cannot hold the character NUL; remove it, or store bytes".to_owned())
        }
        (ColumnType::Text, Value::Text(text)) => too_long(text.len()),
        (ColumnType::Bytes, Value::Bytes(bytes)) => too_long(bytes.len()),
        (ColumnType::Json, Value::Json(text)) => json::unstorable(text).map(str::to_owned).or_else(|| too_long(text.len())),
        (wanted, value) => Some(format!("the column holds {wanted}, not {}", value.kind())),
    };
    match refusal {
        None => Ok(()),
        Some(reason) => Err(Error::new(ErrorKind::InvalidValue, reason).with_tier(Role::Truth).with_column(column.name)),
    }
}

fn too_long(length: usize) -> Option<String> {
    (length > LONGEST_FIELD).then(|| format!("{length} bytes are more than a field of PostgreSQL holds, which is less than 1 GiB"))
}

/// A value for a placeholder, sent in the type that the server inferred for it.
pub(crate) struct Param<'a> {
    value: &'a Value<'a>,
    /// The number of the placeholder, for messages.
    number: usize,
}

impl<'a> Param<'a> {
    pub(crate) fn new(value: &'a Value<'a>, number: usize) -> Self {
        Param { value, number }
    }

    /// Numbers values from 1.
    pub(crate) fn all(values: &'a [Value<'a>]) -> Vec<Param<'a>> {
        values.iter().enumerate().map(|(position, value)| Param::new(value, position + 1)).collect()
    }

    /// Whether the server is to read the value from its text form. Text serves for every type that has no form of its own here, such as dates and enums.
    fn is_sent_as_text(&self, ty: &Type) -> bool {
        match self.value {
            Value::Text(_) => !is_text(ty) && *ty != Type::JSON && *ty != Type::JSONB,
            Value::Integer(_) | Value::Double(_) => *ty == Type::NUMERIC,
            _ => false,
        }
    }

    fn unfit(&self, ty: &Type) -> BoxedError {
        Box::new(Unfit::Param { number: self.number, kind: self.value.kind(), ty: ty.name().to_owned() })
    }
}

/// The driver logs parameters by this; it shows no content.
impl fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${} ({})", self.number, self.value.kind())
    }
}

fn is_text(ty: &Type) -> bool {
    matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN)
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        match (self.value, ty) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Bool(value), &Type::BOOL) => out.put_u8(u8::from(*value)),
            (Value::Integer(value), &Type::INT8) => out.put_i64(*value),
            (Value::Integer(value), &Type::INT4) => out.put_i32(i32::try_from(*value).map_err(|_| self.unfit(ty))?),
            (Value::Integer(value), &Type::INT2) => out.put_i16(i16::try_from(*value).map_err(|_| self.unfit(ty))?),
            (Value::Integer(value), &Type::OID) => out.put_u32(u32::try_from(*value).map_err(|_| self.unfit(ty))?),
            // What PostgreSQL does with an integer literal in the same place.
            (Value::Integer(value), &Type::FLOAT8) => out.put_f64(*value as f64),
            (Value::Integer(value), &Type::FLOAT4) => out.put_f32(*value as f32),
            (Value::Double(value), &Type::FLOAT8) => out.put_f64(*value),
            (Value::Double(value), &Type::FLOAT4) => out.put_f32(*value as f32),
            (Value::Integer(value), ty) if is_text(ty) || *ty == Type::NUMERIC => out.put_slice(value.to_string().as_bytes()),
            (Value::Double(value), &Type::NUMERIC) => out.put_slice(format!("{value:?}").as_bytes()),
            (Value::Text(value), _) if value.contains('\0') => return Err(Box::new(Unfit::Nul { number: self.number })),
            (Value::Text(value) | Value::Json(value), &Type::JSONB) => {
                out.put_u8(1);
                out.put_slice(value.as_bytes());
            }
            (Value::Text(value), _) => out.put_slice(value.as_bytes()),
            (Value::Json(value), ty) if *ty == Type::JSON || is_text(ty) => out.put_slice(value.as_bytes()),
            (Value::Bytes(value), &Type::BYTEA) => out.put_slice(value),
            (Value::Time(value), &Type::TIMESTAMPTZ | &Type::TIMESTAMP) => out.put_i64(value.as_microseconds() - EPOCH_OFFSET),
            (Value::Uuid(value), &Type::UUID) => out.put_slice(value.as_bytes()),
            (Value::Uuid(value), ty) if is_text(ty) => out.put_slice(value.to_string().as_bytes()),
            _ => return Err(self.unfit(ty)),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, ty: &Type) -> Format {
        if self.is_sent_as_text(ty) { Format::Text } else { Format::Binary }
    }

    to_sql_checked!();
}

/// A column's content as a value.
#[derive(Debug)]
pub(crate) struct Cell(pub(crate) Value<'static>);

impl FromSql<'_> for Cell {
    fn from_sql(ty: &Type, raw: &[u8]) -> Result<Self, BoxedError> {
        let value = match *ty {
            Type::BOOL => Value::Bool(bool::from_sql(ty, raw)?),
            Type::INT2 => Value::Integer(i64::from(i16::from_sql(ty, raw)?)),
            Type::INT4 => Value::Integer(i64::from(i32::from_sql(ty, raw)?)),
            Type::INT8 => Value::Integer(i64::from_sql(ty, raw)?),
            Type::FLOAT4 => Value::Double(f64::from(f32::from_sql(ty, raw)?)),
            Type::FLOAT8 => Value::Double(f64::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => Value::Text(String::from_sql(ty, raw)?.into()),
            Type::BYTEA => Value::Bytes(raw.to_vec().into()),
            Type::UUID => Value::Uuid(Uuid::from_slice(raw)?),
            Type::JSONB => match raw.split_first() {
                Some((1, text)) => Value::Json(std::str::from_utf8(text)?.to_owned().into()),
                _ => return Err(Box::new(Unfit::Cell { reason: "its JSON has a binary form that this build does not know".to_owned() })),
            },
            Type::JSON => Value::Json(std::str::from_utf8(raw)?.to_owned().into()),
            Type::TIMESTAMPTZ => Value::Time(moment(i64::from_be_bytes(raw.try_into()?))?),
            _ => {
                let reason = format!("it has the type {}, which no field is read from; alter the column", ty.name());
                return Err(Box::new(Unfit::Cell { reason }));
            }
        };
        Ok(Cell(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxedError> {
        Ok(Cell(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Infinity and the last years of PostgreSQL's calendar are beyond 64-bit microseconds from 1970.
fn moment(since_2000: i64) -> Result<Timestamp, BoxedError> {
    since_2000
        .checked_add(EPOCH_OFFSET)
        .and_then(|microseconds| Timestamp::from_microseconds(microseconds).ok())
        .ok_or_else(|| Unfit::Cell { reason: "its time is infinite or beyond what a model holds; mend the row".to_owned() }.into())
}

/// A value that cannot travel.
#[derive(Debug)]
pub(crate) enum Unfit {
    Param { number: usize, kind: &'static str, ty: String },
    Nul { number: usize },
    Cell { reason: String },
}

impl Unfit {
    pub(crate) fn to_error(&self) -> Error {
        let kind = match self {
            Unfit::Param { .. } | Unfit::Nul { .. } => ErrorKind::InvalidQuery,
            Unfit::Cell { .. } => ErrorKind::DecodeFailed,
        };
        Error::new(kind, self.to_string()).with_tier(Role::Truth)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Param { number, kind, ty } => {
                write!(f, "value ${number} is {kind}, and PostgreSQL takes {ty} in its place; give another value, or cast the placeholder")
            }
            Unfit::Nul { number } => write!(f, "value ${number} holds the character NUL, which PostgreSQL's text cannot hold"),
            Unfit::Cell { reason } => write!(f, "the stored value cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(column_type: ColumnType) -> ColumnDefinition {
        ColumnDefinition::new("c", column_type)
    }

    #[test]
    fn a_value_that_its_column_cannot_hold_is_refused_by_name() {
        for (column_type, value) in [
            (ColumnType::SmallInt, Value::Integer(32_768)),
            (ColumnType::Integer, Value::Integer(-2_147_483_649)),
            (ColumnType::Text, Value::from("a\0b")),
            (ColumnType::Text, Value::Integer(1)),
            (ColumnType::Double, Value::Integer(1)),
            (ColumnType::Json, Value::Json(r#"{"a":"\u0000"}"#.into())),
        ] {
            let error = check(&column(column_type), &value).unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some("c")), "{value:?}");
        }
        let key = ColumnDefinition { is_key: true, ..column(ColumnType::Text) };
        for nothing in [Value::Null, Value::Unset] {
            assert_eq!(check(&key, &nothing).unwrap_err().kind(), ErrorKind::ConstraintViolation);
        }
        assert!(check(&column(ColumnType::SmallInt), &Value::Integer(-32_768)).is_ok());
        assert!(check(&column(ColumnType::Text), &Value::Null).is_ok());
    }

    #[test]
    fn times_beyond_a_model_are_refused_and_the_ends_of_its_range_survive() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(moment(time.as_microseconds() - EPOCH_OFFSET).unwrap(), time);
        }
        assert!(moment(i64::MAX).is_err());
        assert!(moment(i64::MIN).is_err());
    }

    #[test]
    fn a_parameter_in_a_log_shows_no_content() {
        let value = Value::from("secret");
        assert_eq!(format!("{:?}", Param::new(&value, 3)), "$3 (text)");
    }
}
