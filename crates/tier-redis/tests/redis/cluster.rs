//! The records suite on a Redis Cluster of three masters, and what is special there.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use store_core::ErrorKind;
use store_core::facet::Records;
use store_testkit::servers::RedisCluster;
use tier_redis::{RedisConfig, RedisTier};

use crate::support::{LIMIT, PATIENCE, SuiteServer, assert_unreachable, impatient, patient, read_through, record, schema, until_ok};

store_testkit::records_suite!(async { SuiteServer::new(cluster_url()).await });

/// One cluster for all cases: it takes seconds to form. It ends with the process.
fn cluster_url() -> &'static str {
    static CLUSTER: OnceLock<(RedisCluster, String)> = OnceLock::new();
    let (_, url) = CLUSTER.get_or_init(|| {
        let cluster = RedisCluster::start(3).expect("a cluster starts");
        let url = cluster.url();
        (cluster, url)
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_clearing_reach_every_master() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let tier = RedisTier::connect(patient(&cluster.url())).await.unwrap();
    let schema = schema();
    let records: Vec<_> = (0..3_000).map(|number| (number.to_string(), record(0))).collect();
    tier.put(&schema, &records).await.unwrap();
    for master in cluster.masters() {
        let keys: u32 = master.command(&["DBSIZE"]).unwrap().parse().unwrap();
        assert!(keys > 800, "{keys} of 3,000 keys on one of three masters");
        let errors = master.command(&["INFO", "errorstats"]).unwrap();
        assert!(!errors.contains("MOVED"), "a command went to the wrong master: {errors}");
    }
    for master in cluster.masters() {
        master.command(&["SCRIPT", "FLUSH"]).unwrap();
    }
    let keys: Vec<_> = records.into_iter().map(|(key, _)| key).collect();
    assert!(tier.delete(&schema, &keys[..500]).await.unwrap().iter().all(Option::is_some));
    assert_eq!(tier.clear(&schema).await.unwrap(), 2_500);
    for master in cluster.masters() {
        assert_eq!(master.command(&["DBSIZE"]).unwrap(), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_slot_is_followed() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let tier = RedisTier::connect(impatient(&cluster.url())).await.unwrap();
    let slot: usize = cluster.masters()[0].command(&["CLUSTER", "KEYSLOT", "strata:item:a"]).unwrap().parse().unwrap();
    let owner = slot * 3 / 16_384;
    let heir = (owner + 1) % 3;
    read_through(&tier, "b").await.unwrap();

    let id = cluster.masters()[heir].command(&["CLUSTER", "MYID"]).unwrap();
    for step in 0..3 {
        cluster.masters()[(heir + step) % 3].command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]).unwrap();
    }
    read_through(&tier, "a").await.unwrap();
    assert_eq!(cluster.masters()[heir].command(&["EXISTS", "strata:item:a"]).unwrap(), "1");
    assert_eq!(tier.clear(&schema()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_master_is_an_error_until_it_is_back() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let tier = RedisTier::connect(impatient(&cluster.url()).with_pool_size(2)).await.unwrap();
    let keys: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    tier.fetch(&schema(), &keys, None).await.unwrap();

    cluster.masters()[1].kill().unwrap();
    assert_unreachable(&tier.fetch(&schema(), &keys, None).await.unwrap_err());
    cluster.masters()[1].restart().unwrap();
    until_ok(async || tier.fetch(&schema(), &keys, Some(PATIENCE)).await).await;

    cluster.masters()[2].pause().unwrap();
    let begin = Instant::now();
    assert_unreachable(&tier.fetch(&schema(), &keys, None).await.unwrap_err());
    assert!(begin.elapsed() < LIMIT + Duration::from_secs(2), "{:?}", begin.elapsed());
    cluster.masters()[2].resume().unwrap();
    until_ok(async || tier.fetch(&schema(), &keys, None).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_server_configuration_is_refused_by_a_cluster() {
    let mut cluster = RedisCluster::start(3).unwrap();
    let config = RedisConfig::standalone("127.0.0.1", cluster.masters()[0].port());
    let tier = RedisTier::connect(config.clone()).await.unwrap();
    let keys: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    let error = tier.fetch(&schema(), &keys, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("redis-cluster://"), "{error}");

    let error = RedisTier::connect(config.with_database(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
}
