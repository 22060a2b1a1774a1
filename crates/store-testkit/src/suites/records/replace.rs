//! `Records::replace`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use store_core::EncodedRecord;
use store_core::facet::Slot;

use super::RecordsServer;
use super::bench::{Bench, LONG, past, record, record_until, soon};

/// "`replace` never creates one", neither a record nor a lease.
pub async fn an_empty_slot_stays_empty<S: RecordsServer>(bench: &Bench<S>) {
    assert!(!bench.replace("a", &record(1)).await);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    bench.assert_leasable("a").await;
}

/// "One that holds an older record takes the new one", the whole of it.
pub async fn a_newer_record_takes_the_place_of_an_older_one<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &EncodedRecord { deadline: Some(soon(Duration::from_secs(30))), ..record(1) }).await;
    for version in [2, 7] {
        let newer = EncodedRecord {
            fingerprint: version,
            codec: 9,
            deadline: Some(soon(Duration::from_secs(60 * version))),
            payload: Bytes::from(vec![0xA1; 300]),
            ..record(version)
        };
        assert!(bench.replace("a", &newer).await);
        bench.assert_holds("a", &newer).await;
        assert!(bench.replace("a", &newer).await, "repeating it is safe");
    }
    assert!(bench.replace("a", &record(8)).await);
    bench.assert_holds("a", &record(8)).await;
}

/// The life time is that of the new record, whether the older one's was shorter or longer.
pub async fn a_replacement_lives_by_its_own_deadline<S: RecordsServer>(bench: &Bench<S>) {
    let longer = EncodedRecord { deadline: Some(soon(LONG)), ..record(2) };
    let mut time = Duration::from_millis(100);
    let (short, [to_longer, to_for_ever, to_shorter]) = loop {
        let short = soon(time);
        let keys = ["longer", "for ever", "shorter"].map(|key| format!("{key} than {time:?}"));
        for (key, older) in keys.iter().zip([record_until(short), record_until(short), record(1)]) {
            bench.install(key, &older).await;
        }
        let mut replaced = Vec::new();
        for (key, newer) in keys.iter().zip([longer.clone(), record(2), EncodedRecord { deadline: Some(short), ..record(2) }]) {
            replaced.push(bench.replace(key, &newer).await);
        }
        if SystemTime::now() < short {
            assert_eq!(replaced, [true; 3]);
            break (short, keys);
        }
        // A machine may be so slow that the short time is over by now.
        time *= 4;
        assert!(time < LONG / 4, "three replacements took {:?}", time / 4);
    };
    bench.until_leased(&to_shorter).await;
    assert!(SystemTime::now() >= short);
    bench.assert_holds(&to_longer, &longer).await;
    bench.assert_holds(&to_for_ever, &record(2)).await;
}

/// "A newer one stays as it is."
pub async fn an_older_record_changes_nothing<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(5)).await;
    assert!(!bench.replace("a", &record(4)).await);
    assert!(!bench.replace("a", &EncodedRecord { fingerprint: 1, ..record(4) }).await, "whatever its layout");
    assert!(!bench.replace("a", &EncodedRecord { deadline: Some(past()), ..record(4) }).await, "even if it is over");
    bench.assert_holds("a", &record(5)).await;
}

/// "An absence, which has version 0, is emptied": the record that is told may have been deleted before the absence was found.
pub async fn an_absence_leaves<S: RecordsServer>(bench: &Bench<S>) {
    for (key, version) in [("a", 1), ("b", u64::MAX), ("c", 0)] {
        bench.install(key, &record(0)).await;
        assert!(!bench.replace(key, &record(version)).await);
        assert_eq!(bench.fetch(key, None).await, Slot::Empty);
    }
}

/// "`true` where the slot now holds exactly the given record", also if it did before.
pub async fn the_same_record_is_there_already<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(5)).await;
    assert!(bench.replace("a", &record(5)).await);
    bench.assert_holds("a", &record(5)).await;
}

/// An equal version of the same layout is no older record, and not the given one unless all of it is equal.
pub async fn an_equal_version_of_the_same_layout_stays<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(5)).await;
    let later = EncodedRecord { deadline: Some(soon(Duration::from_secs(60))), ..record(5) };
    let other_payload = EncodedRecord { payload: Bytes::from_static(b"other"), ..record(5) };
    assert!(!bench.replace("a", &later).await);
    assert!(!bench.replace("a", &other_payload).await);
    bench.assert_holds("a", &record(5)).await;
}

/// "Or an equal version with another fingerprint": two builds can take turns, but never take a newer version away.
pub async fn an_equal_version_of_another_layout_is_replaced<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(5)).await;
    let other = EncodedRecord { fingerprint: 2, ..record(5) };
    assert!(bench.replace("a", &other).await);
    bench.assert_holds("a", &other).await;
    assert!(bench.replace("a", &record(5)).await);
    bench.assert_holds("a", &record(5)).await;
}

/// "One that holds … a record of another generation is emptied", since nobody knows whether it is older.
pub async fn a_record_of_another_generation_leaves<S: RecordsServer>(bench: &Bench<S>) {
    for (key, version) in [("older", 4), ("equal", 5), ("newer", 6)] {
        bench.install(key, &EncodedRecord { generation: record(0).generation - 1, ..record(version) }).await;
        assert!(!bench.replace(key, &record(5)).await, "{key}");
        bench.assert_leasable(key).await;
    }
}

/// "One that holds a lease is emptied", so that what its holder has loaded meanwhile cannot hide the newer record.
pub async fn a_lease_is_voided<S: RecordsServer>(bench: &Bench<S>) {
    let lease = bench.lease("a").await;
    assert!(!bench.replace("a", &record(2)).await);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    assert!(!bench.fill("a", lease, &record(1)).await);
    bench.assert_leasable("a").await;
}

/// What cannot be read may be an older record of another build: it leaves, and is replaced by nothing.
pub async fn foreign_content_is_emptied<S: RecordsServer>(bench: &Bench<S>) {
    bench.server.put_foreign_content(&bench.schema, "a").await;
    assert!(!bench.replace("a", &record(2)).await);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    bench.assert_leasable("a").await;
}

/// Versions have 64 bits, all of which count.
pub async fn versions_are_compared_over_their_whole_range<S: RecordsServer>(bench: &Bench<S>) {
    let rising = [
        1,
        2,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - (1 << 32),
        u64::MAX - 1,
        u64::MAX,
    ];
    bench.install("a", &record(rising[0])).await;
    for pair in rising.windows(2) {
        assert!(bench.replace("a", &record(pair[1])).await, "{} is newer than {}", pair[1], pair[0]);
        assert!(!bench.replace("a", &record(pair[0])).await, "{} is older than {}", pair[0], pair[1]);
        bench.assert_holds("a", &record(pair[1])).await;
    }
}

/// A newer record that is over by now says that the older one is, too.
pub async fn a_record_past_its_deadline_empties_the_slot_of_an_older_one<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(1)).await;
    assert!(!bench.replace("a", &EncodedRecord { deadline: Some(past()), ..record(2) }).await);
    assert_eq!(bench.fetch("a", None).await, Slot::Empty);
    bench.assert_leasable("a").await;
}

/// Results stand in order; the same key twice is no different from two calls.
pub async fn each_record_of_a_batch_stands_for_itself<S: RecordsServer>(bench: &Bench<S>) {
    bench.install("a", &record(1)).await;
    bench.install("b", &record(9)).await;
    let records = [("a", 2), ("nothing", 2), ("b", 2), ("a", 1), ("a", 3)].map(|(key, version)| (key.to_owned(), record(version)));
    let held = bench.records.replace(&bench.schema, &records).await.expect("a replacement succeeds");
    assert_eq!(held, [true, false, false, false, true]);
    bench.assert_holds("a", &record(3)).await;
    bench.assert_holds("b", &record(9)).await;
}
