//! <https://docs.rs/quick_cache/0.7.0/quick_cache/sync/struct.Cache.html>: `get_or_insert_async`, `remove`, `insert`, `clear`.

use std::convert::Infallible;

use anyhow::Result;
use quick_cache::sync::Cache;

use crate::library::{CAPACITY, Calls, KEY, Library, NEW};
use crate::source::{Source, SourceHold};

pub(crate) struct QuickCache {
    cache: Cache<String, &'static str>,
    source: Source,
}

impl Library for QuickCache {
    const CALLS: Calls = Calls {
        library: "quick_cache",
        read: "get_or_insert_async",
        invalidate: "remove",
        write: "insert",
        invalidate_all: "clear",
        set_up: "sync::Cache",
    };

    type Hold = SourceHold;

    async fn open() -> Result<Self> {
        Ok(QuickCache { cache: Cache::new(CAPACITY), source: Source::new() })
    }

    fn hold(&self) -> SourceHold {
        self.source.hold()
    }

    async fn read(&self) -> Result<String> {
        let value = self.cache.get_or_insert_async(KEY, async { Ok::<_, Infallible>(self.source.load().await) }).await?;
        Ok(value.to_owned())
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
        self.cache.contains_key(KEY)
    }

    async fn use_other(&self, key: &str) -> Result<()> {
        self.cache.get(key);
        self.cache.insert(key.to_owned(), "other");
        Ok(())
    }
}
