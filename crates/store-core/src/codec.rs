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
