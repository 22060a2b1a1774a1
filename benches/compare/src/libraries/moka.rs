//! <https://docs.rs/moka/0.12.16/moka/future/struct.Cache.html>: `get_with`, `invalidate`, `insert`, `invalidate_all`.

use anyhow::Result;
use moka::future::Cache;

use crate::library::{CAPACITY, Calls, KEY, Library, NEW};
use crate::source::{Source, SourceHold};

pub(crate) struct Moka {
    cache: Cache<String, &'static str>,
    source: Source,
}

impl Library for Moka {
    const CALLS: Calls = Calls {
        library: "moka",
        read: "get_with",
        invalidate: "invalidate",
        write: "insert",
        invalidate_all: "invalidate_all",
        set_up: "future::Cache",
    };

    type Hold = SourceHold;

    async fn open() -> Result<Self> {
        Ok(Moka { cache: Cache::new(CAPACITY as u64), source: Source::new() })
    }

    fn hold(&self) -> SourceHold {
        self.source.hold()
    }

    async fn read(&self) -> Result<String> {
        Ok(self.cache.get_with(KEY.to_owned(), self.source.load()).await.to_owned())
    }

    async fn change_source(&self) -> Result<()> {
        self.source.change();
        Ok(())
    }

    async fn invalidate(&self) -> Result<()> {
        self.cache.invalidate(KEY).await;
        Ok(())
    }

    async fn write(&self) -> Result<()> {
        self.source.change();
        self.cache.insert(KEY.to_owned(), NEW).await;
        Ok(())
    }

    async fn invalidate_all(&self) -> Result<()> {
        self.cache.invalidate_all();
        Ok(())
    }

    async fn holds_key(&self) -> bool {
        self.cache.contains_key(KEY)
    }

    async fn use_other(&self, key: &str) -> Result<()> {
        self.cache.get(key).await;
        self.cache.insert(key.to_owned(), "other").await;
        self.cache.run_pending_tasks().await;
        Ok(())
    }
}
