//! The shards of the shared tier: each master of a cluster, or the one server.

use fred::types::cluster::SlotRange;
use fred::types::config::Server;
use fred::util::redis_keyslot;

use crate::keys::Keys;

/// Enough to meet every hash slot, however few of them a master has.
const MOST_MARK_NUMBERS: u32 = 1 << 20;

/// Which shard holds what, as a connection last saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shards {
    /// In their order; none outside of a cluster.
    ranges: Vec<SlotRange>,
    shards: Vec<Shard>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    /// `None` for the one server of anything but a cluster.
    pub(crate) server: Option<Server>,
    mark_stem: String,
    tags_stem: String,
}

impl Shard {
    /// The name of a schema's mark, in a hash slot that the shard owns.
    pub(crate) fn mark_name(&self, prefix: &str) -> String {
        format!("{}{prefix}", self.mark_stem)
    }

    /// The name of a schema's list of tags, in the hash slot of its mark.
    pub(crate) fn tags_name(&self, prefix: &str) -> String {
        format!("{}{prefix}", self.tags_stem)
    }
}

impl Shards {
    /// The one server.
    pub(crate) fn of_server(keys: &Keys) -> Self {
        let shard = Shard { server: None, mark_stem: keys.mark_stem(None), tags_stem: keys.tags_stem(None) };
        Shards { ranges: Vec::new(), shards: vec![shard] }
    }

    /// The masters of a cluster that own hash slots of these keys. The ranges stand in their order.
    ///
    /// The marks of a master have the smallest number that puts them there, so that all who see the same cluster name them alike.
    pub(crate) fn of_cluster(ranges: &[SlotRange], keys: &Keys) -> Self {
        let mut shards = Shards { ranges: ranges.to_vec(), shards: Vec::new() };
        if keys.lie_in_one_hash_slot() {
            shards.add(keys, None);
            return shards;
        }
        let masters: std::collections::BTreeSet<&Server> = ranges.iter().map(|range| &range.primary).collect();
        for number in 0..MOST_MARK_NUMBERS {
            if shards.shards.len() == masters.len() {
                break;
            }
            shards.add(keys, Some(number));
        }
        shards
    }

    /// Adds the owner of the hash slot that the marks of a number lie in, unless it is there.
    fn add(&mut self, keys: &Keys, number: Option<u32>) {
        let (mark_stem, tags_stem) = (keys.mark_stem(number), keys.tags_stem(number));
        let Some(server) = self.owner(redis_keyslot(mark_stem.as_bytes())) else { return };
        if !self.shards.iter().any(|shard| shard.server.as_ref() == Some(server)) {
            let server = Some(server.clone());
            self.shards.push(Shard { server, mark_stem, tags_stem });
        }
    }

    fn owner(&self, slot: u16) -> Option<&Server> {
        let range = self.ranges.get(self.ranges.partition_point(|range| range.end < slot))?;
        (range.start <= slot).then_some(&range.primary)
    }

    pub(crate) fn is_of_cluster(&self, ranges: &[SlotRange]) -> bool {
        self.ranges == ranges
    }

    pub(crate) fn list(&self) -> &[Shard] {
        &self.shards
    }

    /// The number in the list of the shard that a key lies in; `None` if no master owns its hash slot.
    pub(crate) fn of_key(&self, key: &[u8]) -> Option<usize> {
        if self.ranges.is_empty() {
            return Some(0);
        }
        let server = self.owner(redis_keyslot(key))?;
        self.shards.iter().position(|shard| shard.server.as_ref() == Some(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u16, end: u16, port: u16) -> SlotRange {
        SlotRange { start, end, primary: Server::new("localhost", port), id: port.to_string().into() }
    }

    #[test]
    fn each_master_owns_the_hash_slot_of_its_marks() {
        let keys = Keys::new("strata".to_owned());
        let ranges = [range(0, 99, 1), range(100, 100, 2), range(101, 8_000, 1), range(8_001, 16_000, 3)];
        let shards = Shards::of_cluster(&ranges, &keys);
        assert_eq!(shards.list().len(), 3);
        for (number, shard) in shards.list().iter().enumerate() {
            for prefix in ["city", "{city}"] {
                let name = shard.mark_name(prefix);
                assert_eq!(shards.of_key(name.as_bytes()), Some(number), "{name}");
                assert_eq!(shards.owner(redis_keyslot(name.as_bytes())), shard.server.as_ref());
                assert_eq!(redis_keyslot(shard.tags_name(prefix).as_bytes()), redis_keyslot(name.as_bytes()));
            }
        }
        let unowned = (0..u32::MAX).find(|number| redis_keyslot(number.to_string().as_bytes()) > 16_000).unwrap();
        assert_eq!(shards.of_key(unowned.to_string().as_bytes()), None);
    }

    #[test]
    fn keys_of_one_hash_slot_have_one_shard() {
        let keys = Keys::new("{app}".to_owned());
        let shards = Shards::of_cluster(&[range(0, 8_000, 1), range(8_001, 16_383, 2)], &keys);
        assert_eq!(shards.list().len(), 1);
        assert_eq!(shards.of_key(b"{app}:city:7"), Some(0));
        assert_eq!(shards.list()[0].mark_name("city"), "{app}:_mark:city");
    }
}
