//! A large batch, beside COPY with a merge, and beside a loop of sets.

use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;
use harness::{Case, Kind, Report, Rounds, by_turns};
use strata::Collection;

use crate::at_once::nanoseconds_each;
use crate::player::Player;
use crate::raw::Bulk;
use crate::scale::{Scale, grouped};
use crate::servers::{Servers, Stage};

/// The part of the batch that the loop of sets writes, one row after the other.
const LOOPED: usize = 10;

pub(super) async fn run(servers: &Servers, scale: &Scale, report: &mut Report) -> Result<()> {
    let sizes: Vec<usize> = std::iter::once(scale.rows / 10).chain(scale.growing_rows()).collect();
    for rows in sizes {
        servers
            .stage(async |stage| {
                stage.fill(rows).await?;
                // The largest batches take seconds.
                let rounds =
                    if rows > scale.rows { Rounds { counted: (scale.batches.counted / 2) | 1, ..scale.batches } } else { scale.batches };
                measure(stage, rounds, rows, true, rows == scale.rows, report).await?;
                measure(stage, rounds, rows, false, rows == scale.rows, report).await?;
                if rows == scale.rows { beside_a_loop(stage, rounds, rows, report).await } else { Ok(()) }
            })
            .await?;
    }
    Ok(())
}

async fn measure(stage: &Stage, rounds: Rounds, rows: usize, are_present: bool, is_judged: bool, report: &mut Report) -> Result<()> {
    let kind = if are_present { "present" } else { "new" };
    let case = Case::new("l3", format!("set_many of {} {kind} rows, each", grouped(rows)), Kind::Time, "COPY and merge");
    let case = if is_judged { case.with_goal(1.5) } else { case };
    let store = stage.store().await?;
    let players = store.collection::<Player>()?;
    let mut bulk = Bulk::prepare(stage.postgres().await?).await?;
    let batch = |round: usize| -> Vec<Player> {
        let first = if are_present { 0 } else { (round as i64 + 1) * rows as i64 };
        (1..=rows as i64).map(|id| Player::new(first + id, round as u64 + 1)).collect()
    };
    let turns = by_turns(
        case.kind,
        rounds,
        async |round| set_many(&players, batch(round)).await,
        async |round| {
            let batch = batch(round);
            let begin = Instant::now();
            bulk.run(&batch).await?;
            Ok(nanoseconds_each(begin.elapsed(), batch.len()))
        },
    );
    report.add(case.row(&turns.await?));
    Ok(store.close().await?)
}

async fn beside_a_loop(stage: &Stage, rounds: Rounds, rows: usize, report: &mut Report) -> Result<()> {
    let case = Case::new("l3", format!("set_many of {} rows, each", grouped(rows)), Kind::Time, "loop of sets");
    // Twenty times as fast.
    let case = case.with_goal(0.05);
    let store = stage.store().await?;
    let players = store.collection::<Player>()?;
    let turn = Mutex::new(1_000);
    let batch = |rows: usize| -> Vec<Player> {
        let mut turn = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *turn += 1;
        (1..=rows as i64).map(|id| Player::new(id, *turn)).collect()
    };
    let turns = by_turns(
        case.kind,
        rounds,
        async |_| set_many(&players, batch(rows)).await,
        async |_| {
            let batch = batch(rows / LOOPED);
            let (begin, count) = (Instant::now(), batch.len());
            for player in batch {
                players.set(player).await?;
            }
            Ok(nanoseconds_each(begin.elapsed(), count))
        },
    );
    report.add(case.row(&turns.await?));
    Ok(store.close().await?)
}

async fn set_many(players: &Collection<Player>, batch: Vec<Player>) -> Result<f64> {
    let (begin, count) = (Instant::now(), batch.len());
    let stored = players.set_many(batch).await?;
    let took = begin.elapsed();
    anyhow::ensure!(stored.len() == count, "{} of {count} rows were stored", stored.len());
    Ok(nanoseconds_each(took, count))
}
