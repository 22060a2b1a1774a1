//! Many keys, and odd ones.

use store_core::facet::{Fill, Slot};

use super::RecordsServer;
use super::bench::{Bench, LONG, record};

/// A key is any text.
pub async fn odd_keys_are_kept_apart<S: RecordsServer>(bench: &Bench<S>) {
    let long = "x".repeat(10_000);
    let keys = ["", "a", "A", "a ", " a", "a:b", "a%3Ab", "{a}b", "{a}", "a}b{", "é", "e\u{301}", "*", "a\r\nb", "\0", "日本", &long];
    for (number, key) in (1..).zip(keys) {
        bench.install(key, &record(number)).await;
    }
    for (number, key) in (1..).zip(keys) {
        bench.assert_holds(key, &record(number)).await;
    }
}

/// Schemas share nothing but the server.
pub async fn prefixes_are_kept_apart<S: RecordsServer>(bench: &Bench<S>) {
    let other = bench.schema_with_suffix("-other");
    let key = ["a".to_owned()];
    bench.install("a", &record(1)).await;
    let slots = bench.records.fetch(&other, &key, Some(LONG)).await.expect("a fetch succeeds");
    let [Slot::Leased(lease)] = slots[..] else { panic!("{slots:?}") };
    let fill = Fill { key: "a".to_owned(), lease, record: record(2) };
    assert_eq!(bench.records.fill(&other, &[fill]).await.expect("a fill succeeds"), [true]);
    bench.remove("a").await;
    assert_eq!(bench.records.fetch(&other, &key, None).await.expect("a fetch succeeds"), [Slot::Record(record(2))]);
}

/// More than a server takes at once, each answer in its place.
pub async fn large_batches_are_answered_in_order<S: RecordsServer>(bench: &Bench<S>) {
    let (records, schema) = (&bench.records, &bench.schema);
    let keys: Vec<String> = (0..2_500).map(|number| format!("key {number}")).collect();
    let slots = records.fetch(schema, &keys, Some(LONG)).await.expect("a fetch succeeds");
    let fills: Vec<Fill> = (0..)
        .zip(keys.iter().zip(&slots))
        .map(|(number, (key, slot))| match slot {
            // Every third one with somebody else's lease.
            Slot::Leased(lease) if number % 3 != 0 => Fill { key: key.clone(), lease: *lease, record: record(number) },
            _ => Fill { key: key.clone(), lease: store_core::facet::FillLease::new(0), record: record(number) },
        })
        .collect();
    let filled = records.fill(schema, &fills).await.expect("a fill succeeds");
    assert!(filled.len() == keys.len() && (0..).zip(filled).all(|(number, filled)| filled == (number % 3 != 0)));

    let newer: Vec<_> = (0..).zip(&keys).map(|(number, key)| (key.clone(), record(number + number % 2))).collect();
    let held = records.replace(schema, &newer).await.expect("a replacement succeeds");
    assert!(held.len() == keys.len() && (0..).zip(held).all(|(number, held)| held == (number % 3 != 0)));

    let slots = records.fetch(schema, &keys, None).await.expect("a fetch succeeds");
    for (number, slot) in (0..).zip(slots) {
        let expected = if number % 3 == 0 { Slot::Empty } else { Slot::Record(record(number + number % 2)) };
        assert_eq!(slot, expected, "key {number}");
    }

    let versions = records.put(schema, &newer).await.expect("a put succeeds");
    assert!(versions.len() == keys.len());
    let deleted = records.delete(schema, &keys).await.expect("a deletion succeeds");
    assert!(deleted.len() == keys.len() && deleted.iter().zip(&versions).all(|(deleted, version)| *deleted > Some(*version)));
}
