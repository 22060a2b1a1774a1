//! What a writer tells the conductor, a line each, written to the pipe in one piece before it goes on: so a kill loses no line that was told.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

use crate::model::Place;

/// How a write is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// `set` or `delete`.
    Single,
    /// `set_many`.
    Many,
    Update,
    Transaction,
}

impl How {
    const ALL: [How; 4] = [How::Single, How::Many, How::Update, How::Transaction];

    pub(crate) fn name(self) -> &'static str {
        match self {
            How::Single => "single",
            How::Many => "many",
            How::Update => "update",
            How::Transaction => "transaction",
        }
    }
}

/// What becomes of one key. The numbers of a key rise by one, deletions included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) number: i64,
    pub(crate) deletes: bool,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// The store is about to be built.
    Opening,
    /// The store is built, and what the journal held is flushed. The writer waits for a line before it reads.
    Flushed,
    /// What the truth holds of a key.
    Found(Place, Option<i64>),
    /// All keys are told. The writer waits for the numbers to go on with.
    Ready,
    /// A call begins, which changes all of this or nothing.
    Begun(u64, How, Vec<Change>),
    Acknowledged(u64),
    /// The call answered an error. What it changes may have happened or not.
    Failed(u64, String),
}

impl Line {
    /// Tells it.
    pub(crate) fn tell(&self) -> Result<()> {
        // The standard output passes a whole line on in one call, since it ends in the line's end.
        std::io::stdout().write_all(format!("{self}\n").as_bytes()).context("the conductor is gone")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Opening => write!(f, "opening"),
            Line::Flushed => write!(f, "flushed"),
            Line::Found(place, Some(number)) => write!(f, "found {place} {number}"),
            Line::Found(place, None) => write!(f, "found {place} nothing"),
            Line::Ready => write!(f, "ready"),
            Line::Begun(call, how, changes) => {
                write!(f, "begun {call} {}", how.name())?;
                let sign = |change: &Change| if change.deletes { '-' } else { '+' };
                changes.iter().try_for_each(|change| write!(f, " {} {}{}", change.place, sign(change), change.number))
            }
            Line::Acknowledged(call) => write!(f, "acknowledged {call}"),
            Line::Failed(call, error) => write!(f, "failed {call} {}", error.replace('\n', " ")),
        }
    }
}

impl FromStr for Line {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split(' ');
        let mut next = || words.next().with_context(|| format!("the line `{text}` is cut off"));
        Ok(match next()? {
            "opening" => Line::Opening,
            "flushed" => Line::Flushed,
            "found" => {
                let place = next()?.parse()?;
                let number = next()?;
                Line::Found(place, if number == "nothing" { None } else { Some(number.parse()?) })
            }
            "ready" => Line::Ready,
            "begun" => {
                let (call, how) = (next()?.parse()?, next()?);
                let how =
                    How::ALL.into_iter().find(|known| known.name() == how).with_context(|| format!("nothing is written by `{how}`"))?;
                let mut changes = Vec::new();
                while let Ok(place) = next() {
                    let number = next()?;
                    let (deletes, digits) = (number.starts_with('-'), number.trim_start_matches(['-', '+']));
                    changes.push(Change { place: place.parse()?, number: digits.parse()?, deletes });
                }
                Line::Begun(call, how, changes)
            }
            "acknowledged" => Line::Acknowledged(next()?.parse()?),
            "failed" => Line::Failed(next()?.parse()?, words.collect::<Vec<_>>().join(" ")),
            _ => bail!("a writer said `{text}`"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    #[test]
    fn lines_are_read_as_they_were_told() {
        let (a, b) = (Place { level: Level::Memory, key: 1 }, Place { level: Level::Through, key: 0 });
        let changes = vec![Change { place: a, number: 7, deletes: false }, Change { place: b, number: 3, deletes: true }];
        let lines = [
            Line::Opening,
            Line::Flushed,
            Line::Found(a, Some(5)),
            Line::Found(b, None),
            Line::Ready,
            Line::Begun(12, How::Transaction, changes),
            Line::Acknowledged(12),
            Line::Failed(13, "no room is left".to_owned()),
        ];
        for line in lines {
            assert_eq!(line.to_string().parse::<Line>().unwrap(), line);
        }
        for text in ["", "begun 1", "found memory/1", "found disk/1 2", "hello"] {
            assert!(text.parse::<Line>().is_err(), "{text}");
        }
    }
}
