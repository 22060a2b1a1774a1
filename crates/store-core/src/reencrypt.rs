//! Encrypting records anew, with the key that encrypts now.

use std::fmt;
use std::time::Duration;

use crate::collection::Collection;
use crate::error::Result;
use crate::schema::Schema;

/// The most rows that are written in one transaction.
const CHUNK: u32 = 100;
const ROWS_PER_SECOND: u32 = 1_000;

/// How far [`Reencrypt`] has come.
///
/// ```
/// use store_core::ReencryptProgress;
///
/// let percent = |progress: &ReencryptProgress| progress.done * 100 / progress.total.max(1);
/// # let _ = percent;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReencryptProgress {
    /// Records whose encrypted fields need nothing more.
    pub done: u64,
    /// Records of the table. Others may write some meanwhile.
    pub total: u64,
    /// Records that cannot be decrypted, and stay as they are. A run counts those that it has met; [`progress`](Reencrypt::progress) counts those whose key the store
    /// was not given, and cannot tell whether the others were tampered with.
    pub unreadable: u64,
    /// Records that were met and that the truth did not take with their new blind index, as another record has the same: a field became `unique`, or was written twice
    /// while instances had different index keys. They stay as they are.
    pub refused: u64,
    /// The text form of the last key that was dealt with in this run, for [`Reencrypt::after`].
    pub last_key: Option<String>,
    /// The number of the key that encrypts.
    pub key: u32,
}

impl ReencryptProgress {
    /// Whether no record needs a key but the one that encrypts.
    pub fn is_complete(&self) -> bool {
        self.done >= self.total
    }
}

/// A job that encrypts a schema's records with the key that encrypts now, where they are not, and makes missing blind indexes; made by [`Collection::reencrypt`].
///
/// What is left to do is asked of the table itself. So the job may end at any moment, with the program even, and goes on where it was when it is run
/// again; and two of them harm no one. Each record is read and written under its lock, so that no write of others comes between, and nothing but its encrypted
/// columns and its version change: no hook runs, and no time is stamped. Caches drop their copies of it.
///
/// ```
/// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: String, #[schema(encrypted)] email: String }
/// # async fn example(players: store_core::Collection<Player>) -> store_core::Result<()> {
/// let progress = players.reencrypt().rows_per_second(500).on_progress(|progress| println!("{} of {}", progress.done, progress.total)).run().await?;
/// assert!(progress.is_complete(), "the old key is needed no more");
/// # Ok(()) } let _ = example;
/// ```
#[must_use = "nothing is encrypted before `run`"]
pub struct Reencrypt<'a, T: Schema> {
    collection: &'a Collection<T>,
    options: Options<'a>,
}

/// How fast it goes, and who hears of it.
pub(crate) struct Options<'a> {
    pub(crate) chunk: u32,
    pub(crate) rows_per_second: u32,
    pub(crate) everything: bool,
    pub(crate) after: Option<String>,
    pub(crate) progress: Option<Box<dyn FnMut(ReencryptProgress) + Send + 'a>>,
}

impl Options<'_> {
    /// The time that a number of rows may take.
    pub(crate) fn time_of(&self, rows: usize) -> Duration {
        Duration::from_secs_f64(rows as f64 / f64::from(self.rows_per_second.max(1)))
    }
}

impl<T: Schema> Collection<T> {
    /// Encrypts the records of the table with the key that encrypts now, after that has become another one, and makes blind indexes that are missing.
    ///
    /// Once it has run to the end, and no instance, journal or dead letter is left that writes with an older key, that key can leave the key ring.
    pub fn reencrypt(&self) -> Reencrypt<'_, T> {
        let options = Options { chunk: CHUNK, rows_per_second: ROWS_PER_SECOND, everything: false, after: None, progress: None };
        Reencrypt { collection: self, options }
    }
}

impl<'a, T: Schema> Reencrypt<'a, T> {
    /// Writes at most so many records in a second, on average. Default: 1,000; at least 1.
    pub fn rows_per_second(mut self, rows: u32) -> Self {
        self.options.rows_per_second = rows.max(1);
        self
    }

    /// Writes at most so many records in one transaction. Default: 100; at least 1.
    pub fn chunk(mut self, rows: u32) -> Self {
        self.options.chunk = rows.max(1);
        self
    }

    /// Encrypts all records anew, also those of the key that encrypts now: for a new key of blind indexes. The table does not tell what such a run has done: if it
    /// ends early it begins again at the first record, or where [`after`](Self::after) says.
    pub fn everything(mut self) -> Self {
        self.options.everything = true;
        self
    }

    /// Begins behind this key, in its text form: the [`last_key`](ReencryptProgress::last_key) that an earlier run told of. Default: at the first record. A run of
    /// [`everything`](Self::everything) takes what is before it to be done. A text that is no key of the schema fails when the job runs.
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.options.after = Some(key.into());
        self
    }

    /// Tells, at the beginning and after each transaction, how far it has come.
    pub fn on_progress(mut self, progress: impl FnMut(ReencryptProgress) + Send + 'a) -> Self {
        self.options.progress = Some(Box::new(progress));
        self
    }

    /// Runs the job to the end, and answers how far it came: all the way, if nothing was unreadable or refused. Errors that may pass are waited for, with pauses,
    /// up to ten times in a row.
    ///
    /// Dropping the future ends the job: the transaction under way is stored as a whole or not at all, and no other begins. Spawn it to let it run beside the program.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for a schema that has no table or no encrypted field; [`InvalidConfig`](crate::ErrorKind::InvalidConfig) for
    /// one that is written behind with [`OnConflict::Reject`](crate::OnConflict::Reject), as other instances' pending writes would become dead letters; what the truth says otherwise.
    pub async fn run(self) -> Result<ReencryptProgress> {
        let pipeline = self.collection.pipeline();
        pipeline.call("reencrypt", pipeline.reencrypt(self.options)).await
    }

    /// How far earlier runs and writes have come, without doing more, and how many records have a value of a key that the store was not given.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) as [`run`](Self::run) answers it; what the truth says otherwise.
    pub async fn progress(self) -> Result<ReencryptProgress> {
        let pipeline = self.collection.pipeline();
        pipeline.call("reencrypt", pipeline.reencrypt_progress()).await
    }
}

impl<T: Schema> fmt::Debug for Reencrypt<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { chunk, rows_per_second, everything, after, .. } = &self.options;
        f.debug_struct("Reencrypt")
            .field("chunk", chunk)
            .field("rows_per_second", rows_per_second)
            .field("everything", everything)
            .field("after", after)
            .finish_non_exhaustive()
    }
}
