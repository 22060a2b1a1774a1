//! The connections of a tier, each kept up by a task of its own.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error as RedisError;
use fred::interfaces::ClientLike;
use fred::types::config::{Config, Server, ServerConfig, TcpConfig};
use fred::types::{Builder, ConnectHandle, RespVersion};
use store_core::{Error, ErrorKind, Result, Role};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backoff::{Backoff, LONGEST};
use crate::config::RedisConfig;
use crate::error::Failure;
use crate::link::Link;

/// How often the driver may send one command: once, and once more for each of the five redirections that a cluster may answer. It never sends again
/// what a broken connection had taken.
const SEND_ATTEMPTS: u32 = 6;

/// How many messages a listener may lag behind before some are lost.
const MOST_WAITING_MESSAGES: usize = 16_384;

/// The connections of a tier.
pub(crate) struct Pool {
    plan: Arc<Plan>,
    places: Vec<watch::Receiver<State>>,
    next: AtomicUsize,
    closed: watch::Sender<bool>,
    keepers: Mutex<Vec<JoinHandle<()>>>,
}

/// One connection's state, as its keeper last saw it.
enum State {
    Connecting,
    Up(Arc<Link>),
    Down(Failure),
}

/// How connections are made.
pub(crate) struct Plan {
    builder: Builder,
    dial_timeout: Duration,
    servers: String,
}

impl Pool {
    /// Starts to connect, in the background.
    pub(crate) fn start(config: &RedisConfig) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::InvalidConfig, "a Redis tier must be made within a Tokio runtime").with_tier(Role::Shared)
        })?;
        let plan = Arc::new(Plan::new(config)?);
        let (closed, _) = watch::channel(false);
        let mut places = Vec::with_capacity(config.pool_size);
        let mut keepers = Vec::with_capacity(config.pool_size);
        for number in 0..config.pool_size {
            let (state, place) = watch::channel(State::Connecting);
            keepers.push(runtime.spawn(keep_until_closed(number, Arc::clone(&plan), state, closed.subscribe())));
            places.push(place);
        }
        Ok(Pool { plan, places, next: AtomicUsize::new(0), closed, keepers: Mutex::new(keepers) })
    }

    /// Waits until every connection was tried once; an error if none came up.
    pub(crate) async fn first_attempts(&self) -> Result<()> {
        for place in &self.places {
            // A keeper ends only when the pool is closed.
            let _ = place.clone().wait_for(|state| !matches!(state, State::Connecting)).await;
        }
        self.link().map(drop)
    }

    /// The next of the connections that are up.
    pub(crate) fn link(&self) -> Result<Arc<Link>> {
        if *self.closed.borrow() {
            return Err(Self::closed_error());
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut failure = None;
        for offset in 0..self.places.len() {
            match &*self.places[first.wrapping_add(offset) % self.places.len()].borrow() {
                State::Up(link) => return Ok(Arc::clone(link)),
                State::Down(reason) => failure = Some(reason.to_error()),
                State::Connecting => {}
            }
        }
        Err(failure.unwrap_or_else(|| Error::new(ErrorKind::L2Unavailable, "Redis is not connected yet").with_tier(Role::Shared)))
    }

    /// How its connections are made.
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Waits until the pool is closed or dropped.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            // An error says that the pool was dropped.
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }

    /// What calls of a closed tier answer.
    pub(crate) fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "the Redis tier was closed").with_tier(Role::Shared)
    }

    /// Ends all connections. Calls under way fail.
    pub(crate) async fn close(&self) {
        self.closed.send_replace(true);
        let keepers = std::mem::take(&mut *self.keepers.lock().unwrap_or_else(PoisonError::into_inner));
        for keeper in keepers {
            let _ = keeper.await;
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = self.places.iter().filter(|place| matches!(*place.borrow(), State::Up(_))).count();
        f.debug_struct("Pool").field("connections", &self.places.len()).field("up", &up).finish_non_exhaustive()
    }
}

impl Plan {
    fn new(config: &RedisConfig) -> Result<Self> {
        let mut builder = Builder::from_config(Config {
            server: config.to_server_config(),
            username: config.credentials.username.clone(),
            password: config.credentials.password.clone(),
            database: config.database,
            tls: config
                .tls
                .as_ref()
                .map(|tls| tls.to_client_config())
                .transpose()?
                .map(|tls| fred::types::config::TlsConnector::from(tls).into()),
            ..Config::default()
        });
        // Without a reconnection policy the driver neither queues nor repeats commands: a broken connection fails them at once.
        builder.with_connection_config(|connection| {
            connection.connection_timeout = config.dial_timeout;
            connection.internal_command_timeout = config.dial_timeout;
            connection.max_command_attempts = SEND_ATTEMPTS;
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        });
        Ok(Plan { builder, dial_timeout: config.dial_timeout, servers: config.addresses() })
    }

    /// Connects as configured.
    async fn connect(&self) -> std::result::Result<(Arc<Link>, Driver), Failure> {
        self.connect_client(self.builder.build().map_err(Failure::from)?).await
    }

    /// Opens one connection of its own to a node of a cluster, or to the one server of anything else. It is never opened anew.
    pub(crate) async fn connect_to(&self, node: Option<&Server>) -> std::result::Result<(Arc<Link>, Driver), Failure> {
        self.connect_client(self.client_of(node, RespVersion::RESP2)?).await
    }

    /// A client for a node of a cluster, or for the one server of anything else, that listens to messages.
    pub(crate) async fn connect_listener(&self, node: Option<&Server>) -> std::result::Result<(Arc<Link>, Driver), Failure> {
        // The older protocol can send hardly anything on a connection that listens.
        self.connect_client(self.client_of(node, RespVersion::RESP3)?).await
    }

    fn client_of(&self, node: Option<&Server>, version: RespVersion) -> std::result::Result<Client, Failure> {
        let mut builder = self.builder.clone();
        builder.with_config(|config| {
            config.version = version;
            if let Some(server) = node {
                config.server = ServerConfig::Centralized { server: server.clone() };
            }
        });
        builder.with_performance_config(|performance| performance.broadcast_channel_capacity = MOST_WAITING_MESSAGES);
        builder.build().map_err(Failure::from)
    }

    async fn connect_client(&self, client: Client) -> std::result::Result<(Arc<Link>, Driver), Failure> {
        let attempt = tokio::time::timeout(self.dial_timeout, first_connection(&client)).await;
        let driver = attempt.map_err(|_| Failure::timeout("accept a connection", self.dial_timeout))?.map_err(Failure::from)?;
        Ok((Link::new(client), driver))
    }
}

async fn first_connection(client: &Client) -> std::result::Result<Driver, RedisError> {
    let mut connected = pin!(client.wait_for_connect());
    // Polled before the attempt begins, it cannot miss the outcome.
    let _ = futures_util::poll!(connected.as_mut());
    let driver = Driver(client.connect());
    connected.await.map(|()| driver)
}

/// The task that drives one client's sockets; they close when it is dropped.
#[derive(Debug)]
pub(crate) struct Driver(ConnectHandle);

impl Driver {
    /// Waits until the connection is lost, and says why.
    pub(crate) async fn end(&mut self) -> Failure {
        match (&mut self.0).await {
            Ok(Err(error)) => Failure::from(error),
            Ok(Ok(())) | Err(_) => Failure::new(ErrorKind::L2Unavailable, "the connection to Redis was closed"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_until_closed(number: usize, plan: Arc<Plan>, state: watch::Sender<State>, mut closed: watch::Receiver<bool>) {
    tokio::select! {
        // An error says that the pool was dropped.
        _ = closed.wait_for(|closed| *closed) => {}
        () = keep(number, &plan, &state) => {}
    }
    state.send_replace(State::Down(Failure::new(ErrorKind::Closed, "the Redis tier was closed")));
}

/// Connects, and connects again whenever the connection is lost.
async fn keep(number: usize, plan: &Plan, state: &watch::Sender<State>) {
    let mut backoff = Backoff::default();
    let mut failed_before = false;
    loop {
        match plan.connect().await {
            Ok((link, mut driver)) => {
                tracing::info!(connection = number, servers = %plan.servers, "connected to Redis");
                failed_before = false;
                state.send_replace(State::Up(Arc::clone(&link)));
                let failure = tokio::select! {
                    failure = driver.end() => failure,
                    () = link.stale() => Failure::new(ErrorKind::L2Unavailable, "Redis fell silent, or is no primary any more; connecting anew"),
                };
                tracing::warn!(connection = number, servers = %plan.servers, %failure, "lost the connection to Redis");
                state.send_replace(State::Down(failure));
                if link.age() > LONGEST {
                    backoff.reset();
                }
            }
            Err(failure) => {
                let failure = failure.while_connecting_to(&plan.servers);
                if failed_before {
                    tracing::debug!(connection = number, %failure, "still cannot connect to Redis");
                } else {
                    tracing::warn!(connection = number, %failure, "cannot connect to Redis; will try for ever");
                }
                failed_before = true;
                state.send_replace(State::Down(failure));
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}
