//! Transactions beside each other.

use std::sync::Arc;

use store_core::facet::{RowLock, Transaction};
use store_core::{BoundSchema, ErrorKind, Isolation, Result};

use super::{begin, begin_at, level, level_of, level_within, leveled};
use crate::suites::tables::schemas::player;
use crate::suites::truth::{TruthDatabase, open_with, start_writers};

/// Whoever commits a key later has the higher version, in the log's order too, however long transactions overlap.
pub async fn versions_rise_in_the_order_of_commits(database: impl TruthDatabase) {
    let schema = player();
    let truths = [open_with(&database, &[&schema]).await, open_with(&database, &[&schema]).await];
    let start = truths[0].log.end().await.unwrap();
    let writers = start_writers(&truths, 6, |writer, tables| async move {
        let schema = player();
        for turn in 0..8_i64 {
            // Keys in one order, so that nobody waits in a circle; some are inserted, some deleted meanwhile.
            let mut transaction = begin(&*tables).await;
            transaction.put_many(&schema, &[leveled(&schema, 1, writer * 100 + turn)]).await.unwrap();
            tokio::task::yield_now().await;
            if (writer + turn) % 3 == 0 {
                transaction.delete_many(&schema, &[vec![2.into()]]).await.unwrap();
            } else {
                transaction.put_many(&schema, &[leveled(&schema, 2, writer * 100 + turn)]).await.unwrap();
            }
            match turn % 4 {
                3 => transaction.rollback().await.unwrap(),
                _ => transaction.commit().await.unwrap(),
            }
        }
    });
    let (mut cursor, mut last) = (start, [0_u64; 2]);
    let mut follow = async || {
        let batch = truths[0].log.read(&cursor).await.unwrap();
        assert!(!batch.gap);
        let mut within: [Vec<u64>; 2] = Default::default();
        for entry in &batch.entries {
            let key: usize = entry.key.as_deref().unwrap().parse().unwrap();
            within[key - 1].push(entry.version.get());
        }
        for (last, mut versions) in last.iter_mut().zip(within) {
            versions.sort_unstable();
            assert!(versions.first().is_none_or(|first| first > last), "a commit that was read later is newer");
            *last = versions.last().copied().unwrap_or(*last);
        }
        cursor = batch.cursor;
    };
    for writer in writers {
        while !writer.is_finished() {
            follow().await;
            tokio::task::yield_now().await;
        }
        writer.await.unwrap();
    }
    follow().await;
    let held = truths[0].tables.get_many(&schema, &[vec![1.into()]]).await.unwrap().remove(0).unwrap();
    assert_eq!(held.version.get(), last[0]);
}

/// Reads that lock make read-modify-write safe at every level.
pub async fn locked_rows_are_counted_up_without_loss(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 0), leveled(&schema, 2, 0)]).await.unwrap();
    let writers: Vec<_> = (0..5)
        .map(|writer| {
            let tables = Arc::clone(&truth.tables);
            tokio::spawn(async move {
                let schema = player();
                for _ in 0..10 {
                    let mut transaction = begin(&*tables).await;
                    // In either order: the tier locks in its own.
                    let keys = if writer % 2 == 0 { [1_i64, 2] } else { [2, 1] };
                    let found = transaction.get_many(&schema, &keys.map(|id| vec![id.into()]), RowLock::ForUpdate).await.unwrap();
                    let level = level(&schema, found[0].as_ref()).unwrap();
                    let rows = [1, 2].map(|id| leveled(&schema, id, level + 1));
                    transaction.put_many(&schema, &rows).await.unwrap();
                    transaction.commit().await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(50));
    assert_eq!(level_of(&*truth.tables, &schema, 2).await, Some(50));
}

/// Above the lowest level, what a transaction read stays as it was read, and a write over a later commit is refused and may be tried again.
pub async fn repeatable_reads_repeat(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    for isolation in [Isolation::RepeatableRead, Isolation::Serializable] {
        let mut transaction = begin_at(&*truth.tables, isolation).await;
        let before = level_within(&mut *transaction, &schema, 1).await;
        let other = {
            let tables = Arc::clone(&truth.tables);
            tokio::spawn(async move {
                let schema = player();
                tables.put_many(&schema, &[leveled(&schema, 1, 7)]).await
            })
        };
        // Where writers wait for each other, this one waits until the transaction has ended.
        let mut overtaken = false;
        for _ in 0..50 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            overtaken = other.is_finished();
            if overtaken {
                break;
            }
        }
        assert_eq!(level_within(&mut *transaction, &schema, 1).await, before, "{isolation:?}");
        let written = transaction.put_many(&schema, &[leveled(&schema, 1, 2)]).await;
        if overtaken {
            let error = written.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::TransactionFailed, true), "{error}");
            transaction.rollback().await.unwrap();
        } else {
            written.unwrap();
            transaction.commit().await.unwrap();
        }
        other.await.unwrap().unwrap();
        assert_eq!(level_of(&*truth.tables, &schema, 1).await, Some(7));
        truth.tables.put_many(&schema, &[leveled(&schema, 1, 1)]).await.unwrap();
    }
}

/// Two that each read both rows and write one of them: as if one ran after the other.
pub async fn serializable_transactions_keep_a_rule_over_two_rows(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    for round in 0..5 {
        truth.tables.put_many(&schema, &[leveled(&schema, 1, 1), leveled(&schema, 2, 1)]).await.unwrap();
        // Of the two, one may be set to zero.
        let leave = |id: i64| {
            let tables = Arc::clone(&truth.tables);
            tokio::spawn(async move {
                let schema = player();
                loop {
                    let mut transaction = begin_at(&*tables, Isolation::Serializable).await;
                    match leave_if_two(&mut *transaction, &schema, id).await {
                        Ok(()) => match transaction.commit().await {
                            Ok(()) => return,
                            Err(error) => assert!(error.kind() == ErrorKind::TransactionFailed && error.is_retryable(), "{error}"),
                        },
                        Err(error) => assert!(error.kind() == ErrorKind::TransactionFailed && error.is_retryable(), "{error}"),
                    }
                }
            })
        };
        let (first, second) = (leave(1), leave(2));
        first.await.unwrap();
        second.await.unwrap();
        let left = level_of(&*truth.tables, &schema, 1).await.unwrap() + level_of(&*truth.tables, &schema, 2).await.unwrap();
        assert_eq!(left, 1, "round {round}");
    }
}

async fn leave_if_two(transaction: &mut dyn Transaction, schema: &BoundSchema, id: i64) -> Result<()> {
    let found = transaction.get_many(schema, &[vec![1.into()], vec![2.into()]], RowLock::None).await?;
    tokio::task::yield_now().await;
    let present: i64 = found.iter().filter_map(|row| level(schema, row.as_ref())).sum();
    if present == 2 {
        transaction.put_many(schema, &[leveled(schema, id, 0)]).await?;
    }
    Ok(())
}
