//! `Records::remove` and `Records::clear`.

use store_core::facet::Slot;

use super::RecordsServer;
use super::bench::{Bench, LONG, record};

/// "Empties slots, whatever they hold": a record, foreign content, or nothing.
pub async fn a_removed_slot_is_empty<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("record", &record(1)).await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    let keys = ["record", "foreign", "nothing", "record"].map(str::to_owned);
    bench.records.remove(&bench.schema, &keys).await.expect("a removal succeeds");
    for key in ["record", "foreign", "nothing"] {
        assert_eq!(bench.fetch(key, None).await, Slot::Empty);
        bench.assert_leasable(key).await;
    }
}

/// "Leases are voided."
pub async fn a_removed_lease_is_void<S: RecordsServer>(bench: &Bench<S>) {
    let void = bench.lease("a").await;
    bench.remove("a").await;
    assert!(!bench.fill("a", void, &record(1)).await);
    let lease = bench.lease("a").await;
    assert_ne!(void, lease);
    assert!(!bench.fill("a", void, &record(1)).await, "the next lease is another");
    assert!(bench.fill("a", lease, &record(2)).await);
}

/// Only the given keys of the given schema are meant.
pub async fn removing_leaves_other_keys_alone<S: RecordsServer>(bench: &Bench<S>) {
    for key in ["a", "b", "ab", ""] {
        bench.install(key, &record(1)).await;
    }
    bench.remove("a").await;
    for key in ["b", "ab", ""] {
        bench.assert_holds(key, &record(1)).await;
    }
}

/// "Empties every slot of the schema … and returns how many there were", more of them than fit into one step.
pub async fn all_slots_are_emptied_and_counted<S: RecordsServer>(bench: &Bench<S>) {
    let keys: Vec<String> = (0..3_210).map(|number| number.to_string()).collect();
    let leased = bench.records.fetch(&bench.schema, &keys, Some(LONG)).await.expect("a fetch succeeds");
    assert!(leased.iter().all(|slot| matches!(slot, Slot::Leased(_))));
    bench.remove("0").await;
    bench.install("0", &record(1)).await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;

    assert_eq!(bench.records.clear(&bench.schema).await.expect("clearing succeeds"), 3_211);
    let slots = bench.records.fetch(&bench.schema, &keys, None).await.expect("a fetch succeeds");
    assert!(slots.iter().all(|slot| *slot == Slot::Empty));
    assert_eq!(bench.records.clear(&bench.schema).await.expect("clearing nothing succeeds"), 0);
}

/// A fill that was under way finds its lease gone.
pub async fn cleared_leases_are_void<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    bench.records.clear(&bench.schema).await.expect("clearing succeeds");
    assert!(!bench.fill("a", lease, &record(1)).await);
    bench.assert_leasable("a").await;
}

/// A schema whose prefix merely begins with the same text keeps its slots.
pub async fn schemas_of_similar_prefixes_are_left_alone<S: RecordsServer>(bench: &Bench<S>) {
    let others = ["2", "b", "-", "_a"].map(|suffix| bench.schema_with_suffix(suffix));
    for other in &others {
        bench.records.put(other, &[("a".to_owned(), record(1))]).await.expect("a put succeeds");
    }
    bench.install("a", &record(1)).await;
    assert_eq!(bench.records.clear(&bench.schema).await.expect("clearing succeeds"), 1);
    for other in &others {
        let slots = bench.records.fetch(other, &["a".to_owned()], None).await.expect("a fetch succeeds");
        assert!(matches!(slots[..], [Slot::Record(_)]), "{} lost its record", other.key_prefix());
    }
}

/// A prefix is text, whatever its characters mean in a pattern.
pub async fn characters_of_patterns_are_plain<S: RecordsServer>(bench: &Bench<S>) {
    for (suffix, lookalike) in [("*", "x"), ("?", "x"), ("[xy]", "x"), ("[^a]", "x"), ("\\x", "x"), ("\\", "\\x"), ("é", "e")] {
        let (schema, other) = (bench.schema_with_suffix(suffix), bench.schema_with_suffix(lookalike));
        for schema in [&schema, &other] {
            bench.records.put(schema, &[("a".to_owned(), record(1))]).await.expect("a put succeeds");
        }
        assert_eq!(bench.records.clear(&schema).await.expect("clearing succeeds"), 1, "the slot of {}", schema.key_prefix());
        assert_eq!(bench.records.clear(&other).await.expect("clearing succeeds"), 1, "the slot of {}", other.key_prefix());
    }
}
