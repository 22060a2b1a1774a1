//! Commands, and how many of them go into one round trip.

use bytes::Bytes;
use fred::types::config::{Options, Server};
use fred::types::{ClusterHash, CustomCommand, Value};
use fred::util::redis_keyslot;

/// The most commands in one round trip.
const MOST_COMMANDS: usize = 1_000;
/// The most bytes in one round trip, unless a single command has more.
const MOST_BYTES: usize = 4 << 20;

/// One command for one key, or for none.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    name: &'static str,
    /// Where among the arguments the key stands that decides the node of a cluster.
    key_position: Option<usize>,
    arguments: Vec<Bytes>,
    node: Option<Server>,
}

impl Command {
    pub(crate) fn new(name: &'static str, key_position: Option<usize>, arguments: Vec<Bytes>) -> Self {
        Command { name, key_position, arguments, node: None }
    }

    /// Sends it to this node of a cluster and to no other: it follows no redirection, and is not sent again over another connection.
    pub(crate) fn on(mut self, node: Option<&Server>) -> Self {
        self.node = node.cloned();
        self
    }

    /// How the driver is to send it, unless as usual.
    pub(crate) fn options(&self) -> Option<Options> {
        let node = self.node.clone()?;
        // A redirection would be another attempt.
        Some(Options { cluster_node: Some(node), max_attempts: Some(1), ..Options::default() })
    }

    /// A command whose first argument is its key.
    pub(crate) fn of_key<const N: usize>(name: &'static str, arguments: [Bytes; N]) -> Self {
        Self::new(name, Some(0), arguments.into())
    }

    pub(crate) fn key(&self) -> Option<&Bytes> {
        self.arguments.get(self.key_position?)
    }

    pub(crate) fn size(&self) -> usize {
        self.arguments.iter().map(Bytes::len).sum()
    }

    pub(crate) fn into_parts(self) -> (CustomCommand, Vec<Value>) {
        // Of the rules that the driver offers, it follows no other one for custom commands.
        let hash = self.key().map(|key| ClusterHash::Custom(redis_keyslot(key))).unwrap_or_default();
        (CustomCommand::new_static(self.name, hash, false), self.arguments.into_iter().map(Value::Bytes).collect())
    }
}

/// Splits what is to be sent into round trips.
pub(crate) fn round_trips<T>(items: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut trips = Vec::with_capacity(items.len().div_ceil(MOST_COMMANDS));
    let mut trip = Vec::with_capacity(items.len().min(MOST_COMMANDS));
    let mut bytes = 0_usize;
    for item in items {
        let more = size(&item);
        if trip.len() == MOST_COMMANDS || (!trip.is_empty() && bytes.saturating_add(more) > MOST_BYTES) {
            trips.push(std::mem::take(&mut trip));
            bytes = 0;
        }
        bytes = bytes.saturating_add(more);
        trip.push(item);
    }
    if !trip.is_empty() {
        trips.push(trip);
    }
    trips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(sizes: Vec<usize>) -> Vec<usize> {
        round_trips(sizes, |size| *size).iter().map(Vec::len).collect()
    }

    #[test]
    fn round_trips_end_at_either_limit() {
        assert_eq!(lengths(vec![]), [0; 0]);
        assert_eq!(lengths(vec![1; 2_001]), [1_000, 1_000, 1]);
        assert_eq!(lengths(vec![3 << 20, 1 << 20, 1, 9 << 20, 1]), [2, 1, 1, 1]);
    }
}
