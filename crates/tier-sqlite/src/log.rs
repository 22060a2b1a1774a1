//! The log of commits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};
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
///
/// As a cursor: `timeline:version:witness`, the last being what stands in the log for the history that led here, `version@at`, or nothing.
struct Position {
    timeline: String,
    version: i64,
    /// The last entry, and when it was written, in microseconds: an older copy of the file that was put back comes to the same version, but not at that time.
    witness: Option<(i64, i64)>,
}

/// Hexadecimal digits of a timeline.
const TIMELINE_LENGTH: usize = 16;

impl Position {
    fn now(connection: &Connection) -> Result<Self> {
        let (timeline, version) = connection
            .prepare_cached("SELECT timeline, version FROM \"_strata_version\"")
            .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(from_sqlite)?;
        let witness = connection
            .prepare_cached("SELECT version, at FROM \"_strata_log\" ORDER BY version DESC LIMIT 1")
            .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(from_sqlite)?;
        Ok(Position { timeline, version, witness })
    }

    fn cursor(&self) -> LogCursor {
        let witness = self.witness.map(|(version, at)| format!("{version}@{at}")).unwrap_or_default();
        LogCursor::new(format!("{}:{}:{witness}", self.timeline, self.version))
    }

    fn parse(cursor: &LogCursor) -> Result<Self> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let parse = || {
            let mut parts = cursor.as_str().splitn(3, ':');
            let (timeline, version, witness) = (parts.next()?, number(parts.next()?)?, parts.next()?);
            let is_timeline = timeline.len() == TIMELINE_LENGTH && timeline.bytes().all(|digit| digit.is_ascii_hexdigit());
            let witness = match witness.split_once('@') {
                Some((version, at)) => Some((number(version)?, at.parse().ok()?)),
                None if witness.is_empty() => None,
                None => return None,
            };
            is_timeline.then(|| Position { timeline: timeline.to_owned(), version, witness })
        };
        parse().ok_or_else(|| {
            Error::new(ErrorKind::InvalidQuery, "the cursor is not one of a SQLite tier's log; start from the log's end instead")
                .with_tier(Role::Truth)
        })
    }

    /// Whether this is a place of another file, or of a later state than that of a copy which was put back, however far that has come since. `pruned` is the
    /// last entry that was pruned here.
    fn is_foreign(&self, now: &Position, pruned: i64, connection: &Connection) -> Result<bool> {
        if self.timeline != now.timeline || self.version > now.version {
            return Ok(true);
        }
        let Some((version, at)) = self.witness.filter(|(version, _)| *version > pruned) else { return Ok(false) };
        let present: Option<i64> = connection
            .prepare_cached("SELECT at FROM \"_strata_log\" WHERE version = ?1")
            .and_then(|mut statement| statement.query_row([version], |row| row.get(0)).optional())
            .map_err(from_sqlite)?;
        Ok(present != Some(at))
    }
}

fn read(connection: &Connection, after: &Position) -> Result<LogBatch> {
    snapshot(connection, Origin::Own, || {
        let now = Position::now(connection)?;
        let pruned: i64 = connection
            .prepare_cached("SELECT pruned FROM \"_strata_version\"")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(from_sqlite)?;
        let is_foreign = after.is_foreign(&now, pruned, connection)?;
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
