//! Conditions of checks and indexes that no database can read.

use strata::{ErrorKind, Schema};

use super::Truth;

#[derive(Schema)]
#[schema(name = "ledger")]
struct Sound {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", check = "note <> 'größer >'")]
struct Unfinished {
    #[schema(primary_key)]
    id: i64,
    #[schema(check = "amount >")]
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", check = "amount > 0", check = "amnt > 1")]
struct Misspelt {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", index(columns(note), where = "amount = = 1", name = "some_notes"))]
struct Partial {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    #[schema(index(where = "amount > 1"))]
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", index(columns(note), where = "amount >", name = "some_notes"))]
struct Cut {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", index(columns(note), where = "amount > (SELECT 1)", name = "some_notes"))]
struct Asking {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", check = "amount > (SELECT 1)")]
struct AskingCheck {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", index(columns(note), where = "random() > 0.5", name = "some_notes"))]
struct Volatile {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

#[derive(Schema)]
#[schema(name = "ledger", index(columns(note), where = "xmin IS NOT NULL", name = "some_notes"))]
struct OfSystem {
    #[schema(primary_key)]
    id: i64,
    amount: i64,
    note: String,
}

async fn assert_told<T: Schema>(truth: &Truth, condition: &str) {
    let error = truth.builder().await.schema::<T>().build().await.unwrap_err();
    assert_eq!((error.kind(), error.schema()), (ErrorKind::InvalidConfig, Some("ledger")), "{error}");
    let message = error.to_string();
    assert!(message.contains(&format!("{condition} of the table `ledger` is none that the database can read")), "{message}");
    assert!(message.contains("mend the condition in the model"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_condition_is_told_with_its_table_and_its_text() {
    const INDEX: &str = "the condition `amount = = 1` of the index `some_notes`";
    for truth in Truth::both().await {
        assert_told::<Unfinished>(&truth, "the check `amount >`").await;
        assert_told::<Misspelt>(&truth, "the check `amnt > 1`").await;
        assert_told::<Partial>(&truth, INDEX).await;
        assert_told::<AskingCheck>(&truth, "the check `amount > (SELECT 1)`").await;

        truth.builder().await.schema::<Sound>().build().await.unwrap().close().await.unwrap();
        assert_told::<Partial>(&truth, INDEX).await;
        assert_told::<Cut>(&truth, "the condition `amount >` of the index `some_notes`").await;
        assert_told::<Asking>(&truth, "the condition `amount > (SELECT 1)` of the index `some_notes`").await;
        assert_told::<Volatile>(&truth, "the condition `random() > 0.5` of the index `some_notes`").await;
        assert_told::<OfSystem>(&truth, "the condition `xmin IS NOT NULL` of the index `some_notes`").await;
        // SQLite adds no check to a table that is there.
        if matches!(truth, Truth::Postgres(_)) {
            assert_told::<Unfinished>(&truth, "the check `amount >`").await;
            assert_told::<Misspelt>(&truth, "the check `amnt > 1`").await;
        }
    }
}
