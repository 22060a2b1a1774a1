//! What a cached record carries beside its columns.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// What a cached record carries beside its columns, in memory and behind the columns in the payload of a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// The record's tags, each once.
    pub(crate) tags: Vec<String>,
    /// How many invalidations of tags the shared tier had been told of when the record's load began.
    pub(crate) era: u64,
    /// What the era counts from, where the shared tier is the truth of the record.
    pub(crate) generation: u64,
    /// How many invalidations of tags this instance had heard of when the record's load or write began.
    #[serde(skip)]
    pub(crate) stamp: u64,
    /// The source's own mark of this content.
    pub(crate) source_tag: Option<String>,
    /// When the record wants to be loaded anew, in Unix milliseconds, where it is kept beyond that.
    pub(crate) fresh_until: Option<i64>,
    /// Whether it says that there is no record.
    pub(crate) is_absence: bool,
    /// Whether a loader brought it, rather than a write.
    pub(crate) is_loaded: bool,
    /// The life time that it was loaded with, in milliseconds; `None` for one without end.
    pub(crate) life_time: Option<u64>,
}

/// The last byte of a payload.
const NOTES: u8 = 1;
const NO_NOTES: u8 = 0;
/// The length of the notes, before the last byte.
const LENGTH: usize = size_of::<u32>();

/// A slot's payload: the columns, then the notes, their length, and whether there are any.
pub(crate) fn join(mut columns: Vec<u8>, notes: Option<&Notes>) -> Result<Bytes> {
    let Some(notes) = notes else {
        columns.push(NO_NOTES);
        return Ok(columns.into());
    };
    let refused = |_| Error::new(ErrorKind::EncodeFailed, "what is cached beside the columns takes more than 4 GiB");
    let begin = columns.len();
    let mut payload = postcard::to_extend(notes, columns)
        .map_err(|error| Error::new(ErrorKind::EncodeFailed, "postcard refused what is cached beside the columns").with_source(error))?;
    let length = u32::try_from(payload.len() - begin).map_err(refused)?;
    payload.extend(length.to_be_bytes());
    payload.push(NOTES);
    Ok(payload.into())
}

/// The columns and notes of a slot's payload; `None` for what [`join`] did not make.
pub(crate) fn split(payload: &Bytes) -> Option<(Bytes, Option<Arc<Notes>>)> {
    let (&last, rest) = payload.split_last()?;
    if last == NO_NOTES {
        return Some((payload.slice(..rest.len()), None));
    }
    if last != NOTES {
        return None;
    }
    let (rest, length) = rest.split_last_chunk::<LENGTH>()?;
    let begin = rest.len().checked_sub(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let notes: Notes = postcard::from_bytes(&rest[begin..]).ok()?;
    Some((payload.slice(..begin), Some(Arc::new(notes))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_joined_is_split_again(
            columns in prop::collection::vec(any::<u8>(), 0..40),
            notes in prop::option::of((prop::collection::vec(".{0,8}", 0..3), any::<u64>(), prop::option::of(".{0,8}"), any::<bool>())),
        ) {
            let notes = notes.map(|(tags, era, source_tag, is_absence)| Notes { tags, era, source_tag, is_absence, ..Notes::default() });
            let payload = join(columns.clone(), notes.as_ref()).unwrap();
            let (split_columns, split_notes) = split(&payload).unwrap();
            prop_assert_eq!(&split_columns[..], &columns[..]);
            prop_assert_eq!(split_notes.as_deref(), notes.as_ref());
        }

        #[test]
        fn any_bytes_can_be_split(payload in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..40)) {
            let _ = split(&payload.into());
        }
    }
}
