//! Callers that work at the same time.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

/// Lets so many callers work, each in a task of its own, and tells how long it took until the last one was done.
pub(crate) async fn at_once<W>(callers: usize, mut work: impl FnMut(usize) -> W) -> Result<Duration>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let works: Vec<W> = (0..callers).map(&mut work).collect();
    let begin = Instant::now();
    for work in works {
        tasks.spawn(work);
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(begin.elapsed())
}

/// Nanoseconds for each of so many operations that came one after the other.
pub(crate) fn nanoseconds_each(took: Duration, operations: usize) -> f64 {
    took.as_nanos() as f64 / operations as f64
}
