//! What the writers store: the same record in four schemas, each with a promise of its own.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result};
use strata::Schema;

/// How many tasks of a writer write at once.
pub(crate) const TASKS: i64 = 6;
/// How many keys of each schema belong to one task.
const KEYS_OF_A_TASK: i64 = 2;

/// A schema, by what a call on it has reached when it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    Memory,
    Journal,
    Truth,
    /// It does not write behind.
    Through,
}

impl Level {
    pub(crate) const ALL: [Level; 4] = [Level::Memory, Level::Journal, Level::Truth, Level::Through];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Memory => "memory",
            Level::Journal => "journal",
            Level::Truth => "truth",
            Level::Through => "through",
        }
    }

    pub(crate) fn table(self) -> String {
        format!("kill_{}", self.name())
    }
}

/// A key of a schema. Only one task writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) level: Level,
    pub(crate) key: i64,
}

impl Place {
    pub(crate) fn all() -> impl Iterator<Item = Place> {
        (0..TASKS).flat_map(Self::of_task)
    }

    pub(crate) fn of_task(task: i64) -> impl Iterator<Item = Place> {
        let keys = task * KEYS_OF_A_TASK..(task + 1) * KEYS_OF_A_TASK;
        // A key of 0 counts as none.
        keys.map(|key| key + 1).flat_map(|key| Level::ALL.into_iter().map(move |level| Place { level, key }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level.name(), self.key)
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (level, key) = text.split_once('/').with_context(|| format!("`{text}` is no place"))?;
        let level = Level::ALL.into_iter().find(|known| known.name() == level).with_context(|| format!("there is no level `{level}`"))?;
        Ok(Place { level, key: key.parse()? })
    }
}

/// A record whose number says which write of its key it is of.
pub(crate) trait Numbered: Schema<Key = i64> {
    fn numbered(key: i64, number: i64) -> Self;
    fn number(&self) -> i64;
    fn renumber(&mut self, number: i64);
}

macro_rules! models {
    ($($model:ident $name:literal),* $(,)?) => { $(
        #[derive(Debug, Clone, PartialEq, Schema)]
        #[schema(name = $name)]
        pub(crate) struct $model {
            #[schema(primary_key)]
            id: i64,
            number: i64,
        }

        impl Numbered for $model {
            fn numbered(id: i64, number: i64) -> Self {
                $model { id, number }
            }

            fn number(&self) -> i64 {
                self.number
            }

            fn renumber(&mut self, number: i64) {
                self.number = number;
            }
        }
    )* };
}

models!(InMemory "kill_memory", InJournal "kill_journal", InTruth "kill_truth", Through "kill_through");

/// Evaluates an expression with the model of a level as the type `$model`.
macro_rules! for_level {
    ($level:expr, $model:ident => $body:expr) => {
        match $level {
            $crate::model::Level::Memory => {
                type $model = $crate::model::InMemory;
                $body
            }
            $crate::model::Level::Journal => {
                type $model = $crate::model::InJournal;
                $body
            }
            $crate::model::Level::Truth => {
                type $model = $crate::model::InTruth;
                $body
            }
            $crate::model::Level::Through => {
                type $model = $crate::model::Through;
                $body
            }
        }
    };
}
pub(crate) use for_level;
