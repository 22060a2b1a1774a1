//! A primary with a replica, watched by a sentinel.

use store_core::facet::Records;
use store_core::{ErrorKind, Tier};
use store_testkit::servers::{RedisSentinel, RedisServer};
use tier_redis::{RedisConfig, RedisTier};

use crate::support::{assert_unreachable, impatient, read_through, record, schema, until_some};

#[tokio::test(flavor = "multi_thread")]
async fn the_tier_follows_when_the_primary_dies() {
    let mut group = RedisSentinel::start().unwrap();
    let tier = RedisTier::connect(impatient(&group.url()).with_pool_size(2)).await.unwrap();
    read_through(&tier, "a").await.unwrap();
    group.primary().kill().unwrap();
    assert_unreachable(&tier.ping().await.unwrap_err());
    until_stored_by(&tier, group.replica()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tier_follows_when_a_living_primary_is_demoted() {
    let mut group = RedisSentinel::start().unwrap();
    let tier = RedisTier::connect(impatient(&group.url()).with_pool_size(2)).await.unwrap();
    read_through(&tier, "a").await.unwrap();
    let service = group.service();
    until_some(async || group.sentinel().command(&["SENTINEL", "FAILOVER", service]).ok()).await;
    until_stored_by(&tier, group.replica()).await;
}

/// Puts a record until it is seen on the server that should be the primary.
async fn until_stored_by(tier: &RedisTier, server: &RedisServer) {
    until_some(async || {
        if let Err(error) = tier.put(&schema(), &[("b".to_owned(), record(0))]).await {
            assert_unreachable(&error);
        }
        let info = server.command(&["INFO", "replication"]).unwrap_or_default();
        let stored = server.command(&["EXISTS", "strata:item:b"]).unwrap_or_default();
        (info.contains("role:master") && stored == "1").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_the_sentinels_do_not_know_is_an_error() {
    let mut group = RedisSentinel::start().unwrap();
    let port = group.sentinel().port();
    let error = RedisTier::connect(RedisConfig::sentinel("other", [("127.0.0.1", port)])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::L2Unavailable, "{error}");
    RedisTier::connect(RedisConfig::sentinel(group.service(), [("127.0.0.1", port)])).await.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_have_credentials_of_their_own() {
    let mut group = RedisSentinel::start().unwrap();
    group.sentinel().command(&["ACL", "SETUSER", "default", "resetpass", ">sentinel-secret"]).unwrap();
    let without = RedisTier::connect(impatient(&group.url())).await.unwrap_err();
    assert!(matches!(without.kind(), ErrorKind::AccessDenied | ErrorKind::L2Unavailable), "{without}");
    let config = impatient(&format!("{}&sentinelPassword=sentinel-secret", group.url()));
    read_through(&RedisTier::connect(config).await.unwrap(), "a").await.unwrap();
    let config = impatient(&group.url()).with_sentinel_credentials(None, "guessed-secret");
    let error = RedisTier::connect(config).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
