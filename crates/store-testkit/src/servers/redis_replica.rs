use super::redis::quoted;
use super::{RedisOptions, RedisServer, ServerError};

/// A replica that is promoted by hand.
///
/// ```no_run
/// use store_testkit::servers::{RedisOptions, RedisServer};
///
/// # fn main() -> Result<(), store_testkit::servers::ServerError> {
/// let mut primary = RedisServer::start(&RedisOptions::default())?;
/// let replica = RedisServer::start_replica_of(&primary)?;
/// primary.kill()?;
/// replica.promote()?;
/// replica.command(&["SET", "greeting", "hello"])?;
/// # Ok(())
/// # }
/// ```
impl RedisServer {
    /// Starts a replica of a running server on a port of its own, with the server's password and TLS, and waits until it follows.
    pub fn start_replica_of(primary: &Self) -> Result<Self, ServerError> {
        let mut settings = vec![("replicaof".to_owned(), format!("127.0.0.1 {}", primary.port()))];
        if let Some(password) = &primary.password {
            settings.push(("masterauth".to_owned(), quoted(password)));
        }
        if primary.tls.is_some() {
            settings.push(("tls-replication".to_owned(), "yes".to_owned()));
        }
        let replica = Self::start(&RedisOptions {
            programs: Some(primary.programs.clone()),
            password: primary.password.clone(),
            tls: primary.tls.clone(),
            append_only: false,
            settings,
        })?;
        replica
            .wait_until("see the replica follow", || Ok(replica.command(&["INFO", "replication"])?.contains("master_link_status:up")))?;
        Ok(replica)
    }

    /// Makes a replica a primary with what it has received, for good: a restart leaves it one. The former primary is not told.
    pub fn promote(&self) -> Result<(), ServerError> {
        self.command(&["REPLICAOF", "NO", "ONE"])?;
        self.command(&["CONFIG", "REWRITE"]).map(drop)
    }
}
