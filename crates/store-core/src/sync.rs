//! The locks, tasks and pauses of code whose interleavings are explored: the usual ones, or under `--cfg shuttle` those of the explorer.

#[cfg(not(all(test, shuttle)))]
mod usual {
    pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

    pub(crate) use tokio::time::sleep;

    /// Starts a task; dropping the handle leaves it alone.
    pub(crate) fn spawn<R: Send + 'static>(
        runtime: &tokio::runtime::Handle,
        task: impl Future<Output = R> + Send + 'static,
    ) -> tokio::task::JoinHandle<R> {
        runtime.spawn(task)
    }
}

#[cfg(all(test, shuttle))]
mod explored {
    use std::time::Duration;

    pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, RwLock};

    pub(crate) fn spawn<R: Send + 'static>(
        _: &tokio::runtime::Handle,
        task: impl Future<Output = R> + Send + 'static,
    ) -> impl Future<Output = Result<R, tokio::task::JoinError>> {
        let task = shuttle::future::spawn(task);
        async move { Ok(task.await.expect("no task is aborted")) }
    }

    /// Runs a test under many interleavings: as many as the variable `STRATA_INTERLEAVINGS` says, half of them at random and half by priorities that change at a
    /// few points, which finds what takes one long delay.
    pub(crate) fn explore(test: fn()) {
        let given = std::env::var("STRATA_INTERLEAVINGS").map(|text| text.parse().expect("a number"));
        let half = given.unwrap_or(1_000) / 2;
        let config = || {
            let mut config = shuttle::Config::new();
            // Futures of an unoptimised build are large.
            config.stack_size = 1 << 20;
            config
        };
        // Nobody drives it: time limits never end, tasks are the explorer's.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
        // Nor does anybody end it: it would wake what a failed test left waiting, beyond the explorer's reach.
        let runtime = std::mem::ManuallyDrop::new(runtime);
        let _context = runtime.enter();
        shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(half), config()).run(test);
        shuttle::Runner::new(shuttle::scheduler::PctScheduler::new(3, half), config()).run(test);
    }

    /// Lets others run: time stands still.
    pub(crate) async fn sleep(_: Duration) {
        shuttle::future::yield_now().await;
    }
}

#[cfg(all(test, shuttle))]
pub(crate) use explored::*;
#[cfg(not(all(test, shuttle)))]
pub(crate) use usual::*;
