//! Reading the log from cursor to cursor.

use std::collections::BTreeMap;
use std::sync::Arc;

use store_core::facet::{BULK_LOG_LIMIT, LogCursor, LogEntry, LogKind};
use store_core::{ErrorKind, Version};

use super::since;
use crate::suites::tables::schemas::{player, player_row};
use crate::suites::truth::{TruthDatabase, open_with, start_writers};

/// Nothing is read from the end of the log, and the same cursor can be read from again.
pub async fn a_cursor_can_be_read_from_again(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    let end = truth.log.end().await.unwrap();
    let nothing = truth.log.read(&end).await.unwrap();
    assert!(nothing.entries.is_empty() && !nothing.gap);

    truth.tables.put_many(&schema, &[player_row(2)]).await.unwrap();
    let first = truth.log.read(&end).await.unwrap();
    let second = truth.log.read(&end).await.unwrap();
    assert_eq!(first.entries, second.entries);
    assert_eq!(first.entries.len(), 1);
    assert!(truth.log.read(&first.cursor).await.unwrap().entries.is_empty());
    assert_eq!(truth.log.read(&nothing.cursor).await.unwrap().entries, first.entries);
}

/// A cursor can be kept as text and read by another tier on the database.
pub async fn a_cursor_survives_as_text(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let text = truth.log.end().await.unwrap().as_str().to_owned();
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    let other = open_with(&database, &[&schema]).await;
    let batch = other.log.read(&LogCursor::new(text)).await.unwrap();
    assert_eq!(batch.entries.len(), 1);
    assert!(!batch.gap);
}

/// Text that is no tier's cursor.
const FOREIGN: [&str; 7] =
    ["", "not a cursor", "-1", "1:2:3:4:5:6", "'; DROP TABLE _strata_log; --", "\u{0}", "99999999999999999999999999"];

/// Text that is no cursor of this kind of tier is refused.
pub async fn a_foreign_cursor_is_refused(database: impl TruthDatabase) {
    let truth = open_with(&database, &[]).await;
    for foreign in FOREIGN {
        let error = truth.log.read(&LogCursor::new(foreign)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{foreign:?}: {error:?}");
    }
}

/// A place covers itself and every earlier one, and none that came after a commit; text of no log covers nothing and is covered by nothing.
pub async fn a_place_covers_those_before_it(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let other = open_with(&database, &[&schema]).await;
    let start = truth.log.end().await.unwrap();
    assert!(truth.log.covers(&truth.log.read(&start).await.unwrap().cursor, &start), "whatever others on the server did meanwhile");
    let mut places = vec![start.clone()];
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    places.push(other.log.end().await.unwrap());
    other.tables.delete_many(&schema, &[vec![1.into()]]).await.unwrap();
    places.push(truth.log.read(&start).await.unwrap().cursor);
    let entry = LogEntry { schema: "player".into(), key: None, version: Version::default(), kind: LogKind::Invalidate, columns: None };
    truth.log.append(&[entry]).await.unwrap();
    places.push(LogCursor::new(other.log.read(&places[1]).await.unwrap().cursor.as_str()));
    for log in [&truth.log, &other.log] {
        for (position, place) in places.iter().enumerate() {
            for (compared, earlier) in places.iter().enumerate() {
                assert_eq!(log.covers(place, earlier), compared <= position, "{place:?} and {earlier:?}");
            }
        }
    }

    for foreign in FOREIGN.map(LogCursor::new) {
        assert!(!truth.log.covers(&foreign, &start) && !truth.log.covers(&start, &foreign), "{foreign:?}");
    }
}

/// However writers overlap, a follower meets each of their entries exactly once, and the versions of each key are those that the writers were told.
pub async fn a_follower_meets_each_entry_once(database: impl TruthDatabase) {
    const WRITERS: i64 = 8;
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    let mut cursor = truths[0].log.end().await.unwrap();
    let writers = start_writers(&truths, WRITERS, |writer, tables| async move {
        let schema = player();
        let mut told = Vec::new();
        for turn in 0..40_i64 {
            // Some keys are one writer's own, and some are shared.
            let ids = [1 + turn % 3, 100 + writer];
            if turn % 8 == 7 {
                let versions = tables.delete_many(&schema, &ids.map(|id| vec![id.into()])).await.unwrap();
                told.extend(ids.iter().zip(versions).filter_map(|(id, version)| Some((id.to_string(), version?, LogKind::Delete))));
            } else {
                let stored = tables.put_many(&schema, &ids.map(player_row)).await.unwrap();
                told.extend(ids.iter().zip(stored).map(|(id, stored)| (id.to_string(), stored.version, LogKind::Put)));
            }
        }
        told
    });

    let mut met: Vec<LogEntry> = Vec::new();
    loop {
        // Asked before the read, so that the last read sees everything.
        let finished = writers.iter().all(tokio::task::JoinHandle::is_finished);
        met.extend(since(&truths[0], &mut cursor).await);
        if finished {
            break;
        }
        tokio::task::yield_now().await;
    }

    let mut told: BTreeMap<(String, Version), LogKind> = BTreeMap::new();
    for writer in writers {
        for (key, version, kind) in writer.await.unwrap() {
            assert_eq!(told.insert((key, version), kind), None, "a version of a key was drawn twice");
        }
    }
    let count = met.len();
    let met: BTreeMap<_, _> = met.into_iter().map(|entry| ((entry.key.unwrap(), entry.version), entry.kind)).collect();
    assert_eq!(met.len(), count, "no entry was met twice");
    assert_eq!(met, told);
}

/// A follower that reads while large and small calls run meets each of them once too.
pub async fn a_follower_meets_large_calls_once(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut cursor = truth.log.end().await.unwrap();
    let large: Vec<_> = (1..=BULK_LOG_LIMIT as i64 + 1).map(player_row).collect();
    let tables = Arc::clone(&truth.tables);
    let writer = tokio::spawn(async move {
        for turn in 0..5 {
            tables.put_many(&player(), &large).await.unwrap();
            tables.put_many(&player(), &[player_row(100_000 + turn)]).await.unwrap();
        }
    });
    let mut met = Vec::new();
    while !writer.is_finished() {
        met.extend(since(&truth, &mut cursor).await);
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    met.extend(since(&truth, &mut cursor).await);
    assert_eq!(met.iter().filter(|entry| entry.key.is_none()).count(), 5);
    assert_eq!(met.iter().filter(|entry| entry.key.is_some()).count(), 5);
}
