//! What goes wrong during a soak.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use store_testkit::servers::{PostgresServer, RedisServer};

/// The servers of a run.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) postgres: PostgresServer,
    pub(crate) redis: RedisServer,
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
    /// Redis stands still.
    PauseRedis,
    /// Redis is killed and comes back empty.
    KillRedis,
    /// Redis is killed and comes back as it was a while before, as after a fail-over to a replica that lags.
    RevertRedis,
    /// PostgreSQL drops all its connections.
    CutPostgres,
    /// PostgreSQL stands still.
    PausePostgres,
    /// PostgreSQL is killed and recovers.
    KillPostgres,
    /// A worker is killed; another takes its place.
    KillWorker,
    /// A worker stands still.
    PauseWorker,
}

/// All of them; those that cost little time come more often.
pub(crate) const FAULTS: [Fault; 16] = [
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
    Fault::RevertRedis,
    Fault::RevertRedis,
    Fault::CutPostgres,
    Fault::PausePostgres,
    Fault::KillWorker,
    Fault::PauseWorker,
];

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
            Fault::CutPostgres => "PostgreSQL cut off",
            Fault::PausePostgres => "PostgreSQL paused",
            Fault::KillPostgres => "PostgreSQL killed",
            Fault::KillWorker => "worker killed",
            Fault::PauseWorker => "worker paused",
        })
    }
}

/// Deletes the marks, which no pattern of slots meets.
const LOSE_MARKS: &str = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*mark*')) do n = n + redis.call('DEL', key) end return n";
/// Deletes every third key that is no mark.
const EVICT: &str = "local n = 0 for i, key in ipairs(redis.call('KEYS', '*')) do if i % 3 == 0 and not string.find(key, 'mark') \
    then n = n + redis.call('DEL', key) end end return n";
const CUT: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

impl Servers {
    /// Lets a fault of the servers happen, and end.
    pub(crate) fn suffer(&mut self, fault: Fault, random: &mut fastrand::Rng) -> Result<()> {
        let mut wait = |from: u64, to: u64| std::thread::sleep(Duration::from_millis(random.u64(from..to)));
        match fault {
            Fault::Flush => drop(self.redis.command(&["FLUSHALL"])?),
            Fault::LoseMarks => drop(self.redis.command(&["EVAL", LOSE_MARKS, "0"])?),
            Fault::Evict => drop(self.redis.command(&["EVAL", EVICT, "0"])?),
            Fault::CutRedis => {
                self.redis.command(&["CLIENT", "KILL", "TYPE", "normal"])?;
                self.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"])?;
            }
            Fault::PauseRedis => {
                self.redis.pause()?;
                wait(100, 2_500);
                self.redis.resume()?;
            }
            Fault::KillRedis => {
                self.redis.command(&["FLUSHALL"])?;
                self.redis.command(&["SAVE"])?;
                self.redis.kill()?;
                wait(50, 1_500);
                self.redis.restart()?;
            }
            Fault::RevertRedis => {
                self.redis.command(&["SAVE"])?;
                wait(100, 1_500);
                self.redis.kill()?;
                self.redis.restart()?;
            }
            Fault::CutPostgres => drop(self.postgres.query(CUT)?),
            Fault::PausePostgres => {
                self.postgres.pause()?;
                wait(100, 1_500);
                self.postgres.resume()?;
            }
            Fault::KillPostgres => {
                self.postgres.kill()?;
                wait(50, 500);
                self.postgres.restart()?;
            }
            Fault::KillWorker | Fault::PauseWorker => {}
        }
        Ok(())
    }
}
