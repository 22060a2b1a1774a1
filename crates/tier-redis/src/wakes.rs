//! The wakes facet, by pub/sub.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::Message;
use futures_util::stream::{self, BoxStream, StreamExt};
use store_core::Result;
use store_core::facet::{Heard, Wake, Wakes};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::backoff::{Backoff, LONGEST};
use crate::command::Command;
use crate::link::Link;
use crate::pool::Driver;
use crate::{RedisTier, message, random};

/// How long a listener lets its connection be silent before it asks for a sign of life.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

#[async_trait]
impl Wakes for RedisTier {
    async fn publish(&self, wakes: &[Wake]) -> Result<()> {
        if wakes.is_empty() {
            return Ok(());
        }
        let channel = Bytes::from(self.channel.clone());
        let command = |wake| Command::new("PUBLISH", None, vec![channel.clone(), Bytes::from(message::encode(wake))]);
        self.pool.link()?.run_checked(wakes.iter().map(command).collect(), self.write_timeout).await.map(drop)
    }

    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard> {
        let closed = self.pool.closed();
        let listener =
            Listener { tier: Arc::downgrade(&self), connection: None, backoff: Backoff::default(), failed_before: false, warned: false };
        stream::unfold(listener, Listener::next).take_until(Box::pin(closed)).boxed()
    }
}

/// A connection of its own, kept up for as long as somebody asks for what it hears.
struct Listener {
    tier: Weak<RedisTier>,
    connection: Option<Connection>,
    backoff: Backoff,
    /// Whether the last attempt to connect failed.
    failed_before: bool,
    /// Whether it was told of content that is no message.
    warned: bool,
}

struct Connection {
    link: Arc<Link>,
    driver: Driver,
    messages: Receiver<Message>,
    limit: Duration,
}

impl Listener {
    async fn next(mut self) -> Option<(Heard, Self)> {
        loop {
            let heard = match &mut self.connection {
                Some(connection) => connection.next().await,
                None => {
                    self.connect().await?;
                    return Some((Heard::Changed, self));
                }
            };
            match heard {
                Ok(Some(message)) => match message.value.as_bytes().and_then(message::decode) {
                    Some(wake) => return Some((Heard::Wake(wake), self)),
                    None => self.tell_of_foreign_content(&message),
                },
                Ok(None) => return Some((Heard::Changed, self)),
                Err(reason) => {
                    tracing::warn!(%reason, "lost the connection that hears messages of other instances");
                    if self.connection.take().is_some_and(|connection| connection.link.age() > LONGEST) {
                        self.backoff.reset();
                    }
                    tokio::time::sleep(self.backoff.next_delay()).await;
                }
            }
        }
    }

    /// Connects, with as many attempts as it takes; `None` once the tier is gone.
    async fn connect(&mut self) -> Option<()> {
        loop {
            match self.tier.upgrade()?.connect_listener().await {
                Ok(connection) => {
                    self.failed_before = false;
                    self.connection = Some(connection);
                    return Some(());
                }
                Err(error) if self.failed_before => tracing::debug!(%error, "still cannot hear messages of other instances"),
                Err(error) => tracing::warn!(%error, "cannot hear messages of other instances; will try for ever"),
            }
            self.failed_before = true;
            tokio::time::sleep(self.backoff.next_delay()).await;
        }
    }

    fn tell_of_foreign_content(&mut self, message: &Message) {
        let channel = &*message.channel;
        if self.warned {
            tracing::debug!(channel, "ignored what is no message");
        } else {
            tracing::warn!(
                channel,
                "ignored what is no message; another program may use the channel. More of it is told at the level of debugging"
            );
        }
        self.warned = true;
    }
}

impl RedisTier {
    async fn connect_listener(&self) -> Result<Connection> {
        // Every node of a cluster hears what any node is told.
        let mut nodes = self.pool.link()?.masters();
        let node = nodes.swap_remove(random::below(nodes.len()));
        let (link, driver) = self.pool.plan().connect_listener(node.as_ref()).await?;
        let messages = link.subscribe(&self.channel, self.read_timeout).await?;
        Ok(Connection { link, driver, messages, limit: self.read_timeout })
    }
}

impl Connection {
    /// The next message, or `None` where some were lost.
    async fn next(&mut self) -> std::result::Result<Option<Message>, String> {
        loop {
            tokio::select! {
                biased;
                message = self.messages.recv() => return match message {
                    Ok(message) => Ok(Some(message)),
                    Err(RecvError::Lagged(_)) => Ok(None),
                    Err(RecvError::Closed) => Err("the driver ended".to_owned()),
                },
                failure = self.driver.end() => return Err(failure.to_string()),
                () = tokio::time::sleep(LONGEST_SILENCE) => {
                    let ping = Command::new("PING", None, Vec::new());
                    self.link.run_one(ping, self.limit).await.map_err(|error| error.to_string())?;
                }
            }
        }
    }
}
