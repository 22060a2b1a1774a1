use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use tokio::time::timeout;

use crate::library::{Hold, Library, NEW, OLD};

/// What overtakes the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Invalidate,
    Write,
    InvalidateAll,
    Evict,
    Reread,
}

pub(crate) const CASES: [Case; 5] = [Case::Invalidate, Case::Write, Case::InvalidateAll, Case::Evict, Case::Reread];

impl Case {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Case::Invalidate => "invalidate",
            Case::Write => "write",
            Case::InvalidateAll => "invalidate all",
            Case::Evict => "write, evict",
            Case::Reread => "invalidate, reread",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Case::Invalidate => "the source changes, and the cache is told that the key did",
            Case::Write => "the new value goes to the source and to the cache",
            Case::InvalidateAll => "the source changes, and the cache is told that everything may have",
            Case::Evict => "as `write`; then other entries crowd the key out of the cache",
            Case::Reread => "as `invalidate`; then another read of the key begins, while the load still runs",
        }
    }
}

/// What the read after the load answered.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The new value.
    Fresh,
    /// The old one, though the source had the new one and the cache had been told.
    Stale,
    /// The race could not be run.
    Failed(anyhow::Error),
}

/// Longer than any race takes; beyond it something hangs.
const LONGEST_RACE: Duration = Duration::from_secs(60);
/// How long a second read may take until it counts as one that waits for the load. One that does not wait ends at once, so the table does not depend on it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many other entries come between two looks at whether the key is still there, which some policies count as a use of it.
const OTHERS: usize = 64;
/// How often each of them is used, so that policies which keep what is used often prefer it to the key.
const USES: usize = 16;
/// How often is looked.
const LOOKS: usize = 64;

/// Lets a load begin, overtakes it, lets it end, and reads.
pub(crate) async fn run<L: Library>(case: Case) -> Outcome {
    let race = async {
        check::<L>().await?;
        read_after::<L>(case).await
    };
    match timeout(LONGEST_RACE, race).await {
        Ok(Ok(answer)) if answer == NEW => Outcome::Fresh,
        Ok(Ok(answer)) if answer == OLD => Outcome::Stale,
        Ok(Ok(answer)) => Outcome::Failed(anyhow!("the read answered {answer:?}, which nobody wrote")),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => Outcome::Failed(anyhow!("it hung for {LONGEST_RACE:?}")),
    }
}

/// Checks that the cache keeps what an undisturbed load brought, without which no race would say anything of it.
async fn check<L: Library>() -> Result<()> {
    let library = L::open().await?;
    library.read().await?;
    library.change_source().await?;
    let answer = library.read().await?;
    ensure!(answer == OLD, "the cache does not keep what it loads");
    Ok(())
}

async fn read_after<L: Library>(case: Case) -> Result<String> {
    let library = L::open().await?;
    let hold = library.hold();
    let (load, overtaken) = tokio::join!(library.read(), overtake(&library, case, hold));
    overtaken?;
    load?;
    library.read().await
}

/// Waits until the load has its answer, lets something come between, and lets the load go on.
async fn overtake<L: Library>(library: &L, case: Case, mut hold: L::Hold) -> Result<()> {
    hold.arrived().await?;
    match case {
        Case::Invalidate => {
            library.change_source().await?;
            library.invalidate().await
        }
        Case::Write => library.write().await,
        Case::InvalidateAll => {
            library.change_source().await?;
            library.invalidate_all().await
        }
        Case::Evict => {
            library.write().await?;
            ensure!(library.holds_key().await, "the cache did not keep the value that was written");
            evict(library).await
        }
        Case::Reread => {
            library.change_source().await?;
            library.invalidate().await?;
            let mut reread = pin!(library.read());
            if let Ok(answer) = timeout(PATIENCE, &mut reread).await {
                return answer.map(drop);
            }
            drop(hold);
            reread.await.map(drop)
        }
    }
}

async fn evict<L: Library>(library: &L) -> Result<()> {
    for look in 0..LOOKS {
        for other in look * OTHERS..(look + 1) * OTHERS {
            for _ in 0..USES {
                library.use_other(&format!("other {other}")).await?;
            }
        }
        if !library.holds_key().await {
            return Ok(());
        }
    }
    bail!("{} other entries did not evict the key", LOOKS * OTHERS);
}
