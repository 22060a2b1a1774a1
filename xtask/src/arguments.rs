use anyhow::{Context, Result, bail};

pub(crate) const HELP: &str = "\
The chores of Strata's workspace.

cargo xtask test [--quick] [-- FILTER...]
    Checks everything: format, clippy, tidy, docs, each tier alone, all tests, doctests and the
    quickstart. --quick leaves it at format, clippy and tests. What follows `--` goes to the test
    runner, to choose tests. PostgreSQL and Redis are those of DATABASE_URL and REDIS_URL if set,
    else throw-away ones.
cargo xtask prove soak [--minutes N | --seconds N | --operations N] [--processes P] [--keys K]
        [--calm] [--seed N] [--redis single|sentinel|cluster] [--postgres single|failover]
        [--without PROTECTION|all]
    Several processes on PostgreSQL and Redis of their own, under random faults; every read is checked.
    A run of three minutes or a million operations takes the kinds of Redis in turn. With `failover`
    PostgreSQL has a synchronous standby that takes over. With --without the workspace is compiled so
    that a protection can be left out (fence, lease, no-create, floor, mark, cursor, deadline or
    orphans), and a promise must be broken; `all` leaves out each in turn. It fails where none is.
cargo xtask prove kill [--runs N] [--seed N]
    Kills a writer in write-behind with SIGKILL at random moments, 500 times, by turns on SQLite and a
    PostgreSQL of its own. The next writer must find all that was acknowledged, and nothing twice.
cargo xtask prove model
    Explores the coherence protocol exhaustively, further than the tests do.
cargo xtask prove interleavings
    Runs flights, fences, shelves and whole pipelines under a hundred thousand interleavings each.
cargo xtask prove journal
    Crashes the journal's disk, simulated, at every operation of two thousand random runs.
cargo xtask prove nonces
    Writes a million encrypted fields through a store, and looks for a nonce that comes twice.
cargo xtask prove features
    Compiles the facade with each of its features alone, without a warning.
cargo xtask prove queries [--operations N]
    Two instances write at random, on SQLite and on PostgreSQL; each cached search is compared with SQL.
    100,000 operations each unless told otherwise.
cargo xtask up
    Starts PostgreSQL and Redis to stay and prints the variables to export:
    eval \"$(cargo xtask up)\"
cargo xtask down
    Stops what `up` started.
cargo xtask migrate [--plan | --check | --status | --from DIR | ...]
    Brings the examples' database to their models' layout: that of DATABASE_URL, or the quickstart's.
    It is the command line of examples/manage; `cargo run -p manage -- --help` lists the others.
cargo xtask tidy
    Checks the rules of the workspace that no compiler checks.
cargo xtask bench races
    Prints what Strata and other caches answer after a load that was overtaken by an invalidation or
    a write. Compiles those caches, which takes minutes the first time.
cargo xtask bench SUITE... [--json FILE] [--quick]
    Measures Strata beside the drivers that it stands on, and prints ratios. The suites: l3, write. --json
    also writes the rows to a file. --quick only sees that everything runs. Servers as for `test`.";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Test(TestOptions),
    Prove(Proof),
    Up,
    Down,
    /// With the options of the examples' own command line.
    Migrate(Vec<String>),
    Tidy,
    BenchRaces,
    Bench(BenchOptions),
    Help,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The soak, with its own options.
    Soak(Vec<String>),
    /// The kills of a writer, with their own options.
    Kill(Vec<String>),
    /// The model of the coherence protocol.
    Model,
    /// The interleavings of what threads share.
    Interleavings,
    /// The crashes of the journal's disk.
    Journal,
    /// The nonces of a million encryptions.
    Nonces,
    /// The features, each alone.
    Features,
    /// Cached searches beside SQL, with so many operations.
    Queries(u64),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BenchOptions {
    pub(crate) suites: Vec<String>,
    /// Where the rows go, for programs.
    pub(crate) json: Option<String>,
    /// Whether it is enough to see that everything runs.
    pub(crate) is_quick: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestOptions {
    /// Only format, clippy and tests.
    pub(crate) quick: bool,
    /// Further arguments of the test runner.
    pub(crate) filters: Vec<String>,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task> {
    let task = match arguments.next().as_deref() {
        Some("test") => return parse_test(arguments).map(Task::Test),
        Some("prove") => return parse_proof(arguments),
        Some("migrate") => return Ok(Task::Migrate(arguments.collect())),
        Some("up") => Task::Up,
        Some("down") => Task::Down,
        Some("tidy") => Task::Tidy,
        Some("bench") => return parse_bench(arguments),
        None | Some("help" | "--help" | "-h") => Task::Help,
        Some(unknown) => bail!("no task `{unknown}`\n\n{HELP}"),
    };
    match arguments.next() {
        None => Ok(task),
        Some(unexpected) => bail!("unexpected argument `{unexpected}`\n\n{HELP}"),
    }
}

/// The suites of `benches/suites`.
const SUITES: [&str; 2] = ["l3", "write"];

/// Checks what is to be measured before it is compiled, which takes minutes.
fn parse_bench(arguments: impl Iterator<Item = String>) -> Result<Task> {
    let mut arguments = arguments.peekable();
    if arguments.next_if(|argument| argument == "races").is_some() {
        return match arguments.next() {
            None => Ok(Task::BenchRaces),
            Some(unexpected) => bail!("unexpected argument `{unexpected}`\n\n{HELP}"),
        };
    }
    let mut options = BenchOptions::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => options.is_quick = true,
            "--json" => options.json = Some(arguments.next().with_context(|| format!("`--json` needs a file\n\n{HELP}"))?),
            suite if SUITES.contains(&suite) => options.suites.push(argument),
            unknown => bail!("`bench` has no suite `{unknown}`\n\n{HELP}"),
        }
    }
    if options.suites.is_empty() {
        bail!("`bench` needs the name of a suite\n\n{HELP}");
    }
    Ok(Task::Bench(options))
}

fn parse_proof(mut arguments: impl Iterator<Item = String>) -> Result<Task> {
    match arguments.next().as_deref() {
        Some("soak") => parse_soak(arguments.collect()),
        Some("kill") => Ok(Task::Prove(Proof::Kill(arguments.collect()))),
        Some("model") => without_options(arguments, Proof::Model),
        Some("interleavings") => without_options(arguments, Proof::Interleavings),
        Some("journal") => without_options(arguments, Proof::Journal),
        Some("nonces") => without_options(arguments, Proof::Nonces),
        Some("features") => without_options(arguments, Proof::Features),
        Some("queries") => parse_operations(arguments).map(|operations| Task::Prove(Proof::Queries(operations))),
        Some("--help" | "-h") => Ok(Task::Help),
        _ => bail!(
            "`prove` needs to know what: `soak`, `kill`, `model`, `interleavings`, `journal`, `nonces`, `features` or `queries`\n\n{HELP}"
        ),
    }
}

fn without_options(mut arguments: impl Iterator<Item = String>, proof: Proof) -> Result<Task> {
    match arguments.next() {
        None => Ok(Task::Prove(proof)),
        Some(unexpected) => bail!("unexpected argument `{unexpected}`\n\n{HELP}"),
    }
}

fn parse_operations(mut arguments: impl Iterator<Item = String>) -> Result<u64> {
    let operations = match arguments.next().as_deref() {
        None => return Ok(100_000),
        Some("--operations") => arguments.next().and_then(|number| number.replace('_', "").parse().ok()).filter(|&number| number > 0),
        Some(unexpected) => bail!("unexpected argument `{unexpected}`\n\n{HELP}"),
    };
    match (operations, arguments.next()) {
        (Some(operations), None) => Ok(operations),
        (None, _) => bail!("`--operations` needs a number above zero\n\n{HELP}"),
        (_, Some(unexpected)) => bail!("unexpected argument `{unexpected}`\n\n{HELP}"),
    }
}

/// What an option of the soak takes.
enum Takes {
    Nothing,
    Number { least: u64 },
    OneOf(&'static [&'static str]),
}

const SOAK_OPTIONS: [(&str, Takes); 10] = [
    ("--minutes", Takes::Number { least: 1 }),
    ("--seconds", Takes::Number { least: 1 }),
    ("--operations", Takes::Number { least: 1 }),
    ("--processes", Takes::Number { least: 1 }),
    ("--keys", Takes::Number { least: 1 }),
    ("--calm", Takes::Nothing),
    ("--seed", Takes::Number { least: 0 }),
    ("--redis", Takes::OneOf(&["single", "sentinel", "cluster"])),
    ("--postgres", Takes::OneOf(&["single", "failover"])),
    ("--without", Takes::OneOf(&["fence", "lease", "no-create", "floor", "mark", "cursor", "deadline", "orphans", "all"])),
];

/// Checks what the soak is told before it is compiled, which takes minutes. It reads its options itself.
fn parse_soak(options: Vec<String>) -> Result<Task> {
    let mut words = options.iter();
    while let Some(option) = words.next() {
        if matches!(option.as_str(), "--help" | "-h") {
            return Ok(Task::Help);
        }
        let Some((_, takes)) = SOAK_OPTIONS.iter().find(|(name, _)| name == option) else {
            bail!("the soak has no option `{option}`; `cargo xtask prove soak --help` lists those that it has");
        };
        let mut value = || words.next().with_context(|| format!("`{option}` needs a value; `cargo xtask prove soak --help` tells which"));
        match takes {
            Takes::Nothing => {}
            Takes::Number { least } => {
                let value = value()?;
                if value.parse::<u64>().ok().is_none_or(|number| number < *least) {
                    bail!("`{option}` needs a number from {least} on, not `{value}`");
                }
            }
            Takes::OneOf(names) => {
                let value = value()?;
                if !names.contains(&value.as_str()) {
                    bail!("`{option}` is one of {}, not `{value}`", names.join(", "));
                }
            }
        }
    }
    Ok(Task::Prove(Proof::Soak(options)))
}

fn parse_test(mut arguments: impl Iterator<Item = String>) -> Result<TestOptions> {
    let mut options = TestOptions::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--" => options.filters = arguments.by_ref().collect(),
            unknown => bail!("`test` has no option `{unknown}`\n\n{HELP}"),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Task> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn tasks_and_options_are_understood() {
        assert_eq!(parse_line("up").unwrap(), Task::Up);
        assert_eq!(parse_line("").unwrap(), Task::Help);
        assert_eq!(parse_line("prove interleavings").unwrap(), Task::Prove(Proof::Interleavings));
        assert_eq!(parse_line("prove journal").unwrap(), Task::Prove(Proof::Journal));
        assert_eq!(parse_line("prove nonces").unwrap(), Task::Prove(Proof::Nonces));
        assert_eq!(parse_line("prove features").unwrap(), Task::Prove(Proof::Features));
        let options = ["--runs", "10"].map(str::to_owned).to_vec();
        assert_eq!(parse_line("prove kill --runs 10").unwrap(), Task::Prove(Proof::Kill(options)));
        assert_eq!(parse_line("prove queries").unwrap(), Task::Prove(Proof::Queries(100_000)));
        assert_eq!(parse_line("prove queries --operations 2_000").unwrap(), Task::Prove(Proof::Queries(2_000)));
        assert_eq!(parse_line("bench races").unwrap(), Task::BenchRaces);
        let options = BenchOptions { suites: vec!["write".into(), "l3".into()], json: Some("rows.json".into()), is_quick: true };
        assert_eq!(parse_line("bench write --quick l3 --json rows.json").unwrap(), Task::Bench(options));
        let soak = "--minutes 3 --processes 2 --calm --seed 0 --redis cluster --postgres failover --without all";
        let options = soak.split(' ').map(str::to_owned).collect();
        assert_eq!(parse_line(&format!("prove soak {soak}")).unwrap(), Task::Prove(Proof::Soak(options)));
        for line in ["prove soak --help", "prove soak --calm -h", "prove --help"] {
            assert_eq!(parse_line(line).unwrap(), Task::Help, "{line}");
        }
        assert_eq!(
            parse_line("test --quick -- -p tier-pg --quick").unwrap(),
            Task::Test(TestOptions { quick: true, filters: ["-p", "tier-pg", "--quick"].map(str::to_owned).to_vec() })
        );
    }

    #[test]
    fn unknown_words_are_refused() {
        for line in [
            "tset",
            "up now",
            "test --fast",
            "test tier-pg",
            "bench",
            "bench all",
            "bench races l3",
            "bench l3 races",
            "bench l3 --json",
            "bench --quick",
            "prove",
            "prove model now",
            "prove queries 5",
            "prove queries --operations few",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
        for options in
            ["--fast", "3", "--minutes", "--minutes x", "--minutes 0", "--keys --calm", "--redis none", "--without fence --without"]
        {
            assert!(parse_line(&format!("prove soak {options}")).is_err(), "{options}");
        }
    }

    #[test]
    fn the_suites_are_those_that_the_program_knows() {
        let parser = include_str!("../../benches/suites/src/arguments.rs").split("#[cfg(test)]").next().unwrap();
        for suite in SUITES {
            assert!(parser.contains(&format!("=> \"{suite}\"")) && HELP.contains(suite), "{suite}");
        }
        assert_eq!(parser.matches("=> \"").count(), SUITES.len());
    }

    #[test]
    fn the_soak_and_its_help_know_the_options_that_are_let_through_and_no_other() {
        let parser = include_str!("../soak/src/arguments.rs").split("#[cfg(test)]").next().unwrap();
        for (option, takes) in &SOAK_OPTIONS {
            assert!(parser.contains(&format!("\"{option}\"")) && HELP.contains(option), "{option}");
            if let Takes::OneOf(names) = takes {
                assert!(parser.contains(&names.join("|")), "{option}");
            }
        }
        assert_eq!(parser.matches("\"--").count(), SOAK_OPTIONS.len());
    }
}
