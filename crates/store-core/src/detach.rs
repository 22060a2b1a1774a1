//! Work that goes on whether or not its caller waits for it.
//!
//! A task for each piece of work would have every answer handed over between tasks, and often between threads, which takes longer than a fast tier does. So work
//! runs within the caller that began it, and becomes a task when that caller gives up, or when it is not done after a [`TICK`] or two. The second is not about
//! slow work: a caller may leave off polling without giving up (a stream that is not asked for its next item), and others may wait for what its work
//! holds.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::sync::{Mutex, MutexGuard, PoisonError, enter, sleep, spawn};

/// How often is looked for work that is to become a task.
const TICK: Duration = Duration::from_millis(10);
/// After so many ticks without any work nobody looks until there is some: waking costs more than looking.
const IDLE_TICKS: u32 = 50;

/// Where work is kept while its caller runs it.
type Place = Mutex<Option<BoxFuture<'static, ()>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes tasks of work that its callers do not end themselves.
pub(crate) struct Detacher {
    runtime: Handle,
    /// Work that callers run, with the tick at which it was begun; the oldest first.
    running: Mutex<VecDeque<(u64, Weak<Place>)>>,
    tick: AtomicU64,
    is_idle: AtomicBool,
    begun: Notify,
}

impl fmt::Debug for Detacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detacher").finish_non_exhaustive()
    }
}

impl Detacher {
    /// Of a runtime in which tasks are made, and within which work is polled.
    pub(crate) fn new(runtime: Handle) -> Arc<Self> {
        Arc::new(Detacher {
            runtime,
            running: Mutex::default(),
            tick: AtomicU64::new(0),
            is_idle: AtomicBool::new(false),
            begun: Notify::new(),
        })
    }

    /// The runtime in which tasks are made.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Work that its caller is to wait for. Dropping what this answers makes a task of the work.
    pub(crate) fn begin(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) -> Detachable {
        Detachable { place: Arc::new(Mutex::new(Some(Box::pin(work)))), detacher: Arc::clone(self), is_noted: false }
    }

    /// Looks for work of which a task is to be made, for as long as it is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut idle = 0;
        loop {
            if idle == IDLE_TICKS {
                self.is_idle.store(true, Ordering::SeqCst);
                if lock(&self.running).is_empty() {
                    self.begun.notified().await;
                }
                self.is_idle.store(false, Ordering::SeqCst);
                idle = 0;
            }
            sleep(TICK).await;
            idle = if self.look() { 0 } else { idle + 1 };
        }
    }

    /// Makes tasks of what was begun before the last look. Whether any work was begun since.
    pub(crate) fn look(&self) -> bool {
        let tick = self.tick.fetch_add(1, Ordering::SeqCst);
        let mut late = Vec::new();
        let is_any = {
            let mut running = lock(&self.running);
            while let Some((begun, place)) = running.pop_front() {
                if begun >= tick {
                    running.push_front((begun, place));
                    break;
                }
                late.extend(place.upgrade());
            }
            !running.is_empty()
        };
        for place in &late {
            match place.try_lock() {
                Ok(mut work) => self.detach(work.take()),
                // It is being polled at this moment, so nothing is wrong with its caller.
                Err(_) => self.note(place),
            }
        }
        is_any || !late.is_empty()
    }

    fn note(&self, place: &Arc<Place>) {
        lock(&self.running).push_back((self.tick.load(Ordering::SeqCst), Arc::downgrade(place)));
        if self.is_idle.load(Ordering::SeqCst) {
            self.begun.notify_one();
        }
    }

    fn detach(&self, work: Option<BoxFuture<'static, ()>>) {
        if let Some(work) = work {
            drop(spawn(&self.runtime, work));
        }
    }
}

/// Work that its caller runs.
pub(crate) struct Detachable {
    place: Arc<Place>,
    detacher: Arc<Detacher>,
    is_noted: bool,
}

impl Detachable {
    /// Waits for what the work answers in passing, and runs the work meanwhile.
    pub(crate) async fn wait<R>(mut self, answer: impl Future<Output = R>) -> R {
        let mut answer = pin!(answer);
        let poll = |context: &mut Context<'_>| {
            self.poll(context);
            answer.as_mut().poll(context)
        };
        poll_fn(poll).await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        let mut work = lock(&self.place);
        let Some(running) = work.as_mut() else { return };
        // Its timers and tasks must be of a runtime that lasts as long as the store, not of the caller's.
        let polled = {
            let _entered = enter(&self.detacher.runtime);
            running.as_mut().poll(context)
        };
        match polled {
            Poll::Ready(()) => drop(take(&mut *work)),
            Poll::Pending if !self.is_noted => {
                self.is_noted = true;
                drop(work);
                self.detacher.note(&self.place);
            }
            Poll::Pending => {}
        }
    }
}

impl Drop for Detachable {
    fn drop(&mut self) {
        let work = lock(&self.place).take();
        self.detacher.detach(work);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// Work that waits for a word and then tells in which task it ran.
    async fn work(word: oneshot::Receiver<()>, done: mpsc::UnboundedSender<Option<tokio::task::Id>>) {
        // Either way it is the end.
        let _ = word.await;
        let _ = done.send(tokio::task::try_id());
    }

    #[tokio::test]
    async fn it_runs_within_its_caller() {
        let detacher = Detacher::new(Handle::current());
        let (done, mut told) = mpsc::unbounded_channel();
        let (word, heard) = oneshot::channel();
        word.send(()).unwrap();
        let caller = tokio::spawn(async move {
            let begun = detacher.begin(work(heard, done));
            begun.wait(told.recv()).await
        });
        let id = caller.id();
        assert_eq!(caller.await.unwrap(), Some(Some(id)));
    }

    #[tokio::test]
    async fn it_is_a_task_once_its_caller_gives_up() {
        let detacher = Detacher::new(Handle::current());
        let (done, mut told) = mpsc::unbounded_channel();
        let (word, heard) = oneshot::channel();
        let begun = detacher.begin(work(heard, done));
        let never = std::future::pending::<()>();
        assert!(tokio::time::timeout(Duration::ZERO, begun.wait(never)).await.is_err());
        word.send(()).unwrap();
        let ran = told.recv().await.unwrap();
        assert!(ran.is_some() && ran != tokio::task::try_id());
    }

    #[tokio::test]
    async fn it_is_a_task_once_its_caller_leaves_off_polling() {
        let detacher = Detacher::new(Handle::current());
        let looking = tokio::spawn(Arc::clone(&detacher).run());
        let (done, mut told) = mpsc::unbounded_channel();
        let (answer, answered) = oneshot::channel();
        let (word, heard) = oneshot::channel();
        let mut waiting = Box::pin(detacher.begin(work(heard, done)).wait(answered));
        assert!((&mut waiting).now_or_never().is_none());
        word.send(()).unwrap();
        // Nobody polls it.
        told.recv().await.unwrap();
        answer.send(5).unwrap();
        assert_eq!(waiting.await, Ok(5));
        looking.abort();
    }

    #[tokio::test]
    async fn nobody_looks_where_there_is_no_work() {
        let detacher = Detacher::new(Handle::current());
        let looking = tokio::spawn(Arc::clone(&detacher).run());
        while !detacher.is_idle.load(Ordering::SeqCst) {
            tokio::time::sleep(TICK).await;
        }
        let ticks = detacher.tick.load(Ordering::SeqCst);
        tokio::time::sleep(TICK * 5).await;
        assert_eq!(detacher.tick.load(Ordering::SeqCst), ticks);

        let begun = detacher.begin(std::future::pending());
        let place = Arc::clone(&begun.place);
        let mut waiting = Box::pin(begun.wait(std::future::pending::<()>()));
        assert!((&mut waiting).now_or_never().is_none());
        while lock(&place).is_some() {
            tokio::time::sleep(TICK).await;
        }
        looking.abort();
    }
}
