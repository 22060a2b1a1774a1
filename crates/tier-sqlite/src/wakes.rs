//! Noticing commits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use rusqlite::Connection;
use store_core::Result;
use store_core::facet::{Heard, Wake, Wakes};
use tokio::sync::mpsc;

use crate::error::{self, Origin};
use crate::tier::SqliteTier;
use crate::workers::Worker;

/// The time between two looks at the file: what a commit waits for, at most, before it is noticed. Looking this often takes about 0.3 % of a core.
const INTERVAL: Duration = Duration::from_millis(20);

/// The time before a file that could not be looked at is tried again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Commits are noticed by whoever listens: SQLite counts them in the file, for all processes, and a thread with a connection of its own looks at the
/// count fifty times a second. Commits of this process and of other programs count too.
#[async_trait]
impl Wakes for SqliteTier {
    /// Does nothing: listeners notice the commit itself.
    async fn publish(&self, _: &[Wake]) -> Result<()> {
        Ok(())
    }

    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard> {
        stream::unfold((self, None), |(tier, mut changes)| async move {
            loop {
                let Some(receiver) = &mut changes else {
                    changes = Some(tier.watch().await?);
                    continue;
                };
                if receiver.recv().await.is_some() {
                    return Some((Heard::Changed, (tier, changes)));
                }
                changes = None;
                if !tier.listeners().is_closed() {
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        })
        .fuse()
        .boxed()
    }
}

impl SqliteTier {
    /// Starts a watch over the file: a message at its start, and one after commits; the end of messages when the file cannot be watched.
    /// `None` after the tier was closed.
    async fn watch(&self) -> Option<mpsc::Receiver<()>> {
        // One message that waits stands for all commits before it is taken.
        let (sender, changes) = mpsc::channel(1);
        let watch = move |worker: Result<&mut Worker>| {
            if let Err(error) = worker.and_then(|worker| watch(worker, &sender)) {
                tracing::debug!(%error, "commits to the SQLite file go unnoticed until they are polled");
            }
        };
        self.listeners().submit(watch).await.ok().map(|()| changes)
    }
}

/// Tells of commits until nobody listens or the tier is closed.
fn watch(worker: &mut Worker, changes: &mpsc::Sender<()>) -> Result<()> {
    let mut known = None;
    while !changes.is_closed() {
        let count = commits(&worker.connection).map_err(|error| error::from_sqlite(error, Origin::Own))?;
        if known.replace(count) != Some(count) {
            // Where there is no room, the message that waits stands for this commit too.
            let _ = changes.try_send(());
        }
        if !worker.pause(INTERVAL) {
            break;
        }
    }
    Ok(())
}

/// A number that changes with each commit of any other connection, in this process or in another.
fn commits(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
