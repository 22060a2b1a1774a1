//! How every call of a collection runs.

use super::Pipeline;
use super::sealing::named_by_field;
use crate::error::{Error, Result};
use crate::schema::Schema;

impl<T: Schema> Pipeline<T> {
    /// Runs a call within the store's runtime if it is polled outside of any, and says and counts what its error should tell.
    ///
    /// The call lies on the heap, so that a program's own futures do not grow by all that it goes through.
    pub(crate) fn call<R>(&self, operation: &'static str, call: impl Future<Output = Result<R>>) -> impl Future<Output = Result<R>> {
        let call = Box::pin(call);
        async move { self.shared.life.within(call).await.map_err(|error| self.report(operation, error)) }
    }

    /// As [`call`](Self::call), for one key.
    pub(crate) fn call_for<R>(
        &self,
        operation: &'static str,
        key: String,
        call: impl Future<Output = Result<R>>,
    ) -> impl Future<Output = Result<R>> {
        self.call(operation, async { call.await.map_err(|error| error.with_key(key)) })
    }

    /// Adds what every error of a call should say, and counts it.
    pub(crate) fn report(&self, operation: &'static str, error: Error) -> Error {
        self.counters().errors.add(1);
        named_by_field(error, self.schema.definition()).with_schema(self.schema.name()).with_operation(operation)
    }
}
