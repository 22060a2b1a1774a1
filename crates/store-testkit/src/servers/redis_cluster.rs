use super::{RedisOptions, RedisServer, ServerError};

const SLOTS: usize = 16_384;

/// A Redis Cluster on 127.0.0.1: masters without replicas that share the 16,384 hash slots evenly.
///
/// ```no_run
/// use store_testkit::servers::RedisCluster;
///
/// # fn main() -> Result<(), store_testkit::servers::ServerError> {
/// let mut cluster = RedisCluster::start(3)?;
/// println!("{}", cluster.url());
/// cluster.masters()[0].pause()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    masters: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts this many masters, at least one, and joins them.
    pub fn start(masters: usize) -> Result<Self, ServerError> {
        let count = masters.max(1);
        let options = RedisOptions {
            settings: vec![
                ("cluster-enabled".to_owned(), "yes".to_owned()),
                ("cluster-config-file".to_owned(), "nodes.conf".to_owned()),
                ("cluster-node-timeout".to_owned(), "2000".to_owned()),
            ],
            ..RedisOptions::default()
        };
        let masters = (0..count).map(|_| RedisServer::start(&options)).collect::<Result<Vec<_>, _>>()?;
        for (index, master) in masters.iter().enumerate() {
            let slots: Vec<String> = (SLOTS * index / count..SLOTS * (index + 1) / count).map(|slot| slot.to_string()).collect();
            let mut command = vec!["CLUSTER", "ADDSLOTS"];
            command.extend(slots.iter().map(String::as_str));
            master.command(&command)?;
            // Distinct from the start, so that the nodes need not settle a collision first.
            master.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
        }
        for other in &masters[1..] {
            let port = other.port().to_string();
            masters[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port])?;
        }
        let cluster = Self { masters };
        cluster.wait_until_formed()?;
        Ok(cluster)
    }

    /// Where to connect: `redis-cluster://…`, with all the masters.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.masters[1..].iter().map(|master| format!("node=127.0.0.1:{}", master.port())).collect();
        let url = format!("redis-cluster://127.0.0.1:{}", self.masters[0].port());
        match nodes.is_empty() {
            true => url,
            false => format!("{url}?{}", nodes.join("&")),
        }
    }

    /// The masters, in the order of their slots.
    pub fn masters(&mut self) -> &mut [RedisServer] {
        &mut self.masters
    }

    fn wait_until_formed(&self) -> Result<(), ServerError> {
        let known = format!("cluster_known_nodes:{}", self.masters.len());
        self.masters[0].wait_until("see the Redis Cluster form", || {
            let mut formed = true;
            for master in &self.masters {
                let info = master.command(&["CLUSTER", "INFO"])?;
                formed &= info.contains("cluster_state:ok") && info.contains(&known);
            }
            Ok(formed)
        })
    }
}
