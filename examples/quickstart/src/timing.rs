//! What each tier answers, and how fast.

use std::time::{Duration, Instant};

use strata::prelude::*;

use crate::City;
use crate::arguments::Arguments;

/// Every seventh city of the file is asked for, so that reads are spread.
const STRIDE: usize = 7;
const READS: usize = 2_000;

struct Row {
    tier: &'static str,
    found: usize,
    median: Duration,
    slowest_of_a_hundred: Duration,
}

/// Reads the same cities from each tier, and prints a table.
pub(crate) async fn each_tier(cities: &Collection<City>, arguments: &Arguments) -> anyhow::Result<()> {
    let keys = cities.select(Query::new().no_limit(), City::geonameid()).await?;
    let keys: Vec<i64> = keys.into_iter().step_by(STRIDE).take(READS).collect();
    cities.get_many(&keys).await?;

    let mut rows = Vec::new();
    let (mut times, mut found) = (Vec::with_capacity(keys.len()), 0);
    for key in &keys {
        let begin = Instant::now();
        found += usize::from(cities.get(key).await?.is_some());
        times.push(begin.elapsed());
    }
    rows.push(row("L1 memory", found, times));
    if arguments.servers {
        rows.push(from(cities, Role::Shared, "L2 Redis", &keys).await?);
    }
    let truth = if arguments.servers { "L3 PostgreSQL" } else { "L3 SQLite" };
    rows.push(from(cities, Role::Truth, truth, &keys).await?);

    println!("\n{:<14} {:>8} {:>8} {:>12} {:>12}", "tier", "asked", "found", "median", "99th of 100");
    for Row { tier, found, median, slowest_of_a_hundred } in rows {
        println!("{tier:<14} {:>8} {found:>8} {median:>12.1?} {slowest_of_a_hundred:>12.1?}", keys.len());
    }
    println!();
    Ok(())
}

async fn from(cities: &Collection<City>, role: Role, tier: &'static str, keys: &[i64]) -> anyhow::Result<Row> {
    let reader = cities.from(role);
    let (mut times, mut found) = (Vec::with_capacity(keys.len()), 0);
    for key in keys {
        let begin = Instant::now();
        found += usize::from(reader.get(key).await?.is_some());
        times.push(begin.elapsed());
    }
    Ok(row(tier, found, times))
}

fn row(tier: &'static str, found: usize, mut times: Vec<Duration>) -> Row {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    Row { tier, found, median: at(50), slowest_of_a_hundred: at(99) }
}
