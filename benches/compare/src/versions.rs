/// The lock file that this program was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// The version of a package that this program was built with.
pub(crate) fn of(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    version.map_or("unknown", |version| version.trim_matches('"'))
}
