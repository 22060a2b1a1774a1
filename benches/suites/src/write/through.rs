//! A set through all tiers, beside an upsert and a SET, one after the other.

use std::sync::Arc;

use anyhow::Result;
use fred::interfaces::KeysInterface;
use fred::types::Expiration;
use harness::{Case, Kind, Report, by_turns};
use strata::Store;
use strata::mem::MemTier;

use crate::at_once::{at_once, nanoseconds_each};
use crate::player::{Player, shuffled};
use crate::raw::Upsert;
use crate::scale::{Scale, grouped};
use crate::servers::{Servers, Stage};

/// How long Redis keeps what it is given, as for a store that says nothing else.
const LIFE_SECONDS: i64 = 300;

pub(super) async fn run(servers: &Servers, scale: &Scale, report: &mut Report) -> Result<()> {
    let measured = async |stage: &Stage, rows| {
        for callers in [1, 2] {
            measure(stage, scale, rows, true, callers, report).await?;
        }
        measure(stage, scale, rows, false, 1, report).await
    };
    servers.stage_each_size(scale, measured).await
}

async fn measure(stage: &Stage, scale: &Scale, rows: usize, are_present: bool, callers: usize, report: &mut Report) -> Result<()> {
    let what = if are_present { "one of" } else { "one more than" };
    let case = Case::new("write", format!("set through all tiers, {what} {} rows", grouped(rows)), Kind::Time, "upsert, then SET");
    let case = case.with_goal(1.25).with_threads(callers);
    let builder = Store::builder().near(MemTier::new()).tier(stage.shared().await?).tier(stage.truth().await?);
    let store = builder.schema::<Player>().build().await?;
    let players = store.collection::<Player>()?;
    stage.warm(&players, rows).await?;

    let clients = stage.postgres_each(callers).await?;
    let (mut upserts, mut caches) = (Vec::new(), Vec::new());
    for client in &clients {
        upserts.push(Upsert::prepare(client).await?);
        caches.push(stage.redis().await?);
    }
    let keys = shuffled(rows, 2);
    let calls = scale.calls_in_a_round;
    let batch = |round: usize, caller: usize| -> Vec<Player> {
        let first = (round * callers + caller) * calls;
        let key = |number: usize| if are_present { keys[number % keys.len()] } else { (rows + number + 1) as i64 };
        (first..first + calls).map(|number| Player::new(key(number), round as u64 + 1)).collect()
    };

    let turns = by_turns(
        case.kind,
        scale.calls,
        async |round| {
            let took = at_once(callers, |caller| {
                let (players, batch) = (players.clone(), batch(round, caller));
                async move {
                    for player in batch {
                        players.set(player).await?;
                    }
                    Ok(())
                }
            });
            Ok(nanoseconds_each(took.await?, calls))
        },
        async |round| {
            let took = at_once(callers, |caller| {
                let (client, upsert, cache) = (Arc::clone(&clients[caller]), upserts[caller].clone(), caches[caller].clone());
                let batch: Vec<(String, Player)> =
                    batch(round, caller).into_iter().map(|player| (stage.raw_key(player.id), player)).collect();
                async move {
                    for (key, player) in batch {
                        upsert.run(&client, &player).await?;
                        let bytes = postcard::to_allocvec(&player)?;
                        cache.set::<(), _, _>(key, bytes.as_slice(), Some(Expiration::EX(LIFE_SECONDS)), None, false).await?;
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
