//! Rows that a transaction writes by a condition.

use store_core::facet::{BULK_LOG_LIMIT, LogKind, Touched};
use store_core::{BoundSchema, Comparison, ErrorKind, Filter, Row, Value};

use super::{begin, level_within, leveled};
use crate::suites::tables::schemas::{at, moment, player, player_row};
use crate::suites::truth::{TruthDatabase, assert_refused, open_with};

fn at_level(level: i64) -> Filter {
    Filter::Compare { column: "level".into(), comparison: Comparison::Equal, value: level.into() }
}

fn to_level(schema: &BoundSchema, level: i64) -> Row<'static> {
    let mut row = vec![Value::Unset; 8];
    row[at(schema, "level")] = level.into();
    row[at(schema, "updated_at")] = moment(88);
    row
}

fn ids(touched: &[Touched]) -> Vec<String> {
    let mut ids: Vec<_> = touched.iter().map(|touched| store_core::key_text(&touched.key).unwrap()).collect();
    ids.sort();
    ids
}

/// They find what the transaction wrote, are answered and logged as those of the tables, and belong to the transaction.
pub async fn writes_by_condition_see_own_writes_and_come_with_the_commit(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 5), leveled(&schema, 2, 5), leveled(&schema, 3, 7)]).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    let put = transaction.put_many(&schema, &[leveled(&schema, 3, 5)]).await.unwrap();
    let updated = transaction.update_where(&schema, &to_level(&schema, 6), &at_level(5)).await.unwrap();
    assert_eq!(ids(&updated), ["1", "2", "3"]);
    transaction.put_many(&schema, &[leveled(&schema, 2, 9)]).await.unwrap();
    let deleted = transaction.delete_where(&schema, &at_level(6)).await.unwrap();
    assert_eq!(ids(&deleted), ["1", "3"]);
    assert!(transaction.delete_where(&schema, &at_level(6)).await.unwrap().is_empty());
    assert!(
        put[0].version < updated[0].version
            && updated.iter().all(|updated| deleted.iter().all(|deleted| updated.version < deleted.version))
    );
    assert_eq!(truth.log.read(&mark).await.unwrap().entries, []);
    transaction.commit().await.unwrap();
    let entries = truth.log.read(&mark).await.unwrap().entries;
    assert_eq!(entries.len(), 7, "{entries:?}");
    for Touched { key, version } in &deleted {
        let text = store_core::key_text(key).unwrap();
        let is_told = |entry: &&store_core::facet::LogEntry| entry.key.as_ref() == Some(&text) && entry.kind == LogKind::Delete;
        assert_eq!(entries.iter().find(is_told).unwrap().version, *version);
    }
    let keys: Vec<_> = (1..=3_i64).map(|id| vec![Value::from(id)]).collect();
    assert_eq!(truth.tables.exists_many(&schema, &keys).await.unwrap(), [false, true, false]);
}

/// They go back with a savepoint, and so does what a mistake in them has broken.
pub async fn writes_by_condition_go_back_with_a_savepoint(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[leveled(&schema, 1, 5), leveled(&schema, 2, 5)]).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    let mut transaction = begin(&*truth.tables).await;
    transaction.savepoint().await.unwrap();
    assert_eq!(transaction.update_where(&schema, &to_level(&schema, 6), &at_level(5)).await.unwrap().len(), 2);
    assert_eq!(transaction.delete_where(&schema, &at_level(6)).await.unwrap().len(), 2);
    transaction.roll_back_to_savepoint().await.unwrap();
    let mut same_name = vec![Value::Unset; 8];
    same_name[at(&schema, "username")] = "x".into();
    let mut unfit = vec![Value::Unset; 8];
    unfit[at(&schema, "level")] = "high".into();
    let everything = Filter::All(Vec::new());
    for (changes, filter, kind) in [
        (to_level(&schema, 1), Filter::Raw { sql: "nobody = 1".into(), params: Vec::new() }, ErrorKind::InvalidQuery),
        (to_level(&schema, 1), Filter::IsNull { column: "nobody".into() }, ErrorKind::InvalidQuery),
        (same_name, everything.clone(), ErrorKind::UniqueViolation),
        (unfit, everything, ErrorKind::InvalidValue),
    ] {
        transaction.savepoint().await.unwrap();
        assert_refused(transaction.update_where(&schema, &changes, &filter).await, kind, &schema, None);
        assert_eq!(transaction.savepoint().await.unwrap_err().kind(), ErrorKind::TransactionFailed);
        transaction.roll_back_to_savepoint().await.unwrap();
        if kind == ErrorKind::InvalidQuery {
            transaction.savepoint().await.unwrap();
            assert_refused(transaction.delete_where(&schema, &filter).await, kind, &schema, None);
            transaction.roll_back_to_savepoint().await.unwrap();
        }
    }
    assert_eq!(level_within(&mut *transaction, &schema, 2).await, Some(5));
    transaction.commit().await.unwrap();
    assert_eq!(truth.log.read(&mark).await.unwrap().entries, []);
}

/// More rows than the log names are one row of it.
pub async fn large_writes_by_condition_of_a_transaction_are_one_row_of_the_log(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let count = BULK_LOG_LIMIT as i64 + 1;
    truth.tables.put_many(&schema, &(1..=count).map(player_row).collect::<Vec<_>>()).await.unwrap();
    let mark = truth.log.end().await.unwrap();
    let everything = Filter::All(Vec::new());
    let mut transaction = begin(&*truth.tables).await;
    let updated = transaction.update_where(&schema, &to_level(&schema, 50), &everything).await.unwrap();
    let deleted = transaction.delete_where(&schema, &everything).await.unwrap();
    transaction.commit().await.unwrap();
    let mut entries = truth.log.read(&mark).await.unwrap().entries;
    entries.sort_by_key(|entry| entry.version);
    let told: Vec<_> = entries.iter().map(|entry| (entry.key.as_deref(), entry.kind)).collect();
    assert_eq!(told, [(None, LogKind::Put), (None, LogKind::Delete)]);
    for (entry, touched) in entries.iter().zip([updated, deleted]) {
        assert_eq!(touched.len() as i64, count);
        assert!(entry.version >= touched.iter().map(|touched| touched.version).max().unwrap());
    }
}
