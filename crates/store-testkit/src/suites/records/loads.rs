//! `Records::put_over` and `Records::drop_loaded`.

use store_core::facet::{FillLease, Seen, Slot};
use store_core::{EncodedRecord, Version};

use super::RecordsServer;
use super::bench::{Bench, LONG, past, record};

/// What a loader brought.
fn loaded() -> EncodedRecord {
    EncodedRecord { generation: 1, ..record(u64::MAX) }
}

/// What was put.
fn put() -> EncodedRecord {
    EncodedRecord { generation: 0, ..record(u64::MAX) }
}

/// "Where a slot still holds what the caller saw there", "the tier issues each version".
pub async fn what_was_loaded_takes_the_place_of_its_lease<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    let version = bench.put_over("a", Seen::Lease(lease), &loaded()).await.expect("the lease is there");
    assert_ne!(version, loaded().version);
    bench.assert_holds("a", &EncodedRecord { version, ..loaded() }).await;
}

/// A record gives way to what was loaded after it was seen, whatever its payload is said to have been.
pub async fn what_was_loaded_takes_the_place_of_what_was_seen<S: RecordsServer>(bench: &Bench<S>) {
    let first = bench.put("a", &put()).await;
    let seen = EncodedRecord { version: first, payload: Default::default(), ..put() };
    let second = bench.put_over("a", Seen::Record(seen), &loaded()).await.expect("the record is there");
    assert!(second > first, "{second} follows {first}");
    bench.assert_holds("a", &EncodedRecord { version: second, ..loaded() }).await;
}

/// "A write, a deletion or an invalidation since then voids what was loaded."
pub async fn whatever_came_between_voids_a_load<S: RecordsServer>(bench: &Bench<S>) {
    // Over a lease, and over a record.
    for was_there in [false, true] {
        for between in ["put", "deletion", "removal", "drop", "load", "foreign content", "clearing"] {
            let key = format!("{between} {was_there}");
            let seen = match was_there {
                false => Seen::Lease(bench.lease(&key).await),
                true => {
                    let lease = bench.lease(&key).await;
                    let version = bench.put_over(&key, Seen::Lease(lease), &loaded()).await.expect("the lease is there");
                    Seen::Record(EncodedRecord { version, ..loaded() })
                }
            };
            match between {
                "put" => drop(bench.put(&key, &put()).await),
                "deletion" => drop(bench.delete(&key).await),
                "removal" => bench.remove(&key).await,
                "drop" => assert_eq!(bench.drop_loaded(Some(&[&key])).await, 1),
                "load" => assert!(bench.put_over(&key, seen.clone(), &loaded()).await.is_some()),
                "foreign content" => bench.server.put_foreign_content(&bench.schema, &key).await,
                _ => drop(bench.records.clear(&bench.schema).await.expect("clearing succeeds")),
            }
            let before = bench.fetch(&key, None).await;
            assert_eq!(bench.put_over(&key, seen.clone(), &loaded()).await, None, "{key}");
            assert_eq!(bench.fetch(&key, None).await, before, "{key}");
            if before == Slot::Empty {
                // A lease of somebody else's is none of the caller's either.
                let lease = bench.lease(&key).await;
                assert_eq!(bench.put_over(&key, seen, &loaded()).await, None, "{key}");
                assert!(bench.put_over(&key, Seen::Lease(lease), &loaded()).await.is_some(), "{key}");
            }
        }
    }
    assert_eq!(bench.put_over("never leased", Seen::Lease(FillLease::new(7)), &loaded()).await, None);
    bench.assert_leasable("never leased").await;
}

/// A repeated call finds something else.
pub async fn a_load_is_stored_once<S: RecordsServer>(bench: &Bench<S>) {
    let seen = Seen::Lease(bench.lease("a").await);
    let version = bench.put_over("a", seen.clone(), &loaded()).await.expect("the lease is there");
    assert_eq!(bench.put_over("a", seen, &loaded()).await, None);
    bench.assert_holds("a", &EncodedRecord { version, ..loaded() }).await;
}

/// Nothing was found that could be kept.
pub async fn a_load_past_its_deadline_empties_the_slot_that_was_seen<S: RecordsServer>(bench: &Bench<S>) {
    let over = EncodedRecord { deadline: Some(past()), ..loaded() };
    let lease = bench.lease("a").await;
    assert!(bench.put_over("a", Seen::Lease(lease), &over).await.is_some());
    bench.assert_leasable("a").await;

    let version = bench.put("b", &put()).await;
    let other = EncodedRecord { version: Version::new(version.get() + 1), ..put() };
    assert_eq!(bench.put_over("b", Seen::Record(other), &over).await, None);
    let seen = EncodedRecord { version, ..put() };
    bench.assert_holds("b", &seen).await;
    assert!(bench.put_over("b", Seen::Record(seen), &over).await.is_some());
    bench.assert_leasable("b").await;
}

/// One load's failure is no other's.
pub async fn each_load_of_a_batch_stands_for_itself<S: RecordsServer>(bench: &Bench<S>) {
    let (a, b) = (bench.lease("a").await, bench.lease("b").await);
    let puts = [("a", a), ("b", a), ("a", a), ("c", b)].map(|(key, lease)| (key, Seen::Lease(lease), loaded()));
    let versions = bench.put_over_all(&puts).await;
    assert!(matches!(versions[..], [Some(_), None, None, None]), "{versions:?}");
    assert!(bench.put_over("b", Seen::Lease(b), &loaded()).await.is_some());
    assert_eq!(bench.fetch("c", None).await, Slot::Empty);
}

/// As those of puts do.
pub async fn versions_of_loads_and_puts_rise_together<S: RecordsServer>(bench: &Bench<S>) {
    let mut last = bench.put("a", &put()).await;
    for _ in 0..5 {
        let seen = EncodedRecord { version: last, ..put() };
        let over_record = bench.put_over("a", Seen::Record(seen), &put()).await.expect("the record is there");
        let deleted = bench.delete("a").await.expect("there was a record");
        let lease = bench.lease("a").await;
        let over_lease = bench.put_over("a", Seen::Lease(lease), &put()).await.expect("the lease is there");
        let again = bench.put("a", &put()).await;
        assert!(last < over_record && over_record < deleted && deleted < over_lease && over_lease < again);
        last = again;
    }
    // Whoever issued the version that was seen.
    for (key, present) in [("b", u64::MAX - 9), ("c", (1 << 63) + u64::from(u32::MAX)), ("d", (1 << 53) + 1)] {
        bench.install(key, &record(present)).await;
        let version = bench.put_over(key, Seen::Record(record(present)), &loaded()).await.expect("the record is there");
        assert!(version.get() > present, "{version} follows {present}");
    }
}

/// "Slots that hold a lease, or a record of another generation than 0."
pub async fn copies_and_leases_are_dropped_and_what_was_put_stays<S: RecordsServer>(bench: &Bench<S>) {
    for all in [false, true] {
        let version = bench.put("put", &put()).await;
        let lease = bench.lease("leased").await;
        let copy = bench.lease("copy").await;
        assert!(bench.put_over("copy", Seen::Lease(copy), &loaded()).await.is_some());
        bench.server.put_foreign_content(&bench.schema, "foreign").await;
        let keys = ["put", "leased", "copy", "foreign", "empty"];
        let dropped = if all { bench.drop_loaded(None).await } else { bench.drop_loaded(Some(&keys)).await };
        assert_eq!(dropped, 2);
        bench.assert_holds("put", &EncodedRecord { version, ..put() }).await;
        assert_eq!(bench.fetch("foreign", None).await, Slot::Foreign);
        assert_eq!(bench.put_over("leased", Seen::Lease(lease), &loaded()).await, None);
        bench.assert_leasable("leased").await;
        bench.assert_leasable("copy").await;
        bench.assert_leasable("empty").await;
    }
}

/// "All of the schema", however many there are, and of no other.
pub async fn dropping_all_copies_leaves_other_schemas_alone<S: RecordsServer>(bench: &Bench<S>) {
    const MANY: u64 = 3_000;
    let keys: Vec<String> = (0..MANY).map(|number| format!("key {number}")).collect();
    let other = bench.schema_with_suffix("x");
    for schema in [&*bench.schema, &other] {
        let slots = bench.records.fetch(schema, &keys, Some(LONG)).await.expect("a fetch succeeds");
        assert!(slots.iter().all(|slot| matches!(slot, Slot::Leased(_))));
    }
    assert_eq!(bench.drop_loaded(None).await, MANY);
    assert_eq!(bench.drop_loaded(None).await, 0);
    assert_eq!(bench.records.drop_loaded(&other, None).await.expect("dropping succeeds"), MANY);
}
