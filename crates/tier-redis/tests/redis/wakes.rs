//! Messages between instances, and of other programs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use store_core::facet::{Heard, LogKind, Wake, Wakes};
use store_core::{ErrorKind, Tier};
use store_testkit::servers::{RedisCluster, RedisSentinel, RedisServer};
use tier_redis::{RedisConfig, RedisTier};

use crate::support::{PATIENCE, assert_unreachable, impatient, patient, start_server, until_ok, until_some};

async fn connect(config: RedisConfig) -> Arc<RedisTier> {
    Arc::new(RedisTier::connect(config).await.unwrap())
}

fn wake(key: &str) -> Wake {
    Wake { schema: "item".to_owned(), key: Some(key.to_owned()), kind: LogKind::Invalidate, version: None, origin: None }
}

async fn next(heard: &mut BoxStream<'static, Heard>) -> Heard {
    tokio::time::timeout(PATIENCE, heard.next()).await.expect("something is heard").expect("the tier is open")
}

async fn listen(tier: &Arc<RedisTier>) -> BoxStream<'static, Heard> {
    let mut heard = Arc::clone(tier).listen();
    assert_eq!(next(&mut heard).await, Heard::Changed);
    heard
}

fn publish(server: &RedisServer, channel: &str, message: &str) {
    server.command(&["PUBLISH", channel, message]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_are_heard() {
    let server = start_server();
    let tier = connect(patient(&server.url())).await;
    let mut heard = listen(&tier).await;
    for (message, expected) in [
        (r#"{"schema":"item","id":"a","op":"invalidate"}"#, wake("a")),
        (r#"{"schema":"item","id":"b","op":"set"}"#, Wake { kind: LogKind::Put, ..wake("b") }),
        (r#"{"schema":"item","id":"c","op":"delete"}"#, Wake { kind: LogKind::Delete, ..wake("c") }),
        (r#"{"schema":"item","id":null,"op":"invalidate_all"}"#, Wake { key: None, ..wake("") }),
    ] {
        // What is no message is passed over.
        for other in ["", "a", "{}", r#"{"schema":"item","id":"a","op":"flush"}"#] {
            publish(&server, "strata:invalidate", other);
        }
        publish(&server, "other:invalidate", message);
        publish(&server, "strata:invalidate", message);
        assert_eq!(next(&mut heard).await, Heard::Wake(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_and_channels_keep_applications_apart() {
    let server = start_server();
    let configs = [patient(&server.url()), patient(&server.url()).with_key_root("app"), {
        patient(&server.url()).with_key_root("app").with_invalidation_channel("app-2")
    }];
    let mut tiers = Vec::new();
    for config in configs {
        let tier = connect(config.with_pool_size(1)).await;
        let heard = listen(&tier).await;
        tiers.push((tier, heard));
    }
    let channels = ["strata:invalidate", "app:invalidate", "app-2"];
    for (number, channel) in channels.iter().enumerate() {
        assert_eq!(server.command(&["PUBSUB", "NUMSUB", channel]).unwrap(), format!("{channel}\n1"));
        tiers[number].0.publish(&[wake(channel)]).await.unwrap();
    }
    for ((_, heard), channel) in tiers.iter_mut().zip(channels) {
        assert_eq!(next(heard).await, Heard::Wake(wake(channel)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_new_connection_is_told() {
    let mut server = start_server();
    let tier = connect(impatient(&server.url())).await;
    let mut heard = listen(&tier).await;
    for round in 0..3 {
        match round {
            0 => drop(server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap()),
            1 => {
                server.kill().unwrap();
                assert_unreachable(&tier.publish(&[wake("lost")]).await.unwrap_err());
                server.restart().unwrap();
            }
            _ => drop(server.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap()),
        }
        if round < 2 {
            assert_eq!(next(&mut heard).await, Heard::Changed);
        }
        until_ok(async || tier.publish(&[wake("a")]).await).await;
        assert_eq!(next(&mut heard).await, Heard::Wake(wake("a")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_given_up() {
    let mut server = start_server();
    let tier = connect(impatient(&server.url())).await;
    let mut heard = listen(&tier).await;
    server.pause().unwrap();
    // Much longer than a listener bears silence.
    assert!(tokio::time::timeout(Duration::from_secs(9), heard.next()).await.is_err());
    server.resume().unwrap();
    assert_eq!(next(&mut heard).await, Heard::Changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_may_begin_before_its_server() {
    let mut server = start_server();
    server.stop().unwrap();
    let tier = Arc::new(RedisTier::connect_lazily(impatient(&server.url())).unwrap());
    let mut heard = Arc::clone(&tier).listen();
    assert!(tokio::time::timeout(Duration::from_millis(300), heard.next()).await.is_err());
    server.restart().unwrap();
    assert_eq!(next(&mut heard).await, Heard::Changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_listener_leaves_no_connection() {
    let server = start_server();
    let tier = connect(impatient(&server.url())).await;
    let heard = listen(&tier).await;
    let listeners = || server.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).unwrap().lines().filter(|line| !line.is_empty()).count();
    assert_eq!(listeners(), 1);
    drop(heard);
    until_some(async || (listeners() == 0).then_some(())).await;

    let mut heard = listen(&tier).await;
    tier.close().await.unwrap();
    while tokio::time::timeout(PATIENCE, heard.next()).await.expect("it ends").is_some() {}
    drop(heard);
    until_some(async || (listeners() == 0).then_some(())).await;
    assert_eq!(tier.publish(&[wake("a")]).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_keeps_no_dropped_tier_alive() {
    let server = start_server();
    let tier = connect(impatient(&server.url())).await;
    let mut heard = listen(&tier).await;
    drop(tier);
    assert_eq!(tokio::time::timeout(PATIENCE, heard.next()).await.expect("it ends"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_messages_than_can_wait_are_told_as_a_change() {
    let server = start_server();
    let tier = connect(patient(&server.url())).await;
    let mut heard = listen(&tier).await;
    let many: Vec<Wake> = (0..40_000).map(|number| wake(&number.to_string())).collect();
    tier.publish(&many).await.unwrap();
    // The driver hears the end as well before anything is taken from it.
    until_some(async || {
        let clients = server.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).unwrap();
        clients.contains(" omem=0 ").then_some(())
    })
    .await;
    let mut changed = 0;
    loop {
        match next(&mut heard).await {
            Heard::Changed => changed += 1,
            Heard::Wake(last) if last == many[many.len() - 1] => break,
            Heard::Wake(_) => {}
        }
    }
    assert!(changed >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_a_cluster_passes_messages_on() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let tier = connect(impatient(&cluster.url())).await;
    let mut heard = listen(&tier).await;
    for number in 0..3 {
        let key = number.to_string();
        publish(&cluster.masters()[number], "strata:invalidate", &format!(r#"{{"schema":"item","id":"{key}","op":"invalidate"}}"#));
        assert_eq!(next(&mut heard).await, Heard::Wake(wake(&key)));
    }
    for master in cluster.masters() {
        master.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    }
    assert_eq!(next(&mut heard).await, Heard::Changed);
    until_ok(async || tier.publish(&[wake("a")]).await).await;
    assert_eq!(next(&mut heard).await, Heard::Wake(wake("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_follows_the_primary() {
    let mut group = RedisSentinel::start().unwrap();
    let tier = connect(impatient(&group.url())).await;
    let mut heard = listen(&tier).await;
    group.primary().kill().unwrap();
    assert_eq!(next(&mut heard).await, Heard::Changed);
    until_ok(async || tier.publish(&[wake("a")]).await).await;
    loop {
        if let Heard::Wake(heard) = next(&mut heard).await {
            assert_eq!(heard, wake("a"));
            break;
        }
    }
    tier.close().await.unwrap();
}
