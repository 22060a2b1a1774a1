use anyhow::Result;

/// The key that every race is about.
pub(crate) const KEY: &str = "key";
/// What the source holds first.
pub(crate) const OLD: &str = "old";
/// What the source holds after it was changed.
pub(crate) const NEW: &str = "new";
/// The most entries that a cache may hold, for libraries whose bound counts entries.
pub(crate) const CAPACITY: usize = 4;

/// A cache in front of a source that holds [`OLD`] under [`KEY`], through the calls that its documentation gives for each purpose.
pub(crate) trait Library: Sized {
    /// What the methods below call.
    const CALLS: Calls;

    /// A load that waits.
    type Hold: Hold;

    /// Makes a cache that holds nothing, and its source.
    async fn open() -> Result<Self>;

    /// Lets the next load of the key take its answer from the source and wait with it.
    fn hold(&self) -> Self::Hold;

    /// Reads the key, through the source if the cache does not hold it.
    async fn read(&self) -> Result<String>;

    /// Puts [`NEW`] into the source behind the cache's back.
    async fn change_source(&self) -> Result<()>;

    /// Tells the cache that the key changed.
    async fn invalidate(&self) -> Result<()>;

    /// Puts [`NEW`] into the source and tells the cache the new value.
    async fn write(&self) -> Result<()>;

    /// Tells the cache that everything may have changed.
    async fn invalidate_all(&self) -> Result<()>;

    /// Whether the cache holds the key in memory.
    async fn holds_key(&self) -> bool;

    /// Reads and writes an entry of another key.
    async fn use_other(&self, key: &str) -> Result<()>;
}

/// A load that waits until this is dropped.
pub(crate) trait Hold {
    /// Waits until the load has its answer from the source.
    async fn arrived(&mut self) -> Result<()>;
}

/// The names of what was called, for the note below the table.
#[derive(Debug)]
pub(crate) struct Calls {
    /// The name of the package.
    pub(crate) library: &'static str,
    pub(crate) read: &'static str,
    pub(crate) invalidate: &'static str,
    pub(crate) write: &'static str,
    pub(crate) invalidate_all: &'static str,
    pub(crate) set_up: &'static str,
}
