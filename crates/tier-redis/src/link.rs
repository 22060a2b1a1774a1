//! One live connection to Redis; in a cluster, one to each master.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error as RedisError;
use fred::interfaces::{ClientLike, ClusterInterface};
use fred::types::Value;
use fred::types::config::{Options, Server};
use store_core::{ErrorKind, Result};
use tokio::sync::Notify;

use crate::command::{Command, round_trips};
use crate::error::{Failure, is_demoted, is_missing_script};
use crate::scripts::Script;

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
}

/// The arguments of a script that touches one key.
#[derive(Debug, Clone)]
pub(crate) struct ScriptCall {
    pub(crate) key: Bytes,
    pub(crate) arguments: Vec<Bytes>,
}

impl ScriptCall {
    fn size(&self) -> usize {
        self.key.len() + self.arguments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The command that runs a script, given by its hash or by its source.
    fn command(&self, name: &'static str, script: &'static [u8]) -> Command {
        let mut arguments = Vec::with_capacity(3 + self.arguments.len());
        arguments.extend([Bytes::from_static(script), Bytes::from_static(b"1"), self.key.clone()]);
        arguments.extend(self.arguments.iter().cloned());
        Command::new(name, Some(2), arguments)
    }
}

impl Link {
    pub(crate) fn new(client: Client) -> Arc<Self> {
        Arc::new(Link {
            client,
            since: Instant::now(),
            last_reply: AtomicU64::new(0),
            stale: Notify::new(),
            knows_leasing_set: AtomicBool::new(true),
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

    /// The masters of a cluster; `None` for the one server of anything else.
    pub(crate) fn masters(&self) -> Vec<Option<Server>> {
        match self.client.cached_cluster_state() {
            Some(state) => state.unique_primary_nodes().into_iter().map(Some).collect(),
            None => vec![None],
        }
    }

    /// Runs commands in their order, in as few round trips as their number and size allow.
    pub(crate) async fn run(&self, commands: Vec<Command>, limit: Duration) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(commands.len());
        for trip in round_trips(commands, Command::size) {
            replies.append(&mut self.round_trip(trip, limit).await?);
        }
        Ok(replies)
    }

    /// Runs one command, if wanted on a certain node.
    pub(crate) async fn run_on(&self, node: Option<&Server>, command: Command, limit: Duration) -> Result<Value> {
        let (command, arguments) = command.into_parts();
        let options = Options { cluster_node: node.cloned(), ..Options::default() };
        let client = self.client.with_options(&options);
        let reply = self.within(limit, client.custom::<Value, Value>(command, arguments)).await?;
        reply.map_err(|error| Failure::from(error).into())
    }

    /// Runs a script for each of several keys, in their order.
    pub(crate) async fn run_script(&self, script: &'static Script, calls: Vec<ScriptCall>, limit: Duration) -> Result<Vec<Reply>> {
        let mut answers = Vec::with_capacity(calls.len());
        for trip in round_trips(calls, ScriptCall::size) {
            let commands = trip.iter().map(|call| call.command("EVALSHA", script.sha1().as_bytes())).collect();
            let mut replies = self.round_trip(commands, limit).await?;
            let missing: Vec<usize> = (0..replies.len()).filter(|&index| replies[index].as_ref().is_err_and(is_missing_script)).collect();
            if !missing.is_empty() {
                // The server restarted, failed over, or flushed its scripts. Running one by its source makes the server keep it.
                let commands = missing.iter().map(|&index| trip[index].command("EVAL", script.source.as_bytes())).collect();
                for (index, reply) in missing.into_iter().zip(self.round_trip(commands, limit).await?) {
                    replies[index] = reply;
                }
            }
            answers.append(&mut replies);
        }
        Ok(answers)
    }

    async fn round_trip(&self, commands: Vec<Command>, limit: Duration) -> Result<Vec<Reply>> {
        let expected = commands.len();
        let pipeline = self.client.pipeline();
        for command in commands {
            let (command, arguments) = command.into_parts();
            pipeline.custom::<(), Value>(command, arguments).await.map_err(Failure::from)?;
        }
        let mut replies = self.within(limit, pipeline.try_all::<Value>()).await?;
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

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("age", &self.age()).field("knows_leasing_set", &self.knows_leasing_set()).finish_non_exhaustive()
    }
}
