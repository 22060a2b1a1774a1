//! One live connection to Redis; in a cluster, one to each master.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error as RedisError;
use fred::interfaces::{ClientLike, ClusterInterface, EventInterface, PubsubInterface};
use fred::types::config::Server;
use fred::types::{Message, Value};
use store_core::{ErrorKind, Result};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;

use crate::command::{Command, round_trips};
use crate::error::{Failure, is_demoted, is_redirection};
use crate::keys::Keys;
use crate::shards::Shards;

/// What the server said to one command.
pub(crate) type Reply = std::result::Result<Value, RedisError>;

/// A connection that was up when it was handed out.
pub(crate) struct Link {
    client: Client,
    since: Instant,
    /// When the last reply came, in microseconds after `since`.
    last_reply: AtomicU64,
    /// Told when the connection should be given up.
    stale: Notify,
    knows_leasing_set: AtomicBool,
    shards: Mutex<Option<Arc<Shards>>>,
}

impl Link {
    pub(crate) fn new(client: Client) -> Arc<Self> {
        Arc::new(Link {
            client,
            since: Instant::now(),
            last_reply: AtomicU64::new(0),
            stale: Notify::new(),
            knows_leasing_set: AtomicBool::new(true),
            shards: Mutex::default(),
        })
    }

    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether the server knows `SET` with both `NX` and `GET`, as far as was seen.
    pub(crate) fn knows_leasing_set(&self) -> bool {
        self.knows_leasing_set.load(Ordering::Relaxed)
    }

    pub(crate) fn lacks_leasing_set(&self) {
        self.knows_leasing_set.store(false, Ordering::Relaxed);
    }

    /// Waits until the connection should be given up.
    pub(crate) async fn stale(&self) {
        self.stale.notified().await;
    }

    /// The shards, as this connection last saw them.
    pub(crate) fn shards(&self, keys: &Keys) -> Arc<Shards> {
        let mut known = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = self.client.cached_cluster_state();
        let ranges = cluster.as_ref().map(|cluster| cluster.slots()).unwrap_or_default();
        match &*known {
            Some(shards) if shards.is_of_cluster(ranges) => Arc::clone(shards),
            _ => {
                let shards = Arc::new(if cluster.is_some() { Shards::of_cluster(ranges, keys) } else { Shards::of_server(keys) });
                *known = Some(Arc::clone(&shards));
                shards
            }
        }
    }

    pub(crate) fn is_of_cluster(&self) -> bool {
        self.client.is_clustered()
    }

    /// The masters of a cluster; `None` for the one server of anything else.
    pub(crate) fn masters(&self) -> Vec<Option<Server>> {
        match self.client.cached_cluster_state() {
            Some(state) => state.unique_primary_nodes().into_iter().map(Some).collect(),
            None => vec![None],
        }
    }

    /// Asks the cluster which master owns what.
    pub(crate) async fn refresh_shards(&self, limit: Duration) -> Result<()> {
        self.within(limit, self.client.sync_cluster()).await?.map_err(|error| Failure::from(error).into())
    }

    /// Subscribes to a channel. Messages come once this has succeeded.
    pub(crate) async fn subscribe(&self, channel: &str, limit: Duration) -> Result<Receiver<Message>> {
        let messages = self.client.message_rx();
        self.within(limit, self.client.subscribe(channel)).await?.map_err(Failure::from)?;
        // The driver does not wait for the server's consent, which comes before this reply.
        self.run_one(Command::new("PING", None, Vec::new()), limit).await?;
        Ok(messages)
    }

    /// Runs commands in their order, in as few round trips as their number and size allow.
    pub(crate) async fn run(&self, commands: Vec<Command>, limit: Duration) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(commands.len());
        for trip in round_trips(commands, Command::size) {
            replies.append(&mut self.round_trip(trip, limit).await?);
        }
        Ok(replies)
    }

    /// Runs commands, none of which should be answered by an error.
    pub(crate) async fn run_checked(&self, commands: Vec<Command>, limit: Duration) -> Result<Vec<Value>> {
        values(self.run(commands, limit).await?)
    }

    /// Runs one command.
    pub(crate) async fn run_one(&self, command: Command, limit: Duration) -> Result<Value> {
        let options = command.options().unwrap_or_default();
        let (command, arguments) = command.into_parts();
        let client = self.client.with_options(&options);
        let reply = self.within(limit, client.custom::<Value, Value>(command, arguments)).await?;
        reply.map_err(|error| Failure::from(error).into())
    }

    /// Runs commands in one round trip, each on its node and no other; `None` if one of them has moved to another. Some may have been done then.
    pub(crate) async fn pinned_trip(&self, commands: Vec<Command>, limit: Duration) -> Result<Option<Vec<Reply>>> {
        let expected = commands.len();
        let replies = self.send(commands, limit).await?;
        if replies.iter().any(|reply| reply.as_ref().is_err_and(is_redirection)) {
            return Ok(None);
        }
        self.complete(expected, replies).map(Some)
    }

    /// Runs commands in one round trip.
    pub(crate) async fn round_trip(&self, commands: Vec<Command>, limit: Duration) -> Result<Vec<Reply>> {
        let expected = commands.len();
        let replies = self.send(commands, limit).await?;
        self.complete(expected, replies)
    }

    async fn send(&self, commands: Vec<Command>, limit: Duration) -> Result<Vec<Reply>> {
        let pipeline = self.client.pipeline();
        for command in commands {
            let options = command.options();
            let (command, arguments) = command.into_parts();
            match options {
                None => pipeline.custom::<(), Value>(command, arguments).await,
                Some(options) => pipeline.with_options(&options).custom::<(), Value>(command, arguments).await,
            }
            .map_err(Failure::from)?;
        }
        self.within(limit, pipeline.try_all::<Value>()).await
    }

    /// Makes sure that each command was answered.
    fn complete(&self, expected: usize, mut replies: Vec<Reply>) -> Result<Vec<Reply>> {
        if replies.len() != expected {
            // The driver answers a broken connection by one error for all.
            let failure = match replies.pop() {
                Some(Err(error)) => Failure::from(error),
                _ => Failure::new(ErrorKind::L2Unavailable, "the connection to Redis was lost"),
            };
            return Err(failure.into());
        }
        if replies.iter().any(|reply| reply.as_ref().is_err_and(is_demoted)) {
            self.stale.notify_one();
        }
        Ok(replies)
    }

    async fn within<T>(&self, limit: Duration, answer: impl Future<Output = T>) -> Result<T> {
        let sent = self.microseconds();
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => {
                self.last_reply.fetch_max(self.microseconds(), Ordering::Relaxed);
                Ok(answer)
            }
            Err(_) => {
                // Nothing at all came back: what is sent next would only queue up behind. A cluster's other nodes prove nothing about the silent one.
                if self.client.is_clustered() || self.last_reply.load(Ordering::Relaxed) <= sent {
                    self.stale.notify_one();
                }
                Err(Failure::timeout("answer", limit).into())
            }
        }
    }

    fn microseconds(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The values of replies of which none should be an error.
pub(crate) fn values(replies: impl IntoIterator<Item = Reply>) -> Result<Vec<Value>> {
    replies.into_iter().map(|reply| reply.map_err(|error| Failure::from(error).into())).collect()
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("age", &self.age()).field("knows_leasing_set", &self.knows_leasing_set()).finish_non_exhaustive()
    }
}
