//! Writing a row if what is there is what the writer expects.
//!
//! The condition is looked at with the row's lock held: an update that waited for another writer looks again, and an insert waits for whoever is inserting
//! the key.

use futures_util::future::{join3, join4};
use store_core::facet::Condition;
use store_core::{BoundSchema, Result, Row, StoredRow};
use tokio_postgres::Statement;

use crate::error::{Attempt, Failure};
use crate::pool::{ATTEMPTS, Lease, Pool, within};
use crate::read::stored_row;
use crate::statements::{PutIf, Statements};
use crate::value::Param;
use crate::write::{ATTEMPTS_AFTER_DEADLOCK, Batch, Params, suppressed, unset, version};

/// Writes a row in one round trip if the condition holds.
pub(crate) async fn put_if(
    pool: &Pool,
    statements: &Statements,
    schema: &BoundSchema,
    row: &Row<'_>,
    condition: Condition,
) -> Result<Option<StoredRow>> {
    let batch = Batch::check(schema, std::slice::from_ref(row))?;
    let sql = statements.of(schema).put_if(schema, &unset(row), condition);
    let work = Work { pool, schema, sql: &sql, row, text: &batch.texts[0], condition };
    let mut begun = 0;
    loop {
        begun += 1;
        match work.run().await? {
            Err(failure) if begun < attempts(&failure) => {}
            Err(failure) if failure.unique_detail().is_some() => {
                return Err(failure.into_error(Attempt::Table(schema)).with_key(work.text.as_str()));
            }
            outcome => return outcome.map_err(|failure| failure.into_error(Attempt::Table(schema))),
        }
    }
}

/// How often the work is begun in all. Another writer that inserts the same key at the same moment makes PostgreSQL see a conflict in whichever unique index
/// it meets first; once it is done, the key's own is met.
fn attempts(failure: &Failure) -> usize {
    match failure.code() {
        Some("23505") => ATTEMPTS,
        _ if failure.is_rolled_back() => ATTEMPTS_AFTER_DEADLOCK,
        _ => 1,
    }
}

struct Work<'a> {
    pool: &'a Pool,
    schema: &'a BoundSchema,
    sql: &'a PutIf,
    row: &'a Row<'a>,
    text: &'a String,
    condition: Condition,
}

impl Work<'_> {
    async fn run(&self) -> Result<Result<Option<StoredRow>, Failure>> {
        let mut texts = vec![self.sql.write.as_str()];
        texts.extend(self.sql.stamp.as_deref());
        let (lease, statements) = self.pool.lease_to_write(&texts, Attempt::Table(self.schema)).await?;
        let limit = self.pool.limits().statement;
        let outcome = match statements.as_slice() {
            [write, stamp] => within(limit, self.insert(&lease, write, stamp)).await,
            [write, ..] => within(limit, self.update(&lease, write)).await,
            [] => Ok(None),
        };
        Ok(lease.settle(outcome))
    }

    async fn insert(&self, lease: &Lease, write: &Statement, stamp: &Statement) -> Result<Option<StoredRow>, Failure> {
        let values = self.params(&self.sql.params);
        let keys = self.params(self.schema.definition().key_positions());
        let name = self.schema.name();
        let values: Params<'_> = values.iter().map(|value| value as _).collect();
        let mut stamps: Params<'_> = keys.iter().map(|key| key as _).collect();
        stamps.push(&name);
        stamps.push(self.text);
        // All are sent before the first answer is awaited. If one fails, so do those behind it, and the commit rolls back.
        let (begun, written, stamped, committed) = join4(
            lease.batch_execute(self.pool.begin()),
            lease.query(write, &values),
            lease.query(stamp, &stamps),
            lease.batch_execute("COMMIT"),
        )
        .await;
        begun?;
        let (written, stamped) = (written?, stamped?);
        committed?;
        match (written.as_slice(), stamped.as_slice()) {
            ([], _) => Ok(None),
            ([written], [stamped]) => {
                let stored = stored_row(self.schema, written, 0)?;
                Ok(Some(StoredRow { version: version(stamped, 0)?, ..stored }))
            }
            _ => Err(suppressed().into()),
        }
    }

    async fn update(&self, lease: &Lease, write: &Statement) -> Result<Option<StoredRow>, Failure> {
        let values = self.params(&self.sql.params);
        let name = self.schema.name();
        let expected = match self.condition {
            Condition::Version(version) => Some(i64::try_from(version.get()).unwrap_or(-1)),
            Condition::Absent | Condition::Present => None,
        };
        let mut params: Params<'_> = values.iter().map(|value| value as _).collect();
        if let Some(expected) = &expected {
            params.push(expected);
        }
        params.push(&name);
        params.push(self.text);
        let (begun, written, committed) =
            join3(lease.batch_execute(self.pool.begin()), lease.query(write, &params), lease.batch_execute("COMMIT")).await;
        begun?;
        let written = written?;
        committed?;
        written.first().map(|row| stored_row(self.schema, row, 0)).transpose()
    }

    fn params(&self, positions: &[usize]) -> Vec<Param<'_>> {
        positions.iter().enumerate().map(|(index, &position)| Param::new(&self.row[position], index + 1)).collect()
    }
}
