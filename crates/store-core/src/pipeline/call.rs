//! How every call of a collection runs.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use tokio::runtime::{EnterGuard, Handle};

use super::Pipeline;
use crate::error::{Error, Result};
use crate::schema::Schema;

impl<T: Schema> Pipeline<T> {
    /// Runs a call within the store's runtime if it is polled outside of any, and says and counts what its error should tell.
    pub(crate) async fn call<R>(&self, operation: &'static str, call: impl Future<Output = Result<R>>) -> Result<R> {
        let mut call = pin!(call);
        let answer = std::future::poll_fn(|context| {
            let _entered = enter(&self.shared.runtime);
            call.as_mut().poll(context)
        });
        answer.await.map_err(|error| self.report(operation, error))
    }

    /// As [`call`](Self::call), for one key.
    pub(crate) async fn call_for<R>(&self, operation: &'static str, key: String, call: impl Future<Output = Result<R>>) -> Result<R> {
        self.call(operation, async { call.await.map_err(|error| error.with_key(key)) }).await
    }

    /// Adds what every error of a call should say, and counts it.
    pub(crate) fn report(&self, operation: &'static str, error: Error) -> Error {
        self.counters().errors.add(1);
        error.with_schema(self.schema.name()).with_operation(operation)
    }

    /// Lets a stream run within the store's runtime if it is polled outside of any.
    pub(super) fn within_runtime<R>(&self, stream: BoxStream<'static, R>) -> BoxStream<'static, R>
    where
        R: 'static,
    {
        Box::pin(Within { runtime: self.shared.runtime.clone(), stream })
    }
}

/// Lends a poll the store's runtime where it has none of its own.
fn enter(runtime: &Handle) -> Option<EnterGuard<'_>> {
    Handle::try_current().is_err().then(|| runtime.enter())
}

struct Within<R> {
    runtime: Handle,
    stream: BoxStream<'static, R>,
}

impl<R> Stream for Within<R> {
    type Item = R;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<R>> {
        let Within { runtime, stream } = &mut *self;
        let _entered = enter(runtime);
        stream.as_mut().poll_next(context)
    }
}
