use serde::de::DeserializeSeed;

use super::{Codec, RowSeed, SerializeRow};
use crate::error::{Error, ErrorKind, Result};
use crate::value::{ColumnType, Row, Value};

/// JSON, for those who look into Redis by hand: an array of the columns' values.
///
/// ```
/// use store_core::{Codec, JsonCodec, Value};
///
/// // The positions of columns that were not loaded come first.
/// let bytes = JsonCodec.encode(&[Value::from("Lima"), Value::Unset, Value::from(7_737_002)])?;
/// assert_eq!(bytes, br#"[[1],"Lima",null,7737002]"#);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Codec for Json {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, values: &[Value<'_>]) -> Result<Vec<u8>> {
        serde_json::to_vec(&SerializeRow(values))
            .map_err(|error| Error::new(ErrorKind::EncodeFailed, "the record cannot be written as JSON").with_source(error))
    }

    fn decode(&self, columns: &[ColumnType], bytes: &[u8]) -> Result<Row<'static>> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        RowSeed(columns).deserialize(&mut deserializer).and_then(|row| deserializer.end().map(|()| row)).map_err(|error| {
            // serde's message can quote the content, so only the place of the fault is told.
            Error::new(
                ErrorKind::DecodeFailed,
                format!("the bytes are no JSON record of this schema ({:?} fault at byte {})", error.classify(), error.column()),
            )
        })
    }
}
