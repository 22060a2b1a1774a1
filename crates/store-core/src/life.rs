//! How long a store serves calls, and the runtime that it does so in.

use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use tokio::runtime::{EnterGuard, Handle};
use tokio::sync::Notify;

use crate::error::{Error, Result};

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
/// The runtime ended first, and with it the tasks that loads, writes and the freshness of memory need.
const STRANDED: u8 = 2;

/// Whether a store serves calls.
pub(crate) struct Life {
    runtime: Handle,
    shared: Arc<State>,
}

#[derive(Default)]
struct State {
    /// One of the constants above.
    state: AtomicU8,
    /// Wakes calls when the runtime ends, or closing has waited for every write.
    ended: Notify,
}

impl State {
    /// Whichever end comes first is told.
    fn end(&self, state: u8) {
        let _ = self.state.compare_exchange(OPEN, state, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl Life {
    pub(crate) fn new(runtime: Handle) -> Self {
        Life { runtime, shared: Arc::default() }
    }

    /// The runtime that the store was built in.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state() == OPEN
    }

    pub(crate) fn is_stranded(&self) -> bool {
        self.state() == STRANDED
    }

    fn state(&self) -> u8 {
        self.shared.state.load(Ordering::Acquire)
    }

    /// Refuses calls from here on.
    pub(crate) fn close(&self) {
        self.shared.end(CLOSED);
    }

    /// Refuses a call that nobody would serve.
    pub(crate) fn check(&self) -> Result<()> {
        match self.state() {
            OPEN => Ok(()),
            STRANDED => Err(Error::runtime_ended()),
            _ => Err(Error::closed()),
        }
    }

    /// What a task of the runtime must hold until the store closes, so that the end of the runtime is noticed.
    pub(crate) fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        struct End(Arc<State>);

        impl Drop for End {
            fn drop(&mut self) {
                self.0.end(STRANDED);
                self.0.ended.notify_waiters();
            }
        }

        let end = End(Arc::clone(&self.shared));
        async move {
            let _end = end;
            pending().await
        }
    }

    /// Makes a call, within the store's runtime where it is polled outside of any. It ends with the runtime, and where closing waits for it no longer.
    pub(crate) async fn within<R>(&self, call: impl Future<Output = Result<R>>) -> Result<R> {
        let (mut call, mut ended) = (pin!(call), pin!(self.shared.ended.notified()));
        let poll = |context: &mut Context<'_>| {
            // Asked before each poll: a timer of a runtime that has ended panics.
            if !self.is_stranded() {
                let _entered = enter(&self.runtime);
                if let Poll::Ready(answer) = call.as_mut().poll(context) {
                    return Poll::Ready(answer);
                }
                // What the call waits for may have ended in silence.
                if ended.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                // A write that closing has waited for has its answer by now, which a spent budget of the task's must not hide.
                if !self.is_stranded()
                    && let Poll::Ready(answer) = pin!(tokio::task::unconstrained(call.as_mut())).poll(context)
                {
                    return Poll::Ready(answer);
                }
            }
            Poll::Ready(Err(self.check().err().unwrap_or_else(Error::runtime_ended)))
        };
        poll_fn(poll).await
    }

    /// Does what the end of the runtime must not stop, within the runtime where it is polled outside of any.
    pub(crate) async fn within_or_after<R>(&self, work: impl Future<Output = R>) -> R {
        let mut work = pin!(work);
        let poll = |context: &mut Context<'_>| {
            let _entered = enter(&self.runtime);
            work.as_mut().poll(context)
        };
        poll_fn(poll).await
    }

    /// As [`within`](Self::within), for a stream.
    pub(crate) fn stream_within<R: 'static>(self: &Arc<Self>, stream: BoxStream<'static, Result<R>>) -> BoxStream<'static, Result<R>> {
        Box::pin(Within { life: Arc::clone(self), stream: Some(stream) })
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

/// Lends a poll the store's runtime where it has none of its own.
fn enter(runtime: &Handle) -> Option<EnterGuard<'_>> {
    Handle::try_current().is_err().then(|| runtime.enter())
}

struct Within<R> {
    life: Arc<Life>,
    /// `None` once it has ended.
    stream: Option<BoxStream<'static, Result<R>>>,
}

impl<R> Stream for Within<R> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        let Within { life, stream } = &mut *self;
        let Some(running) = stream else { return Poll::Ready(None) };
        if life.is_stranded() {
            *stream = None;
            return Poll::Ready(Some(Err(Error::runtime_ended())));
        }
        let _entered = enter(&life.runtime);
        running.as_mut().poll_next(context)
    }
}
