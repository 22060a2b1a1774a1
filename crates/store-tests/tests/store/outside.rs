//! Rows that another program wrote.

use futures_util::TryStreamExt;
use strata::mem::MemTier;
use strata::{Error, ErrorKind, Query, Role, Store};

use store_tests::models::{Membership, Player, player};
use store_tests::stacks::postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_the_model_cannot_hold_is_named_by_its_column() {
    let (database, tier) = postgres::open().await;
    let store = Store::builder().near(MemTier::new()).tier(tier).schema::<Player>().schema::<Membership>().build().await.unwrap();
    let (players, memberships) = (store.collection::<Player>().unwrap(), store.collection::<Membership>().unwrap());
    players.set(player("a", 1)).await.unwrap();
    memberships.set(Membership { club: "c".to_owned(), person: "p".to_owned(), since: 1 }).await.unwrap();
    database.run("UPDATE player SET tags = '{\"hunter2\": 1}'; UPDATE membership SET since = 1099511627776").await;
    players.invalidate_all().await.unwrap();
    memberships.invalidate_all().await.unwrap();
    let check = |error: Error, schema, column, key| {
        assert_eq!((error.kind(), error.schema(), error.column()), (ErrorKind::DecodeFailed, Some(schema), Some(column)), "{error}");
        assert_eq!(error.key(), key, "{error}");
        assert!(!error.is_retryable() && !format!("{error:?}").contains("hunter2"), "{error:?}");
    };
    check(players.get("a").await.unwrap_err(), "player", "tags", Some("a"));
    check(players.get_many(["b", "a"]).await.unwrap_err(), "player", "tags", Some("a"));
    check(players.from(Role::Truth).get_many(["b", "a"]).await.unwrap_err(), "player", "tags", Some("a"));
    check(players.search(Query::new()).await.unwrap_err(), "player", "tags", Some("a"));
    check(players.stream(Query::new()).unwrap().try_next().await.unwrap_err(), "player", "tags", Some("a"));
    check(players.select(Query::new(), Player::tags()).await.unwrap_err(), "player", "tags", None);
    check(memberships.get(("c", "p")).await.unwrap_err(), "membership", "since", Some("c:p"));
    check(memberships.search(Query::new()).await.unwrap_err(), "membership", "since", Some("c:p"));
    // What does not read the column, and what mends the row, works.
    assert!(players.exists("a").await.unwrap());
    assert_eq!(players.select(Query::new(), Player::level()).await.unwrap(), [1]);
    players.set(player("a", 2)).await.unwrap();
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_a_key_is_found_and_not_cached() {
    let (database, tier) = postgres::open().await;
    let store = Store::builder().near(MemTier::new()).tier(tier).schema::<Membership>().build().await.unwrap();
    let memberships = store.collection::<Membership>().unwrap();
    memberships.set(Membership { club: "c".to_owned(), person: "p".to_owned(), since: 1 }).await.unwrap();
    database.run("INSERT INTO membership (club, person, since) VALUES ('', 'x', 2), ('c', '', 3)").await;
    memberships.invalidate_all().await.unwrap();
    assert_eq!(memberships.warm(None).await.unwrap(), 1);
    assert_eq!(store.stats().l1_entries, 1);
    assert_eq!(memberships.search(Query::new()).await.unwrap().len(), 3);
    assert_eq!(memberships.get(("", "x")).await.unwrap_err().kind(), ErrorKind::MissingPrimaryKey);
    assert_eq!(memberships.delete(("c", "")).await.unwrap_err().kind(), ErrorKind::MissingPrimaryKey);
}
