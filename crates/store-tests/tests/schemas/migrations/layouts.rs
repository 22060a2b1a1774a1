//! From every layout that a model ever had to the newest.

use std::collections::BTreeSet;

use strata::{Blocking, ErrorKind};

use super::{Database, assert_migrated, expected, filled, first, second, third};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_is_migrated_once() {
    for database in Database::all().await {
        let migrator = database.migrator::<third::Hero>().await;
        let plan = migrator.plan().await.unwrap();
        assert!(plan.steps.iter().all(|step| step.blocking == Blocking::Nobody), "{plan}");
        assert!(plan.to_string().contains("CREATE TABLE IF NOT EXISTS \"hero\""), "{plan}");
        assert!(migrator.status().await.unwrap().is_empty());
        if let Database::Sqlite(directory) = &database {
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "a plan makes no file");
        }

        let report = migrator.migrate().await.unwrap();
        assert_eq!(report.applied.len(), plan.steps.len());
        assert!(migrator.migrate().await.unwrap().is_empty());
        assert_eq!(migrator.plan().await.unwrap().to_string(), "nothing to do");
        assert_eq!(migrator.status().await.unwrap(), report.applied);
        migrator.close().await.unwrap();
        assert_migrated(&database, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_layout_becomes_the_newest_with_its_rows() {
    for database in Database::all().await {
        // The program of the first layout goes on while the others migrate.
        let old = filled(&database).await;
        let middle = database.migrator::<second::Hero>().await;
        assert!(!middle.migrate().await.unwrap().is_empty());
        assert!(middle.migrate().await.unwrap().is_empty());

        let newest = database.migrator::<third::Hero>().await;
        let plan = newest.plan().await.unwrap();
        let what: Vec<_> = plan.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "add the column `region`",
                "add the column `active`",
                "add the column `title`",
                "make the unique index `hero_name_key`",
                "make the index `hero_region_level_idx`"
            ]
        );
        // Of an earlier layout, and of the same type as a new one.
        assert!(plan.drift.iter().any(|drift| drift.column.as_deref() == Some("note") && !drift.is_refused), "{plan}");
        assert!(plan.to_string().contains(r#"UPDATE "hero" SET "title" = "note""#), "{plan}");

        let report = newest.migrate().await.unwrap();
        assert_eq!(report.applied.len(), what.len());
        assert_eq!(report.drift, plan.drift);
        assert!(newest.migrate().await.unwrap().is_empty());
        let plan = newest.plan().await.unwrap();
        assert!(plan.is_empty() && plan.to_string().starts_with("nothing to do\n-- "), "{plan}");

        old.collection().unwrap().set(first(4)).await.unwrap();
        old.close().await.unwrap();
        middle.close().await.unwrap();
        newest.close().await.unwrap();
        assert_migrated(&database, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_run_by_hand_leaves_nothing_to_do() {
    for database in Database::all().await {
        filled(&database).await.close().await.unwrap();
        let migrator = database.migrator::<third::Hero>().await;
        database.run(&migrator.plan().await.unwrap().to_string()).await;
        assert_eq!(migrator.plan().await.unwrap().to_string(), "nothing to do");
        migrator.close().await.unwrap();
        assert_migrated(&database, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_migrate_at_once_and_each_step_is_done_once() {
    for database in Database::all().await {
        filled(&database).await.close().await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let migrator = database.migrator::<third::Hero>().await;
            tasks.push(tokio::spawn(async move {
                let report = migrator.migrate().await;
                migrator.close().await.unwrap();
                report
            }));
        }
        let mut done = Vec::new();
        for task in tasks {
            done.extend(task.await.unwrap().unwrap().applied.into_iter().map(|record| record.what));
        }
        assert_eq!(done.len(), done.iter().collect::<BTreeSet<_>>().len(), "{done:?}");
        assert_eq!(done.len(), 6);
        assert_migrated(&database, 3).await;
    }
}

mod needing {
    #[derive(Debug, PartialEq, strata::Schema)]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
        pub(super) weapon: String,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_needs_a_value_is_added_where_there_are_no_rows() {
    for database in Database::all().await {
        filled(&database).await.close().await.unwrap();
        let migrator = database.migrator::<needing::Hero>().await;
        let error = migrator.migrate().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.column(), error.operation()),
            (ErrorKind::SchemaMismatch, Some("weapon"), Some("migrate")),
            "{error}"
        );
        assert!(error.to_string().contains("#[schema(default = …)]") && error.to_string().contains("ADD COLUMN \"weapon\""), "{error}");
        let plan = migrator.plan().await.unwrap();
        assert!(plan.is_refused() && !plan.is_empty() && plan.steps.is_empty(), "{plan}");
        assert!(plan.to_string().starts_with("-- refused: hero: "), "{plan}");

        database.run("DELETE FROM hero").await;
        assert_eq!(migrator.migrate().await.unwrap().applied[0].what, "add the column `weapon`");
        migrator.close().await.unwrap();
        let store = database.store::<needing::Hero>().await;
        store.collection().unwrap().set(needing::Hero { id: 1, name: "a".into(), weapon: "axe".into() }).await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_break_a_unique_index_are_told_by_their_keys() {
    for database in Database::all().await {
        let store = filled(&database).await;
        store.collection().unwrap().set(first::Hero { id: 9, name: "hero 2".into() }).await.unwrap();
        store.close().await.unwrap();
        let migrator = database.migrator::<third::Hero>().await;
        let error = migrator.migrate().await.unwrap_err();
        assert_eq!((error.kind(), error.column(), error.key()), (ErrorKind::SchemaMismatch, Some("name"), Some("2")), "{error}");
        assert!(error.to_string().contains("`2` and `9`") && !error.to_string().contains("hero 2"), "{error}");
        let left: Vec<String> = migrator.plan().await.unwrap().steps.into_iter().map(|step| step.what).collect();
        assert_eq!(left, ["make the unique index `hero_name_key`", "make the index `hero_region_level_idx`"], "the steps in front stay");
        database.run("DELETE FROM hero WHERE id = 9").await;
        migrator.migrate().await.unwrap();
        migrator.close().await.unwrap();
        assert_migrated(&database, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_may_make_nothing_migrates_when_it_is_told_to() {
    for database in Database::all().await {
        filled(&database).await.close().await.unwrap();
        let builder = async || database.builder().await.schema::<third::Hero>().configure(|settings| settings.create_tables = false);
        let error = builder().await.build().await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::SchemaMismatch, Some("build")), "{error}");
        let migrator = builder().await.migrator().unwrap();
        migrator.migrate().await.unwrap();
        migrator.close().await.unwrap();
        let store = builder().await.build().await.unwrap();
        assert_eq!(*store.collection::<third::Hero>().unwrap().get(1).await.unwrap().unwrap(), expected(1));
        assert!(store.plan().await.unwrap().is_empty() && store.migrate().await.unwrap().is_empty());
        assert!(!store.migration_status().await.unwrap().is_empty());
        store.close().await.unwrap();
        assert_eq!(store.migrate().await.unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_model_no_longer_has_is_told_of() {
    for database in Database::all().await {
        filled(&database).await.close().await.unwrap();
        let third = database.migrator::<third::Hero>().await;
        third.migrate().await.unwrap();
        third.close().await.unwrap();
        let (nullable, columns) = match database {
            Database::Sqlite(_) => ("TEXT", "INTEGER"),
            Database::Postgres(_) => ("TEXT", "BIGINT"),
        };
        database
            .run(&format!("CREATE TABLE loose (id {columns} NOT NULL PRIMARY KEY, name {nullable}, _version {columns} NOT NULL DEFAULT 0)"))
            .await;
        let migrator = database.builder().await.schema::<first::Hero>().schema::<Loose>().migrator().unwrap();
        let plan = migrator.plan().await.unwrap();
        let told = |part: &str| plan.drift.iter().any(|drift| !drift.is_refused && drift.what.contains(part));
        assert!(told("the unique index `hero_name_key`, which the model lacks"), "{plan}");
        assert!(told("the column `name` may be NULL where the model's may not"), "{plan}");
        migrator.close().await.unwrap();
    }
}

#[derive(strata::Schema)]
struct Loose {
    #[schema(primary_key)]
    id: i64,
    name: String,
}

mod sealed {
    #[derive(strata::Schema)]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(encrypted, unique)]
        pub(super) email: Option<String>,
        #[schema(encrypted)]
        pub(super) level: Option<i64>,
    }
}

mod moved {
    #[derive(strata::Schema)]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(encrypted, unique)]
        pub(super) mail: Option<String>,
        pub(super) picture: Option<Vec<u8>>,
    }
}

mod opened {
    #[derive(strata::Schema)]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        pub(super) email: Option<String>,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_is_advised_for_what_is_encrypted() {
    for database in Database::all().await {
        let first = database.migrator::<sealed::Hero>().await;
        first.migrate().await.unwrap();
        first.close().await.unwrap();
        let migrator = database.migrator::<moved::Hero>().await;
        let plan = migrator.plan().await.unwrap().to_string();
        migrator.close().await.unwrap();
        assert!(plan.contains("set the new one, an `Option`, through the store"), "{plan}");
        for spoiling in [r#"SET "mail""#, r#"= "email_blind""#, r#"SET "mail_blind""#] {
            assert!(!plan.contains(spoiling), "{plan}");
        }
        assert!(
            plan.contains(r#"and never was encrypted, its values stay there until you run: UPDATE "hero" SET "picture" = "level""#),
            "{plan}"
        );

        let key = || strata::EncryptionKey::generate().unwrap();
        let store = database.builder().await.schema::<moved::Hero>().configure(|settings| settings.create_tables = false);
        let store = store.encryption(strata::KeyRing::new(1, key()).with_index_key(key()));
        let refused = store.build().await.unwrap_err().to_string();
        assert!(refused.contains("through the store") && !refused.contains("RENAME"), "{refused}");

        let migrator = database.migrator::<opened::Hero>().await;
        let refused = migrator.migrate().await.unwrap_err().to_string();
        migrator.close().await.unwrap();
        assert!(
            refused.contains("if its field was encrypted, nobody but the store can read it") && !refused.contains("USING"),
            "{refused}"
        );
    }
}
