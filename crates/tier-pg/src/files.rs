//! Running SQL files.

use std::sync::Arc;
use std::time::Instant;

use store_core::sql::Dialect;
use store_core::{
    BoundSchema, Error, ErrorKind, MigrationFile, MigrationRecord, MigrationReport, MigrationSettings, PendingFile, Resolution, Result,
    Role,
};

use crate::config::Extras;
use crate::connect::SESSION;
use crate::error::{Attempt, Failure};
use crate::log::void;
use crate::pool::{Lease, Pool, begin, milliseconds, within};
use crate::records;
use crate::steps::{self, Patience, gives_way};
use crate::survey::Wanted;
use crate::turn::Turn;
use crate::write::end;

/// Has the session act for the user of the URL, who need be the only one with rights on Strata's own tables.
const OWN_ROLE: &str = "RESET SESSION AUTHORIZATION; RESET ROLE";

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
    let forgotten = MigrationFile::forgotten(files, &records);
    if !forgotten.is_empty() {
        let limit = pool.limits().prepare;
        let outcome = within(limit, async {
            turn.lease.batch_execute(&begin(limit)).await?;
            for file in forgotten {
                records::forget(&turn.lease, file).await?;
            }
            Ok(turn.lease.batch_execute("COMMIT").await?)
        });
        end(pool, &turn.lease, outcome.await).await.map_err(of_log)?;
    }
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
        if !report.applied.is_empty() {
            runner.reset().await?;
        }
        tracing::info!(file = next.file.name(), statements = next.statements.len(), "running an SQL file");
        report.applied.push(match next.file.in_transaction() || next.is_done {
            true => runner.run_in_transaction(next).await?,
            false => runner.run_outside(next).await?,
        });
    }
    Ok(report)
}

impl Runner<'_> {
    /// Sets the session up as it was before a file. What `DISCARD ALL` does beside would give the turn up, and end statements that Strata has prepared.
    async fn reset(&self) -> Result<()> {
        let reset = format!("CLOSE ALL; DISCARD TEMP; {OWN_ROLE}; RESET ALL; {SESSION}");
        let done = within(self.pool.limits().statement, async { Ok(self.lease().batch_execute(&reset).await?) });
        done.await.map_err(of_log)
    }

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
                    let (error, said) = refused(next, at, failure, self.settings);
                    if usable && at > 0 {
                        self.write(next.mark(at.min(next.last()), &said)?, false).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// `at` is the number of the statement that runs: 0 at the beginning of the transaction, and one more than there are at its end.
    async fn attempt(&self, next: &PendingFile, at: &mut u32) -> Result<MigrationRecord, Failure> {
        let lease = self.lease();
        let begun = Instant::now();
        // How long its statements take is up to the rows.
        let own = "SET LOCAL statement_timeout = 0; SET LOCAL strata.writer = 'off'";
        let lock_timeout = milliseconds(self.settings.lock_timeout);
        lease.batch_execute(&format!("{}; {own}; SET LOCAL lock_timeout = {lock_timeout}", begin(self.pool.limits().prepare))).await?;
        if !next.is_done {
            for (number, statement) in next.left() {
                *at = number;
                tracing::debug!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement");
                lease.batch_execute(statement).await?;
            }
            *at = next.last() + 1;
        }
        lease.batch_execute(OWN_ROLE).await?;
        self.restore_search_path(false).await?;
        if !next.is_done {
            void(lease, self.schemas).await?;
        }
        let record = records::put(lease, next.done(begun.elapsed())?).await?;
        lease.batch_execute("COMMIT").await?;
        Ok(record)
    }

    /// Runs each statement by itself. The mark of a statement stands before it runs, for whoever finds the process gone.
    async fn run_outside(&self, next: &PendingFile) -> Result<MigrationRecord> {
        let begun = Instant::now();
        self.turn.alter();
        let session = steps::session(self.settings.lock_timeout);
        self.lease().batch_execute(&session).await.map_err(|error| of_log(error.into()))?;
        for (number, statement) in next.left() {
            let role = self.role().await.map_err(of_log)?;
            self.write(next.mark(number, PendingFile::CUT_OFF)?, false).await?;
            self.take_role(&role).await.map_err(of_log)?;
            tracing::info!(file = next.file.name(), statement = number, of = next.statements.len(), "running a statement");
            if let Err(failure) = self.run_statement(next, statement).await {
                let usable = failure.leaves_connection_usable();
                let (error, said) = refused(next, number, failure, self.settings);
                if usable {
                    self.write(next.mark(number, &said)?, true).await?;
                }
                return Err(error);
            }
        }
        self.write(next.done(begun.elapsed())?, true).await
    }

    /// Runs a statement that is a transaction by itself, and gives way to others as steps do.
    async fn run_statement(&self, next: &PendingFile, statement: &str) -> Result<(), Failure> {
        let [briefly, patiently] = [self.settings.lock_timeout, self.settings.patience].map(milliseconds);
        // It waits for the transactions of others, and nobody waits behind it. After a time-out something stays that serves nobody.
        if has_word(statement, "CONCURRENTLY") {
            self.set_lock_timeout(briefly, patiently).await?;
            self.lease().batch_execute(statement).await?;
            return self.set_lock_timeout(patiently, briefly).await;
        }
        // A procedure or a block may have committed a part of its work.
        let may_repeat = !has_word(statement, "CALL") && !has_word(statement, "DO");
        let mut patience = Patience::new(self.settings);
        loop {
            match self.lease().batch_execute(statement).await.map_err(Failure::from) {
                Err(failure) if may_repeat && gives_way(&failure) && patience.pause().await => {
                    tracing::info!(file = next.file.name(), "a table is locked by others; trying again");
                }
                outcome => return outcome,
            }
        }
    }

    /// Sets the session's limit, unless the file has set one of its own.
    async fn set_lock_timeout(&self, from: u128, to: u128) -> Result<(), Failure> {
        let text = format!(
            "SELECT set_config(name, '{to}', false) FROM pg_catalog.pg_settings WHERE name = 'lock_timeout' AND setting = '{from}'"
        );
        Ok(self.lease().batch_execute(&text).await?)
    }

    /// Writes a record, and has copies dropped if the file may have written. The role is that of the URL from here on.
    async fn write(&self, record: MigrationRecord, has_written: bool) -> Result<MigrationRecord> {
        let limit = self.pool.limits().prepare;
        let outcome = within(limit, async {
            self.lease().batch_execute(OWN_ROLE).await?;
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

    /// Whom the session acts for: the user that it is of, and that one's role.
    async fn role(&self) -> Result<[String; 2], Failure> {
        const TEXT: &str = "SELECT current_setting('session_authorization'), current_setting('role')";
        let row = within(self.pool.limits().statement, async { Ok(self.lease().query_one(TEXT, &[]).await?) }).await?;
        Ok([row.try_get(0)?, row.try_get(1)?])
    }

    /// Has the session act for somebody again. The role comes last, as another user has none.
    async fn take_role(&self, [user, role]: &[String; 2]) -> Result<(), Failure> {
        within(self.pool.limits().statement, async {
            for (name, value) in [("session_authorization", user), ("role", role)] {
                self.lease().query_one("SELECT set_config($1::TEXT, $2::TEXT, false)", &[&name, value]).await?;
            }
            Ok(())
        })
        .await
    }

    /// For this transaction, or from here on.
    async fn restore_search_path(&self, is_local: bool) -> Result<(), Failure> {
        self.lease().query_one("SELECT set_config('search_path', $1::TEXT, $2::BOOLEAN)", &[&self.search_path, &is_local]).await?;
        Ok(())
    }

    fn lease(&self) -> &Lease {
        &self.turn.lease
    }
}

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
        let record = MigrationRecord::resolved(records::all(&turn.lease).await?, file, resolution)?;
        records::put(&turn.lease, record).await?;
        void(&turn.lease, schemas).await?;
        Ok(turn.lease.batch_execute("COMMIT").await?)
    })
    .await;
    let outcome = end(pool, &turn.lease, outcome).await.map_err(of_log);
    turn.give_back(pool, outcome).await
}

/// The error of a statement, and what the database said of it.
fn refused(next: &PendingFile, statement: u32, failure: Failure, settings: &MigrationSettings) -> (Error, String) {
    let code = failure.code().map(str::to_owned);
    let said = match &failure {
        Failure::Driver(error) => error.as_db_error().map_or_else(|| "the connection broke".to_owned(), ToString::to_string),
        Failure::Elapsed(limit) => format!("the server did not answer within {limit:?}"),
        Failure::Found(error) => error.to_string(),
    };
    let is_lost = failure.is_connection_loss();
    let source = failure.into_error(Attempt::Log);
    let kind = match code.as_deref() {
        Some("55P03") => ErrorKind::Timeout,
        Some("42501") => ErrorKind::AccessDenied,
        Some("40001" | "40P01") => ErrorKind::TransactionFailed,
        Some(code) if code.starts_with("23") => ErrorKind::ConstraintViolation,
        Some(code) if code.starts_with("42") || code.starts_with("22") => ErrorKind::InvalidQuery,
        Some(_) if !is_lost => ErrorKind::TransactionFailed,
        _ if is_lost => ErrorKind::L3Unavailable,
        _ => source.kind(),
    };
    let remedy = match (code.as_deref(), kind) {
        (Some("55P03"), _) => {
            format!("others kept a lock in its way for {:?}; let long transactions end", settings.patience)
        }
        (_, ErrorKind::L3Unavailable | ErrorKind::Timeout) => "see to the server".to_owned(),
        _ => "mend the file, or the rows".to_owned(),
    };
    (next.refused(statement, kind, &said, &remedy).with_source(source), said)
}

fn of_log(failure: Failure) -> Error {
    failure.into_error(Attempt::Log)
}

/// Whether a statement has a keyword, or something of that name: who asks must be on the safe side with `true`.
fn has_word(statement: &str, keyword: &str) -> bool {
    statement.split(|character: char| !character.is_alphanumeric() && character != '_').any(|word| word.eq_ignore_ascii_case(keyword))
}
