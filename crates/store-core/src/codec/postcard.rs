use super::{Codec, RowSeed, SerializeRow};
use crate::error::{Error, ErrorKind, Result};
use crate::value::{ColumnType, Row, Value};

/// The default codec: [postcard](https://postcard.jamesmunns.com), small and quick.
///
/// ```
/// use store_core::{Codec, ColumnType, PostcardCodec, Value};
///
/// let row = [Value::from("Lima"), Value::from(7_737_002)];
/// let bytes = PostcardCodec.encode(&row)?;
/// assert_eq!(bytes.len(), 12);
/// assert_eq!(PostcardCodec.decode(&[ColumnType::Text, ColumnType::BigInt], &bytes)?, row);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Postcard;

impl Codec for Postcard {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
        ::postcard::to_allocvec(&SerializeRow(values))
            .map_err(|error| Error::new(ErrorKind::EncodeFailed, "postcard refused the record").with_source(error))
    }

    fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>> {
        let mut deserializer = ::postcard::Deserializer::from_bytes(bytes);
        let decoded = serde::de::DeserializeSeed::deserialize(RowSeed(columns), &mut deserializer)
            .and_then(|row| deserializer.finalize().map(|rest| (row, rest)));
        match decoded {
            Ok((row, [])) => Ok(row),
            Ok(_) => Err(Error::new(ErrorKind::DecodeFailed, "bytes are left over behind the record")),
            Err(error) => Err(Error::new(ErrorKind::DecodeFailed, "the bytes are no postcard record of this schema").with_source(error)),
        }
    }
}
