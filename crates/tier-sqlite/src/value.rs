//! Values on their way into SQLite and out of it.

use rusqlite::types::{Value as Stored, ValueRef};
use serde::de::IgnoredAny;
use store_core::{ColumnDefinition, ColumnType, Error, ErrorKind, Result, Role, Row, StoredRow, Timestamp, Value, Version};
use uuid::Uuid;

use crate::error::{self, Origin};
use crate::plan::Plan;

/// SQLite's own limit for one text or blob.
const LONGEST: usize = 1_000_000_000;

/// A column's value as SQLite takes it; `None` where it is unset.
///
/// What the column cannot hold exactly is refused. Minus zero is the exception: SQLite stores it as the zero that it is equal to.
pub(crate) fn to_stored(value: &Value<'_>, column: &ColumnDefinition, plan: &Plan) -> Result<Option<Stored>> {
    let refuse = |reason: String| {
        Err(Error::new(ErrorKind::InvalidValue, reason).with_schema(plan.name()).with_column(column.name).with_tier(Role::Truth))
    };
    let stored = match (value, column.column_type) {
        (Value::Unset, _) => return Ok(None),
        (Value::Null, _) => Stored::Null,
        (Value::Bool(value), ColumnType::Bool) => Stored::Integer((*value).into()),
        (Value::Integer(value), ColumnType::SmallInt) if i16::try_from(*value).is_err() => {
            return refuse("the number needs more than the 16 bits of the column; widen the field".into());
        }
        (Value::Integer(value), ColumnType::Integer) if i32::try_from(*value).is_err() => {
            return refuse("the number needs more than the 32 bits of the column; widen the field".into());
        }
        (Value::Integer(value), ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt) => Stored::Integer(*value),
        (Value::Double(value), ColumnType::Double) if value.is_nan() => {
            return refuse("SQLite turns NaN into NULL; store an `Option`, or a number that says what is meant".into());
        }
        (Value::Double(value), ColumnType::Double) => Stored::Real(*value),
        // SQLite's own functions take the text to end there, and PostgreSQL refuses it.
        (Value::Text(text), ColumnType::Text) if text.contains('\0') => {
            return refuse("text cannot hold the character NUL; remove it, or store bytes".into());
        }
        (Value::Text(text), ColumnType::Text) if text.len() <= LONGEST => Stored::Text(text.as_ref().to_owned()),
        (Value::Json(text), ColumnType::Json) if text.len() <= LONGEST => {
            if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
                return refuse(format!("the text is no JSON document (line {}, column {})", error.line(), error.column()));
            }
            Stored::Text(text.as_ref().to_owned())
        }
        (Value::Bytes(bytes), ColumnType::Bytes) if bytes.len() <= LONGEST => Stored::Blob(bytes.as_ref().to_owned()),
        (Value::Text(_), ColumnType::Text) | (Value::Json(_), ColumnType::Json) | (Value::Bytes(_), ColumnType::Bytes) => {
            return refuse(format!("the value is longer than the {LONGEST} bytes that SQLite holds; keep it in a file"));
        }
        (Value::Time(time), ColumnType::Time) => Stored::Integer(time.as_microseconds()),
        (Value::Uuid(uuid), ColumnType::Uuid) => Stored::Blob(uuid.as_bytes().to_vec()),
        (value, column_type) => return refuse(format!("a column of type {column_type} does not hold {}", value.kind())),
    };
    Ok(Some(stored))
}

/// A key's values as SQLite takes them.
pub(crate) fn key_to_stored(key: &Row<'_>, plan: &Plan) -> Result<Vec<Stored>> {
    let positions = plan.key_positions();
    if key.len() != positions.len() {
        return Err(wrong_length("key", key.len(), positions.len(), plan));
    }
    let columns = positions.iter().map(|&position| &plan.columns()[position]);
    key.iter().zip(columns).map(|(value, column)| key_part(value, column, plan, ErrorKind::InvalidValue)).collect()
}

/// One part of a key, which cannot be missing: SQLite would make a number up for NULL.
fn key_part(value: &Value<'_>, column: &ColumnDefinition, plan: &Plan, missing: ErrorKind) -> Result<Stored> {
    match to_stored(value, column, plan)? {
        None | Some(Stored::Null) => Err(Error::new(missing, "the key has no value here; set the field")
            .with_schema(plan.name())
            .with_column(column.name)
            .with_tier(Role::Truth)),
        Some(stored) => Ok(stored),
    }
}

/// A row to write: the columns that have a value, and the values with a place for the version behind them.
#[derive(Debug)]
pub(crate) struct NewRow {
    /// The positions of the given columns, rising; `None` for all.
    pub(crate) given: Option<Box<[usize]>>,
    /// Their values.
    pub(crate) values: Vec<Stored>,
}

impl NewRow {
    /// The value of a column, if it is given.
    fn at(&self, position: usize) -> Option<&Stored> {
        let index = match &self.given {
            None => Some(position),
            Some(given) => given.iter().position(|&given| given == position),
        };
        self.values.get(index?)
    }
}

/// A row's values as SQLite takes them.
pub(crate) fn row_to_stored(row: &Row<'_>, plan: &Plan) -> Result<NewRow> {
    let columns = plan.columns();
    if row.len() != columns.len() {
        return Err(wrong_length("row", row.len(), columns.len(), plan));
    }
    let mut values = Vec::with_capacity(columns.len() + 1);
    let mut given = Vec::new();
    for (position, (value, column)) in row.iter().zip(columns).enumerate() {
        let stored = if column.is_key {
            Some(key_part(value, column, plan, ErrorKind::ConstraintViolation)?)
        } else {
            to_stored(value, column, plan)?
        };
        match stored {
            // Only rows that lack something list what they have.
            None if values.len() == position => given.extend(0..position),
            None => {}
            Some(_) if values.len() < position => given.push(position),
            Some(_) => {}
        }
        values.extend(stored);
    }
    let given = (values.len() < columns.len()).then(|| given.into_boxed_slice());
    Ok(NewRow { given, values })
}

/// The key of a row to write, as SQLite takes it.
pub(crate) fn stored_key_of(row: &NewRow, plan: &Plan) -> Vec<Stored> {
    plan.key_positions().iter().filter_map(|&position| row.at(position).cloned()).collect()
}

/// The key of a row to write.
pub(crate) fn key_of(row: &NewRow, plan: &Plan) -> Result<Row<'static>> {
    let part = |&position: &usize| {
        let stored = row.at(position);
        from_stored(stored.map_or(ValueRef::Null, ValueRef::from), &plan.columns()[position], plan)
    };
    plan.key_positions().iter().map(part).collect()
}

fn wrong_length(what: &str, found: usize, expected: usize, plan: &Plan) -> Error {
    Error::new(ErrorKind::Internal, format!("the {what} has {found} values, the schema {expected} columns; please report this"))
        .with_schema(plan.name())
        .with_tier(Role::Truth)
}

/// A condition's value as SQLite takes it.
pub(crate) fn operand_to_stored(value: Value<'static>) -> Stored {
    match value {
        Value::Unset | Value::Null => Stored::Null,
        Value::Bool(value) => Stored::Integer(value.into()),
        Value::Integer(value) => Stored::Integer(value),
        Value::Double(value) => Stored::Real(value),
        Value::Text(text) | Value::Json(text) => Stored::Text(text.into_owned()),
        Value::Bytes(bytes) => Stored::Blob(bytes.into_owned()),
        Value::Time(time) => Stored::Integer(time.as_microseconds()),
        Value::Uuid(uuid) => Stored::Blob(uuid.as_bytes().to_vec()),
    }
}

/// A stored row of which the statement read the columns at `positions` and the version.
pub(crate) fn from_row(row: &rusqlite::Row<'_>, positions: impl Iterator<Item = usize>, plan: &Plan) -> Result<StoredRow> {
    let columns = plan.columns();
    let mut values = vec![Value::Unset; columns.len()];
    let mut read = 0;
    for position in positions {
        let stored = row.get_ref(read).map_err(|error| error::from_sqlite(error, Origin::Table(plan)))?;
        values[position] = from_stored(stored, &columns[position], plan)?;
        read += 1;
    }
    let version: i64 = row.get(read).map_err(|error| error::from_sqlite(error, Origin::Table(plan)))?;
    Ok(StoredRow { row: values, version: Version::new(version.unsigned_abs()) })
}

fn from_stored(stored: ValueRef<'_>, column: &ColumnDefinition, plan: &Plan) -> Result<Value<'static>> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).ok();
    let value = match (stored, column.column_type) {
        (ValueRef::Null, _) => Some(Value::Null),
        (ValueRef::Integer(value @ (0 | 1)), ColumnType::Bool) => Some(Value::Bool(value == 1)),
        (ValueRef::Integer(value), ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt) => Some(Value::Integer(value)),
        (ValueRef::Integer(value), ColumnType::Time) => Timestamp::from_microseconds(value).map(Value::Time).ok(),
        (ValueRef::Real(value), ColumnType::Double) => Some(Value::Double(value)),
        (ValueRef::Text(bytes), ColumnType::Text) => text(bytes).map(|text| Value::Text(text.into())),
        (ValueRef::Text(bytes), ColumnType::Json) => text(bytes).map(|text| Value::Json(text.into())),
        (ValueRef::Blob(bytes), ColumnType::Bytes) => Some(Value::Bytes(bytes.to_owned().into())),
        (ValueRef::Blob(bytes), ColumnType::Uuid) => Uuid::from_slice(bytes).map(Value::Uuid).ok(),
        _ => None,
    };
    value.ok_or_else(|| {
        Error::new(
            ErrorKind::DecodeFailed,
            format!(
                "the row holds a value (SQLite's type is {}) that is none of type {}; another program wrote it; mend the row",
                stored.data_type(),
                column.column_type
            ),
        )
        .with_schema(plan.name())
        .with_column(column.name)
        .with_tier(Role::Truth)
    })
}

/// About how many bytes a row takes beyond its fixed size.
pub(crate) fn weight(row: &Row<'_>) -> usize {
    let of_value = |value: &Value<'_>| match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    row.iter().map(of_value).sum()
}
