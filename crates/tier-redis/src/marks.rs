//! The bytes of marks.
//!
//! | offset | |
//! |---|---|
//! | 0 | `2`, the version of this layout |
//! | 1 | generation, 8 bytes, big-endian |
//! | 9 | era, 8 bytes, big-endian |
//! | 17 | position, text |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use store_core::facet::{LogCursor, Mark};

const LAYOUT: u8 = 2;

pub(crate) fn encode(mark: &Mark) -> Bytes {
    let position = mark.position.as_str().as_bytes();
    let mut bytes = BytesMut::with_capacity(17 + position.len());
    bytes.put_u8(LAYOUT);
    bytes.put_u64(mark.generation);
    bytes.put_u64(mark.era);
    bytes.put_slice(position);
    bytes.freeze()
}

/// Reads a mark; `None` for one of another layout and for foreign content, which tell as little as a mark that is not there.
pub(crate) fn decode(bytes: &[u8]) -> Option<Mark> {
    let (&layout, rest) = bytes.split_first()?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (era, position) = rest.split_first_chunk::<8>()?;
    let position = std::str::from_utf8(position).ok()?;
    let position = LogCursor::new(position);
    (layout == LAYOUT).then(|| Mark { generation: u64::from_be_bytes(*generation), era: u64::from_be_bytes(*era), position })
}

/// The marks that were read last, by name, so that reading the same one again costs nothing.
#[derive(Debug, Default)]
pub(crate) struct KnownMarks(Mutex<HashMap<Bytes, (Bytes, Arc<Mark>)>>);

impl KnownMarks {
    pub(crate) fn decode(&self, name: &Bytes, bytes: &Bytes) -> Option<Arc<Mark>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known_bytes, mark)) = known.get(name)
            && known_bytes == bytes
        {
            return Some(Arc::clone(mark));
        }
        let mark = Arc::new(decode(bytes)?);
        // Copies, because the originals keep all that came with them in memory.
        known.insert(Bytes::copy_from_slice(name), (Bytes::copy_from_slice(bytes), Arc::clone(&mark)));
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_a_mark_is_fixed() {
        let mark = Mark { generation: 0x0102_0304_0506_0708, era: 9, position: LogCursor::new("10:20:") };
        let bytes = encode(&mark);
        assert_eq!(&bytes[..], b"\x02\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x0910:20:");
        assert_eq!(decode(&bytes), Some(mark));
        for other in [b"".as_slice(), &bytes[..16], &[b"\x01", &bytes[1..]].concat(), &[&bytes[..17], b"\xFF"].concat()] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_same_bytes_are_the_same_mark() {
        let (known, name) = (KnownMarks::default(), Bytes::from_static(b"name"));
        let bytes = |generation| encode(&Mark { generation, era: 1, position: LogCursor::new("1") });
        let first = known.decode(&name, &bytes(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &known.decode(&name, &bytes(1)).unwrap()));
        assert_eq!(known.decode(&name, &bytes(2)).unwrap().generation, 2);
        assert_eq!(known.decode(&name, &bytes(1)).unwrap(), first);
    }
}
