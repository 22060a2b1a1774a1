//! Sets that are acknowledged when the journal has them on the disk, beside the disk itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::{Case, Kind, Report, by_turns};
use strata::mem::MemTier;
use strata::{Acknowledge, Collection, Store, WriteMode};

use super::disk;
use crate::at_once::at_once;
use crate::player::Player;
use crate::scale::{Scale, grouped};
use crate::servers::{Servers, Stage};

/// Four fifths of the rate that the disk has by itself.
const GOAL: f64 = 1.25;
const WRITERS: usize = 64;
/// So many sets tell how large an entry of the journal is.
const SAMPLE: usize = 500;

pub(super) async fn run(servers: &Servers, scale: &Scale, report: &mut Report) -> Result<()> {
    // The directory of the build is on a disk, where that of temporary files may be memory.
    let directory = tempfile::Builder::new().prefix("bench-journal-").tempdir_in("target").context("no directory for the journal")?;
    for (writers, keys_each) in [(WRITERS / 2, 10), (WRITERS, 1), (WRITERS, 10), (WRITERS, 100), (WRITERS * 2, 10)] {
        let journal = directory.path().join(format!("{writers}-{keys_each}"));
        servers.stage(async |stage| measure(stage, scale, &journal, writers, keys_each, report).await).await?;
    }
    Ok(())
}

async fn measure(stage: &Stage, scale: &Scale, journal: &Path, writers: usize, keys_each: usize, report: &mut Report) -> Result<()> {
    let name = format!("durable set behind, {} keys", grouped(writers * keys_each));
    let case = Case::new("write", name, Kind::Rate, "append and fdatasync").with_threads(writers);
    let case = if writers == WRITERS { case.with_goal(GOAL) } else { case };
    let builder = Store::builder().near(MemTier::new()).tier(stage.truth().await?);
    let store = builder
        .schema_with::<Player>(|options| {
            options.policies.write_mode = Some(WriteMode::WriteBehind);
            options.acknowledge(Acknowledge::Journal);
        })
        .journal(journal)
        .build()
        .await?;
    let players = store.collection::<Player>()?;
    let entry = entry_bytes(&players, journal).await?;
    store.flush().await?;

    let turns = by_turns(
        case.kind,
        scale.spans,
        async |round| {
            let (acknowledged, begin) = (Arc::new(AtomicU64::new(0)), Instant::now());
            let took = at_once(writers, |writer| {
                let (players, acknowledged, span) = (players.clone(), Arc::clone(&acknowledged), scale.span);
                async move {
                    for turn in 0.. {
                        if begin.elapsed() >= span {
                            break;
                        }
                        let key = writer * keys_each + turn % keys_each + 1;
                        players.set(Player::new(key as i64, (round * 1_000_000 + turn) as u64)).await?;
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                }
            });
            let took = took.await?;
            // What is left to flush would slow down the other side.
            store.flush().await?;
            Ok(acknowledged.load(Ordering::Relaxed) as f64 / took.as_secs_f64())
        },
        async |_| disk::group_commit_rate(journal.with_extension("baseline"), writers, entry, scale.span).await,
    );
    report.add(case.row(&turns.await?));
    Ok(store.close().await?)
}

/// How many bytes a set takes in the journal, headers included.
async fn entry_bytes(players: &Collection<Player>, journal: &Path) -> Result<usize> {
    let before = disk::written_bytes(journal)?;
    for number in 0..SAMPLE {
        players.set(Player::new(number as i64 + 1, 1_000_000)).await?;
    }
    let bytes = (disk::written_bytes(journal)? - before) / SAMPLE;
    ensure!((50..1_000).contains(&bytes), "an entry of {bytes} bytes in the journal cannot be right");
    Ok(bytes)
}
