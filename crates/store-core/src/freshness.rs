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
    /// Everything that the token's holder has written and read is in the answer. What others wrote since then has no bound of age, as with
    /// [`Any`](Freshness::Any): a copy that has passed the token is used even while the log cannot be read.
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
pub struct Token {
    place: LogCursor,
    pending: Option<PendingPlace>,
}

/// A place in the journal of an instance, up to which its writes were pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingPlace {
    pub(crate) journal: String,
    pub(crate) sequence: u64,
}

/// What stands before the journal in a token's text; no tier's notation of places has it.
const PENDING: char = '~';

impl Token {
    pub(crate) fn new(place: LogCursor, pending: Option<PendingPlace>) -> Self {
        Token { place, pending }
    }

    /// The place in the log of the tier that made it.
    pub fn place(&self) -> &LogCursor {
        &self.place
    }

    /// Whether it tells of writes that were pending on the instance that made it ([`WriteMode::WriteBehind`](crate::WriteMode::WriteBehind)). There they are seen at once;
    /// other instances wait for their flush, and answer [`PendingElsewhere`](ErrorKind::PendingElsewhere) if that takes longer than half the
    /// [`operation_timeout`](crate::Settings::operation_timeout).
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub(crate) fn pending(&self) -> Option<&PendingPlace> {
        self.pending.as_ref()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.as_str())?;
        match &self.pending {
            Some(PendingPlace { journal, sequence }) => write!(f, "{PENDING}{journal}:{sequence}"),
            None => Ok(()),
        }
    }
}

/// The longest text that is looked at as a token.
const LONGEST_TOKEN: usize = 16 * 1024;

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let no_token =
            || Error::new(ErrorKind::InvalidQuery, "this is not the text form of a session token; pass on what `Token::to_string` gave");
        if text.is_empty() || text.len() > LONGEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(no_token());
        }
        let Some((place, pending)) = text.rsplit_once(PENDING) else { return Ok(Token::new(LogCursor::new(text), None)) };
        let (journal, sequence) = pending.rsplit_once(':').ok_or_else(no_token)?;
        let sequence = sequence.parse().map_err(|_| no_token())?;
        if place.is_empty() || journal.is_empty() {
            return Err(no_token());
        }
        Ok(Token::new(LogCursor::new(place), Some(PendingPlace { journal: journal.to_owned(), sequence })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_pending_writes_comes_back_from_its_text() {
        let pending = PendingPlace { journal: "a1".into(), sequence: 7 };
        let token = Token::new(LogCursor::new("5:5:"), Some(pending));
        assert_eq!(token.to_string(), "5:5:~a1:7");
        assert_eq!("5:5:~a1:7".parse::<Token>().unwrap(), token);
        assert!(token.is_pending() && !"5:5:".parse::<Token>().unwrap().is_pending());
        for text in ["~a1:7", "5~a1", "5~:7", "5~a1:x", "5~a1:-1", "5~a1:18446744073709551616"] {
            assert_eq!(text.parse::<Token>().unwrap_err().kind(), ErrorKind::InvalidQuery, "{text}");
        }
    }
}
