//! Writes of which nobody knows whether the truth took them.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Deserializer, Serialize};
use store_testkit::{Fault, Operation};
use strata::{Collection, ErrorKind, Role, Schema};

use super::PAST_L1;
use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;
use store_tests::waiting::until;

async fn everywhere() -> FaultyBench {
    let bench = FaultyBench::open().await;
    bench.players().set(player("a", 1)).await.unwrap();
    bench.players().from(Role::Shared).get("a").await.unwrap();
    bench
}

async fn level(players: &Collection<Player>) -> Option<i64> {
    players.get("a").await.unwrap().map(|player| player.level)
}

/// Writes through `way`, which the truth answers with an error; the second of the results is what is there if it took the write.
async fn write(players: &Collection<Player>, way: usize) -> (strata::Error, Option<i64>) {
    match way {
        0 => (players.set(player("a", 2)).await.unwrap_err(), Some(2)),
        1 => (players.set_many([player("b", 1), player("a", 2)]).await.unwrap_err(), Some(2)),
        2 => (players.delete("a").await.unwrap_err(), None),
        _ => (players.delete_many(["a", "b"]).await.unwrap_err(), None),
    }
}

fn fail_writes(bench: &FaultyBench, fault: Fault) {
    bench.truth_faults.next(Operation::PutMany, fault);
    bench.truth_faults.next(Operation::DeleteMany, fault);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_acknowledgement_is_lost_shows_as_the_truth_has_it() {
    for way in 0..4 {
        for kind in [ErrorKind::L3Unavailable, ErrorKind::Timeout, ErrorKind::Internal] {
            for shared_is_away in [false, true] {
                let bench = everywhere().await;
                let players = bench.players();
                fail_writes(&bench, Fault::FailAfter(kind));
                if shared_is_away {
                    bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
                }
                let (error, now) = write(&players, way).await;
                assert_eq!(error.kind(), kind);
                for _ in 0..2 {
                    assert_eq!(level(&players).await, now);
                    bench.clock.advance(PAST_L1);
                }
                bench.shared_faults.heal();
                let others = async || level(&bench.another().await.collection().unwrap()).await == now;
                until("another instance sees it too", others).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_never_came_changes_nothing() {
    for way in 0..4 {
        let bench = everywhere().await;
        let players = bench.players();
        fail_writes(&bench, Fault::FailBefore(ErrorKind::L3Unavailable));
        let (error, _) = write(&players, way).await;
        assert_eq!((error.kind(), error.schema()), (ErrorKind::L3Unavailable, Some("player")));
        assert!(error.is_retryable());
        assert_eq!(level(&players).await, Some(1));
        assert_eq!(level(&bench.another().await.collection().unwrap()).await, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_beside_a_write_whose_acknowledgement_is_lost_leaves_nothing_old() {
    for way in 0..4 {
        let bench = everywhere().await;
        let players = bench.players();
        fail_writes(&bench, Fault::FailAfter(ErrorKind::L3Unavailable));
        let held = bench.shared_faults.hold_before(Operation::Remove);
        let writing = tokio::spawn({
            let players = players.clone();
            async move { write(&players, way).await }
        });
        held.arrived().await;
        // The slot still holds the old record, and the log may have told of the new one.
        let meanwhile = level(&players).await;
        held.release();
        let (_, now) = writing.await.unwrap();
        assert!(meanwhile == Some(1) || meanwhile == now);
        assert_eq!(level(&players).await, now);
    }
}

/// What becomes of the numbers 13 and 14 when they are read.
static SPOILT: AtomicBool = AtomicBool::new(false);
static READ_ONCE: AtomicBool = AtomicBool::new(false);

/// A nested value that does not always come back: 13 is refused and 14 panics once they are spoilt, 15 is read only once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Fussy(i64);

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            13 if SPOILT.load(Ordering::SeqCst) => Err(serde::de::Error::custom("unlucky")),
            14 if SPOILT.load(Ordering::SeqCst) => panic!("on purpose"),
            15 if READ_ONCE.swap(true, Ordering::SeqCst) => Err(serde::de::Error::custom("read before")),
            number => Ok(Fussy(number)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Schema)]
struct Ticket {
    #[schema(primary_key)]
    id: i64,
    number: Fussy,
}

fn ticket(id: i64, number: i64) -> Ticket {
    Ticket { id, number: Fussy(number) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_record_that_cannot_be_read_back_leaves_no_older_one_in_memory() {
    let bench = FaultyBench::open_with(|builder| builder.schema::<Ticket>()).await;
    let tickets = bench.of::<Ticket>();
    for (number, kind) in [(13, ErrorKind::DecodeFailed), (14, ErrorKind::Internal)] {
        SPOILT.store(false, Ordering::SeqCst);
        tickets.set_many([1, 2, 3].map(|id| ticket(id, id))).await.unwrap();
        let held = bench.truth_faults.hold_after(Operation::PutMany);
        let writing = tokio::spawn({
            let tickets = tickets.clone();
            async move { tickets.set_many([ticket(1, 7), ticket(2, number), ticket(3, 8)]).await }
        });
        held.arrived().await;
        SPOILT.store(true, Ordering::SeqCst);
        held.release();
        let error = writing.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.schema()), (kind, Some("ticket")), "{error}");
        let read = async |id| tickets.get(id).await.map(|ticket| ticket.map(|ticket| ticket.number));
        assert_eq!(read(1).await.unwrap(), Some(Fussy(7)));
        assert_eq!(read(2).await.unwrap_err().kind(), kind);
        assert_eq!(read(3).await.unwrap(), Some(Fussy(8)));
        tickets.set(ticket(2, 9)).await.unwrap();
        assert_eq!(read(2).await.unwrap(), Some(Fussy(9)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_is_the_truth_of_survives_a_write_that_fails() {
    let builder = strata::Store::builder().near(strata::mem::MemTier::new());
    let store = builder.schema_with::<Ticket>(|options| options.policies.cache_only = true).build().await.unwrap();
    let tickets = store.collection::<Ticket>().unwrap();
    tickets.set(ticket(1, 1)).await.unwrap();
    assert_eq!(tickets.set(ticket(1, 15)).await.unwrap_err().kind(), ErrorKind::DecodeFailed);
    assert_eq!(tickets.get(1).await.unwrap().unwrap().number, Fussy(1));
}
