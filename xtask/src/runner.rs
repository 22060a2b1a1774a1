use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::{cargo, report};

/// One command of the gate.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// What it checks.
    pub(crate) name: String,
    /// The arguments of cargo.
    pub(crate) arguments: Vec<String>,
    /// Variables for this command alone.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Whether it talks to PostgreSQL and Redis.
    pub(crate) needs_services: bool,
    /// Whether a person at a terminal wants to read all it prints, not only a failure.
    pub(crate) is_shown: bool,
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, arguments: &[&str]) -> Self {
        Self { name: name.into(), arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(), ..Self::default() }
    }

    pub(crate) fn shown(mut self) -> Self {
        self.is_shown = true;
        self
    }

    pub(crate) fn with_services(mut self) -> Self {
        self.needs_services = true;
        self
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The command as a person would type it.
    fn line(&self) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let arguments = self.arguments.iter().map(|argument| quoted(argument));
        let words: Vec<String> = variables.chain(["cargo".to_owned()]).chain(arguments).collect();
        words.join(" ")
    }
}

/// Runs steps, one after the other, until one fails.
#[derive(Debug)]
pub(crate) struct Runner {
    /// The variables that lead to the services.
    environment: Vec<(&'static str, String)>,
    begin: Instant,
    steps: usize,
}

impl Runner {
    pub(crate) fn new(environment: Vec<(&'static str, String)>) -> Self {
        Self { environment, begin: Instant::now(), steps: 0 }
    }

    pub(crate) fn run(&mut self, step: &Step) -> Result<()> {
        let line = step.line();
        report::step_begins(&step.name, &line);
        let begin = Instant::now();
        let status = self.execute(step, &line)?;
        if !status.success() {
            // Throw-away services end with this run, so the repetition needs some that stay.
            let services = match step.needs_services {
                true => "eval \"$(cargo xtask up)\"\n  ",
                false => "",
            };
            bail!(
                "the step `{}` failed ({status}) after {}; repeat it with:\n  {services}{line}",
                step.name,
                report::seconds(begin.elapsed()),
            );
        }
        self.ends(&step.name, begin);
        Ok(())
    }

    /// Runs a check of this program itself; `command` repeats it.
    pub(crate) fn check(&mut self, name: &str, command: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        report::step_begins(name, command);
        let begin = Instant::now();
        check().with_context(|| format!("the step `{name}` failed; repeat it with `{command}`"))?;
        self.ends(name, begin);
        Ok(())
    }

    pub(crate) fn finish(&self) {
        eprintln!("all {} steps ok in {}", self.steps, report::seconds(self.begin.elapsed()));
    }

    fn ends(&mut self, name: &str, begin: Instant) {
        self.steps += 1;
        report::step_ends(name, begin.elapsed());
    }

    fn execute(&self, step: &Step, line: &str) -> Result<ExitStatus> {
        let arguments: Vec<&str> = step.arguments.iter().map(String::as_str).collect();
        let mut command = cargo::cargo(&arguments);
        if step.needs_services {
            command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        }
        command.envs(step.variables.iter().map(|(name, value)| (name, value)));
        let status = match step.is_shown || !report::is_terminal() {
            true => command.status(),
            false => watch(command),
        };
        status.map_err(|error| anyhow!("cannot run `{line}`: {error}"))
    }
}

/// Runs a command behind a spinner that shows its newest line; prints all of it if it fails.
fn watch(mut command: Command) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    command.env("CARGO_TERM_COLOR", "always").stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It holds the pipe's other end, which must close for the reading to end.
    drop(command);

    let spinner = report::spinner("");
    let mut output = String::new();
    for line in BufReader::new(reader).lines() {
        let line = line?;
        spinner.set_message(line.trim().to_owned());
        output.push_str(&line);
        output.push('\n');
    }
    let status = child.wait()?;
    spinner.finish_and_clear();
    if !status.success() {
        eprint!("{output}");
    }
    Ok(status)
}

/// Quotes a word for the shell if it needs that.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_as_one_would_type_it() {
        let step = Step::new("docs", &["doc", "--no-deps"]).variable("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(step.line(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn a_failing_step_tells_how_to_repeat_it() {
        let mut runner = Runner::new(Vec::new());
        let step = Step::new("tests", &["no-such-command"]).with_services();
        let error = runner.run(&step).unwrap_err().to_string();
        assert!(error.contains("`tests`"), "{error}");
        assert!(error.ends_with("eval \"$(cargo xtask up)\"\n  cargo no-such-command"), "{error}");
    }
}
