use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use super::ServerError;

/// Below the ports that systems hand out to outgoing connections (32768 and up on Linux), so that a
/// client that keeps dialling a stopped server can never take, or even reach itself on, its port.
const FIRST: u16 = 15_000;
const COUNT: u16 = 7_000;
/// A Redis Cluster node also listens this far above its port.
const CLUSTER_BUS: u16 = 10_000;
const ATTEMPTS: u16 = 200;

/// Finds a port of 127.0.0.1 on which nothing listens.
///
/// Another process may still take it before the caller does.
pub fn free_port() -> Result<u16, ServerError> {
    let start = RandomState::new().build_hasher().finish();
    for attempt in 0..ATTEMPTS {
        let offset = (start.wrapping_add(u64::from(attempt) * 31) % u64::from(COUNT)) as u16;
        let port = FIRST + offset;
        if is_free(port) && is_free(port + CLUSTER_BUS) {
            return Ok(port);
        }
    }
    Err(ServerError::Failed {
        action: "find a free port".to_owned(),
        output: format!("{ATTEMPTS} ports from {FIRST} to {} are in use", FIRST + COUNT - 1),
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound_with_its_cluster_bus() {
        let port = free_port().unwrap();
        assert!((FIRST..FIRST + COUNT).contains(&port));
        let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
    }
}
