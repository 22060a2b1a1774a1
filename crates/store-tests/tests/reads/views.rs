//! Fields that not every tier holds.

use strata::{Deferred, ErrorKind, Query, Role};

use store_tests::models::{Account, account};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    every_tier_shows_what_it_holds_and_a_plain_read_what_all_hold,
    a_cached_record_written_back_blanks_nothing,
    what_is_not_loaded_takes_its_default_on_insert,
    searches_show_what_their_tier_holds,
    a_cursor_refuses_an_order_by_what_was_not_loaded,
]);

/// What memory holds of an account.
fn near(account: Account) -> Account {
    Account { password: Deferred::NotLoaded, notes: Deferred::NotLoaded, quota: Deferred::NotLoaded, ..account }
}

/// What the shared tier holds of it.
fn shared(account: Account) -> Account {
    Account { password: Deferred::NotLoaded, ..account }
}

async fn every_tier_shows_what_it_holds_and_a_plain_read_what_all_hold(bench: &Bench) {
    let accounts = bench.of::<Account>();
    let stored = accounts.set(account(1)).await.unwrap();
    assert_eq!(**stored.model(), account(1), "a write answers all that the truth holds");
    let in_every_order = async || {
        assert_eq!(*accounts.get(1).await.unwrap().unwrap(), near(account(1)));
        assert_eq!(accounts.get_many([1]).await.unwrap()[0].as_deref(), Some(&near(account(1))));
        // A store without a shared tier answers in its place from the truth, and shows the same.
        assert_eq!(*accounts.from(Role::Shared).get(1).await.unwrap().unwrap().into_model(), shared(account(1)));
        assert_eq!(**accounts.from(Role::Shared).get_many([1]).await.unwrap()[0].as_ref().unwrap().model(), shared(account(1)));
        assert_eq!(*accounts.from(Role::Truth).get(1).await.unwrap().unwrap().into_model(), account(1));
        assert_eq!(**accounts.from(Role::Truth).get_many([1]).await.unwrap()[0].as_ref().unwrap().model(), account(1));
        assert_eq!(*accounts.get(1).await.unwrap().unwrap(), near(account(1)), "a lower read changes nothing");
    };
    in_every_order().await;
    accounts.invalidate(1).await.unwrap();
    in_every_order().await;
    accounts.invalidate_all().await.unwrap();
    accounts.from(Role::Shared).get(1).await.unwrap();
    in_every_order().await;
}

async fn a_cached_record_written_back_blanks_nothing(bench: &Bench) {
    let accounts = bench.of::<Account>();
    accounts.set(account(1)).await.unwrap();
    let from_memory = Account { name: "renamed".to_owned(), ..(*accounts.get(1).await.unwrap().unwrap()).clone() };
    assert!(!from_memory.password.is_loaded());
    let stored = accounts.set(from_memory).await.unwrap();
    let renamed = Account { name: "renamed".to_owned(), ..account(1) };
    assert_eq!(**stored.model(), renamed, "the truth answers what it kept");
    let from_shared = (**accounts.from(Role::Shared).get(1).await.unwrap().unwrap().model()).clone();
    assert_eq!(from_shared, shared(renamed.clone()));
    accounts.set_many([from_shared]).await.unwrap();
    assert_eq!(**accounts.from(Role::Truth).get(1).await.unwrap().unwrap().model(), renamed);

    // What is loaded is written, NULL included.
    let changed = Account { password: Deferred::Loaded("new".to_owned()), notes: Deferred::Loaded(None), ..near(renamed) };
    accounts.set(changed).await.unwrap();
    let truth = accounts.from(Role::Truth).get(1).await.unwrap().unwrap();
    assert_eq!((truth.password.loaded().map(String::as_str), &truth.notes), (Some("new"), &Deferred::Loaded(None)));
    assert_eq!(truth.quota, Deferred::Loaded(3));
    let shared = accounts.from(Role::Shared).get(1).await.unwrap().unwrap();
    assert_eq!(shared.notes, Deferred::Loaded(None));
}

async fn what_is_not_loaded_takes_its_default_on_insert(bench: &Bench) {
    let accounts = bench.of::<Account>();
    let with_password = Account { password: Deferred::Loaded("p".to_owned()), ..near(account(1)) };
    let stored = accounts.set(with_password).await.unwrap();
    assert_eq!((&stored.notes, &stored.quota), (&Deferred::Loaded(None), &Deferred::Loaded(7)));

    let error = accounts.set(near(account(2))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConstraintViolation, "{error}");
    assert_eq!(error.column(), Some("password"));
    assert!(!accounts.exists(2).await.unwrap());
}

async fn searches_show_what_their_tier_holds(bench: &Bench) {
    let accounts = bench.of::<Account>();
    accounts.set_many([account(1), account(2)]).await.unwrap();
    let query = || Query::new().filter(Account::id().eq(2));
    assert_eq!(*accounts.search(query()).await.unwrap()[0], near(account(2)));
    assert_eq!(**accounts.from(Role::Shared).search(query()).await.unwrap()[0].model(), shared(account(2)));
    assert_eq!(**accounts.from(Role::Truth).search(query()).await.unwrap()[0].model(), account(2));
    // The truth can search and project what it does not show.
    let by_password = Query::new().where_sql("password = $1", strata::params!["secret-1"]);
    assert_eq!(*accounts.search(by_password).await.unwrap()[0], near(account(1)));
    assert_eq!(accounts.select(query(), (Account::password(), Account::quota())).await.unwrap(), [("secret-2".to_owned(), 3)]);
}

async fn a_cursor_refuses_an_order_by_what_was_not_loaded(bench: &Bench) {
    let accounts = bench.of::<Account>();
    accounts.set_many([account(1), account(2)]).await.unwrap();
    let error = accounts.page(Query::new().order_by("quota").limit(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{error}");
    assert_eq!((error.column(), error.operation()), (Some("quota"), Some("page")));
    assert_eq!(accounts.search(Query::new().order_by("quota").desc()).await.unwrap().len(), 2, "a search needs no cursor");
}
