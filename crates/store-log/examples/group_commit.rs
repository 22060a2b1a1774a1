//! How near the log comes to the disk: many writers that each wait for their entry to be durable, beside a loop that writes as much at once and syncs it.
//!
//! `cargo run -p store-log --release --example group_commit [-- WRITERS PAYLOAD_BYTES SECONDS DIRECTORY]`
//!
//! The log and the loop take turns, so that a disk that changes its pace changes it for both.

use std::error::Error;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store_log::{Log, LogConfig, LogError};

const ROUNDS: usize = 31;
const ENTRY_HEADER: usize = 24;
/// Where the files of the loop begin anew.
const LOOP_BYTES: u64 = 32 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (writers, payload, seconds) = (number(64)?, number(100)?, number(9)?);
    let directory = arguments.next().map_or_else(|| PathBuf::from("target"), PathBuf::from).join("group-commit");
    let round = Duration::from_secs(seconds as u64) / (3 * ROUNDS as u32);
    let batch = vec![7; (payload + ENTRY_HEADER) * writers];

    let _ = fs::remove_dir_all(&directory);
    let log = Arc::new(Log::open(directory.join("log"), LogConfig::default())?);
    let mut growing = Loop::new(&directory.join("growing"), false)?;
    let mut filled = Loop::new(&directory.join("filled"), true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    let mut rounds: Vec<[f64; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        let ours = runtime.block_on(append(&log, writers, payload, round))?;
        rounds.push([ours, growing.run(&batch, round)? * writers as f64, filled.run(&batch, round)? * writers as f64]);
    }
    drop(log);
    fs::remove_dir_all(&directory)?;

    println!("{writers} writers, {payload} bytes an entry, median of {ROUNDS} rounds of {round:.0?}");
    let median = |of: &dyn Fn(&[f64; 3]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    println!("{:<43} {:>7.0} entries/s", "log", median(&|round| round[0]));
    for (at, name) in [(1, "write + fdatasync, the file grows"), (2, "write + fdatasync, the file is written over")] {
        println!("{name:<43} {:>7.0} entries/s, ratio {:.2}", median(&|round| round[at]), median(&|round| round[0] / round[at]));
    }
    Ok(())
}

/// A file that a bare loop writes and syncs.
struct Loop {
    file: File,
    offset: u64,
    is_filled: bool,
}

impl Loop {
    fn new(path: &Path, is_filled: bool) -> std::io::Result<Self> {
        let mut file = File::create(path)?;
        if is_filled {
            file.write_all(&vec![0; LOOP_BYTES as usize])?;
            file.sync_all()?;
        }
        Ok(Self { file, offset: 0, is_filled })
    }

    /// Batches a second.
    fn run(&mut self, batch: &[u8], time: Duration) -> std::io::Result<f64> {
        if self.offset + (8 << 20) > LOOP_BYTES {
            self.offset = 0;
            if !self.is_filled {
                self.file.set_len(0)?;
                self.file.sync_all()?;
            }
        }
        self.file.seek(SeekFrom::Start(self.offset))?;
        let begin = Instant::now();
        let mut batches = 0;
        while begin.elapsed() < time {
            self.file.write_all(batch)?;
            self.file.sync_data()?;
            batches += 1;
        }
        self.offset += batches * batch.len() as u64;
        Ok(batches as f64 / begin.elapsed().as_secs_f64())
    }
}

/// Entries a second of tasks that each append one entry after the other.
async fn append(log: &Arc<Log>, writers: usize, payload: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let count = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (log, count, payload) = (Arc::clone(log), Arc::clone(&count), vec![7; payload]);
            tokio::spawn(async move {
                while begin.elapsed() < time {
                    log.append(&payload).await?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, LogError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let rate = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    log.release(log.durable())?;
    Ok(rate)
}
