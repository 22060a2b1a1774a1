//! The protections of the coherence protocol that a test can do without.
//!
//! An ordinary build has all of them, and no trace of a choice. One that is compiled with `--cfg strata_without`, as `cargo xtask prove soak --without` does,
//! lacks the one that the variable `STRATA_WITHOUT` names when the program starts: the soak must then find a broken promise.

/// A protection, by what goes on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// A load that was overtaken installs into memory all the same.
    Fence,
    /// A slot is filled whoever holds its lease, and also if there is none.
    Lease,
    /// A writer creates a slot.
    NoCreate,
    /// What is older than was heard of is read from the shared tier.
    Floor,
    /// The shared tier is believed whatever its mark says, and records of any generation are.
    Mark,
    /// The log is followed by the numbers of transactions, without those that were running in the snapshot.
    Cursor,
    /// The freshness lease never ends.
    Deadline,
    /// A write begins while the server may still be at work on an earlier one whose outcome nobody knows.
    Orphans,
}

impl Protection {
    /// All of them.
    pub const ALL: [Protection; 8] = [
        Protection::Fence,
        Protection::Lease,
        Protection::NoCreate,
        Protection::Floor,
        Protection::Mark,
        Protection::Cursor,
        Protection::Deadline,
        Protection::Orphans,
    ];

    /// As command lines and `STRATA_WITHOUT` say it.
    pub const fn name(self) -> &'static str {
        match self {
            Protection::Fence => "fence",
            Protection::Lease => "lease",
            Protection::NoCreate => "no-create",
            Protection::Floor => "floor",
            Protection::Mark => "mark",
            Protection::Cursor => "cursor",
            Protection::Deadline => "deadline",
            Protection::Orphans => "orphans",
        }
    }

    /// Never, in an ordinary build.
    #[cfg(not(strata_without))]
    #[inline(always)]
    pub const fn is_off(self) -> bool {
        false
    }

    /// Whether this is the one that `STRATA_WITHOUT` names.
    #[cfg(strata_without)]
    pub fn is_off(self) -> bool {
        static OFF: std::sync::LazyLock<Option<Protection>> = std::sync::LazyLock::new(|| {
            let name = std::env::var("STRATA_WITHOUT").ok()?;
            Protection::ALL.into_iter().find(|protection| protection.name() == name)
        });
        *OFF == Some(self)
    }
}
