//! The writes that the truth refused.

use std::fmt;

use super::Over;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{DeadLetter, Journals};
use crate::schema::Schema;
use crate::store::Store;
use crate::tier::Role;

/// How many letters are read at once.
const PAGE: u64 = 1_000;

/// The writes of write-behind that the truth refused for their own sake: for a violated rule of the database, or a conflict with what another instance wrote.
/// The truth keeps them, whichever instance they were made on, until somebody has them retried or removed. [`Store::dead_letters`] gives it.
///
/// The fields of a [`DeadLetter`] say what it is: `journal` and `sequence` name it, `schema` and `key` the record, `error` and `failed_at` why and when it was refused; `entry` is the write in
/// the journal's own form. [`retry`](Self::retry) and [`overwrite`](Self::overwrite) call [`Hooks::after_set`](crate::Hooks::after_set) or
/// [`Hooks::after_delete`](crate::Hooks::after_delete) once they have written, and no other hook of a write: `before_set` and `before_delete` let it pass when it was made.
///
/// ```
/// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: String, gold: i64 }
/// # async fn example(store: store_core::Store) -> store_core::Result<()> {
/// let letters = store.dead_letters().of::<Player>();
/// let mut after = None;
/// loop {
///     let page = letters.list(after.as_ref(), 100).await?;
///     for letter in &page {
///         println!("{}, key {}, at {}: {}", letter.schema, letter.key, letter.failed_at, letter.error);
///         match letters.retry(letter).await {
///             // The record was written since.
///             Err(error) if error.kind() == store_core::ErrorKind::Conflict => _ = letters.remove(letter).await?,
///             retried => retried?,
///         }
///     }
///     let Some(last) = page.into_iter().next_back() else { break };
///     after = Some(last);
/// }
/// # Ok(()) } let _ = example;
/// ```
pub struct DeadLetters {
    store: Store,
    schema: Option<&'static str>,
}

impl Store {
    /// The writes of write-behind that the truth refused.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters { store: self.clone(), schema: None }
    }
}

impl DeadLetters {
    /// Those of one model alone.
    #[must_use]
    pub fn of<T: Schema>(mut self) -> Self {
        self.schema = Some(T::definition().name());
        self
    }

    /// At most `limit` of them, in the order of their journals and of their places there; those behind `after`, if given, which need not be
    /// there any more.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a store without a tier of truth; what the truth says.
    pub async fn list(&self, after: Option<&DeadLetter>, limit: u64) -> Result<Vec<DeadLetter>> {
        let after = after.map(|letter| (letter.journal.as_str(), letter.sequence));
        let list = async { self.journals()?.dead_letters(self.schema, after, limit).await };
        self.within(list).await
    }

    /// Writes what a letter holds and removes the letter: both or neither. What is pending on this instance is flushed first. It replaces what the truth held when the write
    /// was refused, and nothing newer, whoever wrote that: then [`overwrite`](Self::overwrite) or [`remove`](Self::remove) decides.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if the key was written since, or the truth keeps a dead letter of a later write of it from the same journal, or where nobody could
    /// tell what the truth held (a letter that the build which met it could not read) and it holds a record now. What the flush says; what the truth says of the write, as
    /// [`Collection::set`](crate::Collection::set). The letter stays in all these cases. [`NotFound`](ErrorKind::NotFound) if the letter is gone;
    /// [`SchemaNotFound`](ErrorKind::SchemaNotFound) or [`SchemaMismatch`](ErrorKind::SchemaMismatch) for a model that this build does not have, or not so.
    pub async fn retry(&self, letter: &DeadLetter) -> Result<()> {
        self.write(letter, Over::Same).await
    }

    /// As [`retry`](Self::retry), over whatever the truth holds by now, and what is pending on this instance: that is lost.
    ///
    /// # Errors
    ///
    /// Those of [`retry`](Self::retry) but `Conflict`.
    pub async fn overwrite(&self, letter: &DeadLetter) -> Result<()> {
        self.write(letter, Over::Any).await
    }

    async fn write(&self, letter: &DeadLetter, over: Over) -> Result<()> {
        let write = async {
            let schema = self.store.overlays().iter().find(|overlay| overlay.schema().name() == letter.schema);
            let schema = schema.ok_or_else(|| {
                let message = "the store has no such schema; add it to the builder";
                Error::new(ErrorKind::SchemaNotFound, message).with_schema(letter.schema.clone())
            })?;
            if let Some(behind) = &self.store.shared().behind {
                behind.flush().await?;
            }
            let written = async {
                if over == Over::Same {
                    self.check_last(letter).await?;
                }
                schema.clone().revive(letter.clone(), over).await
            };
            written.await.map_err(|error| error.with_key(letter.key.clone()))
        };
        self.within(write).await
    }

    /// Refuses a letter that is followed by one of a later write of its key.
    async fn check_last(&self, letter: &DeadLetter) -> Result<()> {
        let mut after = letter.sequence;
        loop {
            let page = self.journals()?.dead_letters(Some(&letter.schema), Some((&letter.journal, after)), PAGE).await?;
            let mut of_journal = page.iter().take_while(|later| later.journal == letter.journal);
            if let Some(later) = of_journal.find(|later| later.key == letter.key) {
                let message = format!(
                    "a later write of the key is a dead letter too, number {} of the same journal; retry that one and remove this, or remove that one first",
                    later.sequence
                );
                return Err(Error::new(ErrorKind::Conflict, message).with_schema(letter.schema.clone()));
            }
            match page.last() {
                Some(last) if page.len() as u64 == PAGE && last.journal == letter.journal => after = last.sequence,
                _ => return Ok(()),
            }
        }
    }

    /// Removes a letter and what it holds, for good. Whether it was there.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub async fn remove(&self, letter: &DeadLetter) -> Result<bool> {
        let remove = async { self.journals()?.remove_dead_letter(&letter.journal, letter.sequence).await };
        self.within(remove).await
    }

    fn journals(&self) -> Result<&dyn Journals> {
        self.store.journals().map(|journals| &**journals).ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfig, "dead letters are kept by a tier of truth; add PostgreSQL or SQLite to the store")
        })
    }

    async fn within<R>(&self, call: impl Future<Output = Result<R>>) -> Result<R> {
        self.store.check_open("dead_letters")?;
        let call = Box::pin(call);
        let done = self.store.shared().life.within(call).await;
        done.map_err(|error| error.with_tier(Role::Truth).with_operation("dead_letters"))
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("schema", &self.schema).finish_non_exhaustive()
    }
}
