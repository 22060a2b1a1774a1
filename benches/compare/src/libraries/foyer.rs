//! <https://docs.rs/foyer-memory/0.22.6/foyer_memory/enum.Cache.html>, which foyer re-exports: `get_or_fetch`, `remove`, `insert`, `clear`.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use foyer::{Cache, CacheBuilder};

use crate::library::{CAPACITY, Calls, KEY, Library, NEW};
use crate::source::{Source, SourceHold};

pub(crate) struct Foyer {
    cache: Cache<String, &'static str>,
    source: Arc<Source>,
}

impl Library for Foyer {
    const CALLS: Calls = Calls {
        library: "foyer",
        read: "get_or_fetch",
        invalidate: "remove",
        write: "insert",
        invalidate_all: "clear",
        set_up: "Cache, in memory",
    };

    type Hold = SourceHold;

    async fn open() -> Result<Self> {
        // The capacity is divided among the shards.
        let cache = CacheBuilder::new(CAPACITY).with_shards(1).build();
        Ok(Foyer { cache, source: Arc::new(Source::new()) })
    }

    fn hold(&self) -> SourceHold {
        self.source.hold()
    }

    async fn read(&self) -> Result<String> {
        let source = Arc::clone(&self.source);
        let entry = self.cache.get_or_fetch(KEY, || async move { Ok::<_, Infallible>(source.load().await) }).await?;
        Ok((*entry.value()).to_owned())
    }

    async fn change_source(&self) -> Result<()> {
        self.source.change();
        Ok(())
    }

    async fn invalidate(&self) -> Result<()> {
        self.cache.remove(KEY);
        Ok(())
    }

    async fn write(&self) -> Result<()> {
        self.source.change();
        self.cache.insert(KEY.to_owned(), NEW);
        Ok(())
    }

    async fn invalidate_all(&self) -> Result<()> {
        self.cache.clear();
        Ok(())
    }

    async fn holds_key(&self) -> bool {
        self.cache.contains(KEY)
    }

    async fn use_other(&self, key: &str) -> Result<()> {
        self.cache.get(key);
        self.cache.insert(key.to_owned(), "other");
        Ok(())
    }
}
