//! <https://docs.rs/multi-tier-cache/0.6.9/multi_tier_cache/cache_manager/struct.CacheManager.html>:
//! `get_or_compute_with`, `invalidate`, `update_cache`, `invalidate_pattern`.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use multi_tier_cache::backends::DashMapCache;
use multi_tier_cache::{CacheBackend, CacheManager, CacheStrategy, CacheTier};

use crate::library::{CAPACITY, Calls, KEY, Library, NEW};
use crate::source::{Source, SourceHold};

pub(crate) struct MultiTierCache {
    cache: CacheManager,
    near: Arc<DashMapCache>,
    far: Arc<DashMapCache>,
    source: Source,
}

impl Library for MultiTierCache {
    const CALLS: Calls = Calls {
        library: "multi-tier-cache",
        read: "get_or_compute_with",
        invalidate: "invalidate",
        write: "update_cache",
        invalidate_all: "invalidate_pattern(\"*\")",
        set_up: "CacheManager, two tiers in memory",
    };

    type Hold = SourceHold;

    async fn open() -> Result<Self> {
        let near = Arc::new(DashMapCache::new_with_capacity(CAPACITY));
        let far = Arc::new(DashMapCache::new_with_capacity(CAPACITY));
        let tiers = vec![CacheTier::new(near.clone(), 1, false, 1, 1.0), CacheTier::new(far.clone(), 2, true, 1, 1.0)];
        Ok(MultiTierCache { cache: CacheManager::new_with_tiers(tiers, None)?, near, far, source: Source::new() })
    }

    fn hold(&self) -> SourceHold {
        self.source.hold()
    }

    async fn read(&self) -> Result<String> {
        let load = || async { Ok(Bytes::from_static(self.source.load().await.as_bytes())) };
        let value = self.cache.get_or_compute_with(KEY, CacheStrategy::Default, load).await?;
        Ok(String::from_utf8(value.to_vec())?)
    }

    async fn change_source(&self) -> Result<()> {
        self.source.change();
        Ok(())
    }

    async fn invalidate(&self) -> Result<()> {
        Ok(self.cache.invalidate(KEY).await?)
    }

    async fn write(&self) -> Result<()> {
        self.source.change();
        Ok(self.cache.update_cache(KEY, Bytes::from_static(NEW.as_bytes()), None).await?)
    }

    async fn invalidate_all(&self) -> Result<()> {
        Ok(self.cache.invalidate_pattern("*").await?)
    }

    async fn holds_key(&self) -> bool {
        // Asked of the tiers, since a read through all of them would wait for the load.
        self.near.get(KEY).await.is_some() || self.far.get(KEY).await.is_some()
    }

    async fn use_other(&self, key: &str) -> Result<()> {
        self.cache.get(key).await?;
        Ok(self.cache.update_cache(key, Bytes::from_static(b"other"), None).await?)
    }
}
