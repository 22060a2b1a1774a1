//! The records facet.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::Value;
use store_core::facet::{Fetched, Fill, FillLease, Mark, PutOver, Records, Relay, Seen, Slot, TagEras};
use store_core::{BoundSchema, EncodedRecord, Error, ErrorKind, Result, Role, Version};

use crate::batch::{Answer, Batch, Marks, ScriptCall};
use crate::command::Command;
use crate::error::{Failure, is_out_of_memory, is_syntax_error, is_wrong_type};
use crate::layout::{Content, decode, encode_header, encode_lease, encode_record, unix_milliseconds};
use crate::link::{Reply, values};
use crate::{RedisTier, lifetime, random, scan, scripts};

#[async_trait]
impl Records for RedisTier {
    async fn fetch(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>> {
        Ok(self.fetch_slots(schema, keys, lease, false).await?.into_iter().map(|fetched| fetched.slot).collect())
    }

    async fn fetch_marked(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Fetched>> {
        self.fetch_slots(schema, keys, lease, true).await
    }

    async fn take_over(
        &self,
        schema: &BoundSchema,
        records: &[(String, EncodedRecord)],
        lease: Duration,
    ) -> Result<Vec<Option<FillLease>>> {
        let leases = random::leases(records.len())?;
        let length = lifetime::lease_argument(lease);
        let calls = records.iter().zip(&leases).map(|((key, record), lease)| ScriptCall {
            key: self.slot_key(schema, key),
            arguments: vec![encode_header(record), encode_lease(*lease), length.clone()],
        });
        let replies = self.script_replies(schema, &scripts::TAKE_OVER, calls.collect()).await?;
        let taken = |(reply, lease): (Reply, FillLease)| match reply {
            // A full server takes no lease.
            Err(error) if is_out_of_memory(&error) => Ok(None),
            reply => Ok(is_one(&reply.map_err(Failure::from)?).then_some(lease)),
        };
        replies.into_iter().zip(leases).map(taken).collect()
    }

    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        let now = SystemTime::now();
        let calls = fills.iter().map(|fill| ScriptCall {
            key: self.slot_key(schema, &fill.key),
            arguments: vec![encode_lease(fill.lease), encode_record(&fill.record), lifetime::argument(fill.record.deadline, now)],
        });
        let filled = self.run_script(schema, scripts::fill(), calls.collect()).await?;
        Ok(filled.iter().map(is_one).collect())
    }

    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        let now = SystemTime::now();
        let calls = records.iter().map(|(key, record)| ScriptCall {
            key: self.slot_key(schema, key),
            arguments: vec![encode_record(record), lifetime::argument(record.deadline, now)],
        });
        let held = self.run_script(schema, scripts::replace(), calls.collect()).await?;
        Ok(held.iter().map(is_one).collect())
    }

    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let commands = keys.iter().map(|key| Command::of_key("UNLINK", [self.slot_key(schema, key)])).collect();
        let removed = async { self.pool.link()?.run_checked(commands, self.write_timeout).await };
        removed.await.map(drop).map_err(|error| error.with_schema(schema.name()))
    }

    async fn clear(&self, schema: &BoundSchema) -> Result<u64> {
        let link = self.pool.link()?;
        let cleared = scan::clear(&link, self.keys.slot_pattern(schema), self.read_timeout, self.write_timeout).await;
        cleared.map_err(|error| error.with_schema(schema.name()))
    }

    async fn marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        self.read_marks(schemas).await
    }

    async fn relay(&self, relay: &Relay) -> Result<()> {
        self.relay_removals(relay).await
    }

    async fn tag_eras(&self, schema: &BoundSchema, key: &str, tags: &[String]) -> Result<Option<TagEras>> {
        self.read_tag_eras(schema, key, tags).await.map_err(|error| error.with_schema(schema.name()))
    }

    async fn invalidate_tags(&self, schema: &BoundSchema, tags: &[String]) -> Result<()> {
        self.begin_tag_era(schema, tags).await.map_err(|error| error.with_schema(schema.name()))
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

    async fn put_over(&self, schema: &BoundSchema, puts: &[PutOver]) -> Result<Vec<Option<Version>>> {
        let now = SystemTime::now();
        let call = |PutOver { key, seen, record }: &PutOver| {
            let seen = match seen {
                Seen::Lease(lease) => encode_lease(*lease),
                Seen::Record(record) => encode_header(record),
            };
            ScriptCall {
                key: self.slot_key(schema, key),
                arguments: vec![encode_record(record), lifetime::argument(record.deadline, now), seen],
            }
        };
        let versions = self.run_script(schema, &scripts::PUT_OVER, puts.iter().map(call).collect()).await?;
        versions.into_iter().map(decode_if_version).collect()
    }

    async fn drop_loaded(&self, schema: &BoundSchema, keys: Option<&[String]>) -> Result<u64> {
        let Some(keys) = keys else {
            let dropped = async {
                let link = self.pool.link()?;
                scan::drop_loaded(&link, self.keys.slot_pattern(schema), self.read_timeout, self.write_timeout).await
            };
            return dropped.await.map_err(|error| error.with_schema(schema.name()));
        };
        let calls = keys.iter().map(|key| ScriptCall { key: self.slot_key(schema, key), arguments: Vec::new() });
        let dropped = self.run_script(schema, &scripts::DROP_LOADED, calls.collect()).await?;
        Ok(dropped.iter().filter(|dropped| is_one(dropped)).count() as u64)
    }

    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>> {
        let now = Bytes::from(unix_milliseconds(SystemTime::now()).to_string());
        let calls = keys.iter().map(|key| ScriptCall { key: self.slot_key(schema, key), arguments: vec![now.clone()] });
        let versions = self.run_script(schema, &scripts::DELETE, calls.collect()).await?;
        versions.into_iter().map(decode_if_version).collect()
    }
}

impl RedisTier {
    pub(crate) fn slot_key(&self, schema: &BoundSchema, key: &str) -> Bytes {
        Bytes::from(self.keys.slot(schema, key))
    }

    async fn script_replies(&self, schema: &BoundSchema, script: &'static scripts::Script, calls: Vec<ScriptCall>) -> Result<Vec<Reply>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answers = async {
            let link = self.pool.link()?;
            Batch { link: &link, limit: self.write_timeout, marks: None }.run_script(script, &calls).await
        };
        let answers = answers.await.map_err(|error| error.with_schema(schema.name()))?;
        Ok(answers.into_iter().map(|answer| answer.reply).collect())
    }

    async fn run_script(&self, schema: &BoundSchema, script: &'static scripts::Script, calls: Vec<ScriptCall>) -> Result<Vec<Value>> {
        let replies = self.script_replies(schema, script, calls).await?;
        values(replies).map_err(|error| error.with_schema(schema.name()))
    }

    async fn fetch_slots(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>, marked: bool) -> Result<Vec<Fetched>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Bytes> = keys.iter().map(|key| self.slot_key(schema, key)).collect();
        let fetched = async {
            let link = self.pool.link()?;
            let marks = marked.then(|| Marks { shards: link.shards(&self.keys), prefix: schema.key_prefix(), known: &self.known_marks });
            let batch = Batch { link: &link, limit: self.read_timeout, marks };
            match lease {
                Some(length) => fetch_leasing(&batch, &keys, length).await,
                None => fetch_plainly(&batch, keys).await,
            }
        };
        fetched.await.map_err(|error: Error| error.with_schema(schema.name()))
    }
}

async fn fetch_plainly(batch: &Batch<'_>, keys: Vec<Bytes>) -> Result<Vec<Fetched>> {
    let commands = keys.into_iter().map(|key| Command::of_key("GET", [key])).collect();
    let answers = batch.run(commands).await?;
    let now = SystemTime::now();
    answers.into_iter().map(|Answer { reply, mark }| Ok(Fetched { slot: slot(reply, now)?, mark })).collect()
}

async fn fetch_leasing(batch: &Batch<'_>, keys: &[Bytes], length: Duration) -> Result<Vec<Fetched>> {
    let leases = random::leases(keys.len())?;
    let answers = lease(batch, keys, &leases, lifetime::lease_argument(length)).await?;

    // A full server takes no lease, but can be read.
    let full: Vec<usize> = (0..keys.len()).filter(|&index| answers[index].reply.as_ref().is_err_and(is_out_of_memory)).collect();
    let read = match full.is_empty() {
        true => Vec::new(),
        false => fetch_plainly(batch, full.iter().map(|&index| keys[index].clone()).collect()).await?,
    };

    let now = SystemTime::now();
    let (mut fetched, mut ended) = (Vec::with_capacity(keys.len()), Vec::new());
    for (index, (Answer { reply, mark }, lease)) in answers.into_iter().zip(&leases).enumerate() {
        let slot = match reply {
            Ok(Value::Null) => Slot::Leased(*lease),
            Err(error) if is_out_of_memory(&error) => Slot::Empty,
            // The batch was sent again.
            Ok(value) if value.as_bytes().is_some_and(|bytes| *bytes == encode_lease(*lease)) => Slot::Leased(*lease),
            reply => match found(reply, now)? {
                Found::Slot(slot) => slot,
                Found::Ended(record) => {
                    ended.push((index, record));
                    Slot::Busy
                }
            },
        };
        fetched.push(Fetched { slot, mark });
    }
    for (index, read) in full.into_iter().zip(read) {
        fetched[index] = read;
    }
    lease_over(batch, keys, &leases, length, &ended, &mut fetched).await?;
    Ok(fetched)
}

/// Leases slots over records past their deadlines, which the server has not dropped yet. Where another reader was first, or the slot is empty by now, it is busy for a moment.
async fn lease_over(
    batch: &Batch<'_>,
    keys: &[Bytes],
    leases: &[FillLease],
    length: Duration,
    ended: &[(usize, EncodedRecord)],
    fetched: &mut [Fetched],
) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let length = lifetime::lease_argument(length);
    let call = |(index, record): &(usize, EncodedRecord)| ScriptCall {
        key: keys[*index].clone(),
        arguments: vec![encode_header(record), encode_lease(leases[*index]), length.clone()],
    };
    let calls: Vec<ScriptCall> = ended.iter().map(call).collect();
    for ((index, _), Answer { reply, .. }) in ended.iter().zip(batch.run_script(&scripts::TAKE_OVER, &calls).await?) {
        let slot = &mut fetched[*index].slot;
        // A full server takes no lease.
        if reply.as_ref().is_err_and(is_out_of_memory) {
            *slot = Slot::Empty;
        } else if is_one(&reply.map_err(Failure::from)?) {
            *slot = Slot::Leased(leases[*index]);
        }
    }
    Ok(())
}

/// Reads each slot, or puts the lease there: by one plain command where the server knows it, else by a script.
async fn lease(batch: &Batch<'_>, keys: &[Bytes], leases: &[FillLease], length: Bytes) -> Result<Vec<Answer>> {
    if batch.link.knows_leasing_set() {
        let command = |(key, lease): (&Bytes, &FillLease)| {
            let [nx, get, px] = [b"NX".as_slice(), b"GET", b"PX"].map(Bytes::from_static);
            Command::of_key("SET", [key.clone(), encode_lease(*lease), nx, get, px, length.clone()])
        };
        let answers = batch.run(keys.iter().zip(leases).map(command).collect()).await?;
        if !answers.iter().any(|answer| answer.reply.as_ref().is_err_and(is_syntax_error)) {
            return Ok(answers);
        }
        batch.link.lacks_leasing_set();
    }
    let call = |(key, lease): (&Bytes, &FillLease)| ScriptCall { key: key.clone(), arguments: vec![encode_lease(*lease), length.clone()] };
    let calls: Vec<ScriptCall> = keys.iter().zip(leases).map(call).collect();
    batch.run_script(&scripts::LEASE, &calls).await
}

/// What a reader finds.
enum Found {
    Slot(Slot),
    /// A record past its deadline.
    Ended(EncodedRecord),
}

/// What the reply to a read says of a slot.
fn slot(reply: Reply, now: SystemTime) -> Result<Slot> {
    Ok(match found(reply, now)? {
        Found::Slot(slot) => slot,
        Found::Ended(_) => Slot::Empty,
    })
}

fn found(reply: Reply, now: SystemTime) -> Result<Found> {
    let content = match reply {
        Ok(Value::Null) => return Ok(Found::Slot(Slot::Empty)),
        Ok(value) => value.into_bytes().map_or(Content::Foreign, |bytes| decode(&bytes)),
        Err(error) if is_wrong_type(&error) => Content::Foreign,
        Err(error) => return Err(Failure::from(error).into()),
    };
    Ok(Found::Slot(match content {
        Content::Record(record) if record.deadline.is_none_or(|deadline| now < deadline) => Slot::Record(record),
        Content::Record(record) => return Ok(Found::Ended(record)),
        Content::OtherLayout => Slot::Empty,
        Content::Foreign => Slot::Foreign,
        Content::Lease(_) => Slot::Busy,
    }))
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

/// The answer of the scripts that may issue a version.
fn decode_if_version(answer: Value) -> Result<Option<Version>> {
    if answer.is_null() { Ok(None) } else { decode_version(answer).ok_or_else(malformed).map(Some) }
}

fn malformed() -> Error {
    Error::new(ErrorKind::L2Unavailable, "Redis answered a script by something other than a version").with_tier(Role::Shared)
}
