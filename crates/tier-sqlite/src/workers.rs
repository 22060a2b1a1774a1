//! Threads that own a connection each and run what calls hand to them.
//!
//! A pool keeps a number of workers ready for calls. A worker whose job must wait for somebody outside (a stream whose reader is slow) is lent: the
//! pool starts another in its place, so that open streams never keep calls from being served, and ends the surplus when the worker comes back.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use rusqlite::{Connection, InterruptHandle};
use store_core::{Error, Result, Role};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::asker::Asker;
use crate::config::SqliteConfig;
use crate::connection::{self, Purpose};
use crate::error::{self, Origin};
use crate::file::DatabaseFile;

/// Jobs that may wait for a worker; calls beyond them wait before they hand their job over.
const QUEUE: usize = 1_024;

/// Steps of SQLite's machine between two looks at whether anybody still waits: well below a millisecond.
pub(crate) const STEPS_BETWEEN_CHECKS: i32 = 10_000;

type Job = Box<dyn FnOnce(Result<&mut Worker>) + Send>;

/// A pool of workers for one purpose. Dropping it ends them once they have done what was queued.
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    config: SqliteConfig,
    file: Arc<DatabaseFile>,
    purpose: Purpose,
    size: usize,
    state: Mutex<State>,
    wake: Condvar,
    slots: Semaphore,
    closing: watch::Sender<bool>,
    threads: watch::Sender<usize>,
}

struct State {
    jobs: VecDeque<Job>,
    /// Workers that wait for a job.
    idle: usize,
    /// Workers that are not lent, those that are starting included.
    ready: usize,
    closed: bool,
}

/// A connection and the thread that it lives in.
pub(crate) struct Worker {
    pub(crate) connection: Connection,
    pub(crate) file: Arc<DatabaseFile>,
    shared: Arc<Shared>,
    running: Running,
    lent: bool,
    /// Who asked for the job that runs.
    pub(crate) asker: Option<Asker>,
    /// Since when another process has been found to lock the file, time after time.
    pub(crate) locked_out_since: Cell<Option<Instant>>,
}

/// The long job that is running, for the connection's progress handler.
type Running = Arc<Mutex<Option<Arc<Interest>>>>;

/// Whether anybody still waits for what takes long.
///
/// The progress handler looks at it while a statement runs. SQLite's planner calls that too seldom, so it is interrupted as well; a statement that is begun later
/// takes no notice of an interrupt.
#[derive(Default)]
pub(crate) struct Interest {
    is_lost: AtomicBool,
    /// The connection, while the job runs on it.
    connection: Mutex<Option<InterruptHandle>>,
}

impl Interest {
    /// Ends the job, wherever it is, and nothing that its connection does afterwards.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
        // Under the lock, which the end of the job waits for.
        if let Some(connection) = &*lock(&self.connection) {
            connection.interrupt();
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

/// Who is interested, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Interested(pub(crate) Arc<Interest>);

impl Drop for Interested {
    fn drop(&mut self) {
        self.0.lose();
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("is_lost", &self.is_lost()).finish_non_exhaustive()
    }
}

/// The time in which a job may be ended. Its drop ends it, also where the job panics.
struct Run<'a> {
    running: &'a Mutex<Option<Arc<Interest>>>,
    interest: &'a Interest,
}

impl<'a> Run<'a> {
    fn begin(running: &'a Mutex<Option<Arc<Interest>>>, interest: &'a Arc<Interest>, connection: &Connection) -> Self {
        *lock(running) = Some(Arc::clone(interest));
        *lock(&interest.connection) = Some(connection.get_interrupt_handle());
        Run { running, interest }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        *lock(&self.interest.connection) = None;
        *lock(self.running) = None;
    }
}

impl Workers {
    pub(crate) fn new(config: &SqliteConfig, file: &Arc<DatabaseFile>, purpose: Purpose) -> Self {
        let size = match purpose {
            Purpose::Read => config.readers,
            // A listener keeps its worker.
            Purpose::Listen => usize::MAX,
            Purpose::Write => 1,
        };
        Workers {
            shared: Arc::new(Shared {
                config: config.clone(),
                file: Arc::clone(file),
                purpose,
                size,
                state: Mutex::new(State { jobs: VecDeque::new(), idle: 0, ready: 0, closed: false }),
                wake: Condvar::new(),
                slots: Semaphore::new(QUEUE),
                closing: watch::Sender::new(false),
                threads: watch::Sender::new(0),
            }),
        }
    }

    /// Runs a job on one of the connections. If the future is dropped, or nobody waits for the write that asks for it, a job that has not begun never does; one that
    /// has runs to its end, unless it still waits to [begin a transaction](crate::commit::transaction).
    pub(crate) async fn run<T: Send + 'static>(&self, job: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let (asker, waiting) = Asker::of_this_task();
        self.submit(move |worker| {
            let run = |worker: &mut Worker| {
                worker.asker = Some(asker.clone());
                job(worker)
            };
            let result = if asker.waits() { worker.and_then(run) } else { Err(error::unwanted()) };
            // Whoever dropped the future wants no answer.
            let _ = reply.send(result);
        })
        .await?;
        let answer = answer.await;
        drop(waiting);
        answer.unwrap_or_else(|_| Err(error::lost()))
    }

    /// Hands over a job without waiting for its end. It gets an error where no connection can be opened.
    pub(crate) async fn submit(&self, job: impl FnOnce(Result<&mut Worker>) + Send + 'static) -> Result<()> {
        let slot = self.shared.slots.acquire().await.map_err(|_| error::closed())?;
        slot.forget();
        let mut state = self.shared.lock();
        if state.closed {
            return Err(error::closed());
        }
        state.jobs.push_back(Box::new(job));
        Shared::wake_or_start(&self.shared, state);
        Ok(())
    }

    /// Ends what waits for somebody outside: open transactions, streams whose reader is slow.
    pub(crate) fn end_waits(&self) {
        self.shared.closing.send_replace(true);
    }

    /// Whether jobs are refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Refuses further jobs, runs the queued ones, ends long reads, and waits until the last connection is closed.
    pub(crate) async fn close(&self) {
        self.shared.close();
        // The sender lives in `shared`, so the wait cannot fail.
        let _ = self.shared.threads.subscribe().wait_for(|&threads| threads == 0).await;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn close(&self) {
        self.slots.close();
        self.lock().closed = true;
        self.closing.send_replace(true);
        self.wake.notify_all();
    }

    /// Sees to it that a queued job is taken: by a worker that waits, by a new one if the pool may have more, else by the first that is done.
    fn wake_or_start(shared: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.idle > 0 {
            shared.wake.notify_one();
        }
        if state.jobs.len() <= state.idle || state.ready >= shared.size || state.closed {
            return;
        }
        state.ready += 1;
        drop(state);
        shared.threads.send_modify(|threads| *threads += 1);
        let of_thread = Arc::clone(shared);
        let name = match shared.purpose {
            Purpose::Read => "strata-sqlite-r",
            Purpose::Listen => "strata-sqlite-l",
            Purpose::Write => "strata-sqlite-w",
        };
        if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(move || run_worker(&of_thread)) {
            shared.threads.send_modify(|threads| *threads -= 1);
            shared.lose_worker(error::no_thread(error));
        }
    }

    /// Counts a worker out that could not start. If no other will be free, the queued jobs are told: nobody would take them.
    fn lose_worker(&self, error: Error) {
        let orphans = {
            let mut state = self.lock();
            state.ready -= 1;
            if state.ready == 0 || self.purpose == Purpose::Listen { std::mem::take(&mut state.jobs) } else { VecDeque::new() }
        };
        tracing::warn!(%error, "a worker of the SQLite tier cannot start");
        self.slots.add_permits(orphans.len());
        let kind = error.kind();
        let mut first = Some(error);
        for job in orphans {
            let error = first.take().unwrap_or_else(|| {
                Error::new(kind, "no connection to the database file could be opened; the log says why").with_tier(Role::Truth)
            });
            job(Err(error));
        }
    }
}

fn run_worker(shared: &Arc<Shared>) {
    match Worker::open(shared) {
        Ok(worker) => worker.serve(),
        Err(error) => shared.lose_worker(error),
    }
    shared.threads.send_modify(|threads| *threads -= 1);
}

impl Worker {
    fn open(shared: &Arc<Shared>) -> Result<Self> {
        if shared.purpose != Purpose::Write && !shared.file.is_known() {
            // Only a writer makes the file.
            drop(connection::open(&shared.config, Purpose::Write)?);
        }
        let mut connection = connection::open(&shared.config, shared.purpose)?;
        shared.file.check()?;
        let running = Running::default();
        if shared.purpose == Purpose::Read {
            let (of_shared, of_job) = (Arc::clone(shared), Arc::clone(&running));
            let is_in_vain = move || *of_shared.closing.borrow() || lock(&of_job).as_ref().is_some_and(|interest| interest.is_lost());
            connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(is_in_vain)).map_err(|error| error::from_sqlite(error, Origin::Own))?;
        }
        Ok(Worker {
            connection,
            file: Arc::clone(&shared.file),
            shared: Arc::clone(shared),
            running,
            lent: false,
            asker: None,
            locked_out_since: Cell::new(None),
        })
    }

    fn serve(mut self) {
        while let Some(job) = self.next_job() {
            self.shared.slots.add_permits(1);
            // Whoever waits for the job learns of the panic by its dropped sender.
            let _ = catch_unwind(AssertUnwindSafe(|| match self.check() {
                Ok(()) => job(Ok(&mut self)),
                Err(error) => job(Err(error)),
            }));
            self.asker = None;
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
    }

    /// Whether the connection is one to the file at the path. Writers ask again before they commit.
    fn check(&self) -> Result<()> {
        if self.shared.purpose == Purpose::Write { Ok(()) } else { self.file.check() }
    }

    /// The next job; `None` when this worker is to end.
    fn next_job(&mut self) -> Option<Job> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if self.lent {
            if state.ready >= shared.size {
                return None;
            }
            self.lent = false;
            state.ready += 1;
        }
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.ready -= 1;
                return None;
            }
            state.idle += 1;
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Takes a new connection, set up as all are.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        self.connection = connection::open(&self.shared.config, self.shared.purpose)?;
        self.file.check()
    }

    /// How long a write waits for another process's lock.
    pub(crate) fn busy_timeout(&self) -> Duration {
        self.shared.config.busy_timeout
    }

    /// Runs what may take long, as long as somebody is interested.
    pub(crate) fn run_while<T>(&mut self, interest: &Arc<Interest>, long: impl FnOnce(&mut Self) -> T) -> T {
        let running = Arc::clone(&self.running);
        let _run = Run::begin(&running, interest, &self.connection);
        long(self)
    }

    /// Waits. `false` if the pool was closed before the time was over.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.wake.wait_timeout_while(state, time, |state| !state.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Waits for somebody outside, who keeps this worker from all others. Nothing if the pool closes first, or the time is over.
    pub(crate) fn wait_for<T>(&self, event: impl Future<Output = T>, end: Instant) -> Option<T> {
        let mut closing = self.shared.closing.subscribe();
        let closed = pin!(closing.wait_for(|&closing| closing));
        match block_on(select(closed, pin!(event)), Some(end))? {
            Either::Left(_) => None,
            Either::Right((event, _)) => Some(event),
        }
    }

    /// The connection, and the way out for what is read from it.
    pub(crate) fn split(&mut self) -> (&Connection, Outlet<'_>) {
        (&self.connection, Outlet { shared: &self.shared, lent: &mut self.lent })
    }
}

/// Where a worker hands out what it reads bit by bit.
pub(crate) struct Outlet<'a> {
    shared: &'a Arc<Shared>,
    lent: &'a mut bool,
}

impl Outlet<'_> {
    /// Puts an item into a channel. While there is no room the worker is lent. `false` if nobody takes the item any more.
    pub(crate) fn send<T: Send>(&mut self, channel: &mpsc::Sender<T>, item: T) -> bool {
        let item = match channel.try_send(item) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(item)) => item,
        };
        if !*self.lent {
            *self.lent = true;
            let mut state = self.shared.lock();
            state.ready -= 1;
            Shared::wake_or_start(self.shared, state);
        }
        let mut closing = self.shared.closing.subscribe();
        let closed = pin!(closing.wait_for(|&closing| closing));
        match block_on(select(pin!(channel.send(item)), closed), None) {
            Some(Either::Left((sent, _))) => sent.is_ok(),
            Some(Either::Right(_)) | None => false,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("purpose", &self.shared.purpose).field("size", &self.shared.size).finish_non_exhaustive()
    }
}

/// Waits for a future on a thread that has nothing else to do; nothing once the time is over.
fn block_on<F: Future>(future: F, end: Option<Instant>) -> Option<F::Output> {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match end.map(|end| end.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_loses_interest_ends_the_job_and_not_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(directory.path().join("app.db"));
        let file = Arc::new(DatabaseFile::new(config.path.clone()));
        let readers = Workers::new(&config, &file, Purpose::Read);
        let interrupted = readers.run(|worker| {
            let (early, late) = (Arc::<Interest>::default(), Arc::<Interest>::default());
            let during = worker.run_while(&early, |worker| {
                early.lose();
                worker.connection.is_interrupted()
            });
            // A new statement takes the sign back.
            worker.connection.query_row("SELECT 1", [], |_| Ok(())).unwrap();
            worker.run_while(&late, |_| {});
            late.lose();
            Ok((during, worker.connection.is_interrupted()))
        });
        assert_eq!(interrupted.await.unwrap(), (true, false));
    }
}
