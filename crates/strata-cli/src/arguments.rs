//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use strata::sql::Dialect;
use strata::{Resolution, Role};

use crate::model::Search;
use crate::output::Failure;

const EXIT_CODES: &str = "Exit codes: 0 done, or yes; 1 failed; 2 wrong command line; 3 no (no such record, something to migrate, a problem found).\n\
    The servers are those of DATABASE_URL (postgres://… or sqlite:FILE) and REDIS_URL; STRATA_… variables are as for the program itself.";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) servers: Servers,
    pub(crate) is_json: bool,
    pub(crate) task: Task,
}

/// Where the servers are, if the command line says so.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    pub(crate) database_url: Option<String>,
    pub(crate) redis_url: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Task {
    Schemas,
    Dump {
        schema: Option<String>,
        dialect: Option<Dialect>,
    },
    Doctor,
    Migrate(Migration),
    Get {
        schema: String,
        key: String,
        role: Option<Role>,
    },
    Set {
        schema: String,
        record: Option<String>,
    },
    Delete {
        schema: String,
        keys: Vec<String>,
    },
    Search {
        schema: String,
        search: Search,
    },
    Count {
        schema: String,
        search: Search,
    },
    Invalidate {
        schema: String,
        what: Invalidated,
    },
    Warm {
        schema: String,
        limit: Option<u64>,
    },
    #[cfg(feature = "encryption")]
    Reencrypt {
        schema: String,
        everything: bool,
    },
    Flush,
    Letters {
        schema: Option<String>,
        letters: Letters,
    },
}

#[derive(Debug)]
pub(crate) enum Migration {
    /// SQL files of a directory first, if one is given, and then what the models ask for.
    Run {
        files: Option<PathBuf>,
    },
    Plan {
        files: Option<PathBuf>,
        is_check: bool,
    },
    Status,
    Resolve {
        file: String,
        resolution: Resolution,
    },
}

#[derive(Debug)]
pub(crate) enum Invalidated {
    Keys(Vec<String>),
    Tag(String),
    All,
}

#[derive(Debug)]
pub(crate) enum Letters {
    List { limit: u64 },
    Retry(Vec<String>),
    Overwrite(Vec<String>),
    Remove(Vec<String>),
}

/// Reads the words, the program's name first.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(words)?;
    let servers = Servers { database_url: text(&matches, "database-url"), redis_url: text(&matches, "redis-url") };
    let is_json = matches.get_flag("json");
    let task = match matches.subcommand() {
        Some(("schema", of_schema)) => match of_schema.subcommand() {
            Some(("dump", given)) => {
                Task::Dump { schema: text(given, "schema"), dialect: text(given, "dialect").map(|name| dialect(&name)) }
            }
            _ => Task::Schemas,
        },
        Some(("get", given)) => Task::Get {
            schema: schema(given),
            key: text(given, "key").unwrap_or_default(),
            role: text(given, "tier").map(|name| role(&name)),
        },
        Some(("set", given)) => Task::Set { schema: schema(given), record: text(given, "record") },
        Some(("delete", given)) => Task::Delete { schema: schema(given), keys: keys(given) },
        Some(("search", given)) => Task::Search { schema: schema(given), search: search(given) },
        Some(("count", given)) => Task::Count { schema: schema(given), search: condition(given) },
        Some(("invalidate", given)) => {
            let what = match text(given, "tag") {
                Some(tag) => Invalidated::Tag(tag),
                None if given.get_flag("all") => Invalidated::All,
                None => Invalidated::Keys(keys(given)),
            };
            Task::Invalidate { schema: schema(given), what }
        }
        Some(("warm", given)) => Task::Warm { schema: schema(given), limit: number(given, "limit") },
        #[cfg(feature = "encryption")]
        Some(("reencrypt", given)) => Task::Reencrypt { schema: schema(given), everything: given.get_flag("everything") },
        Some(("migrate", given)) => Task::Migrate(migration(given)),
        Some(("flush", _)) => Task::Flush,
        Some(("dead-letters", of_letters)) => {
            let letters = match of_letters.subcommand() {
                Some(("retry", given)) => Letters::Retry(texts(given, "letter")),
                Some(("overwrite", given)) => Letters::Overwrite(texts(given, "letter")),
                Some(("remove", given)) => Letters::Remove(texts(given, "letter")),
                Some((_, given)) => Letters::List { limit: number(given, "limit").unwrap_or(LETTERS) },
                None => Letters::List { limit: LETTERS },
            };
            Task::Letters { schema: text(of_letters, "schema"), letters }
        }
        _ => Task::Doctor,
    };
    Ok(Arguments { servers, is_json, task })
}

/// Whether JSON is asked for by words that cannot be read.
pub(crate) fn asks_for_json(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// What a command line is refused for.
pub(crate) fn refusal(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    Failure::Usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned())
}

/// How many dead letters are listed unless told otherwise.
const LETTERS: u64 = 100;

fn command() -> Command {
    let schema = || Arg::new("schema").value_name("SCHEMA").required(true).help("The schema's name");
    let key = || {
        let arg = Arg::new("key").value_name("KEY").allow_hyphen_values(true);
        arg.help("A key as text; the parts of a tuple are joined by `:`, and `%3A` is a colon within one")
    };
    // Hyphens as such would make keys of the options behind the second.
    let more = || {
        let arg = Arg::new("more").value_name("KEY").action(ArgAction::Append).allow_negative_numbers(true);
        arg.help("More keys; those that begin with a hyphen and are no numbers stand behind `--`")
    };
    let limit = || Arg::new("limit").long("limit").value_name("N").value_parser(value_parser!(u64));
    let condition = || {
        [
            Arg::new("condition").value_name("CONDITION").help("SQL such as \"population > $1\""),
            Arg::new("param")
                .long("param")
                .short('p')
                .value_name("VALUE")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help("The value of $1, $2, …: JSON, or text"),
        ]
    };
    let letter =
        || Arg::new("letter").value_name("LETTER").action(ArgAction::Append).required(true).help("JOURNAL/PLACE, as `list` shows it");
    let servers = [
        Arg::new("database-url").long("database-url").value_name("URL").global(true).help("In the place of DATABASE_URL"),
        Arg::new("redis-url").long("redis-url").value_name("URL").global(true).help("In the place of REDIS_URL"),
        Arg::new("json").long("json").action(ArgAction::SetTrue).global(true).help("Print JSON, one object a line"),
    ];
    Command::new("strata")
        .no_binary_name(false)
        .about("Works on the models of this project")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(servers)
        .subcommand(
            Command::new("schema")
                .about("Shows the models")
                .subcommand_required(true)
                .subcommand(Command::new("list").about("Lists the models' names"))
                .subcommand(
                    Command::new("dump").about("Prints the SQL that makes their tables").args([
                        Arg::new("schema").value_name("SCHEMA").help("Only this one"),
                        Arg::new("dialect")
                            .long("dialect")
                            .value_parser(PossibleValuesParser::new(["postgres", "sqlite"]))
                            .help("Unless given, that of DATABASE_URL, or postgres"),
                    ]),
                ),
        )
        .subcommand(Command::new("doctor").about("Looks at each server: versions, clocks, distance, rights, what is to be migrated"))
        .subcommand(
            Command::new("migrate")
                .about("Adds to the database what the models lack there; never drops or retypes anything")
                .args([
                    Arg::new("plan").long("plan").action(ArgAction::SetTrue).help("Only print the SQL, or `nothing to do`"),
                    Arg::new("check")
                        .long("check")
                        .action(ArgAction::SetTrue)
                        .help("As --plan, and exit with 3 if there is something to do"),
                    Arg::new("status").long("status").action(ArgAction::SetTrue).help("Only print what was done, and when"),
                    Arg::new("from")
                        .long("from")
                        .value_name("DIR")
                        .conflicts_with_all(["status", "resume", "restart", "applied"])
                        .help("The SQL files NNN_description.sql of a directory first"),
                    Arg::new("resume").long("resume").value_name("FILE").help("A file that failed goes on at the statement that did"),
                    Arg::new("restart").long("restart").value_name("FILE").help("A file that failed is run again from its first statement"),
                    Arg::new("applied").long("applied").value_name("FILE").help("A file that failed counts as done"),
                ])
                .group(ArgGroup::new("what").args(["plan", "check", "status", "resume", "restart", "applied"]).multiple(false)),
        )
        .subcommand(
            Command::new("get").about("Prints a record").args([
                schema(),
                key().required(true),
                Arg::new("tier")
                    .long("tier")
                    .value_parser(PossibleValuesParser::new(["shared", "truth"]))
                    .help("Where to look; the truth unless given"),
            ]),
        )
        .subcommand(Command::new("set").about("Writes records, all or none: JSON objects, from the argument or from standard input").args(
            [schema(), Arg::new("record").value_name("JSON").help("One object, or an array of them; standard input if it is left out")],
        ))
        .subcommand(Command::new("delete").about("Deletes records, all or none").args([schema(), key().required(true), more()]))
        .subcommand(
            Command::new("search").about("Prints the records that a condition holds for, one a line").arg(schema()).args(condition()).args(
                [
                    Arg::new("order")
                        .long("order-by")
                        .value_name("COLUMN[:desc]")
                        .action(ArgAction::Append)
                        .value_parser(order)
                        .help("The order; more than one column may be given"),
                    limit().help("At most so many"),
                    Arg::new("offset").long("offset").value_name("N").value_parser(value_parser!(u64)).help("Without the first so many"),
                ],
            ),
        )
        .subcommand(Command::new("count").about("Counts the records that a condition holds for").arg(schema()).args(condition()))
        .subcommand(
            Command::new("invalidate")
                .about("Drops copies of records from every cache, on all instances")
                .args([
                    schema(),
                    key(),
                    more(),
                    Arg::new("tag").long("tag").value_name("TAG").help("Those that carry a tag"),
                    Arg::new("all").long("all").action(ArgAction::SetTrue).help("All of them"),
                ])
                .group(ArgGroup::new("what").args(["key", "tag", "all"]).required(true).multiple(false)),
        )
        .subcommand(
            Command::new("warm")
                .about("Brings records from the truth into the shared tier")
                .args([schema(), limit().help("At most so many")]),
        )
        .subcommands(reencrypt(schema()))
        .subcommand(Command::new("flush").about(
            "Brings the writes that a program left in its journal, STRATA_JOURNAL, to the truth; the program must not run meanwhile",
        ))
        .subcommand(
            Command::new("dead-letters")
                .about("Shows, retries or removes writes of write-behind that the truth refused")
                .arg(Arg::new("schema").long("schema").value_name("SCHEMA").global(true).help("Those of one schema"))
                .subcommand(Command::new("list").about("Lists them").arg(limit().help("At most so many; 100 unless given")))
                .subcommand(Command::new("retry").about("Writes what they hold over nothing newer, and removes them").arg(letter()))
                .subcommand(Command::new("overwrite").about("Writes what they hold over whatever is there, and removes them").arg(letter()))
                .subcommand(Command::new("remove").about("Removes them, and what they hold, for good").arg(letter())),
        )
}

/// What only a build with encryption does.
fn reencrypt(schema: Arg) -> Option<Command> {
    let everything = Arg::new("everything").long("everything").action(ArgAction::SetTrue);
    let everything = everything.help("Also those of the key that encrypts now: for a new key of blind indexes");
    let command = Command::new("reencrypt").about("Encrypts records anew with the key that encrypts now, where they are not");
    cfg!(feature = "encryption").then(|| command.args([schema, everything]))
}

fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.try_get_one::<String>(name).ok().flatten().cloned()
}

fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).map(|texts| texts.cloned().collect()).unwrap_or_default()
}

fn keys(matches: &ArgMatches) -> Vec<String> {
    text(matches, "key").into_iter().chain(texts(matches, "more")).collect()
}

fn number(matches: &ArgMatches, name: &str) -> Option<u64> {
    matches.try_get_one::<u64>(name).ok().flatten().copied()
}

/// It is required, so it is there.
fn schema(matches: &ArgMatches) -> String {
    text(matches, "schema").unwrap_or_default()
}

fn condition(matches: &ArgMatches) -> Search {
    Search { condition: text(matches, "condition"), params: texts(matches, "param"), ..Search::default() }
}

fn search(matches: &ArgMatches) -> Search {
    let order = matches.get_many("order").map(|orders| orders.cloned().collect()).unwrap_or_default();
    Search { order, limit: number(matches, "limit"), offset: number(matches, "offset"), ..condition(matches) }
}

/// A column, and whether it is descending.
fn order(text: &str) -> Result<(String, bool), String> {
    match text.rsplit_once(':') {
        Some((column, "desc")) => Ok((column.to_owned(), true)),
        Some((column, "asc")) => Ok((column.to_owned(), false)),
        Some((_, unknown)) => Err(format!("a column is followed by `:asc`, `:desc` or nothing, and not by `:{unknown}`")),
        None => Ok((text.to_owned(), false)),
    }
}

fn migration(matches: &ArgMatches) -> Migration {
    let resolutions = [("resume", Resolution::Resume), ("restart", Resolution::Restart), ("applied", Resolution::Applied)];
    let resolved = resolutions.into_iter().find_map(|(name, resolution)| Some((text(matches, name)?, resolution)));
    let files = text(matches, "from").map(PathBuf::from);
    match resolved {
        Some((file, resolution)) => Migration::Resolve { file, resolution },
        None if matches.get_flag("status") => Migration::Status,
        None if matches.get_flag("plan") || matches.get_flag("check") => Migration::Plan { files, is_check: matches.get_flag("check") },
        None => Migration::Run { files },
    }
}

fn dialect(name: &str) -> Dialect {
    if name == "sqlite" { Dialect::Sqlite } else { Dialect::Postgres }
}

fn role(name: &str) -> Role {
    if name == "shared" { Role::Shared } else { Role::Truth }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        super::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_search_has_its_parts() {
        let arguments =
            read("x search city population>$1 -p -7 --order-by name:desc --order-by id --limit 3 --json --redis-url redis://r").unwrap();
        assert!(arguments.is_json);
        assert_eq!(arguments.servers.redis_url.as_deref(), Some("redis://r"));
        let Task::Search { schema, search } = arguments.task else { panic!("{:?}", arguments.task) };
        assert_eq!((schema.as_str(), search.condition.as_deref(), search.limit), ("city", Some("population>$1"), Some(3)));
        assert_eq!(search.params, ["-7"]);
        assert_eq!(search.order, [("name".to_owned(), true), ("id".to_owned(), false)]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        for line in [
            "x",
            "x get city",
            "x invalidate city",
            "x invalidate city 7 --all",
            "x invalidate city --tag a --all",
            "x dead-letters retry",
            "x sarch city",
            "x search city --limit many",
            "x migrate --from d --status",
            "x migrate --plan --check",
        ] {
            assert!(read(line).unwrap_err().use_stderr(), "{line}");
        }
        let said = |line: &str| read(line).unwrap_err().to_string();
        assert!(said("x invalidate city").contains("<KEY|--tag <TAG>|--all>"), "{}", said("x invalidate city"));
        assert!(
            said("x search city --order-by name:up").contains("`:asc`, `:desc` or nothing"),
            "{}",
            said("x search city --order-by name:up")
        );
        assert!(!read("x --help").unwrap_err().use_stderr());
    }

    #[test]
    fn a_refusal_is_told_as_it_was_asked_for() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&words("x sarch --json")) && !asks_for_json(&words("x get city -- --json")));
        let Failure::Usage(text) = refusal(&read("x sarch city --json").unwrap_err()) else { panic!() };
        assert!(text.starts_with("unrecognized subcommand"), "{text}");
    }

    #[test]
    fn keys_may_begin_with_a_hyphen() {
        for (line, wanted) in [("-7", "-7"), ("-7 --json", "-7"), ("-7:a --json", "-7:a"), ("--json -a", "-a"), ("--json -- --a", "--a")] {
            let arguments = read(&format!("x get city {line}")).unwrap();
            let Task::Get { key, .. } = arguments.task else { panic!("{line}") };
            let Task::Delete { keys, .. } = read(&format!("x delete city {line}")).unwrap().task else { panic!("{line}") };
            let invalidated = read(&format!("x invalidate city {line}")).unwrap();
            assert_eq!((arguments.is_json, invalidated.is_json), (line.contains("--json"), line.contains("--json")), "{line}");
            let Task::Invalidate { what: Invalidated::Keys(invalidated), .. } = invalidated.task else { panic!("{line}") };
            assert_eq!((key.as_str(), keys, invalidated), (wanted, vec![wanted.to_owned()], vec![wanted.to_owned()]));
        }
        let Task::Delete { keys, .. } = read("x delete city -1 -7 -8 --json -- -a").unwrap().task else { panic!() };
        assert_eq!(keys, ["-1", "-7", "-8", "-a"]);
        assert!(matches!(read("x invalidate city --all").unwrap().task, Task::Invalidate { what: Invalidated::All, .. }));
    }
}
