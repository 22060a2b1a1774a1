//! Processes of their own, each of which runs one function of these tests again, when it is told to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Tells the test that started this process something.
pub fn answer(text: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "answer: {text}").and_then(|()| output.flush()).unwrap();
}

/// Says that this process is ready, and waits until it is told to go on.
pub fn wait_for_go() {
    answer("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// A process that is killed at the end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a function that has the form of a test, by its whole name.
    pub fn start(function: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", function, "--nocapture"])
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, lines) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut process = Process { child, input, lines };
        assert_eq!(process.answer().as_deref(), Some("ready"));
        process
    }

    pub fn go(&mut self) {
        writeln!(self.input, "go").unwrap();
    }

    /// What it tells next; `None` after it has ended.
    pub fn answer(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The test harness writes its own lines, some without an end.
            if let (Some((_, answer)), true) = (line.split_once("answer: "), line.ends_with('\n')) {
                return Some(answer.trim().to_owned());
            }
        }
    }

    /// Ends it as a power switch would. What it had told and nobody had read, if it got so far.
    pub fn kill(mut self) -> Option<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.answer()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
