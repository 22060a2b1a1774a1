//! How records become bytes for the shared tier.

#[cfg(feature = "json")]
mod json;
#[cfg(feature = "messagepack")]
mod messagepack;
mod postcard;
mod row;

#[cfg(feature = "json")]
pub use json::Json as JsonCodec;
#[cfg(feature = "messagepack")]
pub use messagepack::MessagePack as MessagePackCodec;
pub use postcard::Postcard as PostcardCodec;
pub use row::{RowSeed, SerializeRow};

use std::fmt::Debug;
use std::sync::Arc;

use crate::error::Result;
use crate::value::{ColumnType, Row, Value};

/// Turns the columns of a record into bytes and back. A store writes with one codec and reads those of every codec it knows, by the number in
/// each record's header.
///
/// A codec over a serde format is two calls: serialize [`SerializeRow`], deserialize with [`RowSeed`].
///
/// ```
/// use serde::de::DeserializeSeed;
/// use store_core::{Codec, ColumnType, Error, ErrorKind, Result, Row, RowSeed, SerializeRow, Value};
///
/// /// JSON over several lines.
/// #[derive(Debug)]
/// struct PrettyJson;
///
/// impl Codec for PrettyJson {
///     fn id(&self) -> u8 {
///         128
///     }
///
///     fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
///         let json = serde_json::to_vec_pretty(&SerializeRow(values));
///         json.map_err(|error| Error::new(ErrorKind::EncodeFailed, "the record cannot be JSON").with_source(error))
///     }
///
///     fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>> {
///         let row = RowSeed(columns).deserialize(&mut serde_json::Deserializer::from_slice(bytes));
///         // serde's message could quote the content.
///         row.map_err(|_| Error::new(ErrorKind::DecodeFailed, "the bytes are no JSON record of this schema"))
///     }
/// }
///
/// let row = [Value::from("Lima"), Value::Null];
/// let bytes = PrettyJson.encode(&row)?;
/// assert_eq!(PrettyJson.decode(&[ColumnType::Text, ColumnType::BigInt], &bytes)?, row);
/// # Ok::<(), Error>(())
/// ```
pub trait Codec: Debug + Send + Sync + 'static {
    /// The number in the header of records. 0 to 127 are Strata's own; choose from 128 up.
    fn id(&self) -> u8;

    /// Encodes one value for each column.
    ///
    /// # Errors
    ///
    /// [`EncodeFailed`](crate::ErrorKind::EncodeFailed).
    fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>>;

    /// Decodes one value for each column. The bytes may be anything; a codec never panics on them.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](crate::ErrorKind::DecodeFailed).
    fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>>;
}

/// The codecs that this build can read.
pub(crate) fn built_in() -> Vec<Arc<dyn Codec>> {
    vec![
        Arc::new(PostcardCodec),
        #[cfg(feature = "json")]
        Arc::new(JsonCodec),
        #[cfg(feature = "messagepack")]
        Arc::new(MessagePackCodec),
    ]
}
