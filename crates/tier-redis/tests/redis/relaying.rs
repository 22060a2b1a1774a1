//! Marks, and the steps of a relayer, on servers that lose them.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;
use store_core::facet::{Fetched, LogCursor, Mark, Records, Relay, Removal, Slot};
use store_core::{BoundSchema, Error, Tier};
use store_testkit::servers::{RedisCluster, RedisServer};
use tier_redis::RedisTier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{
    RawClient, assert_unreachable, fetch, impatient, patient, read_through, record, schema, start_server, until_ok, until_some,
};

fn mark(position: &str) -> Mark {
    Mark { generation: 3, era: 0, position: LogCursor::new(position) }
}

/// A step that comes to a place and removes the slots of some keys.
fn step(schema: &Arc<BoundSchema>, keys: &[&str], position: &str) -> Relay {
    let removal = |key: &&str| Removal { schema: Arc::clone(schema), key: Some((*key).to_owned()), below: None };
    Relay { removals: keys.iter().map(removal).collect(), marks: vec![(Arc::clone(schema), mark(position))], ..Relay::default() }
}

async fn marks(tier: &RedisTier, schema: &Arc<BoundSchema>) -> Result<Vec<Option<Mark>>, Error> {
    Ok(tier.marks(&[Arc::clone(schema)]).await?.remove(0))
}

/// A connection of the pool may have to find out first that its server is another.
async fn fetch_marked(tier: &RedisTier, key: &str) -> Fetched {
    until_ok(async || tier.fetch_marked(&schema(), &[key.to_owned()], None).await).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_have_the_documented_names_and_bytes() {
    let server = start_server();
    let (tier, schema) = (RedisTier::connect(patient(&server.url())).await.unwrap(), Arc::new(schema()));
    let raw = RawClient::connect(&server.url()).await;
    let name = || vec![Value::from("strata:_mark:item")];
    tier.relay(&step(&schema, &[], "10:20:")).await.unwrap();
    assert_eq!(raw.run("GET", name()).await.into_bytes().unwrap(), b"\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x0010:20:".as_slice());
    assert_eq!(server.command(&["PTTL", "strata:_mark:item"]).unwrap(), "-1", "a mark does not expire");

    for foreign in [b"some text".as_slice(), b"", b"\x01\0\0\0\0\0\0\0\x0310:20:"] {
        raw.run("SET", vec!["strata:_mark:item".into(), Value::Bytes(Bytes::from_static(foreign))]).await;
        assert_eq!(marks(&tier, &schema).await.unwrap(), [None], "{foreign:?}");
        assert_eq!(fetch_marked(&tier, "a").await.mark, None, "{foreign:?}");
    }
    raw.run("DEL", name()).await;
    raw.run("RPUSH", vec!["strata:_mark:item".into(), "a list".into()]).await;
    assert_eq!(fetch_marked(&tier, "a").await, Fetched { slot: Slot::Empty, mark: None });
    assert_eq!(marks(&tier, &schema).await.unwrap(), [None]);
    tier.relay(&step(&schema, &[], "11:")).await.unwrap();
    assert_eq!(marks(&tier, &schema).await.unwrap(), [Some(mark("11:"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mark_is_shared() {
    let server = start_server();
    let tier = RedisTier::connect(patient(&server.url())).await.unwrap();
    tier.relay(&step(&Arc::new(schema()), &[], "1")).await.unwrap();
    let (first, second) = (fetch_marked(&tier, "a").await.mark.unwrap(), fetch_marked(&tier, "b").await.mark.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_server_has_no_marks() {
    let server = start_server();
    let (tier, schema) = (RedisTier::connect(patient(&server.url())).await.unwrap(), Arc::new(schema()));
    tier.relay(&step(&schema, &[], "1")).await.unwrap();
    assert_eq!(fetch_marked(&tier, "a").await.mark.as_deref(), Some(&mark("1")));
    server.command(&["FLUSHALL"]).unwrap();
    assert_eq!(marks(&tier, &schema).await.unwrap(), [None]);
    assert_eq!(fetch_marked(&tier, "a").await, Fetched { slot: Slot::Empty, mark: None });
}

/// An address that leads to one server and later to another, as that of a service does.
struct Address {
    url: String,
    target: watch::Sender<u16>,
}

impl Address {
    async fn of(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let target = watch::Sender::new(server.port());
        let targets = target.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut targets = targets.clone();
                tokio::spawn(async move {
                    let port = *targets.borrow_and_update();
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = targets.changed() => {}
                    }
                });
            }
        });
        Address { url, target }
    }

    /// Leads to another server from now on; present connections are cut.
    fn switch_to(&self, server: &RedisServer) {
        self.target.send_replace(server.port());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_took_over_has_the_older_mark_with_the_older_slots() {
    let primary = start_server();
    let replica = RedisServer::start_replica_of(&primary).unwrap();
    let address = Address::of(&primary).await;
    let (tier, schema) = (RedisTier::connect(impatient(&address.url)).await.unwrap(), Arc::new(schema()));
    for key in ["a", "b"] {
        read_through(&tier, key).await.unwrap();
    }
    tier.relay(&step(&schema, &["a"], "1")).await.unwrap();
    until_some(async || (replica.command(&["GET", "strata:_mark:item"]).unwrap().ends_with('1')).then_some(())).await;
    replica.promote().unwrap();
    tier.relay(&step(&schema, &["b"], "2")).await.unwrap();
    assert_eq!(fetch_marked(&tier, "b").await, Fetched { slot: Slot::Empty, mark: Some(Arc::new(mark("2"))) });

    // The step read the marks of the one and must not move those of the other, which lacks what was removed before.
    assert_eq!(marks(&tier, &schema).await.unwrap(), [Some(mark("2"))]);
    address.switch_to(&replica);
    until_ok(async || tier.ping().await).await;
    assert_unreachable(&tier.relay(&step(&schema, &[], "3")).await.unwrap_err());
    assert_unreachable(&tier.relay(&step(&schema, &[], "3")).await.unwrap_err());
    assert_eq!(fetch_marked(&tier, "b").await, Fetched { slot: Slot::Record(record(1)), mark: Some(Arc::new(mark("1"))) });

    assert_eq!(until_ok(async || marks(&tier, &schema).await).await, [Some(mark("1"))]);
    tier.relay(&step(&schema, &["b"], "3")).await.unwrap();
    assert_eq!(fetch_marked(&tier, "b").await, Fetched { slot: Slot::Empty, mark: Some(Arc::new(mark("3"))) });
    assert_eq!(fetch(&tier, "a", None).await.unwrap(), Slot::Empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_fails_on_a_new_connection() {
    let server = start_server();
    let (tier, schema) = (RedisTier::connect(impatient(&server.url())).await.unwrap(), Arc::new(schema()));
    for position in ["1", "2", "3"] {
        let before = until_ok(async || marks(&tier, &schema).await).await;
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
        until_ok(async || tier.ping().await).await;
        assert_unreachable(&tier.relay(&step(&schema, &["a"], position)).await.unwrap_err());
        assert_eq!(until_ok(async || marks(&tier, &schema).await).await, before);
        tier.relay(&step(&schema, &["a"], position)).await.unwrap();
        tier.relay(&step(&schema, &["a"], position)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_removal_moves_no_mark() {
    let server = start_server();
    let (tier, schema) = (RedisTier::connect(patient(&server.url())).await.unwrap(), Arc::new(schema()));
    tier.relay(&step(&schema, &[], "1")).await.unwrap();
    server.command(&["ACL", "SETUSER", "default", "-unlink"]).unwrap();
    tier.relay(&step(&schema, &["a"], "2")).await.unwrap_err();
    server.command(&["ACL", "SETUSER", "default", "+unlink"]).unwrap();
    assert_eq!(marks(&tier, &schema).await.unwrap(), [Some(mark("1"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tier_has_no_connection_of_the_relayer() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let (tier, schema) = (RedisTier::connect(patient(&cluster.url())).await.unwrap(), Arc::new(schema()));
    tier.relay(&step(&schema, &["a"], "1")).await.unwrap();
    tier.close().await.unwrap();
    assert_eq!(tier.relay(&step(&schema, &["a"], "1")).await.unwrap_err().kind(), store_core::ErrorKind::Closed);
    assert_eq!(marks(&tier, &schema).await.unwrap_err().kind(), store_core::ErrorKind::Closed);
    for master in cluster.masters() {
        let clients = || master.command(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap();
        until_some(async || (!clients().lines().any(|client| !client.contains("cmd=client"))).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_master_of_a_cluster_has_a_mark() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let (tier, schema) = (RedisTier::connect(patient(&cluster.url())).await.unwrap(), Arc::new(schema()));
    let keys: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    for key in &keys {
        read_through(&tier, key).await.unwrap();
    }
    let removed: Vec<&str> = keys[..150].iter().map(String::as_str).collect();
    assert_eq!(marks(&tier, &schema).await.unwrap(), [None, None, None]);
    tier.relay(&step(&schema, &removed, "1")).await.unwrap();
    assert_eq!(marks(&tier, &schema).await.unwrap(), vec![Some(mark("1")); 3]);
    for master in cluster.masters() {
        assert_eq!(master.command(&["KEYS", "strata:_mark:{*}:item"]).unwrap().lines().count(), 1);
    }

    // One master loses all it has: its keys alone have no mark.
    cluster.masters()[1].command(&["FLUSHALL"]).unwrap();
    assert_eq!(marks(&tier, &schema).await.unwrap().iter().flatten().count(), 2);
    let fetched = tier.fetch_marked(&schema, &keys, None).await.unwrap();
    for (key, fetched) in keys.iter().zip(&fetched) {
        let slot: u32 = cluster.masters()[0].command(&["CLUSTER", "KEYSLOT", &format!("strata:item:{key}")]).unwrap().parse().unwrap();
        let is_flushed = slot * 3 / 16_384 == 1;
        assert_eq!(fetched.mark.is_none(), is_flushed, "{key}");
        assert_eq!(fetched.slot == Slot::Empty, is_flushed || removed.contains(&key.as_str()), "{key}");
    }
    for master in cluster.masters() {
        let errors = master.command(&["INFO", "errorstats"]).unwrap();
        assert!(!errors.contains("MOVED"), "a command went to the wrong master: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_fails_on_a_new_connection_to_one_master() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let (tier, schema) = (RedisTier::connect(impatient(&cluster.url())).await.unwrap(), Arc::new(schema()));
    tier.relay(&step(&schema, &[], "1")).await.unwrap();
    for master in 0..3 {
        until_ok(async || marks(&tier, &schema).await).await;
        tier.relay(&step(&schema, &[], "1")).await.unwrap();
        cluster.masters()[master].command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
        until_ok(async || tier.ping().await).await;
        assert_unreachable(&tier.relay(&step(&schema, &[], "2")).await.unwrap_err());
        assert_unreachable(&tier.relay(&step(&schema, &[], "2")).await.unwrap_err());
        let left = until_ok(async || marks(&tier, &schema).await).await;
        assert!(left.contains(&Some(mark("1"))), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_follow_a_moved_slot() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let (tier, schema) = (RedisTier::connect(impatient(&cluster.url())).await.unwrap(), Arc::new(schema()));
    tier.relay(&step(&schema, &[], "1")).await.unwrap();
    assert_eq!(fetch_marked(&tier, "a").await.mark.as_deref(), Some(&mark("1")));

    let slot: usize = cluster.masters()[0].command(&["CLUSTER", "KEYSLOT", "strata:item:a"]).unwrap().parse().unwrap();
    let heir = (slot * 3 / 16_384 + 1) % 3;
    let id = cluster.masters()[heir].command(&["CLUSTER", "MYID"]).unwrap();
    for number in 0..3 {
        cluster.masters()[(heir + number) % 3].command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]).unwrap();
    }
    // The mark of the former owner says nothing of what the heir holds.
    assert_eq!(fetch_marked(&tier, "a").await, Fetched { slot: Slot::Empty, mark: None });
    assert_eq!(fetch_marked(&tier, "a").await.mark.as_deref(), Some(&mark("1")));

    // The relayer's own connections learn of it, too.
    assert_eq!(marks(&tier, &schema).await.unwrap(), vec![Some(mark("1")); 3]);
    read_through(&tier, "a").await.unwrap();
    tier.relay(&step(&schema, &["a"], "2")).await.unwrap();
    assert_eq!(fetch_marked(&tier, "a").await, Fetched { slot: Slot::Empty, mark: Some(Arc::new(mark("2"))) });
}
