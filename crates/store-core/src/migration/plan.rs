//! What a migration would do.

use std::fmt;

use crate::sql::{Dialect, script_statements};

/// Whom a step of a migration keeps waiting while it runs.
///
/// ```
/// assert_eq!(store_core::Blocking::Briefly.to_string(), "locks the table briefly");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blocking {
    /// Nobody: it makes something new, or works beside readers and writers.
    Nobody,
    /// Readers and writers of the table for a moment, whatever the table's size.
    Briefly,
    /// Writers, the longer the more rows there are.
    Writers,
}

impl fmt::Display for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Blocking::Nobody => "blocks nobody",
            Blocking::Briefly => "locks the table briefly",
            Blocking::Writers => "blocks writers while it runs",
        })
    }
}

/// One change of the database.
///
/// ```
/// use store_core::{Blocking, MigrationStep};
///
/// let step = MigrationStep {
///     schema: Some("player".into()),
///     what: "add the column `level`".into(),
///     why: "the model has it and the table does not".into(),
///     sql: r#"ALTER TABLE "player" ADD COLUMN "level" BIGINT NOT NULL DEFAULT 1"#.into(),
///     blocking: Blocking::Briefly,
///     in_transaction: true,
/// };
/// assert!(step.to_string().starts_with("-- player: add the column `level`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// The schema's name; `None` for what is Strata's own.
    pub schema: Option<String>,
    /// What it does, in words.
    pub what: String,
    /// Why it is needed.
    pub why: String,
    /// The statements, separated by semicolons.
    pub sql: String,
    /// Whom it keeps waiting.
    pub blocking: Blocking,
    /// Whether it may run within a transaction.
    pub in_transaction: bool,
}

impl fmt::Display for MigrationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MigrationStep { schema, what, why, sql, blocking, in_transaction } = self;
        let outside = if *in_transaction { "" } else { ", outside of a transaction" };
        let comment = format!("{}: {what}: {why} ({blocking}{outside})", schema.as_deref().unwrap_or("strata"));
        let sql = sql.trim_end().trim_end_matches(';');
        // By hand too it is done as a whole or not at all.
        let is_one = |dialect| script_statements(dialect, sql).len() < 2;
        let is_whole = !in_transaction || is_one(Dialect::Postgres) || is_one(Dialect::Sqlite);
        let (begin, commit) = if is_whole { ("", "") } else { ("BEGIN;\n", "\nCOMMIT;") };
        write!(f, "{}\n{begin}{sql};{commit}", commented(&comment))
    }
}

/// Where a table is not what its model says, and no addition would mend it.
///
/// ```
/// use store_core::Drift;
///
/// let what = "the table has the column `age`, which the model lacks".to_owned();
/// let drift = Drift { schema: "player".into(), column: Some("age".into()), what, is_refused: false };
/// assert_eq!(drift.to_string(), "player: the table has the column `age`, which the model lacks");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The schema's name; `strata` for what is Strata's own.
    pub schema: String,
    /// The column, where it is about one.
    pub column: Option<String>,
    /// What it is, and what mends it.
    pub what: String,
    /// Whether the migration refuses to run: reads or writes of the model would fail.
    pub is_refused: bool,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = if self.is_refused { "refused: " } else { "" };
        write!(f, "{refused}{}: {}", self.schema, self.what)
    }
}

/// What [`migrate`](crate::Store::migrate) would do, and what it would tell. Making it changes nothing.
///
/// Its `Display` form is SQL to be run by hand, with comments. Where there is no step and nothing is refused, its first line is `nothing to do`.
///
/// ```
/// use store_core::MigrationPlan;
///
/// let plan = MigrationPlan::default();
/// assert!(plan.is_empty());
/// assert_eq!(plan.to_string(), "nothing to do");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationPlan {
    /// The steps, in their order.
    pub steps: Vec<MigrationStep>,
    /// What no step mends.
    pub drift: Vec<Drift>,
}

impl MigrationPlan {
    /// Whether there is nothing to do and nothing is refused. Drift that harms nothing is no matter.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && !self.is_refused()
    }

    /// Whether the migration would refuse to run.
    pub fn is_refused(&self) -> bool {
        self.drift.iter().any(|drift| drift.is_refused)
    }
}

impl fmt::Display for MigrationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.steps.iter().map(MigrationStep::to_string).collect();
        if self.is_empty() {
            parts.push("nothing to do".to_owned());
        }
        parts.extend(self.drift.iter().map(|drift| commented(&drift.to_string())));
        f.write_str(&parts.join("\n"))
    }
}

/// Text as a comment of SQL: a line break would end it.
fn commented(text: &str) -> String {
    format!("-- {}", text.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_sql_whatever_names_hold() {
        let step = MigrationStep {
            schema: Some("a\nDROP TABLE b".into()),
            what: "make\r\nit".into(),
            why: "why".into(),
            sql: "CREATE TABLE a (b INT);\n".into(),
            blocking: Blocking::Nobody,
            in_transaction: false,
        };
        let drift = Drift { schema: "a".into(), column: None, what: "other\nkey".into(), is_refused: true };
        let plan = MigrationPlan { steps: vec![step], drift: vec![drift] };
        let text = plan.to_string();
        assert_eq!(text.lines().filter(|line| !line.starts_with("-- ")).collect::<Vec<_>>(), ["CREATE TABLE a (b INT);"]);
        assert!(text.ends_with("-- refused: a: other key"), "{text}");
        assert!(!plan.is_empty() && plan.is_refused());

        let drift = Drift { schema: "a".into(), column: None, what: "a column more".into(), is_refused: false };
        assert_eq!(MigrationPlan { steps: Vec::new(), drift: vec![drift] }.to_string(), "nothing to do\n-- a: a column more");
    }

    #[test]
    fn a_step_of_several_statements_is_one_transaction() {
        let step = |sql: &str, in_transaction| {
            let (what, why) = ("move rows".to_owned(), "why".to_owned());
            let step = MigrationStep { schema: None, what, why, sql: sql.to_owned(), blocking: Blocking::Briefly, in_transaction };
            step.to_string().split_once('\n').unwrap().1.to_owned()
        };
        assert_eq!(step("LOCK TABLE a; DELETE FROM a;", true), "BEGIN;\nLOCK TABLE a; DELETE FROM a;\nCOMMIT;");
        let alter = "ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT 'a;b'";
        assert_eq!(step(alter, true), format!("{alter};"));
        assert_eq!(step("DELETE FROM a", true), "DELETE FROM a;");
        assert_eq!(step("VACUUM a", false), "VACUUM a;");
    }
}
