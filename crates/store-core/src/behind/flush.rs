//! One flush: all that is pending, in one transaction of the truth.

mod write;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::item::{Batch, Item, Outcome};
use super::{Behind, Order};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{AppliedPlace, Begin, DeadLetter, Isolation, Journals, RowLock, Tables, Transaction};
use crate::pipeline::may_have_taken_effect;
use crate::sync::{sleep, spawn};
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};
use write::{Care, Stopped};

/// How often a flush begins anew because of this instance's own writes.
const MOST_CONTENTIONS: u32 = 100;
const CONTENTION_PAUSE: Duration = Duration::from_millis(5);

/// How far flushes have come.
#[derive(Default)]
pub(super) struct Flushes {
    /// The last place that is decided, with all before it.
    pub(super) covered: u64,
    /// How far the truth has applied them, as far as is known here.
    pub(super) applied: u64,
    /// What was sent and may have been committed.
    in_doubt: Option<Taken>,
    /// How often the flush of what is pending failed because of others, in a row.
    conflicts: u32,
}

/// What a flush has taken, of all schemas.
struct Taken {
    /// The last place of it.
    last: AppliedPlace,
    batches: Vec<Box<dyn Batch>>,
    letters: usize,
}

impl Behind {
    /// Flushes all that is pending now.
    ///
    /// # Errors
    ///
    /// What the truth says; what is pending stays so.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<()> {
        let last = self.order().last.sequence;
        self.flush_to(last).await
    }

    /// Flushes what is pending up to a place. The work runs in a task of its own, which a caller that gives up does not stop.
    pub(crate) async fn flush_to(self: &Arc<Self>, place: u64) -> Result<()> {
        let behind = Arc::clone(self);
        let flush = spawn(&self.runtime, async move {
            let mut flushes = behind.flushing.lock().await;
            if flushes.covered >= place && behind.order().letters.is_empty() {
                return Ok(());
            }
            let flushed = behind.flush_all(&mut flushes).await;
            let mut trouble = behind.trouble();
            match &flushed {
                Ok(()) => *trouble = super::Trouble::default(),
                Err(error) => {
                    trouble.failures = trouble.failures.saturating_add(1);
                    trouble.error = Some(error.summary());
                }
            }
            flushed
        });
        match flush.await {
            Ok(flushed) => flushed,
            Err(ended) if ended.is_panic() => {
                Err(Error::new(ErrorKind::Internal, "a flush panicked; what was pending and not committed is tried again"))
            }
            Err(_) => Err(Error::runtime_ended()),
        }
    }

    async fn flush_all(&self, flushes: &mut Flushes) -> Result<()> {
        self.resolve_doubt(flushes).await?;
        let mut checks_deferred = false;
        for _ in 0..MOST_CONTENTIONS {
            match self.flush_once(flushes, checks_deferred).await {
                Ok(()) => {
                    flushes.conflicts = 0;
                    return Ok(());
                }
                // The other write of this instance has to be heard of first.
                Err(Stopped::Contended) => sleep(CONTENTION_PAUSE).await,
                // What the commit refuses names no record. Checked sooner, it does.
                Err(Stopped::AtCommit(_)) if !checks_deferred => checks_deferred = true,
                Err(Stopped::AtCommit(error) | Stopped::Failed(error)) => {
                    flushes.conflicts += u32::from(is_conflict(&error));
                    return Err(error);
                }
            }
        }
        let message = "this store's own writes of the same keys came between each time; it is tried again";
        Err(Error::new(ErrorKind::Conflict, message).with_retryable(true))
    }

    async fn flush_once(&self, flushes: &mut Flushes, checks_deferred: bool) -> Result<(), Stopped> {
        let (mut taken, letters) = self.take()?;
        if taken.batches.is_empty() && letters.is_empty() {
            flushes.covered = taken.last.sequence;
            return Ok(());
        }
        // What the truth says it has applied must be in the journal after a power cut too: places are not given twice.
        // If that fails, the truth is the safer place; the next store refuses a journal that lacks what was applied.
        if let Some(journal) = &self.journal
            && let Err(error) = journal.sync(taken.last.sequence).await
        {
            tracing::error!(%error, "the journal cannot be made durable; what is pending is flushed all the same");
        }
        let mut transaction = self.begin().await?;
        let care = Care { is_lenient: flushes.conflicts > self.settings.max_retries, checks_deferred };
        if let Err(stopped) = self.send(&mut *transaction, flushes, &mut taken, letters, care).await {
            // It is dropped where that fails, which rolls back too.
            let _ = transaction.rollback().await;
            return Err(stopped);
        }
        match transaction.commit().await {
            Ok(()) => {
                self.finish(flushes, taken).await;
                Ok(())
            }
            Err(error) => {
                if may_have_taken_effect(&error) {
                    flushes.in_doubt = Some(taken);
                }
                Err(if write::is_of_a_record(&error) { Stopped::AtCommit(error) } else { Stopped::Failed(error) })
            }
        }
    }

    fn take(&self) -> Result<(Taken, Vec<DeadLetter>)> {
        // No write gets its place meanwhile.
        let order = self.order();
        let Order { last, letters } = &*order;
        let mut batches = Vec::new();
        for overlay in self.overlays() {
            batches.extend(overlay.take()?);
        }
        Ok((Taken { last: *last, batches, letters: letters.len() }, letters.clone()))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>> {
        self.tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit: self.limit }).await
    }

    async fn send(
        &self,
        transaction: &mut dyn Transaction,
        flushes: &Flushes,
        taken: &mut Taken,
        letters: Vec<DeadLetter>,
        care: Care,
    ) -> Result<(), Stopped> {
        write::write_all(transaction, &mut taken.batches, care).await?;
        for batch in &taken.batches {
            self.put_letters(transaction, &**batch).await?;
        }
        for letter in &letters {
            transaction.put_dead_letter(letter).await?;
        }
        if !transaction.advance_journal(&self.name, flushes.applied, taken.last).await? {
            return Err(applied_elsewhere(flushes.applied).into());
        }
        Ok(())
    }

    /// Keeps what the truth refused of a batch and somebody relies on, with what the truth holds instead: a retry is to replace nothing newer.
    async fn put_letters(&self, transaction: &mut dyn Transaction, batch: &dyn Batch) -> Result<()> {
        let refused = |(index, item)| match batch.outcome(index) {
            Some(Outcome::Refused(error)) => Some((index, item, error)),
            _ => None,
        };
        let items = batch.items().iter().enumerate().filter(|(_, item)| item.is_acknowledged);
        let refused: Vec<(usize, &Item, &Error)> = items.filter_map(refused).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let keys: Vec<Row<'_>> = refused.iter().map(|(_, item, _)| item.key.iter().map(Value::as_borrowed).collect()).collect();
        let stored = transaction.get_many(batch.schema(), &keys, RowLock::None).await?;
        for ((index, item, error), stored) in refused.into_iter().zip(stored) {
            let letter = DeadLetter {
                journal: self.name.clone(),
                sequence: item.sequence,
                schema: batch.schema().name().to_owned(),
                key: item.text.clone(),
                entry: batch.entry(index, stored.map(|stored| stored.version))?,
                error: error.summary(),
                failed_at: self.now()?,
            };
            transaction.put_dead_letter(&letter).await?;
        }
        Ok(())
    }

    pub(super) fn now(&self) -> Result<Timestamp> {
        Timestamp::from_system_time(self.clock.now())
    }

    /// Brings the caches up to date after the commit, and the journal.
    async fn finish(&self, flushes: &mut Flushes, taken: Taken) {
        let Taken { last, mut batches, letters } = taken;
        // All of them, before the first is waited for.
        batches.iter_mut().for_each(|batch| batch.hear());
        join_all(batches.into_iter().map(Batch::publish)).await;
        flushes.covered = flushes.covered.max(last.sequence);
        flushes.applied = flushes.applied.max(last.sequence);
        self.order().letters.drain(..letters);
        self.room.free(letters);
        if let Some(journal) = &self.journal {
            journal.release(&self.runtime, last.sequence).await;
        }
    }

    /// Learns whether a flush was committed whose answer was lost.
    async fn resolve_doubt(&self, flushes: &mut Flushes) -> Result<()> {
        let Some(taken) = flushes.in_doubt.take() else { return Ok(()) };
        match self.applied().await {
            Ok(applied) => {
                // Elsewhere than where this flush would have left it, it is told by the next one.
                if applied == taken.last {
                    self.finish(flushes, taken).await;
                }
                Ok(())
            }
            Err(error) => {
                flushes.in_doubt = Some(taken);
                Err(error)
            }
        }
    }

    /// How far the truth has applied the journal, once no transaction is under way any more that says so.
    pub(super) async fn applied(&self) -> Result<AppliedPlace> {
        applied(&*self.tables, &*self.journals, &self.name, self.limit).await
    }
}

/// As [`Behind::applied`], before the journal is open.
pub(super) async fn applied(tables: &dyn Tables, journals: &dyn Journals, name: &str, limit: Duration) -> Result<AppliedPlace> {
    let mut transaction = tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await?;
    // An earlier transaction of this journal's that the server has not ended yet holds the row.
    transaction.advance_journal(name, 0, AppliedPlace::default()).await?;
    let applied = journals.applied(name).await;
    let _ = transaction.rollback().await;
    applied.map(Option::unwrap_or_default)
}

/// The error of a journal of which the truth has applied more than this store had it apply.
fn applied_elsewhere(applied: u64) -> Error {
    let message = format!(
        "another store has the truth apply a journal of the same number, of which this one has applied it up to {applied}: its directory was copied, and both are in use. Nothing of \
         this one is flushed any more; what is pending can still be read: write it by a store with a journal of its own"
    );
    Error::new(ErrorKind::JournalUnavailable, message)
}

/// Whether a flush failed as [`applied_elsewhere`] says, so that no other will succeed.
pub(super) fn is_of_copy(error: &Error) -> bool {
    error.kind() == ErrorKind::JournalUnavailable
}

/// Whether the truth rolled back because of others.
fn is_conflict(error: &Error) -> bool {
    error.kind() == ErrorKind::TransactionFailed && error.is_retryable()
}
