//! Waiting for the relayer of a stack.

use std::sync::Arc;
use std::time::Duration;

use strata::facet::{Log, Records};
use strata::{BoundSchema, Freshness, Schema, Tier};

use super::{Bench, Stack, open_sqlite};
use crate::waiting::until;

impl Bench {
    /// Waits until the store has read the log to its end and the relayer has come there, so that it leaves the slots of a model alone, and they can be filled,
    /// until the next write.
    pub async fn relayed<T: Schema>(&self) {
        let storage = &self.storage;
        if self.stack.has_cache() {
            let fresh = self.players().with_freshness(Freshness::Bounded(Duration::from_nanos(1)));
            fresh.exists("nobody").await.expect("the log can be read");
        }
        match self.stack {
            Stack::MemModelSqlite => {
                let model = storage.model.clone().expect("the stack has a model tier");
                let directory = storage.directory.as_ref().expect("the stack has a file");
                relayed::<T>(model, open_sqlite(directory).await).await;
            }
            Stack::MemRedisPostgres => {
                let redis = storage.redis.as_ref().expect("the stack has Redis").tier().await;
                relayed::<T>(redis, storage.postgres.as_ref().expect("the stack has PostgreSQL").tier().await).await;
            }
            _ => {}
        }
    }
}

/// Asks tiers of the test's own, on the storage of the store's.
async fn relayed<T: Schema>(shared: impl Tier, truth: impl Tier) {
    let (shared, truth) = (Arc::new(shared) as Arc<dyn Tier>, Arc::new(truth) as Arc<dyn Tier>);
    let slots: Arc<dyn Records> = Arc::clone(&shared).facets().records.expect("a shared tier has records");
    let log: Arc<dyn Log> = Arc::clone(&truth).facets().log.expect("the truth has a log");
    let schema = [Arc::new(BoundSchema::standalone(T::definition()))];
    let end = log.end().await.expect("the log has an end");
    until("the relayer has come to the end of the log", async || {
        let marks = slots.marks(&schema).await.expect("the marks can be read").remove(0);
        marks.iter().all(|mark| mark.as_ref().is_some_and(|mark| log.covers(&mark.position, &end)))
    })
    .await;
    shared.close().await.expect("it can be closed");
    truth.close().await.expect("it can be closed");
}
