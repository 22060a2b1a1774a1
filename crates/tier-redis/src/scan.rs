//! Emptying all slots of a schema, in steps that block the server for about a millisecond each.

use std::time::Duration;

use bytes::Bytes;
use fred::types::Value;
use fred::types::config::Server;
use futures_util::future::try_join_all;
use store_core::{Error, ErrorKind, Result, Role};

use crate::batch::{Batch, ScriptCall};
use crate::command::Command;
use crate::error::Failure;
use crate::link::Link;
use crate::scripts;

/// About how many keys the server looks at in one step.
const STEP: &[u8] = b"1000";
/// The cursor that a scan begins and ends with.
const START: &[u8] = b"0";

/// Removes the keys that match a pattern, on every master, and returns how many there were.
pub(crate) async fn clear(link: &Link, pattern: String, read_timeout: Duration, write_timeout: Duration) -> Result<u64> {
    let pattern = Bytes::from(pattern);
    let masters = link.masters();
    let cleared = masters.iter().map(|master| clear_master(link, master.as_ref(), &pattern, read_timeout, write_timeout));
    Ok(try_join_all(cleared).await?.into_iter().sum())
}

/// The same on one master, or on the one server that the connection leads to.
pub(crate) async fn clear_master(
    link: &Link,
    master: Option<&Server>,
    pattern: &Bytes,
    read_timeout: Duration,
    write_timeout: Duration,
) -> Result<u64> {
    let mut removed = 0;
    let mut cursor = Bytes::from_static(START);
    loop {
        let keys;
        (cursor, keys) = step(link, master, cursor, pattern, read_timeout).await?;
        // One by one, since the keys of one command must lie in one hash slot of a cluster.
        let commands = keys.into_iter().map(|key| Command::of_key("UNLINK", [key])).collect();
        for reply in link.run(commands, write_timeout).await? {
            removed += reply.map_err(Failure::from)?.as_u64().unwrap_or_default();
        }
        if cursor == START {
            return Ok(removed);
        }
    }
}

/// Empties those slots that match a pattern and hold a lease or what a loader brought, on every master, and returns how many there were.
pub(crate) async fn drop_loaded(link: &Link, pattern: String, read_timeout: Duration, write_timeout: Duration) -> Result<u64> {
    let pattern = Bytes::from(pattern);
    let masters = link.masters();
    let dropped = masters.iter().map(|master| drop_loaded_of(link, master.as_ref(), &pattern, read_timeout, write_timeout));
    Ok(try_join_all(dropped).await?.into_iter().sum())
}

async fn drop_loaded_of(
    link: &Link,
    master: Option<&Server>,
    pattern: &Bytes,
    read_timeout: Duration,
    write_timeout: Duration,
) -> Result<u64> {
    let batch = Batch { link, limit: write_timeout, marks: None };
    let mut dropped = 0;
    let mut cursor = Bytes::from_static(START);
    loop {
        let keys;
        (cursor, keys) = step(link, master, cursor, pattern, read_timeout).await?;
        let calls: Vec<ScriptCall> = keys.into_iter().map(|key| ScriptCall { key, arguments: Vec::new() }).collect();
        for answer in batch.run_script(&scripts::DROP_LOADED, &calls).await? {
            dropped += answer.reply.map_err(Failure::from)?.as_u64().unwrap_or_default();
        }
        if cursor == START {
            return Ok(dropped);
        }
    }
}

/// Looks at some keys from a cursor on: the next cursor, and those that match.
async fn step(link: &Link, master: Option<&Server>, cursor: Bytes, pattern: &Bytes, limit: Duration) -> Result<(Bytes, Vec<Bytes>)> {
    let [match_, count] = [b"MATCH".as_slice(), b"COUNT"].map(Bytes::from_static);
    let command = Command::new("SCAN", None, vec![cursor, match_, pattern.clone(), count, Bytes::from_static(STEP)]);
    page(link.run_one(command.on(master), limit).await?)
}

/// Takes the reply of `SCAN` apart: the next cursor, and keys.
fn page(reply: Value) -> Result<(Bytes, Vec<Bytes>)> {
    let malformed =
        || Error::new(ErrorKind::L2Unavailable, "Redis answered SCAN by something other than a cursor and keys").with_tier(Role::Shared);
    let Value::Array(parts) = reply else { return Err(malformed()) };
    let [cursor, Value::Array(keys)] = <[Value; 2]>::try_from(parts).map_err(|_| malformed())? else { return Err(malformed()) };
    let keys = keys.into_iter().map(|key| key.into_bytes().ok_or_else(malformed)).collect::<Result<_>>()?;
    Ok((cursor.into_bytes().ok_or_else(malformed)?, keys))
}
