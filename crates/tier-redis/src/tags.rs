//! The lists of invalidated tags: a hash for each schema in each shard.
//!
//! | field | value |
//! |---|---|
//! | `h` | generation, era, both 8 bytes; number of tags, 4 bytes; all big-endian |
//! | `t` and a tag | the era in which the tag was invalidated last, 8 bytes, big-endian |

use bytes::Bytes;
use fred::types::Value;
use store_core::facet::{MOST_TAGS, Mark, TagEras, TagInvalidation};
use store_core::{BoundSchema, Error, ErrorKind, Result, Role};

use crate::batch::{Batch, ScriptCall};
use crate::command::Command;
use crate::link::{Link, Reply, values};
use crate::shards::Shard;
use crate::{RedisTier, random, scripts};

/// The field of the head.
const HEAD: &[u8] = b"h";
const TAG: &[u8] = b"t";

/// What the head of a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    generation: u64,
    era: u64,
    tags: u32,
}

impl Head {
    pub(crate) fn decode(value: &Value) -> Option<Self> {
        let (generation, rest) = value.as_bytes()?.split_first_chunk::<8>()?;
        let (era, rest) = rest.split_first_chunk::<8>()?;
        let tags = u32::from_be_bytes(rest.try_into().ok()?);
        Some(Head { generation: u64::from_be_bytes(*generation), era: u64::from_be_bytes(*era), tags })
    }

    /// The mark with the era of its list; `None` where that was lost, or is full.
    pub(crate) fn era_of_mark(head: Option<Head>, mark: Mark) -> Option<Mark> {
        match head.filter(|head| head.generation == mark.generation) {
            Some(head) => (head.era >= mark.era && head.tags as usize <= MOST_TAGS).then_some(Mark { era: head.era, ..mark }),
            None => (mark.era == 0).then_some(mark),
        }
    }
}

pub(crate) fn name(shard: &Shard, schema: &BoundSchema) -> Bytes {
    Bytes::from(shard.tags_name(schema.key_prefix()))
}

/// The command that reads the head of a list.
pub(crate) fn read_head(name: Bytes) -> Command {
    Command::of_key("HGET", [name, Bytes::from_static(HEAD)])
}

/// Tells one shard's lists of new eras.
pub(crate) async fn tell(tier: &RedisTier, link: &Link, shard: &Shard, told: &[TagInvalidation]) -> Result<Vec<Reply>> {
    let call = |told: &TagInvalidation| {
        let numbers = [told.generation, told.era].map(|number| Bytes::copy_from_slice(&number.to_be_bytes()));
        let tags = told.tags.iter().map(|tag| Bytes::copy_from_slice(tag.as_bytes()));
        ScriptCall { key: name(shard, &told.schema), arguments: numbers.into_iter().chain(tags).collect() }
    };
    let calls: Vec<ScriptCall> = told.iter().map(call).collect();
    let answers = Batch { link, limit: tier.write_timeout, marks: None }.run_script(&scripts::TELL_TAGS, &calls).await?;
    Ok(answers.into_iter().map(|answer| answer.reply).collect())
}

/// The error of a list that did not take a new era.
pub(crate) fn told_by_another() -> Error {
    let message = "another relayer told Redis of invalidated tags meanwhile, or Redis lost them; read the marks again";
    Error::new(ErrorKind::L2Unavailable, message).with_tier(Role::Shared)
}

impl RedisTier {
    pub(crate) async fn read_tag_eras(&self, schema: &BoundSchema, key: &str, tags: &[String]) -> Result<Option<TagEras>> {
        let link = self.pool.link()?;
        let shards = link.shards(&self.keys);
        let shard = shards.of_key(&self.slot_key(schema, key)).and_then(|shard| shards.list().get(shard)).ok_or_else(no_owner)?;
        let fields = tags.iter().map(|tag| field(tag));
        let arguments = [name(shard, schema), Bytes::from_static(HEAD)].into_iter().chain(fields);
        let command = Command::new("HMGET", Some(0), arguments.collect());
        let answers = link.run_checked(vec![command], self.read_timeout).await?.into_iter().next();
        let values = answers.map(Value::into_array).unwrap_or_default();
        let Some((head, eras)) = values.split_first() else { return Ok(None) };
        let era = |value: &Value| {
            let bytes = value.as_bytes().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            bytes.map_or(0, u64::from_be_bytes)
        };
        let list = |head: Head| TagEras { generation: head.generation, era: head.era, of: eras.iter().map(era).collect() };
        Ok(Head::decode(head).map(list))
    }

    pub(crate) async fn begin_tag_era(&self, schema: &BoundSchema, tags: &[String]) -> Result<()> {
        let link = self.pool.link()?;
        let generation = Bytes::copy_from_slice(&random::generation()?.to_be_bytes());
        let most = Bytes::from(MOST_TAGS.to_string());
        let tags: Vec<Bytes> = tags.iter().map(|tag| Bytes::copy_from_slice(tag.as_bytes())).collect();
        let call = |shard: &Shard| ScriptCall {
            key: name(shard, schema),
            arguments: [generation.clone(), most.clone()].into_iter().chain(tags.iter().cloned()).collect(),
        };
        let calls: Vec<ScriptCall> = link.shards(&self.keys).list().iter().map(call).collect();
        let answers = Batch { link: &link, limit: self.write_timeout, marks: None }.run_script(&scripts::INVALIDATE_TAGS, &calls).await?;
        values(answers.into_iter().map(|answer| answer.reply)).map(drop)
    }
}

fn field(tag: &str) -> Bytes {
    [TAG, tag.as_bytes()].concat().into()
}

fn no_owner() -> Error {
    let missing = "no master of the Redis Cluster owns the hash slot of a key; repair the cluster";
    Error::new(ErrorKind::L2Unavailable, missing).with_tier(Role::Shared)
}

#[cfg(test)]
mod tests {
    use store_core::facet::LogCursor;

    use super::*;

    #[test]
    fn the_layout_of_a_head_is_fixed() {
        let bytes = b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x09\0\0\x01\x02";
        let head = Head { generation: 0x0102_0304_0506_0708, era: 9, tags: 0x0102 };
        assert_eq!(Head::decode(&Value::Bytes(Bytes::from_static(bytes))), Some(head));
        assert_eq!(Head::decode(&Value::Bytes(Bytes::from_static(&bytes[1..]))), None);
        assert_eq!(Head::decode(&Value::Null), None);
    }

    #[test]
    fn a_mark_counts_with_its_list_alone() {
        let mark = |era| Mark { generation: 7, era, position: LogCursor::new("1") };
        let head = |generation, era| Some(Head { generation, era, tags: 1 });
        assert_eq!(Head::era_of_mark(head(7, 3), mark(2)), Some(mark(3)), "the list is ahead");
        assert_eq!(Head::era_of_mark(head(7, 1), mark(2)), None, "the list went back");
        assert_eq!(Head::era_of_mark(head(8, 3), mark(2)), None, "the list is of another generation");
        assert_eq!(Head::era_of_mark(None, mark(2)), None, "the list was lost");
        assert_eq!(Head::era_of_mark(None, mark(0)), Some(mark(0)), "there is no list");
        let full = Some(Head { generation: 7, era: 3, tags: u32::try_from(MOST_TAGS).unwrap() + 1 });
        assert_eq!(Head::era_of_mark(full, mark(2)), None, "the list is full");
    }
}
