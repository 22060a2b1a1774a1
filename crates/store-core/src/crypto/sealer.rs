//! Rows as the tiers hold them: with ciphertexts in the columns that are encrypted.

use std::fmt;
use std::sync::Arc;

use super::blind::BlindIndex;
use super::key_ring::{KeyRing, header_of};
use super::plaintext;
use crate::error::{Error, ErrorKind, Result};
use crate::key::key_text;
use crate::query::{ColumnName, Comparison, Filter, why_incomparable};
use crate::schema::{BoundSchema, Encryption, SchemaDefinition};
use crate::value::{ColumnType, Row, Value};

/// Seals and opens the rows of one schema.
pub(crate) struct Sealer {
    definition: &'static SchemaDefinition,
    keys: Arc<KeyRing>,
    columns: Vec<SealedColumn>,
}

struct SealedColumn {
    position: usize,
    name: &'static str,
    encryption: Encryption,
    /// Table and column, each behind its length: what a ciphertext is bound to beside the record's key.
    place: Vec<u8>,
    blind: Option<(usize, BlindIndex)>,
}

impl Sealer {
    /// What keeps a schema from being sealed with these keys, if something does.
    pub(crate) fn problem(schema: &BoundSchema, older: &[&SchemaDefinition], keys: Option<&KeyRing>) -> Option<String> {
        let which = match (first_encrypted(schema.definition()), older.iter().find_map(|older| first_encrypted(older).zip(Some(older)))) {
            (Some(field), _) => format!("its field `{field}` is encrypted, and the store has no key"),
            (None, Some((field, older))) => format!(
                "its field `{field}` is encrypted in what version {} wrote, and the store has no key; remove `upgrade_from` when nothing of that version is \
                 left, or keep the key",
                older.version()
            ),
            (None, None) => return None,
        };
        let Some(keys) = keys else {
            return Some(format!(
                "{which}; give it one with `.encryption(KeyRing::new(1, key))`, or STRATA_ENCRYPTION_KEYS for `from_env`"
            ));
        };
        if let Some(problem) = keys.problem() {
            return Some(problem);
        }
        let blind = schema.definition().columns().iter().find_map(|column| column.blind_of).filter(|_| keys.index_key().is_none())?;
        Some(format!(
            "its field `{blind}` is encrypted and found by a blind index, and the store has no key for that; add one with `with_index_key` \
             (`index=…` in STRATA_ENCRYPTION_KEYS), another than those that encrypt, and keep it"
        ))
    }

    /// `None` for a schema without encrypted columns.
    pub(crate) fn new(schema: &BoundSchema, keys: &Arc<KeyRing>) -> Option<Self> {
        Self::of_version(schema.definition(), schema, keys)
    }

    /// Of a version of the schema's model. All of them have the one table, by whose name ciphertexts are bound.
    pub(crate) fn of_version(definition: &'static SchemaDefinition, schema: &BoundSchema, keys: &Arc<KeyRing>) -> Option<Self> {
        let encrypted =
            definition.columns().iter().enumerate().filter_map(|(position, column)| Some((position, column, column.encryption?)));
        let sealed = encrypted.map(|(position, column, encryption)| {
            let mut place = Vec::new();
            for part in [schema.table(), column.name] {
                place.extend((part.len() as u64).to_be_bytes());
                place.extend(part.as_bytes());
            }
            let blind = encryption.blind_index.and_then(|blind| definition.position(blind)).zip(keys.index_key());
            let blind = blind.map(|(position, key)| (position, BlindIndex::new(key, schema.table(), column.name)));
            SealedColumn { position, name: column.name, encryption, place, blind }
        });
        let columns: Vec<SealedColumn> = sealed.collect();
        (!columns.is_empty()).then(|| Sealer { definition, keys: Arc::clone(keys), columns })
    }

    /// Encrypts a row of a model. What is not given and NULL stay so.
    pub(crate) fn seal<'a>(&self, mut row: Row<'a>) -> Result<Row<'a>> {
        let key = self.key(&row)?;
        for column in &self.columns {
            let value = &row[column.position];
            if let Some((position, blind)) = &column.blind {
                let index = blind.of(value);
                row[*position] = index;
            }
            if let Some(plaintext) = plaintext::encode(&row[column.position]) {
                let sealed = self.keys.seal(&plaintext, &column.place_of(&key)).map_err(|error| self.named(error, column))?;
                row[column.position] = Value::Bytes(sealed.into());
            }
        }
        Ok(row)
    }

    /// Decrypts a row of a tier, as far as it holds encrypted columns.
    pub(crate) fn open(&self, mut row: Row<'static>) -> Result<Row<'static>> {
        let mut key = None;
        for column in &self.columns {
            if matches!(row[column.position], Value::Unset | Value::Null) {
                continue;
            }
            let key = match &mut key {
                Some(key) => key,
                None => key.insert(self.key(&row)?),
            };
            let opened = self.open_value(column, &row[column.position], key)?;
            row[column.position] = opened;
        }
        Ok(row)
    }

    fn open_value(&self, column: &SealedColumn, value: &Value<'_>, key: &str) -> Result<Value<'static>> {
        let Encryption { plain_type, plain_in_l2, .. } = column.encryption;
        let refused = |message: &'static str| self.named(Error::new(ErrorKind::DecodeFailed, message), column);
        match value {
            Value::Unset | Value::Null => Ok(value.as_borrowed().into_owned()),
            Value::Bytes(sealed) => {
                let opened = self.keys.open(sealed, &column.place_of(key)).map_err(|error| self.named(error, column))?;
                let value = plaintext::decode(opened, plain_type);
                value.ok_or_else(|| refused("the value decrypts to one of another type than the field has; did the field's type change?"))
            }
            Value::Text(digits) if plain_in_l2 && plain_type == ColumnType::Bytes => bytes_of_digits(digits)
                .map(|bytes| Value::Bytes(bytes.into()))
                .ok_or_else(|| refused("the shared tier's record has no bytes there")),
            // The truth has bytes alone in the column, so this is a record of the shared tier.
            plain if plain_in_l2 => Ok(plain.as_borrowed().into_owned()),
            _ => Err(refused("what is stored is no encrypted value; it was written before the field was encrypted, or by another program")),
        }
    }

    /// The value of a column as records of the shared tier hold it; `None` where that is as every tier does.
    pub(crate) fn shared_value(&self, row: &[Value<'_>], position: usize) -> Result<Option<Value<'static>>> {
        let is_plain = |column: &&SealedColumn| column.position == position && column.encryption.plain_in_l2;
        let Some(column) = self.columns.iter().find(is_plain) else { return Ok(None) };
        let plain = self.open_value(column, &row[position], &self.key(row)?)?;
        Ok(Some(match plain {
            Value::Bytes(bytes) => Value::Text(digits_of_bytes(&bytes).into()),
            plain => plain,
        }))
    }

    /// A condition as the truth can answer it: of encrypted columns by their blind indexes.
    pub(crate) fn seal_filter(&self, filter: Filter) -> Result<Filter> {
        let all = |parts: Vec<Filter>| parts.into_iter().map(|part| self.seal_filter(part)).collect::<Result<Vec<Filter>>>();
        Ok(match filter {
            Filter::All(parts) => Filter::All(all(parts)?),
            Filter::Any(parts) => Filter::Any(all(parts)?),
            Filter::Not(inner) => Filter::Not(Box::new(self.seal_filter(*inner)?)),
            Filter::Compare { column, comparison, value } => match self.column(&column) {
                Some(sealed) => {
                    let (column, blind) = self.blind(sealed, comparison)?;
                    Filter::Compare { column, comparison, value: blind.of(&value) }
                }
                None => Filter::Compare { column, comparison, value },
            },
            Filter::OneOf { column, values } => match self.column(&column) {
                Some(sealed) => {
                    let (column, blind) = self.blind(sealed, Comparison::Equal)?;
                    Filter::OneOf { column, values: values.iter().map(|value| blind.of(value)).collect() }
                }
                None => Filter::OneOf { column, values },
            },
            filter => filter,
        })
    }

    /// Whether a row of a tier may be what a sealed condition asks for: a blind index that was put to another record finds what the value is not. What the row
    /// lacks, and what cannot be opened, is let through.
    pub(crate) fn may_hold(&self, filter: &Filter, row: &[Value<'_>]) -> bool {
        match filter {
            Filter::All(parts) => parts.iter().all(|part| self.may_hold(part, row)),
            Filter::Any(parts) => parts.iter().any(|part| self.may_hold(part, row)),
            Filter::Compare { column, comparison: Comparison::Equal, value } => {
                self.may_be_one_of(column, std::slice::from_ref(value), row)
            }
            Filter::OneOf { column, values } => self.may_be_one_of(column, values, row),
            _ => true,
        }
    }

    fn may_be_one_of(&self, index: &ColumnName, values: &[Value<'_>], row: &[Value<'_>]) -> bool {
        let Ok(position) = index.position_in(self.definition) else { return true };
        let of_index = |column: &SealedColumn| column.blind.as_ref().is_some_and(|(blind, _)| *blind == position);
        let Some(column) = self.columns.iter().find(|column| of_index(column)) else { return true };
        if matches!(row[column.position], Value::Unset) {
            return true;
        }
        let opened = self.key(row).and_then(|key| self.open_value(column, &row[column.position], &key));
        match (opened, &column.blind) {
            (Ok(opened), Some((_, blind))) => values.contains(&blind.of(&opened)),
            _ => true,
        }
    }

    fn column(&self, name: &ColumnName) -> Option<&SealedColumn> {
        let position = name.position_in(self.definition).ok()?;
        self.columns.iter().find(|column| column.position == position)
    }

    fn blind<'a>(&self, column: &'a SealedColumn, comparison: Comparison) -> Result<(ColumnName, &'a BlindIndex)> {
        match (&column.blind, comparison) {
            (Some((position, blind)), Comparison::Equal | Comparison::NotEqual) => {
                Ok((self.definition.columns()[*position].name.into(), blind))
            }
            _ => {
                let reason = why_incomparable(&self.definition.columns()[column.position]);
                Err(self.named(Error::new(ErrorKind::InvalidQuery, reason), column))
            }
        }
    }

    /// The columns that are encrypted, by position, each with that of its blind index.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.columns.iter().map(|column| (column.position, column.blind.as_ref().map(|(position, _)| *position)))
    }

    /// Whether a row of a tier is encrypted with the key that encrypts now, and has its blind indexes.
    pub(crate) fn is_current(&self, row: &[Value<'_>]) -> bool {
        let header = self.keys.header();
        self.columns.iter().all(|column| match &row[column.position] {
            Value::Unset | Value::Null => true,
            Value::Bytes(sealed) => {
                sealed.starts_with(&header) && column.blind.as_ref().is_none_or(|(position, _)| !matches!(row[*position], Value::Null))
            }
            _ => false,
        })
    }

    /// What every ciphertext of the key that encrypts now begins with.
    pub(crate) fn header(&self) -> Vec<u8> {
        self.keys.header().to_vec()
    }

    /// What the ciphertexts of each key begin with; never none.
    pub(crate) fn known_headers(&self) -> Vec<Vec<u8>> {
        self.keys.numbers().map(|number| header_of(number).to_vec()).collect()
    }

    /// The number of the key that encrypts now.
    pub(crate) fn primary(&self) -> u32 {
        self.keys.primary()
    }

    /// The text of a row's key.
    fn key(&self, row: &[Value<'_>]) -> Result<String> {
        let values: Vec<Value<'_>> = self.definition.key_positions().iter().map(|&position| row[position].as_borrowed()).collect();
        key_text(&values)
    }

    fn named(&self, error: Error, column: &SealedColumn) -> Error {
        error.with_schema(self.definition.name()).with_column(column.name)
    }
}

impl SealedColumn {
    fn place_of(&self, key: &str) -> Vec<u8> {
        [&self.place, key.as_bytes()].concat()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        f.debug_struct("Sealer").field("keys", &self.keys).field("columns", &columns).finish()
    }
}

fn first_encrypted(definition: &SchemaDefinition) -> Option<&'static str> {
    definition.columns().iter().find(|column| column.encryption.is_some()).map(|column| column.name)
}

fn digits_of_bytes(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn bytes_of_digits(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}
