//! `Records::marks`, `fetch_marked` and `relay`.

use std::sync::Arc;

use store_core::EncodedRecord;
use store_core::facet::{Fetched, Mark, Relay, Removal, Slot};

use super::RecordsServer;
use super::bench::{Bench, LONG, mark, only, record};

/// "For each, one for each shard, `None` where a shard has none."
pub async fn there_is_no_mark_at_first<S: RecordsServer>(bench: &Bench<S>) {
    let marks = bench.marks().await;
    assert!(!marks.is_empty() && marks.iter().all(Option::is_none), "{marks:?}");
    assert_eq!(bench.fetch_marked("a", None).await, Fetched { slot: Slot::Empty, mark: None });
    assert!(bench.records.marks(&[]).await.expect("no schemas").is_empty());
}

/// "And then moves the marks", of all shards and for all instances.
pub async fn a_mark_is_the_one_set_last<S: RecordsServer>(bench: &Bench<S>) {
    let other = bench.other_tier().await;
    for mark in [mark("1042:"), mark(""), Mark { generation: u64::MAX, ..mark("1043:1050,1051") }, Mark { generation: 0, ..mark("1:") }] {
        bench.relay([], Some(mark.clone())).await;
        let marks = bench.marks().await;
        assert_eq!(marks, vec![Some(mark.clone()); marks.len()]);
        let fetched = only(other.fetch_marked(&bench.schema, &["a".to_owned()], None).await.expect("a fetch succeeds"));
        assert_eq!(fetched.mark.as_deref(), Some(&mark));
    }
}

/// "As `fetch`, with the mark of each slot's shard", whatever the slots hold.
pub async fn each_slot_comes_with_its_mark<S: RecordsServer>(bench: &Bench<S>) {
    bench.relay([], Some(mark("7"))).await;
    bench.install("record", &record(1)).await;
    bench.lease("busy").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    let mut keys: Vec<String> = ["record", "empty", "busy", "foreign", "record"].map(str::to_owned).into();
    keys.extend((0..2_500).map(|number| format!("number {number}")));
    for lease in [None, Some(LONG)] {
        let fetched = bench.records.fetch_marked(&bench.schema, &keys, lease).await.expect("a fetch succeeds");
        assert_eq!(fetched.len(), keys.len());
        assert!(fetched.iter().all(|fetched| fetched.mark.as_deref() == Some(&mark("7"))));
        let slots: Vec<Slot> = fetched.into_iter().map(|fetched| fetched.slot).collect();
        let held = Slot::Record(record(1));
        assert_eq!([&slots[0], &slots[2], &slots[3], &slots[4]], [&held, &Slot::Busy, &Slot::Foreign, &held]);
        let empty = slots[5..].iter().chain(&slots[1..2]);
        assert!(empty.clone().all(|slot| matches!((slot, lease), (Slot::Empty, None) | (Slot::Leased(_), Some(_)))));
        assert_eq!(empty.count(), 2_501);
    }
}

/// A schema's marks are its own.
pub async fn schemas_have_marks_of_their_own<S: RecordsServer>(bench: &Bench<S>) {
    let others = ["2", "-", "_a"].map(|suffix| Arc::new(bench.schema_with_suffix(suffix)));
    bench.relay([], Some(mark("7"))).await;
    let marks = bench.records.marks(&others).await.expect("reading marks succeeds");
    assert!(marks.iter().flatten().all(Option::is_none), "{marks:?}");

    let all: Vec<_> = others.iter().zip(["11", "12", "13"]).map(|(schema, position)| (Arc::clone(schema), mark(position))).collect();
    bench.records.relay(&Relay { marks: all.clone(), ..Relay::default() }).await.expect("a step of the relayer succeeds");
    for ((_, expected), marks) in all.iter().zip(bench.records.marks(&others).await.expect("reading marks succeeds")) {
        assert!(marks.iter().all(|mark| mark.as_ref() == Some(expected)), "{marks:?}");
    }
    assert!(bench.marks().await.iter().all(|present| present == &Some(mark("7"))));
}

/// Marks are no slots: they stay when all of those are emptied, and count for nothing.
pub async fn marks_survive_removals<S: RecordsServer>(bench: &Bench<S>) {
    bench.relay([], Some(mark("7"))).await;
    bench.install("a", &record(1)).await;
    assert_eq!(bench.records.clear(&bench.schema).await.expect("clearing succeeds"), 1);
    bench.relay([(None, None), (Some("a"), None)], None).await;
    let marks = bench.marks().await;
    assert_eq!(marks, vec![Some(mark("7")); marks.len()]);
}

/// "`None` empties the slot whatever it holds. Leases are voided."
pub async fn a_removal_empties_its_slot<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("newest", &record(u64::MAX)).await;
    bench.install("other", &record(1)).await;
    let lease = bench.lease("leased").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    bench.relay(["newest", "leased", "foreign", "empty"].map(|key| (Some(key), None)), Some(mark("7"))).await;
    assert!(!bench.fill("leased", lease, &record(1)).await);
    for key in ["newest", "leased", "foreign", "empty"] {
        bench.assert_leasable(key).await;
    }
    bench.assert_holds("other", &record(1)).await;
}

/// "A record of at least this version stays", of whatever generation and layout; everything else leaves.
pub async fn a_removal_below_a_version_keeps_what_is_newer<S: RecordsServer>(bench: &Bench<S>) {
    const LARGE: u64 = (1 << 63) + (1 << 32);
    for (key, version) in [("older", LARGE - 1), ("equal", LARGE), ("newer", LARGE + 1), ("oldest", 1)] {
        bench.install(key, &record(version)).await;
    }
    let odd = EncodedRecord { generation: 1, fingerprint: 2, codec: 9, payload: Vec::new().into(), ..record(LARGE) };
    bench.install("odd", &odd).await;
    let lease = bench.lease("leased").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    let keys = ["older", "equal", "newer", "oldest", "odd", "leased", "foreign", "empty"];
    bench.relay(keys.map(|key| (Some(key), Some(LARGE))), Some(mark("7"))).await;

    bench.assert_holds("equal", &record(LARGE)).await;
    bench.assert_holds("newer", &record(LARGE + 1)).await;
    bench.assert_holds("odd", &odd).await;
    assert!(!bench.fill("leased", lease, &record(1)).await);
    for key in ["older", "oldest", "leased", "foreign", "empty"] {
        bench.assert_leasable(key).await;
    }
}

/// "`None` for every slot of the schema", and of no other.
pub async fn a_removal_without_a_key_empties_the_schema<S: RecordsServer>(bench: &Bench<S>) {
    let other = bench.schema_with_suffix("2");
    bench.records.put(&other, &[("a".to_owned(), record(1))]).await.expect("a put succeeds");
    let keys: Vec<String> = (0..2_345).map(|number| number.to_string()).collect();
    let leases = bench.records.fetch(&bench.schema, &keys, Some(LONG)).await.expect("a fetch succeeds");
    bench.install("a", &record(1)).await;
    bench.relay([(None, None)], Some(mark("7"))).await;
    let slots = bench.records.fetch(&bench.schema, &keys, None).await.expect("a fetch succeeds");
    assert!(slots.iter().all(|slot| *slot == Slot::Empty));
    let Slot::Leased(lease) = leases[0] else { panic!("{:?}", leases[0]) };
    assert!(!bench.fill("0", lease, &record(1)).await);
    bench.assert_leasable("a").await;
    let slots = bench.records.fetch(&other, &["a".to_owned()], None).await.expect("a fetch succeeds");
    assert!(matches!(slots[..], [Slot::Record(_)]), "{slots:?}");
}

/// One step may concern several schemas, and more slots than fit into one round trip.
pub async fn a_step_may_be_large<S: RecordsServer>(bench: &Bench<S>) {
    let schemas = ["-1", "-2"].map(|suffix| Arc::new(bench.schema_with_suffix(suffix)));
    let records: Vec<_> = (0..2_100).map(|number| (number.to_string(), record(0))).collect();
    let mut removals = Vec::new();
    for (schema, is_known) in schemas.iter().zip([false, true]) {
        let versions = bench.records.put(schema, &records).await.expect("a put succeeds");
        let removal = |((key, _), version): (&(String, EncodedRecord), _)| {
            let newer = store_core::Version::new(store_core::Version::get(version) + 1);
            Removal { schema: Arc::clone(schema), key: Some(key.clone()), below: is_known.then_some(newer) }
        };
        removals.extend(records.iter().zip(versions).map(removal));
    }
    let marks = schemas.iter().map(|schema| (Arc::clone(schema), mark("7"))).collect();
    bench.records.relay(&Relay { removals, marks, ..Relay::default() }).await.expect("a step of the relayer succeeds");
    for schema in &schemas {
        assert_eq!(bench.records.clear(schema).await.expect("clearing succeeds"), 0);
    }
}
