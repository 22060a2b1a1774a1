//! The Lua scripts. Each touches one key.

use std::sync::LazyLock;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
#[cfg(strata_without)]
use store_core::protection::Protection;

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
    /// Tells a list of tags of a new era.
    TELL_TAGS = "scripts/tell_tags.lua";
    /// Begins a new era in a list of tags that no relayer tells.
    INVALIDATE_TAGS = "scripts/invalidate_tags.lua";
    /// Stores a record as truth.
    PUT = "scripts/put.lua";
    /// Stores a record as truth, if the slot still holds what was seen there.
    PUT_OVER = "scripts/put_over.lua";
    /// Empties a slot of a lease, or of what a loader brought.
    DROP_LOADED = "scripts/drop_loaded.lua";
    /// Deletes a record as truth.
    DELETE = "scripts/delete.lua";
}

/// The script that fills, unless a test does without the lease.
pub(crate) fn fill() -> &'static Script {
    #[cfg(strata_without)]
    if Protection::Lease.is_off() {
        return &FILL_WITHOUT_LEASE;
    }
    &FILL
}

/// The script that replaces, unless a test lets writers create slots.
pub(crate) fn replace() -> &'static Script {
    #[cfg(strata_without)]
    if Protection::NoCreate.is_off() {
        return &REPLACE_OR_CREATE;
    }
    &REPLACE
}

#[cfg(strata_without)]
scripts! {
    /// Fills a slot that holds no record.
    FILL_WITHOUT_LEASE = "scripts/fill_without_lease.lua";
    /// Tells a slot of a newer record, and creates one where there is none.
    REPLACE_OR_CREATE = "scripts/replace_or_create.lua";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_lower_case_sha_1() {
        assert_eq!(hash("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
