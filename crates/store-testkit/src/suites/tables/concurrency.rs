//! Writers that meet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use store_core::facet::Count;
use store_core::{Value, Version};

use super::schemas::{at, key_of, player, player_row, with};
use crate::suites::truth::{TruthDatabase, open_with, start_writers};

/// Writers of one key draw different versions, and what stands in the end is what the highest version wrote.
pub async fn the_highest_version_of_a_key_stands(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    let writers = start_writers(&truths, 8, |writer, tables| async move {
        let schema = player();
        let mut written = Vec::new();
        for turn in 0..25 {
            let level = writer * 100 + turn;
            let stored = tables.put_many(&schema, &[with(&schema, player_row(1), "level", level.into())]).await.unwrap();
            assert_eq!(stored[0].row[at(&schema, "level")], Value::Integer(level), "a writer is told of its own write");
            written.push((stored[0].version, level));
        }
        assert!(written.is_sorted_by(|earlier, later| earlier.0 < later.0), "one writer's versions rise: {written:?}");
        written
    });
    let mut levels: BTreeMap<Version, i64> = BTreeMap::new();
    for writer in writers {
        levels.extend(writer.await.unwrap());
    }
    assert_eq!(levels.len(), 8 * 25, "no version was drawn twice");
    let held = truths[0].tables.get_many(&schema, &[vec![1.into()]]).await.unwrap().remove(0).unwrap();
    let (&version, &level) = levels.last_key_value().unwrap();
    assert_eq!((held.version, &held.row[at(&schema, "level")]), (version, &Value::Integer(level)));
}

/// Inserts and deletions of one key by several writers all succeed, and their versions differ.
pub async fn inserts_and_deletions_of_a_key_meet(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    let writers = start_writers(&truths, 6, |writer, tables| async move {
        let schema = player();
        let mut versions = Vec::new();
        for _ in 0..20 {
            if writer < 4 {
                versions.push(tables.put_many(&schema, &[player_row(1)]).await.unwrap()[0].version);
            } else {
                versions.extend(tables.delete_many(&schema, &[vec![1.into()]]).await.unwrap()[0]);
            }
        }
        versions
    });
    let (mut drawn, mut different) = (0, BTreeSet::new());
    for writer in writers {
        let versions = writer.await.unwrap();
        drawn += versions.len();
        different.extend(versions);
    }
    assert!(drawn >= 80);
    assert_eq!(different.len(), drawn, "no version was drawn twice");
}

/// Batches that share keys in opposite orders neither wait for each other for ever nor mix: each row is of one batch's making.
pub async fn batches_that_share_keys_meet(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    let writers = start_writers(&truths, 4, |writer, tables| async move {
        let schema = player();
        for _ in 0..5 {
            let mut batch: Vec<_> = (1..=50).map(|id| with(&schema, player_row(id), "level", writer.into())).collect();
            if writer % 2 == 1 {
                batch.reverse();
            }
            tables.put_many(&schema, &batch).await.unwrap();
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let keys: Vec<_> = (1..=50).map(|id| vec![Value::from(id)]).collect();
    let levels: Vec<_> =
        truths[1].tables.get_many(&schema, &keys).await.unwrap().into_iter().map(|held| held.unwrap().row[2].clone()).collect();
    assert!(levels.iter().all(|level| *level == levels[0]), "the last batch wrote every row: {levels:?}");
}

/// A write whose future is dropped at any moment leaves all of its rows or none, and harms no other.
pub async fn a_dropped_write_leaves_all_or_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let (mut whole, batch_size) = (0, 500);
    for turn in 0..30_i64 {
        let batch: Vec<_> = (1..=batch_size).map(|id| player_row(turn * batch_size + id)).collect();
        // From a drop before the first await to one that comes too late.
        let limit = Duration::from_micros((turn as u64 * turn as u64) * 60);
        let finished = tokio::time::timeout(limit, truth.tables.put_many(&schema, &batch)).await.is_ok();
        let all = truth.tables.count(&schema, Count::default()).await.unwrap();
        assert_eq!(all % batch_size as u64, 0, "a part of a batch can be seen");
        let there = truth.tables.exists_many(&schema, &[key_of(&schema, &batch[0]), key_of(&schema, &batch[499])]).await.unwrap();
        if finished {
            assert_eq!(there, [true, true]);
            whole += 1;
        }
    }
    let written = truth.tables.put_many(&schema, &[player_row(1_000_000)]).await.unwrap();
    assert_eq!(truth.tables.get_many(&schema, &[vec![1_000_000.into()]]).await.unwrap(), [Some(written[0].clone())]);
    assert!(truth.tables.count(&schema, Count::default()).await.unwrap() > whole * batch_size as u64);
}
