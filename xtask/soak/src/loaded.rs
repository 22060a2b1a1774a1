//! Copies of numbers that are kept elsewhere, where no log tells of their changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use strata::{Known, Load, LoadError};

use crate::history::{Kind, Promise};
use crate::instance::Instance;
use crate::model::Loaded;
use crate::outside::{self, Outside, Rows};

/// How many plain reads are made at once, and how long a reader rests then, a changer at most, and a slow load at most.
const BURST: usize = 8;
const REST: Duration = Duration::from_millis(1);
const BETWEEN_CHANGES: u64 = 30;
const SLOW: u64 = 12;

/// Reads, and loads what nobody holds, until it is stopped.
pub(crate) async fn read(instance: &Instance, source: &Arc<Outside>, stopped: &AtomicBool) -> Result<()> {
    while !stopped.load(Ordering::Relaxed) {
        let keys = outside::keys_of_page(outside::interesting_page());
        match fastrand::u32(..100) {
            0..85 => {
                for _ in 0..BURST {
                    instance.read_loaded(fastrand::u64(keys.clone()), Promise::Bounded, source).await?;
                }
            }
            85..92 => instance.read_loaded(fastrand::u64(keys.clone()), Promise::Latest, source).await?,
            _ => {
                let keys: Vec<u64> = (0..4).map(|_| fastrand::u64(keys.clone())).collect();
                instance.read_loaded_many(&keys, source).await?;
            }
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

/// Changes what is loaded, and invalidates it, until it is stopped.
pub(crate) async fn change(instance: &Instance, source: &Outside, stopped: &AtomicBool) -> Result<()> {
    while !stopped.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..BETWEEN_CHANGES))).await;
        let key = fastrand::u64(outside::keys_of_page(outside::changing_page()));
        let rows = match fastrand::u32(..10) {
            0..3 => Rows::Category(outside::category(key)),
            _ => Rows::One(key),
        };
        let Ok(changed) = source.grow("soak_source", rows).await else {
            instance.fail().await?;
            continue;
        };
        let invalidate = async {
            match rows {
                Rows::One(key) => instance.loaded.invalidate(key as i64).await.map(drop),
                Rows::Category(category) => instance.loaded.invalidate_tag(tag_of_category(category)).await,
                Rows::Page(_) => Ok(()),
            }
        };
        instance.invalidate_changed(Kind::Loaded, &changed, invalidate).await?;
    }
    Ok(())
}

fn tag_of_category(category: u64) -> String {
    format!("category-{category}")
}

/// What the loader says of each key that it is asked for.
pub(crate) async fn load(source: Arc<Outside>, keys: Vec<(i64, Option<Known<Loaded>>)>) -> Result<Vec<(i64, Load<Loaded>)>, LoadError> {
    let asked: Vec<i64> = keys.iter().map(|(key, _)| *key).collect();
    let found = source.look(&asked).await?;
    if fastrand::u32(..4) == 0 {
        // So that it is overtaken.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..SLOW))).await;
    }
    let loads = keys.into_iter().map(|(key, known)| {
        let Some((_, number)) = found.iter().find(|(id, _)| *id == key.unsigned_abs()) else { return (key, Load::absent()) };
        let load = match known.as_ref().and_then(Known::source_tag) {
            Some(tag) if tag == number.to_string() => Load::not_modified(),
            _ => Load::value(Loaded { id: key, number: *number as i64 }).source_tag(number.to_string()),
        };
        let load = load.tags([tag_of_category(outside::category(key.unsigned_abs()))]);
        (key, if fastrand::u32(..50) == 0 { load.do_not_keep() } else { load })
    });
    Ok(loads.collect())
}
