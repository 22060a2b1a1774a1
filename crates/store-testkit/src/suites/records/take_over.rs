//! `Records::take_over`.

use std::time::Duration;

use store_core::EncodedRecord;
use store_core::facet::Slot;

use super::RecordsServer;
use super::bench::{Bench, LONG, only, record, soon};

/// "Leases slots over records": whoever took it over fills it, with an older version too.
pub async fn a_record_gives_way_to_a_lease<S: RecordsServer>(bench: &Bench<S>) {
    let present = EncodedRecord { deadline: Some(soon(Duration::from_secs(60))), ..record(u64::MAX) };
    bench.install("a", &present).await;
    let lease = bench.take_over("a", &present).await.expect("the slot holds exactly that record");
    assert_eq!(bench.fetch("a", Some(LONG)).await, Slot::Busy);
    assert!(bench.fill("a", lease, &record(1)).await);
    bench.assert_holds("a", &record(1)).await;
    assert!(!bench.fill("a", lease, &record(2)).await, "a lease fills once");
}

/// "`None` where the slot does not hold exactly that record any more."
pub async fn another_record_stays<S: RecordsServer>(bench: &Bench<S>) {
    let deadline = soon(Duration::from_secs(60));
    let present = EncodedRecord { deadline: Some(deadline), ..record(5) };
    bench.install("a", &present).await;
    for other in [
        EncodedRecord { deadline: Some(deadline), ..record(4) },
        EncodedRecord { deadline: Some(deadline), ..record(6) },
        EncodedRecord { generation: present.generation + 1, ..present.clone() },
        EncodedRecord { fingerprint: present.fingerprint + 1, ..present.clone() },
        EncodedRecord { codec: present.codec + 1, ..present.clone() },
        EncodedRecord { deadline: Some(deadline + Duration::from_millis(1)), ..present.clone() },
        EncodedRecord { deadline: None, ..present.clone() },
    ] {
        assert_eq!(bench.take_over("a", &other).await, None, "{other:?}");
        bench.assert_holds("a", &present).await;
    }
}

/// Neither is anything else taken: nothing is created, and nobody loses a lease.
pub async fn what_is_no_record_stays<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("leased").await;
    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    for key in ["empty", "leased", "foreign"] {
        assert_eq!(bench.take_over(key, &record(1)).await, None, "{key}");
    }
    assert_eq!(bench.fetch("empty", None).await, Slot::Empty);
    assert_eq!(bench.fetch("foreign", None).await, Slot::Foreign);
    assert!(bench.fill("leased", lease, &record(1)).await);
}

/// One of two who saw the same record gets the lease.
pub async fn a_record_is_taken_over_once<S: RecordsServer>(bench: &Bench<S>) {
    for key in ["a", "b"] {
        bench.install(key, &record(1)).await;
    }
    let records = ["a", "b", "a"].map(|key| (key.to_owned(), record(1)));
    let leases = bench.records.take_over(&bench.schema, &records, LONG).await.expect("taking over succeeds");
    let [Some(first), Some(second), None] = leases[..] else { panic!("{leases:?}") };
    assert_ne!(first, second, "leases of different slots differ");
}

/// The lease ends with its time, and the slot is free then: the record does not come back.
pub async fn a_lease_over_a_record_ends_with_its_time<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(1)).await;
    let records = [("a".to_owned(), record(1))];
    let short = Duration::from_millis(40);
    let ended = only(bench.records.take_over(&bench.schema, &records, short).await.expect("taking over succeeds"));
    let next = bench.until_leased("a").await;
    assert_ne!(ended, Some(next));
}
