//! A server that is full and may not evict.

use store_core::ErrorKind;
use store_core::facet::{Fill, Records, Slot};
use store_testkit::servers::RedisServer;
use tier_redis::RedisTier;

use crate::support::{PATIENCE, fetch, impatient, read_through, record, schema, start_server_with};

async fn fill_up(server: &RedisServer) {
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert!(server.command(&["SET", "more", "data"]).unwrap_err().to_string().contains("OOM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_read_and_emptied_but_not_filled() {
    let server = start_server_with(&[("maxmemory-policy", "noeviction")]);
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    let schema = schema();
    for key in ["read", "replaced", "removed", "deleted"] {
        read_through(&tier, key).await.unwrap();
    }
    let Slot::Leased(lease) = fetch(&tier, "leased", Some(PATIENCE)).await.unwrap() else { panic!("it was empty") };
    fill_up(&server).await;

    // Reads go on, and grant nothing.
    let keys = ["nothing", "read", "leased"].map(str::to_owned);
    let slots = tier.fetch(&schema, &keys, Some(PATIENCE)).await.unwrap();
    assert_eq!(slots, [Slot::Empty, Slot::Record(record(1)), Slot::Busy]);

    let fetched = tier.fetch_marked(&schema, &keys, Some(PATIENCE)).await.unwrap();
    assert_eq!(fetched.into_iter().map(|fetched| fetched.slot).collect::<Vec<_>>(), slots);
    assert_eq!(tier.take_over(&schema, &[("read".to_owned(), record(1))], PATIENCE).await.unwrap(), [None]);

    // What would take room is refused, and says why.
    let fill = Fill { key: "leased".to_owned(), lease, record: record(1) };
    let put = tier.put(&schema, &[("put".to_owned(), record(1))]).await.unwrap_err();
    for error in [tier.fill(&schema, &[fill]).await.unwrap_err(), put] {
        assert_eq!(error.kind(), ErrorKind::L2Unavailable);
        assert!(error.to_string().contains("maxmemory"), "{error}");
    }

    // No older record stays behind what cannot be stored.
    assert_eq!(tier.replace(&schema, &[("replaced".to_owned(), record(2))]).await.unwrap(), [false]);
    assert_eq!(fetch(&tier, "replaced", None).await.unwrap(), Slot::Empty);

    // What makes room works.
    tier.remove(&schema, &["removed".to_owned()]).await.unwrap();
    assert!(tier.delete(&schema, &["deleted".to_owned()]).await.unwrap()[0].is_some());
    assert_eq!(tier.clear(&schema).await.unwrap(), 2);

    server.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    read_through(&tier, "nothing").await.unwrap();
}
