//! Python code that is called from within Rust, and the interpreter's end.
//!
//! Note [No thread is unwound through us]: an interpreter that ends kills other threads where they next want the GIL, up to
//! CPython 3.13 by unwinding their stacks, which aborts the process at a frame of ours that lies between two of Python's.
//! PyO3 lets threads sleep for ever that come from outside; those inside of a hook, or of what the drop of a user's object
//! calls, come from Python's own loop. So passes and handlers say when they begin and when they are done: the end waits until
//! no other thread is in one, long passes stop as at an interrupt, and whoever would enter one sleeps. What is longer than
//! the end's patience waits for something itself, most likely, and does not come back before the process is gone.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Threads that are in Python code called from Rust, or may come to be.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// The thread that ends the interpreter, once it does.
static ENDING: OnceLock<ThreadId> = OnceLock::new();

thread_local! {
    /// How often this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// How long the end waits for other threads.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether another thread ends the interpreter.
#[inline]
pub fn is_under_way() -> bool {
    ENDING.get().is_some_and(|ending| *ending != thread::current().id())
}

/// As long as it lives, the interpreter does not end: not for as long as the end has patience.
pub struct Inside(());

impl Inside {
    /// Does not return where another thread ends the interpreter.
    #[inline]
    pub fn enter(py: Python<'_>) -> Self {
        if DEPTH.get() == 0 {
            // Sequentially consistent, here and in `end`: either the end sees this thread, or this thread sees the end.
            INSIDE.fetch_add(1, Ordering::SeqCst);
        }
        DEPTH.set(DEPTH.get() + 1);
        let inside = Self(());
        stop_at_the_end(py);
        inside
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// For a thread that is [`Inside`]. Does not return where another thread ends the interpreter: what was computed has nobody
/// to go to.
#[inline]
pub fn stop_at_the_end(py: Python<'_>) {
    if is_under_way() {
        sleep_for_ever(py);
    }
}

#[cold]
fn sleep_for_ever(py: Python<'_>) {
    // A thread that sleeps is never unwound: the end need not wait for it.
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    py.detach(|| {
        loop {
            thread::park();
        }
    });
}

/// Attaches to the interpreter to call a user's code.
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
    // The end may come while this thread is inside itself: `exit` in a hook.
    let own = usize::from(DEPTH.get() > 0);
    while INSIDE.load(Ordering::SeqCst) > own && start.elapsed() < PATIENCE {
        py.detach(|| thread::sleep(Duration::from_millis(1)));
    }
}

/// Has the interpreter tell of its end.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let end = wrap_pyfunction!(_end, module)?;
    module.py().import("atexit")?.call_method1("register", (end,)).map(drop)
}
