//! Transactions: snapshots for reads; and for writes the versions that they draw and the rows of the log that they leave.
//!
//! SQLite has one writer at a time, in all processes, so a counter in the file serves: each entry of the log draws the next number, which is its
//! version and its place in the log at once.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, params};
use store_core::facet::{LogEntry, LogKind};
use store_core::{Error, Result, Version};

use crate::asker::Asker;
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
    CREATE TABLE IF NOT EXISTS \"_strata_journals\" (
        journal_id TEXT NOT NULL PRIMARY KEY,
        applied_seq INTEGER NOT NULL,
        applied_checksum INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS \"_strata_dead_letters\" (
        journal_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        schema TEXT NOT NULL,
        key TEXT NOT NULL,
        entry BLOB NOT NULL,
        error TEXT NOT NULL,
        failed_at INTEGER NOT NULL,
        PRIMARY KEY (journal_id, seq)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS \"_strata_migrations\" (
        id INTEGER PRIMARY KEY,
        schema TEXT,
        file TEXT UNIQUE,
        what TEXT NOT NULL,
        checksum TEXT,
        applied_at INTEGER NOT NULL,
        took INTEGER NOT NULL,
        statement INTEGER,
        statement_text TEXT,
        error TEXT,
        blocks INTEGER NOT NULL,
        done TEXT
    ) STRICT;
";

/// That of migrations, which a store that makes no tables does without.
pub(crate) const MIGRATIONS: &str = "_strata_migrations";

/// The names of the others.
pub(crate) const OWN_NAMES: [&str; 4] = ["_strata_version", "_strata_log", "_strata_journals", "_strata_dead_letters"];

/// The layout of Strata's own tables that this build reads and writes.
pub(crate) const FORMAT: i64 = 1;

/// The pauses between two attempts to get the lock that another process has.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// Runs a write as one transaction: all of it or nothing. If nobody waits for it any more by the time that it has the lock on the file, it does nothing.
pub(crate) fn transaction<T>(worker: &Worker, origin: Origin<'_>, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    transaction_explained(worker, origin, write, |_, _, error| error)
}

/// As [`transaction`]. `explain` is asked for the error of a commit that SQLite refuses, while there is still to be seen what it would have committed.
pub(crate) fn transaction_explained<T>(
    worker: &Worker,
    origin: Origin<'_>,
    write: impl FnOnce(&Connection) -> Result<T>,
    explain: impl FnOnce(&Connection, &T, Error) -> Error,
) -> Result<T> {
    let connection = &worker.connection;
    let run = |sql: &str| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(|error| error::from_sqlite(error, origin))
    };
    begin(worker, origin)?;
    let commit = |value| {
        // A commit to a file that lost its name would be acknowledged and lost with the file.
        worker.file.check()?;
        match run("COMMIT") {
            Ok(_) => Ok(value),
            Err(error) => Err(explain(connection, &value, error)),
        }
    };
    let result = write(connection).and_then(commit);
    // SQLite itself takes a transaction back after some errors. The error that began it is the one to tell.
    if result.is_err() && !connection.is_autocommit() {
        let _ = run("ROLLBACK");
    }
    result
}

/// Waits for the lock on the file, and gets it.
pub(crate) fn begin(worker: &Worker, origin: Origin<'_>) -> Result<()> {
    let is_wanted = || worker.asker.as_ref().is_none_or(Asker::waits);
    let connection = &worker.connection;
    let from_sqlite = |error| error::from_sqlite(error, origin);
    // SQLite itself would wait to the end, wanted or not.
    connection.busy_timeout(Duration::ZERO).map_err(from_sqlite)?;
    let mut pause = FIRST_PAUSE;
    let begun = loop {
        let begun = connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        if !begun.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)) {
            worker.locked_out_since.set(None);
            break begun.map(|_| ()).map_err(from_sqlite);
        }
        let now = Instant::now();
        // All that wait for one lock wait at once: each from when it was handed over. Earlier writes of this process's own take nothing off its time.
        let locked_out_since = worker.locked_out_since.get().unwrap_or(now);
        worker.locked_out_since.set(Some(locked_out_since));
        let waits_since = worker.asker.as_ref().map_or(locked_out_since, |asker| asker.since().max(locked_out_since));
        if !is_wanted() {
            break Err(error::unwanted());
        }
        let left = worker.busy_timeout().saturating_sub(now.duration_since(waits_since));
        if left.is_zero() {
            break begun.map(|_| ()).map_err(from_sqlite);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    connection.busy_timeout(worker.busy_timeout()).map_err(from_sqlite)?;
    begun?;
    if is_wanted() {
        return Ok(());
    }
    connection.execute_batch("ROLLBACK").map_err(from_sqlite)?;
    Err(error::unwanted())
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
pub(crate) fn write_entry(connection: &Connection, version: i64, at: i64, schema: &str, key: Option<&str>, kind: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO \"_strata_log\" (version, at, schema, key, kind) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute(params![version, at, schema, key, kind]))
        .map_err(|error| error::from_sqlite(error, Origin::Own))?;
    Ok(())
}

/// The kind of a put whose key is followed by the columns that it set.
pub(crate) const PUT_COLUMNS: &str = "put_columns";

pub(crate) fn kind_name(kind: LogKind) -> &'static str {
    match kind {
        LogKind::Put => "put",
        LogKind::Delete => "delete",
        LogKind::InvalidateTag => "invalidate_tag",
        // The kinds that do not come from data say no more to a follower than that a copy is to be dropped.
        _ => "invalidate",
    }
}

/// An entry as it is stored, by its kind's name. Of one that a later version may write, the key may name anything: the whole schema is meant.
pub(crate) fn to_entry(version: i64, schema: String, key: Option<String>, kind: &str) -> LogEntry {
    let (kind, key, columns) = match (kind, key) {
        ("put", key) => (LogKind::Put, key, None),
        (PUT_COLUMNS, Some(text)) => {
            let (key, columns) = LogEntry::split_columns(text);
            (LogKind::Put, Some(key), columns)
        }
        ("delete", key) => (LogKind::Delete, key, None),
        ("invalidate", key) => (LogKind::Invalidate, key, None),
        ("invalidate_tag", Some(tag)) => (LogKind::InvalidateTag, Some(tag), None),
        _ => (LogKind::Invalidate, None, None),
    };
    LogEntry { schema, key, version: to_version(version), kind, columns }
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
    use std::sync::Arc;

    use store_core::facet::Log;
    use store_core::{ErrorKind, Tier};

    use super::*;
    use crate::config::SqliteConfig;
    use crate::tier::SqliteTier;

    #[tokio::test]
    async fn a_file_that_loses_its_name_during_a_write_takes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (path, aside) = (directory.path().join("app.db"), directory.path().join("aside.db"));
        let tier = SqliteTier::open(&path).await.unwrap();
        store_core::facet::Migrations::migrate(&tier, &[], &Default::default()).await.unwrap();
        let entry = LogEntry { schema: "note".into(), key: None, version: Version::default(), kind: LogKind::Invalidate, columns: None };
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

    /// A tier whose file another process has locked.
    async fn locked(directory: &tempfile::TempDir, busy_timeout: Duration) -> (Arc<SqliteTier>, Connection) {
        let path = directory.path().join("app.db");
        let tier = SqliteTier::open(SqliteConfig::new(&path).with_busy_timeout(busy_timeout)).await.unwrap();
        store_core::facet::Migrations::migrate(&tier, &[], &Default::default()).await.unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        (Arc::new(tier), other)
    }

    #[tokio::test]
    async fn a_write_that_was_given_up_while_another_process_had_the_lock_is_not_carried_out() {
        let directory = tempfile::tempdir().unwrap();
        let (tier, other) = locked(&directory, Duration::from_secs(600)).await;
        let (begins, begun) = tokio::sync::oneshot::channel();
        let write = tier.writer().run(move |worker| {
            begins.send(()).unwrap();
            transaction(worker, Origin::Own, |connection| draw_versions(connection, 1))
        });
        let mut write = Box::pin(write);
        tokio::select! {
            _ = &mut write => unreachable!("the file is locked"),
            begun = begun => begun.unwrap(),
        }
        drop(write);
        // It gave the lock's wait up, rather than keep the writer for ten minutes.
        tier.writer().run(|_| Ok(())).await.unwrap();
        other.execute_batch("ROLLBACK").unwrap();
        let version =
            |connection: &Connection| connection.query_row("SELECT version FROM \"_strata_version\"", [], |row| row.get::<_, i64>(0));
        assert_eq!(version(&other).unwrap(), 0);
        tier.close().await.unwrap();
    }

    #[tokio::test]
    async fn writes_behind_one_lock_wait_for_it_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let patience = Duration::from_secs(1);
        let (tier, _other) = locked(&directory, patience).await;
        let began = Instant::now();
        let write = || tier.writer().run(|worker| transaction(worker, Origin::Own, |connection| draw_versions(connection, 1)));
        for answer in futures_util::future::join_all((0..8).map(|_| write())).await {
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
        }
        assert!(began.elapsed() >= patience && began.elapsed() < patience * 4, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_write_behind_a_long_one_of_its_own_process_keeps_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let patience = Duration::from_millis(300);
        let (tier, other) = locked(&directory, patience).await;
        other.execute_batch("ROLLBACK").unwrap();
        let (locks, locked) = std::sync::mpsc::channel();
        let long = tier.writer().run(move |worker| {
            transaction(worker, Origin::Own, |_| {
                thread::sleep(patience * 2);
                Ok(())
            })?;
            // The next one finds the lock taken, though its own process took longer than it may wait.
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            thread::spawn(move || {
                thread::sleep(patience / 3);
                drop(other);
                locks.send(()).unwrap();
            });
            Ok(())
        });
        let next = tier.writer().run(|worker| transaction(worker, Origin::Own, |connection| draw_versions(connection, 1)));
        let (long, next) = tokio::join!(long, next);
        long.unwrap();
        assert_eq!(next.unwrap(), 1);
        locked.recv().unwrap();
    }
}
