//! Removing what the relayer read in the log, telling of invalidated tags, and moving the marks.
//!
//! A mark vouches for the removals before it only as long as the shard has not lost any of them: not if a replica that lacked some took over. So there is
//! one connection to each shard, from reading its mark to setting the next one, and a call fails once one of them was lost in between.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;
use futures_util::future::try_join_all;
use store_core::facet::{Mark, Relay, Removal};
use store_core::{BoundSchema, Error, ErrorKind, Result, Role};

use crate::batch::{Batch, ScriptCall};
use crate::command::Command;
use crate::error::{Failure, is_redirection, is_wrong_type};
use crate::link::{Link, Reply};
use crate::pool::{Driver, Pool};
use crate::shards::{Shard, Shards};
use crate::tags::Head;
use crate::{RedisTier, marks, scan, scripts, tags};

/// The connections over which the marks were read last.
#[derive(Debug, Default)]
pub(crate) enum Kept {
    /// No mark was read yet.
    #[default]
    Nothing,
    Lines(Lines),
    /// A call over them failed, or was dropped: nothing is known of what they lead to.
    Lost,
}

/// One connection to each shard.
#[derive(Debug)]
pub(crate) struct Lines {
    shards: Arc<Shards>,
    /// In the order of the shards.
    links: Vec<Arc<Link>>,
    /// What keeps up those connections that are not the pool's.
    _drivers: Vec<Driver>,
}

/// What one shard loses.
#[derive(Default)]
struct Removals {
    /// Slots that are emptied whatever they hold.
    keys: Vec<Bytes>,
    /// Slots that keep a record of a version.
    older: Vec<ScriptCall>,
}

impl RedisTier {
    pub(crate) async fn read_marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        self.unless_closed(async {
            let mut kept = self.kept.lock().await;
            if let Kept::Lines(lines) = mem::replace(&mut *kept, Kept::Lost)
                && lines.are_of_cluster()
                && lines.shards == self.pool.link()?.shards(&self.keys)
                && let Ok(read) = lines.read_marks(self, schemas).await
            {
                *kept = Kept::Lines(lines);
                return Ok(read);
            }
            let lines = self.open_lines().await?;
            let read = lines.read_marks(self, schemas).await?;
            *kept = Kept::Lines(lines);
            Ok(read)
        })
        .await
    }

    pub(crate) async fn relay_removals(&self, relay: &Relay) -> Result<()> {
        self.unless_closed(async {
            let mut kept = self.kept.lock().await;
            let lines = match mem::replace(&mut *kept, Kept::Lost) {
                Kept::Lines(lines) => lines,
                Kept::Nothing => self.open_lines().await?,
                Kept::Lost => {
                    let lost =
                        "a connection to Redis was lost since the marks were read, and removals with it perhaps; read the marks again";
                    return Err(Error::new(ErrorKind::L2Unavailable, lost).with_tier(Role::Shared));
                }
            };
            lines.relay(self, relay).await?;
            *kept = Kept::Lines(lines);
            Ok(())
        })
        .await
    }

    /// Ends the connections that are not the pool's. Calls under way must have ended by the closing of the pool.
    pub(crate) async fn close_lines(&self) {
        *self.kept.lock().await = Kept::Lost;
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.pool.closed() => Err(Pool::closed_error()),
            answer = work => answer,
        }
    }

    async fn open_lines(&self) -> Result<Lines> {
        let link = self.pool.link()?;
        if !link.is_of_cluster() {
            // One connection of the pool is one to the server.
            return Ok(Lines { shards: link.shards(&self.keys), links: vec![link], _drivers: Vec::new() });
        }
        link.refresh_shards(self.read_timeout).await?;
        let shards = link.shards(&self.keys);
        let connections = shards.list().iter().map(|shard| self.pool.plan().connect_to(shard.server.as_ref()));
        let (links, _drivers) = try_join_all(connections).await?.into_iter().unzip();
        Ok(Lines { shards, links, _drivers })
    }
}

impl Lines {
    fn are_of_cluster(&self) -> bool {
        self.shards.list().iter().any(|shard| shard.server.is_some())
    }

    async fn read_marks(&self, tier: &RedisTier, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        let of_shard = self.each().map(|(shard, link)| async move {
            let marks = schemas.iter().map(|schema| Command::of_key("GET", [mark_name(shard, schema)]));
            let commands = marks.chain(schemas.iter().map(|schema| tags::read_head(tags::name(shard, schema)))).collect();
            let replies = link.run(commands, tier.read_timeout).await?.into_iter();
            // Content of another type is no mark, and no list.
            checked(replies.map(|reply| reply.or_else(|error| if is_wrong_type(&error) { Ok(Value::Null) } else { Err(error) })))
        });
        let of_shards = try_join_all(of_shard).await?;
        let mark = |values: &Vec<Value>, schema: usize| {
            let mark = values[schema].as_bytes().and_then(marks::decode)?;
            Head::era_of_mark(Head::decode(&values[schemas.len() + schema]), mark)
        };
        Ok((0..schemas.len()).map(|schema| of_shards.iter().map(|values| mark(values, schema)).collect()).collect())
    }

    async fn relay(&self, tier: &RedisTier, relay: &Relay) -> Result<()> {
        let mut of_shards: Vec<Removals> = self.links.iter().map(|_| Removals::default()).collect();
        for Removal { schema, key, below } in &relay.removals {
            let Some(key) = key else { continue };
            let key = tier.slot_key(schema, key);
            let Some(shard) = self.shards.of_key(&key) else {
                let missing = "no master of the Redis Cluster owns the hash slot of a key; repair the cluster";
                return Err(Error::new(ErrorKind::L2Unavailable, missing).with_tier(Role::Shared).with_schema(schema.name()));
            };
            match below {
                None => of_shards[shard].keys.push(key),
                Some(version) => {
                    let version = Bytes::copy_from_slice(&version.get().to_be_bytes());
                    of_shards[shard].older.push(ScriptCall { key, arguments: vec![version] });
                }
            }
        }
        let whole: Vec<&BoundSchema> =
            relay.removals.iter().filter(|removal| removal.key.is_none()).map(|removal| &*removal.schema).collect();
        let removing = self.links.iter().zip(of_shards).map(|(link, removals)| remove(tier, link, removals, &whole));
        try_join_all(removing).await?;

        let telling = self.each().map(|(shard, link)| async move { checked(tags::tell(tier, link, shard, &relay.tags).await?) });
        if try_join_all(telling).await?.iter().flatten().any(|taken| taken.as_i64() != Some(1)) {
            return Err(tags::told_by_another());
        }

        let marking = self.each().map(|(shard, link)| async move {
            let set = |(schema, mark): &(Arc<BoundSchema>, Mark)| Command::of_key("SET", [mark_name(shard, schema), marks::encode(mark)]);
            checked(link.run(relay.marks.iter().map(set).collect(), tier.write_timeout).await?)
        });
        try_join_all(marking).await.map(drop)
    }

    fn each(&self) -> impl Iterator<Item = (&Shard, &Link)> {
        self.shards.list().iter().zip(self.links.iter().map(|link| &**link))
    }
}

fn mark_name(shard: &Shard, schema: &BoundSchema) -> Bytes {
    Bytes::from(shard.mark_name(schema.key_prefix()))
}

/// Empties slots of one shard, and all of some schemas.
async fn remove(tier: &RedisTier, link: &Link, removals: Removals, whole: &[&BoundSchema]) -> Result<()> {
    for schema in whole {
        scan::clear_master(link, None, &tier.keys.slot_pattern(schema).into(), tier.read_timeout, tier.write_timeout).await?;
    }
    let commands = removals.keys.into_iter().map(|key| Command::of_key("UNLINK", [key])).collect();
    checked(link.run(commands, tier.write_timeout).await?)?;
    let batch = Batch { link, limit: tier.write_timeout, marks: None };
    let answers = batch.run_script(&scripts::REMOVE_OLDER, &removals.older).await?;
    checked(answers.into_iter().map(|answer| answer.reply)).map(drop)
}

/// The values of replies, all of which must be good.
fn checked(replies: impl IntoIterator<Item = Reply>) -> Result<Vec<Value>> {
    let value = |reply: Reply| {
        reply.map_err(|error| match is_redirection(&error) {
            true => Error::new(ErrorKind::L2Unavailable, "a hash slot of the Redis Cluster moved meanwhile").with_tier(Role::Shared),
            false => Failure::from(error).into(),
        })
    };
    replies.into_iter().map(value).collect()
}
