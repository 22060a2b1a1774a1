//! Transactions of several calls.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use store_core::facet::{AppliedPlace, Begin, Condition, Count, DeadLetter, RowLock, Select, Touched, Transaction, TransactionState};
use store_core::sql::{self, Dialect};
use store_core::{BoundSchema, Error, ErrorKind, Filter, Result, Role, Row, StoredRow, Version};
use tokio::task::JoinHandle;
use tokio_postgres::Row as PgRow;

use crate::bulk::WriteWhere;
use crate::conditional::PutManyIf;
use crate::delete::Delete;
use crate::error::{Attempt, Failure};
use crate::journals;
use crate::orphans::Orphans;
use crate::pool::{ATTEMPTS, Lease, Pool, begin_isolated, check_count, milliseconds, within};
use crate::read::{check_keys, key_arrays, placed, selected_row};
use crate::scope::Scope;
use crate::statements::Statements;
use crate::value::Param;
use crate::write::{Params, Put, in_key_order};

const COMMIT: &str = "COMMIT";

/// The server ends a transaction itself so long after its limit, where this process cannot tell it any more.
const GRACE: Duration = Duration::from_secs(1);

const IDLE_FOR_TOO_LONG: &str = "25P03";

/// A transaction that owns its connection.
///
/// The connection lies in a place that both the calls and the watch over the limit take it from: whoever has it may end it, and a call that is dropped
/// midway discards it.
pub(crate) struct PgTransaction {
    pool: Arc<Pool>,
    place: Place,
    watch: JoinHandle<()>,
    state: TransactionState,
    /// Where to leave word of the server's process if the outcome of the commit is not seen.
    orphans: Option<Arc<Orphans>>,
    statements: Arc<Statements>,
}

#[derive(Clone, Default)]
struct Place(Arc<Mutex<Option<Lease>>>);

impl Place {
    fn take(&self) -> Option<Lease> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, lease: Lease) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
    }
}

impl PgTransaction {
    pub(crate) async fn begin(pool: &Arc<Pool>, statements: &Arc<Statements>, begin: &Begin) -> Result<Self> {
        let state = TransactionState::new(begin.limit);
        let text = format!(
            "{}; SET LOCAL idle_in_transaction_session_timeout = {}",
            begin_isolated(begin.isolation, pool.limits().statement),
            milliseconds(begin.limit.saturating_add(GRACE))
        );
        let opened = tokio::time::timeout(state.remaining(), open(pool, &text)).await;
        let mut lease = opened.unwrap_or_else(|_| Err(state.timed_out()))?;
        // Until it is to be committed, nothing can come of it.
        let orphans = lease.writes.take();
        let place = Place::default();
        place.put(lease);
        let (watched, limit) = (place.clone(), state.remaining());
        let watch = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            drop(watched.take());
        });
        Ok(PgTransaction { pool: Arc::clone(pool), place, watch, state, orphans, statements: Arc::clone(statements) })
    }

    /// The most time for one statement.
    fn statement_limit(&self) -> Duration {
        self.pool.limits().statement
    }

    /// Does a call's work on the connection.
    async fn call<T>(
        &mut self,
        work: impl AsyncFnOnce(Scope<'_>) -> Result<T, Failure>,
        to_error: impl FnOnce(Failure) -> Error,
    ) -> Result<T> {
        self.state.begin_call()?;
        self.work(work, to_error).await
    }

    async fn work<T>(
        &mut self,
        work: impl AsyncFnOnce(Scope<'_>) -> Result<T, Failure>,
        to_error: impl FnOnce(Failure) -> Error,
    ) -> Result<T> {
        // The watch has it only once the limit passed.
        let Some(lease) = self.place.take() else { return Err(self.state.timed_out()) };
        let outcome = tokio::time::timeout(self.state.remaining(), work(Scope::open(&lease, self.statement_limit()))).await;
        match outcome {
            Ok(Ok(value)) => {
                self.state.end_call();
                self.put_back(lease)?;
                Ok(value)
            }
            Ok(Err(_)) if self.state.remaining().is_zero() => {
                self.state.lose();
                Err(self.state.timed_out())
            }
            Ok(Err(failure)) => {
                if failure.leaves_connection_usable() {
                    self.state.fail();
                    self.put_back(lease)?;
                } else {
                    self.state.lose();
                }
                Err(to_error(failure))
            }
            Err(_) => {
                self.state.lose();
                Err(self.state.timed_out())
            }
        }
    }

    /// Leaves the connection to the next call, unless the limit has passed while its task was held up: the watch, which looks once, may have found nothing.
    fn put_back(&mut self, lease: Lease) -> Result<()> {
        self.place.put(lease);
        if !self.state.remaining().is_zero() {
            return Ok(());
        }
        drop(self.place.take());
        self.state.lose();
        Err(self.state.timed_out())
    }

    /// Does the work of a call that writes. Other writes that were given up since the transaction began, and may still be under way on the server, are ended first.
    async fn write<T>(
        &mut self,
        attempt: Attempt<'_>,
        work: impl AsyncFnOnce(Scope<'_>) -> Result<T, Failure>,
        to_error: impl FnOnce(Failure) -> Error,
    ) -> Result<T> {
        // On the heap: the layout of one future within the other is deeper than the compiler looks.
        let ended = tokio::time::timeout(self.state.remaining(), Box::pin(self.pool.end_orphans(attempt))).await;
        let ended = ended.unwrap_or_else(|_| Err(self.state.timed_out()));
        self.checked(ended)?;
        Box::pin(self.work(work, to_error)).await
    }

    /// What a call that has begun was given, or why it fails.
    fn checked<T>(&mut self, given: Result<T>) -> Result<T> {
        given.inspect_err(|_| self.state.fail())
    }

    async fn write_where(&mut self, schema: &BoundSchema, write: &WriteWhere<'_>) -> Result<Vec<Touched>> {
        let work = async |scope: Scope<'_>| {
            let prepared = within(scope.limit, scope.lease.prepare(&write.texts())).await?;
            write.run(scope, &prepared).await
        };
        let attempt = Attempt::Query(schema);
        self.write(attempt, work, |failure| failure.into_error(attempt)).await
    }

    /// Writes what is told of a journal, and answers whether there was a row.
    async fn note(&mut self, write: Result<journals::Write>) -> Result<bool> {
        self.state.begin_call()?;
        let write = self.checked(write)?;
        self.write(Attempt::Log, async |scope: Scope<'_>| write.run(scope).await, |failure| failure.into_error(Attempt::Log)).await
    }

    /// Runs statements of the transaction's own.
    async fn run(&mut self, text: &str) -> Result<()> {
        let run = async |scope: Scope<'_>| within(scope.limit, async { Ok(scope.lease.batch_execute(text).await?) }).await;
        self.work(run, |failure| failure.into_error(Attempt::Log)).await
    }

    /// Runs a query.
    async fn query<T>(
        &mut self,
        schema: &BoundSchema,
        statement: Result<sql::Statement>,
        read: impl FnOnce(&[usize], &[PgRow]) -> Result<T, Failure>,
    ) -> Result<T> {
        let work = async |scope: Scope<'_>| {
            let statement = statement?;
            let rows = within(scope.limit, async {
                let prepared = scope.lease.prepare(&[&statement.sql]).await?;
                check_count(&prepared[0], statement.params.len())?;
                let params = Param::all(&statement.params);
                let params: Params<'_> = params.iter().map(|param| param as _).collect();
                Ok(scope.lease.query(&prepared[0], &params).await?)
            })
            .await?;
            read(&statement.columns, &rows)
        };
        self.call(work, |failure| failure.into_error(Attempt::Query(schema))).await
    }

    /// Ends it by a statement, on the connection that then goes back.
    async fn end(mut self, text: &str) -> Result<()> {
        let Some(mut lease) = self.place.take() else { return Err(self.state.timed_out()) };
        self.state.lose();
        if text == COMMIT {
            lease.writes = self.orphans.take();
        }
        let outcome = within(self.statement_limit(), async { Ok(lease.batch_execute(text).await?) }).await;
        // A failed commit leaves no transaction either.
        lease.settle(outcome).map_err(|failure| match failure.code() {
            // The server had ended it, before it read this.
            Some(IDLE_FOR_TOO_LONG) => self.state.timed_out(),
            _ if text == COMMIT => failure.into_write_error(Attempt::Log),
            _ => failure.into_error(Attempt::Log),
        })
    }
}

/// Borrows a connection and begins a transaction on it, on another where that one breaks.
async fn open(pool: &Pool, begin: &str) -> Result<Lease> {
    let mut begun = 0;
    loop {
        begun += 1;
        let (lease, _) = pool.lease_to_write(&[], Attempt::Log).await?;
        match within(pool.limits().statement, async { Ok(lease.batch_execute(begin).await?) }).await {
            Ok(()) => return Ok(lease),
            Err(failure) if failure.is_connection_loss() && begun < ATTEMPTS => {}
            // It is not certain that no transaction is open.
            Err(failure) => return Err(failure.into_error(Attempt::Log)),
        }
    }
}

#[async_trait]
impl Transaction for PgTransaction {
    async fn get_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>], lock: RowLock) -> Result<Vec<Option<StoredRow>>> {
        let sql = self.statements.of(schema);
        let work = async |scope: Scope<'_>| {
            check_keys(schema, keys)?;
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            // Whoever locks rows does it in this order.
            let columns: Vec<usize> = (0..schema.definition().key_positions().len()).collect();
            let order = in_key_order(&columns, keys);
            let sorted: Vec<Row<'_>> =
                order.iter().map(|&position| keys[position].iter().map(|value| value.as_borrowed()).collect()).collect();
            let arrays = key_arrays(schema, &sorted);
            let params: Params<'_> = arrays.iter().map(|array| array as _).collect();
            let text = match lock {
                RowLock::None => &sql.get_many,
                RowLock::ForUpdate => &sql.lock_many,
            };
            let rows = within(scope.limit, async {
                let prepared = scope.lease.prepare(&[text]).await?;
                Ok(scope.lease.query(&prepared[0], &params).await?)
            })
            .await?;
            let mut found: Vec<Option<StoredRow>> = keys.iter().map(|_| None).collect();
            for (position, stored) in order.into_iter().zip(placed(schema, keys.len(), &rows)?) {
                found[position] = stored;
            }
            Ok(found)
        };
        self.call(work, |failure| failure.into_error(Attempt::Table(schema))).await
    }

    async fn put_many(&mut self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        self.state.begin_call()?;
        let put = self.checked(Put::new(schema, rows, self.statements.of(schema)))?;
        let work = async |scope: Scope<'_>| {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let prepared = within(scope.limit, scope.lease.prepare(&put.texts())).await?;
            put.run(scope, &prepared).await
        };
        self.write(Attempt::Table(schema), work, |failure| put.error(failure, Failure::into_error)).await
    }

    async fn put_many_if(&mut self, schema: &BoundSchema, rows: &[Row<'_>], conditions: &[Condition]) -> Result<Vec<Option<StoredRow>>> {
        self.state.begin_call()?;
        let put = self.checked(PutManyIf::new(schema, self.statements.of(schema), rows, conditions))?;
        self.write(Attempt::Table(schema), async |scope: Scope<'_>| put.run(scope).await, |failure| put.error(failure, Failure::into_error))
            .await
    }

    async fn delete_where(&mut self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        self.state.begin_call()?;
        let write = self.checked(WriteWhere::delete(schema, filter))?;
        self.write_where(schema, &write).await
    }

    async fn update_where(&mut self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        self.state.begin_call()?;
        let write = self.checked(WriteWhere::update(schema, changes, filter))?;
        self.write_where(schema, &write).await
    }

    async fn advance_journal(&mut self, journal: &str, from: u64, to: AppliedPlace) -> Result<bool> {
        self.note(journals::Write::advance(journal, from, to)).await
    }

    async fn put_dead_letter(&mut self, letter: &DeadLetter) -> Result<()> {
        self.note(journals::Write::put_letter(letter)).await.map(drop)
    }

    async fn remove_dead_letter(&mut self, journal: &str, sequence: u64) -> Result<bool> {
        self.note(journals::Write::remove_letter(journal, sequence)).await
    }

    async fn delete_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        self.state.begin_call()?;
        let delete = self.checked(Delete::new(schema, keys, self.statements.of(schema)))?;
        let work = async |scope: Scope<'_>| {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let prepared = within(scope.limit, scope.lease.prepare(&delete.texts())).await?;
            delete.run(scope, &prepared).await
        };
        let attempt = Attempt::Table(schema);
        self.write(attempt, work, |failure| failure.into_error(attempt)).await
    }

    async fn select(&mut self, schema: &BoundSchema, select: &Select) -> Result<Vec<StoredRow>> {
        let statement = sql::select(Dialect::Postgres, schema, select).map_err(|error| error.with_tier(Role::Truth));
        let read = |columns: &[usize], rows: &[PgRow]| {
            rows.iter().map(|row| selected_row(schema, row, columns.iter().copied(), 0, columns.len())).collect()
        };
        self.query(schema, statement, read).await
    }

    async fn count(&mut self, schema: &BoundSchema, count: &Count) -> Result<u64> {
        let statement = sql::count(Dialect::Postgres, schema, count).map_err(|error| error.with_tier(Role::Truth));
        let read = |_: &[usize], rows: &[PgRow]| match rows.first() {
            Some(row) => Ok(row.try_get::<_, i64>(0)?.unsigned_abs()),
            None => Ok(0),
        };
        self.query(schema, statement, read).await
    }

    async fn check_deferred(&mut self) -> Result<()> {
        self.state.begin_call()?;
        self.run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED").await
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.state.begin_call()?;
        self.run(&format!("SAVEPOINT strata_{}", self.state.savepoint() + 1)).await?;
        self.state.set_savepoint();
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.state.begin_release()?;
        self.run(&format!("RELEASE SAVEPOINT strata_{}", self.state.savepoint())).await?;
        self.state.end_savepoint();
        Ok(())
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<()> {
        self.state.begin_return()?;
        let name = format!("strata_{}", self.state.savepoint());
        self.run(&format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")).await?;
        self.state.end_savepoint();
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        if let Err(refused) = self.state.begin_call() {
            // The connection is whole after a call that failed. If it is not, it is discarded.
            let _ = self.rollback().await;
            return Err(refused);
        }
        // Whoever sees the commit must not see it undone by what was given up before it.
        if let Err(error) = Box::pin(self.pool.end_orphans(Attempt::Log)).await {
            let _ = self.rollback().await;
            return Err(error);
        }
        self.end(COMMIT).await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        match self.place.take() {
            Some(lease) => {
                self.place.put(lease);
                let ended = self.end("ROLLBACK").await;
                if ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::TransactionTimeout) { Ok(()) } else { ended }
            }
            // Whoever took the connection discarded it.
            None => Ok(()),
        }
    }
}

impl Drop for PgTransaction {
    fn drop(&mut self) {
        self.watch.abort();
        drop(self.place.take());
    }
}

impl fmt::Debug for PgTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTransaction").field("state", &self.state).finish_non_exhaustive()
    }
}
