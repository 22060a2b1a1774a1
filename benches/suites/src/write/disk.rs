//! What the disk does by itself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

/// How many records a second are durable where groups of them are appended to a file, each by one write and one `fdatasync`.
pub(super) async fn group_commit_rate(path: PathBuf, group: usize, record: usize, span: Duration) -> Result<f64> {
    tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let records = vec![0x5a_u8; group * record];
        let (mut durable, begin) = (0, Instant::now());
        let took = loop {
            file.write_all(&records)?;
            file.sync_data()?;
            durable += group;
            let took = begin.elapsed();
            if took >= span {
                break took;
            }
        };
        drop(file);
        fs::remove_file(&path)?;
        Ok(durable as f64 / took.as_secs_f64())
    })
    .await?
}

/// How many bytes of the files in a directory are written: zeros at their ends are room for more.
pub(super) fn written_bytes(directory: &Path) -> Result<usize> {
    let mut bytes = 0;
    for file in fs::read_dir(directory)? {
        let content = fs::read(file?.path())?;
        bytes += content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    }
    Ok(bytes)
}
