//! What `#[derive(Schema)]` and `#[derive(Projection)]` emit code against. No part of the public interface: it may change in any release.

use std::marker::PhantomData;
use std::time::Duration;

pub use crate::deferred::Deferred;
pub use crate::document::Document;
pub use crate::error::{Error, ErrorKind, Result};
use crate::field::filler;
pub use crate::field::{FieldCodec, Json, JsonField, Nullable, NullableJson, Plain, Scalar};
pub use crate::key::{Key, KeyPart};
pub use crate::query::{Column, Projection};
pub use crate::schema::{
    CheckDefinition, ColumnDefinition, DefaultValue, Encryption, Eviction, IndexDefinition, IndexKind, Lifetime, NearPolicy, OnDelete,
    PartitionDefinition, Partitioning, Period, Policies, ReferenceDefinition, Residence, Schema, SchemaDefinition, SharedPolicy, Stamp,
    TruthPolicy, UpgradePolicies, WriteMode,
};
use crate::upgrade::Upgrade;
pub use crate::upgrade::{UpgradeError, UpgradePolicy, Upgrades};
pub use crate::value::{ColumnType, Row, Value};

/// A document that is not read yet.
pub use serde_json::Value as DocumentContent;

/// The standard library, under a name that no item of the user's crate can shadow.
pub use ::std;

/// Stands for a field's type while the compiler picks its codec and its column.
///
/// With [`pick`] in scope `(&&&&Probe::<F>::NEW).strata_codec()` gives [`Plain`] for scalars, [`Nullable`] for options of them, [`NullableJson`]
/// for other options and [`Json`] for the rest: method resolution tries the receivers from the most references to none. `COLUMN_TYPE` and
/// `NULLABLE` say the same in constants: an inherent one counts before that of a trait.
#[derive(Debug)]
pub struct Probe<F>(PhantomData<fn() -> F>);

impl<F> Probe<F> {
    /// The probe.
    pub const NEW: Self = Probe(PhantomData);
}

/// First choice.
pub trait PickPlain {
    /// The codec.
    fn strata_codec(&self) -> Plain {
        Plain
    }
}

/// Second choice.
pub trait PickNullable {
    /// The codec.
    fn strata_codec(&self) -> Nullable {
        Nullable
    }
}

/// Third choice.
pub trait PickNullableJson {
    /// The codec.
    fn strata_codec(&self) -> NullableJson {
        NullableJson
    }
}

/// Last choice; a type that serde cannot handle fails where the codec is used, with a message of its own.
pub trait PickJson {
    /// The codec.
    fn strata_codec(&self) -> Json {
        Json
    }
}

impl<F: Scalar> PickPlain for &&&Probe<F> {}
impl<F: Scalar> PickNullable for &&Probe<Option<F>> {}
impl<F> PickNullableJson for &Probe<Option<F>> {}
impl<F> PickJson for Probe<F> {}

/// First choice: the type's own `Default`.
pub trait PickDefaultFiller {
    /// What [`ColumnDefinition::filler`] holds.
    fn strata_filler(&self) -> fn() -> Option<String>;
}

/// Second choice: what the type can read.
pub trait PickReadFiller {
    /// What [`ColumnDefinition::filler`] holds.
    fn strata_filler(&self) -> fn() -> Option<String>;
}

/// Last choice: a type that serde cannot handle, which is told of elsewhere.
pub trait PickNoFiller {
    /// What [`ColumnDefinition::filler`] holds.
    fn strata_filler(&self) -> fn() -> Option<String> {
        || None
    }
}

impl<F: JsonField + Default> PickDefaultFiller for &&Probe<F> {
    fn strata_filler(&self) -> fn() -> Option<String> {
        || filler::of_default::<F>().or_else(filler::of_what_is_read::<F>)
    }
}

impl<F: JsonField> PickReadFiller for &Probe<F> {
    fn strata_filler(&self) -> fn() -> Option<String> {
        filler::of_what_is_read::<F>
    }
}

impl<F> PickNoFiller for Probe<F> {}

/// The column of types that are no scalar.
pub trait PickColumn {
    /// The type of the column.
    const COLUMN_TYPE: ColumnType = ColumnType::Json;
    /// Whether the field's type allows NULL.
    const NULLABLE: bool = false;
}

impl<F> PickColumn for Probe<F> {}

impl<F: Scalar> Probe<F> {
    /// The type of the column.
    pub const COLUMN_TYPE: ColumnType = F::COLUMN_TYPE;
}

impl<F: Scalar> Probe<Option<F>> {
    /// The type of the column.
    pub const COLUMN_TYPE: ColumnType = F::COLUMN_TYPE;
}

impl<F> Probe<Option<F>> {
    /// Whether the field's type allows NULL.
    pub const NULLABLE: bool = true;
}

/// The traits that [`Probe`] needs in scope, without their names.
pub mod pick {
    pub use super::{PickColumn as _, PickJson as _, PickNullable as _, PickNullableJson as _, PickPlain as _};
    pub use super::{PickDefaultFiller as _, PickNoFiller as _, PickReadFiller as _};
}

/// A codec of the fields of type `F`. Only this function asks whether it is one, so that a type which has none is reported once and not for each use.
pub fn fitting<F, C: FieldCodec<F>>(codec: C) -> impl FieldCodec<F> {
    codec
}

/// What `skip` fills a field with.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be skipped: `skip` needs `Default`",
    label = "a read cannot fill this: it has no `Default`",
    note = "derive or implement `Default` for `{Self}`, make the field an `Option`, or remove `skip` to store it"
)]
pub trait Skipped: Sized {
    /// The value of a field that is not stored.
    fn value() -> Self;
}

#[diagnostic::do_not_recommend]
impl<F: Default> Skipped for F {
    fn value() -> Self {
        F::default()
    }
}

/// What a field that is no `Option` but whose column may hold NULL reads it as.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be `nullable`: NULL reads as its `Default`",
    label = "this has no `Default`",
    note = "derive or implement `Default` for `{Self}`, or make the field an `Option` and remove `nullable`"
)]
pub trait NullDefault: Sized {
    /// What NULL reads as.
    fn value() -> Self;
}

#[diagnostic::do_not_recommend]
impl<F: Default> NullDefault for F {
    fn value() -> Self {
        F::default()
    }
}

/// The codec of a field that is no `Option` but whose column may hold NULL, which reads as the type's default.
pub fn or_default<F: NullDefault>(codec: impl FieldCodec<F>) -> impl FieldCodec<F> {
    OrDefault(codec)
}

#[derive(Clone, Copy)]
struct OrDefault<C>(C);

impl<F: NullDefault, C: FieldCodec<F>> FieldCodec<F> for OrDefault<C> {
    const COLUMN_TYPE: ColumnType = C::COLUMN_TYPE;
    const NULLABLE: bool = true;

    fn encode(self, field: &F) -> Result<Value<'_>> {
        self.0.encode(field)
    }

    fn decode(self, value: Value<'static>) -> Result<F> {
        match value {
            Value::Null => Ok(F::value()),
            value => self.0.decode(value),
        }
    }
}

/// A field's value, the error naming its column.
///
/// # Errors
///
/// As [`FieldCodec::encode`].
pub fn encode<'a, F, C: FieldCodec<F>>(codec: C, field: &'a F, schema: &'static str, column: &'static str) -> Result<Value<'a>> {
    codec.encode(field).map_err(|error| error.with_schema(schema).with_column(column))
}

/// A field's value, for a column that names itself in the error.
///
/// # Errors
///
/// As [`FieldCodec::encode`].
pub fn encode_owned<F, C: FieldCodec<F>>(codec: C, field: &F) -> Result<Value<'static>> {
    codec.encode(field).map(Value::into_owned)
}

/// A field from its value, the error naming its column.
///
/// # Errors
///
/// As [`FieldCodec::decode`].
pub fn decode<F, C: FieldCodec<F>>(codec: C, value: Value<'static>, schema: &'static str, column: &'static str) -> Result<F> {
    codec.decode(value).map_err(|error| error.with_schema(schema).with_column(column))
}

/// A deferred field's value: unset while it is not loaded.
///
/// # Errors
///
/// As [`FieldCodec::encode`].
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
/// As [`FieldCodec::decode`].
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

/// A field of a projection from the value of its column.
///
/// # Errors
///
/// As [`FieldCodec::decode`].
pub fn decode_column<T, F>(column: Column<T, F>, value: Value<'static>) -> Result<F> {
    column.decode_value(value)
}

/// No model has this: what asks for it names a column that the model lacks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no column of this name",
    label = "no column of `{Self}`",
    note = "name the field as one of the model's fields that are not skipped, or say which one it reads: `#[projection(column = \"…\")]`"
)]
pub trait HasColumn {}

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

/// The version of a model before this one, and all before that.
pub fn upgrades<T: Schema + Upgrade<Old>, Old: Schema<Key = T::Key>>() -> Upgrades<T> {
    Upgrades::from::<Old>()
}

/// Reads a document of this version alone.
///
/// # Errors
///
/// As [`Document::of_version`].
pub fn document<D: Document>(version: u32, document: DocumentContent) -> std::result::Result<D, UpgradeError> {
    crate::document::read(version, document)
}

/// Reads a document of this version or an older one.
///
/// # Errors
///
/// As [`Document::of_version`].
pub fn upgraded_document<D: Document + Upgrade<Old>, Old: Document>(
    version: u32,
    document: DocumentContent,
) -> std::result::Result<D, UpgradeError> {
    if version > Old::VERSION { crate::document::read(version, document) } else { crate::document::upgraded::<D, Old>(version, document) }
}

/// Compiles for parts of keys.
pub const fn require_key_part<F: KeyPart>() {}

/// Fails the evaluation of a constant with a message of the macro's.
#[track_caller]
pub const fn require(condition: bool, message: &'static str) {
    assert!(condition, "{}", message);
}

/// A type that a column which others refer to can have: one that a key or a unique index can hold.
#[diagnostic::on_unimplemented(
    message = "a reference cannot be to a column of `{Self}`",
    note = "what is referred to is a key or unique, which a column of JSON cannot be"
)]
pub trait Referred {
    /// The type of the column.
    const COLUMN_TYPE: ColumnType;
}

impl<F: Scalar> Referred for F {
    const COLUMN_TYPE: ColumnType = F::COLUMN_TYPE;
}

impl<F: Scalar> Referred for Option<F> {
    const COLUMN_TYPE: ColumnType = F::COLUMN_TYPE;
}

/// The type of a column by the function that gives it.
pub const fn column_type<T, F: Referred>(_: fn() -> Column<T, F>) -> ColumnType {
    F::COLUMN_TYPE
}

/// Fails the evaluation of a constant where a column is of another type than the one that it refers to.
#[track_caller]
pub const fn require_same_type(column: &str, column_type: ColumnType, target: &str, target_type: ColumnType) {
    if column_type as u8 == target_type as u8 {
        return;
    }
    let parts = [
        "`",
        column,
        "` is of the type ",
        column_type.name(),
        " and `",
        target,
        "`, which it refers to, of the type ",
        target_type.name(),
        "; give both fields the same type",
    ];
    // A constant makes no `String`.
    let (mut text, mut length, mut part) = ([0; 512], 0, 0);
    while part < parts.len() {
        let (bytes, mut position) = (parts[part].as_bytes(), 0);
        while position < bytes.len() && length < text.len() {
            text[length] = bytes[position];
            (length, position) = (length + 1, position + 1);
        }
        part += 1;
    }
    match std::str::from_utf8(text.split_at(length).0) {
        Ok(message) => panic!("{}", message),
        Err(_) => panic!("the columns are of different types; give both fields the same type"),
    }
}

/// So many milliseconds.
pub const fn duration(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A life time of so many milliseconds.
pub const fn lifetime(milliseconds: u64) -> Lifetime {
    Lifetime::For(Duration::from_millis(milliseconds))
}
