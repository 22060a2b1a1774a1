//! Running SQL files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::sql::Dialect;
use store_core::{
    BoundSchema, DirtyMark, Error, ErrorKind, MigrationFile, MigrationRecord, MigrationReport, MigrationSettings, PendingFile, Resolution,
    Result, Role,
};

use crate::config::Extras;
use crate::error::{Attempt, Failure};
use crate::log::void;
use crate::pool::{Lease, Pool, begin, milliseconds, within};
use crate::records;
use crate::steps::{self, Patience, gives_way};
use crate::survey::Wanted;
use crate::turn::Turn;
use crate::write::end;

/// As much of a statement as a mark and a message hold.
const LONGEST_TEXT: usize = 1_000;

/// Who runs files, and for whom.
struct Runner<'a> {
    pool: &'a Pool,
    turn: &'a Turn,
    schemas: &'a [Arc<BoundSchema>],
    settings: &'a MigrationSettings,
    /// Where Strata's own tables are found, whatever a file sets.
    search_path: String,
}

/// Runs the files that were not run yet.
pub(crate) async fn run(
    pool: &Pool,
    files: &[MigrationFile],
    schemas: &[Arc<BoundSchema>],
    settings: &MigrationSettings,
) -> Result<MigrationReport> {
    let turn = Turn::take(pool, settings).await?;
    let outcome = run_pending(pool, &turn, files, schemas, settings).await;
    turn.give_back(pool, outcome).await
}

async fn run_pending(
    pool: &Pool,
    turn: &Turn,
    files: &[MigrationFile],
    schemas: &[Arc<BoundSchema>],
    settings: &MigrationSettings,
) -> Result<MigrationReport> {
    let records = within(pool.limits().statement, records::all(&turn.lease)).await.map_err(of_log)?;
    let pending = MigrationFile::pending(files, &records, Dialect::Postgres).map_err(|error| error.with_tier(Role::Truth))?;
    let mut report = MigrationReport::default();
    if pending.is_empty() {
        return Ok(report);
    }
    // Strata's own tables alone: the files may be what makes the others fit.
    let own = Wanted { schemas: &[], extras: &Extras::default(), large_table: settings.large_table, only_partitions: false };
    steps::run(pool, turn, own, settings).await?;
    let search_path = within(pool.limits().statement, async {
        Ok(turn.lease.query_one("SELECT current_setting('search_path')", &[]).await?.try_get(0)?)
    });
    let runner = Runner { pool, turn, schemas, settings, search_path: search_path.await.map_err(of_log)? };
    for next in &pending {
        tracing::info!(file = next.file.name(), statements = next.statements.len(), "running an SQL file");
        report.applied.push(match next.file.in_transaction() || next.is_done {
            true => runner.run_in_transaction(next).await?,
            false => runner.run_outside(next).await?,
        });
    }
    Ok(report)
}

impl Runner<'_> {
    async fn run_in_transaction(&self, next: &PendingFile) -> Result<MigrationRecord> {
        // It may set the session up as it likes.
        self.turn.alter();
        let mut patience = Patience::new(self.settings);
        loop {
            let mut at = 0;
            let outcome = self.attempt(next, &mut at).await;
            match end(self.pool, self.lease(), outcome).await {
                Ok(record) => return Ok(record),
                Err(failure) if gives_way(&failure) && patience.pause().await => {
                    tracing::info!(file = next.file.name(), "a table is locked by others; trying again");
                }
                Err(failure) => {
                    let usable = failure.leaves_connection_usable();
                    let error = refused(next, at, failure, self.settings);
                    if usable && at > 0 {
                        self.write(self.mark(next, at, &error, false)?, false).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// `at` is the number of the statement that runs.
    async fn attempt(&self, next: &PendingFile, at: &mut u32) -> Result<MigrationRecord, Failure> {
        let lease = self.lease();
        let begun = Instant::now();
        // How long its statements take is up to the rows.
        let own = "SET LOCAL statement_timeout = 0; SET LOCAL strata.writer = 'off'";
        let lock_timeout = milliseconds(self.settings.lock_timeout);
        lease.batch_execute(&format!("{}; {own}; SET LOCAL lock_timeout = {lock_timeout}", begin(self.pool.limits().prepare))).await?;
        if !next.is_done {
            for (statement, number) in next.statements.iter().zip(1..) {
                *at = number;
                tracing::debug!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement");
                lease.batch_execute(statement).await?;
            }
        }
        self.restore_search_path(false).await?;
        if !next.is_done {
            void(lease, self.schemas).await?;
        }
        let record = records::put(lease, done(next, begun.elapsed())?).await?;
        lease.batch_execute("COMMIT").await?;
        Ok(record)
    }

    /// Runs each statement by itself. The mark of a statement stands before it runs, for whoever finds the process gone.
    async fn run_outside(&self, next: &PendingFile) -> Result<MigrationRecord> {
        let (lease, begun) = (self.lease(), Instant::now());
        self.turn.alter();
        lease.batch_execute(&steps::session(self.settings)).await.map_err(|error| of_log(error.into()))?;
        for (statement, number) in next.statements.iter().zip(1..).skip((next.first as usize).saturating_sub(1)) {
            let cut_off = Error::new(ErrorKind::Internal, "");
            self.write(self.mark(next, number, &cut_off, true)?, false).await?;
            tracing::info!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement");
            if let Err(error) = lease.batch_execute(statement).await {
                let failure = Failure::from(error);
                let usable = failure.leaves_connection_usable();
                let error = refused(next, number, failure, self.settings);
                if usable {
                    self.write(self.mark(next, number, &error, true)?, true).await?;
                }
                return Err(error);
            }
        }
        self.write(done(next, begun.elapsed())?, true).await
    }

    /// Writes a record, and has copies dropped if the file may have written.
    async fn write(&self, record: MigrationRecord, has_written: bool) -> Result<MigrationRecord> {
        let limit = self.pool.limits().prepare;
        let outcome = within(limit, async {
            self.lease().batch_execute(&begin(limit)).await?;
            self.restore_search_path(true).await?;
            if has_written {
                void(self.lease(), self.schemas).await?;
            }
            let record = records::put(self.lease(), record).await?;
            self.lease().batch_execute("COMMIT").await?;
            Ok(record)
        });
        end(self.pool, self.lease(), outcome.await).await.map_err(of_log)
    }

    /// For this transaction, or from here on.
    async fn restore_search_path(&self, is_local: bool) -> Result<(), Failure> {
        self.lease().query_one("SELECT set_config('search_path', $1::TEXT, $2::BOOLEAN)", &[&self.search_path, &is_local]).await?;
        Ok(())
    }

    fn mark(&self, next: &PendingFile, statement: u32, error: &Error, blocks: bool) -> Result<MigrationRecord> {
        let said = std::error::Error::source(error).map_or_else(|| CUT_OFF.to_owned(), ToString::to_string);
        let text = beginning(next, statement).to_owned();
        let done = blocks.then(|| next.checksum_before(statement));
        let record = records::new(None, Some(next.file.name().to_owned()), next.file.description().to_owned(), Duration::ZERO)?;
        Ok(MigrationRecord {
            checksum: Some(next.file.checksum()),
            dirty: Some(DirtyMark { statement, text, error: said, blocks, done }),
            ..record
        })
    }

    fn lease(&self) -> &Lease {
        &self.turn.lease
    }
}

/// What a mark says until something is heard of its statement.
const CUT_OFF: &str = "it was begun and nobody has seen its end: it was cut off, or the connection broke";

/// Says how a file goes on.
pub(crate) async fn resolve(
    pool: &Pool,
    file: &str,
    resolution: Resolution,
    schemas: &[Arc<BoundSchema>],
    settings: &MigrationSettings,
) -> Result<()> {
    let turn = Turn::take(pool, settings).await?;
    let limit = pool.limits().prepare;
    let outcome = within(limit, async {
        turn.lease.batch_execute(&begin(limit)).await?;
        let record = records::all(&turn.lease).await?.into_iter().find(|record| record.file_name.as_deref() == Some(file));
        let Some(mut record) = record.filter(|record| record.dirty.is_some()) else {
            let message = format!("`{file}` is no SQL file that stopped in its middle; `migration_status` names those");
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_tier(Role::Truth).into());
        };
        record.resolve(resolution);
        records::put(&turn.lease, record).await?;
        void(&turn.lease, schemas).await?;
        Ok(turn.lease.batch_execute("COMMIT").await?)
    })
    .await;
    let outcome = end(pool, &turn.lease, outcome).await.map_err(of_log);
    turn.give_back(pool, outcome).await
}

fn done(next: &PendingFile, took: Duration) -> Result<MigrationRecord> {
    let record = records::new(None, Some(next.file.name().to_owned()), next.file.description().to_owned(), took)?;
    Ok(MigrationRecord { checksum: Some(next.file.checksum()), ..record })
}

/// What the database said of a statement, which is the source, and where that was.
fn refused(next: &PendingFile, statement: u32, failure: Failure, settings: &MigrationSettings) -> Error {
    let name = next.file.name();
    let left = if next.file.in_transaction() { "nothing of the file is left" } else { "what stands in front of it took effect" };
    let (code, said) = match &failure {
        Failure::Driver(error) => (error.code().map(|code| code.code().to_owned()), error.as_db_error().map(ToString::to_string)),
        Failure::Elapsed(_) | Failure::Found(_) => (None, None),
    };
    let kind = match (code.as_deref(), &said) {
        (Some("55P03"), _) => ErrorKind::Timeout,
        (Some("42501"), _) => ErrorKind::AccessDenied,
        (Some(code), _) if code.starts_with("23") => ErrorKind::ConstraintViolation,
        (Some(code), _) if code.starts_with("42") || code.starts_with("22") => ErrorKind::InvalidQuery,
        (Some("40001" | "40P01"), _) => ErrorKind::TransactionFailed,
        _ => of_kind(&failure),
    };
    let remedy = match kind {
        ErrorKind::Timeout => {
            format!("others kept a lock in its way for {:?}; let long transactions end, then run it again", settings.patience)
        }
        _ => "mend the file, or the rows, and run it again".to_owned(),
    };
    let (said, text) = (said.unwrap_or_else(|| "the connection broke".to_owned()), beginning(next, statement));
    let message = format!("statement {statement} of `{name}` failed, {left}: {said}; {remedy}. The statement: {text}");
    Error::new(kind, message).with_tier(Role::Truth).with_source(Said(said))
}

fn of_kind(failure: &Failure) -> ErrorKind {
    if failure.is_connection_loss() { ErrorKind::L3Unavailable } else { ErrorKind::TransactionFailed }
}

/// The server's words.
#[derive(Debug)]
struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

fn beginning(next: &PendingFile, statement: u32) -> &str {
    let statement = next.statements.get((statement as usize).saturating_sub(1)).map_or("", String::as_str);
    &statement[..statement.floor_char_boundary(LONGEST_TEXT)]
}

fn of_log(failure: Failure) -> Error {
    failure.into_error(Attempt::Log)
}
