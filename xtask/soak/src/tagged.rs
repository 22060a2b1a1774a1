//! Rows that change behind the store's back, so that only the invalidation of a tag tells of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use strata::{Collection, Query};

use crate::history::{Kind, Promise};
use crate::instance::Instance;
use crate::model::Tagged;
use crate::outside::{self, Outside, Rows};

/// How many plain reads are made at once, and how long a reader rests then, and a changer at most.
const BURST: usize = 8;
const REST: Duration = Duration::from_millis(1);
const BETWEEN_CHANGES: u64 = 60;

/// Reads until it is stopped.
pub(crate) async fn read(instance: &Instance, stopped: &AtomicBool) -> Result<()> {
    while !stopped.load(Ordering::Relaxed) {
        let page = outside::interesting_page();
        let items = of_page(instance, page);
        let keys = outside::keys_of_page(page);
        match fastrand::u32(..100) {
            0..85 => {
                for _ in 0..BURST {
                    instance.read_tagged(&items, fastrand::u64(keys.clone()), Promise::Bounded).await?;
                }
            }
            85..90 => instance.read_tagged(&items, fastrand::u64(keys), Promise::Latest).await?,
            90..96 => {
                let keys: Vec<u64> = (0..4).map(|_| fastrand::u64(keys.clone())).collect();
                instance.read_tagged_shared(&items, &keys).await?;
            }
            _ => {
                let query = Query::new().filter(Tagged::id().between(*keys.start() as i64, *keys.end() as i64));
                instance.search_tagged(&items, query).await?;
            }
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

/// Changes rows, and invalidates a tag that they have, until it is stopped.
pub(crate) async fn change(instance: &Instance, outside: &Outside, stopped: &AtomicBool) -> Result<()> {
    while !stopped.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..BETWEEN_CHANGES))).await;
        let page = outside::changing_page();
        let key = fastrand::u64(outside::keys_of_page(page));
        let rows = match fastrand::u32(..10) {
            0..4 => Rows::Category(outside::category(key)),
            4..8 => Rows::Page(page),
            _ => Rows::One(key),
        };
        let Ok(changed) = outside.grow("soak_tagged", rows).await else {
            instance.fail().await?;
            continue;
        };
        let items = &instance.tagged;
        let invalidate = async {
            match rows {
                Rows::Category(category) => items.invalidate_tag(Tagged::category().tag(category as i64)).await,
                Rows::Page(page) => items.invalidate_tag(tag_of_page(page)).await,
                Rows::One(key) => items.invalidate(key as i64).await.map(drop),
            }
        };
        instance.invalidate_changed(Kind::Tagged, &changed, invalidate).await?;
    }
    Ok(())
}

fn tag_of_page(page: u64) -> String {
    format!("page-{page}")
}

/// All who read a page give it the same tag.
fn of_page(instance: &Instance, page: u64) -> Collection<Tagged> {
    instance.tagged.with_tags([tag_of_page(page)])
}
