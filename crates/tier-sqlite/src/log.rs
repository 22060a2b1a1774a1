//! The log of commits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use store_core::facet::{Log, LogBatch, LogCursor, LogEntry};
use store_core::{Error, ErrorKind, Result, Role, Version};

use crate::commit::{draw_versions, kind_name, microseconds_before_now, snapshot, to_entry, to_version, transaction, write_entry};
use crate::error::{self, Origin};
use crate::tier::SqliteTier;
use crate::workers::Worker;

#[async_trait]
impl Log for SqliteTier {
    async fn end(&self) -> Result<LogCursor> {
        self.readers().run(|worker| Ok(Position::now(&worker.connection)?.cursor())).await
    }

    async fn read(&self, after: &LogCursor) -> Result<LogBatch> {
        let after = Position::parse(after)?;
        self.readers().run(move |worker| read(&worker.connection, &after)).await
    }

    fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
        let (Ok(place), Ok(earlier)) = (Position::parse(place), Position::parse(earlier)) else { return false };
        place.timeline == earlier.timeline && place.version >= earlier.version
    }

    async fn append(&self, entries: &[LogEntry]) -> Result<Vec<Version>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let entries = entries.to_vec();
        self.writer()
            .run(move |worker| {
                transaction(worker, Origin::Own, |connection| {
                    let at = microseconds_before_now(Duration::ZERO);
                    let drawn = (draw_versions(connection, entries.len())?..).zip(&entries);
                    drawn
                        .map(|(version, entry)| {
                            write_entry(connection, version, at, &entry.schema, entry.key.as_deref(), kind_name(entry.kind))?;
                            Ok(to_version(version))
                        })
                        .collect()
                })
            })
            .await
    }

    async fn prune(&self, age: Duration) -> Result<u64> {
        let before = microseconds_before_now(age);
        let mut dropped = 0;
        loop {
            // In steps, so that other writes need not wait for a long log.
            let prune = move |worker: &mut Worker| transaction(worker, Origin::Own, |connection| prune(connection, before));
            match self.writer().run(prune).await? {
                0 => return Ok(dropped),
                step => dropped += step,
            }
        }
    }

    /// One lock serves all names: a tier leads all that it asks for, or none. So tiers on one file should ask for the same names.
    async fn lead(&self, names: &[String]) -> Result<Vec<bool>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let leadership = Arc::clone(self.leadership());
        let leads = self.readers().run(move |_| leadership.seek()).await?;
        Ok(vec![leads; names.len()])
    }
}

fn from_sqlite(error: rusqlite::Error) -> Error {
    error::from_sqlite(error, Origin::Own)
}

/// A place in the log of one file. Entries are numbered in the order of their commits, so one number serves.
struct Position {
    timeline: String,
    version: i64,
}

/// Hexadecimal digits of a timeline.
const TIMELINE_LENGTH: usize = 16;

impl Position {
    fn now(connection: &Connection) -> Result<Self> {
        connection
            .prepare_cached("SELECT timeline, version FROM \"_strata_version\"")
            .and_then(|mut statement| statement.query_row([], |row| Ok(Position { timeline: row.get(0)?, version: row.get(1)? })))
            .map_err(from_sqlite)
    }

    fn cursor(&self) -> LogCursor {
        LogCursor::new(format!("{}:{}", self.timeline, self.version))
    }

    fn parse(cursor: &LogCursor) -> Result<Self> {
        let parsed = cursor.as_str().split_once(':').and_then(|(timeline, version)| {
            let is_timeline = timeline.len() == TIMELINE_LENGTH && timeline.bytes().all(|digit| digit.is_ascii_hexdigit());
            let version = version.parse::<i64>().ok().filter(|version| *version >= 0);
            Some(Position { timeline: is_timeline.then(|| timeline.to_owned())?, version: version? })
        });
        parsed.ok_or_else(|| {
            Error::new(ErrorKind::InvalidQuery, "the cursor is not one of a SQLite tier's log; start from the log's end instead")
                .with_tier(Role::Truth)
        })
    }
}

fn read(connection: &Connection, after: &Position) -> Result<LogBatch> {
    snapshot(connection, Origin::Own, || {
        let now = Position::now(connection)?;
        let pruned: i64 = connection
            .prepare_cached("SELECT pruned FROM \"_strata_version\"")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(from_sqlite)?;
        // Another file, or an older copy of this one that was put back, knows nothing of what the follower has seen.
        let is_foreign = after.timeline != now.timeline || after.version > now.version;
        let entries = if is_foreign { Vec::new() } else { entries_after(connection, after.version)? };
        Ok(LogBatch { entries, cursor: now.cursor(), gap: is_foreign || after.version < pruned })
    })
}

fn entries_after(connection: &Connection, version: i64) -> Result<Vec<LogEntry>> {
    let mut statement = connection
        .prepare_cached("SELECT version, schema, key, kind FROM \"_strata_log\" WHERE version > ?1 ORDER BY version")
        .map_err(from_sqlite)?;
    let entries = statement.query_map([version], |row| Ok(to_entry(row.get(0)?, row.get(1)?, row.get(2)?, row.get_ref(3)?.as_str()?)));
    entries.and_then(Iterator::collect).map_err(from_sqlite)
}

/// The most entries that one transaction drops.
const PRUNE_STEP: i64 = 10_000;

/// Drops the oldest entries that were written at `before` or earlier, and returns how many.
fn prune(connection: &Connection, before: i64) -> Result<u64> {
    let oldest = "SELECT max(version) FROM (SELECT version, at FROM \"_strata_log\" ORDER BY version LIMIT ?1) WHERE at <= ?2";
    let last: Option<i64> = connection.query_row(oldest, [PRUNE_STEP, before], |row| row.get(0)).map_err(from_sqlite)?;
    let Some(last) = last else { return Ok(0) };
    let dropped =
        connection.execute("DELETE FROM \"_strata_log\" WHERE version <= ?1 AND at <= ?2", [last, before]).map_err(from_sqlite)?;
    connection.execute("UPDATE \"_strata_version\" SET pruned = max(pruned, ?1)", [last]).map_err(from_sqlite)?;
    Ok(u64::try_from(dropped).unwrap_or(u64::MAX))
}
