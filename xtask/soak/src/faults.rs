//! What goes wrong during a soak.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use store_testkit::servers::RedisServer;

use crate::postgres::Postgres;
use crate::redis::{Kind, Redis, is_primary};

/// The servers of a run.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Redis forgets everything.
    Flush,
    /// Redis loses the marks alone.
    LoseMarks,
    /// Redis evicts some slots.
    Evict,
    /// Redis drops all its connections.
    CutRedis,
    /// Redis, or one master of a cluster, stands still.
    PauseRedis,
    /// Redis, or one master of a cluster, is killed and comes back empty.
    KillRedis,
    /// Redis is killed and comes back as it was a while before.
    RevertRedis,
    /// A replica takes over that lacks the last writes.
    FailOverRedis,
    /// PostgreSQL drops all its connections.
    CutPostgres,
    /// PostgreSQL stands still.
    PausePostgres,
    /// PostgreSQL is killed and recovers.
    KillPostgres,
    /// PostgreSQL is killed, and its standby takes over.
    FailOverPostgres,
    /// A worker is killed; another takes its place.
    KillWorker,
    /// A worker stands still.
    PauseWorker,
}

/// Those that happen in any run; what costs little time comes more often.
const ALWAYS: [Fault; 16] = [
    Fault::Flush,
    Fault::Flush,
    Fault::LoseMarks,
    Fault::LoseMarks,
    Fault::Evict,
    Fault::Evict,
    Fault::CutRedis,
    Fault::CutRedis,
    Fault::PauseRedis,
    Fault::KillRedis,
    Fault::CutPostgres,
    Fault::PausePostgres,
    Fault::KillPostgres,
    Fault::KillWorker,
    Fault::PauseWorker,
    Fault::PauseWorker,
];

/// Deals faults as from a pack of cards that is shuffled anew when it is used up, so that none stays away for long.
#[derive(Debug)]
pub(crate) struct Pack {
    all: Vec<Fault>,
    left: Vec<Fault>,
}

impl Pack {
    pub(crate) fn new(redis: Kind, has_standby: bool) -> Self {
        let going_back = match redis {
            Kind::Single => Fault::RevertRedis,
            Kind::Sentinel | Kind::Cluster => Fault::FailOverRedis,
        };
        Pack {
            all: ALWAYS.into_iter().chain([going_back; 4]).chain(has_standby.then_some(Fault::FailOverPostgres)).collect(),
            left: Vec::new(),
        }
    }

    pub(crate) fn deal(&mut self, random: &mut fastrand::Rng) -> Option<Fault> {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            random.shuffle(&mut self.left);
        }
        self.left.pop()
    }
}

impl Fault {
    /// Whether Redis is afterwards as it was before.
    pub(crate) fn goes_back(self) -> bool {
        matches!(self, Fault::RevertRedis | Fault::FailOverRedis)
    }

    /// Whether Redis may lose what it was told and keep what it was told before.
    pub(crate) fn loses(self, redis: Kind) -> bool {
        match self {
            Fault::RevertRedis => true,
            // Whoever misses a primary lets its replica take over.
            Fault::FailOverRedis | Fault::PauseRedis | Fault::KillRedis => redis != Kind::Single,
            _ => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Flush => "Redis flushed",
            Fault::LoseMarks => "marks lost",
            Fault::Evict => "slots evicted",
            Fault::CutRedis => "Redis cut off",
            Fault::PauseRedis => "Redis paused",
            Fault::KillRedis => "Redis killed",
            Fault::RevertRedis => "Redis put back",
            Fault::FailOverRedis => "Redis failed over",
            Fault::CutPostgres => "PostgreSQL cut off",
            Fault::PausePostgres => "PostgreSQL paused",
            Fault::KillPostgres => "PostgreSQL killed",
            Fault::FailOverPostgres => "PostgreSQL failed over",
            Fault::KillWorker => "worker killed",
            Fault::PauseWorker => "worker paused",
        })
    }
}

const CUT: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

impl Servers {
    /// Lets a fault of the servers happen, and end; `before_loss` is called when Redis has got what it is about to lose. `false` if it could not happen just
    /// now.
    pub(crate) fn suffer(&mut self, fault: Fault, random: &mut fastrand::Rng, before_loss: impl FnOnce() -> Result<()>) -> Result<bool> {
        match fault {
            Fault::Flush => return self.each_primary(flush),
            Fault::LoseMarks => return self.each_primary(|server| delete(server, |_, key| key.contains("mark"))),
            Fault::Evict => {
                return self.each_primary(|server| delete(server, |number, key| number % 3 == 0 && !key.contains("mark")));
            }
            Fault::CutRedis => {
                return self.each_primary(|server| {
                    server.command(&["CLIENT", "KILL", "TYPE", "normal"])?;
                    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"])?;
                    Ok(())
                });
            }
            Fault::PauseRedis => {
                let mut primaries = self.redis.primaries()?;
                let Some(server) = random.choice(primaries.iter_mut()) else { return Ok(false) };
                server.pause()?;
                wait(random, 100..2_500);
                server.resume()?;
            }
            Fault::KillRedis => {
                let mut primaries = self.redis.primaries()?;
                let Some(server) = random.choice(primaries.iter_mut()) else { return Ok(false) };
                server.kill()?;
                // What it saved before, for a replica or to be put back, would bring back what was invalidated since: that is another fault.
                forget_saved(server)?;
                wait(random, 50..1_500);
                server.restart()?;
            }
            Fault::RevertRedis => {
                let mut primaries = self.redis.primaries()?;
                let Some(server) = random.choice(primaries.iter_mut()) else { return Ok(false) };
                server.command(&["SAVE"])?;
                wait(random, 100..1_500);
                before_loss()?;
                server.kill()?;
                server.restart()?;
            }
            Fault::FailOverRedis => {
                let (lag, kill) = (Duration::from_millis(random.u64(50..800)), random.bool());
                return self.redis.fail_over(lag, kill, before_loss);
            }
            Fault::CutPostgres => drop(self.postgres.query(CUT)?),
            Fault::PausePostgres => {
                self.postgres.pause()?;
                wait(random, 100..1_500);
                self.postgres.resume()?;
            }
            Fault::KillPostgres => {
                self.postgres.kill()?;
                wait(random, 50..500);
                self.postgres.restart()?;
            }
            Fault::FailOverPostgres => return self.postgres.fail_over(),
            Fault::KillWorker | Fault::PauseWorker => {}
        }
        Ok(true)
    }

    /// `false` if a primary was none any more.
    fn each_primary(&mut self, act: impl Fn(&RedisServer) -> Result<()>) -> Result<bool> {
        let mut happened = true;
        for server in self.redis.primaries()? {
            happened &= unless_replaced(server, &act)?;
        }
        Ok(happened)
    }
}

/// Acts on a primary; `false` if another server has taken over from it meanwhile, as one does from a primary that stood still, or if the cluster is still
/// agreeing on who is who.
fn unless_replaced(server: &RedisServer, act: impl Fn(&RedisServer) -> Result<()>) -> Result<bool> {
    match act(server) {
        Err(error) if is_primary(server) && !error.to_string().contains("CLUSTERDOWN") => Err(error),
        outcome => Ok(outcome.is_ok()),
    }
}

fn wait(random: &mut fastrand::Rng, milliseconds: Range<u64>) {
    std::thread::sleep(Duration::from_millis(random.u64(milliseconds)));
}

fn forget_saved(server: &RedisServer) -> Result<()> {
    match std::fs::remove_file(server.directory().join("dump.rdb")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn flush(server: &RedisServer) -> Result<()> {
    Ok(server.command(&["FLUSHALL"]).map(drop)?)
}

/// Deletes the keys that are chosen, by number and name.
fn delete(server: &RedisServer, is_chosen: impl Fn(usize, &str) -> bool) -> Result<()> {
    let keys = server.command(&["KEYS", "*"])?;
    for (number, key) in keys.lines().enumerate() {
        if is_chosen(number, key) {
            server.command(&["DEL", key])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_comes_before_any_comes_again_too_often() {
        let (mut pack, mut random) = (Pack::new(Kind::Single, true), fastrand::Rng::with_seed(7));
        let dealt: Vec<Fault> = (0..pack.all.len()).filter_map(|_| pack.deal(&mut random)).collect();
        let sorted = |mut faults: Vec<Fault>| {
            faults.sort_unstable();
            faults
        };
        assert_eq!(sorted(dealt), sorted(pack.all));
    }
}
