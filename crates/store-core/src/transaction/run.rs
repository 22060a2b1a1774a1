//! From the beginning of a transaction to its end.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::{Transaction, TransactionOptions, is_conflict};
use crate::breaker::random_part;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Begin, Isolation, Tables, limit_passed};
use crate::pipeline::{Change, may_have_taken_effect};
use crate::store::Store;

/// The pause before the first run that follows another lies between half of this and this; before each further one it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl Store {
    /// Runs `work` in a transaction of the tier of truth, commits if it answers `Ok`, and gives its value.
    ///
    /// A panic of `work` is not caught: it unwinds out of this call into the task that awaits it. The transaction is rolled back then, and the store goes on.
    ///
    /// It is rolled back if `work` answers an error or panics, if this future is dropped before the commit has begun, and if
    /// [`transaction_timeout`](crate::Settings::transaction_timeout) passes. The caches are left alone until it is committed; a commit that began is finished,
    /// and the caches brought up to date, without its caller.
    ///
    /// Work that calls the store beside the transaction, through a collection, may wait for what the transaction itself has locked: on SQLite for any write at
    /// all, since an open transaction is the file's only writer. Such a call ends by its time limit.
    ///
    /// # Errors
    ///
    /// What `work` says; what its calls and the commit say: [`TransactionFailed`](ErrorKind::TransactionFailed),
    /// [`TransactionTimeout`](ErrorKind::TransactionTimeout), [`UniqueViolation`](ErrorKind::UniqueViolation), [`L3Unavailable`](ErrorKind::L3Unavailable) and others;
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a store without tables. After [`L3Unavailable`](ErrorKind::L3Unavailable) or [`Timeout`](ErrorKind::Timeout) the
    /// commit may have taken effect all the same.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: String, gold: i64 }
    /// # #[derive(store_derive::Schema)] struct Purchase { #[schema(primary_key)] id: i64, player: String, price: i64 }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// use store_core::{Error, ErrorKind};
    ///
    /// let left = store
    ///     .transaction(async |tx| {
    ///         let Some(mut player) = tx.get_for_update::<Player>("p1").await? else {
    ///             return Err(Error::new(ErrorKind::NotFound, "there is no such player"));
    ///         };
    ///         player.gold -= 30;
    ///         let left = player.gold;
    ///         tx.set(player).await?;
    ///         tx.set(Purchase { id: 7, player: "p1".into(), price: 30 }).await?;
    ///         Ok(left)
    ///     })
    ///     .await?;
    /// # let _ = left; Ok(()) } let _ = example;
    /// ```
    pub async fn transaction<R>(&self, work: impl AsyncFnOnce(&mut Transaction) -> Result<R>) -> Result<R> {
        self.run_once(work).await
    }

    /// As [`transaction`](Self::transaction), at another level of isolation, with a limit of its own, or run again after conflicts with others.
    ///
    /// Each run is one of a clone of `work`, and so begins with what it captured at first. Closures can be cloned whose captures can, references among them.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Seat { #[schema(primary_key)] id: i64, guest: Option<String> }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// use store_core::{Isolation, Query, TransactionOptions};
    ///
    /// let options = TransactionOptions { isolation: Isolation::Serializable, retries: 5, ..TransactionOptions::default() };
    /// let is_seated = store
    ///     .transaction_with(options, async |tx| {
    ///         let free = Query::<Seat>::new().filter(Seat::guest().is_null()).limit(1);
    ///         let Some(seat) = tx.search(free).await?.pop() else { return Ok(false) };
    ///         tx.set(Seat { guest: Some("Ada".into()), ..seat }).await?;
    ///         Ok(true)
    ///     })
    ///     .await?;
    /// # let _ = is_seated; Ok(()) } let _ = example;
    /// ```
    pub async fn transaction_with<R>(
        &self,
        options: TransactionOptions,
        work: impl AsyncFnOnce(&mut Transaction) -> Result<R> + Clone,
    ) -> Result<R> {
        let (store, limit) = (self.clone(), Limit::new(self, &options));
        let run_until_done = async move {
            let mut repeated = 0;
            loop {
                let mut transaction = store.open(options.isolation, &limit).await?;
                let ended = timeout(limit.remaining(), (work.clone())(&mut transaction)).await;
                let result = match store.conclude(transaction, ended, &limit).await {
                    Err(Conclusion { is_conflict: true, error }) if repeated < options.retries => Err(error),
                    concluded => return concluded.map_err(|conclusion| conclusion.error),
                };
                let pause = pause(repeated);
                if pause >= limit.remaining() {
                    return result;
                }
                repeated += 1;
                tokio::time::sleep(pause).await;
            }
        };
        self.within(run_until_done).await
    }

    pub(super) async fn run_once<R>(&self, work: impl AsyncFnOnce(&mut Transaction) -> Result<R>) -> Result<R> {
        let options = TransactionOptions::default();
        let (store, limit) = (self.clone(), Limit::new(self, &options));
        let run = async move {
            let mut transaction = store.open(options.isolation, &limit).await?;
            let ended = timeout(limit.remaining(), work(&mut transaction)).await;
            store.conclude(transaction, ended, &limit).await.map_err(|conclusion| conclusion.error)
        };
        self.within(run).await
    }

    /// Runs within the store's runtime where it is polled outside of any. On the heap, so that a program's own futures do not grow by all of it.
    async fn within<R>(&self, run: impl Future<Output = Result<R>>) -> Result<R> {
        let run = Box::pin(run);
        self.shared().life.within(run).await
    }

    async fn open(&self, isolation: Isolation, limit: &Limit) -> Result<Transaction> {
        let open = async {
            let tables = self.transactional()?;
            // It comes after earlier writes that are still under way though their callers gave up. Later it could not wait for them: they might wait for it.
            // For the same reason what is pending is flushed before.
            let settled = timeout(limit.remaining(), async {
                join_all(self.schemas().iter().filter(|schema| schema.follows_log()).map(|schema| schema.settled())).await;
                match &self.shared().behind {
                    Some(behind) if behind.dirty() > 0 => behind.flush().await,
                    _ => Ok(()),
                }
            });
            settled.await.map_err(|Elapsed { .. }| limit.passed())??;
            tables.begin(&Begin { isolation, limit: limit.remaining() }).await
        };
        open.await.map(|inner| Transaction::new(self, inner)).map_err(|error| self.told(error))
    }

    /// Commits or rolls back, by how the work ended.
    async fn conclude<R>(&self, transaction: Transaction, ended: Result<Result<R>, Elapsed>, limit: &Limit) -> Result<R, Conclusion> {
        let was_in_conflict = transaction.is_in_conflict;
        let error = match ended {
            Ok(Ok(value)) => match self.finish(transaction).await {
                Ok(()) => return Ok(value),
                Err(error) => {
                    let is_conflict = is_conflict(&error) || (was_in_conflict && !may_have_taken_effect(&error));
                    return Err(Conclusion { is_conflict, error: self.told(error) });
                }
            },
            Ok(Err(error)) => error,
            Err(Elapsed { .. }) => self.told(limit.passed()),
        };
        if let Err(failed) = transaction.inner.rollback().await {
            tracing::debug!(error = %failed, "a rollback was not acknowledged; the connection was discarded, which ends the transaction too");
        }
        Err(Conclusion { is_conflict: was_in_conflict, error })
    }

    fn transactional(&self) -> Result<&dyn Tables> {
        self.check_open("transaction")?;
        self.tables().map(|tables| &**tables).ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfig, "a transaction needs a tier of truth with tables; add PostgreSQL or SQLite to the store")
        })
    }

    /// Commits, and brings the caches up to date, in a task that outlives the caller and that closing waits for.
    ///
    /// A commit waits for no turn (`truth_writes`): writes that have theirs may wait for what the transaction has locked.
    async fn finish(&self, transaction: Transaction) -> Result<()> {
        transaction.check("transaction")?;
        let Transaction { inner, mut changes, .. } = transaction;
        let commit = async move {
            for change in &mut changes {
                if let Err(error) = change.prepare().await {
                    // It is dropped where that fails, which rolls back too.
                    let _ = inner.rollback().await;
                    return Err(error);
                }
            }
            let committed = inner.commit().await;
            match &committed {
                Ok(()) => {
                    // All of them, before the first is waited for.
                    changes.iter_mut().for_each(|change| change.hear());
                    join_all(changes.into_iter().map(Change::publish)).await;
                }
                Err(error) if may_have_taken_effect(error) => drop(join_all(changes.into_iter().map(Change::doubt)).await),
                Err(_) => {}
            }
            committed
        };
        self.shared().outlive("commit", commit).await
    }

    /// Adds what an error of the transaction itself should say, and counts it.
    fn told(&self, error: Error) -> Error {
        self.shared().counters.errors.add(1);
        error.with_operation("transaction")
    }
}

/// How a run ended that was not committed.
struct Conclusion {
    error: Error,
    /// Whether the truth rolled it back because of others.
    is_conflict: bool,
}

/// The limit of all runs together.
struct Limit {
    limit: Duration,
    began: Instant,
}

impl Limit {
    fn new(store: &Store, options: &TransactionOptions) -> Self {
        Limit { limit: options.limit.unwrap_or(store.shared().settings.transaction_timeout), began: Instant::now() }
    }

    fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    fn passed(&self) -> Error {
        limit_passed(self.limit)
    }
}

/// The pause behind a number of runs that were repeated already.
fn pause(repeated: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << repeated.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + random_part() / 2.0)
}
