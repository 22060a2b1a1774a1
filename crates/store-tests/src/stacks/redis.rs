//! A part of the Redis server that nobody else uses.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use strata::redis::{RedisConfig, RedisTier};
use strata::{BoundSchema, Schema, Tier};
use uuid::Uuid;

use super::cleaning;
use crate::models::encrypted::{Badge, Behind, Patient};
use crate::models::{Account, City, Document, Membership, Player};

/// Far more than a healthy server needs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The keys below one root, removed at the end.
#[derive(Debug)]
pub struct Namespace {
    config: RedisConfig,
    root: String,
}

/// The server that the tests share.
pub fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL is not set: run the tests with `cargo xtask test`, or export what `cargo xtask up` prints")
}

/// Connects a tier whose keys have a root of their own.
pub async fn open() -> (Namespace, RedisTier) {
    let root = format!("strata-test-{}", Uuid::new_v4());
    let config = RedisConfig::from_url(&url())
        .expect("REDIS_URL is well-formed")
        .with_key_root(&root)
        .with_dial_timeout(PATIENCE)
        .with_read_timeout(PATIENCE)
        .with_write_timeout(PATIENCE);
    let namespace = Namespace { config, root };
    let tier = namespace.tier().await;
    (namespace, tier)
}

impl Namespace {
    /// One more tier on the same keys.
    pub async fn tier(&self) -> RedisTier {
        RedisTier::connect(self.config.clone()).await.expect("the server that REDIS_URL names answers")
    }

    /// What every key below the root holds, whatever its type.
    pub fn dump(&self) -> Vec<u8> {
        let all = "local all = {} \
                   for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                       local kind = redis.call('TYPE', key).ok \
                       all[#all + 1] = key \
                       if kind == 'string' then all[#all + 1] = redis.call('GET', key) \
                       elseif kind == 'hash' then all[#all + 1] = redis.call('HGETALL', key) \
                       elseif kind == 'list' then all[#all + 1] = redis.call('LRANGE', key, 0, -1) \
                       elseif kind == 'set' then all[#all + 1] = redis.call('SMEMBERS', key) \
                       elseif kind == 'zset' then all[#all + 1] = redis.call('ZRANGE', key, 0, -1) \
                       else return redis.error_reply('unknown ' .. kind) end \
                   end \
                   return all";
        self.command(&[b"EVAL", all.as_bytes(), b"0", format!("{}*", self.root).as_bytes()])
    }

    /// Changes a byte a little behind the first place where a slot holds these. Answers in how many slots it did, as Redis tells it.
    pub fn change_behind(&self, bytes: &[u8]) -> Vec<u8> {
        let all = "local changed = 0 \
                   for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                       local value = redis.call('TYPE', key).ok == 'string' and redis.call('GET', key) or '' \
                       local _, last = string.find(value, ARGV[2], 1, true) \
                       if last then \
                           local byte = string.char((string.byte(value, last + 9) + 1) % 256) \
                           redis.call('SET', key, string.sub(value, 1, last + 8) .. byte .. string.sub(value, last + 10), 'KEEPTTL') \
                           changed = changed + 1 \
                       end \
                   end \
                   return changed";
        self.command(&[b"EVAL", all.as_bytes(), b"0", format!("{}*", self.root).as_bytes(), bytes])
    }

    /// Sends one command past the tier, and answers the reply as it came.
    fn command(&self, arguments: &[&[u8]]) -> Vec<u8> {
        let url = url();
        let address = url.strip_prefix("redis://").expect("the tests' server needs no TLS").trim_end_matches('/').to_owned();
        let mut connection = TcpStream::connect(address).expect("the server that REDIS_URL names answers");
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            request.extend(format!("${}\r\n", argument.len()).bytes());
            request.extend(*argument);
            request.extend(b"\r\n");
        }
        // The server ends the connection behind the last reply.
        request.extend(b"*1\r\n$4\r\nQUIT\r\n");
        connection.write_all(&request).expect("the server reads");
        let mut reply = Vec::new();
        connection.read_to_end(&mut reply).expect("the server answers");
        assert!(!reply.starts_with(b"-"), "{}", String::from_utf8_lossy(&reply));
        reply
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let config = self.config.clone();
        cleaning(async move {
            let tier = Arc::new(RedisTier::connect(config).await?);
            let records = Arc::clone(&tier).facets().records.expect("Redis has records");
            for definition in [
                Player::definition(),
                Membership::definition(),
                Document::definition(),
                City::definition(),
                Account::definition(),
                Patient::definition(),
                Behind::definition(),
                Badge::definition(),
            ] {
                records.clear(&BoundSchema::standalone(definition)).await?;
            }
            tier.close().await?;
            Ok(())
        });
    }
}
