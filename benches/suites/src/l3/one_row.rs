//! A read that memory cannot answer, beside a prepared query and its decoding.

use std::sync::Arc;

use anyhow::{Context, Result};
use harness::{Case, Kind, Report, by_turns};

use crate::at_once::{at_once, nanoseconds_each};
use crate::player::{Player, shuffled};
use crate::raw::Read;
use crate::scale::{Scale, grouped};
use crate::servers::{Servers, Stage};

pub(super) async fn run(servers: &Servers, scale: &Scale, report: &mut Report) -> Result<()> {
    let measured = async |stage: &Stage, rows| {
        for callers in [1, 2] {
            measure(stage, scale, rows, callers, report).await?;
        }
        Ok(())
    };
    servers.stage_each_size(scale, measured).await
}

async fn measure(stage: &Stage, scale: &Scale, rows: usize, callers: usize, report: &mut Report) -> Result<()> {
    let case = Case::new("l3", format!("miss to truth, one of {} rows", grouped(rows)), Kind::Time, "prepared query and decode");
    let case = case.with_goal(1.05).with_threads(callers);
    let store = stage.store().await?;
    let players = store.collection::<Player>()?;
    let clients = stage.postgres_each(callers).await?;
    let mut reads = Vec::new();
    for client in &clients {
        reads.push(Read::prepare(client).await?);
    }
    // A key is read once by each side, so memory never holds it.
    let keys: Arc<[i64]> = shuffled(rows, 1).into();
    let calls = scale.calls_in_a_round;
    let keys_of = |round: usize, caller: usize| {
        let first = (round * callers + caller) * calls;
        (Arc::clone(&keys), first..first + calls)
    };

    let turns = by_turns(
        case.kind,
        scale.calls,
        async |round| {
            let took = at_once(callers, |caller| {
                let (players, (keys, range)) = (players.clone(), keys_of(round, caller));
                async move {
                    for id in &keys[range] {
                        players.get(*id).await?.context("the row is not there")?;
                    }
                    Ok(())
                }
            });
            Ok(nanoseconds_each(took.await?, calls))
        },
        async |round| {
            let took = at_once(callers, |caller| {
                let (client, read, (keys, range)) = (Arc::clone(&clients[caller]), reads[caller].clone(), keys_of(round, caller));
                async move {
                    for id in &keys[range] {
                        read.run(&client, *id).await?;
                    }
                    Ok(())
                }
            });
            Ok(nanoseconds_each(took.await?, calls))
        },
    );
    report.add(case.row(&turns.await?));
    Ok(store.close().await?)
}
