//! SQLite's settings from variables.

use std::time::Duration;

use store_core::Result;
use tier_sqlite::{SqliteConfig, Synchronous};

use super::variables::Variables;

pub(super) struct SqliteVariables {
    readers: Option<usize>,
    busy_timeout: Option<Duration>,
    synchronous: Option<Synchronous>,
}

pub(super) fn take(variables: &mut Variables) -> Result<SqliteVariables> {
    let levels = [("full", Synchronous::Full), ("normal", Synchronous::Normal)];
    Ok(SqliteVariables {
        readers: variables.within("STRATA_SQLITE_READERS", 1..=64, "a whole number from 1 to 64")?,
        busy_timeout: variables.duration("STRATA_SQLITE_BUSY_TIMEOUT")?,
        synchronous: variables.choice("STRATA_SQLITE_SYNCHRONOUS", &levels)?,
    })
}

impl SqliteVariables {
    pub(super) fn config(self, path: &str) -> SqliteConfig {
        let mut config = SqliteConfig::new(path);
        if let Some(readers) = self.readers {
            config = config.with_readers(readers);
        }
        if let Some(timeout) = self.busy_timeout {
            config = config.with_busy_timeout(timeout);
        }
        if let Some(synchronous) = self.synchronous {
            config = config.with_synchronous(synchronous);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_variable() {
        let set = [("STRATA_SQLITE_READERS", "3"), ("STRATA_SQLITE_BUSY_TIMEOUT", "9s"), ("STRATA_SQLITE_SYNCHRONOUS", "normal")];
        let mut variables = Variables::new(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let wanted = SqliteConfig::new("a.db");
        let wanted = wanted.with_readers(3).with_busy_timeout(Duration::from_secs(9)).with_synchronous(Synchronous::Normal);
        assert_eq!(take(&mut variables).unwrap().config("a.db"), wanted);
        variables.finish().unwrap();
        let unset = take(&mut Variables::new([])).unwrap();
        assert_eq!(unset.config("a.db"), SqliteConfig::new("a.db"));
    }
}
