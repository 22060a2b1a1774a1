//! Going on for a while, so that somebody can pull a plug.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use strata::prelude::*;

use crate::City;

/// Reads and writes cities until the time is over, checks every answer, and prints each second what happened.
pub(crate) async fn on(cities: &Collection<City>, time: Option<Duration>) -> anyhow::Result<()> {
    let Some(time) = time else { return Ok(()) };
    let keys = cities.select(Query::new().limit(500), City::geonameid()).await?;
    let mut city = City::clone(&*cities.get_or_err(3_936_456).await?);
    let begin = Instant::now();
    let (mut answers, mut errors, mut told) = (0_u64, BTreeMap::<String, u64>::new(), begin);
    // The newest population that a write confirmed; one that failed may have taken effect all the same.
    let mut confirmed = city.population;
    for &key in keys.iter().cycle() {
        match cities.invalidate(key).await.and(cities.get(key).await) {
            Ok(found) => answers += u64::from(found.is_some()),
            Err(error) => *errors.entry(error.kind().to_string()).or_default() += 1,
        }
        city.population += 1;
        let in_doubt = match cities.set(city.clone()).await {
            Ok(written) => {
                confirmed = written.population;
                false
            }
            Err(error) => {
                *errors.entry(error.kind().to_string()).or_default() += 1;
                true
            }
        };
        if let Ok(Some(read)) = cities.get(3_936_456).await {
            anyhow::ensure!(
                read.population == confirmed || (in_doubt && read.population > confirmed),
                "read {} after {confirmed} was confirmed",
                read.population
            );
            answers += 1;
        }
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            println!("{:>4} s: {answers} right answers, typed errors: {errors:?}", begin.elapsed().as_secs());
        }
        if begin.elapsed() >= time {
            break;
        }
    }
    Ok(())
}
