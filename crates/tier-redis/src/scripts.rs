//! The Lua scripts. Each touches one key.

use std::sync::LazyLock;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script and the name under which Redis caches it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) source: &'static str,
    sha1: LazyLock<String>,
}

impl Script {
    const fn new(source: &'static str, sha1: fn() -> String) -> Self {
        Script { source, sha1: LazyLock::new(sha1) }
    }

    pub(crate) fn sha1(&self) -> &str {
        &self.sha1
    }
}

fn hash(source: &str) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, source.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) static $name: Script = Script::new(include_str!($file), || hash(include_str!($file)));
    )*};
}

scripts! {
    /// Reads or leases a slot.
    LEASE = "scripts/lease.lua";
    /// Fills a leased slot.
    FILL = "scripts/fill.lua";
    /// Leases a slot over a record.
    TAKE_OVER = "scripts/take_over.lua";
    /// Empties a slot, unless its record is new enough.
    REMOVE_OLDER = "scripts/remove_older.lua";
    /// Tells a slot of a newer record.
    REPLACE = "scripts/replace.lua";
    /// Stores a record as truth.
    PUT = "scripts/put.lua";
    /// Deletes a record as truth.
    DELETE = "scripts/delete.lua";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_lower_case_sha_1() {
        assert_eq!(hash("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
