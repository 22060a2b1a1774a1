//! One load for all readers of a key.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Mutex, MutexGuard, PoisonError, spawn};

type Outcome<V> = Option<Result<V, Arc<Error>>>;

/// The loads that later readers may join.
type Board<K, V> = HashMap<K, watch::Receiver<Outcome<V>>>;

/// The loads under way. A load runs in a task of its own: a reader that gives up stops nobody.
#[derive(Debug)]
pub(crate) struct Flights<K, V> {
    board: Arc<Mutex<Board<K, V>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Flights { board: Arc::new(Mutex::new(HashMap::new())) }
    }

    /// Joins the key's flight, or starts `load` as one.
    pub(crate) async fn run<F>(&self, runtime: &Handle, key: K, load: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        self.join_or_start(runtime, key, load).landed().await
    }

    /// Starts `load` as the key's flight unless there is one, and waits for neither.
    pub(crate) fn start<F>(&self, runtime: &Handle, key: K, load: impl FnOnce() -> F)
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        drop(self.join_or_start(runtime, key, load));
    }

    fn join_or_start<F>(&self, runtime: &Handle, key: K, load: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let (flight, landing) = self.board(key);
        if let Some(landing) = landing {
            let load = load();
            drop(spawn(runtime, async move {
                let result = load.await;
                landing.land(result);
            }));
        }
        flight
    }

    /// A place on the key's flight, and the duty to land it where there was none.
    pub(crate) fn board(&self, key: K) -> (Flight<V>, Option<Landing<K, V>>) {
        let mut board = lock(&self.board);
        if let Some(outcome) = board.get(&key) {
            return (Flight(outcome.clone()), None);
        }
        let (sender, receiver) = watch::channel(None);
        board.insert(key.clone(), receiver.clone());
        drop(board);
        let place = Place { board: Arc::clone(&self.board), key };
        (Flight(receiver), Some(Landing { place: Some(place), sender }))
    }

    /// A place on the key's flight, if there is one.
    pub(crate) fn join(&self, key: &K) -> Option<Flight<V>> {
        lock(&self.board).get(key).map(|outcome| Flight(outcome.clone()))
    }

    /// Lets later readers of the key start anew. Those already waiting keep the flight.
    pub(crate) fn forget(&self, key: &K) {
        lock(&self.board).remove(key);
    }

    /// Lets later readers start anew of the keys that a condition holds for.
    pub(crate) fn forget_if(&self, condition: impl Fn(&K) -> bool) {
        lock(&self.board).retain(|key, _| !condition(key));
    }

    /// Lets later readers of every key start anew.
    pub(crate) fn forget_all(&self) {
        lock(&self.board).clear();
    }
}

/// A reader's place on a flight.
#[derive(Debug)]
pub(crate) struct Flight<V>(watch::Receiver<Outcome<V>>);

impl<V: Clone> Flight<V> {
    /// Waits for the flight's end. May be given up, and asked again.
    pub(crate) async fn landed(&mut self) -> Result<V> {
        let landed = self.0.wait_for(Option::is_some).await;
        match landed.ok().and_then(|outcome| outcome.clone()) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error.duplicate()),
            // Only a runtime that ends drops a load.
            None => Err(Error::runtime_ended()),
        }
    }
}

/// The duty to end a flight. A load that panics ends it with an error.
#[derive(Debug)]
pub(crate) struct Landing<K: Eq + Hash, V> {
    place: Option<Place<K, V>>,
    sender: watch::Sender<Outcome<V>>,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    pub(crate) fn land(mut self, result: Result<V>) {
        self.end(result);
    }

    fn end(&mut self, result: Result<V>) {
        // Readers that come from here on must start anew: whatever they were told is younger than this load.
        self.place = None;
        self.sender.send_replace(Some(result.map_err(Arc::new)));
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        if self.place.is_some() && std::thread::panicking() {
            self.end(Err(Error::new(ErrorKind::Internal, "a load panicked; the panic's own message says where")));
        }
    }
}

/// Takes the key's flight off the board when a load ends, however it ends. If the load was forgotten, that is a later one, which may know less all the same:
/// readers that come from here on must not join it either.
#[derive(Debug)]
struct Place<K: Eq + Hash, V> {
    board: Arc<Mutex<Board<K, V>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Place<K, V> {
    fn drop(&mut self) {
        lock(&self.board).remove(&self.key);
    }
}

#[cfg(all(test, shuttle))]
mod interleavings;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn readers_of_one_key_share_one_load_and_its_error() {
        let runtime = runtime();
        runtime.block_on(async {
            let flights: Arc<Flights<u8, u32>> = Arc::new(Flights::new());
            let loads = Arc::new(AtomicUsize::new(0));
            let gate = Arc::new(Semaphore::new(0));
            let readers: Vec<_> = (0..10)
                .map(|_| {
                    let (flights, loads, gate) = (Arc::clone(&flights), Arc::clone(&loads), Arc::clone(&gate));
                    tokio::spawn(async move {
                        let load = || async move {
                            loads.fetch_add(1, Ordering::SeqCst);
                            gate.acquire().await.unwrap().forget();
                            Err(Error::new(ErrorKind::L3Unavailable, "down"))
                        };
                        flights.run(&Handle::current(), 1, load).await
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            gate.add_permits(10);
            for reader in readers {
                assert_eq!(reader.await.unwrap().unwrap_err().kind(), ErrorKind::L3Unavailable);
            }
            assert_eq!(loads.load(Ordering::SeqCst), 1);
            assert!(lock(&flights.board).is_empty());
        });
    }

    #[test]
    fn a_forgotten_flight_answers_its_readers_and_no_later_one() {
        let runtime = runtime();
        runtime.block_on(async {
            let flights: Arc<Flights<u8, u32>> = Arc::new(Flights::new());
            let gate = Arc::new(Semaphore::new(0));
            let early = {
                let (flights, gate) = (Arc::clone(&flights), Arc::clone(&gate));
                tokio::spawn(async move {
                    let load = || async move {
                        gate.acquire().await.unwrap().forget();
                        Ok(1)
                    };
                    flights.run(&Handle::current(), 7, load).await
                })
            };
            tokio::task::yield_now().await;
            flights.forget(&7);
            assert_eq!(flights.run(&Handle::current(), 7, || async { Ok(2) }).await.unwrap(), 2);
            gate.add_permits(1);
            assert_eq!(early.await.unwrap().unwrap(), 1);
        });
    }

    #[test]
    fn a_reader_that_gives_up_stops_nobody_and_a_panic_poisons_nobody() {
        let runtime = runtime();
        runtime.block_on(async {
            let flights: Flights<u8, u32> = Flights::new();
            let gate = Arc::new(Semaphore::new(0));
            let held = Arc::clone(&gate);
            let handle = Handle::current();
            let first = flights.run(&handle, 1, || async move {
                held.acquire().await.unwrap().forget();
                Ok(5)
            });
            assert!(tokio::time::timeout(std::time::Duration::ZERO, first).await.is_err());
            gate.add_permits(1);
            assert_eq!(flights.run(&Handle::current(), 1, || async { Ok(6) }).await.unwrap(), 5);

            let lost = flights.run(&Handle::current(), 2, || async { panic!("on purpose") }).await;
            assert_eq!(lost.unwrap_err().kind(), ErrorKind::Internal);
            assert_eq!(flights.run(&Handle::current(), 2, || async { Ok(8) }).await.unwrap(), 8);
        });
    }

    #[test]
    fn a_load_whose_runtime_ends_tells_its_readers_so() {
        let building = runtime();
        let flights: Flights<u8, u32> = Flights::new();
        let handle = building.handle().clone();
        runtime().block_on(async {
            let mut reader = std::pin::pin!(flights.run(&handle, 1, std::future::pending));
            assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut reader).await.is_err());
            building.shutdown_background();
            assert_eq!(reader.await.unwrap_err().kind(), ErrorKind::Closed);
            assert_eq!(flights.run(&handle, 1, || async { Ok(1) }).await.unwrap_err().kind(), ErrorKind::Closed);
        });
        assert!(lock(&flights.board).is_empty());
    }
}
