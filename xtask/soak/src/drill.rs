//! Races that chance alone would meet once in hours, played on purpose: all processes work on one key at a time, some of them held up at the worst place.
//!
//! Nothing is agreed between the processes but the clock that they share, which says what drill of which key begins when, and each draws its own part. What
//! comes of it is noted and checked like everything else. The instances that drill send no messages to others: the log alone must do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use store_testkit::{Fault, Operation};
use strata::ErrorKind;

use crate::history::{Promise, now};
use crate::instance::Instance;

/// From the beginning of one drill to that of the next, in milliseconds.
const LENGTH: u64 = 1_600;
/// When a drill's outcome is read, longer than the bound after its last commit.
const OUTCOME: u64 = 1_300;
/// Not a multiple of the number of kinds, so that each key comes to be drilled in every way.
const KEYS: u64 = 15;

/// What comes late.
#[derive(Debug, Clone, Copy)]
enum Late {
    /// A reader is held up between the truth's answer and the fill, while others write.
    Fill,
    /// A writer is held up between its commit and telling the caches, while others write and invalidate.
    Replace,
    /// A transaction is long in committing, while others overtake it.
    Commit,
    /// A write runs out of time and is committed later, while its process writes again.
    Answer,
}

/// Drills keys behind the given one until it is stopped.
pub(crate) async fn run(instance: &Instance, behind: u64, stopped: &AtomicBool) -> Result<()> {
    while !stopped.load(Ordering::Relaxed) {
        let number = now() / (LENGTH * 1_000_000) + 1;
        let kind = [Late::Fill, Late::Replace, Late::Commit, Late::Answer][(number % 4) as usize];
        let drill = Drill { instance, key: behind + 1 + number % KEYS, start: number * LENGTH * 1_000_000 };
        instance.redis.heal();
        instance.postgres.heal();
        for faults in [&instance.redis, &instance.postgres] {
            // Of a kind that says nothing of the server's health.
            faults.always(Operation::Publish, Fault::FailBefore(ErrorKind::InvalidQuery));
        }
        let is_late = fastrand::bool();
        match (kind, is_late) {
            (Late::Fill, true) => drill.fill_late().await?,
            (Late::Fill, false) => drill.overtake_fill().await?,
            (Late::Replace, true) => drill.replace_late().await?,
            (Late::Replace, false) => drill.overtake_replace().await?,
            (Late::Commit, is_late) => drill.commit(is_late).await?,
            (Late::Answer, true) => drill.write_again().await?,
            (Late::Answer, false) => drill.read_before().await?,
        }
        drill.see_outcome().await?;
    }
    Ok(())
}

struct Drill<'a> {
    instance: &'a Instance,
    key: u64,
    /// Nanoseconds on the shared clock.
    start: u64,
}

impl Drill<'_> {
    /// Waits until so many milliseconds of the drill have passed.
    async fn at(&self, milliseconds: u64) {
        let wait = (self.start + milliseconds * 1_000_000).saturating_sub(now());
        tokio::time::sleep(Duration::from_nanos(wait)).await;
    }

    async fn fill_late(&self) -> Result<()> {
        // By now it has heard from the log that what it holds is too old.
        self.at(350).await;
        let hold = self.instance.postgres.hold_after(Operation::GetMany);
        let release = async {
            self.at(900).await;
            hold.release();
            Ok(())
        };
        tokio::try_join!(self.instance.read(self.key, Promise::Bounded), release).map(drop)
    }

    async fn overtake_fill(&self) -> Result<()> {
        self.at(0).await;
        self.instance.put(self.key).await?;
        // The slot is empty for who comes late.
        self.instance.invalidate(self.key).await?;
        self.at(500).await;
        self.instance.put(self.key).await
    }

    async fn replace_late(&self) -> Result<()> {
        self.at(150).await;
        let hold = self.instance.postgres.hold_after(Operation::PutMany);
        let release = async {
            self.at(900).await;
            hold.release();
            Ok(())
        };
        tokio::try_join!(self.instance.put(self.key), release).map(drop)
    }

    async fn overtake_replace(&self) -> Result<()> {
        self.at(0).await;
        self.instance.put(self.key).await?;
        self.at(300).await;
        self.instance.put(self.key).await?;
        self.at(450).await;
        self.instance.invalidate(self.key).await
    }

    async fn commit(&self, is_late: bool) -> Result<()> {
        self.at(0).await;
        if !is_late {
            self.instance.put(self.key).await?;
        }
        self.at(100).await;
        // Something old in memory.
        self.instance.read(self.key, Promise::Bounded).await?;
        self.at(200).await;
        if is_late { self.instance.put_slowly(self.key).await } else { Ok(()) }
    }

    async fn write_again(&self) -> Result<()> {
        self.at(0).await;
        self.instance.put_deafly(self.key).await?;
        if fastrand::bool() { self.instance.put(self.key).await } else { self.instance.delete(self.key).await }
    }

    async fn read_before(&self) -> Result<()> {
        self.at(200).await;
        self.instance.read(self.key, Promise::Bounded).await
    }

    async fn see_outcome(&self) -> Result<()> {
        for step in 0..5 {
            self.at(OUTCOME + 50 * step).await;
            self.instance.read(self.key, Promise::Bounded).await?;
        }
        self.instance.read_shared(&[self.key]).await?;
        self.instance.read(self.key, Promise::Latest).await
    }
}
