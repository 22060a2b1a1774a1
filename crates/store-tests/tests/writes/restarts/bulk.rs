//! In the middle of a bulk load.

use store_testkit::Operation;
use strata::{Query, Role};

use super::{Bench, ENDS, Place, assert_away};
use store_tests::models::{Player, player};
use store_tests::noted;

const PLACES: [Place; 4] = [Place::Before(Operation::PutMany), Place::Writing, Place::Untold, Place::After(Operation::PutMany)];

/// Players whose levels count up from here.
fn players_from(name: &str, level: i64, count: i64) -> Vec<Player> {
    (level..level + count).map(|level| player(&format!("{name}-{level}"), level)).collect()
}

/// Every tier shows these.
async fn check_all(bench: &Bench, expected: &[Player]) {
    let players = bench.players();
    let ids: Vec<&str> = expected.iter().map(|player| player.id.as_str()).collect();
    let levels: Vec<Option<i64>> = expected.iter().map(|player| Some(player.level)).collect();
    let found = players.get_many(&ids).await.unwrap();
    assert_eq!(found.iter().map(|player| player.as_ref().map(|player| player.level)).collect::<Vec<_>>(), levels);
    for role in [Role::Truth, Role::Shared] {
        let found = players.from(role).get_many(&ids).await.unwrap();
        assert_eq!(found.iter().map(|player| player.as_ref().map(|player| player.level)).collect::<Vec<_>>(), levels, "{role:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_stores_all_or_nothing_and_can_be_repeated() {
    let mut bench = Bench::open(None).await;
    let players = bench.players();
    // Memory and Redis hold what is about to be replaced.
    players.set_many(players_from("p", 0, 300)).await.unwrap();
    let mut round = 0;
    for place in PLACES {
        for end in ENDS {
            round += 1;
            let what = format!("{place:?}, {end:?}");
            let models: Vec<Player> =
                players_from("p", 0, 300).into_iter().map(|player| Player { level: player.level + round, ..player }).collect();
            let (call, given) = (players.clone(), models.clone());
            let answer = bench.interrupt(place, 0, end, async move { call.set_many(given).await }).await;
            let took_effect = matches!(place, Place::Untold | Place::After(_));
            match answer {
                Ok(_) => assert!(matches!(place, Place::After(_)), "{what}"),
                Err(error) => assert_away(&error, &what),
            }
            bench.restart().await;
            let stored = players.count(Query::from(Player::level().ge(300 + round - 1))).await.unwrap();
            assert_eq!(stored, u64::from(took_effect), "{what}: all or nothing");
            let before: Vec<Player> = models.iter().map(|player| Player { level: player.level - 1, ..player.clone() }).collect();
            check_all(&bench, if took_effect { &models } else { &before }).await;
            if !took_effect {
                players.set_many(models.clone()).await.unwrap();
                check_all(&bench, &models).await;
            }
        }
    }
    let mut noted = noted::all(&bench.server);
    noted.sort();
    noted.dedup();
    assert_eq!(noted.len(), 300 * (1 + round as usize));
    assert_eq!(noted::all(&bench.server).len(), noted.len(), "none was stored twice");
    bench.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_on_where_it_was_interrupted() {
    let mut bench = Bench::open(None).await;
    let players = bench.players();
    let mut twice = 0;
    for (number, place) in PLACES.into_iter().enumerate() {
        for end in ENDS {
            let what = format!("{place:?}, {end:?}");
            let name = format!("{number}-{end:?}");
            let models = players_from(&name, 0, 500);
            // The third of five chunks.
            for _ in 0..2 {
                bench.faults.hold_after(Operation::PutMany).release();
            }
            let (call, given) = (players.clone(), models.clone());
            let answer = bench.interrupt(place, 200, end, async move { call.import(given).chunk(100).run().await }).await;
            let error = answer.expect_err("there are chunks behind it");
            let is_told = matches!(place, Place::After(_));
            assert_eq!(error.stored(), if is_told { 300 } else { 200 }, "{what}");
            assert_away(error.error(), &what);
            bench.restart().await;
            let stored = players.count(Query::from(Player::id().like(&format!("{name}-%")))).await.unwrap();
            // A chunk of which nobody was told is stored again.
            let is_untold = place == Place::Untold;
            assert_eq!(stored, error.stored() + 100 * u64::from(is_untold), "{what}: whole chunks");
            twice += 100 * usize::from(is_untold);
            check_all(&bench, &models[..stored as usize]).await;
            assert_eq!(players.import(models.clone()).resume_at(error.stored()).chunk(100).run().await.unwrap(), 500);
            check_all(&bench, &models).await;
        }
    }
    let mut noted = noted::all(&bench.server);
    let count = noted.len();
    noted.sort();
    noted.dedup();
    assert_eq!((noted.len(), count), (500 * PLACES.len() * ENDS.len(), noted.len() + twice), "the others were stored once");
    bench.store.close().await.unwrap();
}
