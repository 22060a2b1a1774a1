//! Processes that share a file, and that are killed while they write to it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use futures_util::TryStreamExt;
use store_core::facet::{Log, Select, Tables};
use store_core::{Value, key_text};

use crate::support::{Database, note_schema, notes, put};

/// What makes the test [`writer`] a writer: the file, and the writer's number.
const FILE: &str = "STRATA_TEST_SQLITE_FILE";
const NUMBER: &str = "STRATA_TEST_SQLITE_WRITER";

/// Rows of one write.
const BATCH: i64 = 3;

/// Far more writes than a process lives for.
const LIFE: i64 = 1_000_000;

/// Where the writer begins again after its kill: behind the ids that it may have written.
const SPAN: i64 = LIFE * BATCH;

/// Not a test of its own: the process that `acknowledged_writes_survive_kills` starts and kills. Each write is acknowledged by a line with its first id.
#[tokio::test]
async fn writer() {
    let (Ok(file), Ok(number)) = (env::var(FILE), env::var(NUMBER)) else { return };
    let first: i64 = number.parse::<i64>().unwrap() * SPAN;
    let tier = notes(file.into()).await;
    for turn in 0..LIFE {
        let id = first + turn * BATCH + 1;
        put(&tier, id..id + BATCH).await.unwrap();
        let mut output = std::io::stdout().lock();
        writeln!(output, "wrote {id}").and_then(|()| output.flush()).unwrap();
    }
}

struct Writer {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Writer {
    fn start(database: &Database, number: i64) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["crash::writer", "--exact", "--nocapture"])
            .env(FILE, database.path())
            .env(NUMBER, number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Writer { process, lines }
    }

    /// The next acknowledged write; `None` after the process has ended.
    fn next(&mut self) -> Option<i64> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The test harness writes its own lines, some without an end.
            if let (Some(position), true) = (line.find("wrote "), line.ends_with('\n')) {
                return Some(line[position + 6..].trim().parse().unwrap());
            }
        }
    }

    /// Ends the process as a power switch would, and gives the writes that it acknowledged since.
    fn kill(mut self) -> Vec<i64> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kills() {
    let database = Database::new();
    let mut acknowledged: BTreeSet<i64> = BTreeSet::new();
    let start = notes(database.path().into()).await.end().await.unwrap();
    for round in 0..8 {
        // Two processes at once in every other round.
        let mut writers: Vec<_> = (0..=round % 2).map(|place| Writer::start(&database, round * 2 + place)).collect();
        for writer in &mut writers {
            acknowledged.extend(writer.next());
        }
        tokio::time::sleep(Duration::from_micros((round * 7_919 % 60_000) as u64)).await;
        for writer in writers {
            acknowledged.extend(writer.kill());
        }

        let tier = notes(database.path().into()).await;
        let rows: Vec<_> = std::sync::Arc::clone(&tier).select(note_schema(), Select::default()).try_collect().await.unwrap();
        let mut batches: BTreeMap<i64, i64> = BTreeMap::new();
        for stored in &rows {
            let Value::Integer(id) = stored.row[0] else { panic!("{stored:?}") };
            *batches.entry((id - 1) / BATCH * BATCH + 1).or_default() += 1;
        }
        assert!(batches.values().all(|&rows| rows == BATCH), "a write is there whole or not at all");
        let lost: Vec<_> = acknowledged.iter().filter(|id| !batches.contains_key(id)).collect();
        assert!(lost.is_empty(), "of {} acknowledged writes these are lost: {lost:?}", acknowledged.len());

        let logged: BTreeSet<_> =
            tier.read(&start).await.unwrap().entries.into_iter().map(|entry| (entry.key.unwrap(), entry.version)).collect();
        let held: BTreeSet<_> = rows.iter().map(|stored| (key_text(&stored.row[..1]).unwrap(), stored.version)).collect();
        assert_eq!(logged, held, "each row has its entry in the log");
        let check: String = database.outside("").query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        drop(tier);
    }
    assert!(acknowledged.len() > 8, "the writers were at work: {}", acknowledged.len());
}
