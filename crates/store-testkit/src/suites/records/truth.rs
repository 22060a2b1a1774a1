//! `Records::put` and `Records::delete`.

use std::time::Duration;

use store_core::EncodedRecord;
use store_core::facet::Slot;

use super::RecordsServer;
use super::bench::{Bench, past, record, soon, until_some};

/// "The tier issues each version; that in the given record is ignored."
pub async fn a_put_record_is_found_under_the_version_issued<S: RecordsServer>(bench: &Bench<S>) {
    let given = EncodedRecord { deadline: Some(soon(Duration::from_secs(60))), ..record(u64::MAX) };
    let version = bench.put("a", &given).await;
    assert_ne!(version, given.version);
    bench.assert_holds("a", &EncodedRecord { version, ..given }).await;
}

/// What is written later is newer.
pub async fn versions_rise_with_every_write_of_a_key<S: RecordsServer>(bench: &Bench<S>) {
    let mut last = bench.put("a", &record(9)).await;
    for _ in 0..20 {
        let version = bench.put("a", &record(1)).await;
        assert!(version > last, "{version} follows {last}");
        bench.assert_holds("a", &EncodedRecord { version, ..record(1) }).await;
        last = version;
    }
}

/// Within one batch as well.
pub async fn the_last_of_equal_keys_wins<S: RecordsServer>(bench: &Bench<S>) {
    let records = [("a", 1), ("b", 2), ("a", 3)].map(|(key, number)| (key.to_owned(), record(number)));
    let versions = bench.records.put(&bench.schema, &records).await.expect("a put succeeds");
    assert_eq!(versions.len(), 3);
    assert!(versions[2] > versions[0]);
    bench.assert_holds("a", &EncodedRecord { version: versions[2], ..record(3) }).await;
    bench.assert_holds("b", &EncodedRecord { version: versions[1], ..record(2) }).await;
}

/// A put creates its slot, and takes one that holds a lease or foreign content.
pub async fn a_put_takes_any_slot<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("leased").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    for key in ["empty", "leased", "foreign"] {
        let version = bench.put(key, &record(0)).await;
        bench.assert_holds(key, &EncodedRecord { version, ..record(0) }).await;
    }
    assert!(!bench.fill("leased", lease, &record(u64::MAX)).await);
}

/// It is a write all the same: an earlier record does not come back.
pub async fn a_put_past_its_deadline_leaves_nothing<S: RecordsServer>(bench: &Bench<S>) {
    let first = bench.put("a", &record(0)).await;
    let second = bench.put("a", &EncodedRecord { deadline: Some(past()), ..record(0) }).await;
    assert!(second > first);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
}

/// "The version of the deletion", which is newer than the record.
pub async fn a_deleted_record_is_gone<S: RecordsServer>(bench: &Bench<S>) {
    let written = bench.put("a", &record(0)).await;
    let kept = bench.put("b", &record(0)).await;
    let deleted = bench.delete("a").await.expect("there was a record");
    assert!(deleted > written, "{deleted} follows {written}");
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    bench.assert_holds("b", &EncodedRecord { version: kept, ..record(0) }).await;
}

/// "`None` where there was no record": nothing, a lease, or foreign content, all of which leave.
pub async fn a_deletion_without_a_record_has_no_version<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("leased").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    bench.put("a", &record(0)).await;
    let keys = ["a", "nothing", "leased", "foreign", "a"].map(str::to_owned);
    let deleted = bench.records.delete(&bench.schema, &keys).await.expect("a deletion succeeds");
    assert!(matches!(deleted[..], [Some(_), None, None, None, None]), "{deleted:?}");
    assert!(!bench.fill("leased", lease, &record(1)).await);
    bench.assert_leasable("foreign").await;
}

/// Whoever issued the version of the record that is there: the next one is newer.
pub async fn versions_rise_above_what_the_slot_holds<S: RecordsServer>(bench: &Bench<S>) {
    for (key, present) in [("a", u64::MAX - 9), ("b", (1 << 63) + u64::from(u32::MAX)), ("c", (1 << 53) + 1)] {
        bench.install(key, &record(present)).await;
        let version = bench.put(key, &record(0)).await;
        assert!(version.get() > present, "{version} follows {present}");
        bench.assert_holds(key, &EncodedRecord { version, ..record(0) }).await;
        let deleted = bench.delete(key).await.expect("there was a record");
        assert!(deleted > version, "{deleted} follows {version}");
    }
}

/// The same key never sees a version twice.
pub async fn versions_rise_across_deletion_and_clearing<S: RecordsServer>(bench: &Bench<S>) {
    let mut last = bench.put("a", &record(0)).await;
    for _ in 0..3 {
        let deleted = bench.delete("a").await.expect("there was a record");
        let again = bench.put("a", &record(0)).await;
        bench.records.clear(&bench.schema).await.expect("clearing succeeds");
        let cleared = bench.put("a", &record(0)).await;
        assert!(last < deleted && deleted < again && again < cleared, "{last} {deleted} {again} {cleared}");
        last = cleared;
    }
}

/// A record past its deadline is none.
pub async fn an_expired_record_is_not_there_to_be_deleted<S: RecordsServer>(bench: &Bench<S>) {
    let until = soon(Duration::from_millis(40));
    bench.put("a", &EncodedRecord { deadline: Some(until), ..record(0) }).await;
    until_some(async || (bench.fetch("a", None).await == Slot::Empty).then_some(())).await;
    assert_eq!(bench.delete("a").await, None);
}
