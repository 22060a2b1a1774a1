//! The verifier: what it finds, and what it takes for no fault.

use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::{Collection, ErrorKind, KeyEvent, Role, Store, Verification};

use store_tests::models::{Player, player};
use store_tests::stacks::{FaultyBench, open_sqlite};
use store_tests::waiting::until;

/// A bench whose every cached answer is checked, soon.
async fn bench() -> FaultyBench {
    FaultyBench::open_with(|builder| {
        builder.schema::<Player>().configure(|settings| {
            settings.verify = 1.0;
            settings.freshness = Duration::from_millis(40);
        })
    })
    .await
}

/// Another program, of which this instance does not hear: its log cannot be read, and its clock stands still.
async fn unheard(bench: &FaultyBench) -> Collection<Player> {
    bench.truth_faults.always(Operation::LogRead, Fault::FailBefore(ErrorKind::L3Unavailable));
    let store = Store::builder().tier(open_sqlite(&bench.directory).await).schema::<Player>().build().await.unwrap();
    store.collection().unwrap()
}

/// Reads until the verifier has found something in every cache.
async fn found(bench: &FaultyBench) -> Verification {
    until("the verifier finds the old copies", async || {
        bench.players().get("a").await.unwrap();
        let recent = bench.store.verification().recent;
        [Role::Near, Role::Shared].iter().all(|tier| recent.iter().any(|found| found.tier == *tier))
    })
    .await;
    bench.store.verification()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_off_unless_asked_for() {
    let bench =
        FaultyBench::open_with(|builder| builder.schema::<Player>().configure(|settings| settings.freshness = Duration::from_millis(10)))
            .await;
    bench.players().set(player("a", 1)).await.unwrap();
    let before = bench.truth_faults.calls(Operation::GetMany);
    bench.players().get("a").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.store.verification(), Verification::default());
    assert_eq!(bench.truth_faults.calls(Operation::GetMany), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finds_nothing_while_instances_write_and_read() {
    let bench = bench().await;
    let other: Collection<Player> = bench.another().await.collection().unwrap();
    let mut level = 0;
    until("fifty copies were checked", async || {
        for id in ["a", "b", "c", "d"] {
            level += 1;
            let writer = if level % 3 == 0 { &other } else { &bench.players() };
            if level % 7 == 0 {
                writer.delete(id).await.unwrap();
            } else {
                writer.set(player(id, level)).await.unwrap();
            }
            bench.players().get(id).await.unwrap();
        }
        bench.store.verification().checked >= 50
    })
    .await;
    assert_eq!(bench.store.verification().recent, []);
    assert_eq!(bench.store.verification().ratio(), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finds_copies_that_the_truth_has_overtaken_and_tells_what_happened_to_the_key() {
    let bench = bench().await;
    bench.players().set(player("a", 1)).await.unwrap();
    bench.players().invalidate("a").await.unwrap();
    until("the slot can be filled", async || {
        bench.players().get("a").await.unwrap();
        bench.players().from(Role::Shared).get("a").await.unwrap();
        bench.store.stats().l2_hits > 0
    })
    .await;
    let cached = bench.players().read("a").await.unwrap().unwrap().version();
    let truth = {
        let other = unheard(&bench).await;
        other.set(player("a", 2)).await.unwrap().version()
    };
    let verification = found(&bench).await;
    assert!(verification.inconsistent >= 2 && verification.ratio() > 0.0 && verification.checked >= verification.inconsistent);
    let of_memory = verification.recent.iter().find(|found| found.tier == Role::Near).unwrap();
    assert_eq!((of_memory.schema, of_memory.key.as_str()), ("player", "a"));
    assert_eq!((of_memory.cached, of_memory.truth), (Some(cached), Some(truth)));
    let events: Vec<KeyEvent> = of_memory.events.iter().map(|(_, event)| *event).collect();
    assert!(events.contains(&KeyEvent::Written(cached)) && events.contains(&KeyEvent::Dropped), "{events:?}");
    assert!(events.contains(&KeyEvent::Installed(cached)), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finds_copies_of_what_was_deleted() {
    let bench = bench().await;
    bench.players().set(player("a", 1)).await.unwrap();
    let other = unheard(&bench).await;
    until("the copy is in the sample", async || {
        bench.players().get("a").await.unwrap();
        bench.store.verification().checked > 0
    })
    .await;
    other.delete("a").await.unwrap();
    until("the verifier finds the copy", async || {
        bench.players().get("a").await.unwrap();
        bench.store.verification().inconsistent > 0
    })
    .await;
    assert_eq!(bench.store.verification().recent[0].truth, None);
}

/// SQL typed by hand leaves the version as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finds_copies_that_differ_from_the_row_of_their_version() {
    use strata::mem::MemTier;

    let (database, tier) = store_tests::stacks::postgres::open().await;
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<Player>();
    let builder = builder.configure(|settings| {
        settings.verify = 1.0;
        settings.freshness = Duration::from_millis(40);
    });
    let store = builder.build().await.unwrap();
    let players: Collection<Player> = store.collection().unwrap();
    players.set(player("a", 1)).await.unwrap();
    let check = async |inconsistent: bool| {
        until("the copy was checked", async || {
            players.get("a").await.unwrap();
            let found = store.verification();
            if inconsistent { found.inconsistent > 0 } else { found.checked > 1 }
        })
        .await;
    };
    check(false).await;
    assert_eq!(store.verification().inconsistent, 0);
    database.run("UPDATE player SET level = 7").await;
    check(true).await;
    let found = store.verification().recent.remove(0);
    assert_eq!((found.tier, found.cached), (Role::Near, found.truth));
    store.close().await.unwrap();
}
