//! The cities, from the file that is part of the program. GeoNames, CC BY 4.0.

use std::io::{BufRead, BufReader, IsTerminal};
use std::time::Instant;

use flate2::read::GzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use strata::Collection;

use crate::City;

const COMPRESSED: &[u8] = include_bytes!("../data/cities15000.jsonl.gz");
const BATCH: usize = 1_000;

/// Writes all cities through `set_many`, a thousand at a time.
pub(crate) async fn load(cities: &Collection<City>) -> anyhow::Result<()> {
    let all: Vec<City> =
        BufReader::new(GzDecoder::new(COMPRESSED)).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<anyhow::Result<_>>()?;
    let total = all.len();
    let bar = ProgressBar::new(total as u64);
    bar.set_style(ProgressStyle::with_template("{spinner} {pos}/{len} cities {wide_bar} {per_sec}")?);
    let begin = Instant::now();
    let mut rest = all.into_iter();
    loop {
        let batch: Vec<City> = rest.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        bar.inc(cities.set_many(batch).await?.len() as u64);
        if !std::io::stdout().is_terminal() && bar.position().is_multiple_of(10_000) {
            println!("{} of {total} cities written", bar.position());
        }
    }
    bar.finish_and_clear();
    println!("{total} cities written in {:.1?} (GeoNames, CC BY 4.0)", begin.elapsed());
    Ok(())
}
