//! Rows that a transaction writes if what is there is as expected.

use std::sync::Arc;

use store_core::facet::{BULK_LOG_LIMIT, Condition, LogKind};
use store_core::{BoundSchema, Comparison, ErrorKind, Filter, Row, Stamp, StoredRow, Value, Version};

use super::{begin, level, level_of, leveled};
use crate::suites::tables::schemas::{at, moment, player, player_row, score, score_row, with};
use crate::suites::truth::{TruthDatabase, assert_refused, open_with, start_writers};

/// The levels of what was written, `None` for what was not.
fn levels(schema: &BoundSchema, stored: &[Option<StoredRow>]) -> Vec<Option<i64>> {
    stored.iter().map(|stored| level(schema, stored.as_ref())).collect()
}

/// Each row of a batch has a condition of its own; those that do not hold keep nobody else from being written.
pub async fn conditions_hold_row_by_row(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = truth.tables.put_many(&schema, &(1..=6).map(|id| leveled(&schema, id, 1)).collect::<Vec<_>>()).await.unwrap();
    let newer = truth.tables.put_many(&schema, &[leveled(&schema, 6, 1)]).await.unwrap().remove(0);
    let mark = truth.log.end().await.unwrap();
    let asked = [
        (9, Condition::Absent, true),
        (3, Condition::Present, true),
        (1, Condition::Absent, false),
        (8, Condition::Present, false),
        (2, Condition::Version(before[1].version), true),
        (4, Condition::Version(before[0].version), false),
        (6, Condition::Version(before[5].version), false),
        (7, Condition::Version(newer.version), false),
        (10, Condition::Absent, true),
        (5, Condition::Version(Version::new(u64::MAX)), false),
    ];
    let rows: Vec<_> = asked.iter().map(|&(id, ..)| leveled(&schema, id, 50 + id)).collect();
    let conditions: Vec<_> = asked.iter().map(|&(_, condition, _)| condition).collect();
    let mut transaction = begin(&*truth.tables).await;
    let stored = transaction.put_many_if(&schema, &rows, &conditions).await.unwrap();
    let expected: Vec<_> = asked.iter().map(|&(id, _, holds)| holds.then_some(50 + id)).collect();
    assert_eq!(levels(&schema, &stored), expected);
    assert_eq!(truth.log.read(&mark).await.unwrap().entries, []);
    transaction.commit().await.unwrap();

    let mut logged: Vec<_> = truth.log.read(&mark).await.unwrap().entries;
    logged.sort_by_key(|entry| entry.key.clone());
    let logged: Vec<_> = logged.iter().map(|entry| (entry.key.as_deref().unwrap(), entry.version, entry.kind)).collect();
    let version = |place: usize| stored[place].as_ref().unwrap().version;
    let put = LogKind::Put;
    assert_eq!(logged, [("10", version(8), put), ("2", version(4), put), ("3", version(1), put), ("9", version(0), put)]);
    assert!(logged.iter().all(|(_, version, _)| *version > newer.version));
    let keys: Vec<_> = (1..=10_i64).map(|id| vec![Value::from(id)]).collect();
    let held = truth.tables.get_many(&schema, &keys).await.unwrap();
    let expected = [Some(1), Some(52), Some(53), Some(1), Some(1), Some(1), None, None, Some(59), Some(60)];
    assert_eq!(levels(&schema, &held), expected);
    assert_eq!(held[1], stored[4]);
}

/// What the transaction has written itself counts, for single rows as for batches.
pub async fn conditions_see_own_writes(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    let mut put_if = async |id: i64, level: i64, condition| {
        transaction.put_many_if(&schema, &[leveled(&schema, id, level)], &[condition]).await.unwrap().remove(0)
    };
    let inserted = put_if(1, 1, Condition::Absent).await.unwrap();
    assert_eq!(put_if(1, 2, Condition::Absent).await, None);
    let updated = put_if(1, 3, Condition::Version(inserted.version)).await.unwrap();
    assert!(updated.version > inserted.version);
    assert_eq!(put_if(1, 4, Condition::Version(inserted.version)).await, None);
    assert_eq!(put_if(2, 4, Condition::Present).await, None);
    let rows = [leveled(&schema, 2, 5), leveled(&schema, 1, 5)];
    let both = transaction.put_many_if(&schema, &rows, &[Condition::Absent, Condition::Version(updated.version)]).await.unwrap();
    assert_eq!(levels(&schema, &both), [Some(5), Some(5)]);
    transaction.delete_many(&schema, &[vec![1.into()]]).await.unwrap();
    let both = transaction.put_many_if(&schema, &rows, &[Condition::Absent, Condition::Absent]).await.unwrap();
    assert_eq!(levels(&schema, &both), [None, Some(5)]);
    assert!(transaction.put_many_if(&schema, &[], &[]).await.unwrap().is_empty());
    transaction.commit().await.unwrap();
    let held = truth.tables.get_many(&schema, &[vec![1.into()]]).await.unwrap();
    assert_eq!(held[0], both[1]);
}

/// An update keeps what is unset and what is stamped on insert; an insert takes the defaults; keys of several columns are found.
pub async fn conditional_rows_keep_what_they_do_not_set(database: impl TruthDatabase) {
    let (players, scores) = (player(), score());
    let truth = open_with(&database, &[&players, &scores]).await;
    let before = truth.tables.put_many(&players, &[player_row(1), player_row(2)]).await.unwrap();
    let points = truth.tables.put_many(&scores, &[score_row("a", 1, 10), score_row("b", 1, 30)]).await.unwrap();
    let mut patch: Row<'static> = vec![Value::Unset; 8];
    (patch[0], patch[2]) = (2.into(), 50.into());
    let stamped = with(&players, leveled(&players, 1, 60), "created_at", moment(77));
    let partial = with(&players, player_row(3), "level", Value::Unset);
    let mut transaction = begin(&*truth.tables).await;
    let conditions = [Condition::Absent, Condition::Present, Condition::Version(before[0].version)];
    let stored = transaction.put_many_if(&players, &[partial, patch, stamped], &conditions).await.unwrap();
    let rows: Vec<_> = stored.into_iter().map(|stored| stored.unwrap().row).collect();
    assert_eq!(rows[0], leveled(&players, 3, 1));
    assert_eq!(rows[1], with(&players, before[1].row.clone(), "level", 50.into()));
    assert_eq!(rows[2][at(&players, "created_at")], before[0].row[at(&players, "created_at")]);

    let rows = [score_row("b", 1, 31), score_row("a", 2, 20), score_row("a", 1, 11)];
    let conditions = [Condition::Version(points[0].version), Condition::Absent, Condition::Version(points[0].version)];
    let stored = transaction.put_many_if(&scores, &rows, &conditions).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(stored.into_iter().map(|stored| stored.map(|stored| stored.row)).collect::<Vec<_>>(), {
        let [_, second, third] = rows;
        [None, Some(second), Some(third)]
    });
}

/// As outside of transactions, the log may name the columns that an update sets. If it does, it names all of them, and none of a row that was not there.
pub async fn updates_of_some_columns_name_no_other_in_the_log(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &(1..=5).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    let partial = |id: Option<i64>, column: &str, value: Value<'static>| {
        let mut row: Row<'static> = vec![Value::Unset; schema.definition().columns().len()];
        row[at(&schema, "id")] = id.map_or(Value::Unset, Value::from);
        row[at(&schema, column)] = value;
        row
    };
    let (level, rating) = (|id| partial(Some(id), "level", 50.into()), |id| partial(Some(id), "rating", 0.5.into()));
    let mut transaction = begin(&*truth.tables).await;
    let new = |id| with(&schema, player_row(id), "level", Value::Unset);
    let rows = [rating(2), new(6), level(1), player_row(3), level(9)];
    let conditions = [Condition::Present, Condition::Absent, Condition::Present, Condition::Present, Condition::Present];
    let batch = transaction.put_many_if(&schema, &rows, &conditions).await.unwrap();
    let alone = transaction.put_many_if(&schema, &[rating(4)], &[Condition::Present]).await.unwrap();
    let inserted = transaction.put_many_if(&schema, &[new(7)], &[Condition::Absent]).await.unwrap();
    let fifth = Filter::Compare { column: "id".into(), comparison: Comparison::Equal, value: 5.into() };
    let touched = transaction.update_where(&schema, &partial(None, "rating", 1.5.into()), &fifth).await.unwrap();
    transaction.commit().await.unwrap();

    let entries = truth.log.read(&mark).await.unwrap().entries;
    let version = |stored: &Option<StoredRow>| stored.as_ref().unwrap().version;
    let of_some = [
        ("2", version(&batch[0]), "rating"),
        ("1", version(&batch[2]), "level"),
        ("4", version(&alone[0]), "rating"),
        ("5", touched[0].version, "rating"),
    ];
    assert_eq!(entries.len(), of_some.len() + 3);
    let told = |key, version| {
        let told = entries.iter().find(|entry| entry.version == version).unwrap();
        assert_eq!((told.key.as_deref(), told.kind), (Some(key), LogKind::Put));
        told.columns.as_deref()
    };
    let named: Vec<bool> = of_some
        .into_iter()
        .map(|(key, version, column)| {
            let columns = told(key, version);
            assert!(columns.is_none_or(|columns| columns == [column]), "{columns:?}");
            columns.is_some()
        })
        .collect();
    assert!(named.iter().all(|is_named| *is_named == named[0]), "all ways to write tell alike: {named:?}");
    for (key, stored) in [("6", &batch[1]), ("7", &inserted[0])] {
        assert_eq!(told(key, version(stored)), None);
    }
    let settable = schema.definition().columns().iter().filter(|column| !column.is_key && column.stamp != Stamp::OnInsert).count();
    assert!(told("3", version(&batch[3])).is_none_or(|columns| columns.len() == settable));
}

/// The table's rules are those of any write, and name the row.
pub async fn rules_refuse_conditional_rows(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 3), player_row(2)]).await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    let taken = |id| with(&schema, player_row(id), "username", "user1".into());
    for (rows, conditions) in [
        (vec![taken(3)], vec![Condition::Absent]),
        (vec![taken(2)], vec![Condition::Present]),
        (vec![leveled(&schema, 1, 9), taken(3)], vec![Condition::Present, Condition::Absent]),
        (vec![taken(2), player_row(4)], vec![Condition::Present, Condition::Absent]),
    ] {
        transaction.savepoint().await.unwrap();
        let refused = transaction.put_many_if(&schema, &rows, &conditions).await;
        let error = assert_refused(refused, ErrorKind::UniqueViolation, &schema, Some("username"));
        assert!(matches!(error.key(), Some("2" | "3")), "{error:?}");
        assert_eq!(transaction.savepoint().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
        transaction.roll_back_to_savepoint().await.unwrap();
    }
    for conditions in [vec![Condition::Present], vec![Condition::Present; 3]] {
        transaction.savepoint().await.unwrap();
        let rows = [player_row(1), player_row(2)];
        let error = transaction.put_many_if(&schema, &rows, &conditions).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "a condition for each row");
        transaction.roll_back_to_savepoint().await.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(3));
}

/// What counts for the limit of the log are the rows that are written.
pub async fn large_conditional_batches_are_one_row_of_the_log(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let count = BULK_LOG_LIMIT as i64 + 1;
    let rows: Vec<_> = (1..=count).map(player_row).collect();
    truth.tables.put_many(&schema, &rows[..500]).await.unwrap();
    for (odd_one, entries) in [(Condition::Absent, 1), (Condition::Present, BULK_LOG_LIMIT)] {
        let mark = truth.log.end().await.unwrap();
        let mut conditions = vec![Condition::Present; 500];
        conditions.resize(rows.len() - 1, Condition::Absent);
        conditions.push(odd_one);
        let mut transaction = begin(&*truth.tables).await;
        let stored = transaction.put_many_if(&schema, &rows, &conditions).await.unwrap();
        transaction.commit().await.unwrap();
        let logged = truth.log.read(&mark).await.unwrap().entries;
        assert_eq!(logged.len(), entries);
        let newest = stored.iter().flatten().map(|stored| stored.version).max().unwrap();
        assert!(logged.iter().map(|entry| entry.version).max().unwrap() >= newest);
        let keys: Vec<_> = (501..=count).map(|id| vec![Value::from(id)]).collect();
        truth.tables.delete_many(&schema, &keys).await.unwrap();
    }
}

/// Of two transactions that insert the same keys, the later one waits and finds them there.
pub async fn the_later_of_two_inserts_finds_what_the_earlier_wrote(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    for (turn, commits) in [(0_i64, true), (10, false), (20, true)] {
        let rows = move |level| [1, 2].map(|id| leveled(&player(), turn + id, level));
        let mut earlier = begin(&*truths[0].tables).await;
        let stored = earlier.put_many_if(&schema, &rows(1), &[Condition::Absent; 2]).await.unwrap();
        assert_eq!(levels(&schema, &stored), [Some(1), Some(1)]);
        let tables = Arc::clone(&truths[1].tables);
        let later = tokio::spawn(async move {
            let schema = player();
            let mut later = begin(&*tables).await;
            let stored = later.put_many_if(&schema, &rows(2), &[Condition::Absent; 2]).await.unwrap();
            later.commit().await.unwrap();
            levels(&schema, &stored)
        });
        tokio::task::yield_now().await;
        if commits {
            earlier.commit().await.unwrap();
            assert_eq!(later.await.unwrap(), [None, None]);
        } else {
            earlier.rollback().await.unwrap();
            assert_eq!(later.await.unwrap(), [Some(2), Some(2)]);
        }
        assert_eq!(level_of(&*truths[0].tables, &schema, turn + 1).await, Some(if commits { 1 } else { 2 }));
    }
}

/// Transactions that count rows up by their versions lose no count, single rows or batches.
pub async fn counting_by_version_in_transactions_loses_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    truths[0].tables.put_many(&schema, &[1, 2].map(|id| leveled(&schema, id, 0))).await.unwrap();
    let writers = start_writers(&truths, 4, |writer, tables| async move {
        let schema = player();
        // Some touch the first row alone, some both, in either order: the tier locks in its own.
        let ids: &[i64] = [&[1][..], &[2, 1], &[1, 2], &[1]][writer as usize];
        let keys: Vec<_> = ids.iter().map(|&id| vec![Value::from(id)]).collect();
        let mut counted = 0;
        while counted < 10 {
            let held: Vec<_> = tables.get_many(&schema, &keys).await.unwrap().into_iter().flatten().collect();
            let raised = |(&id, held): (&i64, &StoredRow)| leveled(&schema, id, level(&schema, Some(held)).unwrap() + 1);
            let rows: Vec<_> = ids.iter().zip(&held).map(raised).collect();
            let conditions: Vec<_> = held.iter().map(|held| Condition::Version(held.version)).collect();
            let mut transaction = begin(&*tables).await;
            let stored = transaction.put_many_if(&schema, &rows, &conditions).await.unwrap();
            if stored.iter().all(Option::is_some) {
                transaction.commit().await.unwrap();
                counted += 1;
            } else {
                transaction.rollback().await.unwrap();
            }
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(level_of(&*truths[1].tables, &schema, 1).await, Some(40));
    assert_eq!(level_of(&*truths[1].tables, &schema, 2).await, Some(20));
}
