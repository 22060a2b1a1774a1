//! The bytes and the life times in Redis, which other versions and operators meet.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fred::types::Value;
use store_core::facet::{Fill, Records, Slot};
use store_core::{EncodedRecord, Version};
use store_testkit::servers::RedisServer;
use tier_redis::RedisTier;

use crate::support::{RawClient, fetch, patient, record, schema, start_server};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn remaining(server: &RedisServer, key: &str) -> i64 {
    server.command(&["PTTL", key]).unwrap().parse().unwrap()
}

fn assert_about_a_day(milliseconds: i64) {
    let day = i64::try_from(DAY.as_millis()).unwrap();
    assert!((day - 60_000..=day).contains(&milliseconds), "{milliseconds} ms");
}

/// A record of a layout that is part of the public format: tag, codec, fingerprint, version, generation, deadline, payload.
const BYTES: &[u8] = b"\xA2\x03\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0payload";

#[tokio::test(flavor = "multi_thread")]
async fn slots_have_the_documented_names_and_bytes() {
    let server = start_server();
    let tier = RedisTier::connect(patient(&server.url())).await.unwrap();
    let raw = RawClient::connect(&server.url()).await;
    let expected = EncodedRecord {
        version: Version::new(0x0102),
        generation: 9,
        fingerprint: 7,
        codec: 3,
        deadline: None,
        payload: Bytes::from_static(b"payload"),
    };
    raw.run("SET", vec!["strata:item:a".into(), Value::Bytes(Bytes::from_static(BYTES))]).await;
    assert_eq!(fetch(&tier, "a", None).await.unwrap(), Slot::Record(expected.clone()));

    let Slot::Leased(lease) = fetch(&tier, "b", Some(DAY)).await.unwrap() else { panic!("it was empty") };
    let bytes = raw.run("GET", vec!["strata:item:b".into()]).await.into_bytes().unwrap();
    assert_eq!(bytes[..], [[0xB2].as_slice(), &lease.get().to_be_bytes()].concat());
    tier.fill(&schema(), &[Fill { key: "b".to_owned(), lease, record: expected }]).await.unwrap();
    assert_eq!(raw.run("GET", vec!["strata:item:b".into()]).await.into_bytes().unwrap(), BYTES);

    let rooted = RedisTier::connect(patient(&server.url()).with_key_root("app:test")).await.unwrap();
    rooted.put(&schema(), &[("c:d".to_owned(), record(0))]).await.unwrap();
    assert_eq!(server.command(&["EXISTS", "app:test:item:c:d"]).unwrap(), "1");
}

/// Redis drops a record some milliseconds after its deadline.
#[tokio::test(flavor = "multi_thread")]
async fn one_reader_leases_what_is_past_its_deadline() {
    let server = start_server();
    let tier = RedisTier::connect(patient(&server.url())).await.unwrap();
    let raw = RawClient::connect(&server.url()).await;
    let mut ended = BYTES.to_vec();
    ended[33] = 1;
    raw.run("SET", vec!["strata:item:a".into(), Value::Bytes(ended.into())]).await;
    assert_eq!(fetch(&tier, "a", None).await.unwrap(), Slot::Empty);
    let Slot::Leased(lease) = fetch(&tier, "a", Some(DAY)).await.unwrap() else { panic!("nothing may be answered from it") };
    assert_about_a_day(remaining(&server, "strata:item:a"));
    assert_eq!(fetch(&tier, "a", Some(DAY)).await.unwrap(), Slot::Busy);
    let filled = tier.fill(&schema(), &[Fill { key: "a".to_owned(), lease, record: record(1) }]).await.unwrap();
    assert_eq!((filled, fetch(&tier, "a", None).await.unwrap()), (vec![true], Slot::Record(record(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_times_are_left_to_redis() {
    let server = start_server();
    let tier = RedisTier::connect(patient(&server.url())).await.unwrap();
    let until_tomorrow = EncodedRecord { deadline: Some(SystemTime::now() + DAY), ..record(1) };
    let Slot::Leased(lease) = fetch(&tier, "a", Some(DAY)).await.unwrap() else { panic!("it was empty") };
    assert_about_a_day(remaining(&server, "strata:item:a"));

    let fill = |record| [Fill { key: "a".to_owned(), lease, record }];
    tier.fill(&schema(), &fill(until_tomorrow.clone())).await.unwrap();
    assert_about_a_day(remaining(&server, "strata:item:a"));
    tier.replace(&schema(), &[("a".to_owned(), record(2))]).await.unwrap();
    assert_eq!(remaining(&server, "strata:item:a"), -1);
    tier.replace(&schema(), &[("a".to_owned(), EncodedRecord { version: Version::new(3), ..until_tomorrow.clone() })]).await.unwrap();
    assert_about_a_day(remaining(&server, "strata:item:a"));

    tier.put(&schema(), &[("b".to_owned(), until_tomorrow)]).await.unwrap();
    assert_about_a_day(remaining(&server, "strata:item:b"));
    tier.put(&schema(), &[("b".to_owned(), record(0))]).await.unwrap();
    assert_eq!(remaining(&server, "strata:item:b"), -1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_redis_kept_past_its_deadline_is_none() {
    let server = start_server();
    let tier = RedisTier::connect(patient(&server.url())).await.unwrap();
    let raw = RawClient::connect(&server.url()).await;
    let mut bytes = BYTES.to_vec();
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_millis(1);
    bytes[26..34].copy_from_slice(&u64::try_from(deadline.as_millis()).unwrap().to_be_bytes());
    raw.run("SET", vec!["strata:item:a".into(), Value::Bytes(Bytes::from(bytes))]).await;
    assert_eq!(fetch(&tier, "a", None).await.unwrap(), Slot::Empty);
    assert_eq!(tier.delete(&schema(), &["a".to_owned()]).await.unwrap(), [None]);
    assert_eq!(server.command(&["DBSIZE"]).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_layout_is_no_foreign_content() {
    let server = start_server();
    let tier = RedisTier::connect(patient(&server.url())).await.unwrap();
    let raw = RawClient::connect(&server.url()).await;
    let mut bytes = BYTES.to_vec();
    bytes[0] = 0xA1;
    raw.run("SET", vec!["strata:item:a".into(), Value::Bytes(Bytes::from(bytes))]).await;
    for lease in [None, Some(DAY)] {
        assert_eq!(fetch(&tier, "a", lease).await.unwrap(), Slot::Empty);
    }
    assert_eq!(server.command(&["EXISTS", "strata:item:a"]).unwrap(), "1", "what is valid for others stays");
    // Which of the two is newer cannot be told.
    assert_eq!(tier.replace(&schema(), &[("a".to_owned(), record(1))]).await.unwrap(), [false]);
    assert_eq!(server.command(&["DBSIZE"]).unwrap(), "0");
}
