//! Writing the rows that a condition holds for.

use std::collections::{BTreeMap, BTreeSet};

use store_core::facet::{BULK_LOG_LIMIT, LogKind, Touched};
use store_core::{Comparison, ErrorKind, Filter, Row, StoredRow, Value, Version};

use super::schemas::{at, moment, player, player_row, score, score_row, with};
use crate::suites::truth::{Truth, TruthDatabase, assert_refused, open_with, start_writers};

fn level(comparison: Comparison, value: i64) -> Filter {
    Filter::Compare { column: "level".into(), comparison, value: value.into() }
}

fn ids(touched: &[Touched]) -> Vec<i64> {
    let mut ids: Vec<i64> = touched
        .iter()
        .map(|touched| match touched.key[..] {
            [Value::Integer(id)] => id,
            ref other => panic!("{other:?} is no key"),
        })
        .collect();
    ids.sort_unstable();
    ids
}

async fn stored(truth: &Truth, ids: impl IntoIterator<Item = i64>) -> Vec<Option<StoredRow>> {
    let keys: Vec<_> = ids.into_iter().map(|id| vec![Value::from(id)]).collect();
    truth.tables.get_many(&player(), &keys).await.unwrap()
}

fn changes(level: i64) -> Row<'static> {
    let schema = player();
    let mut row = vec![Value::Unset; 8];
    row[at(&schema, "level")] = level.into();
    row[at(&schema, "updated_at")] = moment(88);
    row
}

/// A deletion takes the rows that a query would find, draws a version for each, and logs each.
pub async fn deletions_by_condition_take_what_a_query_finds(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = truth.tables.put_many(&schema, &(1..=20).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    let touched = truth.tables.delete_where(&schema, &level(Comparison::GreaterOrEqual, 8)).await.unwrap();
    assert_eq!(ids(&touched), [8, 9, 18, 19]);
    let versions: BTreeSet<Version> = touched.iter().map(|touched| touched.version).collect();
    assert!(versions.len() == 4 && versions.iter().all(|version| before.iter().all(|row| row.version < *version)), "{touched:?}");
    for (id, row) in (1..=20).zip(stored(&truth, 1..=20).await) {
        assert_eq!(row.is_none(), id % 10 >= 8, "{id}");
    }
    let entries = truth.log.read(&mark).await.unwrap().entries;
    let logged: BTreeMap<_, _> = entries.into_iter().map(|entry| (entry.key.unwrap(), (entry.version, entry.kind))).collect();
    assert_eq!(logged.len(), 4);
    for touched in &touched {
        assert_eq!(logged[&ids(std::slice::from_ref(touched))[0].to_string()], (touched.version, LogKind::Delete));
    }
}

/// An update sets what it is given in the rows that a query would find, and answers the versions that stand there then.
pub async fn updates_by_condition_set_what_they_are_given(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = truth.tables.put_many(&schema, &(1..=20).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    // The condition's values are numbered apart from those that are set.
    let filter = Filter::Raw { sql: "level < $2 AND username <> $1".into(), params: vec!["user11".into(), 3.into()] };
    let touched = truth.tables.update_where(&schema, &changes(50), &filter).await.unwrap();
    assert_eq!(ids(&touched), [1, 2, 10, 12, 20]);
    let versions: BTreeMap<i64, Version> = touched.iter().map(|touched| (ids(std::slice::from_ref(touched))[0], touched.version)).collect();
    assert_eq!(versions.values().collect::<BTreeSet<_>>().len(), 5);
    for (before, now) in before.iter().zip(stored(&truth, 1..=20).await) {
        let now = now.unwrap();
        let Value::Integer(id) = now.row[0] else { panic!("{now:?}") };
        match versions.get(&id) {
            None => assert_eq!(now, *before),
            Some(&version) => {
                assert!(now.version == version && version > before.version);
                assert_eq!(now.row, with(&schema, with(&schema, before.row.clone(), "level", 50.into()), "updated_at", moment(88)));
            }
        }
    }
    let entries = truth.log.read(&mark).await.unwrap().entries;
    let logged: BTreeMap<i64, Version> = entries
        .iter()
        .map(|entry| {
            assert_eq!(entry.kind, LogKind::Put);
            (entry.key.as_deref().unwrap().parse().unwrap(), entry.version)
        })
        .collect();
    assert_eq!(logged, versions);
}

/// Where no row is found, nothing is logged.
pub async fn conditions_that_hold_for_nothing_change_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    assert_eq!(truth.tables.delete_where(&schema, &level(Comparison::Greater, 9)).await.unwrap(), []);
    assert_eq!(truth.tables.update_where(&schema, &changes(5), &Filter::Any(Vec::new())).await.unwrap(), []);
    let entries = truth.log.read(&mark).await.unwrap().entries;
    assert_eq!(entries, []);
}

/// More rows than the log names are one row of it, for the whole schema.
pub async fn large_writes_by_condition_are_one_row_of_the_log(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let count = BULK_LOG_LIMIT as i64 + 1;
    truth.tables.put_many(&schema, &(1..=count).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let everything = Filter::All(Vec::new());
    for kind in [LogKind::Put, LogKind::Delete] {
        let mark = truth.log.end().await.unwrap();
        let touched = match kind {
            LogKind::Put => truth.tables.update_where(&schema, &changes(50), &everything).await.unwrap(),
            _ => truth.tables.delete_where(&schema, &everything).await.unwrap(),
        };
        assert_eq!(ids(&touched), (1..=count).collect::<Vec<_>>());
        let entries = truth.log.read(&mark).await.unwrap().entries;
        let newest = touched.iter().map(|touched| touched.version).max().unwrap();
        assert!(matches!(&entries[..], [entry] if entry.key.is_none() && entry.kind == kind && entry.version >= newest), "{entries:?}");
    }
}

/// Keys of several columns come back in key order.
pub async fn writes_by_condition_answer_keys_of_several_columns(database: impl TruthDatabase) {
    let schema = score();
    let truth = open_with(&database, &[&schema]).await;
    let rows = [score_row("a", 1, 10), score_row("a", 2, 20), score_row("b", 1, 30)];
    truth.tables.put_many(&schema, &rows).await.unwrap();
    let of_a = Filter::Compare { column: "player".into(), comparison: Comparison::Equal, value: "a".into() };
    let mut row = vec![Value::Unset; 4];
    row[at(&schema, "points")] = 5.into();
    let touched = truth.tables.update_where(&schema, &row, &of_a).await.unwrap();
    let keys: BTreeSet<_> = touched.iter().map(|touched| format!("{:?}", touched.key)).collect();
    let expected = [vec![Value::from("a"), 1.into()], vec!["a".into(), 2.into()]];
    assert_eq!(keys, expected.iter().map(|key| format!("{key:?}")).collect());
    assert_eq!(truth.tables.delete_where(&schema, &of_a).await.unwrap().len(), 2);
    let left = truth.tables.get_many(&schema, &[vec!["b".into(), 1.into()], vec!["a".into(), 1.into()]]).await.unwrap();
    assert_eq!(left.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}

/// What a rule of the table or the query's own mistakes refuse leaves nothing behind.
pub async fn refused_writes_by_condition_change_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = truth.tables.put_many(&schema, &[player_row(1), player_row(2), player_row(3)]).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    let everything = Filter::All(Vec::new());
    let set = |column: &str, value: Value<'static>| with(&schema, vec![Value::Unset; 8], column, value);
    let same_name = truth.tables.update_where(&schema, &set("username", "x".into()), &everything).await;
    assert_refused(same_name, ErrorKind::UniqueViolation, &schema, Some("username"));
    let nothing = truth.tables.update_where(&schema, &set("secret", Value::Null), &everything).await;
    assert_refused(nothing, ErrorKind::ConstraintViolation, &schema, Some("secret"));
    let unfit = truth.tables.update_where(&schema, &set("level", "x".into()), &everything).await;
    assert_refused(unfit, ErrorKind::InvalidValue, &schema, Some("level"));
    for wrong in [
        Filter::Raw { sql: "nobody = 1".into(), params: Vec::new() },
        Filter::Raw { sql: "level = $1".into(), params: Vec::new() },
        Filter::IsNull { column: "nobody".into() },
    ] {
        assert_refused(truth.tables.delete_where(&schema, &wrong).await, ErrorKind::InvalidQuery, &schema, None);
        assert_refused(truth.tables.update_where(&schema, &changes(1), &wrong).await, ErrorKind::InvalidQuery, &schema, None);
    }
    assert_eq!(stored(&truth, 1..=3).await, before.into_iter().map(Some).collect::<Vec<_>>());
    assert_eq!(truth.log.read(&mark).await.unwrap().entries, []);
}

/// Writes by condition and batches that touch the same rows in other orders all succeed, one after the other.
pub async fn writes_by_condition_meet_batches(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    truths[0].tables.put_many(&schema, &(1..=50).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let writers = start_writers(&truths, 4, |writer, tables| async move {
        let schema = player();
        for _ in 0..5 {
            if writer < 2 {
                let touched = tables.update_where(&schema, &changes(writer), &Filter::All(Vec::new())).await.unwrap();
                assert_eq!(touched.len(), 50);
            } else {
                let batch: Vec<_> = (1..=50).rev().map(|id| with(&schema, player_row(id), "level", writer.into())).collect();
                tables.put_many(&schema, &batch).await.unwrap();
            }
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let levels: BTreeSet<_> = stored(&truths[0], 1..=50).await.into_iter().map(|row| format!("{:?}", row.unwrap().row[2])).collect();
    assert_eq!(levels.len(), 1, "the last write touched every row: {levels:?}");
}
