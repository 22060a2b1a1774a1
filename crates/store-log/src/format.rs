//! The bytes of a segment: `docs/log-format.md` in code.

/// The length of a segment's header.
pub(crate) const SEGMENT_HEADER: u64 = 48;
/// The length of an entry's header.
pub(crate) const ENTRY_HEADER: usize = 24;

const MAGIC: [u8; 8] = *b"STRATLOG";
const VERSION: u32 = 1;
/// The value of [`EntryHeader::following`] that makes an entry a witness.
const WITNESS: u32 = u32::MAX;

/// What tells one log from every other.
pub(crate) type LogId = [u8; 16];

/// What the checksum of every entry of a segment begins with, so that no entry is valid in another segment, log or place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(id: &LogId, first: u64) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(id), &first.to_le_bytes()))
    }

    fn checksum(self, offset: u64, covered: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), covered)
    }

    /// Completes a frame: a header's room and the payload. `following` is how many entries of the same batch come after it.
    pub(crate) fn seal(self, frame: &mut [u8], offset: u64, sequence: u64, durable: u64, following: u32) {
        let length = (frame.len() - ENTRY_HEADER) as u32;
        frame[4..8].copy_from_slice(&length.to_le_bytes());
        frame[8..16].copy_from_slice(&sequence.to_le_bytes());
        frame[16..20].copy_from_slice(&(durable as u32).to_le_bytes());
        frame[20..24].copy_from_slice(&following.to_le_bytes());
        let checksum = self.checksum(offset, &frame[4..]);
        frame[..4].copy_from_slice(&checksum.to_le_bytes());
    }

    /// A witness: an entry without payload or sequence, which only says how much is durable.
    pub(crate) fn witness(self, offset: u64, next: u64, durable: u64) -> [u8; ENTRY_HEADER] {
        let mut frame = [0; ENTRY_HEADER];
        self.seal(&mut frame, offset, next, durable, WITNESS);
        frame
    }

    /// Whether a whole frame, read at `offset`, is as it was written.
    pub(crate) fn is_valid(self, frame: &[u8], offset: u64) -> bool {
        EntryHeader::decode(frame).checksum == self.checksum(offset, &frame[4..])
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryHeader {
    pub(crate) checksum: u32,
    pub(crate) length: u32,
    pub(crate) sequence: u64,
    /// Everything before this byte of the segment was durable when the entry was written.
    pub(crate) durable: u64,
    pub(crate) following: u32,
}

impl EntryHeader {
    /// Reads the first [`ENTRY_HEADER`] bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            checksum: u32_at(bytes, 0),
            length: u32_at(bytes, 4),
            sequence: u64_at(bytes, 8),
            durable: u32_at(bytes, 16).into(),
            following: u32_at(bytes, 20),
        }
    }

    pub(crate) fn frame_length(&self) -> u64 {
        ENTRY_HEADER as u64 + u64::from(self.length)
    }

    pub(crate) fn is_witness(&self) -> bool {
        self.following == WITNESS
    }
}

/// Why a segment's header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    Damaged,
    Version(u32),
}

/// The first bytes of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: LogId,
    pub(crate) first: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut bytes = [0; SEGMENT_HEADER as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..44]);
        bytes[44..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER as usize]) -> Result<Self, BadHeader> {
        // Another version may have its checksum elsewhere.
        let version = u32_at(bytes, 8);
        if bytes[..8] == MAGIC && version != VERSION && version != 0 {
            return Err(BadHeader::Version(version));
        }
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..44]) != u32_at(bytes, 44) {
            return Err(BadHeader::Damaged);
        }
        let mut id = LogId::default();
        id.copy_from_slice(&bytes[16..32]);
        Ok(Self { id, first: u64_at(bytes, 32) })
    }
}

/// The name of the segment that begins with a sequence.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// The first sequence of the segment of that name, if it is one.
pub(crate) fn first_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let is_canonical = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_canonical.then(|| digits.parse().ok()).flatten()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_valid_only_where_it_was_written() {
        let seed = Seed::new(&[7; 16], 1);
        let mut frame = [0; ENTRY_HEADER + 3];
        frame[ENTRY_HEADER..].copy_from_slice(b"abc");
        seed.seal(&mut frame, 100, 5, 90, 2);
        assert!(seed.is_valid(&frame, 100));
        assert!(!seed.is_valid(&frame, 101));
        assert!(!Seed::new(&[7; 16], 2).is_valid(&frame, 100));
        assert!(!Seed::new(&[8; 16], 1).is_valid(&frame, 100));
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!seed.is_valid(&flipped, 100), "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let header = SegmentHeader { id: [0xAB; 16], first: 0x0102 };
        let bytes = header.encode();
        assert_eq!(&bytes[..16], b"STRATLOG\x01\0\0\0\0\0\0\0");
        assert_eq!(bytes[32..44], [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        let witness = Seed::new(&[0; 16], 1).witness(72, 9, 72);
        assert_eq!(witness[4..], *b"\0\0\0\0\x09\0\0\0\0\0\0\0\x48\0\0\0\xFF\xFF\xFF\xFF");
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn headers_of_other_versions_are_told_from_damage() {
        let mut bytes = SegmentHeader { id: [1; 16], first: 1 }.encode();
        bytes[20] ^= 1;
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Damaged));
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Version(2)));
    }

    #[test]
    fn only_segments_have_names_of_segments() {
        assert_eq!(first_of_name(&segment_name(42)), Some(42));
        for name in ["42.log", "0000000000000000004x.log", "00000000000000000042", "new-segment", "lock"] {
            assert_eq!(first_of_name(name), None, "{name}");
        }
    }
}
