//! SQL files that act for others than the user of the URL.

use store_core::facet::Migrations;
use store_core::{MigrationFile, MigrationSettings};

use crate::database::Database;
use crate::table::account;

/// Strata's own tables are written for the user of the URL, and the file's statements go on for whom the file has chosen.
#[tokio::test]
async fn a_file_may_act_for_another_role() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let client = database.client().await;
    let settings = MigrationSettings::default();
    let role = format!("r_{}", database.name());
    let own: String = client.query_one("SELECT current_user::TEXT", &[]).await.unwrap().get(0);
    client.batch_execute(&format!("CREATE ROLE {role}; CREATE SCHEMA theirs AUTHORIZATION {role}")).await.unwrap();
    let mut files = Vec::new();
    let outside = "-- strata: no transaction\n";
    let starts = [
        ("", format!("SET ROLE {role}")),
        ("", format!("SET LOCAL ROLE {role}")),
        ("", format!("SET SESSION AUTHORIZATION {role}")),
        (outside, format!("SET ROLE {role}")),
        (outside, format!("SET SESSION AUTHORIZATION {role}")),
        (outside, format!("SET SESSION AUTHORIZATION {role}; SET ROLE {role}")),
    ];
    for (number, (head, start)) in starts.iter().enumerate() {
        let sql = format!("{head}{start}; CREATE TABLE theirs.a{number} (id INT); CREATE TABLE theirs.b{number} (id INT);");
        files.push(MigrationFile::new(&format!("{number}_theirs.sql"), &sql).unwrap());
        tier.migrate_files(&files, &[account()], &settings).await.unwrap_or_else(|error| panic!("{head}{start}: {error}"));
        let sql = format!("{head}CREATE TABLE own{number} (id INT)");
        files.push(MigrationFile::new(&format!("{}_own.sql", number + 100), &sql).unwrap());
    }
    tier.migrate_files(&files, &[account()], &settings).await.unwrap();
    const OWNERS: &str = "SELECT count(*) FILTER (WHERE schemaname = 'theirs' AND tableowner = $1::TEXT), \
        count(*) FILTER (WHERE schemaname = 'public' AND tableowner = $2::TEXT AND tablename LIKE 'own%'), \
        bool_and(tableowner = $2::TEXT) FILTER (WHERE tablename LIKE '\\_strata%') FROM pg_tables";
    let owners = client.query_one(OWNERS, &[&role, &own]).await.unwrap();
    assert_eq!((owners.get(0), owners.get(1), owners.get(2)), (12_i64, 6_i64, true));

    // A statement that fails is marked for the user of the URL too, whomever the file acts for.
    files.push(MigrationFile::new("200_fails.sql", &format!("{outside}SET ROLE {role}; CREATE TABLE theirs.a0 (id INT)")).unwrap());
    let error = tier.migrate_files(&files, &[account()], &settings).await.unwrap_err();
    assert!(error.to_string().contains("statement 2 of `200_fails.sql` failed"), "{error}");
    let marks: Vec<_> = tier.migration_records().await.unwrap().into_iter().filter_map(|record| record.dirty).collect();
    assert!(marks.len() == 1 && marks[0].error.contains("already exists"), "{marks:?}");
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}
