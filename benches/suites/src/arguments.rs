//! What the command line says.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// A suite of benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    L3,
    Write,
}

impl Suite {
    const ALL: [Suite; 2] = [Suite::L3, Suite::Write];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::L3 => "l3",
            Suite::Write => "write",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) suites: Vec<Suite>,
    /// Where the rows go, for programs.
    pub(crate) json: Option<PathBuf>,
    /// Whether it is enough to see that everything runs.
    pub(crate) is_quick: bool,
}

pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments { suites: Vec::new(), json: None, is_quick: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => arguments.is_quick = true,
            "--json" => arguments.json = Some(words.next().context("`--json` needs a file")?.into()),
            name => match Suite::ALL.into_iter().find(|suite| suite.name() == name) {
                Some(suite) if !arguments.suites.contains(&suite) => arguments.suites.push(suite),
                Some(_) => {}
                None => bail!("there is no suite `{name}`; there are {}", Suite::ALL.map(Suite::name).join(", ")),
            },
        }
    }
    ensure!(!arguments.suites.is_empty(), "name a suite: {}", Suite::ALL.map(Suite::name).join(", "));
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Arguments> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn suites_and_options_are_understood() {
        let expected = Arguments { suites: vec![Suite::Write, Suite::L3], json: Some("rows.json".into()), is_quick: true };
        assert_eq!(parse_line("write --quick l3 write --json rows.json").unwrap(), expected);
        assert!(!parse_line("l3").unwrap().is_quick);
    }

    #[test]
    fn unknown_words_are_refused() {
        for line in ["", "--quick", "l9", "l3 --json", "l3 --fast"] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}
