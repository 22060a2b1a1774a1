//! The log of commits.
//!
//! A row holds the number of the transaction that wrote it. A follower's place is a snapshot: what it has not read are the rows whose transactions
//! had not ended in it and are visible now, however transactions overlap. Ordering by a row's own number instead would lose those of transactions
//! that commit late.
//!
//! A row also holds its horizon: all transactions below it had ended when the row was written. So the horizon of a row that is old enough to be pruned
//! is a floor: whoever's place does not see everything below the floor took it before that row was written, longer ago than the age of pruning. Of
//! pruned transactions at or above the floor, each number is kept until the floor passes it. Thus a follower that is behind learns of its gap,
//! and one that is not never hears of one, however long other transactions run.
//!
//! A place ends behind the newest transaction that the log knows of, though the snapshot may know of later ones: nothing of a transaction that was rolled back
//! need be on the server's disk, so that after a crash another one, which commits, may have its number. What the log knows of was committed behind a flush.

use std::sync::Arc;
use std::time::Duration;

use store_core::facet::{LogBatch, LogCursor, LogEntry, LogKind};
use store_core::protection::Protection;
use store_core::{BoundSchema, Error, ErrorKind, Result, Role, Version};
use tokio_postgres::Row as PgRow;

use crate::error::{Attempt, Failure};
use crate::pool::{Lease, Pool};
use crate::snapshot::Place;
use crate::statements::kind;
use crate::write::version;

/// What tells one log from all others: the cluster, the database and the table, none of which has the number of one that was dropped or restored.
///
/// Standbys answer the same as their primary.
macro_rules! identity {
    () => {
        "hashtextextended(concat_ws('/', (SELECT system_identifier FROM pg_control_system()), \
         (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), to_regclass('_strata_log')::OID), 0)"
    };
}
pub(crate) use identity;

/// When a row of the log was written.
macro_rules! microseconds {
    () => {
        "(extract(epoch FROM at) * 1000000)::BIGINT"
    };
}

/// What a place is made of. One statement sees one snapshot: the one that it answers, and the one that its rows are chosen by. The position in the WAL is
/// read after the snapshot was taken, so it is behind the commits of all that the snapshot sees. The last columns are the newest transaction that the log knows of,
/// and the witness.
macro_rules! place_columns {
    () => {
        concat!(
            "pg_current_snapshot()::TEXT, substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), \
             pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::BIGINT, ",
            identity!(),
            ", greatest((SELECT xid FROM _strata_log ORDER BY xid DESC LIMIT 1), \
             (SELECT xid FROM _strata_log_pruned WHERE is_floor ORDER BY xid DESC LIMIT 1), \
             (SELECT xid FROM _strata_log_pruned WHERE NOT is_floor ORDER BY xid DESC LIMIT 1))::TEXT, \
             (SELECT concat(xid, '@', ",
            microseconds!(),
            ") FROM _strata_log ORDER BY xid DESC, id DESC LIMIT 1)"
        )
    };
}

const END: &str = concat!("SELECT ", place_columns!());

const READ: &str = concat!(
    "SELECT ",
    place_columns!(),
    ", EXISTS (SELECT FROM _strata_log_pruned WHERE is_floor AND xid > $1::TEXT::XID8) \
    OR EXISTS (SELECT FROM _strata_log_pruned WHERE NOT is_floor AND xid >= $2::TEXT::XID8) \
    OR EXISTS (SELECT FROM _strata_log_pruned WHERE NOT is_floor AND xid = ANY ($3::TEXT[]::XID8[])), \
    NOT EXISTS (SELECT FROM _strata_log WHERE xid = $4::TEXT::XID8 AND ",
    microseconds!(),
    " = $5::BIGINT) \
    AND NOT EXISTS (SELECT FROM _strata_log_pruned WHERE is_floor AND xid > $4::TEXT::XID8) \
    AND NOT EXISTS (SELECT FROM _strata_log_pruned WHERE NOT is_floor AND xid = $4::TEXT::XID8), \
    NULL::TEXT, NULL::TEXT, NULL::BIGINT, NULL::SMALLINT \
    UNION ALL \
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, schema, key, version, kind FROM _strata_log WHERE xid >= $2::TEXT::XID8 \
    UNION ALL \
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, schema, key, version, kind FROM _strata_log WHERE xid = ANY ($3::TEXT[]::XID8[])"
);

/// The versions are drawn once and answered in the order of the entries.
const APPEND: &str = "WITH drawn AS MATERIALIZED (SELECT e.*, nextval('_strata_version') AS version \
    FROM unnest($1::TEXT[], $2::TEXT[], $3::SMALLINT[]) WITH ORDINALITY AS e (schema, key, kind, n)), \
    written AS (INSERT INTO _strata_log (schema, key, version, kind) SELECT schema, key, version, kind FROM drawn) \
    SELECT version FROM drawn ORDER BY n";

const PRUNE: &str = "WITH old AS (SELECT xid, id FROM _strata_log WHERE at <= statement_timestamp() - make_interval(secs => $1::FLOAT8) LIMIT $2::BIGINT), \
    gone AS (DELETE FROM _strata_log AS l USING old WHERE l.xid = old.xid AND l.id = old.id RETURNING l.xid), \
    floor AS (SELECT horizon FROM _strata_log WHERE at <= statement_timestamp() - make_interval(secs => $1::FLOAT8) ORDER BY at DESC LIMIT 1), \
    passed AS (DELETE FROM _strata_log_pruned AS p USING floor WHERE p.xid < floor.horizon), \
    raised AS (INSERT INTO _strata_log_pruned (is_floor, xid) SELECT TRUE, horizon FROM floor ON CONFLICT DO NOTHING), \
    kept AS (INSERT INTO _strata_log_pruned (is_floor, xid) SELECT DISTINCT FALSE, xid FROM gone, floor WHERE xid >= horizon ON CONFLICT DO NOTHING) \
    SELECT count(*) FROM gone";

/// The most rows that one statement prunes, so that a long backlog is worked off within the limit of a statement.
const PRUNED_AT_ONCE: i64 = 50_000;

pub(crate) async fn end(pool: &Pool) -> Result<LogCursor> {
    let rows = pool.read(END, &[], Attempt::Log).await?;
    rows.first()
        .ok_or_else(|| unreadable().into())
        .and_then(|row| Ok::<_, Failure>(place(row)?.known_to_last(logged(row)?).to_cursor()))
        .map_err(|failure| failure.into_error(Attempt::Log))
}

pub(crate) async fn read(pool: &Pool, after: &LogCursor) -> Result<LogBatch> {
    let before = Place::parse(after)?;
    let (begin, end) = (before.snapshot.begin().to_string(), before.snapshot.end().to_string());
    let running = if Protection::Cursor.is_off() { &[] } else { before.snapshot.running() };
    let running: Vec<String> = running.iter().map(u64::to_string).collect();
    let witness = before.witness.map(|witness| (witness.transaction.to_string(), witness.at)).unzip();
    let rows = pool.read(READ, &[&begin, &end, &running, &witness.0, &witness.1], Attempt::Log).await?;
    batch(&before, &rows).map_err(|failure| failure.into_error(Attempt::Log))
}

fn batch(before: &Place, rows: &[PgRow]) -> Result<LogBatch, Failure> {
    let mut now = None;
    let (mut is_pruned, mut is_replaced) = (false, false);
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<_, Option<&str>>(0)?.is_some() {
            now = Some((place(row)?, logged(row)?));
            is_pruned = row.try_get(6)?;
            is_replaced = before.witness.is_some() && row.try_get(7)?;
        } else {
            entries.push(entry(row)?);
        }
    }
    let (now, logged) = now.ok_or_else(unreadable)?;
    let is_foreign = is_replaced || before.is_foreign_to(&now);
    let logged = if is_foreign { logged } else { logged.max(before.snapshot.end().saturating_sub(1)) };
    Ok(LogBatch { entries, gap: is_pruned || is_foreign, cursor: now.known_to_last(logged).to_cursor() })
}

/// Whether a follower at `place` has read all that one at `earlier` had.
pub(crate) fn covers(place: &LogCursor, earlier: &LogCursor) -> bool {
    match (Place::parse(place), Place::parse(earlier)) {
        (Ok(place), Ok(earlier)) => place.covers(&earlier),
        _ => false,
    }
}

pub(crate) async fn append(pool: &Pool, entries: &[LogEntry]) -> Result<Vec<Version>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let schemas: Vec<&str> = entries.iter().map(|entry| entry.schema.as_str()).collect();
    let keys: Vec<Option<&str>> = entries.iter().map(|entry| entry.key.as_deref()).collect();
    let kinds = entries.iter().map(|entry| number_of(entry.kind)).collect::<Result<Vec<i16>>>()?;
    let rows = pool.write(APPEND, &[&schemas, &keys, &kinds], Attempt::Log).await?;
    rows.iter().map(|row| version(row, 0)).collect::<Result<_, _>>().map_err(|failure| failure.into_error(Attempt::Log))
}

/// Has every instance drop its copies of schemas, within a transaction that writes.
pub(crate) async fn void(lease: &Lease, schemas: &[Arc<BoundSchema>]) -> Result<(), Failure> {
    let names: Vec<&str> = schemas.iter().map(|schema| schema.name()).collect();
    let (keys, kinds) = (vec![None::<&str>; names.len()], vec![kind::INVALIDATE; names.len()]);
    if !names.is_empty() {
        lease.query(APPEND, &[&names, &keys, &kinds]).await?;
    }
    Ok(())
}

pub(crate) async fn prune(pool: &Pool, age: Duration) -> Result<u64> {
    let seconds = age.as_secs_f64().min(1e9);
    let mut pruned = 0;
    loop {
        let rows = pool.write(PRUNE, &[&seconds, &PRUNED_AT_ONCE], Attempt::Log).await?;
        let count: i64 = match rows.first() {
            Some(row) => row.try_get(0).map_err(|error| Failure::from(error).into_error(Attempt::Log))?,
            None => 0,
        };
        pruned += count.unsigned_abs();
        if count < PRUNED_AT_ONCE {
            return Ok(pruned);
        }
    }
}

fn place(row: &PgRow) -> Result<Place, Failure> {
    let (snapshot, timeline): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
    let (lsn, log): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
    let timeline = u32::from_str_radix(timeline, 16).map_err(|_| unreadable())?;
    let snapshot = snapshot.parse().map_err(|_| unreadable())?;
    let witness = row.try_get::<_, Option<&str>>(5)?.map(|witness| witness.parse().map_err(|_| unreadable())).transpose()?;
    Ok(Place { log: log.cast_unsigned(), timeline, lsn: lsn.unsigned_abs(), witness, snapshot })
}

/// The newest transaction that the log knows of; 0 if it knows of none.
fn logged(row: &PgRow) -> Result<u64, Failure> {
    let logged: Option<&str> = row.try_get(4)?;
    logged.map_or(Ok(0), |transaction| transaction.parse().map_err(|_| unreadable().into()))
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Internal, "PostgreSQL answered a place in the log that cannot be read").with_tier(Role::Truth)
}

fn entry(row: &PgRow) -> Result<LogEntry, Failure> {
    let (kind, key, columns) = match (row.try_get::<_, i16>(11)?, row.try_get(9)?) {
        (kind::PUT, key) => (LogKind::Put, key, None),
        (kind::PUT_COLUMNS, Some(text)) => {
            let (key, columns) = LogEntry::split_columns(text);
            (LogKind::Put, Some(key), columns)
        }
        (kind::DELETE, key) => (LogKind::Delete, key, None),
        (kind::INVALIDATE, key) => (LogKind::Invalidate, key, None),
        (kind::INVALIDATE_TAG, Some(tag)) => (LogKind::InvalidateTag, Some(tag), None),
        // What a later version may write: its key may name anything, and to drop every copy is right whatever happened.
        _ => (LogKind::Invalidate, None, None),
    };
    Ok(LogEntry { schema: row.try_get(8)?, key, version: version(row, 10)?, kind, columns })
}

fn number_of(kind: LogKind) -> Result<i16> {
    match kind {
        LogKind::Put => Ok(kind::PUT),
        LogKind::Delete => Ok(kind::DELETE),
        LogKind::Invalidate => Ok(kind::INVALIDATE),
        LogKind::InvalidateTag => Ok(kind::INVALIDATE_TAG),
        _ => Err(Error::new(ErrorKind::Internal, "the log of PostgreSQL has no form for this kind of entry").with_tier(Role::Truth)),
    }
}
