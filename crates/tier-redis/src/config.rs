//! What a tier connects to, and how.

use std::fmt;
use std::time::Duration;

use fred::types::config::{Server, ServerConfig};
use store_core::{Error, ErrorKind, Result, Role};

use crate::tls::RedisTls;
use crate::url;

const DEFAULT_POOL_SIZE: usize = 4;
const DEFAULT_DIAL_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_KEY_ROOT: &str = "strata";
const MOST_CONNECTIONS: usize = 1_024;

/// What a [`RedisTier`](crate::RedisTier) connects to, and how.
///
/// | setting | default |
/// |---|---|
/// | pool size | 4 |
/// | dial limit | 5 s |
/// | read limit | 1 s |
/// | write limit | 1 s |
/// | key root | `strata` |
/// | invalidation channel | `strata:invalidate`, with the key root in place of `strata` |
/// | username, password, database, TLS | none |
///
/// ```
/// use std::time::Duration;
/// use tier_redis::RedisConfig;
///
/// let config = RedisConfig::from_url("redis://app:secret@127.0.0.1:6379/2")?
///     .with_pool_size(8)
///     .with_read_timeout(Duration::from_millis(250));
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    pub(crate) topology: Topology,
    pub(crate) credentials: Credentials,
    pub(crate) database: Option<u8>,
    pub(crate) tls: Option<RedisTls>,
    pub(crate) pool_size: usize,
    pub(crate) dial_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) key_root: String,
    pub(crate) invalidation_channel: Option<String>,
}

/// Which servers there are.
#[derive(Debug, Clone)]
pub(crate) enum Topology {
    Standalone(Address),
    Cluster(Vec<Address>),
    Sentinel { service: String, sentinels: Vec<Address>, credentials: Credentials },
}

/// The host, an IPv6 address without brackets, and port of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl RedisConfig {
    /// Reads a URL:
    ///
    /// - `redis://[[username]:password@]host[:port][/database]`, the port 6379 unless given;
    /// - `redis-cluster://[[username]:password@]host[:port][?node=host:port]…`, with any nodes of a Redis Cluster, which name the others;
    /// - `redis-sentinel://[[username]:password@]host[:port][/database]?sentinelServiceName=name[&node=host:port]…`, with any sentinels, their port
    ///   26379 unless given. Username and password are those of the servers; the sentinels' own are `&sentinelUsername=…&sentinelPassword=…`.
    ///
    /// `rediss://`, `rediss-cluster://` and `rediss-sentinel://` are the same over TLS, verified as [`RedisTls::new`] says. `valkey` can stand in place of
    /// `redis`. What is no letter, digit or one of `-._~` in a name or password is written as `%XX`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig), which says what is wrong and holds no part of the URL that could be a password.
    pub fn from_url(url: &str) -> Result<Self> {
        url::parse(url)
    }

    /// One server, or one address behind which the right server always stands.
    pub fn standalone(host: impl Into<String>, port: u16) -> Self {
        Self::new(Topology::Standalone(Address { host: host.into(), port }))
    }

    /// A Redis Cluster, of which any nodes are named; they name the others.
    pub fn cluster<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self::new(Topology::Cluster(addresses(nodes)))
    }

    /// The primary that the sentinels hold for the one of a service. Any sentinels are named; they name the others.
    pub fn sentinel<H: Into<String>>(service: impl Into<String>, sentinels: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self::new(Topology::Sentinel { service: service.into(), sentinels: addresses(sentinels), credentials: Credentials::default() })
    }

    pub(crate) fn new(topology: Topology) -> Self {
        RedisConfig {
            topology,
            credentials: Credentials::default(),
            database: None,
            tls: None,
            pool_size: DEFAULT_POOL_SIZE,
            dial_timeout: DEFAULT_DIAL_TIMEOUT,
            read_timeout: DEFAULT_READ_TIMEOUT,
            write_timeout: DEFAULT_WRITE_TIMEOUT,
            key_root: DEFAULT_KEY_ROOT.to_owned(),
            invalidation_channel: None,
        }
    }

    /// The user to log in as; without one, the server's `default` user.
    #[must_use]
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.credentials.username = Some(username.into());
        self
    }

    /// The password of the user. A server that asks its `default` user for none takes any.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.credentials.password = Some(password.into());
        self
    }

    /// The user to log in to the sentinels as, and the password. It counts only for [`sentinel`](Self::sentinel) configurations.
    #[must_use]
    pub fn with_sentinel_credentials(mut self, username: Option<String>, password: impl Into<String>) -> Self {
        if let Topology::Sentinel { credentials, .. } = &mut self.topology {
            *credentials = Credentials { username, password: Some(password.into()) };
        }
        self
    }

    /// The database to select; a Redis Cluster has none but 0.
    #[must_use]
    pub fn with_database(mut self, database: u8) -> Self {
        self.database = Some(database);
        self
    }

    /// Encrypts the connections.
    #[must_use]
    pub fn with_tls(mut self, tls: RedisTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How many connections there are, each to every master in a Redis Cluster. Calls share them, and none waits for another.
    #[must_use]
    pub fn with_pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// The time that one attempt to connect may take: resolving, connecting, TLS, and logging in.
    #[must_use]
    pub fn with_dial_timeout(mut self, limit: Duration) -> Self {
        self.dial_timeout = limit;
        self
    }

    /// The time that one round trip of a reading call may take.
    #[must_use]
    pub fn with_read_timeout(mut self, limit: Duration) -> Self {
        self.read_timeout = limit;
        self
    }

    /// The time that one round trip of a writing call may take.
    #[must_use]
    pub fn with_write_timeout(mut self, limit: Duration) -> Self {
        self.write_timeout = limit;
        self
    }

    /// What every key begins with, so that several applications can share a database: a key is `{root}:{schema}:{id}`.
    #[must_use]
    pub fn with_key_root(mut self, root: impl Into<String>) -> Self {
        self.key_root = root.into();
        self
    }

    /// The pub/sub channel by which instances wake each other, and other programs invalidate records. Unless set, it is `{key root}:invalidate`.
    ///
    /// All instances of a store must have the same. Pub/sub knows no databases: applications that share a server, in whatever databases, need key roots
    /// or channels of their own.
    #[must_use]
    pub fn with_invalidation_channel(mut self, channel: impl Into<String>) -> Self {
        self.invalidation_channel = Some(channel.into());
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let addresses = match &self.topology {
            Topology::Standalone(address) => std::slice::from_ref(address),
            Topology::Cluster(nodes) => nodes,
            Topology::Sentinel { sentinels, .. } => sentinels,
        };
        if addresses.is_empty() {
            return Err(invalid("no server is named; give at least one host and port"));
        }
        if addresses.iter().any(|address| address.host.is_empty() || address.port == 0) {
            return Err(invalid("a server has an empty host or port 0"));
        }
        self.credentials.validate("the password of the Redis user is missing")?;
        match &self.topology {
            Topology::Sentinel { service, .. } if service.is_empty() => {
                return Err(invalid(
                    "the name of the service is missing, under which the sentinels know the primary (`sentinelServiceName`)",
                ));
            }
            Topology::Sentinel { credentials, .. } => credentials.validate("the password of the sentinels' user is missing")?,
            Topology::Cluster(_) if self.database.is_some_and(|database| database != 0) => {
                return Err(invalid("a Redis Cluster has no database but number 0; leave the database out"));
            }
            Topology::Cluster(_) | Topology::Standalone(_) => {}
        }
        if self.pool_size == 0 || self.pool_size > MOST_CONNECTIONS {
            return Err(invalid(format!("the pool size is {}; choose 1 to {MOST_CONNECTIONS}", self.pool_size)));
        }
        for (name, limit) in [("dial", self.dial_timeout), ("read", self.read_timeout), ("write", self.write_timeout)] {
            if limit < Duration::from_millis(1) {
                return Err(invalid(format!("the {name} limit is {limit:?}; choose at least a millisecond")));
            }
        }
        if self.key_root.is_empty() || self.key_root.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(invalid("the key root is empty or holds white space"));
        }
        if matches!(self.topology, Topology::Cluster(_)) && self.key_root.contains("{}") {
            return Err(invalid("the key root holds `{}`, which keeps a Redis Cluster from seeing hash tags; leave it out"));
        }
        if self.invalidation_channel.as_ref().is_some_and(String::is_empty) {
            return Err(invalid("the invalidation channel is empty; name one, or leave it out"));
        }
        Ok(())
    }

    /// The addresses, for messages.
    pub(crate) fn addresses(&self) -> String {
        let (kind, addresses) = match &self.topology {
            Topology::Standalone(address) => ("", std::slice::from_ref(address)),
            Topology::Cluster(nodes) => ("the cluster of ", nodes.as_slice()),
            Topology::Sentinel { sentinels, .. } => ("the primary known to the sentinels ", sentinels.as_slice()),
        };
        let list: Vec<String> = addresses.iter().map(Address::to_string).collect();
        format!("{kind}{}", list.join(", "))
    }

    pub(crate) fn to_server_config(&self) -> ServerConfig {
        let is_tls = self.tls.is_some();
        let servers = |addresses: &[Address]| addresses.iter().map(|address| address.to_server(is_tls)).collect();
        match &self.topology {
            Topology::Standalone(address) => ServerConfig::Centralized { server: address.to_server(is_tls) },
            Topology::Cluster(nodes) => {
                ServerConfig::Clustered { hosts: servers(nodes), policy: fred::types::config::ClusterDiscoveryPolicy::ConfigEndpoint }
            }
            Topology::Sentinel { service, sentinels, credentials } => ServerConfig::Sentinel {
                hosts: servers(sentinels),
                service_name: service.clone(),
                username: credentials.username.clone(),
                password: credentials.password.clone(),
            },
        }
    }
}

impl Address {
    fn to_server(&self, is_tls: bool) -> Server {
        // The driver joins host and port by a colon, and takes the host for the certificate's name unless told otherwise.
        match self.host.contains(':') {
            true => Server::new_with_tls(format!("[{}]", self.host), self.port, is_tls.then(|| self.host.clone())),
            false => Server::new(self.host.clone(), self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Credentials {
    fn validate(&self, without_password: &'static str) -> Result<()> {
        if self.username.is_some() && self.password.is_none() { Err(invalid(without_password)) } else { Ok(()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).field("password", &self.password.as_ref().map(|_| "***")).finish()
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("topology", &self.topology)
            .field("credentials", &self.credentials)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("pool_size", &self.pool_size)
            .field("dial_timeout", &self.dial_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("key_root", &self.key_root)
            .field("invalidation_channel", &self.invalidation_channel)
            .finish()
    }
}

fn addresses<H: Into<String>>(pairs: impl IntoIterator<Item = (H, u16)>) -> Vec<Address> {
    pairs.into_iter().map(|(host, port)| Address { host: host.into(), port }).collect()
}

pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).with_tier(Role::Shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_setting_is_named() {
        let base = || RedisConfig::standalone("localhost", 6379);
        let nobody: [(&str, u16); 0] = [];
        for (config, part) in [
            (RedisConfig::standalone("", 6379), "empty host"),
            (RedisConfig::standalone("localhost", 0), "port 0"),
            (RedisConfig::cluster(nobody), "no server"),
            (RedisConfig::cluster([("localhost", 7000)]).with_database(1), "database"),
            (RedisConfig::sentinel("", [("localhost", 26379)]), "sentinelServiceName"),
            (base().with_username("app"), "password"),
            (base().with_pool_size(0), "pool size is 0"),
            (base().with_pool_size(100_000), "pool size is 100000"),
            (base().with_dial_timeout(Duration::ZERO), "dial limit"),
            (base().with_read_timeout(Duration::ZERO), "read limit"),
            (base().with_write_timeout(Duration::from_micros(1)), "write limit"),
            (base().with_key_root(""), "key root"),
            (base().with_key_root("a b"), "key root"),
            (RedisConfig::cluster([("localhost", 7000)]).with_key_root("a{}"), "key root"),
            (base().with_invalidation_channel(""), "invalidation channel"),
        ] {
            let error = config.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(part), "{error} should name {part}");
        }
        base().validate().unwrap();
    }

    #[test]
    fn no_password_shows() {
        let config = RedisConfig::sentinel("main", [("localhost", 26379)])
            .with_username("app")
            .with_password("first-secret")
            .with_sentinel_credentials(None, "second-secret");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn the_driver_gets_ipv6_addresses_in_brackets() {
        let server = Address { host: "::1".to_owned(), port: 6379 }.to_server(true);
        assert_eq!(&*server.host, "[::1]");
        assert_eq!(server.tls_server_name.as_deref(), Some("::1"));
    }
}
