//! In the middle of a flush of write-behind.

use store_testkit::Operation;
use strata::Role;

use super::{Bench, ENDS, Place, assert_away, in_time};
use store_tests::models::player;
use store_tests::noted;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_flushed_once() {
    let journals = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(Some(journals.path())).await;
    let players = bench.players();
    let (mut round, mut expected) = (0, Vec::new());
    for place in [
        Place::After(Operation::Begin),
        Place::Writing,
        Place::After(Operation::PutMany),
        Place::After(Operation::AdvanceJournal),
        Place::Untold,
        Place::After(Operation::Commit),
    ] {
        for end in ENDS {
            round += 1;
            let what = format!("{place:?}, {end:?}");
            players.set_many([player("a", round), player("b", round)]).await.unwrap();
            players.set(player(&format!("new-{round}"), round)).await.unwrap();
            players.delete(format!("new-{}", round - 1)).await.unwrap();
            let store = bench.store.clone();
            match bench.interrupt(place, 0, end, async move { store.flush().await }).await {
                Ok(()) => assert!(place.is_answered(), "{what}"),
                Err(error) => assert_away(&error, &what),
            }
            // Reads and writes go on meanwhile, and what was sent is not the last of its key any more.
            assert_eq!(players.get("a").await.unwrap().unwrap().level, round, "{what}");
            in_time(players.set(player("b", 1_000 + round))).await.unwrap();
            assert_away(&in_time(bench.store.flush()).await.unwrap_err(), &what);

            bench.restart().await;
            in_time(bench.store.flush()).await.unwrap();
            assert_eq!(bench.store.stats().dirty_entries, 0, "{what}");
            bench.check("a", Some(round)).await;
            bench.check("b", Some(1_000 + round)).await;
            bench.check(&format!("new-{round}"), Some(round)).await;
            bench.check(&format!("new-{}", round - 1), None).await;
            expected.extend([("a".to_owned(), round), (format!("new-{round}"), round), ("b".to_owned(), 1_000 + round)]);
            if place.took_effect() {
                expected.push(("b".to_owned(), round));
            }
        }
    }
    let mut noted = noted::all(&bench.server);
    noted.sort();
    expected.sort();
    assert_eq!(noted, expected, "each was applied once");
    assert!(bench.store.dead_letters().list(None, 10).await.unwrap().is_empty());
    assert_eq!(players.from(Role::Truth).get("a").await.unwrap().unwrap().level, round);
    bench.store.close().await.unwrap();
}
