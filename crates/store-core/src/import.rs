//! Writing more records than one transaction should hold.

use std::fmt;
use std::pin::pin;

use futures_core::Stream;
use futures_util::StreamExt;

use crate::collection::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Schema;

/// Records in one transaction, unless [`chunk`](Import::chunk) says otherwise.
const CHUNK: usize = 5_000;

/// An import that is about to run; made by [`Collection::import`]. It writes the source's models in order, so many in each transaction.
///
/// ```
/// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), store_core::ImportError> {
/// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
/// # let cities = store.collection::<City>()?;
/// let source = || (1..=12_000).map(|id| City { id, name: format!("City {id}") });
///
/// let import = cities.import(source()).chunk(1_000).on_progress(|stored| println!("{stored} are stored"));
/// match import.run().await {
///     Ok(stored) => assert_eq!(stored, 12_000),
///     // What came before is stored and stays: go on from there.
///     Err(error) => {
///         cities.import(source()).resume_at(error.stored()).run().await?;
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "an import does nothing before `run`"]
pub struct Import<'a, T: Schema, S> {
    collection: &'a Collection<T>,
    source: S,
    chunk: usize,
    resume_at: u64,
    progress: Option<Box<dyn FnMut(u64) + Send + 'a>>,
}

impl<'a, T: Schema, S> Import<'a, T, S> {
    pub(crate) fn new(collection: &'a Collection<T>, source: S) -> Self {
        Import { collection, source, chunk: CHUNK, resume_at: 0, progress: None }
    }

    /// Writes so many records in each transaction, at least one. Default: 5,000.
    ///
    /// From 1,001 on, the other instances drop all their copies of the model with each chunk; up to 1,000, those of its records.
    pub fn chunk(mut self, records: usize) -> Self {
        self.chunk = records.max(1);
        self
    }

    /// Skips so many models at the beginning of the source, which an earlier run has [stored](ImportError::stored).
    pub fn resume_at(mut self, stored: u64) -> Self {
        self.resume_at = stored;
        self
    }

    /// Tells, after each chunk, how many of the source's models are stored, those of an earlier run included.
    pub fn on_progress(mut self, progress: impl FnMut(u64) + Send + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }
}

impl<T: Schema, S: Stream<Item = Result<T>>> Import<'_, T, S> {
    /// Runs the import, and answers how many of the source's models are stored, those of an earlier run included.
    ///
    /// Dropping the future ends the import: the chunk under way is stored as a whole or not at all, and no other begins.
    ///
    /// # Errors
    ///
    /// The first of a chunk, as [`Collection::set_many`], or of the source, with the number of models before it that are stored. After
    /// [`L3Unavailable`](crate::ErrorKind::L3Unavailable) and [`Timeout`](crate::ErrorKind::Timeout) the chunk behind these may be stored as well, and it is where
    /// [`Hooks::after_load`](crate::Hooks::after_load) fails over one of its models; writing it again
    /// does no harm.
    pub async fn run(self) -> Result<u64, ImportError> {
        let Import { collection, source, chunk, resume_at, mut progress } = self;
        let (mut stored, mut seen) = (resume_at, 0);
        let mut source = pin!(source);
        let mut is_over = false;
        while !is_over {
            let (mut models, mut failed) = (Vec::with_capacity(chunk.min(CHUNK)), None);
            while models.len() < chunk && failed.is_none() && !is_over {
                match source.next().await {
                    Some(Ok(model)) => {
                        if seen >= resume_at {
                            models.push(model);
                        }
                        seen += 1;
                    }
                    Some(Err(error)) => failed = Some(error),
                    None => is_over = true,
                }
            }
            // What the source gave before it failed is stored.
            if !models.is_empty() {
                let count = models.len() as u64;
                collection.set_chunk(models).await.map_err(|error| ImportError { stored, error })?;
                stored += count;
                if let Some(progress) = &mut progress {
                    progress(stored);
                }
            }
            if let Some(error) = failed {
                return Err(ImportError { stored, error });
            }
        }
        if seen < resume_at {
            return Err(ImportError { stored: seen, error: too_short(seen, resume_at) });
        }
        Ok(stored)
    }
}

fn too_short(seen: u64, resume_at: u64) -> Error {
    let message = format!(
        "the source ended after {seen} models, and `resume_at({resume_at})` skips more than that: nothing was written; give what `ImportError::stored` said of the \
         run that this one goes on with, and the same source"
    );
    Error::new(ErrorKind::InvalidQuery, message)
}

impl<T: Schema, S> fmt::Debug for Import<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("chunk", &self.chunk).field("resume_at", &self.resume_at).finish_non_exhaustive()
    }
}

/// Why an import ended, and how far it had come. It turns into an [`Error`] with `?`.
///
/// ```
/// use store_core::{Error, ErrorKind, ImportError};
///
/// let error = ImportError::from(Error::new(ErrorKind::Timeout, "no answer within 30s"));
/// assert_eq!((error.stored(), error.error().kind()), (0, ErrorKind::Timeout));
/// ```
#[derive(Debug)]
pub struct ImportError {
    stored: u64,
    error: Error,
}

impl ImportError {
    /// How many models at the beginning of the source are stored.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// What went wrong behind them.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What went wrong behind them.
    pub fn into_error(self) -> Error {
        self.error
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the import ended behind {} stored records: {}", self.stored, self.error)
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Of an error before anything was stored.
impl From<Error> for ImportError {
    fn from(error: Error) -> Self {
        ImportError { stored: 0, error }
    }
}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        error.error
    }
}
