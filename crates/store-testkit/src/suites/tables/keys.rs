//! Reading, probing and deleting by key.

use store_core::facet::Count;
use store_core::{Row, Value};

use super::schemas::{key_of, membership, player, player_row, score, score_row, word};
use crate::suites::truth::{TruthDatabase, open_with};

fn id(id: i64) -> Row<'static> {
    vec![id.into()]
}

/// Reads and probes answer in the order of the keys, with a gap where there is no row.
pub async fn reads_are_answered_in_order(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    assert!(truth.tables.get_many(&schema, &[]).await.unwrap().is_empty());
    assert!(truth.tables.exists_many(&schema, &[]).await.unwrap().is_empty());
    let stored = truth.tables.put_many(&schema, &[player_row(1), player_row(2), player_row(3)]).await.unwrap();

    let keys = [id(3), id(-1), id(1), id(i64::MAX), id(2)];
    let expected = [Some(stored[2].clone()), None, Some(stored[0].clone()), None, Some(stored[1].clone())];
    assert_eq!(truth.tables.get_many(&schema, &keys).await.unwrap(), expected);
    assert_eq!(truth.tables.exists_many(&schema, &keys).await.unwrap(), [true, false, true, false, true]);
}

/// Deletions answer in the order of the keys: a version for each row, nothing where there was none, which is no error.
pub async fn deletions_are_answered_in_order(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    assert!(truth.tables.delete_many(&schema, &[]).await.unwrap().is_empty());
    let stored = truth.tables.put_many(&schema, &[player_row(1), player_row(2), player_row(3)]).await.unwrap();

    let keys = [id(3), id(9), id(1)];
    let versions = truth.tables.delete_many(&schema, &keys).await.unwrap();
    assert!(versions[0].unwrap() > stored[2].version);
    assert_eq!(versions[1], None);
    assert!(versions[2].unwrap() > stored[0].version);

    assert_eq!(truth.tables.delete_many(&schema, &keys).await.unwrap(), [None, None, None]);
    assert_eq!(truth.tables.get_many(&schema, &[id(1), id(2), id(3)]).await.unwrap(), [None, Some(stored[1].clone()), None]);
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 1);
}

/// Thousands of keys in one call, of which some have no row.
pub async fn large_batches_are_answered_in_order(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let rows: Vec<_> = (1..=5_000).filter(|id| id % 3 > 0).map(player_row).collect();
    for chunk in rows.chunks(2_000) {
        truth.tables.put_many(&schema, chunk).await.unwrap();
    }

    let keys: Vec<_> = (1..=5_000).rev().map(id).collect();
    let expected: Vec<_> = (1..=5_000).rev().map(|id| id % 3 > 0).collect();
    assert_eq!(truth.tables.exists_many(&schema, &keys).await.unwrap(), expected);
    let held = truth.tables.get_many(&schema, &keys).await.unwrap();
    assert_eq!(held.len(), keys.len());
    for ((held, key), exists) in held.iter().zip(&keys).zip(&expected) {
        assert_eq!(held.as_ref().map(|stored| &stored.row[0]), exists.then_some(&key[0]));
    }
    let deleted = truth.tables.delete_many(&schema, &keys).await.unwrap();
    assert!(deleted.iter().map(Option::is_some).eq(expected));
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
}

/// Keys of several columns are told apart by all of them, in the order of the key, not of the columns of others.
pub async fn keys_of_several_columns_are_told_apart(database: impl TruthDatabase) {
    let schema = score();
    let truth = open_with(&database, &[&schema]).await;
    let rows = [score_row("ada", 1, 10), score_row("ada", 2, 20), score_row("bob", 1, 30), score_row("a:da", 1, 40)];
    let stored = truth.tables.put_many(&schema, &rows).await.unwrap();
    let keys: Vec<_> = rows.iter().map(|row| key_of(&schema, row)).collect();
    assert_eq!(keys[0], [Value::from("ada"), Value::from(1)]);

    let held = truth.tables.get_many(&schema, &keys).await.unwrap();
    assert!(held.iter().map(Option::as_ref).eq(stored.iter().map(Some)));
    let missing = vec![Value::from("bob"), 2.into()];
    assert_eq!(truth.tables.exists_many(&schema, &[missing.clone(), keys[1].clone()]).await.unwrap(), [false, true]);

    let updated = truth.tables.put_many(&schema, &[score_row("ada", 2, 21)]).await.unwrap().remove(0);
    assert_eq!(updated.row[0], Value::Integer(21));
    assert!(truth.tables.delete_many(&schema, &[missing, keys[0].clone()]).await.unwrap()[1].is_some());
    assert_eq!(
        truth.tables.get_many(&schema, &keys).await.unwrap(),
        [None, Some(updated), Some(stored[2].clone()), Some(stored[3].clone())]
    );
}

/// A row that is nothing but its key is inserted, updated (its version rises), read and deleted as others are.
pub async fn a_row_may_be_nothing_but_its_key(database: impl TruthDatabase) {
    let schema = membership();
    let truth = open_with(&database, &[&schema]).await;
    let row = vec![Value::from("chess"), (-4).into(), Value::Uuid(uuid::Uuid::from_u128(5))];
    let inserted = truth.tables.put_many(&schema, std::slice::from_ref(&row)).await.unwrap().remove(0);
    let updated = truth.tables.put_many(&schema, std::slice::from_ref(&row)).await.unwrap().remove(0);
    assert_eq!((&inserted.row, &updated.row), (&row, &row));
    assert!(updated.version > inserted.version);
    assert_eq!(truth.tables.get_many(&schema, std::slice::from_ref(&row)).await.unwrap(), [Some(updated)]);
    assert!(truth.tables.delete_many(&schema, std::slice::from_ref(&row)).await.unwrap()[0].is_some());
    assert_eq!(truth.tables.exists_many(&schema, &[row]).await.unwrap(), [false]);
}

/// Text keys are compared letter by letter: case, spaces and accents count.
pub async fn text_keys_are_exact(database: impl TruthDatabase) {
    let schema = word();
    let truth = open_with(&database, &[&schema]).await;
    let texts = ["a", "A", "a ", " a", "é", "e\u{301}", "a:b", "a%3Ab", "it's", "%", "漢", "🦀", "1", "01"];
    let rows: Vec<Row<'static>> = texts.iter().zip(0_i64..).map(|(&text, order)| vec![text.into(), order.into(), Value::Null]).collect();
    truth.tables.put_many(&schema, &rows).await.unwrap();
    for (text, row) in texts.iter().zip(&rows) {
        let held = truth.tables.get_many(&schema, &[vec![Value::from(*text)]]).await.unwrap().remove(0);
        assert_eq!(&held.unwrap().row, row);
    }
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), texts.len() as u64);
}
