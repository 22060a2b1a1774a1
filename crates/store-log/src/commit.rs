use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::Result;
use crate::error::{LogError, LogErrorKind};

/// The acknowledgement of an append: a future of any runtime, or [`wait`](Commit::wait) for it.
///
/// What it acknowledges is on its way already: dropping it neither cancels nor delays that.
///
/// ```
/// use store_log::{Log, LogConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), LogConfig::default())?;
/// let (one, two) = (log.append(b"one"), log.append(b"two"));
/// assert_eq!(two.await? - one.await?, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "until it is awaited, nobody knows whether the append succeeded"]
pub struct Commit<T> {
    completion: Arc<Completion>,
    count: u64,
    /// Makes the answer of the sequence and the count.
    answer: fn(u64, u64) -> T,
}

impl<T> Commit<T> {
    pub(crate) fn new(completion: Arc<Completion>, count: u64, answer: fn(u64, u64) -> T) -> Self {
        Self { completion, count, answer }
    }

    /// Blocks the thread until the acknowledgement is there. In asynchronous code `.await` it instead.
    ///
    /// # Errors
    /// Those of the call that gave this commit.
    pub fn wait(self) -> Result<T> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut commit = self;
        loop {
            match Pin::new(&mut commit).poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl<T> Future for Commit<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.completion.state();
        match &mut *state {
            State::Done(result) => Poll::Ready(result.clone().map(|sequence| (self.answer)(sequence, self.count))),
            State::Waiting(Some(waker)) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            State::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for Commit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").finish_non_exhaustive()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What a commit and its promise share.
#[derive(Debug)]
pub(crate) struct Completion(Mutex<State>);

/// The writer's side of a commit. Dropped without an answer it answers that the log is closed.
#[derive(Debug)]
pub(crate) struct Promise(Arc<Completion>);

impl Promise {
    pub(crate) fn new() -> (Self, Arc<Completion>) {
        let completion = Arc::new(Completion(Mutex::new(State::Waiting(None))));
        (Self(Arc::clone(&completion)), completion)
    }

    pub(crate) fn complete(self, result: Result<u64>) {
        if let Some(waker) = self.settle(result) {
            waker.wake();
        }
    }

    /// As [`complete`](Self::complete), but for whom to wake: whoever waits for one commit after the other then finds all that were settled before.
    pub(crate) fn settle(self, result: Result<u64>) -> Option<Waker> {
        self.0.settle(|| result)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(waker) = self.0.settle(|| Err(closed())) {
            waker.wake();
        }
    }
}

pub(crate) fn closed() -> LogError {
    LogError::new(LogErrorKind::Closed, "nothing more is appended").with_hint("open it again")
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Done(Result<u64>),
}

impl Completion {
    pub(crate) fn done(result: Result<u64>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Done(result))))
    }

    /// Gives the answer, and tells whom to wake; the first answer stands.
    fn settle(&self, result: impl FnOnce() -> Result<u64>) -> Option<Waker> {
        let mut state = self.state();
        let State::Waiting(waker) = &mut *state else { return None };
        let waker = waker.take();
        *state = State::Done(result());
        waker
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
