//! Which calls of a transaction may go on.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::tier::Role;

/// What a tier keeps of a transaction that is open, so that all tiers refuse the same calls in the same words.
///
/// ```
/// use std::time::Duration;
/// use store_core::facet::TransactionState;
/// use store_core::{Error, ErrorKind};
///
/// let mut state = TransactionState::new(Duration::from_secs(30));
/// state.begin_call()?;
/// state.set_savepoint();
/// state.end_call();
///
/// state.begin_call()?;
/// state.fail();
/// assert_eq!(state.begin_call().unwrap_err().kind(), ErrorKind::TransactionFailed);
///
/// state.begin_return()?;
/// state.end_savepoint();
/// state.end_call();
/// assert!(state.begin_call().is_ok());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct TransactionState {
    limit: Duration,
    end: Instant,
    savepoints: usize,
    phase: Phase,
}

/// The error of a transaction that runs beyond its limit.
pub(crate) fn limit_passed(limit: Duration) -> Error {
    let message = format!(
        "its limit of {limit:?} passed; do less in it, or give it a longer limit (`transaction_timeout`), and let all that it writes go through its own handle: \
         another call that needs what it has locked, on SQLite any write and any second transaction, waits for its end"
    );
    Error::new(ErrorKind::TransactionTimeout, message)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ready,
    /// A call runs, or was given up midway.
    Calling,
    /// A call failed.
    Failed,
    /// There is nothing to go back to any more.
    Lost,
}

impl TransactionState {
    /// Of a transaction that begins now. A limit that no clock can hold is none.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let now = Instant::now();
        let end = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(u32::MAX.into()));
        TransactionState { limit, end, savepoints: 0, phase: Phase::Ready }
    }

    /// When the limit passes.
    #[must_use]
    pub fn end(&self) -> Instant {
        self.end
    }

    /// What is left of the limit.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The error of whatever runs beyond the limit.
    #[must_use]
    pub fn timed_out(&self) -> Error {
        limit_passed(self.limit).with_tier(Role::Truth)
    }

    /// Begins a call, or says why there can be none.
    ///
    /// # Errors
    ///
    /// [`TransactionTimeout`](ErrorKind::TransactionTimeout) beyond the limit, [`TransactionFailed`](ErrorKind::TransactionFailed) after a call that failed or was
    /// given up.
    pub fn begin_call(&mut self) -> Result<()> {
        self.check_limit()?;
        match self.phase {
            Phase::Ready => {
                self.phase = Phase::Calling;
                Ok(())
            }
            Phase::Failed => Err(refused("an earlier call of it failed; roll it back, or back to a savepoint that was set before")),
            Phase::Calling | Phase::Lost => Err(self.lost()),
        }
    }

    /// Begins to give up the last savepoint.
    ///
    /// # Errors
    ///
    /// As [`begin_return`](Self::begin_return).
    pub fn begin_release(&mut self) -> Result<()> {
        if self.phase == Phase::Ready { self.begin_return() } else { self.begin_call() }
    }

    /// Begins the way back to the last savepoint, which a failure does not bar.
    ///
    /// # Errors
    ///
    /// As [`begin_call`](Self::begin_call), and [`TransactionFailed`](ErrorKind::TransactionFailed) if there is no savepoint.
    pub fn begin_return(&mut self) -> Result<()> {
        self.check_limit()?;
        match self.phase {
            Phase::Calling | Phase::Lost => Err(self.lost()),
            _ if self.savepoints == 0 => Err(refused("it has no savepoint; set one first, or end the transaction")),
            Phase::Ready | Phase::Failed => {
                self.phase = Phase::Calling;
                Ok(())
            }
        }
    }

    /// Ends a call that succeeded.
    pub fn end_call(&mut self) {
        self.phase = Phase::Ready;
    }

    /// Ends a call that failed: from here on there is only the way back.
    pub fn fail(&mut self) {
        self.phase = Phase::Failed;
    }

    /// Ends a call that failed and took the transaction, or its connection, with it.
    pub fn lose(&mut self) {
        self.phase = Phase::Lost;
    }

    /// Counts a savepoint, and gives its number.
    pub fn set_savepoint(&mut self) -> usize {
        self.savepoints += 1;
        self.savepoints
    }

    /// The number of the last savepoint; 0 if there is none.
    #[must_use]
    pub fn savepoint(&self) -> usize {
        self.savepoints
    }

    /// Takes the last savepoint off the count.
    pub fn end_savepoint(&mut self) {
        self.savepoints = self.savepoints.saturating_sub(1);
    }

    fn check_limit(&self) -> Result<()> {
        if self.remaining().is_zero() { Err(self.timed_out()) } else { Ok(()) }
    }

    fn lost(&self) -> Error {
        refused("an earlier call of it was given up midway, or lost its connection; begin another transaction")
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::TransactionFailed, message).with_tier(Role::Truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_given_up_leaves_no_way_on() {
        let mut state = TransactionState::new(Duration::from_secs(60));
        state.begin_call().unwrap();
        state.set_savepoint();
        state.end_call();
        state.begin_call().unwrap();
        assert_eq!(state.begin_call().unwrap_err().kind(), ErrorKind::TransactionFailed);
        assert_eq!(state.begin_return().unwrap_err().kind(), ErrorKind::TransactionFailed);
    }

    #[test]
    fn a_failure_leaves_the_way_back_alone() {
        let mut state = TransactionState::new(Duration::MAX);
        state.begin_call().unwrap();
        state.fail();
        assert!(state.begin_return().is_err(), "there is no savepoint");
        assert!(state.begin_call().is_err());
    }

    #[test]
    fn beyond_the_limit_every_call_says_so() {
        let mut state = TransactionState::new(Duration::ZERO);
        assert_eq!(state.begin_call().unwrap_err().kind(), ErrorKind::TransactionTimeout);
        assert_eq!(state.begin_return().unwrap_err().kind(), ErrorKind::TransactionTimeout);
    }
}
