//! How a Rust type becomes a column's value and back.

pub(crate) mod filler;
mod json;
mod nullable;
mod scalar;
#[cfg(feature = "chrono")]
mod with_chrono;
#[cfg(feature = "jiff")]
mod with_jiff;
#[cfg(feature = "time")]
mod with_time;

pub use json::{Json, JsonField};
pub use nullable::{Nullable, NullableJson};
pub use scalar::{Plain, Scalar};

use crate::error::{Error, ErrorKind, Result};
use crate::value::{ColumnType, Value};

/// The conversion between a field of type `F` and its column. The derive macro picks the one that fits the field's type.
///
/// ```
/// use store_core::{FieldCodec, Nullable, Plain, Value};
///
/// assert_eq!(Plain.encode(&7_i64)?, Value::Integer(7));
/// assert_eq!(Nullable.encode(&None::<i64>)?, Value::Null);
/// let level: Option<i64> = Nullable.decode(Value::Integer(7))?;
/// assert_eq!(level, Some(7));
/// # Ok::<(), store_core::Error>(())
/// ```
pub trait FieldCodec<F>: Copy {
    /// The type of the column.
    const COLUMN_TYPE: ColumnType;
    /// Whether the column may hold NULL because of the field's type.
    const NULLABLE: bool;

    /// The column's value for a field, borrowed from it where possible.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](ErrorKind::InvalidValue) for a value that no truth tier can hold exactly, [`EncodeFailed`](ErrorKind::EncodeFailed) for a nested
    /// value that refuses to become JSON.
    fn encode(self, field: &F) -> Result<Value<'_>>;

    /// The field for a column's value.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](ErrorKind::DecodeFailed) if the stored value does not fit the field's type.
    fn decode(self, value: Value<'static>) -> Result<F>;
}

/// The stored value is of another kind than the field can take.
pub(crate) fn unexpected(value: &Value<'_>, wanted: &str) -> Error {
    let found = value.kind();
    let hint = if matches!(value, Value::Null) {
        "; make the field an `Option` if the column may hold NULL, else give the row a value"
    } else {
        ""
    };
    Error::new(ErrorKind::DecodeFailed, format!("expected {wanted}, found {found}{hint}"))
}
