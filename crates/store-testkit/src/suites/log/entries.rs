//! What is written into the log.

use store_core::facet::{BULK_LOG_LIMIT, Condition, LogEntry, LogKind};
use store_core::{ErrorKind, Filter, Row, Stamp, Value, Version};

use super::since;
use crate::suites::tables::schemas::{at, key_of, membership, player, player_row, score, score_row, with};
use crate::suites::truth::{TruthDatabase, assert_refused, open_with};

fn entry(schema: &str, key: &str, version: Version, kind: LogKind) -> LogEntry {
    LogEntry { schema: schema.into(), key: Some(key.into()), version, kind, columns: None }
}

/// Each key that is written has one entry, with the version that the write returned; so has each that is deleted.
pub async fn each_key_has_one_entry(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut cursor = truth.log.end().await.unwrap();

    let stored = truth.tables.put_many(&schema, &[player_row(1), player_row(2)]).await.unwrap();
    let expected = vec![entry("player", "1", stored[0].version, LogKind::Put), entry("player", "2", stored[1].version, LogKind::Put)];
    assert_eq!(since(&truth, &mut cursor).await, expected);

    let stored = truth.tables.put_many(&schema, &[player_row(2)]).await.unwrap();
    assert_eq!(since(&truth, &mut cursor).await, [entry("player", "2", stored[0].version, LogKind::Put)]);

    let versions = truth.tables.delete_many(&schema, &[vec![2.into()], vec![9.into()]]).await.unwrap();
    assert_eq!(since(&truth, &mut cursor).await, [entry("player", "2", versions[0].unwrap(), LogKind::Delete)]);

    truth.tables.delete_many(&schema, &[vec![2.into()]]).await.unwrap();
    truth.tables.put_many(&schema, &[]).await.unwrap();
    truth.tables.delete_many(&schema, &[]).await.unwrap();
    assert_eq!(since(&truth, &mut cursor).await, [], "what changed nothing is not in the log");
}

/// An update that sets some columns may name them. If it does, it names all of them, and none of a write that may have changed others.
pub async fn an_update_of_some_columns_names_no_other(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let row = player_row(1);
    truth.tables.put_many(&schema, std::slice::from_ref(&row)).await.unwrap();
    let mut cursor = truth.log.end().await.unwrap();
    let level = |id: Value<'static>| {
        let mut changes: Row<'static> = vec![Value::Unset; row.len()];
        (changes[at(&schema, "id")], changes[at(&schema, "level")]) = (id, 50.into());
        changes
    };
    let touched = truth.tables.update_where(&schema, &level(Value::Unset), &Filter::All(Vec::new())).await.unwrap();
    let patched = truth.tables.put_if(&schema, &level(1.into()), Condition::Present).await.unwrap().unwrap();
    let versions = [touched[0].version, patched.version];
    let entries = since(&truth, &mut cursor).await;
    assert_eq!(entries.len(), 2);
    for version in versions {
        let told = entries.iter().find(|told| told.version == version).unwrap();
        assert!(told.columns.is_none() || told.columns.as_deref() == Some(&["level".to_owned()]), "{told:?}");
        assert_eq!(LogEntry { columns: None, ..told.clone() }, entry("player", "1", version, LogKind::Put));
    }
    let whole = truth.tables.put_if(&schema, &row, Condition::Version(patched.version)).await.unwrap().unwrap();
    let told = since(&truth, &mut cursor).await;
    assert_eq!(LogEntry { columns: None, ..told[0].clone() }, entry("player", "1", whole.version, LogKind::Put));
    let settable = schema.definition().columns().iter().filter(|column| !column.is_key && column.stamp != Stamp::OnInsert).count();
    assert!(told[0].columns.as_ref().is_none_or(|named| named.len() == settable), "{told:?}");
}

/// An entry names its schema, whatever the table is called, and its key in the text form.
pub async fn entries_name_the_schema_and_the_key(database: impl TruthDatabase) {
    let renamed = std::sync::Arc::new(store_core::BoundSchema::standalone(score().definition()).with_names("points", "pts"));
    let club = membership();
    let truth = open_with(&database, &[&renamed, &club]).await;
    let mut cursor = truth.log.end().await.unwrap();
    let first = truth.tables.put_many(&renamed, &[score_row("a:b%", 3, 1)]).await.unwrap()[0].version;
    let person = uuid::Uuid::from_u128(0xABCDEF);
    let member = vec![Value::from("chess"), (-4).into(), Value::Uuid(person)];
    let second = truth.tables.put_many(&club, &[member]).await.unwrap()[0].version;
    let expected =
        [entry("membership", &format!("chess:-4:{person}"), second, LogKind::Put), entry("score", "a%3Ab%25:3", first, LogKind::Put)];
    assert_eq!(since(&truth, &mut cursor).await, expected);
}

/// A call of as many keys as the limit names each; one more is one entry for the whole schema, no older than any of the rows.
pub async fn a_large_call_is_one_entry(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let limit = BULK_LOG_LIMIT as i64;
    let mut cursor = truth.log.end().await.unwrap();

    let rows: Vec<_> = (1..=limit).map(player_row).collect();
    truth.tables.put_many(&schema, &rows).await.unwrap();
    let entries = since(&truth, &mut cursor).await;
    assert_eq!(entries.len(), BULK_LOG_LIMIT);
    assert!(entries.iter().all(|entry| entry.key.is_some()));

    let rows: Vec<_> = (1..=limit + 1).map(player_row).collect();
    let stored = truth.tables.put_many(&schema, &rows).await.unwrap();
    let entries = since(&truth, &mut cursor).await;
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].schema.as_str(), &entries[0].key, entries[0].kind), ("player", &None, LogKind::Put));
    assert!(stored.iter().all(|stored| stored.version <= entries[0].version));

    let keys: Vec<_> = rows.iter().map(|row| key_of(&schema, row)).collect();
    let versions = truth.tables.delete_many(&schema, &keys).await.unwrap();
    let entries = since(&truth, &mut cursor).await;
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].schema.as_str(), &entries[0].key, entries[0].kind), ("player", &None, LogKind::Delete));
    assert!(versions.iter().all(|version| version.unwrap() <= entries[0].version));
}

/// A write that was refused leaves nothing in the log.
pub async fn a_refused_write_has_no_entry(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let mut cursor = truth.log.end().await.unwrap();
    let batch = [player_row(1), with(&schema, player_row(2), "username", Value::from("user1"))];
    assert_refused(truth.tables.put_many(&schema, &batch).await, ErrorKind::UniqueViolation, &schema, None);
    let batch: Vec<_> =
        (1..=BULK_LOG_LIMIT as i64).chain([1_000_000]).map(player_row).map(|row| with(&schema, row, "level", Value::Null)).collect();
    assert_refused(truth.tables.put_many(&schema, &batch).await, ErrorKind::ConstraintViolation, &schema, Some("level"));
    assert_eq!(since(&truth, &mut cursor).await, []);
}

/// The versions of appended entries are returned in the entries' order, however many there are.
pub async fn appended_entries_have_their_versions_in_order(database: impl TruthDatabase) {
    let truth = open_with(&database, &[]).await;
    let mut cursor = truth.log.end().await.unwrap();
    let entries: Vec<_> = (100..300).map(|key| entry("player", &key.to_string(), Version::default(), LogKind::Invalidate)).collect();
    let versions = truth.log.append(&entries).await.unwrap();
    let expected: Vec<_> = entries.into_iter().zip(versions).map(|(entry, version)| LogEntry { version, ..entry }).collect();
    assert_eq!(since(&truth, &mut cursor).await, expected);
}

/// Invalidations are entries of their own: they draw a version above every earlier one of their key, which is returned, and what was given for it counts
/// nothing.
pub async fn invalidations_are_appended(database: impl TruthDatabase) {
    let schema = player();
    let truth = open_with(&database, &[&schema]).await;
    let stored = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap().remove(0);
    let mut cursor = truth.log.end().await.unwrap();

    let one = entry("player", "1", Version::new(u64::MAX), LogKind::Invalidate);
    let all = LogEntry { schema: "tag:é".into(), key: None, version: Version::default(), kind: LogKind::Invalidate, columns: None };
    let of_tag = entry("player", "region=é:%", Version::default(), LogKind::InvalidateTag);
    let drawn = truth.log.append(std::slice::from_ref(&of_tag)).await.unwrap();
    assert_eq!(since(&truth, &mut cursor).await, [LogEntry { version: drawn[0], ..of_tag }]);
    let first = truth.log.append(&[one.clone(), all.clone()]).await.unwrap();
    assert_eq!(truth.log.append(&[]).await.unwrap(), []);
    let second = truth.log.append(std::slice::from_ref(&one)).await.unwrap();
    assert_eq!((first.len(), second.len()), (2, 1));
    assert!(second[0] > first[0]);

    let entries = since(&truth, &mut cursor).await;
    let of_one: Vec<_> = entries.iter().filter(|entry| entry.key.is_some()).collect();
    let of_all: Vec<_> = entries.iter().filter(|entry| entry.key.is_none()).collect();
    assert_eq!((of_one.len(), of_all.len()), (2, 1));
    for (entry, version) in of_one.into_iter().zip([first[0], second[0]]) {
        assert_eq!(*entry, LogEntry { version, ..one.clone() });
        assert!(version > stored.version && version < Version::new(u64::MAX));
    }
    assert_eq!(*of_all[0], LogEntry { version: first[1], ..all });

    assert_eq!(truth.tables.get_many(&schema, &[vec![1.into()]]).await.unwrap(), [Some(stored)], "the record did not change");
    let newest = entries.iter().map(|entry| entry.version).max().unwrap();
    let again = truth.tables.put_many(&schema, &[player_row(1)]).await.unwrap().remove(0);
    assert!(again.version > newest);
}
