//! How near the log comes to the disk: many writers that each wait for their entry to be durable, beside a loop that writes as much at once and syncs it.
//!
//! `cargo run -p store-log --release --example group_commit [-- WRITERS PAYLOAD_BYTES SECONDS DIRECTORY]`
//!
//! The three take turns, so that a disk that changes its pace changes it for all.

use std::error::Error;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store_log::{Log, LogConfig};

const ROUNDS: usize = 7;
const ENTRY_HEADER: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (writers, payload, seconds) = (number(64)?, number(100)? as usize, number(7)?);
    let directory = arguments.next().map_or_else(|| PathBuf::from("target"), PathBuf::from).join("group-commit");
    let round = Duration::from_secs(seconds) / ROUNDS as u32;
    let batch = vec![7; (payload + ENTRY_HEADER) * writers as usize];

    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let mut rounds: Vec<[f64; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        let growing = raw(&directory.join("growing"), &batch, 0, round)? * writers as f64;
        let filled = raw(&directory.join("filled"), &batch, 256 << 20, round)? * writers as f64;
        let log = Log::open(directory.join("log"), LogConfig::default())?;
        let ours = runtime.block_on(append(Arc::new(log), writers, payload, round))?;
        rounds.push([ours, growing, filled]);
    }
    fs::remove_dir_all(&directory)?;

    println!("{writers} writers, {payload} bytes an entry, median of {ROUNDS} rounds of {round:?}");
    let median = |of: &dyn Fn(&[f64; 3]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    println!("log                                      {:>9.0} entries/s", median(&|round| round[0]));
    for (at, name) in [(1, "write + fdatasync, the file grows"), (2, "write + fdatasync, the file is written over")] {
        println!("{name:<43}{:>6.0} entries/s   ratio {:.2}", median(&|round| round[at]), median(&|round| round[0] / round[at]));
    }
    Ok(())
}

/// Batches a second of a bare loop, in a file that is written with zeros before.
fn raw(path: &std::path::Path, batch: &[u8], filled: usize, time: Duration) -> std::io::Result<f64> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..filled >> 20 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let begin = Instant::now();
    let mut batches = 0;
    while begin.elapsed() < time {
        file.write_all(batch)?;
        file.sync_data()?;
        batches += 1;
    }
    let rate = f64::from(batches) / begin.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// Entries a second of tasks that each append one entry after the other.
async fn append(log: Arc<Log>, writers: u64, payload: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (log, stop, count, payload) = (Arc::clone(&log), Arc::clone(&stop), Arc::clone(&count), vec![7; payload]);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let sequence = log.append(&payload).await?;
                    count.fetch_add(1, Ordering::Relaxed);
                    // Keeps within the log's limit, as a consumer of the log would.
                    if sequence % 500_000 == 0 {
                        log.release(sequence)?;
                    }
                }
                Ok::<_, store_log::LogError>(())
            })
        })
        .collect();
    let timer = std::thread::spawn(move || {
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    for task in tasks {
        task.await??;
    }
    let rate = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    timer.join().map_err(|_| "the timer panicked")?;
    Ok(rate)
}
