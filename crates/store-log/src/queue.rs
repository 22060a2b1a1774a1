use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::commit::Promise;
use crate::format::ENTRY_HEADER;

/// How long nobody must append before the writer says in the file how much of it is durable.
const IDLE: Duration = Duration::from_millis(5);

/// Something that the writer is asked to do.
#[derive(Debug)]
pub(crate) struct Request {
    /// How many entries there are to append. 0: none, the request is for a sync alone.
    pub(crate) count: u32,
    /// How many bytes of the group's buffer the entries take, headers included.
    pub(crate) bytes: usize,
    /// Whether the answer waits for a sync.
    pub(crate) durable: bool,
    pub(crate) promise: Promise,
}

/// The requests that came while the writer was busy, and their entries, each behind the room for its header.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) buffer: Vec<u8>,
    pub(crate) requests: Vec<Request>,
}

impl Group {
    pub(crate) fn push<'a>(&mut self, payloads: impl Iterator<Item = &'a [u8]>, durable: bool, promise: Promise) {
        let start = self.buffer.len();
        let mut count = 0;
        for payload in payloads {
            // The length stands where it will be in the end; the writer, who knows the rest, completes the header.
            self.buffer.extend_from_slice(&[0; 4]);
            self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            self.buffer.extend_from_slice(&[0; ENTRY_HEADER - 8]);
            self.buffer.extend_from_slice(payload);
            count += 1;
        }
        self.requests.push(Request { count, bytes: self.buffer.len() - start, durable, promise });
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.buffer.clear();
        self.buffer.shrink_to(1 << 20);
    }
}

/// What the writer's thread wakes up for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Group,
    /// Nobody has appended for a moment.
    Idle,
    /// The log is being closed, and all requests have been taken.
    Close,
}

/// How the writer gathers a group.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Gathering {
    /// How many requests are likely to come.
    pub(crate) expected: usize,
    /// How long they are worth waiting for.
    pub(crate) patience: Duration,
    /// Whether [`Work::Idle`] is asked for.
    pub(crate) tells_idle: bool,
}

/// Where appenders leave their requests and the writer's thread takes them.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    group: Group,
    closing: bool,
    /// The writer waits for so many requests.
    wanted: Option<usize>,
}

impl Queue {
    /// Lets `push` add to the group, or returns false if the log is being closed.
    pub(crate) fn push(&self, push: impl FnOnce(&mut Group)) -> bool {
        let mut state = self.state();
        if state.closing {
            return false;
        }
        push(&mut state.group);
        if state.wanted.is_some_and(|wanted| state.group.requests.len() >= wanted) {
            state.wanted = None;
            drop(state);
            self.wake.notify_one();
        }
        true
    }

    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.wake.notify_one();
    }

    /// Closes the queue and answers whoever waits in it.
    pub(crate) fn abandon(&self) {
        let abandoned = {
            let mut state = self.state();
            state.closing = true;
            std::mem::take(&mut state.group)
        };
        drop(abandoned);
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.state().group.requests.len()
    }

    /// Waits for requests and swaps them for the buffers of the group before.
    pub(crate) fn take(&self, group: &mut Group, gathering: Gathering) -> Work {
        group.clear();
        let mut state = self.state();
        if state.group.requests.is_empty() && gathering.tells_idle {
            state = self.wait(state, 1, Some(IDLE));
            if state.group.requests.is_empty() && !state.closing {
                return Work::Idle;
            }
        }
        state = self.wait(state, 1, None);
        if state.group.requests.len() < gathering.expected {
            state = self.wait(state, gathering.expected, Some(gathering.patience));
        }
        if state.group.requests.is_empty() {
            return Work::Close;
        }
        std::mem::swap(&mut state.group, group);
        Work::Group
    }

    /// Waits until so many requests are there, the log is being closed, or the time is over.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, count: usize, limit: Option<Duration>) -> MutexGuard<'a, State> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        while state.group.requests.len() < count && !state.closing {
            state.wanted = Some(count);
            let Some(deadline) = deadline else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wanted = None;
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
