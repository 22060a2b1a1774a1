//! `Records::fill`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use store_core::facet::{FillLease, Slot};
use store_core::{EncodedRecord, Version};

use super::RecordsServer;
use super::bench::{Bench, LONG, past, record, record_until, soon, until_some};

/// The right that a fetch granted is good for one record.
pub async fn the_holder_of_the_lease_fills<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    assert!(bench.fill("a", lease, &record(1)).await);
    bench.assert_holds("a", &record(1)).await;
    assert_eq!(bench.fetch("a", Some(LONG)).await, Slot::Record(record(1)));
}

/// Every field survives, at the ends of its range too.
pub async fn what_was_filled_comes_back_whole<S: RecordsServer>(bench: &Bench<S>) {
    let records = [
        EncodedRecord { version: Version::new(0), generation: 0, fingerprint: 0, codec: 0, deadline: None, payload: Bytes::new() },
        EncodedRecord {
            version: Version::new(u64::MAX),
            generation: u64::MAX,
            fingerprint: u64::MAX,
            codec: u8::MAX,
            deadline: Some(soon(Duration::from_secs(7 * 24 * 3_600))),
            payload: (0..=u8::MAX).cycle().take(1 << 20).collect(),
        },
        EncodedRecord { deadline: Some(soon(Duration::from_secs(1_000 * 366 * 24 * 3_600))), ..record((1 << 53) + 1) },
    ];
    for (number, record) in records.iter().enumerate() {
        let key = number.to_string();
        bench.install(&key, record).await;
        bench.assert_holds(&key, record).await;
    }
}

/// "`false` where the lease in the slot is not the caller's any more; nothing is changed there."
pub async fn another_lease_fills_nothing<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    let other = bench.lease("b").await;
    assert!(!bench.fill("a", other, &record(1)).await);
    assert_eq!(bench.fetch("a", None).await, Slot::Busy);
    assert!(bench.fill("a", lease, &record(2)).await, "the lease is still good");
    bench.assert_holds("a", &record(2)).await;
}

/// A slot is created only by the holder of the lease that is in it.
pub async fn a_lease_that_is_not_in_the_slot_creates_nothing<S: RecordsServer>(bench: &Bench<S>) {
    assert!(!bench.fill("never leased", FillLease::new(7), &record(1)).await);
    bench.assert_leasable("never leased").await;

    let lease = bench.lease("removed").await;
    bench.remove("removed").await;
    assert!(!bench.fill("removed", lease, &record(1)).await);
    bench.assert_leasable("removed").await;

    bench.server.put_foreign_content(&bench.schema, "foreign").await;
    assert!(!bench.fill("foreign", lease, &record(1)).await);
    assert_eq!(bench.fetch("foreign", None).await, Slot::Foreign);
}

/// A repeated fill is safe: it finds its lease used up.
pub async fn a_lease_fills_once<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    assert!(bench.fill("a", lease, &record(2)).await);
    assert!(!bench.fill("a", lease, &record(2)).await);
    assert!(!bench.fill("a", lease, &record(3)).await, "not even with a newer record");
    bench.assert_holds("a", &record(2)).await;
}

/// One fill's failure is no other's.
pub async fn each_fill_of_a_batch_stands_for_itself<S: RecordsServer>(bench: &Bench<S>) {
    let (a, b, c) = (bench.lease("a").await, bench.lease("b").await, bench.lease("c").await);
    let filled = bench.fill_all(&[("a", a, &record(1)), ("b", c, &record(2)), ("c", c, &record(3)), ("a", a, &record(4))]).await;
    assert_eq!(filled, [true, false, true, false]);
    bench.assert_holds("a", &record(1)).await;
    bench.assert_holds("c", &record(3)).await;
    assert!(bench.fill("b", b, &record(5)).await);
}

/// "A record past its deadline is never answered."
pub async fn a_record_is_never_answered_past_its_deadline<S: RecordsServer>(bench: &Bench<S>) {
    let deadline = soon(Duration::from_millis(150));
    let record = record_until(deadline);
    bench.install("a", &record).await;
    until_some(async || {
        let asked = SystemTime::now();
        match bench.fetch("a", None).await {
            Slot::Record(found) => {
                assert_eq!(found, record);
                assert!(asked < deadline, "answered {:?} late", asked.duration_since(deadline));
                None
            }
            slot => {
                assert_eq!(slot, Slot::Empty);
                assert!(SystemTime::now() >= deadline, "gone too early");
                Some(())
            }
        }
    })
    .await;
    bench.until_leased("a").await;
}

/// A record that came too late uses the lease up and leaves nothing.
pub async fn a_record_past_its_deadline_empties_the_slot<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    assert!(bench.fill("a", lease, &record_until(past())).await);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    bench.assert_leasable("a").await;
}
