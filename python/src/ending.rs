//! A user's Python code that a pass calls, and the interpreter's end.
//!
//! Note [No thread is unwound through us]: an interpreter that ends kills other threads where they next want the GIL, up to CPython
//! 3.13 by unwinding their stacks, which frees what the frames of a pass hold without the GIL. PyO3 lets threads sleep for ever
//! that come from outside; those inside of a hook come from Python's own loop. So the end waits until no other thread is in
//! a hook, and whoever would enter one sleeps. A hook that is longer than the end's patience waits for something itself,
//! most likely, and does not come back before the process is gone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Calls of users' code that are under way, on all threads.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// The thread that ends the interpreter, once it does.
static ENDING: OnceLock<ThreadId> = OnceLock::new();

/// How long the end waits for hooks.
const PATIENCE: Duration = Duration::from_millis(500);

struct Inside;

impl Inside {
    fn enter(py: Python<'_>) -> Self {
        // Sequentially consistent, here and in `end`: either the end sees this thread inside, or this thread sees the end.
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let inside = Self;
        if ENDING.get().is_some_and(|ending| *ending != thread::current().id()) {
            drop(inside);
            py.detach(|| {
                loop {
                    thread::park();
                }
            });
        }
        inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Attaches to the interpreter to call a user's code from inside of a pass.
#[inline]
pub fn attach<R>(body: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    Python::attach(|py| {
        let _inside = Inside::enter(py);
        body(py)
    })
}

/// Called when the interpreter is about to end.
#[pyfunction]
fn _end(py: Python<'_>) {
    if ENDING.set(thread::current().id()).is_err() {
        return;
    }
    let start = Instant::now();
    while INSIDE.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
        py.detach(|| thread::sleep(Duration::from_millis(1)));
    }
}

/// Has the interpreter tell of its end.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let end = wrap_pyfunction!(_end, module)?;
    module.py().import("atexit")?.call_method1("register", (end,)).map(drop)
}
