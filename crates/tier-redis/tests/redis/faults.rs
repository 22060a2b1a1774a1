//! Servers that die, freeze, or forget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use store_core::facet::{Fill, FillLease, Records, Relay, Slot};
use store_core::{EncodedRecord, ErrorKind, Tier};
use tier_redis::RedisTier;
use tokio::task::JoinSet;

use crate::support::{
    LIMIT, PATIENCE, assert_unreachable, fetch, impatient, read_through, record, schema, start_server, until_ok, until_some,
};

/// What a call may take beyond its limit on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// Makes every call once and checks that each fails as it should, in time.
async fn assert_all_calls_fail(tier: &RedisTier) {
    let (schema, key, record) = (schema(), "a".to_owned(), record(1));
    let keys = [key.clone()];
    let records = [(key.clone(), record.clone())];
    let fills = [Fill { key, lease: FillLease::new(1), record }];
    let begin = Instant::now();
    assert_unreachable(&tier.fetch(&schema, &keys, None).await.unwrap_err());
    assert_unreachable(&tier.fetch(&schema, &keys, Some(PATIENCE)).await.unwrap_err());
    assert_unreachable(&tier.fetch_marked(&schema, &keys, Some(PATIENCE)).await.unwrap_err());
    assert_unreachable(&tier.take_over(&schema, &records, PATIENCE).await.unwrap_err());
    assert_unreachable(&tier.marks(&[Arc::new(self::schema())]).await.unwrap_err());
    assert_unreachable(&tier.relay(&Relay::default()).await.unwrap_err());
    assert_unreachable(&tier.fill(&schema, &fills).await.unwrap_err());
    assert_unreachable(&tier.replace(&schema, &records).await.unwrap_err());
    assert_unreachable(&tier.remove(&schema, &keys).await.unwrap_err());
    assert_unreachable(&tier.clear(&schema).await.unwrap_err());
    assert_unreachable(&tier.put(&schema, &records).await.unwrap_err());
    assert_unreachable(&tier.delete(&schema, &keys).await.unwrap_err());
    assert_unreachable(&tier.ping().await.unwrap_err());
    assert!(begin.elapsed() < 13 * LIMIT + SLACK, "thirteen calls took {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_an_error_until_it_is_back() {
    let mut server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    read_through(&tier, "a").await.unwrap();

    server.kill().unwrap();
    assert_all_calls_fail(&tier).await;
    let begin = Instant::now();
    for _ in 0..1_000 {
        assert_unreachable(&tier.ping().await.unwrap_err());
    }
    assert!(begin.elapsed() < LIMIT + SLACK, "calls fail at once while no connection is up: {:?}", begin.elapsed());

    // Everything is gone from the restarted server: the record, and the scripts.
    server.restart().unwrap();
    until_ok(async || tier.ping().await).await;
    let Slot::Leased(lease) = fetch(&tier, "a", Some(PATIENCE)).await.unwrap() else { panic!("the record survived") };
    let fill = Fill { key: "a".to_owned(), lease, record: record(2) };
    assert_eq!(tier.fill(&schema(), &[fill]).await.unwrap(), [true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_back_comes_to_no_era_again() {
    let mut server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    let tags = ["a".to_owned()];
    tier.invalidate_tags(&schema(), &tags).await.unwrap();
    server.command(&["SAVE"]).unwrap();
    for _ in 0..3 {
        tier.invalidate_tags(&schema(), &tags).await.unwrap();
    }
    let lost = tier.tag_eras(&schema(), "key", &[]).await.unwrap().unwrap();

    server.kill().unwrap();
    server.restart().unwrap();
    until_ok(async || tier.invalidate_tags(&schema(), &tags).await).await;
    let told = tier.tag_eras(&schema(), "key", &tags).await.unwrap().unwrap();
    assert_eq!(told.generation, lost.generation, "the server went back to what it had saved");
    assert!(told.of[0] > lost.era, "what was loaded in era {} seems newer than an invalidation in era {}", lost.era, told.of[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_under_way_ends_when_the_server_is_killed() {
    let mut server = start_server();
    let tier = Arc::new(RedisTier::connect(impatient(&server.url()).with_pool_size(3)).await.unwrap());
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let tier = Arc::clone(&tier);
        tasks.spawn(async move {
            let key = format!("key {number}");
            loop {
                let begin = Instant::now();
                if let Err(error) = read_through(&tier, &key).await {
                    assert_unreachable(&error);
                    return begin.elapsed();
                }
            }
        });
    }
    until_some(async || server.command(&["DBSIZE"]).is_ok_and(|count| count == "50").then_some(())).await;
    server.kill().unwrap();
    for last in tasks.join_all().await {
        assert!(last < 2 * LIMIT + SLACK, "the failing call took {last:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_a_timeout_and_then_an_error_at_once() {
    let mut server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    read_through(&tier, "a").await.unwrap();

    server.pause().unwrap();
    let begin = Instant::now();
    let error = fetch(&tier, "a", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retryable());
    assert!(begin.elapsed() >= LIMIT && begin.elapsed() < LIMIT + SLACK, "{:?}", begin.elapsed());
    assert_all_calls_fail(&tier).await;
    let begin = Instant::now();
    for _ in 0..1_000 {
        assert_unreachable(&tier.ping().await.unwrap_err());
    }
    assert!(begin.elapsed() < SLACK, "the silent connection was given up: {:?}", begin.elapsed());

    server.resume().unwrap();
    until_ok(async || tier.ping().await).await;
    assert_eq!(read_through(&tier, "a").await.unwrap(), record(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_frozen_server_can_take_blocks_nothing() {
    let mut server = start_server();
    let tier = Arc::new(RedisTier::connect(impatient(&server.url())).await.unwrap());
    server.pause().unwrap();
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let tier = Arc::clone(&tier);
        tasks.spawn(async move {
            let payload = Bytes::from(vec![0; 1 << 20]);
            tier.put(&schema(), &[(number.to_string(), EncodedRecord { payload, ..record(0) })]).await
        });
    }
    for result in tasks.join_all().await {
        assert_unreachable(&result.unwrap_err());
    }
    assert!(begin.elapsed() < LIMIT + SLACK, "{:?}", begin.elapsed());
    server.resume().unwrap();
    until_ok(async || tier.put(&schema(), &[("a".to_owned(), record(0))]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_call_among_answered_ones_keeps_its_connection() {
    let server = start_server();
    let tier = Arc::new(RedisTier::connect(impatient(&server.url())).await.unwrap());
    read_through(&tier, "a").await.unwrap();
    let connections = || {
        server.command(&["INFO", "stats"]).unwrap().lines().find(|line| line.starts_with("total_connections_received")).map(str::to_owned)
    };
    let own = |line: Option<String>| line.unwrap().split(':').nth(1).unwrap().trim().parse::<u32>().unwrap();
    let before = own(connections());
    // Answers keep coming meanwhile, so the silence is not the connection's.
    let busy = {
        let tier = Arc::clone(&tier);
        tokio::spawn(async move {
            loop {
                tier.ping().await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let hasty = RedisTier::connect(impatient(&server.url()).with_read_timeout(Duration::from_millis(1))).await.unwrap();
    let keys: Vec<String> = (0..50_000).map(|number| number.to_string()).collect();
    while hasty.fetch(&schema(), &keys, None).await.is_ok() {}
    assert!(!busy.is_finished());
    busy.abort();
    read_through(&tier, "a").await.unwrap();
    // The hasty tier's own, and those of the two commands; none of the busy tier's.
    assert!(own(connections()) <= before + 3, "{before}, then {:?}", connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_closes_comes_back() {
    let server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    for _ in 0..5 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
        until_ok(async || tier.ping().await).await;
    }
    read_through(&tier, "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_server_is_an_error_until_it_is_promoted() {
    let (server, primary) = (start_server(), start_server());
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    read_through(&tier, "a").await.unwrap();
    server.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).unwrap();
    let error = tier.put(&schema(), &[("a".to_owned(), record(0))]).await.unwrap_err();
    assert_unreachable(&error);
    assert!(error.to_string().contains("READONLY"), "{error}");

    // The connection is opened anew each time, since the address may lead to another server by now.
    until_some(async || {
        let error = tier.put(&schema(), &[("a".to_owned(), record(0))]).await.unwrap_err();
        assert_unreachable(&error);
        (!error.to_string().contains("READONLY")).then_some(())
    })
    .await;
    server.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    until_ok(async || tier.put(&schema(), &[("a".to_owned(), record(0))]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_scripts_are_sent_again() {
    let server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    let schema = schema();
    let sources_sent = || {
        server.command(&["INFO", "commandstats"]).unwrap().lines().find(|line| line.starts_with("cmdstat_eval:")).map(|line| {
            let calls = line.split(['=', ',']).nth(1).unwrap();
            calls.parse::<u32>().unwrap()
        })
    };
    let mut before = None;
    for round in 0..3 {
        match round {
            2 => before = sources_sent(),
            _ => drop(server.command(&["SCRIPT", "FLUSH"]).unwrap()),
        }
        let keys: Vec<String> = (0..3).map(|number| format!("{round} {number}")).collect();
        let fills: Vec<Fill> = tier
            .fetch(&schema, &keys, Some(PATIENCE))
            .await
            .unwrap()
            .into_iter()
            .zip(&keys)
            .map(|(slot, key)| match slot {
                Slot::Leased(lease) => Fill { key: key.clone(), lease, record: record(1) },
                slot => panic!("{slot:?}"),
            })
            .collect();
        assert_eq!(tier.fill(&schema, &fills).await.unwrap(), [true; 3]);
        let newer: Vec<_> = keys.iter().map(|key| (key.clone(), record(2))).collect();
        assert_eq!(tier.replace(&schema, &newer).await.unwrap(), [true; 3]);
        assert_eq!(tier.put(&schema, &newer).await.unwrap().len(), 3);
        assert!(tier.delete(&schema, &keys).await.unwrap().iter().all(Option::is_some));
    }
    assert!(before.is_some());
    assert_eq!(sources_sent(), before, "the last round needed no sources");
}
