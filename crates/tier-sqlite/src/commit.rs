//! Transactions: snapshots for reads; and for writes the versions that they draw and the rows of the log that they leave.
//!
//! SQLite has one writer at a time, in all processes, so a counter in the file serves: each entry of the log draws the next number, which is its
//! version and its place in the log at once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};
use store_core::facet::LogKind;
use store_core::{Result, Version};

use crate::error::{self, Origin};
use crate::workers::Worker;

/// Strata's own tables. `pruned` is the highest version that was ever dropped from the log; `timeline` tells this file from others.
pub(crate) const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS \"_strata_version\" (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        format INTEGER NOT NULL,
        timeline TEXT NOT NULL,
        version INTEGER NOT NULL,
        pruned INTEGER NOT NULL
    ) STRICT;
    INSERT OR IGNORE INTO \"_strata_version\" (id, format, timeline, version, pruned) VALUES (1, 1, lower(hex(randomblob(8))), 0, 0);
    CREATE TABLE IF NOT EXISTS \"_strata_log\" (
        version INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        schema TEXT NOT NULL,
        key TEXT,
        kind TEXT NOT NULL
    ) STRICT;
";

/// Their names.
pub(crate) const OWN_NAMES: [&str; 2] = ["_strata_version", "_strata_log"];

/// The layout of Strata's own tables that this build reads and writes.
pub(crate) const FORMAT: i64 = 1;

/// Runs a write as one transaction: all of it or nothing.
pub(crate) fn transaction<T>(worker: &Worker, origin: Origin<'_>, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let connection = &worker.connection;
    let run = |sql: &str| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(|error| error::from_sqlite(error, origin))
    };
    run("BEGIN IMMEDIATE")?;
    let commit = |value| {
        // A commit to a file that lost its name would be acknowledged and lost with the file.
        worker.file.check()?;
        run("COMMIT").map(|_| value)
    };
    let result = write(connection).and_then(commit);
    // SQLite itself takes a transaction back after some errors. The error that began it is the one to tell.
    if result.is_err() && !connection.is_autocommit() {
        let _ = run("ROLLBACK");
    }
    result
}

/// Runs reads on one snapshot of the database.
pub(crate) fn snapshot<T>(connection: &Connection, origin: Origin<'_>, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let run = |sql: &str| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(|error| error::from_sqlite(error, origin))
    };
    run("BEGIN")?;
    let result = read();
    let ended = run("COMMIT");
    result.and_then(|value| ended.map(|_| value))
}

/// Draws versions, within a write transaction, and gives the first of them.
pub(crate) fn draw_versions(connection: &Connection, count: usize) -> Result<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let last: i64 = connection
        .prepare_cached("UPDATE \"_strata_version\" SET version = version + ?1 RETURNING version")
        .and_then(|mut statement| statement.query_row([count], |row| row.get(0)))
        .map_err(|error| error::from_sqlite(error, Origin::Own))?;
    Ok(last - count + 1)
}

/// Writes an entry into the log; the version must be its own.
pub(crate) fn write_entry(connection: &Connection, version: i64, at: i64, schema: &str, key: Option<&str>, kind: LogKind) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO \"_strata_log\" (version, at, schema, key, kind) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute(params![version, at, schema, key, kind_name(kind)]))
        .map_err(|error| error::from_sqlite(error, Origin::Own))?;
    Ok(())
}

fn kind_name(kind: LogKind) -> &'static str {
    match kind {
        LogKind::Put => "put",
        LogKind::Delete => "delete",
        LogKind::InvalidateTag => "invalidate_tag",
        // The kinds that do not come from data say no more to a follower than that a copy is to be dropped.
        _ => "invalidate",
    }
}

/// The kind and the key of an entry, by the kind's name. Of one that a later version may write, the key may name anything: the whole schema is meant.
pub(crate) fn kind_and_key(name: &str, key: Option<String>) -> (LogKind, Option<String>) {
    match name {
        "put" => (LogKind::Put, key),
        "delete" => (LogKind::Delete, key),
        "invalidate" => (LogKind::Invalidate, key),
        "invalidate_tag" if key.is_some() => (LogKind::InvalidateTag, key),
        _ => (LogKind::Invalidate, None),
    }
}

/// A version as it is stored.
pub(crate) fn to_version(stored: i64) -> Version {
    Version::new(stored.unsigned_abs())
}

/// The time of day in microseconds since 1970, moved back by `age`.
pub(crate) fn microseconds_before_now(age: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let microseconds = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    microseconds(now).saturating_sub(microseconds(age))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use store_core::facet::{Log, LogEntry};
    use store_core::{ErrorKind, Tier};

    use super::*;
    use crate::tier::SqliteTier;

    #[tokio::test]
    async fn a_file_that_loses_its_name_during_a_write_takes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (path, aside) = (directory.path().join("app.db"), directory.path().join("aside.db"));
        let tier = SqliteTier::open(&path).await.unwrap();
        store_core::facet::Tables::prepare(&tier, &[]).await.unwrap();
        let entry = LogEntry { schema: "note".into(), key: None, version: Version::default(), kind: LogKind::Invalidate };
        let before = tier.append(std::slice::from_ref(&entry)).await.unwrap();
        let (from, to) = (path.clone(), aside.clone());
        let written: Result<i64> = tier
            .writer()
            .run(move |worker| {
                transaction(worker, Origin::Own, |connection| {
                    let version = draw_versions(connection, 7)?;
                    std::fs::rename(from, to).unwrap();
                    Ok(version)
                })
            })
            .await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::L3Unavailable);
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(tier.append(&[entry]).await.unwrap()[0].get(), before[0].get() + 1);
        tier.close().await.unwrap();
    }
}
