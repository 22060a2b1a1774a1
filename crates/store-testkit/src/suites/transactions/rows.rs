//! What a transaction reads and writes.

use store_core::facet::{BULK_LOG_LIMIT, Count, LogKind, RowLock, Select};
use store_core::{ErrorKind, MigrationSettings, Value, Version};

use super::{begin, level_of, level_within, leveled};
use crate::suites::tables::schemas::{at, player, player_row, score, score_row, with};
use crate::suites::truth::{TruthDatabase, assert_refused, open_with};

/// What a transaction wrote is what it reads; others see it after the commit.
pub async fn own_writes_are_seen_within_and_nowhere_else(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 1), leveled(&schema, 2, 1)]).await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    transaction.put_many(&schema, &[leveled(&schema, 1, 2), leveled(&schema, 3, 2)]).await.unwrap();
    assert!(transaction.delete_many(&schema, &[vec![2.into()]]).await.unwrap()[0].is_some());
    let keys: Vec<_> = [3, 2, 1].map(|id: i64| vec![Value::from(id)]).into();
    for lock in [RowLock::None, RowLock::ForUpdate] {
        let seen = transaction.get_many(&schema, &keys, lock).await.unwrap();
        let levels: Vec<_> = seen.iter().map(|row| super::level(&schema, row.as_ref())).collect();
        assert_eq!(levels, [Some(2), None, Some(2)]);
    }
    let outside = async |id| level_of(&*truth.tables, &schema, id).await;
    assert_eq!((outside(1).await, outside(2).await, outside(3).await), (Some(1), Some(1), None));
    transaction.commit().await.unwrap();
    assert_eq!((outside(1).await, outside(2).await, outside(3).await), (Some(2), None, Some(2)));
}

/// Queries run within the transaction, and keep their limits.
pub async fn searches_and_counts_see_own_writes(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    transaction.put_many(&schema, &(1..=9).map(player_row).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(transaction.count(&schema, &Count::default()).await.unwrap(), 9);
    let select = Select { limit: Some(4), columns: Some(vec![0]), ..Select::default() };
    let rows = transaction.select(&schema, &select).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0].row[at(&schema, "secret")], Value::Unset);
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
    transaction.rollback().await.unwrap();
}

/// Answers are those of the tables: in order, with stamps and defaults, and versions that rise also within the transaction.
pub async fn what_is_written_is_answered_as_the_tables_answer_it(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    let inserted = transaction.put_many(&schema, &[with(&schema, player_row(1), "level", Value::Unset)]).await.unwrap().remove(0);
    assert_eq!(inserted.row[at(&schema, "level")], Value::Integer(1), "the default");
    let later = with(&schema, player_row(1), "created_at", crate::suites::tables::schemas::moment(9));
    let both = transaction.put_many(&schema, &[player_row(2), later]).await.unwrap();
    assert_eq!(both[0].row[0], Value::Integer(2));
    assert_eq!(both[1].row[at(&schema, "created_at")], inserted.row[at(&schema, "created_at")], "kept on update");
    assert!(both[1].version > inserted.version);
    let gone = transaction.delete_many(&schema, &[vec![9.into()], vec![1.into()]]).await.unwrap();
    assert_eq!(gone[0], None);
    assert!(gone[1].unwrap() > both[1].version);
    assert!(transaction.put_many(&schema, &[]).await.unwrap().is_empty());
    assert!(transaction.delete_many(&schema, &[]).await.unwrap().is_empty());
    assert!(transaction.get_many(&schema, &[], RowLock::None).await.unwrap().is_empty());
    transaction.commit().await.unwrap();
    let held = truth.tables.get_many(&schema, &[vec![1.into()], vec![2.into()]]).await.unwrap();
    assert_eq!((held[0].clone(), held[1].clone()), (None, Some(both[0].clone())));
}

/// The log tells of nothing before the commit, and then of every write, of all schemas.
pub async fn log_rows_come_with_the_commit(database: impl TruthDatabase) {
    let (players, scores) = (player(), score());
    let truth = open_with(&database, &[&players, &scores]).await;
    let start = truth.log.end().await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    let put = transaction.put_many(&players, &[player_row(1), player_row(2)]).await.unwrap();
    let scored = transaction.put_many(&scores, &[score_row("1", 3, 10)]).await.unwrap();
    let gone = transaction.delete_many(&players, &[vec![2.into()], vec![7.into()]]).await.unwrap();
    let before = truth.log.read(&start).await.unwrap();
    assert!(before.entries.is_empty() && !before.gap);
    transaction.commit().await.unwrap();
    let mut told: Vec<(String, Option<String>, LogKind, Version)> = truth
        .log
        .read(&before.cursor)
        .await
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| (entry.schema, entry.key, entry.kind, entry.version))
        .collect();
    told.sort_by_key(|(.., version)| *version);
    let mut expected = vec![
        ("player".to_owned(), Some("1".to_owned()), LogKind::Put, put[0].version),
        ("player".to_owned(), Some("2".to_owned()), LogKind::Put, put[1].version),
        ("score".to_owned(), Some("1:3".to_owned()), LogKind::Put, scored[0].version),
        ("player".to_owned(), Some("2".to_owned()), LogKind::Delete, gone[0].unwrap()),
    ];
    expected.sort_by_key(|(.., version)| *version);
    assert_eq!(told, expected);
}

/// A call above the limit of the log writes one row for the schema; others of the same transaction write theirs.
pub async fn large_batches_are_one_row_of_the_log(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let start = truth.log.end().await.unwrap();
    let count = BULK_LOG_LIMIT as i64 + 1;
    let mut transaction = begin(&*truth.tables).await;
    let stored = transaction.put_many(&schema, &(1..=count).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let single = transaction.put_many(&schema, &[player_row(1)]).await.unwrap();
    let keys: Vec<_> = (1..=count).map(|id| vec![Value::from(id)]).collect();
    let gone = transaction.delete_many(&schema, &keys).await.unwrap();
    transaction.commit().await.unwrap();
    let mut entries = truth.log.read(&start).await.unwrap().entries;
    entries.sort_by_key(|entry| entry.version);
    let told: Vec<_> = entries.iter().map(|entry| (entry.key.as_deref(), entry.kind)).collect();
    assert_eq!(told, [(None, LogKind::Put), (Some("1"), LogKind::Put), (None, LogKind::Delete)]);
    assert!(entries[0].version >= stored.iter().map(|stored| stored.version).max().unwrap());
    assert_eq!(entries[1].version, single[0].version);
    assert!(entries[2].version >= gone.into_iter().flatten().max().unwrap());
}

/// Errors tell as much as those of the tables.
pub async fn a_violation_names_key_and_column(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    let taken = |id| with(&schema, player_row(id), "username", "user1".into());
    for rows in [vec![taken(2)], vec![player_row(3), taken(2)]] {
        let mut transaction = begin(&*truth.tables).await;
        let refused = transaction.put_many(&schema, &rows).await;
        let error = assert_refused(refused, ErrorKind::UniqueViolation, &schema, Some("username"));
        assert_eq!(error.key(), Some("2"));
        transaction.rollback().await.unwrap();
    }
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 1);
}

/// A value that does not fit is refused before it is sent, and is a failed call all the same.
pub async fn what_a_column_cannot_hold_is_refused(database: impl TruthDatabase) {
    let schema = score();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    transaction.put_many(&schema, &[score_row("a", 1, 1)]).await.unwrap();
    let refused = transaction.put_many(&schema, &[score_row("b", i64::MAX, 1)]).await;
    assert_refused(refused, ErrorKind::InvalidValue, &schema, Some("season"));
    assert_eq!(transaction.commit().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
    let players = player();
    truth.migrations.migrate(&[std::sync::Arc::clone(&players)], &MigrationSettings::default()).await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    assert_eq!(level_within(&mut *transaction, &players, 1).await, None);
    transaction.rollback().await.unwrap();
}
