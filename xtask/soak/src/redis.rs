//! The Redis of a run: one server, a primary with a replica, or a cluster.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use store_testkit::servers::{RedisCluster, RedisOptions, RedisSentinel, RedisServer};

/// How long a fail-over may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// With this password a replica is turned away by its primary, which asks for none: it lags until the password is taken from it.
const WRONG: &str = "wrong";

/// How Redis is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    /// A primary and a replica, watched by a sentinel.
    Sentinel,
    /// Three masters, one of them with a replica.
    Cluster,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Single, Kind::Sentinel, Kind::Cluster];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Single => "single",
            Kind::Sentinel => "sentinel",
            Kind::Cluster => "cluster",
        }
    }
}

/// The servers of one kind.
#[derive(Debug)]
pub(crate) enum Redis {
    Single(RedisServer),
    Sentinel(Box<RedisSentinel>),
    /// The replica is the first master's at the start.
    Cluster(RedisCluster, RedisServer),
}

impl Redis {
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Single => Redis::Single(RedisServer::start(&RedisOptions::default())?),
            Kind::Sentinel => Redis::Sentinel(Box::new(RedisSentinel::start()?)),
            Kind::Cluster => {
                let mut cluster = RedisCluster::start(3)?;
                let replica = replica_of(&cluster.masters()[0])?;
                Redis::Cluster(cluster, replica)
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Redis::Single(server) => server.url(),
            Redis::Sentinel(group) => group.url(),
            Redis::Cluster(cluster, _) => cluster.url(),
        }
    }

    /// The servers that take writes now.
    pub(crate) fn primaries(&mut self) -> Result<Vec<&mut RedisServer>> {
        Ok(match self {
            Redis::Single(server) => vec![server],
            Redis::Sentinel(group) => vec![group.primary_and_replica()?.0],
            Redis::Cluster(cluster, replica) => {
                let all = cluster.masters().iter_mut().chain([replica]);
                all.filter(|server| is_primary(server)).collect()
            }
        })
    }

    /// Whether a server and its replica do not both take writes, as they do after a fail-over until the former primary is told of it: seconds, with a sentinel.
    pub(crate) fn agrees(&mut self) -> Result<bool> {
        let (one, other) = match self {
            Redis::Single(_) => return Ok(true),
            Redis::Sentinel(group) => group.primary_and_replica()?,
            Redis::Cluster(cluster, replica) => match cluster.masters() {
                [first, ..] => (first, replica),
                [] => return Ok(true),
            },
        };
        Ok(!(is_primary(one) && is_primary(other)))
    }

    /// Lets the replica take over with what it had `lag` ago, whether or not the primary is killed before; `false` where no replica follows.
    pub(crate) fn fail_over(&mut self, lag: Duration, kill: bool, before_loss: impl FnOnce() -> Result<()>) -> Result<bool> {
        match self {
            Redis::Single(_) => Ok(false),
            Redis::Sentinel(group) => fail_over_group(group, lag, kill, before_loss),
            Redis::Cluster(cluster, replica) => {
                let [first, ..] = cluster.masters() else { return Ok(false) };
                let (primary, replica) = if is_primary(first) { (first, replica) } else { (replica, first) };
                if !follows(replica) {
                    return Ok(false);
                }
                fall_behind(primary, replica, lag)?;
                before_loss()?;
                if kill {
                    primary.kill()?;
                }
                // Without asking the other masters, and without waiting for what is missing.
                replica.command(&["CLUSTER", "FAILOVER", "TAKEOVER"])?;
                wait_until("the replica of the cluster to take over", || Ok(is_primary(replica)))?;
                replica.command(&["CONFIG", "SET", "masterauth", ""])?;
                if kill {
                    primary.restart()?;
                }
                Ok(true)
            }
        }
    }
}

fn fail_over_group(group: &mut RedisSentinel, lag: Duration, kill: bool, before_loss: impl FnOnce() -> Result<()>) -> Result<bool> {
    let old = group.primary_port()?;
    let (primary, replica) = group.primary_and_replica()?;
    if !follows(replica) {
        // It may be a former primary that the sentinel has not turned into a replica yet.
        let port = primary.port().to_string();
        replica.command(&["CONFIG", "SET", "masterauth", ""])?;
        replica.command(&["REPLICAOF", "127.0.0.1", &port])?;
        return Ok(false);
    }
    fall_behind(primary, replica, lag)?;
    before_loss()?;
    if kill {
        primary.kill()?;
    }
    let service = group.service();
    wait_until("the sentinel to let the replica take over", || {
        // It is refused while another fail-over is under way, and until the sentinel has looked at the replica.
        let _ = group.sentinel().command(&["SENTINEL", "FAILOVER", service]);
        std::thread::sleep(Duration::from_millis(50));
        Ok(group.primary_port()? != old)
    })?;
    let (primary, former) = group.primary_and_replica()?;
    primary.command(&["CONFIG", "SET", "masterauth", ""])?;
    if kill {
        former.restart()?;
    }
    Ok(true)
}

fn replica_of(master: &RedisServer) -> Result<RedisServer> {
    let settings = [("cluster-enabled", "yes"), ("cluster-config-file", "nodes.conf"), ("cluster-node-timeout", "2000")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let replica = RedisServer::start(&RedisOptions { settings, ..RedisOptions::default() })?;
    replica.command(&["CLUSTER", "MEET", "127.0.0.1", &master.port().to_string()])?;
    let id = master.command(&["CLUSTER", "MYID"])?;
    wait_until("the replica to join the cluster", || Ok(replica.command(&["CLUSTER", "REPLICATE", &id]).is_ok()))?;
    wait_until("the replica of the cluster to follow", || Ok(follows(&replica)))?;
    Ok(replica)
}

pub(crate) fn is_primary(server: &RedisServer) -> bool {
    server.command(&["ROLE"]).is_ok_and(|role| role.starts_with("master"))
}

fn follows(server: &RedisServer) -> bool {
    server.command(&["INFO", "replication"]).is_ok_and(|state| state.contains("master_link_status:up"))
}

/// Cuts a replica off from its primary for a while.
fn fall_behind(primary: &RedisServer, replica: &RedisServer, lag: Duration) -> Result<()> {
    replica.command(&["CONFIG", "SET", "masterauth", WRONG])?;
    primary.command(&["CLIENT", "KILL", "TYPE", "replica"])?;
    std::thread::sleep(lag);
    Ok(())
}

fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !condition()? {
        ensure!(begun.elapsed() < PATIENCE, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
