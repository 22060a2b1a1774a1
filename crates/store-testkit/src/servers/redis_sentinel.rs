use super::{RedisOptions, RedisServer, ServerError};

const SERVICE: &str = "strata";

/// A Redis primary with one replica and one sentinel, which alone decides (quorum 1) that the
/// primary is gone, one second after it last answered.
///
/// ```no_run
/// use store_testkit::servers::RedisSentinel;
///
/// # fn main() -> Result<(), store_testkit::servers::ServerError> {
/// let mut group = RedisSentinel::start()?;
/// println!("{}", group.url());
/// group.primary().kill()?; // A few seconds later the replica takes over.
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisSentinel {
    sentinel: RedisServer,
    primary: RedisServer,
    replica: RedisServer,
}

impl RedisSentinel {
    /// Starts the three servers and waits until the sentinel knows the replica.
    pub fn start() -> Result<Self, ServerError> {
        let primary = RedisServer::start(&RedisOptions::default())?;
        let replica = RedisServer::start_replica_of(&primary)?;
        let setting = |value: String| ("sentinel".to_owned(), value);
        let watched = format!("monitor {SERVICE} 127.0.0.1 {} 1", primary.port());
        let sentinel = RedisServer::start_sentinel(&RedisOptions {
            settings: vec![
                setting(watched),
                setting(format!("down-after-milliseconds {SERVICE} 1000")),
                setting(format!("failover-timeout {SERVICE} 3000")),
            ],
            ..RedisOptions::default()
        })?;
        sentinel.wait_until("see the sentinel find the replica", || Ok(sentinel.command(&["INFO", "sentinel"])?.contains("slaves=1")))?;
        Ok(Self { sentinel, primary, replica })
    }

    /// Where to connect: `redis-sentinel://…`, with the name of the service.
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName={SERVICE}", self.sentinel.port())
    }

    /// The name under which the sentinel knows the primary.
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// The port of the server that the sentinel holds for the primary now.
    pub fn primary_port(&self) -> Result<u16, ServerError> {
        let answer = self.sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])?;
        answer
            .lines()
            .nth(1)
            .and_then(|port| port.trim().parse().ok())
            .ok_or_else(|| ServerError::Failed { action: "ask the sentinel for the primary".to_owned(), output: answer })
    }

    /// The server that the sentinel holds for the primary now, and the other one.
    pub fn primary_and_replica(&mut self) -> Result<(&mut RedisServer, &mut RedisServer), ServerError> {
        Ok(match self.primary_port()? == self.primary.port() {
            true => (&mut self.primary, &mut self.replica),
            false => (&mut self.replica, &mut self.primary),
        })
    }

    /// The server that was the primary at the start.
    pub fn primary(&mut self) -> &mut RedisServer {
        &mut self.primary
    }

    /// The server that was the replica at the start.
    pub fn replica(&mut self) -> &mut RedisServer {
        &mut self.replica
    }

    /// The sentinel.
    pub fn sentinel(&mut self) -> &mut RedisServer {
        &mut self.sentinel
    }
}
