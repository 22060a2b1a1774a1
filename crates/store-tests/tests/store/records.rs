//! Reading and writing single records, on every stack.

use std::time::{SystemTime, UNIX_EPOCH};

use strata::{ErrorKind, Query, Role, Version};
use uuid::Uuid;

use store_tests::models::{Document, Membership, Player, document, moment, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench};

on_stacks!(everywhere: [
    a_record_is_read_as_the_truth_returned_it,
    what_is_missing_is_no_error,
    an_update_keeps_the_time_of_the_insert_and_raises_the_version,
    time_is_kept_to_the_microsecond,
    nested_values_travel_whole_through_every_tier,
    what_the_truth_made_of_a_value_is_what_every_tier_shows,
    odd_values_are_kept_exactly_or_refused,
    what_a_column_cannot_hold_is_refused_and_nothing_is_written,
    an_empty_key_is_refused_by_every_call,
    keys_that_differ_only_in_where_a_colon_stands_are_two,
    a_peek_sees_memory_alone,
]);

/// The moment before the test began, as precise as tiers hold it.
fn just_now() -> SystemTime {
    UNIX_EPOCH
        + std::time::Duration::from_micros(SystemTime::now().duration_since(UNIX_EPOCH).expect("we are past 1970").as_micros() as u64)
}

async fn a_record_is_read_as_the_truth_returned_it(bench: &Bench) {
    let players = bench.players();
    let before = just_now();
    let stored = players.set(player("a", 7)).await.unwrap();
    assert!(stored.version() > Version::default());
    assert!(stored.created_at >= before && stored.created_at <= SystemTime::now());
    assert_eq!(stored.created_at, stored.updated_at);
    assert_eq!(**stored.model(), Player { created_at: stored.created_at, updated_at: stored.updated_at, ..player("a", 7) });

    assert_eq!(players.get("a").await.unwrap().as_ref(), Some(stored.model()));
    assert_eq!(players.get_or_err("a").await.unwrap(), *stored.model());
    assert!(players.exists("a").await.unwrap());
    for role in [Role::Near, Role::Shared, Role::Truth] {
        let found = players.from(role).get("a").await.unwrap().unwrap_or_else(|| panic!("{role} lacks it"));
        assert_eq!((found.model(), found.version()), (stored.model(), stored.version()), "{role}");
    }
    players.invalidate("a").await.unwrap();
    let again = players.get_record("a").await.unwrap().unwrap();
    assert_eq!((again.model(), again.version()), (stored.model(), stored.version()));

    assert!(players.delete("a").await.unwrap());
    assert_eq!(players.get("a").await.unwrap(), None);
    assert!(!players.exists("a").await.unwrap());
    let restored = players.set(player("a", 1)).await.unwrap();
    assert!(restored.version() > stored.version(), "versions rise over deletions");
}

async fn what_is_missing_is_no_error(bench: &Bench) {
    let players = bench.players();
    assert_eq!(players.get("a").await.unwrap(), None);
    assert!(players.get_record("a").await.unwrap().is_none());
    assert_eq!(players.peek("a"), None);
    assert!(!players.exists("a").await.unwrap());
    assert!(!players.delete("a").await.unwrap());
    players.invalidate("a").await.unwrap();
    for role in [Role::Near, Role::Shared, Role::Truth] {
        assert!(players.from(role).get("a").await.unwrap().is_none());
    }
    let error = players.get_or_err("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!((error.schema(), error.key(), error.operation()), (Some("player"), Some("a"), Some("get_or_err")));
}

async fn an_update_keeps_the_time_of_the_insert_and_raises_the_version(bench: &Bench) {
    let players = bench.players();
    let first = players.set(player("a", 1)).await.unwrap();
    let forged = Player { level: 2, created_at: UNIX_EPOCH, updated_at: UNIX_EPOCH, ..(**first.model()).clone() };
    let second = players.set(forged).await.unwrap();
    assert!(second.version() > first.version());
    assert_eq!(second.created_at, first.created_at);
    assert!(second.updated_at >= first.updated_at);
    assert_eq!(second.level, 2);
    assert_eq!(players.get("a").await.unwrap().as_ref(), Some(second.model()));
}

async fn time_is_kept_to_the_microsecond(bench: &Bench) {
    let players = bench.players();
    let before_the_epoch = UNIX_EPOCH - std::time::Duration::from_nanos(1_500);
    for (moment, kept) in [
        (moment(), UNIX_EPOCH + std::time::Duration::from_micros(1_700_000_000_123_456)),
        (before_the_epoch, UNIX_EPOCH - std::time::Duration::from_micros(2)),
    ] {
        let stored = players.set(Player { seen_at: Some(moment), ..player("a", 1) }).await.unwrap();
        assert_eq!(stored.seen_at, Some(kept));
        players.invalidate("a").await.unwrap();
        assert_eq!(players.get("a").await.unwrap().unwrap().seen_at, Some(kept));
    }
}

async fn nested_values_travel_whole_through_every_tier(bench: &Bench) {
    let documents = bench.of::<Document>();
    let id = Uuid::new_v4();
    let stored = documents.set(document(id)).await.unwrap();
    assert_eq!(**stored.model(), document(id));
    for role in [Role::Truth, Role::Shared] {
        assert_eq!(*documents.from(role).get(id).await.unwrap().unwrap(), document(id), "{role}");
    }
    // From the shared tier, where there is one: it holds what the last read filled in.
    documents.invalidate(id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(*documents.from(Role::Shared).get(id).await.unwrap().unwrap(), document(id));
    }
    let nothing = Document { maybe: None, value: serde_json::Value::Null, bytes: Vec::new(), ..document(id) };
    documents.set(nothing.clone()).await.unwrap();
    documents.invalidate(id).await.unwrap();
    assert_eq!(*documents.get(id).await.unwrap().unwrap(), nothing);
}

async fn what_the_truth_made_of_a_value_is_what_every_tier_shows(bench: &Bench) {
    let documents = bench.of::<Document>();
    let id = Uuid::new_v4();
    // PostgreSQL writes such numbers in its own way, and drops spaces and earlier duplicates of a key.
    let value = serde_json::json!({"n": 1e2, "m": 1.10, "k": -0.0, "s": {"b": 1, "a": 2}});
    let stored = documents.set(Document { value, ..document(id) }).await.unwrap();
    for role in [Role::Truth, Role::Shared] {
        assert_eq!(documents.from(role).get(id).await.unwrap().unwrap().model(), stored.model(), "{role}");
    }
    assert_eq!(documents.get(id).await.unwrap().as_ref(), Some(stored.model()));
    documents.invalidate(id).await.unwrap();
    assert_eq!(documents.get(id).await.unwrap().as_ref(), Some(stored.model()));
    let again = documents.set((**stored.model()).clone()).await.unwrap();
    assert_eq!(again.model(), stored.model(), "what was read can be written back");
}

async fn odd_values_are_kept_exactly_or_refused(bench: &Bench) {
    let players = bench.players();
    let with = |change: fn(&mut Player)| {
        let mut player = player("a", 1);
        change(&mut player);
        player
    };
    for (column, odd) in [
        ("username", with(|player| player.username = "a\0b".to_owned())),
        ("region", with(|player| player.region = Some("\u{FFFF}\r\n\t\\".to_owned()))),
        ("region", with(|player| player.region = Some(String::new()))),
        ("tags", with(|player| player.tags = vec!["a\0b".to_owned()])),
        ("tags", with(|player| player.tags = Vec::new())),
        ("score", with(|player| player.score = f64::INFINITY)),
        ("score", with(|player| player.score = f64::MIN_POSITIVE / 2.0)),
        ("score", with(|player| player.score = f64::NAN)),
        ("level", with(|player| player.level = i64::MIN)),
        ("seen_at", with(|player| player.seen_at = Some(UNIX_EPOCH - std::time::Duration::from_secs(60 * 60 * 24 * 365 * 6_000)))),
        ("seen_at", with(|player| player.seen_at = Some(UNIX_EPOCH + std::time::Duration::from_secs(60 * 60 * 24 * 365 * 200_000)))),
        ("seen_at", with(|player| player.seen_at = UNIX_EPOCH.checked_add(std::time::Duration::from_secs(1 << 60)))),
    ] {
        let text = |player: &Player| format!("{:?}", Player { created_at: UNIX_EPOCH, updated_at: UNIX_EPOCH, ..player.clone() });
        match players.set(odd.clone()).await {
            Ok(stored) => {
                assert_eq!(text(stored.model()), text(&odd));
                players.invalidate("a").await.unwrap();
                assert_eq!(text(&players.get("a").await.unwrap().unwrap()), text(&odd));
            }
            Err(error) => {
                assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some(column)), "{error}");
            }
        }
    }
}

async fn what_a_column_cannot_hold_is_refused_and_nothing_is_written(bench: &Bench) {
    let documents = bench.of::<Document>();
    let id = Uuid::new_v4();
    let error = documents.set(Document { wide: u64::MAX, ..document(id) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue, "{error}");
    assert_eq!((error.schema(), error.column(), error.operation()), (Some("document"), Some("wide"), Some("set")));
    assert!(error.to_string().contains("9223372036854775807"), "{error}");
    assert!(!error.is_retryable());

    let good = Uuid::new_v4();
    let error = documents.set_many([document(good), Document { wide: u64::MAX, ..document(id) }]).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some("wide")));
    assert_eq!(documents.get_many([id, good]).await.unwrap(), [None, None]);
}

async fn an_empty_key_is_refused_by_every_call(bench: &Bench) {
    let players = bench.players();
    let records = || [player("a", 1), player("", 1)];
    let mut errors = vec![
        players.get("").await.unwrap_err(),
        players.get_record("").await.unwrap_err(),
        players.get_or_err("").await.unwrap_err(),
        players.get_many(["a", ""]).await.unwrap_err(),
        players.set(player("", 1)).await.unwrap_err(),
        players.set_many(records()).await.unwrap_err(),
        players.delete("").await.unwrap_err(),
        players.delete_many(["a", ""]).await.unwrap_err(),
        players.exists("").await.unwrap_err(),
        players.invalidate("").await.unwrap_err(),
        bench.of::<Document>().get(Uuid::nil()).await.unwrap_err(),
        bench.of::<Membership>().get(("club", "")).await.unwrap_err(),
    ];
    for role in [Role::Near, Role::Shared, Role::Truth] {
        errors.push(players.from(role).get("").await.unwrap_err());
        errors.push(players.from(role).get_many(["a", ""]).await.unwrap_err());
    }
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::MissingPrimaryKey, "{error}");
        assert!(error.schema().is_some() && error.operation().is_some(), "{error}");
        assert!(error.to_string().contains("give the record a key"), "{error}");
    }
    assert_eq!(players.peek(""), None);
    assert_eq!(players.get("a").await.unwrap(), None, "nothing of a refused batch is written");
}

async fn keys_that_differ_only_in_where_a_colon_stands_are_two(bench: &Bench) {
    let memberships = bench.of::<Membership>();
    let membership = |club: &str, person: &str, since| Membership { club: club.to_owned(), person: person.to_owned(), since };
    let odd = [("a:b", "c", 1), ("a", "b:c", 2), ("%3A", "*", 3), ("é\n", "?[x]\\", 4), ("a b", "\u{1F980}", 5)];
    memberships.set_many(odd.map(|(club, person, since)| membership(club, person, since))).await.unwrap();
    memberships.invalidate_all().await.unwrap();
    for (club, person, since) in odd {
        assert_eq!(memberships.get((club, person)).await.unwrap().unwrap().since, since);
    }
    assert!(memberships.delete(("a:b", "c")).await.unwrap());
    assert!(memberships.exists(("a", "b:c")).await.unwrap());
}

async fn a_peek_sees_memory_alone(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 3)).await.unwrap();
    let has_near = bench.stack.has_near();
    assert_eq!(players.peek("a").is_some(), has_near);
    assert_eq!(players.peek_with("a", |player| player.level), has_near.then_some(3));
    players.delete("a").await.unwrap();
    assert_eq!(players.peek("a"), None);
    assert_eq!(players.peek_with("a", |_| unreachable!("nothing is there")), None::<()>);
}

/// What a call goes through lies on the heap: a program may await many calls in one future, in a debug build too.
#[tokio::test]
async fn the_future_of_a_call_is_small() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    let sizes = [
        size_of_val(&players.get("a")),
        size_of_val(&players.read("a")),
        size_of_val(&players.get_many(["a"])),
        size_of_val(&players.exists("a")),
        size_of_val(&players.set(player("a", 1))),
        size_of_val(&players.delete("a")),
        size_of_val(&players.search(Query::new())),
        size_of_val(&players.warm(None)),
    ];
    assert!(sizes.iter().all(|size| *size <= 1_024), "{sizes:?}");
}
