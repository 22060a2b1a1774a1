//! Two processes on one file.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use store_core::Tier;
use store_core::facet::Log;

use crate::support::{Database, get, notes, put};
use crate::wakes::{hears, listen, settle};

/// What makes the test [`neighbour`] a process of its own.
const FILE: &str = "STRATA_TEST_SQLITE_NEIGHBOUR";

fn names() -> Vec<String> {
    vec!["log".into(), "slots:note:".into()]
}

/// Not a test of its own: the other process of the tests below. It does what a line of its input says, and answers each with a line.
#[tokio::test]
async fn neighbour() {
    let Ok(file) = env::var(FILE) else { return };
    let tier = notes(file.into()).await;
    for line in std::io::stdin().lines() {
        let answer = match line.unwrap().as_str() {
            "lead" => format!("{:?}", tier.lead(&names()).await.unwrap()),
            "close" => format!("{:?}", tier.close().await),
            id => format!("{}", put(&tier, [id.parse().unwrap()]).await.unwrap()[0].version),
        };
        let mut output = std::io::stdout().lock();
        writeln!(output, "answer: {answer}").and_then(|()| output.flush()).unwrap();
    }
}

struct Neighbour {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Neighbour {
    fn start(database: &Database) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["processes::neighbour", "--exact", "--nocapture"])
            .env(FILE, database.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Neighbour { process, lines }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the other process has ended");
            // The test harness writes its own lines, some without an end.
            if let Some((_, answer)) = line.split_once("answer: ") {
                return answer.trim().to_owned();
            }
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_leads_until_it_closes_or_dies() {
    let database = Database::new();
    let tier = notes(database.path().into()).await;
    let mut closing = Neighbour::start(&database);
    assert_eq!(closing.ask("lead"), "[true, true]");
    assert_eq!(tier.lead(&names()).await.unwrap(), [false, false]);
    assert_eq!(closing.ask("close"), "Ok(())");
    assert_eq!(tier.lead(&names()).await.unwrap(), [true, true]);

    let mut dying = Neighbour::start(&database);
    assert_eq!(dying.ask("lead"), "[false, false]");
    tier.close().await.unwrap();
    assert_eq!(dying.ask("lead"), "[true, true]");
    let heir = notes(database.path().into()).await;
    assert_eq!(heir.lead(&names()).await.unwrap(), [false, false]);
    drop(dying);
    assert_eq!(heir.lead(&names()).await.unwrap(), [true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_process_is_noticed() {
    let database = Database::new();
    let tier = notes(database.path().into()).await;
    let mut neighbour = Neighbour::start(&database);
    neighbour.ask("1");
    let mut heard = listen(&tier).await;
    settle(&mut heard).await;
    for id in 2..=20_i64 {
        let place = tier.end().await.unwrap();
        let version = neighbour.ask(&id.to_string());
        hears(&mut heard).await;
        let entries = tier.read(&place).await.unwrap().entries;
        assert_eq!(entries.iter().map(|entry| entry.version.to_string()).collect::<Vec<_>>(), [version]);
        assert!(get(&tier, id).await.unwrap().is_some());
    }
}
