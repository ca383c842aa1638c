//! The sleeping threads themselves: made at the first parallel call, made anew when their number changes or after a fork.
//!
//! Note [After a fork]:
//! A forked child has one thread, and every lock that another thread of its parent held at that moment stays locked in it
//! for ever. So nothing here waits for a lock that may be older than the process:
//!
//! - the current threads are found through an atomic pointer to a `Threads` that is never freed, and the child, whose process
//!   id differs from the one written there, reads nothing else of it and makes its own. The parent's pool is leaked:
//!   its queues may be half-written, and its threads do not exist here;
//! - the lock in `Threads` is only tried by those who spawn. Only the thread that replaces threads of its own
//!   process waits for it, and no foreign code runs under it;
//! - the lock and the gate of a call belong to that call, and the locks of the standard library on Linux have no shared
//!   tables behind them (those of `parking_lot` do, so they are not used here);
//! - making threads reads no environment variable, because the stack size is given: the environment's lock is older
//!   than the process. `num_threads` reads it once, at the first call in the process or its ancestors;
//! - two locks that are not ours can still be found taken, by the child's *helpers*: the one around the queue's collector of
//!   garbage (`crossbeam-epoch`), which the first helper of a process sets up, and the one that the standard library takes
//!   while a thread begins or ends, to tell a stack overflow from another fault (only in a program whose `main` is Rust's).
//!   A child forked in that instant has helpers that never start. Nobody waits for a helper that has not
//!   started, and unread invitations are bounded: the child is serial, and right.
//!
//! What cannot be mended: a child forked by a body *inside* a parallel call must not return into that call, which would
//! wait for helpers that are the parent's. It may make calls of its own.

use std::cell::Cell;
use std::sync::RwLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::size::num_threads;

/// What a helper's stack may hold; only touched pages are ever paid for.
const STACK_BYTES: usize = 8 << 20;

/// Invitations that may lie unread. They pile up only while all threads are busy inside calls that make more calls,
/// when an invitation is worth nothing; without a bound such a call could fill the memory with them.
const UNREAD_MAX: usize = 1024;

/// How long a thread that has just worked looks out for more before it sleeps: kernels come in streams, and waking
/// costs the caller a system call and the thread up to milliseconds where other programs want the processors too.
const LOOKOUT: Duration = Duration::from_micros(100);
/// Looks between two offers of the processor to whoever else wants it.
const LOOKS: u32 = 64;

thread_local! {
    static LOOKS_OUT: Cell<bool> = const { Cell::new(false) };
}

/// The pool of one process and one number of threads.
pub struct Threads {
    /// Empty once these threads have been replaced.
    pool: RwLock<Option<rayon::ThreadPool>>,
    size: usize,
    /// Whether each thread may have a processor to itself, so that one that waits takes no other's time.
    spare: bool,
    process: u32,
    unread: AtomicUsize,
}

/// The latest; null before the first parallel call. What it points to is never freed (see the Note), which costs some
/// hundred bytes for each change of the number of threads that is followed by a parallel call.
static CURRENT: AtomicPtr<Threads> = AtomicPtr::new(std::ptr::null_mut());

impl Threads {
    /// The threads that a call may use now; none when the operating system gives none.
    pub fn current() -> Option<&'static Self> {
        let (wanted, process) = (num_threads(), std::process::id());
        if wanted == 1 {
            // Set since the caller looked. Threads made for another number sleep on, for when it comes back.
            return None;
        }
        // Acquire: pairs with the Release in `replace`, so that what is behind the pointer is seen whole.
        let latest = CURRENT.load(Ordering::Acquire);
        // SAFETY: the pointer is null or comes from `Box::leak` in `replace`.
        match unsafe { latest.as_ref() } {
            Some(threads) if threads.size == wanted && threads.process == process => Some(threads),
            _ => Self::replace(latest, wanted, process),
        }
    }

    /// Hands `job` to a thread of the pool, which runs it once, some time or, when too much lies unread, never.
    pub fn spawn(&'static self, job: impl FnOnce() + Send + 'static) {
        // Tried only: it fails only while these threads are being replaced.
        let Ok(pool) = self.pool.try_read() else { return };
        let Some(pool) = pool.as_ref() else { return };
        // Relaxed: a rough count is enough for a rough bound.
        if self.unread.load(Ordering::Relaxed) < UNREAD_MAX {
            self.unread.fetch_add(1, Ordering::Relaxed);
            pool.spawn(move || {
                self.unread.fetch_sub(1, Ordering::Relaxed);
                job();
                self.look_out();
            });
        }
    }

    /// Takes up jobs as they come, until none has come for a while. A job that is taken up here does not look out itself.
    fn look_out(&self) {
        if !self.spare || LOOKS_OUT.replace(true) {
            return;
        }
        let mut last = Instant::now();
        while last.elapsed() < LOOKOUT {
            for _ in 0..LOOKS {
                if rayon::yield_now() == Some(rayon::Yield::Executed) {
                    last = Instant::now();
                } else {
                    std::hint::spin_loop();
                }
            }
            std::thread::yield_now();
        }
        LOOKS_OUT.set(false);
    }

    #[cold]
    fn replace(latest: *mut Self, wanted: usize, process: u32) -> Option<&'static Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(wanted - 1)
            .thread_name(|index| format!("arcgrad-{index}"))
            .stack_size(STACK_BYTES)
            .build()
            .ok()?;
        let fresh = Box::into_raw(Box::new(Self {
            pool: RwLock::new(Some(pool)),
            size: wanted,
            spare: std::thread::available_parallelism().is_ok_and(|processors| wanted <= processors.get()),
            process,
            unread: AtomicUsize::new(0),
        }));
        // Release publishes what `fresh` points to; Acquire, because `latest` is read below.
        if CURRENT.compare_exchange(latest, fresh, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            // Another thread was faster: this call goes without helpers, and the next one finds the other's threads.
            // SAFETY: `fresh` was made above and never published.
            drop(unsafe { Box::from_raw(fresh) });
            return None;
        }
        // SAFETY: never freed, now that it is published; so is what was there before.
        let (fresh, before) = unsafe { (&*fresh, latest.as_ref()) };
        if let Some(before) = before.filter(|before| before.process == process) {
            // Jobs already handed over still run; then those threads end by themselves.
            if let Ok(mut pool) = before.pool.write() {
                drop(pool.take());
            }
        }
        Some(fresh)
    }
}
