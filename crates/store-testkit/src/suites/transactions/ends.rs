//! How a transaction ends.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use store_core::facet::{Begin, Count, RowLock, Select};
use store_core::{ErrorKind, Filter, Isolation};

use super::{LIMIT, begin, level_of, level_within, leveled};
use crate::suites::tables::schemas::{player, player_row, with};
use crate::suites::truth::{TruthDatabase, assert_refused, open_with};

/// What others wait for is free again well before any limit of theirs.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A rollback takes everything back, the log included.
pub async fn a_rollback_leaves_nothing(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let start = truth.log.end().await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    transaction.put_many(&schema, &[player_row(1), player_row(2)]).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
    assert!(truth.log.read(&start).await.unwrap().entries.is_empty());
}

/// Whoever waits for what a transaction wrote goes on as soon as it is dropped.
pub async fn a_dropped_transaction_leaves_nothing_and_holds_nobody_up(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    for has_failed in [false, true] {
        let mut transaction = begin(&*truth.tables).await;
        transaction.put_many(&schema, &[leveled(&schema, 1, 2)]).await.unwrap();
        if has_failed {
            let taken = with(&schema, player_row(2), "username", "user1".into());
            assert!(transaction.put_many(&schema, &[taken]).await.is_err());
        }
        let dropped = Instant::now();
        drop(transaction);
        let stored = truth.tables.put_many(&schema, &[leveled(&schema, 1, 3)]).await.unwrap();
        assert_eq!(super::level(&schema, stored.first()), Some(3));
        assert!(dropped.elapsed() < AT_ONCE, "{:?}", dropped.elapsed());
    }
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(3));
}

/// A call that is given up midway may or may not have written: nothing of the transaction counts any more.
pub async fn a_dropped_call_leaves_no_way_on(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let rows: Vec<_> = (1..=200).map(player_row).collect();
    let mut transaction = loop {
        let mut transaction = begin(&*truth.tables).await;
        transaction.savepoint().await.unwrap();
        if transaction.put_many(&schema, &rows).now_or_never().is_none() {
            break transaction;
        }
        // This thread was held up, and the tier quicker.
        transaction.rollback().await.unwrap();
    };
    let refused = transaction.get_many(&schema, &[vec![1.into()]], RowLock::None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TransactionFailed);
    assert_eq!(transaction.roll_back_to_savepoint().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    assert_eq!(transaction.commit().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
}

/// After any failure every call is refused, in the same kind everywhere, and a commit commits nothing.
pub async fn a_failed_call_leaves_only_the_way_back(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    for is_read in [false, true] {
        let mut transaction = begin(&*truth.tables).await;
        transaction.put_many(&schema, &[player_row(1)]).await.unwrap();
        if is_read {
            let wrong = Select { filter: Some(Filter::Raw { sql: "nothing = 1".to_owned(), params: vec![] }), ..Select::default() };
            assert_refused(transaction.select(&schema, &wrong).await, ErrorKind::InvalidQuery, &schema, None);
        } else {
            let taken = with(&schema, player_row(2), "username", "user1".into());
            assert_refused(transaction.put_many(&schema, &[taken]).await, ErrorKind::UniqueViolation, &schema, Some("username"));
        }
        let refused = [
            transaction.put_many(&schema, &[player_row(3)]).await.map(drop).unwrap_err(),
            transaction.get_many(&schema, &[vec![1.into()]], RowLock::None).await.map(drop).unwrap_err(),
            transaction.count(&schema, &Count::default()).await.map(drop).unwrap_err(),
            transaction.savepoint().await.unwrap_err(),
            transaction.roll_back_to_savepoint().await.unwrap_err(),
            transaction.commit().await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::TransactionFailed, false), "{error}");
        }
    }
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
}

/// The tier rolls back when the limit passes, though nobody calls it; others go on.
pub async fn the_limit_rolls_back_between_calls(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    let limit = Duration::from_secs(1);
    let mut transaction = truth.tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await.unwrap();
    transaction.put_many(&schema, &[leveled(&schema, 1, 2)]).await.unwrap();
    // It waits for the row, or for the writer.
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 3)]).await.unwrap();
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(3));
    let refused = transaction.get_many(&schema, &[vec![1.into()]], RowLock::None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert_eq!(transaction.commit().await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(3));
}

/// A call that runs when the limit passes ends then.
pub async fn the_limit_rolls_back_within_a_call(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &(1..=400).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let limit = Duration::from_secs(1);
    let mut transaction = truth.tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await.unwrap();
    transaction.put_many(&schema, &[leveled(&schema, 1, 2)]).await.unwrap();
    let began = Instant::now();
    // 400 to the fifth: for ever.
    let endless = "(SELECT count(*) FROM player AS a, player AS b, player AS c, player AS d, player AS e WHERE a.id + b.id + c.id + d.id + e.id < 0) > 0";
    let count = Count { filter: Some(Filter::Raw { sql: endless.to_owned(), params: vec![] }), ..Count::default() };
    let error = transaction.count(&schema, &count).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TransactionTimeout, "{error}");
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 3)]).await.unwrap();
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(transaction.commit().await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
}

/// A write that waits for a lock of somebody else's ends with the limit of its own transaction.
pub async fn the_wait_for_its_turn_is_part_of_the_limit(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut first = begin(&*truth.tables).await;
    first.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    let began = Instant::now();
    let second = async {
        let begin = Begin { isolation: Isolation::ReadCommitted, limit: Duration::from_millis(200) };
        let mut second = truth.tables.begin(&begin).await?;
        second.put_many(&schema, &[leveled(&schema, 1, 2)]).await?;
        second.commit().await
    };
    assert_eq!(second.await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
    assert!(began.elapsed() < AT_ONCE);
    assert_eq!(level_within(&mut *first, &schema, 1).await, Some(1));
    first.commit().await.unwrap();
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(1));
}

/// Whatever way they end, nothing is used up.
pub async fn many_transactions_one_after_the_other(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    for round in 0..60_i64 {
        let is_short = round % 5 == 4;
        let limit = if is_short { Duration::from_millis(2) } else { LIMIT };
        let begun = truth.tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await;
        if is_short && begun.is_err() {
            continue;
        }
        let mut transaction = begun.unwrap();
        let put = transaction.put_many(&schema, &[leveled(&schema, 1, round)]).await;
        assert!(is_short || put.is_ok(), "{put:?}");
        match round % 4 {
            0 => {
                let committed = transaction.commit().await;
                assert!(is_short || committed.is_ok(), "{committed:?}");
            }
            1 => transaction.rollback().await.unwrap(),
            2 => drop(transaction),
            _ => drop(transaction.get_many(&schema, &[vec![1.into()]], RowLock::None).now_or_never()),
        }
    }
    let mut last = begin(&*truth.tables).await;
    last.put_many(&schema, &[leveled(&schema, 1, 1_000)]).await.unwrap();
    last.commit().await.unwrap();
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(1_000));
}
