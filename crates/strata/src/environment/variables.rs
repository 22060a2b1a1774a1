//! Environment variables with the checks that a setting needs.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::str::FromStr;
use std::time::Duration;

use store_core::{Error, ErrorKind, Result};

/// The variables that belong to Strata. Each is taken out when it is read, so that what is left over is a mistake.
pub(crate) struct Variables {
    left: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Variables {
    pub(super) fn of_process() -> Result<Self> {
        let mut left = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| is_ours(name)).map(str::to_owned) else { continue };
            let value = value.into_string().map_err(|_| invalid(&name, "is not valid Unicode"))?;
            left.push((name, value));
        }
        Ok(Self::new(left))
    }

    /// Empty values count as unset, as compose files give them.
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Variables { left: variables.into_iter().filter(|(name, value)| is_ours(name) && !value.is_empty()).collect(), known: Vec::new() }
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// The first variable left whose name begins so: a setting of something that may not be in use.
    pub(super) fn first_of(&self, prefix: &str) -> Option<String> {
        self.left.keys().find(|name| name.starts_with(prefix)).cloned()
    }

    pub(super) fn parse<V: FromStr>(&mut self, name: &'static str, wanted: &str) -> Result<Option<V>> {
        self.take(name).map(|text| text.parse().map_err(|_| invalid(name, &format!("is not {wanted}")))).transpose()
    }

    /// A number in a range.
    pub(super) fn within<V: FromStr + PartialOrd>(
        &mut self,
        name: &'static str,
        range: impl RangeBounds<V>,
        wanted: &str,
    ) -> Result<Option<V>> {
        match self.parse(name, wanted)? {
            Some(value) if !range.contains(&value) => Err(invalid(name, &format!("is not {wanted}"))),
            value => Ok(value),
        }
    }

    pub(super) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>> {
        self.take(name).map(|text| duration(&text).ok_or_else(|| invalid(name, DURATION))).transpose()
    }

    /// A life time: `None` where the variable is unset, `Some(None)` for `never`.
    pub(super) fn lifetime(&mut self, name: &'static str) -> Result<Option<Option<Duration>>> {
        let read = |text: String| if text == "never" { Some(None) } else { duration(&text).map(Some) };
        self.take(name).map(|text| read(text).ok_or_else(|| invalid(name, &format!("{DURATION}, and not `never`")))).transpose()
    }

    pub(super) fn choice<V: Copy>(&mut self, name: &'static str, choices: &[(&str, V)]) -> Result<Option<V>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let chosen = choices.iter().find(|(spelling, _)| *spelling == text);
        chosen.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let spellings: Vec<_> = choices.iter().map(|(spelling, _)| *spelling).collect();
            invalid(name, &format!("is none of: {}", spellings.join(", ")))
        })
    }

    /// Refuses what nobody has asked for: it is misspelled.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.left.pop_first() {
            None => Ok(()),
            Some((name, _)) => Err(match self.known.iter().find(|known| known.eq_ignore_ascii_case(&name)) {
                Some(known) => invalid(&name, &format!("is not a setting; write {known}")),
                None => invalid(&name, &format!("is not a setting; the settings are {}", self.known.join(", "))),
            }),
        }
    }
}

const DURATION: &str = "is not a duration above zero and up to a century such as `500ms`, `60s`, `5m`, `4h` or `7d`";

/// 100 leap years, in milliseconds.
const CENTURY: u64 = 100 * 366 * 86_400_000;

fn is_ours(name: &str) -> bool {
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    // STRATA_TEST_… tells the project's own tests where their servers are.
    matches!(name, "DATABASE_URL" | "REDIS_URL") || (begins("STRATA_") && !begins("STRATA_TEST_"))
}

/// Values are never told: some are passwords.
pub(super) fn invalid(name: &str, problem: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("the environment variable {name} {problem}")).with_operation("from_env")
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let milliseconds = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).filter(|total| (1..=CENTURY).contains(total)).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Variables {
        Variables::new([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, milliseconds) in
            [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("4h", 14_400_000), ("7d", 604_800_000), ("36600d", CENTURY)]
        {
            assert_eq!(of("STRATA_A", text).duration("STRATA_A").unwrap(), Some(Duration::from_millis(milliseconds)));
        }
        for text in ["5", "s", "0s", "-1s", "1.5s", "5 m", "99999999999999999999s", "99999999999999d", "36601d"] {
            assert_eq!(of("STRATA_A", text).duration("STRATA_A").unwrap_err().kind(), ErrorKind::InvalidConfig, "{text}");
        }
        assert_eq!(of("STRATA_A", "never").lifetime("STRATA_A").unwrap(), Some(None));
        assert_eq!(of("STRATA_A", "").duration("STRATA_A").unwrap(), None);
    }

    #[test]
    fn a_misspelled_variable_is_named_and_no_value_is_told() {
        let mut variables = Variables::new([
            ("STRATA_L1_TLL".to_owned(), "hunter2".to_owned()),
            ("STRATA_TEST_X".to_owned(), "1".to_owned()),
            ("HOME".to_owned(), "1".to_owned()),
        ]);
        assert_eq!(variables.take("STRATA_L1_TTL"), None);
        let error = variables.finish().unwrap_err().to_string();
        assert!(error.contains("STRATA_L1_TLL") && error.contains("STRATA_L1_TTL") && !error.contains("hunter2"), "{error}");

        let mut variables = of("strata_l1_ttl", "hunter2");
        assert_eq!(variables.take("STRATA_L1_TTL"), None);
        let error = variables.finish().unwrap_err().to_string();
        assert!(error.contains("strata_l1_ttl is not a setting; write STRATA_L1_TTL") && !error.contains("hunter2"), "{error}");
    }
}
