//! Where rows of models become rows of tiers, and back, in schemas with encrypted columns.

use std::borrow::Cow;

use super::{Backing, Pipeline};
use crate::error::{Error, ErrorKind, Result};
use crate::query::{Filter, Query};
use crate::schema::{Schema, SchemaDefinition};
use crate::value::{Row, Value};

impl<T: Schema> Pipeline<T> {
    /// The row of a model, as it is.
    pub(super) fn row_of<'a>(&self, model: &'a T) -> Result<Row<'a>> {
        model.to_row().map_err(|error| without_content(error, self.schema.definition()))
    }

    /// What a function reads of opened values.
    pub(super) fn read_open<R>(&self, read: impl FnOnce() -> Result<R>) -> Result<R> {
        read().map_err(|error| without_content(error, self.schema.definition()))
    }

    /// The row of a model as tiers hold it.
    pub(super) fn sealed<'a>(&self, row: Row<'a>) -> Result<Row<'a>> {
        match &self.sealer {
            Some(sealer) => sealer.seal(row),
            None => Ok(row),
        }
    }

    /// The row of a tier as models read it.
    pub(super) fn opened(&self, row: Row<'static>) -> Result<Row<'static>> {
        match &self.sealer {
            Some(sealer) => sealer.open(row),
            None => Ok(row),
        }
    }

    /// Whether the row of a cache can be opened, where the truth has it as well.
    pub(super) fn opens(&self, row: &Row<'static>) -> Result<()> {
        match (&self.sealer, &self.backing) {
            (Some(sealer), Backing::Tables { .. }) => sealer.open(row.clone()).map(drop),
            _ => Ok(()),
        }
    }

    /// The values of a row that records of the shared tier hold.
    pub(super) fn shared_values<'a>(&self, row: &'a [Value<'_>]) -> Result<Vec<Value<'a>>> {
        let value = |&position: &usize| {
            let plain = match &self.sealer {
                Some(sealer) => sealer.shared_value(row, position)?,
                None => None,
            };
            Ok(plain.unwrap_or_else(|| row[position].as_borrowed()))
        };
        self.schema.shared_positions().iter().map(value).collect()
    }

    /// Whether the second row, of the truth, differs from a cached one in columns that both hold. What cannot be opened is told of by reads.
    pub(super) fn differ(&self, cached: &Row<'_>, is_open: bool, truth: &Row<'static>, positions: &[usize]) -> bool {
        if self.sealer.is_none() {
            return differs(cached, truth, positions);
        }
        let owned = || cached.iter().map(|value| value.as_borrowed().into_owned()).collect();
        let cached = if is_open { Ok(owned()) } else { self.opened(owned()) };
        let truth = self.opened(truth.clone());
        cached.is_ok_and(|cached| truth.is_ok_and(|truth| differs(&cached, &truth, positions)))
    }

    /// A condition as the truth can answer it.
    pub(super) fn sealed_filter(&self, filter: Filter) -> Result<Filter> {
        match &self.sealer {
            Some(sealer) => sealer.seal_filter(filter),
            None => Ok(filter),
        }
    }

    /// A query as the truth can answer it.
    pub(super) fn sealed_query<'a>(&self, query: &'a Query<T>) -> Result<Cow<'a, Query<T>>> {
        match &self.sealer {
            Some(sealer) if query.conditions().is_some() => query.with_conditions(|filter| sealer.seal_filter(filter)).map(Cow::Owned),
            _ => Ok(Cow::Borrowed(query)),
        }
    }

    /// Adds the key's columns to those that a query reads, if the row must be opened.
    pub(super) fn with_key_to_open(&self, mut columns: Vec<usize>) -> Vec<usize> {
        let definition = self.schema.definition();
        if columns.iter().any(|&position| definition.columns()[position].encryption.is_some()) {
            columns.extend(definition.key_positions());
        }
        columns
    }
}

/// The error of a value that does not fit its field, or a field that has no value. What serde and a type's own code say of it may show the content.
pub(super) fn without_content(error: Error, definition: &SchemaDefinition) -> Error {
    let is_encrypted =
        |column: &str| definition.position(column).is_some_and(|position| definition.columns()[position].encryption.is_some());
    match error.column().filter(|column| is_encrypted(column)).map(str::to_owned) {
        Some(column) => {
            let message = match error.kind() {
                ErrorKind::DecodeFailed => "the value was decrypted, and does not fit the field's type, which may have changed",
                _ => "the field cannot be turned into what is encrypted",
            };
            let message = format!("{message}; as the field is encrypted, nothing is said of what is in it");
            Error::new(error.kind(), message).with_schema(definition.name()).with_column(column)
        }
        None => error,
    }
}

/// Whether two rows differ in columns that both hold.
fn differs(one: &[Value<'_>], other: &[Value<'_>], positions: &[usize]) -> bool {
    positions.iter().any(|&position| {
        let (one, other) = (&one[position], &other[position]);
        !matches!(one, Value::Unset) && one != other
    })
}

/// Names the field in place of the column of its blind index.
pub(super) fn named_by_field(error: Error, definition: &SchemaDefinition) -> Error {
    let field =
        error.column().and_then(|name| definition.columns().iter().find(|column| column.name == name)).and_then(|column| column.blind_of);
    match field {
        Some(field) => error.with_column_replaced(field),
        None => error,
    }
}
