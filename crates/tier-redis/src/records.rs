//! The records facet.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::Value;
use store_core::facet::{Fill, FillLease, Records, Slot};
use store_core::{BoundSchema, EncodedRecord, Error, ErrorKind, Result, Role, Version};

use crate::command::Command;
use crate::error::{Failure, is_out_of_memory, is_syntax_error, is_wrong_type};
use crate::layout::{Content, decode, encode_lease, encode_record, unix_milliseconds};
use crate::link::{Link, Reply, ScriptCall};
use crate::{RedisTier, lifetime, random, scan, scripts};

#[async_trait]
impl Records for RedisTier {
    async fn fetch(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let link = self.pool.link()?;
        let keys: Vec<Bytes> = keys.iter().map(|key| self.slot_key(schema, key)).collect();
        match lease {
            Some(length) => self.fetch_leasing(&link, &keys, length).await,
            None => self.fetch_plainly(&link, keys).await,
        }
        .map_err(|error| error.with_schema(schema.name()))
    }

    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        let now = SystemTime::now();
        let calls = fills.iter().map(|fill| ScriptCall {
            key: self.slot_key(schema, &fill.key),
            arguments: vec![encode_lease(fill.lease), encode_record(&fill.record), lifetime::argument(fill.record.deadline, now)],
        });
        let filled = self.run_script(schema, &scripts::FILL, calls.collect()).await?;
        Ok(filled.iter().map(is_one).collect())
    }

    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        let now = SystemTime::now();
        let calls = records.iter().map(|(key, record)| ScriptCall {
            key: self.slot_key(schema, key),
            arguments: vec![encode_record(record), lifetime::argument(record.deadline, now)],
        });
        let held = self.run_script(schema, &scripts::REPLACE, calls.collect()).await?;
        Ok(held.iter().map(is_one).collect())
    }

    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let commands = keys.iter().map(|key| Command::of_key("UNLINK", [self.slot_key(schema, key)])).collect();
        let removed = async { values(self.pool.link()?.run(commands, self.write_timeout).await?) };
        removed.await.map(drop).map_err(|error| error.with_schema(schema.name()))
    }

    async fn clear(&self, schema: &BoundSchema) -> Result<u64> {
        let link = self.pool.link()?;
        let cleared = scan::clear(&link, self.keys.slot_pattern(schema), self.read_timeout, self.write_timeout).await;
        cleared.map_err(|error| error.with_schema(schema.name()))
    }

    async fn put(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<Version>> {
        let now = SystemTime::now();
        let calls = records.iter().map(|(key, record)| ScriptCall {
            key: self.slot_key(schema, key),
            arguments: vec![encode_record(record), lifetime::argument(record.deadline, now)],
        });
        let versions = self.run_script(schema, &scripts::PUT, calls.collect()).await?;
        versions.into_iter().map(|version| decode_version(version).ok_or_else(malformed)).collect()
    }

    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>> {
        let now = Bytes::from(unix_milliseconds(SystemTime::now()).to_string());
        let calls = keys.iter().map(|key| ScriptCall { key: self.slot_key(schema, key), arguments: vec![now.clone()] });
        let versions = self.run_script(schema, &scripts::DELETE, calls.collect()).await?;
        let version = |version: Value| if version.is_null() { Ok(None) } else { decode_version(version).ok_or_else(malformed).map(Some) };
        versions.into_iter().map(version).collect()
    }
}

impl RedisTier {
    fn slot_key(&self, schema: &BoundSchema, key: &str) -> Bytes {
        Bytes::from(self.keys.slot(schema, key))
    }

    async fn run_script(&self, schema: &BoundSchema, script: &'static scripts::Script, calls: Vec<ScriptCall>) -> Result<Vec<Value>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answers = async { values(self.pool.link()?.run_script(script, calls, self.write_timeout).await?) };
        answers.await.map_err(|error| error.with_schema(schema.name()))
    }

    async fn fetch_plainly(&self, link: &Link, keys: Vec<Bytes>) -> Result<Vec<Slot>> {
        let commands = keys.into_iter().map(|key| Command::of_key("GET", [key])).collect();
        let replies = link.run(commands, self.read_timeout).await?;
        let now = SystemTime::now();
        replies.into_iter().map(|reply| slot(reply, now)).collect()
    }

    async fn fetch_leasing(&self, link: &Link, keys: &[Bytes], length: Duration) -> Result<Vec<Slot>> {
        let leases = random::leases(keys.len())?;
        let replies = self.lease(link, keys, &leases, lifetime::lease_argument(length)).await?;

        // A full server takes no lease, but can be read.
        let full: Vec<usize> = (0..keys.len()).filter(|&index| replies[index].as_ref().is_err_and(is_out_of_memory)).collect();
        let read = match full.is_empty() {
            true => Vec::new(),
            false => self.fetch_plainly(link, full.iter().map(|&index| keys[index].clone()).collect()).await?,
        };

        let now = SystemTime::now();
        let mut slots = Vec::with_capacity(keys.len());
        for (reply, lease) in replies.into_iter().zip(leases) {
            slots.push(match reply {
                Ok(Value::Null) => Slot::Leased(lease),
                Err(error) if is_out_of_memory(&error) => Slot::Empty,
                reply => slot(reply, now)?,
            });
        }
        for (index, slot) in full.into_iter().zip(read) {
            slots[index] = slot;
        }
        Ok(slots)
    }

    /// Reads each slot, or puts the lease there: by one plain command where the server knows it, else by a script.
    async fn lease(&self, link: &Link, keys: &[Bytes], leases: &[FillLease], length: Bytes) -> Result<Vec<Reply>> {
        if link.knows_leasing_set() {
            let command = |(key, lease): (&Bytes, &FillLease)| {
                let [nx, get, px] = [b"NX".as_slice(), b"GET", b"PX"].map(Bytes::from_static);
                Command::of_key("SET", [key.clone(), encode_lease(*lease), nx, get, px, length.clone()])
            };
            let replies = link.run(keys.iter().zip(leases).map(command).collect(), self.read_timeout).await?;
            if !replies.iter().any(|reply| reply.as_ref().is_err_and(is_syntax_error)) {
                return Ok(replies);
            }
            link.lacks_leasing_set();
        }
        let call =
            |(key, lease): (&Bytes, &FillLease)| ScriptCall { key: key.clone(), arguments: vec![encode_lease(*lease), length.clone()] };
        link.run_script(&scripts::LEASE, keys.iter().zip(leases).map(call).collect(), self.read_timeout).await
    }
}

/// The values of replies of which none should be an error.
fn values(replies: Vec<Reply>) -> Result<Vec<Value>> {
    replies.into_iter().map(|reply| reply.map_err(|error| Failure::from(error).into())).collect()
}

/// What the reply to a read says of a slot.
fn slot(reply: Reply, now: SystemTime) -> Result<Slot> {
    let content = match reply {
        Ok(Value::Null) => return Ok(Slot::Empty),
        Ok(value) => value.into_bytes().map_or(Content::Foreign, |bytes| decode(&bytes)),
        Err(error) if is_wrong_type(&error) => Content::Foreign,
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(match content {
        Content::Record(record) if record.deadline.is_none_or(|deadline| now < deadline) => Slot::Record(record),
        Content::Record(_) | Content::OtherLayout => Slot::Empty,
        Content::Foreign => Slot::Foreign,
        Content::Lease(_) => Slot::Busy,
    })
}

/// The answer of the scripts that say yes or no.
fn is_one(answer: &Value) -> bool {
    answer.as_i64() == Some(1)
}

/// The answer of the scripts that issue a version.
fn decode_version(answer: Value) -> Option<Version> {
    let bytes = <[u8; 8]>::try_from(&answer.into_bytes()?[..]).ok()?;
    Some(Version::new(u64::from_be_bytes(bytes)))
}

fn malformed() -> Error {
    Error::new(ErrorKind::L2Unavailable, "Redis answered a script by something other than a version").with_tier(Role::Shared)
}
