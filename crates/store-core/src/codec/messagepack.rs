use serde::Serialize;
use serde::de::DeserializeSeed;

use super::{Codec, RowSeed, SerializeRow};
use crate::error::{Error, ErrorKind, Result};
use crate::value::{ColumnType, Row, Value};

/// [MessagePack](https://msgpack.org), for those whose other programs read it.
///
/// ```
/// use std::sync::Arc;
/// use store_core::{MessagePackCodec, Settings, Value};
///
/// let settings = Settings { codec: Arc::new(MessagePackCodec), ..Settings::default() };
/// assert_eq!(settings.codec.encode(&[Value::from(true)])?, [0x92, 0x90, 0xc3]);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePack;

impl Codec for MessagePack {
    fn id(&self) -> u8 {
        3
    }

    fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        SerializeRow(values)
            .serialize(&mut rmp_serde::Serializer::new(&mut bytes))
            .map_err(|error| Error::new(ErrorKind::EncodeFailed, "the record cannot be written as MessagePack").with_source(error))?;
        Ok(bytes)
    }

    fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        RowSeed(columns)
            .deserialize(&mut deserializer)
            .map_err(|error| Error::new(ErrorKind::DecodeFailed, "the bytes are no MessagePack record of this schema").with_source(error))
    }
}
