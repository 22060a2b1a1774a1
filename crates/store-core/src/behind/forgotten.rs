//! A note in the journal that what is pending of a key is based on nothing known any more: `docs/write-behind.md` describes the form byte by byte.
//!
//! It is durable before another write of the key by this instance is committed. A crash after that commit, and before the flush, would else leave an entry that is based on
//! the version before, as if another instance had written meanwhile.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::entry::unreadable;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::SchemaDefinition;

/// The first byte of such a note.
const FORMAT: u8 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forgotten<'a> {
    pub(crate) schema: Cow<'a, str>,
    /// The key's text form.
    pub(crate) key: Cow<'a, str>,
}

impl<'a> Forgotten<'a> {
    pub(crate) fn new(schema: &'a SchemaDefinition, key: &'a str) -> Self {
        Forgotten { schema: schema.name().into(), key: key.into() }
    }

    /// The bytes of the journal.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        bytes.map_err(|error| Error::new(ErrorKind::EncodeFailed, "the note cannot be put into the journal").with_source(error))
    }

    /// Reads the bytes of a journal, whatever they are; `None` for those of anything else, a write or an error of its own.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Option<Self>> {
        let [FORMAT, body @ ..] = bytes else { return Ok(None) };
        match postcard::take_from_bytes(body) {
            Ok((forgotten, [])) => Ok(Some(forgotten)),
            _ => Err(unreadable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behind::Entry;

    #[test]
    fn a_note_comes_back_and_is_no_write() {
        let note = Forgotten { schema: "thing".into(), key: "-7".into() };
        let bytes = note.encode().unwrap();
        assert_eq!(Forgotten::decode(&bytes).unwrap(), Some(note));
        assert_eq!(Entry::decode(&bytes).unwrap_err().kind(), ErrorKind::DecodeFailed);
        for end in 1..bytes.len() {
            assert!(Forgotten::decode(&bytes[..end]).is_err(), "{end}");
        }
        assert_eq!(Forgotten::decode(&[1, 0]).unwrap(), None);
        assert_eq!(Forgotten::decode(&[]).unwrap(), None);
    }
}
