//! Random numbers from the operating system.

use ring::rand::{SecureRandom, SystemRandom};
use store_core::facet::FillLease;
use store_core::{Error, ErrorKind, Result, Role};

/// Draws leases that nobody else holds.
pub(crate) fn leases(count: usize) -> Result<Vec<FillLease>> {
    let mut bytes = vec![0; count * 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        Error::new(ErrorKind::L2Unavailable, "the operating system gave no random numbers to make fill leases of").with_tier(Role::Shared)
    })?;
    let (chunks, _) = bytes.as_chunks::<16>();
    Ok(chunks.iter().map(|chunk| FillLease::new(u128::from_be_bytes(*chunk))).collect())
}

/// A number that no list of tags had before, and that is not 0.
pub(crate) fn generation() -> Result<u64> {
    let [high, low] = leases(1)?.first().map_or([0; 2], |lease| [lease.get() >> 64, lease.get()]);
    Ok((high ^ low) as u64 | 1)
}

/// A number from 0 up to, not including, 1; 0 if the operating system gives none.
pub(crate) fn fraction() -> f64 {
    let mut bytes = [0; 4];
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// An index of a list of this length, which is not 0.
pub(crate) fn below(length: usize) -> usize {
    let mut bytes = [0; 8];
    let _ = SystemRandom::new().fill(&mut bytes);
    // The high half of the product of a number below 2^64 and the length is below the length.
    usize::try_from((u128::from(u64::from_be_bytes(bytes)) * length as u128) >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_differ() {
        let leases = leases(100).unwrap();
        let distinct: std::collections::HashSet<_> = leases.iter().collect();
        assert_eq!(distinct.len(), 100);
    }

    #[test]
    fn every_index_of_a_list_is_drawn_and_no_other() {
        let drawn: std::collections::BTreeSet<_> = (0..1_000).map(|_| below(3)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!((0..1_000).map(|_| fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }
}
