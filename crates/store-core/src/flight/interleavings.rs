use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{Either, select};
use shuttle::future::{block_on, spawn, yield_now};

use super::*;
use crate::sync::explore;

/// A value that writers raise, and what readers were told of it.
#[derive(Debug, Default)]
struct World {
    stored: AtomicU64,
    told: AtomicU64,
}

type Shared = Arc<(Flights<u8, u64>, World)>;

async fn read(shared: Shared, gives_up: bool) {
    let (flights, world) = &*shared;
    let told = world.told.load(Ordering::SeqCst);
    let load = || {
        let shared = Arc::clone(&shared);
        async move {
            yield_now().await;
            let value = shared.1.stored.load(Ordering::SeqCst);
            yield_now().await;
            Ok(value)
        }
    };
    let handle = Handle::current();
    let reading = std::pin::pin!(flights.run(&handle, 1, load));
    let value = if gives_up {
        match select(reading, std::pin::pin!(yield_now())).await {
            Either::Left((value, _)) => value,
            Either::Right(_) => return,
        }
    } else {
        reading.await
    };
    let value = value.expect("no load fails");
    assert!(value >= told, "a reader that knew of {told} was answered {value}");
}

async fn write(shared: Shared, all: bool) {
    let (flights, world) = &*shared;
    let value = world.stored.fetch_add(1, Ordering::SeqCst) + 1;
    yield_now().await;
    if all {
        flights.forget_all();
    } else {
        flights.forget(&1);
    }
    world.told.fetch_max(value, Ordering::SeqCst);
}

#[test]
fn no_reader_joins_a_flight_that_began_before_what_it_was_told() {
    explore(|| {
        block_on(async {
            let shared: Shared = Arc::new((Flights::new(), World::default()));
            let mut tasks = Vec::new();
            for number in 0..4 {
                let shared = Arc::clone(&shared);
                tasks.push(spawn(async move {
                    read(Arc::clone(&shared), number == 3).await;
                    read(shared, false).await;
                }));
            }
            for number in 0..2 {
                tasks.push(spawn(write(Arc::clone(&shared), number == 1)));
            }
            for task in tasks {
                task.await.expect("no task is aborted");
            }
            // Whoever gave up has left its load behind. The board is bare when that has landed.
            while shared.0.run(&Handle::current(), 1, async || Ok(7)).await.expect("no load fails") != 7 {}
            assert!(lock(&shared.0.board).is_empty(), "a flight that landed is still on the board");
        });
    });
}

/// Many readers of a value that nobody changes share loads: a load is begun only where none was on the board.
#[test]
fn no_two_loads_of_a_key_are_on_the_board_at_once() {
    explore(|| {
        block_on(async {
            let flights: Arc<Flights<u8, u64>> = Arc::new(Flights::new());
            let aloft = Arc::new(AtomicU64::new(0));
            let readers: Vec<_> = (0..5)
                .map(|_| {
                    let (flights, aloft) = (Arc::clone(&flights), Arc::clone(&aloft));
                    spawn(async move {
                        let load = || async move {
                            assert_eq!(aloft.fetch_add(1, Ordering::SeqCst), 0, "two loads at once");
                            yield_now().await;
                            aloft.fetch_sub(1, Ordering::SeqCst);
                            Ok(1)
                        };
                        flights.run(&Handle::current(), 1, load).await.expect("no load fails")
                    })
                })
                .collect();
            for reader in readers {
                assert_eq!(reader.await.expect("no task is aborted"), 1);
            }
            assert!(lock(&flights.board).is_empty());
        });
    });
}
