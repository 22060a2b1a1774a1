//! Doing what a survey found to be done.
//!
//! A statement that changes a table waits for those who use it, and whoever comes after it waits for that statement. So it waits for a short time only, gives
//! way to all that have gathered behind it, and tries again.

use std::time::{Duration, Instant};

use store_core::sql::{Dialect, constraint_plans, duplicates, explain_refused_condition};
use store_core::{Error, ErrorKind, MigrationRecord, MigrationReport, MigrationSettings, Result, Role};

use crate::catalog;
use crate::error::{Attempt, Failure};
use crate::pool::{Lease, Pool, begin, milliseconds, within};
use crate::records;
use crate::survey::{Survey, Task, Wanted, moves_rows, survey};
use crate::turn::Turn;
use crate::write::end;

/// The longest pause between two attempts to get the locks of a table.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long what failed is looked into, for its error and to clean up.
const INQUIRY: Duration = Duration::from_secs(30);

pub(crate) async fn look(pool: &Pool, wanted: Wanted<'_>) -> Result<Survey> {
    let lease = pool.lease().await?;
    let found = within(pool.limits().prepare, survey(&lease, wanted)).await;
    lease.settle(found).map_err(|failure| failure.into_error(Attempt::Log))
}

/// Does all that is to be done.
pub(crate) async fn migrate(pool: &Pool, wanted: Wanted<'_>, settings: &MigrationSettings) -> Result<MigrationReport> {
    // Where nothing is to be done, nobody need wait for his turn.
    let found = look(pool, wanted).await?;
    if found.groups.is_empty() && found.refusal.is_none() {
        return Ok(MigrationReport { applied: Vec::new(), drift: found.drift });
    }
    let turn = Turn::take(pool, settings).await?;
    let outcome = run(pool, &turn, wanted, settings).await;
    turn.give_back(pool, outcome).await
}

/// Does all that is to be done by who has the turn.
pub(crate) async fn run(pool: &Pool, turn: &Turn, wanted: Wanted<'_>, settings: &MigrationSettings) -> Result<MigrationReport> {
    let mut patience = Patience::new(settings);
    let found = loop {
        let found = within(pool.limits().prepare, survey(&turn.lease, wanted)).await.map_err(|failure| failure.into_error(Attempt::Log))?;
        if let Some(refusal) = found.refusal {
            return Err(refusal);
        }
        let Some(index) = &found.awaited else { break found };
        tracing::info!(index, "another session is making the index; waiting for it");
        if !patience.pause().await {
            let message =
                format!("another session was making the index `{index}` for {:?}; migrate again once that is over", settings.patience);
            return Err(Error::new(ErrorKind::Timeout, message).with_tier(Role::Truth));
        }
    };
    let mut report = MigrationReport { applied: Vec::new(), drift: found.drift };
    for group in &found.groups {
        let applied = match group.as_slice() {
            [task] if !task.step.in_transaction => vec![outside(pool, turn, task, settings).await?],
            group => together(pool, turn, group, settings).await?,
        };
        report.applied.extend(applied);
    }
    Ok(report)
}

/// Does steps in one transaction.
async fn together(pool: &Pool, turn: &Turn, tasks: &[Task], settings: &MigrationSettings) -> Result<Vec<MigrationRecord>> {
    let mut patience = Patience::new(settings);
    loop {
        let mut at = 0;
        let outcome = attempt(pool, &turn.lease, tasks, settings, &mut at).await;
        match end(pool, &turn.lease, outcome).await {
            Ok(records) => return Ok(records),
            Err(failure) if gives_way(&failure) && patience.pause().await => {
                tracing::info!(step = tasks[at].step.what, "a table is locked by others; trying again");
            }
            Err(failure) => {
                let holders = holders_of(&turn.lease, &failure, &tasks[at]).await;
                return Err(failed(&turn.lease, failure, &tasks[at], settings, &holders, false).await);
            }
        }
    }
}

async fn attempt(
    pool: &Pool,
    lease: &Lease,
    tasks: &[Task],
    settings: &MigrationSettings,
    at: &mut usize,
) -> Result<Vec<MigrationRecord>, Failure> {
    let limit = pool.limits().prepare;
    let begin = format!("{}; SET LOCAL lock_timeout = {}", begin(limit), milliseconds(settings.lock_timeout));
    within(limit, async { Ok(lease.batch_execute(&begin).await?) }).await?;
    let mut records = Vec::with_capacity(tasks.len());
    for (place, task) in tasks.iter().enumerate() {
        *at = place;
        let begun = Instant::now();
        let step = &task.step;
        tracing::info!(schema = step.schema, step = place + 1, of = tasks.len(), "migrating: {}", step.what);
        let work = async {
            lease.batch_execute(&step.sql).await?;
            records::put(lease, MigrationRecord::new(step.schema.clone(), step.what.clone(), begun.elapsed())?).await
        };
        records.push(within(limit, work).await?);
    }
    within(limit, async { Ok(lease.batch_execute("COMMIT").await?) }).await?;
    Ok(records)
}

/// Does a step that can be in no transaction. It has no limit: how long it takes is up to the rows.
async fn outside(pool: &Pool, turn: &Turn, task: &Task, settings: &MigrationSettings) -> Result<MigrationRecord> {
    let (lease, step) = (&turn.lease, &task.step);
    let begun = Instant::now();
    tracing::info!(schema = step.schema, "migrating beside readers and writers: {}", step.what);
    turn.alter();
    let work = async {
        // Nobody waits behind it, so it may wait longer.
        lease.batch_execute(&session(settings.patience)).await?;
        lease.batch_execute(&step.sql).await?;
        Ok::<(), Failure>(())
    };
    if let Err(failure) = work.await {
        // Whoever is in the way may be gone once it is cleaned up.
        let holders = holders_of(lease, &failure, task).await;
        let is_left = failure.leaves_connection_usable() && !clean_up(lease, task, settings).await;
        return Err(failed(lease, failure, task, settings, &holders, is_left).await);
    }
    let record = MigrationRecord::new(step.schema.clone(), step.what.clone(), begun.elapsed())?;
    let outcome = within(pool.limits().prepare, async {
        lease.batch_execute(&begin(pool.limits().prepare)).await?;
        let record = records::put(lease, record).await?;
        lease.batch_execute("COMMIT").await?;
        Ok(record)
    })
    .await;
    end(pool, lease, outcome).await.map_err(|failure| failure.into_error(Attempt::Log))
}

/// Drops what is left of an index that was not made to its end. `false` where something stays.
async fn clean_up(lease: &Lease, task: &Task, settings: &MigrationSettings) -> bool {
    let Some(index) = &task.index else { return true };
    let name = task.schema.as_ref().map_or_else(|| index.name.clone(), |schema| catalog::beside(schema, &index.name));
    // The server gives up before the inquiry does, so that the session can still be asked.
    let limit = milliseconds(settings.patience.min(INQUIRY / 2));
    let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", Dialect::Postgres.quote_table(&name));
    let dropped = within(INQUIRY, async {
        lease.batch_execute(&format!("SET lock_timeout = {limit}")).await?;
        Ok(lease.batch_execute(&drop).await?)
    });
    match dropped.await {
        Ok(()) => true,
        Err(failure) => {
            let error = failure.into_error(Attempt::Log);
            tracing::warn!(%error, index = index.name, "what is left of the index stays until the next migration drops it");
            false
        }
    }
}

/// Sets a session up for statements that are in no transaction.
pub(crate) fn session(lock_timeout: Duration) -> String {
    let lock_timeout = milliseconds(lock_timeout);
    format!(
        "SET default_transaction_read_only = off; SET statement_timeout = 0; SET lock_timeout = {lock_timeout}; SET strata.writer = 'off'"
    )
}

/// How long somebody goes on trying for locks.
pub(crate) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    /// The first pause is as long as an attempt, so that others have the table for half of the time at least.
    pub(crate) fn new(settings: &MigrationSettings) -> Self {
        Patience { end: Instant::now() + settings.patience, pause: settings.lock_timeout }
    }

    /// Lets others through. `false`, at once, where there is no time left.
    pub(crate) async fn pause(&mut self) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE.max(self.pause));
        true
    }
}

/// Whether the work lost a race for locks, and nothing of it is left.
pub(crate) fn gives_way(failure: &Failure) -> bool {
    matches!(failure.code(), Some("55P03" | "40P01"))
}

/// The error of a step. `is_left` says whether something stays of it that the next migration takes away.
async fn failed(lease: &Lease, failure: Failure, task: &Task, settings: &MigrationSettings, holders: &str, is_left: bool) -> Error {
    let (step, code) = (&task.step, failure.code().map(str::to_owned));
    let of_schema = |error: Error| match &task.schema {
        Some(schema) => error.with_schema(schema.name()),
        None => error,
    };
    let new = |kind, message: String| of_schema(Error::new(kind, message).with_tier(Role::Truth));
    // Of what `ALTER TABLE` refuses the server tells no place, and neither of a condition that is neither true nor false, of an index whose condition is not the same
    // at any time, nor of one on what every table has.
    let place = failure.place(&step.sql);
    let is_of_names_and_types = matches!(code.as_deref(), Some("42703" | "42804" | "42883"))
        || (task.index.is_some() && matches!(code.as_deref(), Some("42P17" | "0A000")));
    if let (Some(schema), Some(said), true) = (&task.schema, failure.said(), place.is_some() || is_of_names_and_types)
        && let Some(message) = explain_refused_condition(Dialect::Postgres, schema, &step.sql, place, &said)
    {
        return new(ErrorKind::InvalidConfig, message).with_source(failure.into_error(Attempt::Table(schema)));
    }
    match (code.as_deref(), &task.schema, &task.index) {
        (Some("55P03"), ..) => {
            let left = if is_left { "an index without use is left, which the next migration drops" } else { "nothing of it is left" };
            let message = format!(
                "could not {} within {:?}, as others kept a lock in its way{holders}; {left}. Let long transactions end (see `pg_stat_activity`), then migrate \
                 again, or raise `migration.patience`",
                step.what, settings.patience
            );
            new(ErrorKind::Timeout, message)
        }
        (Some("23505"), Some(schema), Some(index)) => {
            let keys = keys(lease, &duplicates(Dialect::Postgres, schema, index)).await;
            let example = keys.join("` and `");
            let message = format!(
                "rows of the table break the unique index that the model asks for, those with the keys `{example}` for one; mend them, then run: {}",
                step.sql
            );
            let mut error = catalog::mismatch(schema, message);
            if let Some(key) = keys.into_iter().next() {
                error = error.with_key(key);
            }
            match index.columns.as_slice() {
                [column] => error.with_column(*column),
                _ => error,
            }
        }
        (Some("23514"), Some(schema), _) if step.sql.contains("ATTACH PARTITION") => {
            let reason = match moves_rows(&step.sql) {
                true => {
                    "rows that belong there stay in the default partition; look for rules or row-level security of it that keep them, end those, and migrate again"
                }
                false => "rows that belong there were written to the default partition meanwhile; migrate again, which moves them",
            };
            let message = format!("could not {}: {reason}", step.what);
            catalog::mismatch(schema, message).with_source(failure.into_error(Attempt::Table(schema)))
        }
        (Some("23503" | "23514"), Some(schema), _) => {
            let plans = constraint_plans(Dialect::Postgres, schema);
            let key = match plans.iter().find(|plan| failure.constraint() == Some(plan.name.as_str())) {
                Some(plan) => keys(lease, &plan.broken_by(Dialect::Postgres, schema)).await.pop(),
                None => None,
            };
            let said = failure.into_error(Attempt::Table(schema));
            let column = said.column().map(str::to_owned);
            let example = key.as_ref().map_or_else(String::new, |key| format!(", that with the key `{key}` for one"));
            let message = format!(
                "rows of the table break what the model asks for ({said}){example}; mend them, then migrate again, or run: {}",
                step.sql
            );
            let mut error = catalog::mismatch(schema, message).with_source(said);
            if let Some(key) = key {
                error = error.with_key(key);
            }
            match column {
                Some(column) => error.with_column(column),
                None => error,
            }
        }
        (Some("23502"), Some(schema), _) => {
            let message =
                format!("could not {}: rows were written meanwhile, which need a value; migrate again, to be told what to do", step.what);
            catalog::mismatch(schema, message)
        }
        (Some("42501"), ..) => {
            let said = failure.into_error(Attempt::Log);
            let message = format!("this user may not {}; have one who may run: {}", step.what, step.sql);
            new(ErrorKind::AccessDenied, message).with_source(said)
        }
        (Some("58P01" | "0A000"), None, _) if step.sql.starts_with("CREATE EXTENSION") => {
            let said = failure.into_error(Attempt::Log);
            let message = format!("could not {}: the server does not have it; install its package there", step.what);
            new(ErrorKind::InvalidConfig, message).with_source(said)
        }
        _ => match &task.schema {
            Some(schema) => failure.into_error(Attempt::Table(schema)),
            None => failure.into_error(Attempt::Log),
        },
    }
}

/// The keys that a query for what rows break gives; none where it cannot be answered in time.
async fn keys(lease: &Lease, query: &str) -> Vec<String> {
    let keys = within(INQUIRY, async {
        let rows = lease.query(query, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get::<_, String>(0)?)).collect::<Result<Vec<_>, Failure>>()
    });
    keys.await.unwrap_or_default()
}

/// Who kept a step from a lock, in words; nothing after another failure.
async fn holders_of(lease: &Lease, failure: &Failure, task: &Task) -> String {
    match &task.schema {
        Some(schema) if failure.code() == Some("55P03") => within(INQUIRY, holders(lease, schema.table())).await.unwrap_or_default(),
        _ => String::new(),
    }
}

/// Who has a lock on a table, in words.
async fn holders(lease: &Lease, table: &str) -> Result<String, Failure> {
    const TEXT: &str = "SELECT string_agg(DISTINCT pid::TEXT, ', ') FROM pg_catalog.pg_locks \
        WHERE relation = to_regclass($1::TEXT) AND granted AND pid <> pg_backend_pid()";
    let processes: Option<String> = lease.query_one(TEXT, &[&Dialect::Postgres.quote_table(table)]).await?.try_get(0)?;
    Ok(processes.map_or_else(String::new, |processes| format!(" (now the server's processes {processes})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_the_table_for_as_long_as_an_attempt_takes() {
        for lock_timeout in [Duration::from_millis(50), Duration::from_secs(2), Duration::from_secs(30)] {
            let settings = MigrationSettings { lock_timeout, ..MigrationSettings::default() };
            assert!(Patience::new(&settings).pause >= lock_timeout);
        }
    }
}
