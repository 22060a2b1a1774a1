//! A part of the Redis server that nobody else uses.

use std::sync::Arc;
use std::time::Duration;

use strata::redis::{RedisConfig, RedisTier};
use strata::{BoundSchema, Schema, Tier};
use uuid::Uuid;

use super::cleaning;
use crate::store::models::{Account, City, Document, Membership, Player};

/// Far more than a healthy server needs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The keys below one root, removed at the end.
#[derive(Debug)]
pub(crate) struct Namespace {
    config: RedisConfig,
}

/// The server that the tests share.
pub(crate) fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL is not set: run the tests with `cargo xtask test`, or export what `cargo xtask up` prints")
}

/// Connects a tier whose keys have a root of their own.
pub(crate) async fn open() -> (Namespace, RedisTier) {
    let config = RedisConfig::from_url(&url())
        .expect("REDIS_URL is well-formed")
        .with_key_root(format!("strata-test-{}", Uuid::new_v4()))
        .with_dial_timeout(PATIENCE)
        .with_read_timeout(PATIENCE)
        .with_write_timeout(PATIENCE);
    let namespace = Namespace { config };
    let tier = namespace.tier().await;
    (namespace, tier)
}

impl Namespace {
    /// One more tier on the same keys.
    pub(crate) async fn tier(&self) -> RedisTier {
        RedisTier::connect(self.config.clone()).await.expect("the server that REDIS_URL names answers")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let config = self.config.clone();
        cleaning(async move {
            let tier = Arc::new(RedisTier::connect(config).await?);
            let records = Arc::clone(&tier).facets().records.expect("Redis has records");
            for definition in
                [Player::definition(), Membership::definition(), Document::definition(), City::definition(), Account::definition()]
            {
                records.clear(&BoundSchema::standalone(definition)).await?;
            }
            tier.close().await?;
            Ok(())
        });
    }
}
