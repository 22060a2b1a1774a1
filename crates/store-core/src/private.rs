//! What `#[derive(Schema)]` and `#[derive(Projection)]` emit code against. No part of the public interface: it may change in any release.

use std::marker::PhantomData;
use std::time::Duration;

pub use crate::deferred::Deferred;
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::field::{FieldCodec, Json, JsonField, Nullable, NullableJson, Plain, Scalar};
pub use crate::key::{Key, KeyPart};
pub use crate::query::{Column, Projection};
pub use crate::schema::{
    ColumnDefinition, DefaultValue, Eviction, IndexDefinition, Lifetime, NearPolicy, Policies, Residence, Schema, SchemaDefinition,
    SharedPolicy, Stamp, TruthPolicy, WriteMode,
};
pub use crate::value::{ColumnType, Row, Value};

/// Stands for a field's type while method resolution picks its codec: `(&&&&Probe::<F>::NEW).codec()` with the four traits below in scope gives
/// [`Plain`] for scalars, [`Nullable`] for options of them, [`NullableJson`] for other options and [`Json`] for the rest.
#[derive(Debug)]
pub struct Probe<F>(PhantomData<fn() -> F>);

impl<F> Probe<F> {
    /// The probe.
    pub const NEW: Self = Probe(PhantomData);
}

/// First choice.
pub trait PickPlain {
    /// The codec.
    fn codec(&self) -> Plain {
        Plain
    }
}

/// Second choice.
pub trait PickNullable {
    /// The codec.
    fn codec(&self) -> Nullable {
        Nullable
    }
}

/// Third choice.
pub trait PickNullableJson {
    /// The codec.
    fn codec(&self) -> NullableJson {
        NullableJson
    }
}

/// Last choice; a type that serde cannot handle fails where the codec is used, with a message of its own.
pub trait PickJson {
    /// The codec.
    fn codec(&self) -> Json {
        Json
    }
}

impl<F: Scalar> PickPlain for &&&Probe<F> {}
impl<F: Scalar> PickNullable for &&Probe<Option<F>> {}
impl<F> PickNullableJson for &Probe<Option<F>> {}
impl<F> PickJson for Probe<F> {}

/// The column type that a codec gives a field.
pub const fn column_type<F, C: FieldCodec<F>>(_: &C) -> ColumnType {
    C::COLUMN_TYPE
}

/// Whether a field's type allows NULL.
pub const fn is_nullable<F, C: FieldCodec<F>>(_: &C) -> bool {
    C::NULLABLE
}

/// A field's value, the error naming its column.
///
/// # Errors
///
/// As [`FieldCodec::to_value`].
pub fn encode<'a, F, C: FieldCodec<F>>(codec: C, field: &'a F, schema: &'static str, column: &'static str) -> Result<Value<'a>> {
    codec.to_value(field).map_err(|error| error.with_schema(schema).with_column(column))
}

/// A field from its value, the error naming its column.
///
/// # Errors
///
/// As [`FieldCodec::from_value`].
pub fn decode<F, C: FieldCodec<F>>(codec: C, value: Value<'static>, schema: &'static str, column: &'static str) -> Result<F> {
    codec.from_value(value).map_err(|error| error.with_schema(schema).with_column(column))
}

/// A deferred field's value: unset while it is not loaded.
///
/// # Errors
///
/// As [`FieldCodec::to_value`].
pub fn encode_deferred<'a, F, C: FieldCodec<F>>(
    codec: C,
    field: &'a Deferred<F>,
    schema: &'static str,
    column: &'static str,
) -> Result<Value<'a>> {
    field.loaded().map_or(Ok(Value::Unset), |field| encode(codec, field, schema, column))
}

/// A deferred field from its value.
///
/// # Errors
///
/// As [`FieldCodec::from_value`].
pub fn decode_deferred<F, C: FieldCodec<F>>(
    codec: C,
    value: Value<'static>,
    schema: &'static str,
    column: &'static str,
) -> Result<Deferred<F>> {
    match value {
        Value::Unset => Ok(Deferred::NotLoaded),
        value => decode(codec, value, schema, column).map(Deferred::Loaded),
    }
}

/// A field that is no `Option` but whose column may hold NULL, which reads as the type's default.
///
/// # Errors
///
/// As [`FieldCodec::from_value`].
pub fn decode_or_default<F: Default, C: FieldCodec<F>>(
    codec: C,
    value: Value<'static>,
    schema: &'static str,
    column: &'static str,
) -> Result<F> {
    match value {
        Value::Null => Ok(F::default()),
        value => decode(codec, value, schema, column),
    }
}

/// Takes a row apart, refusing one of another length.
///
/// # Errors
///
/// [`DecodeFailed`](ErrorKind::DecodeFailed).
pub fn columns<const N: usize>(row: Row<'static>, schema: &'static str) -> Result<[Value<'static>; N]> {
    let found = row.len();
    row.try_into()
        .map_err(|_| Error::new(ErrorKind::DecodeFailed, format!("the row has {found} columns, the model {N}")).with_schema(schema))
}

/// A life time of so many milliseconds.
pub const fn lifetime(milliseconds: u64) -> Lifetime {
    Lifetime::For(Duration::from_millis(milliseconds))
}
