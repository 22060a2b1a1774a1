//! How patient a migration is.

use std::time::Duration;

/// How long a migration waits for others, and from when on a table counts as large.
///
/// ```
/// use std::time::Duration;
/// use store_core::{MigrationSettings, Settings};
///
/// let migration = MigrationSettings { lock_timeout: Duration::from_millis(500), ..MigrationSettings::default() };
/// let settings = Settings { migration, ..Settings::default() };
/// assert_eq!(settings.migration.large_table, 100_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationSettings {
    /// How long a migration waits while another process migrates the same database. It should be longer than
    /// [`patience`](Self::patience), or else whoever waits may give up before who migrates does; a shorter time is taken as it is. SQLite waits for its busy time-out instead. Default: 2 minutes.
    pub migrator_wait: Duration,
    /// How long one statement waits for the lock of a table: as long as it waits, so does every reader and writer that comes after it. Then it is taken back,
    /// and tried again after a pause. Default: 2 seconds. SQLite has no such locks.
    pub lock_timeout: Duration,
    /// How long a migration goes on trying for the locks of one table, and waits for the transactions that an index made without blocking must see the end of.
    /// Default: 1 minute.
    pub patience: Duration,
    /// From how many rows on, as the database estimates them, an index is made without blocking writers (PostgreSQL's `CREATE INDEX CONCURRENTLY`), which
    /// takes longer and is no transaction. Default: 100,000.
    pub large_table: u64,
    /// How often a running store that may make tables makes the partitions of periods to come. Default: 1 hour.
    pub partition_upkeep: Duration,
}

impl Default for MigrationSettings {
    fn default() -> Self {
        MigrationSettings {
            migrator_wait: Duration::from_secs(120),
            lock_timeout: Duration::from_secs(2),
            patience: Duration::from_secs(60),
            large_table: 100_000,
            partition_upkeep: Duration::from_secs(3_600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_outlasts_who_migrates() {
        let settings = MigrationSettings::default();
        assert!(settings.migrator_wait > settings.patience);
    }
}
