//! What a tier says of the server behind it, for people who set one up.

use std::borrow::Cow;
use std::time::Duration;

use crate::tier::Role;

/// How much a [`Finding`] matters.
///
/// ```
/// use store_core::Weight;
///
/// assert!(Weight::Fine < Weight::Notice && Weight::Notice < Weight::Problem);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// As it should be.
    Fine,
    /// It works, and could be better.
    Notice,
    /// Calls will fail, or promises be broken.
    Problem,
}

/// One thing that a tier found out about the server behind it.
///
/// ```
/// use store_core::{Finding, Weight};
///
/// let finding = Finding::problem("the role `game` may not create tables in the schema `public`", "GRANT CREATE ON SCHEMA public TO game");
/// assert_eq!(finding.weight, Weight::Problem);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What was found. Never an address or a credential.
    pub what: Cow<'static, str>,
    /// The command or setting that mends it.
    pub remedy: Option<Cow<'static, str>>,
}

impl Finding {
    /// Something that is as it should be.
    pub fn fine(what: impl Into<Cow<'static, str>>) -> Self {
        Finding { weight: Weight::Fine, what: what.into(), remedy: None }
    }

    /// Something that works and could be better.
    pub fn notice(what: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Finding { weight: Weight::Notice, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// Something that makes calls fail or breaks promises.
    pub fn problem(what: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Finding { weight: Weight::Problem, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// What the quickest of some round trips took. A store asks its servers often, so one that is far away is noticed.
    pub fn of_latency(quickest: Duration) -> Self {
        const FAR: Duration = Duration::from_millis(5);
        match quickest {
            near if near < FAR => Finding::fine(format!("a round trip takes {near:.1?}")),
            far => Finding::notice(format!("a round trip takes {far:.1?}"), "run the program nearer to the server"),
        }
    }

    /// How far the server's clock is from this machine's. Nothing depends on it but the times that people read and life times in Redis.
    pub fn of_clocks(apart: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(1);
        match apart {
            near if near < FAR => Finding::fine(format!("its clock and this machine's are {near:.1?} apart")),
            far => {
                Finding::notice(format!("its clock and this machine's are {far:.1?} apart"), "run a time service such as chrony on both")
            }
        }
    }
}

/// What one tier of a stack found out: [`StoreBuilder::diagnose`](crate::StoreBuilder::diagnose).
///
/// ```
/// use store_core::{Diagnosis, Role, Weight};
///
/// let memory = Diagnosis { role: Role::Near, name: "memory".into(), findings: Vec::new() };
/// assert_eq!(memory.weight(), Weight::Fine);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The tier's place in the stack.
    pub role: Role,
    /// The tier's name.
    pub name: String,
    /// What it found, in the order in which it looked.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// That of its gravest finding.
    pub fn weight(&self) -> Weight {
        self.findings.iter().map(|finding| finding.weight).max().unwrap_or(Weight::Fine)
    }
}
