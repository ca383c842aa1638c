//! What a thread knows of the calls around it: whether to stay serial, and whom to ask whether to go on.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The payload with which an interrupted call unwinds: not a fault, but an answer to `with_interrupt`'s check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// A check is asked no more often than this.
const INTERVAL: Duration = Duration::from_millis(20);
/// Between two looks at the clock, at most this many polls go by; fewer where polls are rare.
const STRIDE_MAX: u32 = 64;
/// Polls are rare when so much time passes between two looks at the clock.
const RARE: Duration = Duration::from_millis(1);

/// A check, and what it answered. Only the thread that called `with_interrupt` asks; its helpers read the answer.
struct Interrupt<'a> {
    check: &'a (dyn Fn() -> bool + Sync),
    raised: AtomicBool,
    start: Instant,
    /// Microseconds after `start` at which the check was last asked, and at which the clock was last read.
    asked: AtomicU64,
    looked: AtomicU64,
    /// Polls still to let by, and how many there were to let by.
    left: AtomicU32,
    stride: AtomicU32,
}

/// The surroundings of a call on one thread.
#[derive(Clone, Copy)]
pub struct Context {
    pub serial: bool,
    interrupt: Option<&'static Interrupt<'static>>,
    /// Whether this thread is the one that asks.
    asks: bool,
}

thread_local! {
    static CONTEXT: Cell<Context> = const { Cell::new(Context { serial: false, interrupt: None, asks: false }) };
}

impl Context {
    #[inline]
    pub fn current() -> Self {
        CONTEXT.get()
    }

    /// The same, for a helper: it may use idle threads, and it does not ask.
    pub fn of_helpers(self) -> Self {
        Self { serial: false, asks: false, ..self }
    }

    /// How long a caller may sleep before it asks again.
    pub fn patience(self) -> Option<Duration> {
        (self.asks && self.interrupt.is_some()).then_some(INTERVAL)
    }

    /// Runs `f` in these surroundings, and returns to the former ones however `f` ends.
    pub fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        struct Return(Context);
        impl Drop for Return {
            fn drop(&mut self) {
                CONTEXT.set(self.0);
            }
        }
        let _return = Return(CONTEXT.replace(self));
        f()
    }
}

/// Runs `f` with every parallel call on this thread serial.
///
/// For a worker that is one of as many as there are threads: its inner loops would find nobody idle.
pub fn serially<R>(f: impl FnOnce() -> R) -> R {
    Context { serial: true, ..Context::current() }.enter(f)
}

/// Runs `f` such that its parallel loops stop when `check` says true.
///
/// `check` is asked on this thread only, between pieces of work, at most every 20 milliseconds. After it said true no
/// further piece is claimed, and once the helpers have left, each enclosing call inside `f`, on whatever thread, unwinds
/// with [`Interrupted`] as its payload (by `resume_unwind`: no panic hook runs). It is for the caller of this
/// function to catch. The innermost of nested checks counts.
pub fn with_interrupt<R>(check: &(dyn Fn() -> bool + Sync), f: impl FnOnce() -> R) -> R {
    let interrupt = Interrupt {
        check,
        raised: AtomicBool::new(false),
        start: Instant::now(),
        asked: AtomicU64::new(0),
        looked: AtomicU64::new(0),
        left: AtomicU32::new(0),
        stride: AtomicU32::new(1),
    };
    // SAFETY: only lifetimes are changed. The reference is reachable from this thread's context, which `enter` resets
    // before this frame ends, and from helpers' contexts, which are reset before the helper leaves a call made inside `f`;
    // `gather` outwaits them. `check` runs without it in the context, so nothing it starts keeps it.
    let borrowed = unsafe { std::mem::transmute::<&Interrupt<'_>, &'static Interrupt<'static>>(&interrupt) };
    Context { interrupt: Some(borrowed), asks: true, ..Context::current() }.enter(f)
}

/// Runs `f` to its end, whatever an enclosing [`with_interrupt`] would say.
pub fn uninterruptible<R>(f: impl FnOnce() -> R) -> R {
    Context { interrupt: None, asks: false, ..Context::current() }.enter(f)
}

/// Unwinds with [`Interrupted`] if an enclosing [`with_interrupt`] says so: for long work that makes no parallel calls.
///
/// About a nanosecond; the check itself is asked at most every 20 milliseconds, and on its own thread only.
#[inline]
pub fn poll_interrupt() {
    if is_interrupted() {
        resume_unwind(Box::new(Interrupted));
    }
}

/// Whether to stop; asks the check when it is this thread's to ask, and time.
#[inline]
pub fn is_interrupted() -> bool {
    let context = Context::current();
    context.interrupt.is_some_and(|interrupt| interrupt.poll(context.asks))
}

/// Asks the check when it is time, for a caller that only waits.
pub fn check_interrupt() {
    let context = Context::current();
    if let (Some(interrupt), true) = (context.interrupt, context.asks) {
        interrupt.look();
    }
}

impl Interrupt<'_> {
    // Relaxed throughout: the numbers are this thread's own, and `raised` says nothing but itself.
    fn poll(&self, asks: bool) -> bool {
        if asks {
            match self.left.load(Ordering::Relaxed) {
                0 => self.look(),
                left => self.left.store(left - 1, Ordering::Relaxed),
            }
        }
        self.raised.load(Ordering::Relaxed)
    }

    /// Reads the clock, and asks when it is time.
    #[cold]
    fn look(&self) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let since =
            |then: &AtomicU64| Duration::from_micros(now.saturating_sub(then.load(Ordering::Relaxed)));
        let stride = if since(&self.looked) < RARE {
            STRIDE_MAX.min(2 * self.stride.load(Ordering::Relaxed))
        } else {
            1
        };
        self.stride.store(stride, Ordering::Relaxed);
        self.left.store(stride - 1, Ordering::Relaxed);
        self.looked.store(now, Ordering::Relaxed);
        if !self.raised.load(Ordering::Relaxed) && since(&self.asked) >= INTERVAL {
            // The check may run anything, even calls that poll: those must not ask again.
            if uninterruptible(self.check) {
                self.raised.store(true, Ordering::Relaxed);
            }
            let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.asked.store(now, Ordering::Relaxed);
        }
    }
}
