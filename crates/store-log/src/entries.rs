use std::fmt;
use std::io;
use std::sync::Arc;

use crate::Result;
use crate::error::{LogError, LogErrorKind};
use crate::format::{ENTRY_HEADER, EntryHeader};
use crate::scan::{Flaw, Window, entry_at};
use crate::segment::{Segment, released};
use crate::shared::Shared;

/// How much a read of one entry reads at once: what lies between two places of the index.
const NEAR: usize = 16 << 10;

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number. The first entry of a log has 1.
    pub sequence: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// The entries of a log from a sequence on, in order; see [`Log::entries`](crate::Log::entries).
///
/// Damaged entries that were [skipped](crate::Recovery::skipped) are not among them. It ends where the log ends, and goes on there when it is asked again after more was
/// appended. It holds no lock and stops nobody; a segment that is released meanwhile ends it with an error of the kind [`LogErrorKind::Released`]. After an error there is
/// nothing more.
///
/// ```
/// use store_log::{Log, LogConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), LogConfig::default())?;
/// let mut entries = log.entries(1);
/// assert!(entries.next().is_none());
/// log.append(b"one").wait()?;
/// assert_eq!(entries.next().transpose()?.unwrap().payload, b"one");
/// # Ok(())
/// # }
/// ```
pub struct Entries {
    shared: Arc<Shared>,
    sequence: u64,
    /// Where the entry of `sequence` begins, in the segment that is read.
    place: Option<(Arc<Segment>, Window, u64)>,
    chunk: Option<usize>,
    has_failed: bool,
}

impl Entries {
    pub(crate) fn new(shared: Arc<Shared>, from: u64) -> Self {
        Self { shared, sequence: from.max(1), place: None, chunk: None, has_failed: false }
    }

    /// Reads a single entry, with little read ahead.
    pub(crate) fn one(shared: Arc<Shared>, sequence: u64) -> Result<Option<Entry>> {
        if sequence == 0 {
            return Ok(None);
        }
        if shared.segment_of(sequence).is_some_and(|segment| segment.after_gap(sequence).is_some()) {
            return Err(LogError::new(LogErrorKind::Corrupt, format!("entry {sequence} was skipped when the log was opened")));
        }
        Self { shared, sequence, place: None, chunk: Some(NEAR), has_failed: false }.step()
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        loop {
            let after_gap = match &self.place {
                Some((segment, ..)) => segment.after_gap(self.sequence),
                None => self.shared.segment_of(self.sequence).and_then(|segment| segment.after_gap(self.sequence)),
            };
            if let Some(after) = after_gap {
                (self.sequence, self.place) = (after, None);
                continue;
            }
            let Some((segment, window, offset)) = &mut self.place else {
                match self.locate()? {
                    Some(place) => self.place = Some(place),
                    None => return Ok(None),
                }
                continue;
            };
            if let Some(after) = segment.after_damage(*offset) {
                *offset = after;
            }
            if segment.next() <= self.sequence {
                // The next entry is in the next segment, or is not there yet.
                let is_sealed = self.shared.segment_of(self.sequence).is_none_or(|other| other.first != segment.first);
                if !is_sealed {
                    return Ok(None);
                }
                self.place = None;
                continue;
            }
            let end = segment.end();
            let cannot_read = |error| LogError::io("read the segment", &segment.path, error);
            if let Some(length) = length_before(window, *offset, end, self.sequence).map_err(cannot_read)? {
                *offset += length;
                continue;
            }
            let flaw = match entry_at(window, segment.seed, *offset, end).map_err(cannot_read)? {
                Ok(header) if header.is_witness() => {
                    *offset += header.frame_length();
                    continue;
                }
                Ok(header) if header.sequence == self.sequence => {
                    let payload = window.get(*offset + ENTRY_HEADER as u64, header.length as usize, end).map_err(cannot_read)?;
                    let entry = Entry { sequence: self.sequence, payload: payload.to_vec() };
                    *offset += header.frame_length();
                    self.sequence += 1;
                    return Ok(Some(entry));
                }
                // A failed sync has taken it back meanwhile.
                _ if segment.next() <= self.sequence => return Ok(None),
                Ok(header) => Flaw::Order { found: header.sequence, expected: self.sequence },
                Err(flaw) => flaw,
            };
            return Err(LogError::new(LogErrorKind::Corrupt, flaw.to_string())
                .with_hint("the file has changed since it was written; open the log again to have it examined")
                .with_path(&segment.path)
                .with_offset(*offset));
        }
    }

    /// The segment that holds the next entry, and a place at or before it.
    fn locate(&self) -> Result<Option<(Arc<Segment>, Window, u64)>> {
        let Some(segment) = self.shared.segment_of(self.sequence) else {
            return Err(released(self.sequence));
        };
        if segment.next() <= self.sequence {
            return Ok(None);
        }
        let Some((_, offset)) = segment.nearest(self.sequence) else { return Ok(None) };
        let file = self.shared.handles.get(&*self.shared.files, &segment)?;
        let window = match self.chunk {
            Some(chunk) => Window::with_chunk(file, chunk),
            None => Window::new(file),
        };
        Ok(Some((segment, window, offset)))
    }
}

/// The length of the frame at `offset`, if it is of an entry before `sequence`. It is passed over unchecked: the entry that is looked for is checked.
fn length_before(window: &mut Window, offset: u64, end: u64, sequence: u64) -> io::Result<Option<u64>> {
    let room = end.saturating_sub(offset);
    if room < ENTRY_HEADER as u64 {
        return Ok(None);
    }
    let header = EntryHeader::decode(window.get(offset, ENTRY_HEADER, end)?);
    Ok((header.sequence < sequence && header.frame_length() <= room).then_some(header.frame_length()))
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let step = self.step();
        self.has_failed = step.is_err();
        step.transpose()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
