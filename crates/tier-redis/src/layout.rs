//! The bytes of a slot.
//!
//! | offset | lease | record |
//! |---|---|---|
//! | 0 | `0xB2` | `0xA2` |
//! | 1 | the lease, 16 bytes | codec, 1 byte |
//! | 2 | | fingerprint, 8 bytes |
//! | 10 | | version, 8 bytes |
//! | 18 | | generation, 8 bytes |
//! | 26 | | deadline in Unix milliseconds, 8 bytes signed, 0 for none |
//! | 34 | | payload |
//!
//! Numbers are big-endian. The low half of the first byte is the version of this layout; no UTF-8 text begins with such a byte. The scripts read the
//! same offsets, counted from 1.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use store_core::facet::FillLease;
use store_core::{EncodedRecord, Version};

const LEASE: u8 = 0xB2;
const LEASE_LENGTH: usize = 17;
const RECORD: u8 = 0xA2;
const HEADER_LENGTH: usize = 34;
const NO_DEADLINE: i64 = 0;

/// What the bytes of a slot say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Record(EncodedRecord),
    Lease(FillLease),
    /// A lease or record in the layout of another version of Strata.
    OtherLayout,
    /// Nothing that any version of Strata writes.
    Foreign,
}

pub(crate) fn encode_lease(lease: FillLease) -> Bytes {
    let mut bytes = BytesMut::with_capacity(LEASE_LENGTH);
    bytes.put_u8(LEASE);
    bytes.put_u128(lease.get());
    bytes.freeze()
}

pub(crate) fn encode_record(record: &EncodedRecord) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER_LENGTH + record.payload.len());
    put_header(record, &mut bytes);
    bytes.put_slice(&record.payload);
    bytes.freeze()
}

/// What stands before the payload.
pub(crate) fn encode_header(record: &EncodedRecord) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER_LENGTH);
    put_header(record, &mut bytes);
    bytes.freeze()
}

fn put_header(record: &EncodedRecord, bytes: &mut BytesMut) {
    bytes.put_u8(RECORD);
    bytes.put_u8(record.codec);
    bytes.put_u64(record.fingerprint);
    bytes.put_u64(record.version.get());
    bytes.put_u64(record.generation);
    bytes.put_i64(record.deadline.map_or(NO_DEADLINE, |deadline| unix_milliseconds(deadline).max(1)));
}

/// Reads a slot. The payload shares the memory of `bytes`.
pub(crate) fn decode(bytes: &Bytes) -> Content {
    match bytes.first() {
        Some(&LEASE) if bytes.len() == LEASE_LENGTH => Content::Lease(FillLease::new(u128::from_be_bytes(array(bytes, 1)))),
        Some(&RECORD) if bytes.len() >= HEADER_LENGTH => {
            let deadline = match i64::from_be_bytes(array(bytes, 26)) {
                NO_DEADLINE => None,
                milliseconds => match from_unix_milliseconds(milliseconds) {
                    Some(deadline) => Some(deadline),
                    None => return Content::Foreign,
                },
            };
            Content::Record(EncodedRecord {
                version: Version::new(u64::from_be_bytes(array(bytes, 10))),
                generation: u64::from_be_bytes(array(bytes, 18)),
                fingerprint: u64::from_be_bytes(array(bytes, 2)),
                codec: bytes[1],
                deadline,
                payload: bytes.slice(HEADER_LENGTH..),
            })
        }
        Some(&(LEASE | RECORD)) | None => Content::Foreign,
        Some(&tag) if [LEASE, RECORD].iter().any(|known| known >> 4 == tag >> 4) => Content::OtherLayout,
        Some(_) => Content::Foreign,
    }
}

/// Milliseconds since the Unix epoch, negative before it, at the ends of what 64 bits hold for times beyond.
pub(crate) fn unix_milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |milliseconds| -milliseconds),
    }
}

fn from_unix_milliseconds(milliseconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(milliseconds.unsigned_abs());
    if milliseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// The bytes at an offset, which the caller knows to be there.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(deadline: Option<SystemTime>) -> EncodedRecord {
        EncodedRecord {
            version: Version::new(0x0102_0304_0506_0708),
            generation: 0x2122_2324_2526_2728,
            fingerprint: 0x1112_1314_1516_1718,
            codec: 3,
            deadline,
            payload: Bytes::from_static(b"payload"),
        }
    }

    #[test]
    fn the_layout_of_a_record_is_fixed() {
        let deadline = UNIX_EPOCH + Duration::from_millis(0x0203);
        let bytes = encode_record(&record(Some(deadline)));
        let expected = b"\xA2\x03\x11\x12\x13\x14\x15\x16\x17\x18\x01\x02\x03\x04\x05\x06\x07\x08\x21\x22\x23\x24\x25\x26\x27\x28\x00\x00\x00\x00\x00\x00\x02\x03payload";
        assert_eq!(&bytes[..], expected);
        assert_eq!(encode_header(&record(Some(deadline))), expected[..HEADER_LENGTH]);
        assert_eq!(decode(&bytes), Content::Record(record(Some(deadline))));
    }

    #[test]
    fn the_layout_of_a_lease_is_fixed() {
        let lease = FillLease::new(0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10);
        let bytes = encode_lease(lease);
        assert_eq!(&bytes[..], b"\xB2\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10");
        assert_eq!(decode(&bytes), Content::Lease(lease));
    }

    #[test]
    fn a_deadline_at_or_before_the_epoch_stays_in_the_past() {
        for deadline in [UNIX_EPOCH, UNIX_EPOCH - Duration::from_secs(1)] {
            let Content::Record(stored) = decode(&encode_record(&record(Some(deadline)))) else { panic!() };
            assert_eq!(stored.deadline, Some(UNIX_EPOCH + Duration::from_millis(1)));
        }
    }

    #[test]
    fn another_layout_is_told_from_foreign_content() {
        let record = encode_record(&record(None));
        let lease = encode_lease(FillLease::new(1));
        for other in [[&[0xA1], &record[1..]].concat(), [&[0xB0], &lease[1..]].concat(), vec![0xAF]] {
            assert_eq!(decode(&Bytes::copy_from_slice(&other)), Content::OtherLayout, "{other:?}");
        }
        let long_lease = [&lease[..], &[0]].concat();
        for foreign in [b"".as_slice(), b"text", &record[..33], &lease[..16], &long_lease, &[0xC1]] {
            assert_eq!(decode(&Bytes::copy_from_slice(foreign)), Content::Foreign, "{foreign:?}");
        }
    }
}
