//! <https://docs.rs/oxcache/0.4.3/oxcache/cache/struct.Cache.html>: `get_or`, `delete`, `set`, `clear`.

use std::sync::Arc;

use anyhow::Result;
use oxcache::{Cache, ChainCache, ChainLink, DashMapMemoryBackend, MokaMemoryBackend};

use crate::library::{CAPACITY, Calls, KEY, Library, NEW};
use crate::source::{Source, SourceHold};

pub(crate) struct Oxcache {
    cache: Cache<String, String>,
    source: Source,
}

impl Library for Oxcache {
    const CALLS: Calls = Calls {
        library: "oxcache",
        read: "get_or",
        invalidate: "delete",
        write: "set",
        invalidate_all: "clear",
        set_up: "Cache over a ChainCache of two tiers in memory",
    };

    type Hold = SourceHold;

    async fn open() -> Result<Self> {
        let near = MokaMemoryBackend::builder().capacity(CAPACITY as u64).build();
        let far = DashMapMemoryBackend::builder().capacity(CAPACITY).build();
        let chain = ChainCache::builder().link(ChainLink::from_backend(near)).link(ChainLink::from_backend(far)).enable_backfill().build();
        Ok(Oxcache { cache: Cache::builder().backend_arc(Arc::new(chain)).build().await?, source: Source::new() })
    }

    fn hold(&self) -> SourceHold {
        self.source.hold()
    }

    async fn read(&self) -> Result<String> {
        Ok(self.cache.get_or(&KEY.to_owned(), || async { Ok(self.source.load().await.to_owned()) }).await?)
    }

    async fn change_source(&self) -> Result<()> {
        self.source.change();
        Ok(())
    }

    async fn invalidate(&self) -> Result<()> {
        Ok(self.cache.delete(&KEY.to_owned()).await?)
    }

    async fn write(&self) -> Result<()> {
        self.source.change();
        Ok(self.cache.set(&KEY.to_owned(), &NEW.to_owned()).await?)
    }

    async fn invalidate_all(&self) -> Result<()> {
        Ok(self.cache.clear().await?)
    }

    async fn holds_key(&self) -> bool {
        self.cache.exists(&KEY.to_owned()).await.unwrap_or(true)
    }

    async fn use_other(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.cache.get(&key).await?;
        Ok(self.cache.set(&key, &"other".to_owned()).await?)
    }
}
