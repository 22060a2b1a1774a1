//! Starts a writer, kills it, and lets the next one tell what is left: on one truth after the other.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep_until, timeout};

use crate::arguments::Task;
use crate::checker::Checker;
use crate::protocol::Line;
use crate::truth::Truth;
use crate::writer;

/// How long a writer may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a writer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Before it had flushed what the journal held.
    Opening,
    /// So too, and the last kill had left something there.
    Replaying,
    Writing,
    Closed,
}

/// What came of one writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) end: End,
    /// How many keys had writes then that the journal alone held.
    pub(crate) pending: usize,
}

/// One truth, its journal, and all that was told of them.
pub(crate) struct Stage {
    pub(crate) truth: Truth,
    directory: TempDir,
    pub(crate) checker: Checker,
    /// How long a writer takes to open the store, about.
    opening: Duration,
}

struct Writer {
    number: u64,
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    pub(crate) async fn sqlite() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("strata-kill-").tempdir()?;
        let truth = Truth::sqlite(directory.path());
        Self::furnished(truth, directory).await
    }

    pub(crate) async fn postgres() -> Result<Self> {
        let truth = tokio::task::block_in_place(Truth::postgres)?;
        Self::furnished(truth, tempfile::Builder::new().prefix("strata-kill-").tempdir()?).await
    }

    async fn furnished(truth: Truth, directory: TempDir) -> Result<Self> {
        let stage = Stage { truth, directory, checker: Checker::new(), opening: Duration::from_millis(100) };
        // A store makes the tables.
        writer::open(&stage.task(0, 0)).await?.close().await?;
        tokio::task::block_in_place(|| stage.truth.furnish())?;
        Ok(stage)
    }

    /// Keeps the journal, and SQLite's database, to be looked at.
    pub(crate) fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    fn task(&self, number: u64, seed: u64) -> Task {
        Task { number, seed, truth: self.truth.address(), journal: self.directory.path().join("journal") }
    }

    fn start(&self, number: u64, seed: u64) -> Result<Writer> {
        let task = self.task(number, seed);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--writer").args([task.number.to_string(), task.seed.to_string(), task.truth]).arg(task.journal);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().context("a writer cannot be started")?;
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("a writer has no output")?).lines();
        Ok(Writer { number, child, input, lines })
    }

    /// Starts a writer, checks what it finds, and kills it: soon after it begins to write, or at times while it opens the store.
    pub(crate) async fn kill_one(&mut self, number: u64, random: &mut fastrand::Rng) -> Result<Run> {
        let writer = self.start(number, random.u64(..))?;
        let while_opening = random.u32(..4) == 0;
        let delay = match while_opening {
            // The flush comes late in it.
            true => self.opening.mul_f64(random.f64().sqrt() * 1.2),
            false => Duration::from_millis(random.u64(5..=400)),
        };
        self.follow(writer, Some((while_opening, delay))).await
    }

    /// Starts a last writer, checks what it finds, and lets it close its store.
    pub(crate) async fn finish(&mut self, number: u64) -> Result<Run> {
        let writer = self.start(number, 0)?;
        self.follow(writer, None).await
    }

    async fn follow(&mut self, mut writer: Writer, kill: Option<(bool, Duration)>) -> Result<Run> {
        let end = if self.checker.has_pending() { End::Replaying } else { End::Opening };
        let mut run = Run { end, pending: 0 };
        let started = Instant::now();
        let (mut opening, mut moment) = (started, None);
        loop {
            let limit = started + PATIENCE;
            let line = tokio::select! {
                biased;
                () = sleep_until(moment.unwrap_or(limit)) => {
                    if moment.is_none() {
                        bail!("a writer on {} does not come to an end", self.truth.name());
                    }
                    break;
                }
                line = writer.lines.next_line() => line?,
            };
            let Some(line) = line else {
                let status = writer.child.wait().await?;
                if run.end == End::Closed && status.success() {
                    return Ok(run);
                }
                bail!("a writer on {} ended by itself: {status}", self.truth.name());
            };
            match line.parse()? {
                Line::Opening => {
                    opening = Instant::now();
                    moment = kill.filter(|(while_opening, _)| *while_opening).map(|(_, delay)| opening + delay);
                }
                Line::Flushed => {
                    self.opening = (self.opening * 3 + opening.elapsed()) / 4;
                    run.end = End::Writing;
                    tokio::task::block_in_place(|| self.truth.outlive(writer.number))?;
                    writer.say("read").await?;
                }
                Line::Ready => {
                    let (audit, letters) = tokio::task::block_in_place(|| {
                        Ok::<_, anyhow::Error>((self.truth.audit(self.checker.audited())?, self.truth.dead_letters()?))
                    })?;
                    self.checker.check(&audit, letters);
                    if let Some((while_opening, delay)) = kill {
                        let numbers: Vec<String> = self.checker.numbers().map(|(place, number)| format!("{place}={number}")).collect();
                        writer.say(&numbers.join(" ")).await?;
                        moment = moment.filter(|_| while_opening).or(Some(Instant::now() + delay));
                    } else {
                        run.end = End::Closed;
                        writer.input = None;
                    }
                }
                line => self.note(line),
            }
        }
        writer.kill().await?;
        // What it had told already.
        while let Some(line) = writer.lines.next_line().await? {
            if let Ok(line) = line.parse() {
                self.note(line);
            }
        }
        let rows = tokio::task::block_in_place(|| self.truth.peek())?;
        run.pending = self.checker.peek(&rows);
        Ok(run)
    }

    fn note(&mut self, line: Line) {
        match line {
            Line::Found(place, number) => self.checker.find(place, number),
            Line::Begun(call, how, changes) => self.checker.begin(call, how, changes),
            Line::Acknowledged(call) => self.checker.acknowledge(call),
            Line::Failed(call, error) => self.checker.fail(call, error),
            Line::Opening | Line::Flushed | Line::Ready => {}
        }
    }
}

impl Writer {
    async fn say(&mut self, line: &str) -> Result<()> {
        match &mut self.input {
            Some(input) => Ok(input.write_all(format!("{line}\n").as_bytes()).await?),
            None => Ok(()),
        }
    }

    async fn kill(&mut self) -> Result<ExitStatus> {
        self.child.start_kill().context("the writer cannot be killed")?;
        timeout(PATIENCE, self.child.wait()).await.context("a killed writer does not end")?.context("a killed writer cannot be waited for")
    }
}
