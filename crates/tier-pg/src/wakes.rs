//! Waking the followers of the log: `NOTIFY` without content, on a channel for each schema that holds a log.
//!
//! A `NOTIFY` in a transaction that writes would make all writers commit one after the other. So it is sent by itself after them, and at most once in a
//! while: it says that there is something to read, not what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use store_core::Result;
use store_core::facet::Heard;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::closing::Open;
use crate::connect::{Connector, OpenConnection};
use crate::error::{Attempt, Failure};
use crate::pool::{Pool, within};

/// The least time between two notifications; all that is published within it shares one.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a silent connection is asked for a sign of life: its network may have gone without a word.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a listener waits before it connects again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A name of any schema fits into that of a channel as its hash.
macro_rules! channel {
    () => {
        "'strata_' || md5(coalesce(current_schema(), ''))"
    };
}

const NOTIFY: &str = concat!("SELECT pg_notify(", channel!(), ", '')");
const CHANNEL: &str = concat!("SELECT ", channel!());

/// Sends notifications.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    asked: AtomicU64,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// How many had asked when the last notification was sent.
    asked: u64,
    at: Option<Instant>,
}

impl Notifier {
    /// Returns once a notification was sent that was begun after this call: its own, or one of another call's.
    pub(crate) async fn notify(&self, pool: &Pool) -> Result<()> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut sent = self.sent.lock().await;
        if sent.asked >= number {
            return Ok(());
        }
        if let Some(at) = sent.at {
            sleep_until(at + PAUSE).await;
        }
        let asked = self.asked.load(Ordering::SeqCst);
        pool.read(NOTIFY, &[], Attempt::Log).await?;
        *sent = Sent { asked, at: Some(Instant::now()) };
        Ok(())
    }
}

/// Listens until the tier is closed, on a connection of its own.
pub(crate) fn listen(connector: Arc<Connector>, limit: Duration, open: Open) -> BoxStream<'static, Heard> {
    let listener = Listener { connector, limit, connection: None, pause: Duration::ZERO };
    stream::unfold((listener, open), |(mut listener, mut open)| async move {
        let heard = open.run(listener.next()).await?;
        Some((heard, (listener, open)))
    })
    .boxed()
}

struct Listener {
    connector: Arc<Connector>,
    /// The limit for one answer of the server.
    limit: Duration,
    connection: Option<(OpenConnection, mpsc::Receiver<()>)>,
    /// How long to wait before the next attempt to connect.
    pause: Duration,
}

impl Listener {
    async fn next(&mut self) -> Heard {
        loop {
            match &mut self.connection {
                Some((connection, notified)) => match timeout(SILENCE, notified.recv()).await {
                    Ok(Some(())) => return Heard::Changed,
                    Err(_) if lives(connection, self.limit).await => {}
                    Ok(None) | Err(_) => self.connection = None,
                },
                None => {
                    sleep(self.pause).await;
                    match self.connect().await {
                        Ok(connection) => {
                            self.connection = Some(connection);
                            self.pause = BACKOFF.0;
                            return Heard::Changed;
                        }
                        Err(error) => {
                            tracing::debug!(%error, "notifications of PostgreSQL cannot be heard; commits are found by reading the log");
                            self.pause = (self.pause * 2).clamp(BACKOFF.0, BACKOFF.1);
                        }
                    }
                }
            }
        }
    }

    async fn connect(&self) -> Result<(OpenConnection, mpsc::Receiver<()>)> {
        let (connection, notified) = self.connector.open_notified().await?;
        let listening = within(self.limit, async {
            let channel: String = connection.client.query_one(CHANNEL, &[]).await?.try_get(0)?;
            Ok(connection.client.batch_execute(&format!("LISTEN \"{channel}\"")).await?)
        });
        listening.await.map_err(|failure: Failure| failure.into_error(Attempt::Log))?;
        Ok((connection, notified))
    }
}

async fn lives(connection: &OpenConnection, limit: Duration) -> bool {
    matches!(timeout(limit, connection.client.batch_execute("")).await, Ok(Ok(())))
}
