//! Going back part of the way.

use store_core::facet::RowLock;
use store_core::{ErrorKind, Value};

use super::{begin, level_of, level_within, leveled};
use crate::suites::tables::schemas::{player, player_row, with};
use crate::suites::truth::{TruthDatabase, open_with};

/// What was written since the savepoint is gone, in the log too; what was written before stays.
pub async fn a_savepoint_takes_back_what_follows_it(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let start = truth.log.end().await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    transaction.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    transaction.savepoint().await.unwrap();
    transaction.put_many(&schema, &[leveled(&schema, 1, 2), leveled(&schema, 2, 2)]).await.unwrap();
    transaction.roll_back_to_savepoint().await.unwrap();
    assert_eq!(level_within(&mut *transaction, &schema, 1).await, Some(1));
    let last = transaction.put_many(&schema, &[leveled(&schema, 3, 3)]).await.unwrap();
    transaction.commit().await.unwrap();
    let keys: Vec<_> = [1, 2, 3].map(|id: i64| vec![Value::from(id)]).into();
    let held = truth.tables.get_many(&schema, &keys).await.unwrap();
    let levels: Vec<_> = held.iter().map(|row| super::level(&schema, row.as_ref())).collect();
    assert_eq!(levels, [Some(1), None, Some(3)]);
    assert_eq!(held[2].as_ref().unwrap().version, last[0].version);
    let mut keys: Vec<_> = truth.log.read(&start).await.unwrap().entries.into_iter().filter_map(|entry| entry.key).collect();
    keys.sort();
    assert_eq!(keys, ["1", "3"]);
}

/// A savepoint that is given up changes nothing.
pub async fn a_released_savepoint_keeps_what_follows_it(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    transaction.savepoint().await.unwrap();
    transaction.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    transaction.release().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(1));
}

/// Each goes back to its own moment.
pub async fn savepoints_nest(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    for level in 1..=4 {
        transaction.savepoint().await.unwrap();
        transaction.put_many(&schema, &[leveled(&schema, 1, level)]).await.unwrap();
    }
    transaction.roll_back_to_savepoint().await.unwrap();
    assert_eq!(level_within(&mut *transaction, &schema, 1).await, Some(3));
    transaction.release().await.unwrap();
    transaction.roll_back_to_savepoint().await.unwrap();
    assert_eq!(level_within(&mut *transaction, &schema, 1).await, Some(1), "what was released is taken back with its surroundings");
    transaction.savepoint().await.unwrap();
    transaction.put_many(&schema, &[leveled(&schema, 1, 9)]).await.unwrap();
    // Savepoints that are set end with the transaction.
    transaction.commit().await.unwrap();
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(9));
}

/// A violated rule costs what follows the savepoint, and no more.
pub async fn a_violation_is_undone_by_a_savepoint(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    transaction.put_many(&schema, &[player_row(2)]).await.unwrap();
    for rows in 1..=2 {
        transaction.savepoint().await.unwrap();
        let taken = with(&schema, player_row(3), "username", "user1".into());
        let batch = [taken, player_row(4)];
        let error = transaction.put_many(&schema, &batch[..rows]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UniqueViolation);
        let refused = transaction.get_many(&schema, &[vec![2.into()]], RowLock::None).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TransactionFailed);
        transaction.roll_back_to_savepoint().await.unwrap();
    }
    transaction.put_many(&schema, &[player_row(5)]).await.unwrap();
    transaction.commit().await.unwrap();
    let keys: Vec<_> = (1..=5_i64).map(|id| vec![Value::from(id)]).collect();
    assert_eq!(truth.tables.exists_many(&schema, &keys).await.unwrap(), [true, true, false, false, true]);
}

/// There is nothing to go back to, or to give up.
pub async fn a_savepoint_that_is_not_there_is_refused(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut transaction = begin(&*truth.tables).await;
    assert_eq!(transaction.roll_back_to_savepoint().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    transaction.put_many(&schema, &[player_row(1)]).await.unwrap();
    assert_eq!(transaction.release().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    transaction.put_many(&schema, &[player_row(2)]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(truth.tables.exists_many(&schema, &[vec![1.into()], vec![2.into()]]).await.unwrap(), [true, true]);
}
