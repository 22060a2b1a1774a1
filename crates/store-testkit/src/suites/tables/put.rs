//! Inserting and updating.

use store_core::facet::Count;
use store_core::{Error, ErrorKind, Row, StoredRow, Value};

use super::schemas::{at, key_of, moment, player, player_row, score, score_row, with, with_defaults};
use crate::suites::truth::{Truth, TruthDatabase, assert_refused, open_with};

async fn put_one(truth: &Truth, row: Row<'static>) -> Result<StoredRow, Error> {
    let mut stored = truth.tables.put_many(&player(), &[row]).await?;
    assert_eq!(stored.len(), 1, "one row was asked for");
    Ok(stored.remove(0))
}

async fn stored(truth: &Truth, id: i64) -> Option<StoredRow> {
    truth.tables.get_many(&player(), &[vec![id.into()]]).await.unwrap().remove(0)
}

/// An insert returns what the table holds: the values, and what the database put where none was given.
pub async fn an_insert_returns_what_the_table_holds(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let full = put_one(&truth, player_row(1)).await.unwrap();
    assert_eq!(full.row, player_row(1));
    assert_eq!(stored(&truth, 1).await, Some(full));

    let row = with(&schema, with(&schema, player_row(2), "level", Value::Unset), "region", Value::Unset);
    let partial = put_one(&truth, row.clone()).await.unwrap();
    assert_eq!(partial.row, with(&schema, with(&schema, row, "level", 1.into()), "region", Value::Null));
    assert_eq!(stored(&truth, 2).await, Some(partial));
}

/// An update returns what the table holds now.
pub async fn an_update_returns_what_the_table_holds(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    put_one(&truth, player_row(1)).await.unwrap();
    let row = with(&schema, with(&schema, player_row(1), "region", Value::Null), "rating", Value::from(-1.25));
    let updated = put_one(&truth, row.clone()).await.unwrap();
    assert_eq!(updated.row, row);
    assert_eq!(stored(&truth, 1).await, Some(updated));
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 1);
}

/// Each write of a key draws a higher version than the one before, a write that changes nothing too.
pub async fn versions_of_a_key_rise(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut versions = Vec::new();
    for level in [1, 2, 2, 3] {
        let stored = put_one(&truth, with(&schema, player_row(1), "level", level.into())).await.unwrap();
        versions.push(stored.version);
    }
    assert!(versions.is_sorted_by(|earlier, later| earlier < later), "{versions:?}");
    assert_eq!(stored(&truth, 1).await.unwrap().version, versions[3]);
}

/// A write of one key leaves the versions of others alone.
pub async fn versions_of_other_keys_stay(database: impl TruthDatabase) {
    let truth = open_with(&database, &[&player()]).await;
    let first = put_one(&truth, player_row(1)).await.unwrap();
    put_one(&truth, player_row(2)).await.unwrap();
    truth.tables.delete_many(&player(), &[vec![2.into()]]).await.unwrap();
    assert_eq!(stored(&truth, 1).await, Some(first));
}

/// Insert, delete and insert again draw rising versions, although no row stands between the last two.
pub async fn versions_rise_across_a_deletion(database: impl TruthDatabase) {
    let truth = open_with(&database, &[&player()]).await;
    let inserted = put_one(&truth, player_row(1)).await.unwrap().version;
    let deleted = truth.tables.delete_many(&player(), &[vec![1.into()]]).await.unwrap()[0].unwrap();
    let again = put_one(&truth, player_row(1)).await.unwrap().version;
    assert!(inserted < deleted && deleted < again, "{inserted} < {deleted} < {again}");
}

/// A column stamped on insert keeps its content on update; one stamped on each write takes the new value.
pub async fn insert_stamps_are_kept_on_update(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    put_one(&truth, player_row(1)).await.unwrap();
    let row = with(&schema, with(&schema, player_row(1), "created_at", moment(77)), "updated_at", moment(88));
    let updated = put_one(&truth, row).await.unwrap();
    assert_eq!(updated.row[at(&schema, "created_at")], player_row(1)[at(&schema, "created_at")]);
    assert_eq!(updated.row[at(&schema, "updated_at")], moment(88));
    assert_eq!(stored(&truth, 1).await, Some(updated));

    truth.tables.delete_many(&schema, &[vec![1.into()]]).await.unwrap();
    let again = put_one(&truth, with(&schema, player_row(1), "created_at", moment(99))).await.unwrap();
    assert_eq!(again.row[at(&schema, "created_at")], moment(99), "a new row is stamped anew");
}

/// A column that is unset keeps its content on update, whatever its rules.
pub async fn unset_keeps_the_content_on_update(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = put_one(&truth, player_row(7)).await.unwrap();
    let mut row: Row<'static> = vec![Value::Unset; 8];
    row[0] = 7.into();
    let untouched = put_one(&truth, row.clone()).await.unwrap();
    assert_eq!(untouched.row, before.row);
    assert!(untouched.version > before.version);

    let one = put_one(&truth, with(&schema, row, "region", Value::from("south"))).await.unwrap();
    assert_eq!(one.row, with(&schema, before.row, "region", Value::from("south")));
    assert_eq!(stored(&truth, 7).await, Some(one));
}

/// A column that is unset takes its default on insert, of every kind that a model can declare.
pub async fn unset_takes_the_default_on_insert(database: impl TruthDatabase) {
    let schema = with_defaults();
    let truth = open_with(&database, &[&schema]).await;
    let mut row: Row<'static> = vec![Value::Unset; schema.definition().columns().len()];
    row[0] = 1.into();
    let stored = truth.tables.put_many(&schema, &[row]).await.unwrap().remove(0);
    let expected = [
        1.into(),
        true.into(),
        false.into(),
        (-7).into(),
        i64::MIN.into(),
        Value::from(-0.5),
        Value::from(3.0),
        Value::from(1e-300),
        Value::from("it's \"quoted\"; -- no comment"),
        Value::from(""),
    ];
    assert_eq!(stored.row[..expected.len()], expected);
    let Value::Json(document) = &stored.row[at(&schema, "document")] else { panic!("{:?}", stored.row) };
    assert_eq!(document.replace(' ', ""), "{\"a\":[1,null]}");
    assert_eq!(stored.row[at(&schema, "maybe")], Value::Integer(9), "a default comes before NULL");

    let mut explicit = stored.row.clone();
    explicit[0] = 2.into();
    explicit[at(&schema, "maybe")] = Value::Null;
    let explicit = truth.tables.put_many(&schema, &[explicit]).await.unwrap().remove(0);
    assert_eq!(explicit.row[at(&schema, "maybe")], Value::Null, "NULL is a value, not the lack of one");
}

/// An unset column that is required and has no default refuses an insert, and the whole batch with it.
pub async fn unset_refuses_an_insert_where_a_value_is_required(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let batch = [player_row(1), with(&schema, player_row(2), "secret", Value::Unset), player_row(3)];
    let refused = assert_refused(truth.tables.put_many(&schema, &batch).await, ErrorKind::ConstraintViolation, &schema, Some("secret"));
    assert!(refused.to_string().contains("`secret` needs a value and has no default"), "{refused}");
    assert_eq!(refused.key(), Some("2"));
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);

    put_one(&truth, player_row(2)).await.unwrap();
    let stored = truth.tables.put_many(&schema, &batch).await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.row.clone()).collect::<Vec<_>>(), [player_row(1), player_row(2), player_row(3)]);
}

/// NULL in a required column is refused and names the column, on insert and on update.
pub async fn null_is_refused_where_a_value_is_required(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    for _ in 0..2 {
        let refused = put_one(&truth, with(&schema, player_row(1), "level", Value::Null)).await;
        assert_refused(refused, ErrorKind::ConstraintViolation, &schema, Some("level"));
        put_one(&truth, player_row(1)).await.unwrap();
    }
    assert_eq!(stored(&truth, 1).await.unwrap().row, player_row(1));
    let refused = put_one(&truth, with(&schema, player_row(2), "id", Value::Null)).await;
    assert_refused(refused, ErrorKind::ConstraintViolation, &schema, Some("id"));
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 1, "no key is made up for NULL");
}

/// A unique violation names the column and the row's key, tells no value, and takes the whole batch back, updates and versions too.
pub async fn a_unique_violation_takes_the_batch_back(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let before = put_one(&truth, player_row(1)).await.unwrap();
    let mark = truth.log.end().await.unwrap();

    let batch =
        [with(&schema, player_row(1), "level", 99.into()), player_row(2), with(&schema, player_row(3), "username", Value::from("user1"))];
    let error = assert_refused(truth.tables.put_many(&schema, &batch).await, ErrorKind::UniqueViolation, &schema, Some("username"));
    assert_eq!(error.key(), Some("3"), "{error:?}");
    assert!(!format!("{error:?}").contains("user1"), "the value is none of the log's business: {error:?}");
    assert!(!error.is_retryable());

    assert_eq!(stored(&truth, 1).await, Some(before));
    assert_eq!(truth.tables.exists_many(&schema, &[vec![2.into()], vec![3.into()]]).await.unwrap(), [false, false]);
    assert!(truth.log.read(&mark).await.unwrap().entries.is_empty(), "what was taken back is not in the log");
    put_one(&truth, player_row(2)).await.unwrap();
}

/// A unique violation on update names the column too, and two rows of one batch can collide.
pub async fn a_unique_violation_names_the_column_wherever_it_happens(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    truth.tables.put_many(&schema, &[player_row(1), player_row(2)]).await.unwrap();
    let update = put_one(&truth, with(&schema, player_row(2), "username", Value::from("user1"))).await;
    assert_eq!(assert_refused(update, ErrorKind::UniqueViolation, &schema, Some("username")).key(), Some("2"));
    let same = [player_row(3), with(&schema, player_row(4), "username", Value::from("user3"))];
    let error = assert_refused(truth.tables.put_many(&schema, &same).await, ErrorKind::UniqueViolation, &schema, Some("username"));
    assert_eq!(error.key(), Some("4"), "{error:?}");
    let incomplete = with(&schema, with(&schema, player_row(5), "username", Value::from("user2")), "level", Value::Unset);
    let mut many: Vec<_> = (10..2_000).map(player_row).collect();
    many.push(incomplete);
    let error = assert_refused(truth.tables.put_many(&schema, &many).await, ErrorKind::UniqueViolation, &schema, Some("username"));
    assert_eq!(error.key(), Some("5"), "{error:?}");
    let again = put_one(&truth, player_row(2)).await.unwrap();
    assert_eq!(again.row, player_row(2), "a row does not collide with itself");
}

/// A unique index over several columns holds, and NULL collides with nothing.
pub async fn a_unique_index_over_several_columns_holds(database: impl TruthDatabase) {
    let schema = score();
    let truth = open_with(&database, &[&schema]).await;
    let placed = |player, season, place: Option<i64>| with(&schema, score_row(player, season, 10), "place", place.into());
    let rows = [placed("ada", 1, Some(1)), placed("bob", 1, None), placed("eve", 1, None), placed("ada", 2, Some(1))];
    truth.tables.put_many(&schema, &rows).await.unwrap();
    let taken = [placed("ada", 3, Some(7)), placed("bob", 1, Some(1)), placed("bob", 3, Some(1))];
    let error = assert_refused(truth.tables.put_many(&schema, &taken).await, ErrorKind::UniqueViolation, &schema, None);
    assert_eq!(error.key(), Some("bob:1"), "{error:?}");
    truth.tables.put_many(&schema, &[placed("bob", 1, Some(2))]).await.unwrap();
}

/// A value that its column cannot hold is refused by the column's name before anything is written.
pub async fn a_value_that_does_not_fit_is_refused(database: impl TruthDatabase) {
    let schema = super::schemas::specimen();
    let truth = open_with(&database, &[&schema]).await;
    let fits = super::types::plain_row(1);
    for (column, value) in [
        ("small", Value::Integer(i64::from(i16::MAX) + 1)),
        ("small", Value::Integer(i64::from(i16::MIN) - 1)),
        ("integer", Value::Integer(i64::from(i32::MAX) + 1)),
        ("bool", Value::Integer(1)),
        ("big", Value::from("12")),
        ("big", Value::Double(1.0)),
        ("double", Value::Integer(1)),
        ("text", Value::Integer(1)),
        ("text", Value::Bytes(b"text"[..].into())),
        ("bytes", Value::from("text")),
        ("time", Value::Integer(1)),
        ("uuid", Value::from("00000000-0000-0000-0000-000000000001")),
        ("json", Value::from("{}")),
        ("json", Value::Json("{\"a\":".into())),
        ("json", Value::Json("".into())),
        ("maybe_json", Value::Json("[1] [2]".into())),
    ] {
        let batch = [fits.clone(), with(&schema, super::types::plain_row(2), column, value)];
        assert_refused(truth.tables.put_many(&schema, &batch).await, ErrorKind::InvalidValue, &schema, Some(column));
    }
    assert_eq!(truth.tables.count(&schema, Count::default()).await.unwrap(), 0);
    assert_eq!(key_of(&schema, &truth.tables.put_many(&schema, &[fits]).await.unwrap()[0].row), [Value::Integer(1)]);
}

/// Batches of every size are answered in their order, inserts and updates and all sets of unset columns mixed.
pub async fn batches_are_answered_in_order(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    assert!(truth.tables.put_many(&schema, &[]).await.unwrap().is_empty());
    let mut first = 1;
    for size in [1, 2, 1_000, 5_000] {
        // Against the order of keys, which a database may prefer.
        let rows: Vec<_> = (first..first + size).rev().map(player_row).collect();
        let inserted = truth.tables.put_many(&schema, &rows).await.unwrap();
        assert!(inserted.iter().map(|stored| &stored.row).eq(&rows), "{size} inserts");

        let mixed: Vec<_> = (first - 1..first + size).rev().map(|id| partly_unset(id + 1)).collect();
        let expected: Vec<_> = (first - 1..first + size).rev().map(|id| filled(id + 1, id + 1 < first + size)).collect();
        let written = truth.tables.put_many(&schema, &mixed).await.unwrap();
        for (stored, expected) in written.iter().zip(&expected) {
            assert_eq!(&stored.row, expected, "{size} mixed rows");
        }
        assert_eq!(written.len(), mixed.len());
        let keys: Vec<_> = mixed.iter().map(|row| vec![row[0].clone()]).collect();
        let held = truth.tables.get_many(&schema, &keys).await.unwrap();
        assert!(held.into_iter().map(Option::unwrap).eq(written), "{size} mixed rows are stored as told");
        first += size + 1;
    }
}

/// A row with some columns unset, which depends on the id.
fn partly_unset(id: i64) -> Row<'static> {
    let schema = player();
    let mut row = with(&schema, player_row(id), "rating", Value::from(7.5));
    for (bit, column) in ["level", "region", "rating"].into_iter().enumerate() {
        if id >> bit & 1 == 1 {
            row = with(&schema, row, column, Value::Unset);
        }
    }
    row
}

/// What the table holds after `partly_unset` was written over `player_row`, or into nothing.
fn filled(id: i64, existed: bool) -> Row<'static> {
    let schema = player();
    let mut row = partly_unset(id);
    for (column, default) in [("level", Value::Integer(1)), ("region", Value::Null), ("rating", Value::Null)] {
        if row[at(&schema, column)] == Value::Unset {
            row[at(&schema, column)] = if existed { player_row(id)[at(&schema, column)].clone() } else { default };
        }
    }
    row
}
