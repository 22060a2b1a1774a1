//! Names that Strata makes up.

use xxhash_rust::xxh3::xxh3_64;

/// PostgreSQL cuts longer names off in silence.
pub(crate) const LONGEST_NAME: usize = 63;

/// Shortens a name that is too long, so that different long names stay different.
pub(super) fn fit(name: String) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    hashed(&name, &name)
}

/// As much of a name as fits, and the hash of what tells it apart.
pub(super) fn hashed(name: &str, difference: &str) -> String {
    let hash = format!("_{:016x}", xxh3_64(difference.as_bytes()));
    let cut = name.floor_char_boundary(name.len().min(LONGEST_NAME - hash.len()));
    format!("{}{hash}", &name[..cut])
}

/// A name with the first half of a hash, which is enough to tell one text from the next that takes its place.
pub(super) fn marked(name: &str, text: &str) -> String {
    fit(format!("{name}_{:08x}", xxh3_64(text.as_bytes()) >> 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let (one, other) = ("x".repeat(99) + "1", "x".repeat(99) + "2");
        assert_eq!((fit(one.clone()).len(), fit("short".into())), (LONGEST_NAME, "short".to_owned()));
        assert_ne!(fit(one.clone()), fit(other.clone()));
        assert_ne!(marked(&one, "a"), marked(&one, "b"));
        assert_eq!(fit("ü".repeat(40)).len(), LONGEST_NAME);
    }
}
