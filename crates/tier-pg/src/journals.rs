//! How far journals were applied, and what was refused of them.

use async_trait::async_trait;
use store_core::facet::{AppliedPlace, DeadLetter, Journals};
use store_core::{Error, ErrorKind, Result, Role, Value};
use tokio_postgres::Row as PgRow;

use crate::error::{Attempt, Failure};
use crate::pool::within;
use crate::scope::Scope;
use crate::tier::PgTier;
use crate::value::{Cell, Param};
use crate::write::Params;

const APPLIED: &str = "SELECT applied_seq, applied_checksum FROM _strata_journals WHERE journal_id = $1::TEXT";

const ADVANCE: &str = "INSERT INTO _strata_journals AS j (journal_id, applied_seq, applied_checksum) VALUES ($1::TEXT, $2::BIGINT, $3::BIGINT) \
    ON CONFLICT (journal_id) DO UPDATE SET applied_seq = EXCLUDED.applied_seq, applied_checksum = EXCLUDED.applied_checksum \
    WHERE j.applied_seq <= least($4::BIGINT, EXCLUDED.applied_seq)";

const LETTERS: &str = "SELECT journal_id, seq, schema, key, entry, error, failed_at FROM _strata_dead_letters \
    WHERE ($1::TEXT IS NULL OR schema = $1::TEXT) AND ($2::TEXT IS NULL OR (journal_id, seq) > ($2::TEXT, $3::BIGINT)) \
    ORDER BY journal_id, seq LIMIT $4::BIGINT";

const PUT_LETTER: &str = "INSERT INTO _strata_dead_letters (journal_id, seq, schema, key, entry, error, failed_at) \
    VALUES ($1::TEXT, $2::BIGINT, $3::TEXT, $4::TEXT, $5::BYTEA, $6::TEXT, $7::TIMESTAMPTZ) ON CONFLICT (journal_id, seq) DO UPDATE \
    SET schema = EXCLUDED.schema, key = EXCLUDED.key, entry = EXCLUDED.entry, error = EXCLUDED.error, failed_at = EXCLUDED.failed_at";

const REMOVE_LETTER: &str = "DELETE FROM _strata_dead_letters WHERE journal_id = $1::TEXT AND seq = $2::BIGINT RETURNING seq";

/// A statement with its values.
pub(crate) struct Write {
    text: &'static str,
    values: Vec<Value<'static>>,
}

impl Write {
    pub(crate) fn advance(journal: &str, from: u64, to: AppliedPlace) -> Result<Self> {
        let checksum = to.checksum.map_or(Value::Null, |checksum| Value::Integer(checksum.cast_signed()));
        Ok(Write { text: ADVANCE, values: vec![text(journal), number(to.sequence)?, checksum, number(from)?] })
    }

    pub(crate) fn put_letter(letter: &DeadLetter) -> Result<Self> {
        let DeadLetter { journal, sequence, schema, key, entry, error, failed_at } = letter;
        let entry = Value::Bytes(entry.clone().into());
        let values = vec![text(journal), number(*sequence)?, text(schema), text(key), entry, text(error), Value::Time(*failed_at)];
        Ok(Write { text: PUT_LETTER, values })
    }

    pub(crate) fn remove_letter(journal: &str, sequence: u64) -> Result<Self> {
        Ok(Write { text: REMOVE_LETTER, values: vec![text(journal), number(sequence)?] })
    }

    /// Answers whether it touched a row.
    pub(crate) async fn run(&self, scope: Scope<'_>) -> Result<bool, Failure> {
        let params = Param::all(&self.values);
        let params: Params<'_> = params.iter().map(|param| param as _).collect();
        within(scope.limit, async {
            let prepared = scope.lease.prepare(&[self.text]).await?;
            Ok(scope.lease.execute(&prepared[0], &params).await? > 0)
        })
        .await
    }
}

/// PostgreSQL's text cannot hold the character NUL, and what is told of a letter must not keep it from being written.
fn text(text: &str) -> Value<'static> {
    Value::Text(text.replace('\0', "\u{fffd}").into())
}

fn number(sequence: u64) -> Result<Value<'static>> {
    match i64::try_from(sequence) {
        Ok(number) => Ok(Value::Integer(number)),
        Err(_) => {
            let message = format!("{sequence} is no place in a journal: those end at {}", i64::MAX);
            Err(Error::new(ErrorKind::InvalidValue, message).with_tier(Role::Truth))
        }
    }
}

#[async_trait]
impl Journals for PgTier {
    async fn applied(&self, journal: &str) -> Result<Option<AppliedPlace>> {
        let rows = self.primary().read(APPLIED, &[&Param::new(&text(journal), 1)], Attempt::Log).await?;
        rows.first().map(place).transpose().map_err(|failure| failure.into_error(Attempt::Log))
    }

    async fn dead_letters(&self, schema: Option<&str>, after: Option<(&str, u64)>, limit: u64) -> Result<Vec<DeadLetter>> {
        let (journal, place) = match after {
            Some((journal, sequence)) => (text(journal), Value::Integer(i64::try_from(sequence).unwrap_or(i64::MAX))),
            None => (Value::Null, Value::Null),
        };
        let values = [schema.map_or(Value::Null, text), journal, place, Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX))];
        let params = Param::all(&values);
        let params: Params<'_> = params.iter().map(|param| param as _).collect();
        let rows = self.primary().read(LETTERS, &params, Attempt::Log).await?;
        rows.iter().map(letter).collect::<Result<_, _>>().map_err(|failure| failure.into_error(Attempt::Log))
    }

    async fn remove_dead_letter(&self, journal: &str, sequence: u64) -> Result<bool> {
        let write = Write::remove_letter(journal, sequence)?;
        let params = Param::all(&write.values);
        let params: Params<'_> = params.iter().map(|param| param as _).collect();
        Ok(!self.primary().write(write.text, &params, Attempt::Log).await?.is_empty())
    }
}

fn place(row: &PgRow) -> Result<AppliedPlace, Failure> {
    let checksum = row.try_get::<_, Option<i64>>(1)?.map(i64::cast_unsigned);
    Ok(AppliedPlace { sequence: sequence(row, 0)?, checksum })
}

fn sequence(row: &PgRow, column: usize) -> Result<u64, Failure> {
    Ok(row.try_get::<_, i64>(column)?.unsigned_abs())
}

fn letter(row: &PgRow) -> Result<DeadLetter, Failure> {
    let Value::Time(failed_at) = row.try_get::<_, Cell>(6)?.0 else {
        return Err(Error::new(
            ErrorKind::DecodeFailed,
            "a dead letter has no time; compare `_strata_dead_letters` with that of another database",
        )
        .into());
    };
    Ok(DeadLetter {
        journal: row.try_get(0)?,
        sequence: sequence(row, 1)?,
        schema: row.try_get(2)?,
        key: row.try_get(3)?,
        entry: row.try_get(4)?,
        error: row.try_get(5)?,
        failed_at,
    })
}
