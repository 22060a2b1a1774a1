//! Reading a segment entry by entry, and telling what a crash leaves behind from damage.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::files::{File, read_full_at};
use crate::format::{ENTRY_HEADER, EntryHeader, SEGMENT_HEADER, Seed};

/// How much is read at once.
const CHUNK: usize = 128 << 10;

/// What was last read of a file.
#[derive(Debug)]
pub(crate) struct Window {
    file: Arc<dyn File>,
    start: u64,
    bytes: Vec<u8>,
    chunk: usize,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn File>) -> Self {
        Self::with_chunk(file, CHUNK)
    }

    /// A window that reads less ahead.
    pub(crate) fn with_chunk(file: Arc<dyn File>, chunk: usize) -> Self {
        Self { file, start: 0, bytes: Vec::new(), chunk }
    }

    /// The bytes at `offset`. Nothing at or after `end` is read, since what is there may yet change.
    pub(crate) fn get(&mut self, offset: u64, length: usize, end: u64) -> io::Result<&[u8]> {
        let is_held = offset >= self.start && offset + length as u64 <= self.start + self.bytes.len() as u64;
        if !is_held {
            let ahead = (end.saturating_sub(offset)).min(self.chunk as u64) as usize;
            self.bytes.resize(length.max(ahead), 0);
            self.start = offset;
            let filled = read_full_at(&*self.file, &mut self.bytes, offset)?;
            self.bytes.truncate(filled);
            if filled < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..at + length])
    }
}

/// Why no entry can be read at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The bytes end within a header or a payload.
    CutOff,
    /// The checksum is not that of the bytes.
    Checksum,
    /// Whole entries, but not those that belong there.
    Order { found: u64, expected: u64 },
    /// The end of a batch is missing.
    Batch,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::CutOff => f.write_str("an entry reaches past the end of the file"),
            Flaw::Checksum => f.write_str("an entry's checksum does not match its bytes"),
            Flaw::Order { found, expected } => write!(f, "entry {found} stands where {expected} belongs"),
            Flaw::Batch => f.write_str("a batch lacks its last entries"),
        }
    }
}

/// Reads the header of the entry at `offset` and checks the whole entry.
pub(crate) fn entry_at(window: &mut Window, seed: Seed, offset: u64, end: u64) -> io::Result<Result<EntryHeader, Flaw>> {
    let room = end.saturating_sub(offset);
    if room < ENTRY_HEADER as u64 {
        return Ok(Err(Flaw::CutOff));
    }
    let header = EntryHeader::decode(window.get(offset, ENTRY_HEADER, end)?);
    if header.frame_length() > room {
        return Ok(Err(Flaw::CutOff));
    }
    let frame = window.get(offset, header.frame_length() as usize, end)?;
    Ok(if seed.is_valid(frame, offset) { Ok(header) } else { Err(Flaw::Checksum) })
}

/// The places of some entries of a segment, in order, so that any entry is found by reading a few.
#[derive(Debug, Default)]
pub(crate) struct Index(Vec<(u64, u64)>);

impl Index {
    /// How many bytes of entries lie between two that are kept.
    const STEP: u64 = 16 << 10;

    /// Notes an entry, if the last one noted is far enough away.
    pub(crate) fn note(&mut self, sequence: u64, offset: u64) {
        if self.0.last().is_none_or(|(_, last)| offset - last >= Self::STEP) {
            self.0.push((sequence, offset));
        }
    }

    /// Notes an entry in any case.
    fn add(&mut self, sequence: u64, offset: u64) {
        self.0.push((sequence, offset));
    }

    /// The nearest noted entry at or before a sequence.
    pub(crate) fn before(&self, sequence: u64) -> Option<(u64, u64)> {
        let after = self.0.partition_point(|(noted, _)| *noted <= sequence);
        self.0[..after].last().copied()
    }

    /// Forgets the entries from a sequence on.
    pub(crate) fn cut(&mut self, next: u64) {
        self.0.truncate(self.0.partition_point(|(noted, _)| *noted < next));
    }
}

/// Damaged entries that were skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// Their sequences. None are lost where only a witness is damaged.
    pub(crate) lost: Range<u64>,
}

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Where the last whole batch, or the witness after it, ends.
    pub(crate) end: u64,
    /// The sequence after the last whole batch.
    pub(crate) next: u64,
    /// What is durable, as far as the entries say.
    pub(crate) durable: u64,
    pub(crate) index: Index,
    pub(crate) gaps: Vec<Gap>,
    /// Where reading stopped before the end of the file, and why. Zeros to the end are none.
    pub(crate) flaw: Option<(u64, Flaw)>,
}

impl Scan {
    /// Of a segment whose first entry has this sequence, before anything is read.
    pub(crate) fn new(first: u64) -> Self {
        Scan { end: SEGMENT_HEADER, next: first, durable: SEGMENT_HEADER, index: Index::default(), gaps: Vec::new(), flaw: None }
    }

    /// Goes on with the entry of a sequence at an offset, without those before it.
    pub(crate) fn skip_to(&mut self, next: u64, offset: u64) {
        self.gaps.push(Gap { offset: self.end, bytes: offset - self.end, lost: self.next..next });
        (self.next, self.end, self.flaw) = (next, offset, None);
    }

    /// Reads on up to the first flaw.
    fn read(&mut self, window: &mut Window, seed: Seed, length: u64) -> io::Result<()> {
        let (mut offset, mut sequence) = (self.end, self.next);
        // How many entries the batch that is open still lacks.
        let mut lacking = 0;
        let flaw = loop {
            if offset == length {
                break (lacking > 0).then_some(Flaw::Batch);
            }
            let header = match entry_at(window, seed, offset, length)? {
                Ok(header) => header,
                Err(_) if are_zeros(window, offset, length)? => break (lacking > 0).then_some(Flaw::Batch),
                Err(flaw) => break Some(flaw),
            };
            if header.sequence != sequence {
                break Some(Flaw::Order { found: header.sequence, expected: sequence });
            }
            if lacking > 0 && (header.is_witness() || header.following != lacking - 1) {
                break Some(Flaw::Batch);
            }
            if !header.is_witness() {
                self.index.note(sequence, offset);
                sequence += 1;
                lacking = header.following;
            }
            offset += header.frame_length();
            self.durable = self.durable.max(header.durable);
            if lacking == 0 {
                self.end = offset;
                self.next = sequence;
            }
        };
        self.index.cut(self.next);
        self.flaw = flaw.map(|flaw| (offset, flaw));
        Ok(())
    }
}

/// Reads a segment up to its first flaw that may not be skipped: entries up to `skip` may be missing.
pub(crate) fn scan(window: &mut Window, seed: Seed, first: u64, length: u64, skip: Option<u64>) -> io::Result<Scan> {
    let mut scan = Scan::new(first);
    loop {
        scan.read(window, seed, length)?;
        let (Some((flawed, _)), Some(skip)) = (scan.flaw, skip) else { return Ok(scan) };
        // Where nothing up to there can be missing, a flaw may be the unfinished end.
        if scan.next > skip.saturating_add(1) {
            return Ok(scan);
        }
        match next_whole(window, seed, flawed, scan.next, length)? {
            Some((next, offset)) if next <= skip.saturating_add(1) => {
                scan.skip_to(next, offset);
                scan.index.add(next, offset);
            }
            _ => return Ok(scan),
        }
    }
}

/// The first whole entry or witness from `flawed` on, and its offset. Its checksum tells it from bytes of any other place; those that come next are read as ever.
pub(crate) fn next_whole(window: &mut Window, seed: Seed, flawed: u64, expected: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    find_whole(window, seed, flawed, expected, length, |header, offset| header.durable <= offset)
}

/// Whether a whole entry after `flawed` proves that what is flawed had been durable. A crash leaves behind any part of what was not durable, so whole entries alone prove
/// nothing.
pub(crate) fn is_proven_durable(window: &mut Window, seed: Seed, flawed: u64, expected: u64, length: u64) -> io::Result<bool> {
    let is_proof = |header: &EntryHeader, offset| header.durable > flawed && header.durable <= offset;
    Ok(find_whole(window, seed, flawed, expected, length, is_proof)?.is_some())
}

/// The sequence and offset of the first whole entry from `flawed` on that is wanted: what is flawed may be whole, but in the wrong place of a batch.
fn find_whole(
    window: &mut Window,
    seed: Seed,
    flawed: u64,
    expected: u64,
    length: u64,
    is_wanted: impl Fn(&EntryHeader, u64) -> bool,
) -> io::Result<Option<(u64, u64)>> {
    let room = length - flawed;
    let sequences = expected..=expected.saturating_add(room / ENTRY_HEADER as u64);
    let mut offset = flawed;
    while offset + ENTRY_HEADER as u64 <= length {
        let header = EntryHeader::decode(window.get(offset, ENTRY_HEADER, length)?);
        let is_candidate = is_wanted(&header, offset) && sequences.contains(&header.sequence);
        if is_candidate && entry_at(window, seed, offset, length)?.is_ok() {
            return Ok(Some((header.sequence, offset)));
        }
        offset += 1;
    }
    Ok(None)
}

fn are_zeros(window: &mut Window, mut offset: u64, length: u64) -> io::Result<bool> {
    while offset < length {
        let count = (length - offset).min(4096) as usize;
        if window.get(offset, count, length)?.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += count as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_finds_the_nearest_entry_before() {
        let mut index = Index::default();
        for sequence in 0..100 {
            index.note(10 + sequence, SEGMENT_HEADER + sequence * 1000);
        }
        assert_eq!(index.before(9), None);
        assert_eq!(index.before(26), Some((10, SEGMENT_HEADER)));
        assert_eq!(index.before(27), Some((27, SEGMENT_HEADER + 17_000)));
        assert_eq!(index.before(1000), Some((95, SEGMENT_HEADER + 85_000)));
        index.cut(44);
        assert_eq!(index.before(1000), Some((27, SEGMENT_HEADER + 17_000)));
    }
}
