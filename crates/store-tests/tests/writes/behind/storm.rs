//! Many writers of one instance over a truth that fails at random.

use std::collections::BTreeMap;
use std::time::Duration;

use store_testkit::Operation;
use strata::{Collection, ErrorKind, Role, Store, WriteBehind};

use super::{Bench, level, on_truths, players};
use store_tests::models::{Player, player};

const WRITERS: u64 = 4;
const ROUNDS: i64 = 150;
const FAILING: [Operation; 9] = [
    Operation::Begin,
    Operation::GetMany,
    Operation::PutMany,
    Operation::PutIf,
    Operation::DeleteMany,
    Operation::Savepoint,
    Operation::AdvanceJournal,
    Operation::Commit,
    Operation::JournalApplied,
];

/// Writes keys of its own, and answers what they hold in the end.
async fn write(store: Store, writer: u64) -> BTreeMap<String, Option<i64>> {
    let players: Collection<Player> = players(&store);
    let mut expected = BTreeMap::new();
    let mut random = writer.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for round in 0..ROUNDS {
        let id = format!("w{writer}-{}", next(3));
        match next(10) {
            0 | 1 => {
                players.delete(id.as_str()).await.unwrap();
                expected.insert(id.clone(), None);
            }
            2 => {
                // Another door, which may fail and have taken effect all the same.
                let present = expected.get(&id).copied().flatten();
                match players.update(id.as_str(), |player| player.level += 1_000).await {
                    Ok(updated) => {
                        assert_eq!(updated.as_ref().map(|player| player.level), present.map(|level| level + 1_000), "{id}");
                        expected.insert(id.clone(), updated.map(|player| player.level));
                    }
                    Err(_) => {
                        players.set(player(&id, round)).await.unwrap();
                        expected.insert(id.clone(), Some(round));
                    }
                }
            }
            3 => drop(store.flush().await),
            _ => {
                players.set(player(&id, round)).await.unwrap();
                expected.insert(id.clone(), Some(round));
            }
        }
        // What was flushed and has left memory has to be asked for, which may fail.
        match players.get(id.as_str()).await {
            Ok(found) => assert_eq!(found.map(|player| player.level), expected.get(&id).copied().flatten(), "{id}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::L3Unavailable, "{error}"),
        }
    }
    expected
}

async fn the_last_write_of_each_key_counts(bench: &Bench) {
    let quick = WriteBehind { flush_interval: Duration::from_millis(1), flush_threshold: 5, ..WriteBehind::default() };
    let (store, faults) = bench.open_with("a", |builder| builder.write_behind(quick)).await;
    faults.random(7, 8, &FAILING, ErrorKind::L3Unavailable);
    let writers: Vec<_> = (1..=WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
    let mut expected = BTreeMap::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    bench.copy("a", "after-a-kill");
    faults.heal();
    store.flush().await.unwrap();
    let ids: Vec<String> = expected.keys().cloned().collect();
    let levels: Vec<_> = expected.values().copied().collect();
    let truth = |store: &Store| {
        let (players, ids) = (players(store), ids.clone());
        async move { players.from(Role::Truth).get_many(&ids).await.unwrap() }
    };
    let found = truth(&store).await;
    assert_eq!(found.iter().map(|found| found.as_ref().map(|player| player.level)).collect::<Vec<_>>(), levels);
    for (id, expected) in &expected {
        assert_eq!(level(&players(&store), id).await, *expected, "{id}");
    }
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
    // What a restart finds in the journal is all applied.
    let next = bench.open("after-a-kill").await;
    next.flush().await.unwrap();
    let versions = |found: &[Option<strata::Record<Player>>]| {
        found.iter().map(|found| found.as_ref().map(|player| player.version())).collect::<Vec<_>>()
    };
    assert_eq!(versions(&truth(&next).await), versions(&found));
}

on_truths![the_last_write_of_each_key_counts];
