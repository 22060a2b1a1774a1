//! Batches of commands for the keys of one call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store_core::Result;
use store_core::facet::Mark;

use crate::command::{Command, round_trips};
use crate::error::{Failure, is_missing_script, is_wrong_type};
use crate::link::{Link, Reply};
use crate::marks::KnownMarks;
use crate::scripts::Script;
use crate::shards::Shards;

/// What the server said to one command, and the mark of the shard that said it.
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) mark: Option<Arc<Mark>>,
}

/// The arguments of a script that touches one key.
#[derive(Debug, Clone)]
pub(crate) struct ScriptCall {
    pub(crate) key: Bytes,
    pub(crate) arguments: Vec<Bytes>,
}

impl ScriptCall {
    /// The command that runs a script, given by its hash or by its source.
    fn command(&self, name: &'static str, script: &'static [u8]) -> Command {
        let mut arguments = Vec::with_capacity(3 + self.arguments.len());
        arguments.extend([Bytes::from_static(script), Bytes::from_static(b"1"), self.key.clone()]);
        arguments.extend(self.arguments.iter().cloned());
        Command::new(name, Some(2), arguments)
    }
}

/// How the commands of one call are sent.
pub(crate) struct Batch<'a> {
    pub(crate) link: &'a Link,
    pub(crate) limit: Duration,
    /// The marks to be read before.
    pub(crate) marks: Option<Marks<'a>>,
}

/// Whose marks are read.
pub(crate) struct Marks<'a> {
    pub(crate) shards: Arc<Shards>,
    pub(crate) prefix: &'a str,
    pub(crate) known: &'a KnownMarks,
}

impl Batch<'_> {
    /// Runs a script for each of several keys, in their order.
    pub(crate) async fn run_script(&self, script: &'static Script, calls: &[ScriptCall]) -> Result<Vec<Answer>> {
        let by_hash = calls.iter().map(|call| call.command("EVALSHA", script.sha1().as_bytes())).collect();
        let mut answers = self.run(by_hash).await?;
        let missing: Vec<usize> = (0..answers.len()).filter(|&index| answers[index].reply.as_ref().is_err_and(is_missing_script)).collect();
        if !missing.is_empty() {
            // The server restarted, failed over, or flushed its scripts. Running one by its source makes the server keep it.
            let by_source = missing.iter().map(|&index| calls[index].command("EVAL", script.source.as_bytes())).collect();
            for (index, answer) in missing.into_iter().zip(self.run(by_source).await?) {
                answers[index] = answer;
            }
        }
        Ok(answers)
    }

    /// Runs commands that have a key, in their order.
    pub(crate) async fn run(&self, commands: Vec<Command>) -> Result<Vec<Answer>> {
        let Some(marks) = &self.marks else {
            let replies = self.link.run(commands, self.limit).await?;
            return Ok(replies.into_iter().map(|reply| Answer { reply, mark: None }).collect());
        };
        let mut answers = Vec::with_capacity(commands.len());
        for trip in round_trips(commands, Command::size) {
            // In each trip, since a cluster's connections may change between two.
            answers.append(&mut self.marked_trip(marks, trip).await?);
        }
        Ok(answers)
    }

    async fn marked_trip(&self, marks: &Marks<'_>, commands: Vec<Command>) -> Result<Vec<Answer>> {
        let shards = marks.shards.list();
        let of_commands: Vec<Option<usize>> =
            commands.iter().map(|command| command.key().and_then(|key| marks.shards.of_key(key))).collect();
        let mut involved: Vec<usize> = of_commands.iter().copied().flatten().collect();
        involved.sort_unstable();
        involved.dedup();

        let names: Vec<Bytes> = involved.iter().map(|&shard| Bytes::from(shards[shard].mark_name(marks.prefix))).collect();
        let reading =
            involved.iter().zip(&names).map(|(&shard, name)| Command::of_key("GET", [name.clone()]).on(shards[shard].server.as_ref()));
        let pinned =
            |(command, shard): (&Command, &Option<usize>)| command.clone().on(shard.and_then(|shard| shards[shard].server.as_ref()));
        let trip = reading.chain(commands.iter().zip(&of_commands).map(pinned)).collect();
        let Some(replies) = self.link.pinned_trip(trip, self.limit).await? else {
            // The cluster is another than was known, and which marks belong to which slots.
            let replies = self.link.round_trip(commands, self.limit).await?;
            return Ok(replies.into_iter().map(|reply| Answer { reply, mark: None }).collect());
        };

        let mut replies = replies.into_iter();
        let mut known = vec![None; shards.len()];
        for ((&shard, name), reply) in involved.iter().zip(&names).zip(&mut replies) {
            known[shard] = match reply {
                Ok(value) => value.into_bytes().and_then(|bytes| marks.known.decode(name, &bytes)),
                Err(error) if is_wrong_type(&error) => None,
                Err(error) => return Err(Failure::from(error).into()),
            };
        }
        let mark_of = |shard: &Option<usize>| shard.and_then(|shard| known[shard].clone());
        Ok(replies.zip(&of_commands).map(|(reply, shard)| Answer { reply, mark: mark_of(shard) }).collect())
    }
}
