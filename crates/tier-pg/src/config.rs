//! What a tier connects to, and how.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use store_core::{Error, ErrorKind, Result, Role};
use tokio_postgres::config::Host;

use crate::url;

const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(60 * 60);
const DEFAULT_MAX_IDLE_TIME: Duration = Duration::from_secs(30 * 60);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_PREPARE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const MOST_CONNECTIONS: usize = 10_000;
/// Beyond it, deadlines no longer fit the clocks of every platform.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Whether connections are encrypted, and how the server proves who it is; the meaning is that of PostgreSQL's own client library.
///
/// Only [`VerifyFull`](Self::VerifyFull) protects from a man in the middle. Connections over Unix sockets are never encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only if the server turns unencrypted connections away. The server's certificate is not checked.
    Allow,
    /// Encrypted if the server can. The server's certificate is not checked.
    #[default]
    Prefer,
    /// Always encrypted. The server's certificate is checked as in [`VerifyCa`](Self::VerifyCa) if a root certificate is given, else not at all.
    Require,
    /// Always encrypted; a trusted authority must have signed the server's certificate, for whichever host.
    VerifyCa,
    /// Always encrypted; a trusted authority must have signed the server's certificate for the host that is connected to.
    VerifyFull,
}

/// The authorities that a server's certificate is checked against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum RootCertificates {
    /// Not named: those of the operating system, where the mode asks for a check.
    #[default]
    Unset,
    /// Those of the operating system.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// One server, or several that stand in for each other.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) driver: tokio_postgres::Config,
    pub(crate) ssl_mode: SslMode,
    pub(crate) roots: RootCertificates,
}

impl Endpoint {
    /// The addresses, for messages.
    pub(crate) fn addresses(&self) -> String {
        let ports = self.driver.get_ports();
        let hosts = self.driver.get_hosts().iter().enumerate().map(|(position, host)| {
            let port = ports.get(position).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(host) if host.contains(':') => format!("[{host}]:{port}"),
                Host::Tcp(host) => format!("{host}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        });
        hosts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The driver's own form is left out: its `options` may hold anything.
        f.debug_struct("Endpoint")
            .field("addresses", &self.addresses())
            .field("user", &self.driver.get_user())
            .field("password", &self.driver.get_password().map(|_| "***"))
            .field("database", &self.driver.get_dbname())
            .field("ssl_mode", &self.ssl_mode)
            .field("roots", &self.roots)
            .finish()
    }
}

/// What a [`PgTier`](crate::PgTier) connects to, and how.
///
/// | setting | default |
/// |---|---|
/// | most connections | 10 |
/// | connections kept warm | 0 |
/// | life time of a connection | 1 h |
/// | idle time of a connection | 30 min |
/// | limit for connecting | 5 s |
/// | limit for waiting for a free connection | 5 s |
/// | limit for one statement | 30 s |
/// | limit for one statement of a migration | 10 min |
/// | TLS | `prefer` |
/// | read replicas | none |
/// | longest lag of a replica | 10 s |
/// | watching for outside writers | no |
///
/// ```
/// use std::time::Duration;
/// use tier_pg::PgConfig;
///
/// let config = PgConfig::from_url("postgres://app:secret@db.internal:5432/shop?sslmode=verify-full")?
///     .with_max_connections(20)
///     .with_min_connections(2)
///     .with_statement_timeout(Duration::from_secs(5));
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PgConfig {
    pub(crate) primary: Endpoint,
    pub(crate) replicas: Vec<Endpoint>,
    pub(crate) max_replica_lag: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) extras: Extras,
}

/// What a migration makes beside the tables of the schemas.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    pub(crate) outside_writers: bool,
    pub(crate) extensions: Vec<String>,
}

/// The sizes and times of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) min_connections: usize,
    pub(crate) max_lifetime: Duration,
    pub(crate) max_idle_time: Duration,
    pub(crate) connect: Duration,
    pub(crate) acquire: Duration,
    pub(crate) statement: Duration,
    pub(crate) prepare: Duration,
}

impl PgConfig {
    /// The most connections of a pool that [`with_max_connections`](Self::with_max_connections) does not change.
    pub const DEFAULT_MAX_CONNECTIONS: usize = 10;
    /// The longest lag of a replica that [`with_max_replica_lag`](Self::with_max_replica_lag) does not change.
    pub const DEFAULT_MAX_REPLICA_LAG: Duration = Duration::from_secs(10);

    /// Reads a URL: `postgres://user:password@host:port/database?option=value&…`, with `postgresql` as another name of the scheme.
    ///
    /// Characters such as `@`, `:`, `/`, `?`, `#` and `%` in user, password and database are written as `%40` and so on. Several hosts, separated by
    /// commas, are tried in turn. Of PostgreSQL's connection options these are understood:
    ///
    /// - `sslmode` ([`SslMode`]; default `prefer`) and `sslrootcert` (a PEM file, or `system`). Without `sslrootcert`, `verify-ca` and `verify-full` trust the
    ///   authorities that the operating system trusts; there is no default file in the home directory. `sslnegotiation`, `channel_binding`.
    /// - `options`, which reach the server as they are: `options=-c%20search_path%3Dshop`. Strata's tables live in the first schema of the search path.
    /// - `application_name` (default `strata`), `target_session_attrs`, `load_balance_hosts`, `hostaddr`, `connect_timeout`, `tcp_user_timeout`, `keepalives`,
    ///   `keepalives_idle`, `keepalives_interval`, `keepalives_retries`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for a URL that cannot be read or an option that is not understood. The message never holds the password.
    pub fn from_url(url: &str) -> Result<Self> {
        Ok(PgConfig {
            primary: url::parse(url)?,
            replicas: Vec::new(),
            max_replica_lag: Some(Self::DEFAULT_MAX_REPLICA_LAG),
            extras: Extras::default(),
            limits: Limits {
                max_connections: Self::DEFAULT_MAX_CONNECTIONS,
                min_connections: 0,
                max_lifetime: DEFAULT_MAX_LIFETIME,
                max_idle_time: DEFAULT_MAX_IDLE_TIME,
                connect: DEFAULT_CONNECT_TIMEOUT,
                acquire: DEFAULT_ACQUIRE_TIMEOUT,
                statement: DEFAULT_STATEMENT_TIMEOUT,
                prepare: DEFAULT_PREPARE_TIMEOUT,
            },
        })
    }

    /// Sends searches and counts to a replica at this URL, with a pool of its own under the same limits. Call it again for each further one.
    ///
    /// Of several, the one with the fewest reads of this process under way is asked. One that fails is left out for five seconds, and then until it answers
    /// again; one that is [too far behind](Self::with_max_replica_lag) until it has caught up. Where none can answer, the primary does.
    /// [`Store::health`](store_core::Store::health) tells of each.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn with_read_replica(mut self, url: &str) -> Result<Self> {
        self.replicas.push(url::parse(url)?);
        Ok(self)
    }

    /// Sets how far a replica may be behind its primary to be given reads; `None` for any distance. Default: 10 seconds.
    ///
    /// What a replica answers then shows every commit from longer ago than this. The lag is told by the primary's WAL, which is asked for its place five
    /// times within this limit and at least once a second: while the primary does not answer, the lag grows. A server that is no standby, such as one that
    /// logical replication feeds or one that was promoted, does not tell its lag: it is given reads only with `None`.
    ///
    /// Who must read its own writes ([`Freshness::Session`](store_core::Freshness::Session)) is answered by a replica that has replayed them, or by the primary,
    /// whatever the limit.
    #[must_use]
    pub fn with_max_replica_lag(mut self, lag: impl Into<Option<Duration>>) -> Self {
        self.max_replica_lag = lag.into();
        self
    }

    /// Watches for what others than Strata write, such as a migration, `psql` or another program. A migration
    /// ([`Migrations::migrate`](store_core::facet::Migrations::migrate)) then also makes triggers on them, so that their `INSERT`, `UPDATE`, `DELETE`,
    /// `TRUNCATE`, `MERGE` and `COPY` are in the log, and every instance drops its copies.
    ///
    /// An insert or update of such a writer takes two to three times as long, and keeps the rows it changes once more, in the server's memory or temporary
    /// files. A row that it inserts, or gives another key, is written twice if others draw versions while the statement runs. Strata's own writes cost a little
    /// more. A statement of more than a thousand keys drops all copies of the schema. Other writers need no rights beyond those on the table.
    ///
    /// Not seen are: writes while the triggers are disabled or `session_replication_role` is `replica`, what logical replication applies, statements
    /// that name a partition instead of its table, and sessions that set `strata.writer` to `on`.
    ///
    /// The triggers stay when this is turned off. To remove them:
    ///
    /// ```sql
    /// DROP FUNCTION _strata_watch_row, _strata_watch_statement, _strata_key_part CASCADE;
    /// ```
    #[must_use]
    pub fn with_outside_writers(mut self, watched: bool) -> Self {
        self.extras.outside_writers = watched;
        self
    }

    /// Has a migration make an extension of PostgreSQL that is missing, such as `pg_trgm` for an index in an SQL file. A user that may not make it is told the
    /// statement for one that may.
    ///
    /// ```
    /// let config = tier_pg::PgConfig::from_url("postgres://app@localhost/shop")?.with_extension("pg_trgm");
    /// # Ok::<(), store_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_extension(mut self, name: &str) -> Self {
        self.extras.extensions.push(name.to_owned());
        self
    }

    /// Sets the most connections that are open at once; each running query and stream takes one. The two that a tier may need beside them (see
    /// [`PgTier`](crate::PgTier)) are not counted.
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.limits.max_connections = connections;
        self
    }

    /// Sets how many connections are kept open while nothing needs them.
    #[must_use]
    pub fn with_min_connections(mut self, connections: usize) -> Self {
        self.limits.min_connections = connections;
        self
    }

    /// Sets the age at which a connection is replaced.
    #[must_use]
    pub fn with_max_connection_lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.max_lifetime = lifetime;
        self
    }

    /// Sets how long a connection beyond those kept warm may be idle before it is closed.
    #[must_use]
    pub fn with_max_connection_idle_time(mut self, idle_time: Duration) -> Self {
        self.limits.max_idle_time = idle_time;
        self
    }

    /// Sets the most time that opening a connection may take, the greeting of the server included.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect = limit;
        self
    }

    /// Sets the most time that a call waits while all connections are in use.
    #[must_use]
    pub fn with_acquire_timeout(mut self, limit: Duration) -> Self {
        self.limits.acquire = limit;
        self
    }

    /// Sets the most time that the server may take for one statement, or for the next row of a query. A large batch is several statements.
    ///
    /// So a call ends at the latest after the limits for waiting, connecting and one statement together.
    #[must_use]
    pub fn with_statement_timeout(mut self, limit: Duration) -> Self {
        self.limits.statement = limit;
        self
    }

    /// Sets the most time that one statement of a migration may take. Indexes that are made beside writers and SQL files have no limit.
    #[must_use]
    pub fn with_prepare_timeout(mut self, limit: Duration) -> Self {
        self.limits.prepare = limit;
        self
    }

    /// Sets the way of encryption, for the primary and the replicas named so far.
    #[must_use]
    pub fn with_ssl_mode(mut self, mode: SslMode) -> Self {
        self.each_endpoint(|endpoint| endpoint.ssl_mode = mode);
        self
    }

    /// Trusts the authorities of this PEM file, for the primary and the replicas named so far. It is read when the tier connects.
    #[must_use]
    pub fn with_root_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.each_endpoint(|endpoint| endpoint.roots = RootCertificates::File(file.clone()));
        self
    }

    /// Sets the name that the server's statistics and log show, for the primary and the replicas named so far.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Self {
        self.each_endpoint(|endpoint| {
            endpoint.driver.application_name(name);
        });
        self
    }

    fn each_endpoint(&mut self, mut change: impl FnMut(&mut Endpoint)) {
        change(&mut self.primary);
        self.replicas.iter_mut().for_each(change);
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let limits = &self.limits;
        if limits.max_connections == 0 || limits.max_connections > MOST_CONNECTIONS {
            return Err(invalid(format!("the most connections are {}; choose 1 to {MOST_CONNECTIONS}", limits.max_connections)));
        }
        if limits.min_connections > limits.max_connections {
            return Err(invalid(format!(
                "{} connections are to be kept warm, but at most {} may be open; raise the one or lower the other",
                limits.min_connections, limits.max_connections
            )));
        }
        for (name, limit) in [
            ("the life time of connections", limits.max_lifetime),
            ("the idle time of connections", limits.max_idle_time),
            ("the limit for connecting", limits.connect),
            ("the limit for waiting for a connection", limits.acquire),
            ("the limit for statements", limits.statement),
            ("the limit for making tables", limits.prepare),
            ("the longest lag of a replica", self.max_replica_lag.unwrap_or(Self::DEFAULT_MAX_REPLICA_LAG)),
        ] {
            if limit < Duration::from_millis(1) || limit > LONGEST {
                return Err(invalid(format!("{name} is {limit:?}; choose between a millisecond and a year")));
            }
        }
        Ok(())
    }
}

pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).with_tier(Role::Truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_setting_is_named() {
        let base = || PgConfig::from_url("postgres://localhost/x").unwrap();
        for (config, part) in [
            (base().with_max_connections(0), "most connections are 0"),
            (base().with_max_connections(1_000_000), "1000000"),
            (base().with_max_connections(2).with_min_connections(3), "kept warm"),
            (base().with_max_connection_lifetime(Duration::ZERO), "life time"),
            (base().with_max_connection_idle_time(Duration::ZERO), "idle time"),
            (base().with_connect_timeout(Duration::ZERO), "connecting"),
            (base().with_acquire_timeout(Duration::MAX), "waiting"),
            (base().with_statement_timeout(Duration::from_micros(1)), "statements"),
            (base().with_prepare_timeout(Duration::ZERO), "making tables"),
            (base().with_max_replica_lag(Duration::ZERO), "lag of a replica"),
        ] {
            let error = config.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(part), "{error} should name {part}");
        }
        base().validate().unwrap();
    }

    #[test]
    fn settings_of_tls_reach_each_replica_too() {
        let config = PgConfig::from_url("postgres://localhost/x")
            .and_then(|config| config.with_read_replica("postgres://replica/x")?.with_read_replica("postgres://other/x"))
            .unwrap()
            .with_ssl_mode(SslMode::VerifyFull)
            .with_root_certificate("/ca.pem")
            .with_application_name("shop");
        assert_eq!(config.replicas.len(), 2);
        for replica in config.replicas {
            assert_eq!(replica.ssl_mode, SslMode::VerifyFull);
            assert_eq!(replica.roots, RootCertificates::File("/ca.pem".into()));
            assert_eq!(replica.driver.get_application_name(), Some("shop"));
        }
    }
}
