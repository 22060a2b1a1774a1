//! Writing what is there as the writer expects it, and only then.

use std::time::Duration;

use store_core::facet::{Condition, LogKind};
use store_core::{ErrorKind, Row, StoredRow, Value, Version};

use super::schemas::{at, moment, player, player_row, score, score_row, with};
use crate::suites::truth::{Truth, TruthDatabase, assert_refused, open_with, start_writers};

async fn stored(truth: &Truth, id: i64) -> Option<StoredRow> {
    truth.tables.get_many(&player(), &[vec![id.into()]]).await.unwrap().remove(0)
}

/// Only the key and one column.
fn level_alone(id: i64, level: i64) -> Row<'static> {
    let mut row = vec![Value::Unset; 8];
    (row[0], row[2]) = (id.into(), level.into());
    row
}

/// Where the condition holds, the row is written as ever, with a version and a row of the log.
pub async fn a_condition_that_holds_lets_the_row_be_written(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mark = truth.log.end().await.unwrap();
    let inserted = truth.tables.put_if(&schema, &player_row(1), Condition::Absent).await.unwrap().unwrap();
    assert_eq!(inserted.row, player_row(1));
    assert_eq!(stored(&truth, 1).await.as_ref(), Some(&inserted));
    let mut versions = vec![inserted.version];
    for (level, by_version) in [(50, true), (51, false), (52, true)] {
        let expected = if by_version { Condition::Version(versions[versions.len() - 1]) } else { Condition::Present };
        let row = with(&schema, player_row(1), "level", level.into());
        let updated = truth.tables.put_if(&schema, &row, expected).await.unwrap().unwrap();
        assert_eq!(updated.row, row);
        assert_eq!(stored(&truth, 1).await.as_ref(), Some(&updated));
        versions.push(updated.version);
    }
    assert!(versions.is_sorted_by(|earlier, later| earlier < later), "{versions:?}");
    let entries = truth.log.read(&mark).await.unwrap().entries;
    let mut logged: Vec<_> = entries.iter().map(|entry| (entry.key.as_deref(), entry.version, entry.kind)).collect();
    logged.sort_by_key(|entry| entry.1);
    assert_eq!(logged, versions.iter().map(|&version| (Some("1"), version, LogKind::Put)).collect::<Vec<_>>());
}

/// Where it does not, nothing is written: no row, no version, no row of the log.
pub async fn a_condition_that_does_not_hold_changes_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = truth.tables.put_many(&schema, &[player_row(1), player_row(2)]).await.unwrap();
    let newer = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap().remove(0);
    let mark = truth.log.end().await.unwrap();
    let changed = |id| with(&schema, player_row(id), "level", 99.into());
    for (id, condition) in [
        (1, Condition::Absent),
        (1, Condition::Version(before[0].version)),
        (1, Condition::Version(Version::new(0))),
        (1, Condition::Version(Version::new(u64::MAX))),
        (1, Condition::Version(before[1].version)),
        (3, Condition::Present),
        (3, Condition::Version(newer.version)),
        (3, Condition::Version(Version::new(0))),
    ] {
        assert_eq!(truth.tables.put_if(&schema, &changed(id), condition).await.unwrap(), None, "{id}, {condition:?}");
    }
    // Another row has the user name, but the key's is what counts.
    let renamed = with(&schema, player_row(1), "username", Value::from("user2"));
    assert_eq!(truth.tables.put_if(&schema, &renamed, Condition::Absent).await.unwrap(), None);
    // A column without a value counts for a row that is inserted, and none is.
    let lacking = with(&schema, player_row(1), "secret", Value::Unset);
    assert_eq!(truth.tables.put_if(&schema, &lacking, Condition::Absent).await.unwrap(), None);
    assert_eq!((stored(&truth, 1).await, stored(&truth, 2).await, stored(&truth, 3).await), (Some(newer), Some(before[1].clone()), None));
    assert_eq!(truth.log.read(&mark).await.unwrap().entries, []);
}

/// A version of before a deletion does not hold for the row that was inserted after it.
pub async fn versions_do_not_hold_beyond_a_deletion(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let first = truth.tables.put_if(&schema, &player_row(1), Condition::Absent).await.unwrap().unwrap();
    truth.tables.delete_many(&schema, &[vec![1.into()]]).await.unwrap();
    let again = truth.tables.put_if(&schema, &player_row(1), Condition::Absent).await.unwrap().unwrap();
    assert!(again.version > first.version);
    assert_eq!(truth.tables.put_if(&schema, &player_row(1), Condition::Version(first.version)).await.unwrap(), None);
}

/// An update keeps what is unset and what is stamped on insert; an insert takes the defaults.
pub async fn conditional_writes_keep_what_they_do_not_set(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap().remove(0);
    let patched = truth.tables.put_if(&schema, &level_alone(1, 50), Condition::Present).await.unwrap().unwrap();
    assert_eq!(patched.row, with(&schema, before.row, "level", 50.into()));
    let stamped = with(&schema, with(&schema, level_alone(1, 51), "created_at", moment(77)), "updated_at", moment(88));
    let stamped = truth.tables.put_if(&schema, &stamped, Condition::Version(patched.version)).await.unwrap().unwrap();
    let expected = with(&schema, with(&schema, patched.row, "level", 51.into()), "updated_at", moment(88));
    assert_eq!(stamped.row, expected, "the moment of the insert stays");
    let nothing = with(&schema, level_alone(1, 0), "level", Value::Unset);
    let touched = truth.tables.put_if(&schema, &nothing, Condition::Present).await.unwrap().unwrap();
    assert_eq!(touched.row, stamped.row);
    assert!(touched.version > stamped.version);
    assert_eq!(stored(&truth, 1).await, Some(touched));

    let partial = with(&schema, with(&schema, player_row(2), "level", Value::Unset), "region", Value::Unset);
    let inserted = truth.tables.put_if(&schema, &partial, Condition::Absent).await.unwrap().unwrap();
    assert_eq!(inserted.row, with(&schema, with(&schema, player_row(2), "level", 1.into()), "region", Value::Null));
}

/// Keys of several columns that are not the first, and a row of which an update has nothing to set.
pub async fn conditional_writes_find_keys_of_several_columns(database: impl TruthDatabase) {
    let schema = score();
    let truth = open_with(&database, &[&schema]).await;
    let rows = [score_row("a", 1, 10), score_row("a", 2, 20), score_row("b", 1, 30)];
    let stored = truth.tables.put_many(&schema, &rows).await.unwrap();
    let written = truth.tables.put_if(&schema, &score_row("a", 2, 21), Condition::Version(stored[1].version)).await.unwrap().unwrap();
    assert_eq!(written.row, score_row("a", 2, 21));
    assert_eq!(truth.tables.put_if(&schema, &score_row("b", 1, 31), Condition::Absent).await.unwrap(), None);
    let keys = [vec!["a".into(), 1.into()], vec!["a".into(), 2.into()], vec!["b".into(), 1.into()]];
    let held = truth.tables.get_many(&schema, &keys).await.unwrap();
    assert_eq!(held, [Some(stored[0].clone()), Some(written), Some(stored[2].clone())]);
}

/// The table's rules are those of any write.
pub async fn rules_refuse_conditional_writes_too(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[player_row(1), player_row(2)]).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    for (id, condition) in [(3, Condition::Absent), (2, Condition::Present)] {
        let taken = with(&schema, player_row(id), "username", Value::from("user1"));
        let refused = truth.tables.put_if(&schema, &taken, condition).await;
        let error = assert_refused(refused, ErrorKind::UniqueViolation, &schema, Some("username"));
        assert_eq!(error.key(), Some(id.to_string().as_str()), "{error:?}");
        let without = with(&schema, player_row(id), "secret", Value::Null);
        let refused = truth.tables.put_if(&schema, &without, condition).await;
        let error = assert_refused(refused, ErrorKind::ConstraintViolation, &schema, Some("secret"));
        assert_eq!(error.key(), Some(id.to_string().as_str()), "{error:?}");
    }
    let unfit = with(&schema, player_row(1), "level", Value::from("high"));
    assert_refused(truth.tables.put_if(&schema, &unfit, Condition::Present).await, ErrorKind::InvalidValue, &schema, Some("level"));
    let lacking = truth.tables.put_if(&schema, &level_alone(4, 1), Condition::Absent).await;
    assert_refused(lacking, ErrorKind::ConstraintViolation, &schema, None);
    assert_eq!(truth.log.read(&mark).await.unwrap().entries, []);
}

/// Of many who insert one key, one does.
pub async fn one_of_many_inserts_of_a_key_takes_effect(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    for id in 1..=20_i64 {
        let writers = start_writers(&truths, 6, move |writer, tables| async move {
            let schema = player();
            let row = with(&schema, player_row(id), "level", writer.into());
            tables.put_if(&schema, &row, Condition::Absent).await.unwrap()
        });
        let mut inserted = Vec::new();
        for writer in writers {
            inserted.extend(writer.await.unwrap());
        }
        assert_eq!(inserted.len(), 1, "key {id}");
        assert_eq!(stored(&truths[0], id).await, inserted.pop());
    }
}

/// Counting up by version loses no count, whoever else writes the row.
pub async fn counting_by_version_loses_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    truths[0].tables.put_many(&schema, &[with(&schema, player_row(1), "level", 0.into())]).await.unwrap();
    let writers = start_writers(&truths, 4, |_, tables| async move {
        let schema = player();
        let level = at(&schema, "level");
        for turn in 0..15 {
            if turn % 5 == 4 {
                // What others do with other columns changes the version too.
                let mut row = vec![Value::Unset; 8];
                (row[0], row[4]) = (1.into(), Value::from(turn as f64));
                tables.put_if(&schema, &row, Condition::Present).await.unwrap().unwrap();
            }
            loop {
                let held = tables.get_many(&schema, &[vec![1.into()]]).await.unwrap().remove(0).unwrap();
                let Value::Integer(count) = held.row[level] else { panic!("{held:?}") };
                let next = level_alone(1, count + 1);
                if tables.put_if(&schema, &next, Condition::Version(held.version)).await.unwrap().is_some() {
                    break;
                }
            }
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stored(&truths[1], 1).await.unwrap().row[at(&schema, "level")], Value::Integer(60));
}

/// A conditional write whose future is dropped leaves all or nothing, and harms no other.
pub async fn a_dropped_conditional_write_leaves_all_or_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut version = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap()[0].version;
    for turn in 0..30_u64 {
        let mark = truth.log.end().await.unwrap();
        let row = level_alone(1, turn as i64 + 100);
        let limit = Duration::from_micros(turn * turn * 5);
        let answered = tokio::time::timeout(limit, truth.tables.put_if(&schema, &row, Condition::Version(version))).await;
        // Another write of the row waits until whatever is left of it has ended.
        let mut other = vec![Value::Unset; 8];
        (other[0], other[4]) = (1.into(), Value::from(turn as f64));
        let held = truth.tables.put_if(&schema, &other, Condition::Present).await.unwrap().unwrap();
        let is_written = held.row[at(&schema, "level")] == Value::Integer(turn as i64 + 100);
        if let Ok(stored) = answered {
            assert!(stored.unwrap().is_some() && is_written, "turn {turn}");
        }
        let logged = truth.log.read(&mark).await.unwrap().entries.len();
        assert_eq!(logged, 1 + usize::from(is_written), "turn {turn}");
        version = held.version;
    }
}
