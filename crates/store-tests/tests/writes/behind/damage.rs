//! A journal of which bytes changed on the disk.

use std::path::PathBuf;

use strata::{ErrorKind, Store};

use super::{Bench, level, on_truths, players, schemas, truth};
use store_tests::models::player;

const HEADER: usize = 48;
const ENTRY_HEADER: usize = 24;
const WITNESS: [u8; 4] = [0xFF; 4];

/// A store with a journal of 30 writes, of which the truth has applied 20.
async fn store(bench: &Bench) -> Store {
    let store = bench.open("a").await;
    for number in 1..=30 {
        if number == 21 {
            store.flush().await.unwrap();
        }
        players(&store).set(player(&format!("p{number}"), number)).await.unwrap();
    }
    store
}

/// A copy of the store's journal with a flipped bit in each of these entries.
fn damage(bench: &Bench, copy: &str, entries: &[u64]) {
    bench.copy("a", copy);
    let segments = std::fs::read_dir(bench.journals.path().join(copy)).unwrap().map(|file| file.unwrap().path());
    let segments: Vec<PathBuf> = segments.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    let [segment] = &segments[..] else { panic!("{segments:?}") };
    let mut bytes = std::fs::read(segment).unwrap();
    let (mut at, mut left) = (HEADER, entries.to_vec());
    while !left.is_empty() {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        let sequence = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap());
        if bytes[at + 20..at + 24] != WITNESS && left.contains(&sequence) {
            bytes[at + ENTRY_HEADER + 3] ^= 1;
            left.retain(|wanted| *wanted != sequence);
        }
        at += ENTRY_HEADER + length;
    }
    std::fs::write(segment, bytes).unwrap();
}

async fn levels(other: &Store) -> Vec<Option<i64>> {
    let mut levels = Vec::new();
    for number in 1..=30 {
        levels.push(truth(other, &format!("p{number}")).await);
    }
    levels
}

async fn damage_of_what_the_truth_has_applied_loses_nothing(bench: &Bench) {
    let _store = store(bench).await;
    damage(bench, "next", &[7, 8, 15, 20]);
    let next = bench.open("next").await;
    assert_eq!(level(&players(&next), "p30").await, Some(30));
    players(&next).set(player("p1", 100)).await.unwrap();
    next.close().await.unwrap();
    let again = bench.open("next").await;
    assert_eq!(again.stats().dirty_entries, 0);
    let found = levels(&again).await;
    assert_eq!((found[0], &found[1..]), (Some(100), &(2..=30).map(Some).collect::<Vec<_>>()[..]));
}

async fn damage_of_what_it_lacks_is_told_and_the_rest_can_be_kept(bench: &Bench) {
    let _store = store(bench).await;
    damage(bench, "next", &[7, 24, 25, 28]);
    for (up_to, lost) in
        [(0, "entries 24 to 25 are damaged, 26 and"), (24, "entries 24 to 25"), (25, "entries 28 to 28 are damaged, 29 and")]
    {
        let opened =
            bench.try_open("next", |builder| schemas(builder).configure(|settings| settings.write_behind.skip_damage_up_to = up_to));
        let error = opened.await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::JournalUnavailable);
        assert!(error.to_string().contains(lost) && error.to_string().contains("STRATA_WRITE_BEHIND_SKIP_DAMAGE_UP_TO"), "{error}");
    }
    let (next, _) = bench.open_with("next", |builder| builder.configure(|settings| settings.write_behind.skip_damage_up_to = 28)).await;
    next.close().await.unwrap();
    // Nothing is missed any more.
    let again = bench.open("next").await;
    let expected: Vec<Option<i64>> = (1..=30).map(|number| (![24, 25, 28].contains(&number)).then_some(number)).collect();
    assert_eq!(levels(&again).await, expected);
}

on_truths![damage_of_what_the_truth_has_applied_loses_nothing, damage_of_what_it_lacks_is_told_and_the_rest_can_be_kept,];
