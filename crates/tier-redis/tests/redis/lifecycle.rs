//! From the first connection to the last.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use store_core::facet::Records;
use store_core::{ErrorKind, Tier};
use store_testkit::servers::{RedisServer, free_port};
use tier_redis::{RedisConfig, RedisTier};

use crate::support::{LIMIT, assert_unreachable, fetch, impatient, read_through, schema, start_server, until_ok, until_some};

/// The number of clients, without the one that asks.
fn clients(server: &RedisServer) -> usize {
    server.command(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap().lines().filter(|line| !line.contains("cmd=client")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_an_error_at_once() {
    let port = free_port().unwrap();
    let config = RedisConfig::standalone("127.0.0.1", port);
    let begin = Instant::now();
    let error = RedisTier::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::L2Unavailable);
    for part in [&format!("127.0.0.1:{port}"), "refused", "check that the server runs", "`REDIS_URL`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(begin.elapsed() < Duration::from_secs(4));

    let nobody = [("127.0.0.1", port)];
    for config in [RedisConfig::cluster(nobody), RedisConfig::sentinel("main", nobody)] {
        let error = RedisTier::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::L2Unavailable);
        assert!(error.to_string().contains("check that the server runs"), "{error}");
    }

    let error = RedisTier::connect(RedisConfig::standalone("no-such-host.invalid", 6_379)).await.unwrap_err();
    assert_unreachable(&error);
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_says_nothing_is_a_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = RedisConfig::standalone("127.0.0.1", silent.local_addr().unwrap().port()).with_dial_timeout(LIMIT);
    let begin = Instant::now();
    let error = RedisTier::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begin.elapsed() >= LIMIT && begin.elapsed() < LIMIT + Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lazy_tier_starts_before_its_server() {
    let mut server = start_server();
    server.stop().unwrap();
    let tier = RedisTier::connect_lazily(impatient(&server.url())).unwrap();
    let other = RedisTier::connect_or_keep_trying(impatient(&server.url())).await.unwrap();
    for tier in [&tier, &other] {
        assert_unreachable(&fetch(tier, "a", None).await.unwrap_err());
    }
    server.restart().unwrap();
    for (tier, key) in [(&tier, "a"), (&other, "b")] {
        until_ok(async || tier.ping().await).await;
        read_through(tier, key).await.unwrap();
    }
    let connected = RedisTier::connect_or_keep_trying(impatient(&server.url())).await.unwrap();
    connected.ping().await.unwrap();
}

#[test]
fn a_tier_needs_a_runtime_and_good_settings() {
    let config = RedisConfig::standalone("127.0.0.1", 6_379);
    assert_eq!(RedisTier::connect_lazily(config.clone()).unwrap_err().kind(), ErrorKind::InvalidConfig);
    let error = RedisTier::connect_lazily(config.with_pool_size(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("pool size"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_has_the_size_asked_for() {
    let server = start_server();
    let tier = RedisTier::connect(RedisConfig::standalone("127.0.0.1", server.port())).await.unwrap();
    assert_eq!(clients(&server), 4);
    let larger = RedisTier::connect(impatient(&server.url()).with_pool_size(7)).await.unwrap();
    assert_eq!(clients(&server), 11);
    tier.ping().await.unwrap();
    larger.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tier_says_so_and_leaves_no_connection() {
    let server = start_server();
    let tier = RedisTier::connect(impatient(&server.url()).with_pool_size(3)).await.unwrap();
    read_through(&tier, "a").await.unwrap();
    tier.close().await.unwrap();
    tier.close().await.unwrap();
    for error in [tier.ping().await.unwrap_err(), fetch(&tier, "a", None).await.unwrap_err(), tier.clear(&schema()).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    until_some(async || (clients(&server) == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_a_frozen_server() {
    let mut server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    server.pause().unwrap();
    let begin = Instant::now();
    tier.close().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    server.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_tier_leaves_no_connection() {
    let server = start_server();
    let tier = RedisTier::connect(impatient(&server.url()).with_pool_size(3)).await.unwrap();
    assert_eq!(clients(&server), 3);
    drop(tier);
    until_some(async || (clients(&server) == 0).then_some(())).await;

    // Nor does an attempt that was given up.
    let attempt = RedisTier::connect(impatient(&server.url()));
    assert!(tokio::time::timeout(Duration::ZERO, attempt).await.is_err() || clients(&server) <= 1);
    until_some(async || (clients(&server) == 0).then_some(())).await;
}
