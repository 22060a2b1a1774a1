//! Transactions of several calls.
//!
//! The one writer of the file lends itself: while a transaction is open, its worker runs what the transaction hands to it and nothing else, and other
//! writes wait in its queue. It is free again as soon as the transaction ends or is dropped, its limit passes, or the tier closes.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use rusqlite::Connection;
use store_core::facet::{AppliedPlace, Begin, Condition, Count, DeadLetter, RowLock, Select, Touched, Transaction, TransactionState};
use store_core::sql::{self, Dialect};
use store_core::{BoundSchema, Error, ErrorKind, Filter, Result, Row, StoredRow, Version};
use tokio::sync::{mpsc, oneshot};

use crate::asker::Asker;
use crate::bulk;
use crate::commit;
use crate::conditional;
use crate::error::{self, Origin};
use crate::journals;
use crate::plan::{Plan, Plans};
use crate::read;
use crate::tables::{keys_where, new_rows, of_schema, old_keys, row_if, statement};
use crate::value::key_to_stored;
use crate::workers::{Interest, Interested, STEPS_BETWEEN_CHECKS, Worker, Workers};
use crate::write;

/// What the transaction lets the writer do; it says whether the transaction goes on.
type Job = Box<dyn FnOnce(&mut Worker) -> ControlFlow<()> + Send>;

/// A transaction to which the writer is lent.
pub(crate) struct SqliteTransaction {
    jobs: mpsc::Sender<Job>,
    interested: Interested,
    state: TransactionState,
    plans: Arc<Plans>,
}

impl SqliteTransaction {
    pub(crate) async fn begin(writer: &Workers, plans: &Arc<Plans>, begin: &Begin) -> Result<Self> {
        let state = TransactionState::new(begin.limit);
        let (jobs, queue) = mpsc::channel(1);
        let interested = Interested::default();
        let (reply, begun) = oneshot::channel();
        let (asker, _waiting) = Asker::of_this_task();
        let loan = Loan { queue, end: state.end(), interest: Arc::clone(&interested.0), asker };
        let transaction = SqliteTransaction { jobs, interested, state, plans: Arc::clone(plans) };
        let begin = async {
            let lend = move |worker: Result<&mut Worker>| match worker {
                // A transaction that nobody waits for any more never begins.
                Ok(worker) if !reply.is_closed() => loan.serve(worker, reply),
                Ok(_) => {}
                Err(error) => drop(reply.send(Err(error))),
            };
            writer.submit(lend).await?;
            begun.await.unwrap_or_else(|_| Err(error::lost()))
        };
        let begun = tokio::time::timeout(transaction.state.remaining(), begin).await;
        begun.unwrap_or_else(|_| Err(transaction.state.timed_out()))?;
        Ok(transaction)
    }

    /// Runs a job of a call that has begun.
    async fn work<T: Send + 'static>(&mut self, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            let result = job(&worker.connection);
            // SQLite itself takes a transaction back after some errors.
            let is_open = !worker.connection.is_autocommit();
            let _ = reply.send((result, is_open));
            if is_open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let work = async {
            self.jobs.send(job).await.ok()?;
            answer.await.ok()
        };
        let answer = tokio::time::timeout(self.state.remaining(), work).await.unwrap_or(None);
        match answer {
            Some((Ok(value), true)) => {
                self.state.end_call();
                Ok(value)
            }
            // It may have been interrupted.
            Some((Err(error), is_open)) if !self.state.remaining().is_zero() => {
                if is_open {
                    self.state.fail();
                } else {
                    self.state.lose();
                }
                Err(error)
            }
            Some(_) | None => {
                self.state.lose();
                Err(self.ended())
            }
        }
    }

    /// Runs a job about one schema's table. What cannot be handed over is a failed call too.
    async fn on_table<J, T>(&mut self, schema: &BoundSchema, job: impl FnOnce(&Plan) -> Result<J>) -> Result<T>
    where
        J: FnOnce(&Connection, &Plan) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.state.begin_call()?;
        let plan = self.plans.of(schema);
        match job(&plan) {
            Ok(job) => {
                let of_job = Arc::clone(&plan);
                self.work(move |connection| job(connection, &of_job)).await
            }
            Err(error) => {
                self.state.fail();
                Err(error)
            }
        }
        .map_err(|error| of_schema(error, &plan))
    }

    /// Runs a job about a place in a journal.
    async fn at_place<T: Send + 'static>(
        &mut self,
        sequence: u64,
        job: impl FnOnce(&Connection, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.state.begin_call()?;
        match journals::number(sequence) {
            Ok(sequence) => self.work(move |connection| job(connection, sequence)).await,
            Err(error) => {
                self.state.fail();
                Err(error)
            }
        }
    }

    /// Why the writer takes no more jobs.
    fn ended(&self) -> Error {
        if self.state.remaining().is_zero() { self.state.timed_out() } else { error::closed() }
    }

    /// Runs a statement of the transaction's own.
    async fn run(&mut self, sql: String) -> Result<()> {
        self.work(move |connection| execute(connection, &sql)).await
    }

    /// Ends it, if it is still open.
    async fn end(&self, end: impl FnOnce(&mut Worker) -> Result<()> + Send + 'static) -> Option<Result<()>> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            let _ = reply.send(end(worker));
            ControlFlow::Break(())
        });
        self.jobs.send(job).await.ok()?;
        answer.await.ok()
    }
}

/// The writer's side.
struct Loan {
    queue: mpsc::Receiver<Job>,
    end: Instant,
    interest: Arc<Interest>,
    asker: Asker,
}

impl Loan {
    /// Serves one transaction from its beginning to its end.
    fn serve(mut self, worker: &mut Worker, begun: oneshot::Sender<Result<()>>) {
        worker.asker = Some(self.asker);
        let begin = commit::begin(worker, Origin::Own);
        worker.asker = None;
        let has_begun = begin.is_ok();
        let is_wanted = begun.send(begin).is_ok();
        if has_begun && is_wanted {
            worker.run_while(&self.interest, |worker| {
                let watched = Watched::new(worker, self.end, &self.interest);
                while let Some(Some(job)) = watched.0.wait_for(self.queue.recv(), self.end) {
                    if job(watched.0).is_break() {
                        break;
                    }
                }
            });
        }
        // Whatever is open is rolled back by the worker.
    }
}

/// A worker whose statements end when the limit passes or nobody waits for them any more.
struct Watched<'a>(&'a mut Worker);

impl<'a> Watched<'a> {
    fn new(worker: &'a mut Worker, end: Instant, interest: &Arc<Interest>) -> Self {
        let interest = Arc::clone(interest);
        let is_in_vain = move || interest.is_lost() || Instant::now() >= end;
        // It fails on a connection alone that is not this thread's own.
        let _ = worker.connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(is_in_vain));
        Watched(worker)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        unwatch(self.0);
    }
}

fn unwatch(worker: &mut Worker) {
    let _ = worker.connection.progress_handler(0, None::<fn() -> bool>);
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    let run = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    run.map(drop).map_err(|error| error::from_sqlite(error, Origin::Own))
}

#[async_trait]
impl Transaction for SqliteTransaction {
    /// Nobody else writes before the end, so that there is nothing to lock.
    async fn get_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>], _: RowLock) -> Result<Vec<Option<StoredRow>>> {
        self.on_table(schema, |plan| {
            let keys = keys.iter().map(|key| key_to_stored(key, plan)).collect::<Result<Vec<_>>>()?;
            Ok(move |connection: &Connection, plan: &Plan| read::get(connection, plan, &keys))
        })
        .await
    }

    async fn put_many(&mut self, schema: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        self.on_table(schema, |plan| {
            let (rows, keys) = new_rows(rows, plan)?;
            Ok(move |connection: &Connection, plan: &Plan| write::put_within(connection, plan, rows, &keys))
        })
        .await
    }

    async fn put_many_if(&mut self, schema: &BoundSchema, rows: &[Row<'_>], conditions: &[Condition]) -> Result<Vec<Option<StoredRow>>> {
        self.on_table(schema, |plan| {
            if rows.len() != conditions.len() {
                return Err(Error::new(ErrorKind::Internal, format!("{} conditions were given for {} rows", conditions.len(), rows.len())));
            }
            let rows = rows.iter().zip(conditions).map(|(row, &condition)| row_if(row, condition, plan)).collect::<Result<_>>()?;
            Ok(move |connection: &Connection, plan: &Plan| conditional::put_many_if_within(connection, plan, rows))
        })
        .await
    }

    async fn delete_where(&mut self, schema: &BoundSchema, filter: &Filter) -> Result<Vec<Touched>> {
        self.on_table(schema, |_| {
            let keys = keys_where(schema, filter)?;
            Ok(move |connection: &Connection, plan: &Plan| bulk::delete_where_within(connection, plan, &keys))
        })
        .await
    }

    async fn update_where(&mut self, schema: &BoundSchema, changes: &Row<'_>, filter: &Filter) -> Result<Vec<Touched>> {
        self.on_table(schema, |plan| {
            let (changes, keys) = (bulk::Changes::new(changes, plan)?, keys_where(schema, filter)?);
            Ok(move |connection: &Connection, plan: &Plan| bulk::update_where_within(connection, plan, &changes, &keys))
        })
        .await
    }

    async fn advance_journal(&mut self, journal: &str, from: u64, to: AppliedPlace) -> Result<bool> {
        let journal = journal.to_owned();
        let advance = move |connection: &Connection, sequence| journals::advance(connection, &journal, from, (sequence, to.checksum));
        self.at_place(to.sequence, advance).await
    }

    async fn put_dead_letter(&mut self, letter: &DeadLetter) -> Result<()> {
        let letter = letter.clone();
        self.at_place(letter.sequence, move |connection, sequence| journals::put_letter(connection, sequence, &letter)).await
    }

    async fn remove_dead_letter(&mut self, journal: &str, sequence: u64) -> Result<bool> {
        let journal = journal.to_owned();
        self.at_place(sequence, move |connection, sequence| journals::remove_letter(connection, &journal, sequence)).await
    }

    async fn delete_many(&mut self, schema: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        self.on_table(schema, |plan| {
            let (stored, keys) = old_keys(keys, plan)?;
            Ok(move |connection: &Connection, plan: &Plan| write::delete_within(connection, plan, &stored, &keys))
        })
        .await
    }

    async fn select(&mut self, schema: &BoundSchema, select: &Select) -> Result<Vec<StoredRow>> {
        self.on_table(schema, |_| {
            let query = statement(sql::select(Dialect::Sqlite, schema, select)?);
            Ok(move |connection: &Connection, plan: &Plan| read::rows(connection, plan, &query))
        })
        .await
    }

    async fn count(&mut self, schema: &BoundSchema, count: &Count) -> Result<u64> {
        self.on_table(schema, |_| {
            let query = statement(sql::count(Dialect::Sqlite, schema, count)?);
            Ok(move |connection: &Connection, plan: &Plan| read::count(connection, plan, &query))
        })
        .await
    }

    /// SQLite checks deferred foreign keys nowhere but in the commit.
    async fn check_deferred(&mut self) -> Result<()> {
        self.state.begin_call()?;
        self.state.end_call();
        Ok(())
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.state.begin_call()?;
        self.run(format!("SAVEPOINT strata_{}", self.state.savepoint() + 1)).await?;
        self.state.set_savepoint();
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.state.begin_release()?;
        self.run(format!("RELEASE strata_{}", self.state.savepoint())).await?;
        self.state.end_savepoint();
        Ok(())
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<()> {
        self.state.begin_return()?;
        let name = self.state.savepoint();
        let back = move |connection: &Connection| {
            execute(connection, &format!("ROLLBACK TO strata_{name}"))?;
            execute(connection, &format!("RELEASE strata_{name}"))
        };
        self.work(back).await?;
        self.state.end_savepoint();
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        if let Err(refused) = self.state.begin_call() {
            self.rollback().await?;
            return Err(refused);
        }
        let commit = |worker: &mut Worker| {
            unwatch(worker);
            // A commit to a file that lost its name would be acknowledged and lost with the file.
            worker.file.check()?;
            execute(&worker.connection, "COMMIT")
        };
        self.end(commit).await.unwrap_or_else(|| Err(self.ended()))
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.interested.0.lose();
        let rollback = |worker: &mut Worker| {
            unwatch(worker);
            if worker.connection.is_autocommit() { Ok(()) } else { execute(&worker.connection, "ROLLBACK") }
        };
        self.end(rollback).await.unwrap_or(Ok(()))
    }
}

impl fmt::Debug for SqliteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").field("state", &self.state).finish_non_exhaustive()
    }
}
