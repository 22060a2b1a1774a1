//! In the middle of `store.transaction`, and of queued transactions.

use store_testkit::Operation;
use strata::{Store, Transaction};

use super::{Bench, ENDS, Place, assert_away};
use store_tests::models::{Player, player};

async fn raise(tx: &mut Transaction, id: &str) -> strata::Result<()> {
    let mut player = tx.get_for_update::<Player>(id).await?.expect("the test wrote it");
    player.level += 1;
    tx.set(player).await.map(drop)
}

async fn raise_both(store: Store) -> strata::Result<()> {
    store
        .transaction(async |tx| {
            raise(tx, "a").await?;
            raise(tx, "b").await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_done_whole_once_or_not_at_all() {
    let mut bench = Bench::open(None).await;
    bench.players().set_many([player("a", 0), player("b", 0)]).await.unwrap();
    let mut level = 0;
    for place in [
        Place::After(Operation::Begin),
        Place::Writing,
        Place::After(Operation::PutMany),
        Place::Before(Operation::Commit),
        Place::Untold,
        Place::After(Operation::Commit),
    ] {
        for end in ENDS {
            let what = format!("{place:?}, {end:?}");
            let answer = bench.interrupt(place, 0, end, raise_both(bench.store.clone())).await;
            match answer {
                Ok(()) => assert!(place.is_answered(), "{what}"),
                Err(error) => assert_away(&error, &what),
            }
            assert_away(&raise_both(bench.store.clone()).await.unwrap_err(), &what);
            level += i64::from(place.took_effect());
            bench.restart().await;
            for id in ["a", "b"] {
                bench.check(id, Some(level)).await;
                assert_eq!((bench.times(id, level), bench.times(id, level + 1)), (1, 0), "{what}");
            }
        }
    }
    // The queued form takes the same way.
    for (place, end) in [(Place::Before(Operation::Commit), ENDS[0]), (Place::Untold, ENDS[1])] {
        let queued = bench.store.tx().set(player("a", level + 1)).set(player("b", level + 1)).commit();
        assert_away(&bench.interrupt(place, 0, end, queued).await.unwrap_err(), "queued");
        level += i64::from(place.took_effect());
        bench.restart().await;
        for id in ["a", "b"] {
            bench.check(id, Some(level)).await;
        }
    }
    raise_both(bench.store.clone()).await.unwrap();
    bench.check("a", Some(level + 1)).await;
    bench.store.close().await.unwrap();
}
