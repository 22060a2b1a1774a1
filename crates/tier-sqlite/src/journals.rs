//! How far journals were applied, and what was refused of them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use store_core::facet::{AppliedPlace, DeadLetter, Journals};
use store_core::{Error, ErrorKind, Result, Role, Timestamp};

use crate::commit::transaction;
use crate::error::{self, Origin};
use crate::tier::SqliteTier;

#[async_trait]
impl Journals for SqliteTier {
    async fn applied(&self, journal: &str) -> Result<Option<AppliedPlace>> {
        let journal = journal.to_owned();
        self.readers().run(move |worker| applied(&worker.connection, &journal)).await
    }

    async fn dead_letters(&self, schema: Option<&str>, after: Option<(&str, u64)>, limit: u64) -> Result<Vec<DeadLetter>> {
        let schema = schema.map(str::to_owned);
        let after = after.map(|(journal, sequence)| (journal.to_owned(), saturated(sequence)));
        self.readers().run(move |worker| letters(&worker.connection, schema.as_deref(), after, saturated(limit))).await
    }

    async fn remove_dead_letter(&self, journal: &str, sequence: u64) -> Result<bool> {
        let (journal, sequence) = (journal.to_owned(), number(sequence)?);
        let remove = move |connection: &Connection| remove_letter(connection, &journal, sequence);
        self.writer().run(move |worker| transaction(worker, Origin::Own, remove)).await
    }
}

fn from_sqlite(error: rusqlite::Error) -> Error {
    error::from_sqlite(error, Origin::Own)
}

/// A place in a journal as it is stored.
pub(crate) fn number(sequence: u64) -> Result<i64> {
    i64::try_from(sequence).map_err(|_| {
        let message = format!("{sequence} is no place in a journal: those end at {}", i64::MAX);
        Error::new(ErrorKind::InvalidValue, message).with_tier(Role::Truth)
    })
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn applied(connection: &Connection, journal: &str) -> Result<Option<AppliedPlace>> {
    let place = |row: &rusqlite::Row<'_>| {
        let checksum = row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned);
        Ok(AppliedPlace { sequence: row.get::<_, i64>(0)?.unsigned_abs(), checksum })
    };
    connection
        .prepare_cached("SELECT applied_seq, applied_checksum FROM \"_strata_journals\" WHERE journal_id = ?1")
        .and_then(|mut statement| statement.query_row([journal], place).optional())
        .map_err(from_sqlite)
}

/// Notes how far a journal was applied, within a transaction that is open, unless it is noted to be applied further than `from`.
pub(crate) fn advance(connection: &Connection, journal: &str, from: u64, (sequence, checksum): (i64, Option<u64>)) -> Result<bool> {
    connection
        .prepare_cached(
            "INSERT INTO \"_strata_journals\" (journal_id, applied_seq, applied_checksum) VALUES (?1, ?2, ?3) \
             ON CONFLICT (journal_id) DO UPDATE SET applied_seq = excluded.applied_seq, applied_checksum = excluded.applied_checksum \
             WHERE applied_seq <= min(?4, excluded.applied_seq)",
        )
        .and_then(|mut statement| statement.execute(params![journal, sequence, checksum.map(u64::cast_signed), saturated(from)]))
        .map(|noted| noted > 0)
        .map_err(from_sqlite)
}

fn letters(connection: &Connection, schema: Option<&str>, after: Option<(String, i64)>, limit: i64) -> Result<Vec<DeadLetter>> {
    let (journal, sequence) = after.unzip();
    let mut statement = connection
        .prepare_cached(
            "SELECT journal_id, seq, schema, key, entry, error, failed_at FROM \"_strata_dead_letters\" \
             WHERE (?1 IS NULL OR schema = ?1) AND (?2 IS NULL OR (journal_id, seq) > (?2, ?3)) ORDER BY journal_id, seq LIMIT ?4",
        )
        .map_err(from_sqlite)?;
    let mut rows = statement.query(params![schema, journal, sequence, limit]).map_err(from_sqlite)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        letters.push(letter(row)?);
    }
    Ok(letters)
}

fn letter(row: &rusqlite::Row<'_>) -> Result<DeadLetter> {
    Ok(DeadLetter {
        journal: row.get(0).map_err(from_sqlite)?,
        sequence: row.get::<_, i64>(1).map_err(from_sqlite)?.unsigned_abs(),
        schema: row.get(2).map_err(from_sqlite)?,
        key: row.get(3).map_err(from_sqlite)?,
        entry: row.get(4).map_err(from_sqlite)?,
        error: row.get(5).map_err(from_sqlite)?,
        failed_at: Timestamp::from_microseconds(row.get(6).map_err(from_sqlite)?)?,
    })
}

/// Keeps a letter, within a transaction that is open.
pub(crate) fn put_letter(connection: &Connection, sequence: i64, letter: &DeadLetter) -> Result<()> {
    let DeadLetter { journal, sequence: _, schema, key, entry, error, failed_at } = letter;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO \"_strata_dead_letters\" (journal_id, seq, schema, key, entry, error, failed_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| statement.execute(params![journal, sequence, schema, key, entry, error, failed_at.as_microseconds()]))
        .map(drop)
        .map_err(from_sqlite)
}

/// Removes a letter, within a transaction that is open.
pub(crate) fn remove_letter(connection: &Connection, journal: &str, sequence: i64) -> Result<bool> {
    connection
        .prepare_cached("DELETE FROM \"_strata_dead_letters\" WHERE journal_id = ?1 AND seq = ?2")
        .and_then(|mut statement| statement.execute(params![journal, sequence]))
        .map(|removed| removed > 0)
        .map_err(from_sqlite)
}
