//! The tier itself.

use std::sync::Arc;

use store_core::Role;
use store_core::facet::Relay;

use super::RecordsServer;
use super::bench::{Bench, LONG};

/// The tier's role is shared, and it carries messages, too.
pub async fn is_shared_and_has_records_and_wakes<S: RecordsServer>(bench: &Bench<S>) {
    assert_eq!(bench.tier.role(), Role::Shared);
    assert!(!bench.tier.name().is_empty());
    let facets = Arc::clone(&bench.tier).facets();
    assert!(facets.records.is_some() && facets.wakes.is_some());
    assert!(facets.near.is_none() && facets.tables.is_none() && facets.log.is_none());
}

/// A ping succeeds, and so does closing twice.
pub async fn answers_a_ping<S: RecordsServer>(bench: &Bench<S>) {
    bench.tier.ping().await.expect("the server is there");
    let other = bench.server.open().await;
    other.close().await.expect("closing succeeds");
    other.close().await.expect("closing again does nothing");
    bench.tier.ping().await.expect("another tier's closing changes nothing");
}

/// An empty batch is answered by an empty list.
pub async fn no_items_are_no_work<S: RecordsServer>(bench: &Bench<S>) {
    let (records, schema) = (&bench.records, &bench.schema);
    assert!(records.fetch(schema, &[], None).await.expect("no keys").is_empty());
    assert!(records.fetch(schema, &[], Some(LONG)).await.expect("no keys").is_empty());
    assert!(records.fetch_marked(schema, &[], Some(LONG)).await.expect("no keys").is_empty());
    assert!(records.take_over(schema, &[], LONG).await.expect("no records").is_empty());
    records.relay(&Relay::default()).await.expect("no removals");
    assert!(records.fill(schema, &[]).await.expect("no fills").is_empty());
    assert!(records.replace(schema, &[]).await.expect("no records").is_empty());
    records.remove(schema, &[]).await.expect("no keys");
    assert!(records.put(schema, &[]).await.expect("no records").is_empty());
    assert!(records.delete(schema, &[]).await.expect("no keys").is_empty());
    assert_eq!(records.clear(schema).await.expect("an empty schema"), 0);
}
