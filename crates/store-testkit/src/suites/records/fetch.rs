//! `Records::fetch`.

use std::time::Duration;

use store_core::facet::Slot;

use super::RecordsServer;
use super::bench::{Bench, LONG, record};

/// "Nothing is there, and no lease was asked for": reading creates nothing.
pub async fn an_empty_slot_is_empty_and_stays_so_without_a_lease<S: RecordsServer>(bench: &Bench<S>) {
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    bench.assert_leasable("a").await;
}

/// "Each empty slot gets a lease": the first asker holds it, the others find the slot busy, whether they ask for one or not.
pub async fn an_empty_slot_is_leased_once<S: RecordsServer>(bench: &Bench<S>) {
    bench.lease("a").await;
    assert_eq!(bench.fetch("a", Some(LONG)).await, Slot::Busy);
    assert_eq!(bench.fetch("a", None).await, Slot::Busy);
}

/// One batch is no different from several calls.
pub async fn a_key_asked_twice_is_leased_once<S: RecordsServer>(bench: &Bench<S>) {
    let keys = ["a", "b", "a"].map(str::to_owned);
    let slots = bench.records.fetch(&bench.schema, &keys, Some(LONG)).await.expect("a fetch succeeds");
    let [Slot::Leased(first), Slot::Leased(second), Slot::Busy] = slots[..] else { panic!("{slots:?}") };
    assert_ne!(first, second, "leases of different slots differ");
}

/// "A lease of that length": afterwards the slot is free, and the lease is nobody's.
pub async fn a_lease_ends_with_its_time<S: RecordsServer>(bench: &Bench<S>) {
    let Slot::Leased(ended) = bench.fetch("a", Some(Duration::from_millis(40))).await else { panic!("the slot was empty") };
    let next = bench.until_leased("a").await;
    assert_ne!(ended, next);
    assert!(!bench.fill("a", ended, &record(1)).await, "an ended lease fills nothing");
    assert!(bench.fill("a", next, &record(2)).await);
    bench.assert_holds("a", &record(2)).await;
}

/// "Results stand in the order of what was asked, one for each", whatever the slots hold.
pub async fn slots_stand_in_the_order_of_the_keys<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("one", &record(1)).await;
    bench.install("two", &record(2)).await;
    bench.lease("busy").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    let keys = ["two", "nothing", "busy", "one", "foreign", "two"].map(str::to_owned);
    let slots = bench.records.fetch(&bench.schema, &keys, None).await.expect("a fetch succeeds");
    let two = Slot::Record(record(2));
    assert_eq!(slots, [two.clone(), Slot::Empty, Slot::Busy, Slot::Record(record(1)), Slot::Foreign, two.clone()]);

    let slots = bench.records.fetch(&bench.schema, &keys, Some(LONG)).await.expect("a fetch succeeds");
    assert!(matches!(slots[1], Slot::Leased(_)), "{slots:?}");
    assert_eq!([&slots[0], &slots[2], &slots[3], &slots[4]], [&two, &Slot::Busy, &Slot::Record(record(1)), &Slot::Foreign]);
}

/// "A slot with content of none answers `Slot::Foreign`", and cannot be leased.
pub async fn foreign_content_is_told_and_not_leased<S: RecordsServer>(bench: &Bench<S>) {
    bench.server.put_foreign_content(&bench.schema, "a").await;
    assert_eq!(bench.fetch("a", None).await, Slot::Foreign);
    assert_eq!(bench.fetch("a", Some(LONG)).await, Slot::Foreign);
    assert_eq!(bench.fetch("a", Some(LONG)).await, Slot::Foreign);
}
