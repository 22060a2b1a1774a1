//! Keys that no table can hold.

use store_log::{Log, LogConfig};
use strata::{Error, ErrorKind, Schema};

use super::{Bench, on_truths, players, truth};
use store_tests::models::{Membership, Player, player};

#[derive(Debug, Clone, PartialEq, Schema)]
struct Wide {
    #[schema(primary_key)]
    id: u64,
    number: i64,
}

async fn a_key_that_no_table_holds_is_refused_before_it_is_pending(bench: &Bench) {
    let (store, _) = bench.open_with("a", |builder| builder.schema::<Membership>().schema::<Wide>()).await;
    let (found, memberships, wide) = (players(&store), store.collection::<Membership>().unwrap(), store.collection::<Wide>().unwrap());
    let membership = || Membership { club: "chess".into(), person: "a\0".into(), since: 1 };
    let import = found.import([player("b", 1), player("a\0", 1)]).run().await.unwrap_err();
    let refused: [(Error, &str); 10] = [
        (found.set(player("a\0", 1)).await.unwrap_err(), "id"),
        (found.set_many([player("b", 1), player("a\0", 1)]).await.unwrap_err(), "id"),
        (found.delete("a\0").await.unwrap_err(), "id"),
        (found.delete_many(["b", "a\0"]).await.unwrap_err(), "id"),
        (found.insert_only(player("a\0", 1)).await.unwrap_err(), "id"),
        (found.patch("a\0", Player::level().set(2)).await.unwrap_err(), "id"),
        (import.into(), "id"),
        (store.transaction(async |tx| tx.set(player("a\0", 1)).await.map(drop)).await.unwrap_err(), "id"),
        (memberships.set(membership()).await.unwrap_err(), "person"),
        (memberships.delete(&membership().key()).await.unwrap_err(), "person"),
    ];
    for (error, column) in refused {
        assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some(column)), "{error}");
        assert!(error.key().is_some_and(|key| key.ends_with("a%00")), "{error}");
    }
    let error = wide.delete(u64::MAX).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::InvalidValue, Some("18446744073709551615")), "{error}");
    assert_eq!(store.stats().dirty_entries, 0);

    found.set(player("other", 1)).await.unwrap();
    store.close().await.unwrap();
    let next = bench.open("a").await;
    assert_eq!((truth(&next, "other").await, truth(&next, "b").await), (Some(1), None));
    assert!(next.dead_letters().list(None, 10).await.unwrap().is_empty());
}

/// Builds that took such a key have left it to those that do not.
async fn a_journal_s_key_that_no_table_holds_becomes_a_dead_letter(bench: &Bench) {
    bench.open("a").await.close().await.unwrap();
    let log = Log::open(bench.journals.path().join("a"), LogConfig::default()).unwrap();
    // The deletion of a player, byte by byte: nothing known, no tags, no columns.
    log.append(b"\x01\x06player\x04a%00\x00\x00\x00").wait().unwrap();
    log.close().unwrap();

    let store = bench.open("a").await;
    players(&store).set(player("other", 1)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((truth(&store, "other").await, store.stats().dirty_entries), (Some(1), 0));
    let letters = store.dead_letters().of::<Player>().list(None, 10).await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert!(letter.key == "a%00" && letter.error.contains("NUL"), "{letter:?}");
    assert_eq!(store.dead_letters().retry(letter).await.unwrap_err().kind(), ErrorKind::InvalidValue);
    assert!(store.dead_letters().remove(letter).await.unwrap());
    store.close().await.unwrap();
}

on_truths![a_key_that_no_table_holds_is_refused_before_it_is_pending, a_journal_s_key_that_no_table_holds_becomes_a_dead_letter];
