//! How old an answer may be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::facet::LogCursor;

/// How old an answer may be.
///
/// ```
/// use std::time::Duration;
/// use store_core::Freshness;
///
/// let half_a_second = Freshness::Bounded(Duration::from_millis(500));
/// assert_ne!(half_a_second, Freshness::Strong);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// Whatever a cache holds within its life time.
    Any,
    /// Every commit made longer ago than this is in the answer. A copy in a cache is used if this instance has read the log of commits since then;
    /// otherwise it reads the log, or the truth, first.
    Bounded(Duration),
    /// Everything that the token's holder has written and read is in the answer.
    Session(Token),
    /// Every commit made before the read began is in the answer: the truth is asked.
    Strong,
}

/// A place in the log of commits, which a session carries from one instance to the next.
///
/// Its text form fits a header or a cookie. It says nothing of what was written, and is no secret.
///
/// ```
/// use store_core::Token;
///
/// let token: Token = "00000001/0/5:5:".parse()?;
/// assert_eq!(token.to_string(), "00000001/0/5:5:");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(LogCursor);

impl Token {
    pub(crate) fn new(place: LogCursor) -> Self {
        Token(place)
    }

    /// The place in the log of the tier that made it.
    pub fn place(&self) -> &LogCursor {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The longest text that is looked at as a token.
const LONGEST_TOKEN: usize = 16 * 1024;

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > LONGEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(
                ErrorKind::InvalidQuery,
                "this is not the text form of a session token; pass on what `Token::to_string` gave",
            ));
        }
        Ok(Token(LogCursor::new(text)))
    }
}
