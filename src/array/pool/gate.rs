//! The door of a parallel call: who is inside, whether one may still come in, and waiting until all have left.
//!
//! This file is compiled a second time by `tests/pool_model.rs`, with the model checker's `sync` beside it.

use std::time::Duration;

use super::sync::{self, AtomicUsize, Ordering, Thread};

/// Set in `Gathering::state` when nobody may enter any more.
const CLOSED: usize = 1;
/// What one participant adds to `Gathering::state`; the bits above `CLOSED` count those inside.
const ONE: usize = 2;

/// A meeting that its owner opens, closes and outwaits, and that helpers may enter while it is open.
pub struct Gathering {
    state: AtomicUsize,
    owner: Thread,
}

impl Gathering {
    /// An open gathering with nobody inside, owned by the calling thread.
    pub fn new() -> Self {
        Self { state: AtomicUsize::new(0), owner: sync::current() }
    }

    /// Goes in, unless it is closed; dropping what is returned leaves.
    pub fn enter(&self) -> Option<Inside<'_>> {
        // Relaxed, as a first guess only.
        let mut state = self.state.load(Ordering::Relaxed);
        while state & CLOSED == 0 {
            // Relaxed: what a helper reads was handed to it together with the gathering, by the queue that it came from;
            // and an entry that comes before `close` in the order of this one variable is seen by `close`.
            match self.state.compare_exchange_weak(state, state + ONE, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Inside(self)),
                Err(now) => state = now,
            }
        }
        None
    }

    /// Lets nobody in any more. The owner calls it once, then waits.
    pub fn close(&self) {
        // Relaxed: entering and closing are ordered by being writes of the same variable.
        self.state.fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// Waits until nobody is inside; false when `patience` ended, or the thread was woken, before that.
    pub fn wait(&self, patience: Option<Duration>) -> bool {
        for _ in 0..sync::SPINS {
            if self.is_empty() {
                return true;
            }
            sync::pause();
        }
        if !self.is_empty() {
            sync::park(patience);
        }
        self.is_empty()
    }

    fn is_empty(&self) -> bool {
        // Acquire: pairs with the Release of each who left, so the owner sees what they did inside.
        self.state.load(Ordering::Acquire) == CLOSED
    }
}

/// A participant that is inside, until it is dropped.
pub struct Inside<'a>(&'a Gathering);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Release: what was done inside comes before the owner's seeing that nobody is left. The decrement is a
        // read-modify-write, so it continues the release of those who left earlier.
        if self.0.state.fetch_sub(ONE, Ordering::Release) == CLOSED + ONE {
            // The last one out. The owner may be gone already, or waiting elsewhere: a wake-up too many is allowed,
            // and the gathering itself is kept alive by whoever is dropping this.
            self.0.owner.unpark();
        }
    }
}
