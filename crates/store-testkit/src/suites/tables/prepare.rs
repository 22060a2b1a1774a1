//! Making tables.

use std::sync::Arc;

use store_core::facet::{Count, Select, Tables};
use store_core::{BoundSchema, ErrorKind, Filter, MigrationSettings, Value};

use super::schemas::{key_of, player, player_before, player_retyped, player_row, player_widened, score, score_row, specimen, with, word};
use super::select::rows;
use crate::suites::truth::{TruthDatabase, assert_refused, open, open_with};

/// Preparing again changes nothing, and rows stay.
pub async fn preparing_again_changes_nothing(database: impl TruthDatabase) {
    let schemas = [player(), score(), specimen()];
    let truth = open_with(&database, &schemas.each_ref()).await;
    let row = player_row(1);
    let stored = truth.tables.put_many(&schemas[0], std::slice::from_ref(&row)).await.unwrap();
    truth.migrations.migrate(&schemas, &MigrationSettings::default()).await.unwrap();
    let again = open_with(&database, &schemas.each_ref()).await;
    assert_eq!(again.tables.get_many(&schemas[0], &[key_of(&schemas[0], &row)]).await.unwrap(), vec![Some(stored[0].clone())]);
}

/// Preparing nothing makes Strata's own tables, so that the log can be read.
pub async fn preparing_without_schemas_makes_the_log(database: impl TruthDatabase) {
    let truth = open(&database).await;
    truth.migrations.migrate(&[], &MigrationSettings::default()).await.unwrap();
    let end = truth.log.end().await.unwrap();
    assert!(truth.log.read(&end).await.unwrap().entries.is_empty());
}

/// Several tiers may prepare an empty database at once.
pub async fn several_tiers_prepare_at_once(database: impl TruthDatabase) {
    let tiers = [open(&database).await, open(&database).await, open(&database).await];
    let tasks: Vec<_> = tiers
        .iter()
        .flat_map(|truth| [Arc::clone(&truth.migrations), Arc::clone(&truth.migrations)])
        .map(|migrations| {
            tokio::spawn(async move { migrations.migrate(&[player(), score(), specimen(), word()], &MigrationSettings::default()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    tiers[2].tables.put_many(&score(), &[score_row("ada", 1, 10)]).await.unwrap();
}

/// "It makes nothing itself": the names are what `migrate` would make, Strata's own among them.
pub async fn missing_tables_are_named_and_not_made(database: impl TruthDatabase) {
    let truth = open(&database).await;
    let schemas = [player(), score()];
    let before = truth.migrations.missing_tables(&schemas).await.unwrap();
    assert!(before.contains(&"_strata_log".to_owned()), "{before:?}");
    assert_eq!(before[before.len() - 2..], ["player", "score"]);
    assert_eq!(truth.migrations.missing_tables(&schemas).await.unwrap(), before);
    truth.migrations.migrate(&[score()], &MigrationSettings::default()).await.unwrap();
    assert_eq!(truth.migrations.missing_tables(&schemas).await.unwrap(), ["player"]);
    assert!(truth.migrations.missing_tables(&[]).await.unwrap().is_empty());
}

async fn refused(database: &impl TruthDatabase, wanted: Arc<BoundSchema>, column: &str) {
    let truth = open(database).await;
    let error = assert_refused(
        truth.migrations.migrate(&[Arc::clone(&wanted)], &MigrationSettings::default()).await,
        ErrorKind::SchemaMismatch,
        &wanted,
        Some(column),
    );
    let message = error.to_string();
    assert!(message.contains("ALTER TABLE"), "the error names the statement that mends the table: {message}");
    assert!(message.contains(column), "{message}");
}

async fn holds(tables: &Arc<dyn Tables>, schema: &BoundSchema, rows: u64) {
    assert_eq!(tables.count(schema, Count::default()).await.unwrap(), rows);
}

/// A table that lacks a column is refused with the statement that adds it, and is left as it is.
pub async fn a_table_that_lacks_a_column_is_refused(database: impl TruthDatabase) {
    let before = player_before();
    let truth = open_with(&database, &[&before]).await;
    let old_row = player_row(1)[..6].to_vec();
    truth.tables.put_many(&before, std::slice::from_ref(&old_row)).await.unwrap();

    refused(&database, player(), "created_at").await;

    truth.tables.put_many(&before, &[player_row(2)[..6].to_vec()]).await.unwrap();
    holds(&truth.tables, &before, 2).await;
}

/// A table that has a column of another type is refused with a statement, and is left as it is.
pub async fn a_table_with_a_column_of_another_type_is_refused(database: impl TruthDatabase) {
    let before = player_retyped();
    let truth = open_with(&database, &[&before]).await;
    let row = with(&before, player_row(1), "level", Value::from("one"));
    let stored = truth.tables.put_many(&before, std::slice::from_ref(&row)).await.unwrap();

    refused(&database, player(), "level").await;

    assert_eq!(truth.tables.get_many(&before, &[key_of(&before, &row)]).await.unwrap(), vec![Some(stored[0].clone())]);
}

/// A table with columns beyond the model's is accepted if an insert may leave them out.
pub async fn a_table_with_more_columns_is_accepted(database: impl TruthDatabase) {
    let (wide, narrow) = (player_widened(), player_before());
    let truth = open_with(&database, &[&wide]).await;
    let mut row = player_row(1)[..6].to_vec();
    row.extend([Value::from("kept"), 7.into()]);
    let stored = truth.tables.put_many(&wide, std::slice::from_ref(&row)).await.unwrap();
    truth.migrations.migrate(&[Arc::clone(&narrow)], &MigrationSettings::default()).await.unwrap();
    let seen = truth.tables.get_many(&narrow, &[vec![1.into()]]).await.unwrap();
    let seen = seen[0].as_ref().unwrap();
    assert_eq!(seen.row[..], stored[0].row[..6]);
    assert_eq!(seen.version, stored[0].version);
    truth.tables.put_many(&narrow, &[player_row(2)[..6].to_vec()]).await.unwrap();
    holds(&truth.tables, &narrow, 2).await;
}

/// A table with a column that the model lacks and every insert must fill is refused with the statement that drops it.
pub async fn a_table_with_a_column_that_nobody_fills_is_refused(database: impl TruthDatabase) {
    let truth = open_with(&database, &[&player()]).await;
    truth.tables.put_many(&player(), &[player_row(1)]).await.unwrap();

    refused(&database, player_before(), "created_at").await;

    holds(&truth.tables, &player(), 1).await;
}

/// Names that are SQL's own words, or hold quotes and spaces, are names like others.
pub async fn names_need_no_care(database: impl TruthDatabase) {
    let schema = store_core::BoundSchema::standalone(word().definition()).with_names("a \"quoted\"; table", "word");
    let schema = Arc::new(schema);
    let truth = open_with(&database, &[&schema]).await;
    let row = vec![Value::from("from"), 1.into(), Value::from("by")];
    let stored = truth.tables.put_many(&schema, std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(stored[0].row, row);
    let changed = truth.tables.put_many(&schema, &[with(&schema, row, "order", 2.into())]).await.unwrap();
    assert_eq!(changed[0].row[1], Value::Integer(2));
    assert_eq!(truth.tables.exists_many(&schema, &[vec![Value::from("from")]]).await.unwrap(), [true]);
    holds(&truth.tables, &schema, 1).await;
    assert!(truth.tables.delete_many(&schema, &[vec![Value::from("from")]]).await.unwrap()[0].is_some());
}

/// Calls on a table that lacks columns of the model fail as a mismatch, queries with conditions in SQL among them.
pub async fn a_missing_column_is_a_mismatch(database: impl TruthDatabase) {
    let truth = open_with(&database, &[&player_before()]).await;
    let schema = player();
    assert_refused(truth.tables.put_many(&schema, &[player_row(1)]).await, ErrorKind::SchemaMismatch, &schema, None);
    assert_refused(truth.tables.get_many(&schema, &[vec![1.into()]]).await, ErrorKind::SchemaMismatch, &schema, None);
    let raw = |sql: &str| Filter::Raw { sql: sql.into(), params: vec![] };
    let lost = Filter::IsNull { column: "created_at".into() };
    for filter in [lost, raw("created_at IS NULL"), raw("player.created_at IS NULL")] {
        let count = Count { filter: Some(filter), ..Count::default() };
        assert_refused(truth.tables.count(&schema, count).await, ErrorKind::SchemaMismatch, &schema, None);
    }
    let every_column = Select { filter: Some(raw("level > 0")), ..Select::default() };
    assert_refused(rows(&truth.tables, &schema, every_column).await, ErrorKind::SchemaMismatch, &schema, None);
}

/// Calls on a table that nobody made fail as a mismatch and name the schema.
pub async fn a_missing_table_is_a_mismatch(database: impl TruthDatabase) {
    let truth = open(&database).await;
    truth.migrations.migrate(&[], &MigrationSettings::default()).await.unwrap();
    let schema = player();
    let key = vec![1.into()];
    assert_refused(truth.tables.put_many(&schema, &[player_row(1)]).await, ErrorKind::SchemaMismatch, &schema, None);
    assert_refused(truth.tables.get_many(&schema, std::slice::from_ref(&key)).await, ErrorKind::SchemaMismatch, &schema, None);
    assert_refused(truth.tables.exists_many(&schema, std::slice::from_ref(&key)).await, ErrorKind::SchemaMismatch, &schema, None);
    assert_refused(truth.tables.delete_many(&schema, &[key]).await, ErrorKind::SchemaMismatch, &schema, None);
    assert_refused(truth.tables.count(&schema, Count::default()).await, ErrorKind::SchemaMismatch, &schema, None);
}
