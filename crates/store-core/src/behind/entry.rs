//! A write as it stands in the journal: `docs/write-behind.md` describes the form byte by byte.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::base::Base;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{ColumnDefinition, SchemaDefinition};
use crate::timestamp::Timestamp;
use crate::value::{ColumnType, Row, Value};

/// The first byte of an entry of the first version of its model.
const FORMAT: u8 = 1;
/// The first byte of an entry of another version, which follows in four bytes. 2 is that of a note ([`Forgotten`](super::Forgotten)).
const VERSIONED: u8 = 3;
/// What most entries fit in.
const USUAL_BYTES: usize = 256;

/// A write as it stands in the journal: by the names of columns, so that a build with another layout can read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry<'a> {
    pub(crate) schema: Cow<'a, str>,
    /// The version of the model that it was written with.
    #[serde(skip, default = "first")]
    pub(crate) version: u32,
    /// The key's text form.
    pub(crate) key: Cow<'a, str>,
    pub(crate) base: Base,
    /// Those that the call gave.
    pub(crate) tags: Vec<Cow<'a, str>>,
    /// `None` for a deletion.
    #[serde(borrow)]
    pub(crate) columns: Option<Vec<(Cow<'a, str>, Content<'a>)>>,
}

fn first() -> u32 {
    1
}

/// The error of bytes that this build cannot read.
pub(super) fn unreadable() -> Error {
    let message = "the journal's entry is of another form than this build reads; flush the journal with the build that wrote it";
    Error::new(ErrorKind::DecodeFailed, message)
}

/// A column's value in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Content<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Microseconds(i64),
    Uuid([u8; 16]),
    Json(Cow<'a, str>),
    /// Of a column that is encrypted, so that no build takes a ciphertext for plain bytes, or these for a ciphertext.
    Encrypted(Cow<'a, [u8]>),
}

impl<'a> Content<'a> {
    /// `None` for what is not given.
    fn of(column: &ColumnDefinition, value: &'a Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Bytes(value) if column.encryption.is_some() => Content::Encrypted(Cow::Borrowed(value)),
            Value::Unset => return None,
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Integer(value) => Content::Integer(*value),
            Value::Double(value) => Content::Double(*value),
            Value::Text(value) => Content::Text(Cow::Borrowed(value)),
            Value::Bytes(value) => Content::Bytes(Cow::Borrowed(value)),
            Value::Time(value) => Content::Microseconds(value.as_microseconds()),
            Value::Uuid(value) => Content::Uuid(*value.as_bytes()),
            Value::Json(value) => Content::Json(Cow::Borrowed(value)),
        })
    }

    /// The value, if this column can hold it.
    fn into_value(self, column: &ColumnDefinition) -> Option<Value<'static>> {
        let bytes = |value: Cow<'_, [u8]>| Value::Bytes(Cow::Owned(value.into_owned()));
        Some(match (self, column.column_type) {
            (Content::Null, _) => Value::Null,
            (Content::Encrypted(value), ColumnType::Bytes) if column.encryption.is_some() => bytes(value),
            _ if column.encryption.is_some() => return None,
            (Content::Bool(value), ColumnType::Bool) => Value::Bool(value),
            (Content::Integer(value), ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt) => Value::Integer(value),
            (Content::Double(value), ColumnType::Double) => Value::Double(value),
            (Content::Text(value), ColumnType::Text) => Value::Text(Cow::Owned(value.into_owned())),
            (Content::Bytes(value), ColumnType::Bytes) => bytes(value),
            (Content::Microseconds(value), ColumnType::Time) => Value::Time(Timestamp::from_microseconds(value).ok()?),
            (Content::Uuid(value), ColumnType::Uuid) => Value::Uuid(Uuid::from_bytes(value)),
            (Content::Json(value), ColumnType::Json) => Value::Json(Cow::Owned(value.into_owned())),
            _ => return None,
        })
    }
}

impl<'a> Entry<'a> {
    /// A write of a schema: of this row, or with `None` a deletion.
    pub(crate) fn new(
        schema: &'a SchemaDefinition,
        key: &'a str,
        base: Base,
        tags: impl IntoIterator<Item = &'a String>,
        row: Option<&'a [Value<'_>]>,
    ) -> Self {
        let columns = row.map(|row| {
            let given = schema.columns().iter().zip(row);
            let mut columns = Vec::with_capacity(row.len());
            columns.extend(given.filter_map(|(column, value)| Some((Cow::Borrowed(column.name), Content::of(column, value)?))));
            columns
        });
        let tags = tags.into_iter().map(|tag| Cow::Borrowed(tag.as_str())).collect();
        Entry { schema: schema.name().into(), version: schema.version(), key: key.into(), base, tags, columns }
    }

    /// The bytes of the journal.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        if self.version == first() {
            bytes.push(FORMAT);
        } else {
            bytes.push(VERSIONED);
            bytes.extend(self.version.to_le_bytes());
        }
        postcard::to_extend(self, bytes)
            .map_err(|error| Error::new(ErrorKind::EncodeFailed, "the write cannot be put into the journal").with_source(error))
    }

    /// Reads the bytes of a journal, whatever they are.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        let (version, body) = match bytes {
            [FORMAT, body @ ..] => (first(), body),
            [VERSIONED, a, b, c, d, body @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), body),
            _ => return Err(unreadable()),
        };
        let (entry, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| unreadable())?;
        if rest.is_empty() { Ok(Entry { version, ..entry }) } else { Err(unreadable()) }
    }

    /// The row that it writes, in the layout of this build; columns that the entry does not name are unset. `None` for a deletion.
    pub(crate) fn into_row(self, schema: &SchemaDefinition) -> Result<Option<Row<'static>>> {
        let Some(columns) = self.columns else { return Ok(None) };
        let mut row: Row<'static> = schema.columns().iter().map(|_| Value::Unset).collect();
        for (name, content) in columns {
            let refused = |what: &str| {
                let message =
                    format!("the journal's entry has a column that {what}; write the record anew, or flush with the build that wrote it");
                Error::new(ErrorKind::SchemaMismatch, message).with_schema(schema.name()).with_column(name.clone().into_owned())
            };
            let position = schema.position(&name).ok_or_else(|| refused("the model does not have any more"))?;
            let value = content.into_value(&schema.columns()[position]);
            row[position] = value.ok_or_else(|| refused("the model has with another type"))?;
        }
        Ok(Some(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Encryption, Policies};

    fn schema() -> SchemaDefinition {
        let types = [
            ("id", ColumnType::BigInt),
            ("flag", ColumnType::Bool),
            ("part", ColumnType::Double),
            ("name", ColumnType::Text),
            ("raw", ColumnType::Bytes),
            ("at", ColumnType::Time),
            ("token", ColumnType::Uuid),
            ("nested", ColumnType::Json),
            ("late", ColumnType::Text),
            ("empty", ColumnType::Text),
        ];
        let columns =
            types.map(|(name, column_type)| ColumnDefinition { is_key: name == "id", ..ColumnDefinition::new(name, column_type) });
        SchemaDefinition::new("thing", columns.into(), Vec::new(), Policies::default())
    }

    fn row() -> Row<'static> {
        vec![
            Value::from(-7),
            Value::from(true),
            Value::from(f64::INFINITY),
            Value::from("Lima"),
            Value::Bytes(vec![0, 255].into()),
            Value::Time(Timestamp::from_microseconds(-1).unwrap()),
            Value::Uuid(Uuid::from_u128(7)),
            Value::Json("{\"a\":1}".into()),
            Value::Unset,
            Value::Null,
        ]
    }

    #[test]
    fn every_value_comes_back() {
        let (schema, row, tags) = (schema(), row(), ["one".to_owned()]);
        let entry = Entry::new(&schema, "-7", Base::Version(u64::MAX), &tags, Some(&row));
        let bytes = entry.encode().unwrap();
        let read = Entry::decode(&bytes).unwrap();
        assert_eq!(read, entry);
        assert_eq!(read.into_row(&schema).unwrap(), Some(row));

        let deletion = Entry::new(&schema, "-7", Base::Absent(3), [], None).encode().unwrap();
        let read = Entry::decode(&deletion).unwrap();
        assert_eq!((read.base, read.tags.len(), read.columns.is_none()), (Base::Absent(3), 0, true));
    }

    #[test]
    fn the_version_of_the_model_comes_back() {
        let row = row();
        for (version, form) in [(1, FORMAT), (2, VERSIONED), (u32::MAX, VERSIONED)] {
            let schema = schema().with_version(version);
            let entry = Entry::new(&schema, "-7", Base::Unknown, [], Some(&row));
            let bytes = entry.encode().unwrap();
            assert_eq!((bytes[0], Entry::decode(&bytes).unwrap()), (form, entry));
            for end in 0..bytes.len() {
                assert!(Entry::decode(&bytes[..end]).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn a_column_that_is_gone_or_changed_is_named() {
        let (schema, row) = (schema(), row());
        let entry = Entry::new(&schema, "-7", Base::Unknown, [], Some(&row));
        let narrower = SchemaDefinition::new("thing", schema.columns()[..2].to_vec(), Vec::new(), Policies::default());
        let error = entry.clone().into_row(&narrower).unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("part")));

        let mut columns = schema.columns().to_vec();
        columns[3].column_type = ColumnType::Bytes;
        let changed = SchemaDefinition::new("thing", columns, Vec::new(), Policies::default());
        assert_eq!(entry.clone().into_row(&changed).unwrap_err().column(), Some("name"));

        // Bytes and ciphertexts have one type.
        let mut columns = schema.columns().to_vec();
        columns[4].encryption = Some(Encryption { plain_type: ColumnType::Bytes, plain_in_l2: false, blind_index: None });
        let encrypted = SchemaDefinition::new("thing", columns, Vec::new(), Policies::default());
        assert_eq!(entry.into_row(&encrypted).unwrap_err().column(), Some("raw"));
        let entry = Entry::new(&encrypted, "-7", Base::Unknown, [], Some(&row));
        assert_eq!(entry.clone().into_row(&encrypted).unwrap(), Some(row.clone()));
        assert_eq!(entry.into_row(&schema).unwrap_err().column(), Some("raw"));
    }

    #[test]
    fn bytes_of_any_other_kind_are_an_error() {
        let (schema, row) = (schema(), row());
        let bytes = Entry::new(&schema, "-7", Base::Unknown, [], Some(&row)).encode().unwrap();
        for end in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..end]).is_err(), "{end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Entry::decode(&longer).is_err());
        let mut newer = bytes;
        newer[0] = u8::MAX;
        assert_eq!(Entry::decode(&newer).unwrap_err().kind(), ErrorKind::DecodeFailed);
    }
}
