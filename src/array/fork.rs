//! Locks that belong to the whole process, kept usable in its forked children.
//!
//! Note [Locks and forks]: a forked child has one thread, and a lock that another thread of its parent held stays locked in
//! it for ever. So a fork first takes the locks that are noted here and gives them back on both sides: it waits until
//! nobody is at work under them, and the child finds what they guard whole. Nothing under such a lock may wait for anything
//! (the forking thread may hold whatever it waits for), nor fork. Locks of single tensors and nodes are not noted: a child
//! must leave alone what other threads of its parent were writing.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// A lock that a fork takes and gives back, which is done by the forking thread and by the child's copy of it.
trait Held: Sync {
    fn hold(&self);
    fn release(&self);
}

struct Lock<T: 'static> {
    mutex: &'static Mutex<T>,
    guard: UnsafeCell<Option<MutexGuard<'static, T>>>,
}

// SAFETY: the cell is used by a thread that forks, between the beginning and the end of the fork; the C library has one fork
// of a process under way at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T: Send> Held for Lock<T> {
    fn hold(&self) {
        let guard = self.mutex.lock();
        // SAFETY: as above; nobody else holds a reference into the cell.
        unsafe { *self.guard.get() = Some(guard) };
    }

    fn release(&self) {
        // SAFETY: as above.
        unsafe { *self.guard.get() = None };
    }
}

struct Entry {
    lock: Box<dyn Held>,
    next: *const Self,
}

/// The latest entry. Entries are never taken out nor freed: there are as many as the process has such locks.
static LATEST: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());

/// From now on a fork takes this lock and gives it back.
fn note<T: Send>(mutex: &'static Mutex<T>) {
    #[cfg(unix)]
    {
        static ASKED: AtomicBool = AtomicBool::new(false);
        if !ASKED.swap(true, Ordering::Relaxed) {
            // SAFETY: the three functions live as long as the process. Where there is no memory to note them, forks are as
            // they would be without.
            unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
        }
    }
    let lock = Box::new(Lock { mutex, guard: UnsafeCell::new(None) });
    let entry = Box::leak(Box::new(Entry { lock, next: std::ptr::null() }));
    let mut latest = LATEST.load(Ordering::Relaxed);
    loop {
        entry.next = latest;
        // Release: who finds the entry finds what is in it.
        match LATEST.compare_exchange_weak(latest, entry, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => latest = other,
        }
    }
}

/// The first of the entries that the fork under way holds; forks of a process come one after the other.
#[cfg(unix)]
static HELD: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());

/// Whether a fork waits for the locks or holds them.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// Called before such a lock is taken: a thread that takes one again and again would otherwise keep a fork waiting for
/// ever, because whoever is running finds a lock free before a sleeper does.
#[inline]
pub(crate) fn give_way() {
    while UNDER_WAY.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}

#[cfg(unix)]
fn each(mut entry: *const Entry, visit: impl Fn(&dyn Held)) {
    // SAFETY: entries are leaked boxes.
    while let Some(here) = unsafe { entry.as_ref() } {
        visit(&*here.lock);
        entry = here.next;
    }
}

#[cfg(unix)]
extern "C" fn before() {
    // Acquire: pairs with the Release in `note`. A lock that is noted from here on is not held: its first user may be at work
    // under it, but only in the instant before it is noted.
    let first = LATEST.load(Ordering::Acquire);
    UNDER_WAY.store(true, Ordering::Relaxed);
    each(first, |lock| lock.hold());
    HELD.store(first, Ordering::Relaxed);
}

#[cfg(unix)]
extern "C" fn after() {
    each(HELD.load(Ordering::Relaxed), |lock| lock.release());
    UNDER_WAY.store(false, Ordering::Relaxed);
}

/// Lets forks take the lock of something that is there once for the process but not a static.
pub(crate) fn keep_usable<T: Send + 'static>(lock: &Arc<Mutex<T>>) {
    note(&**Box::leak(Box::new(lock.clone())));
}

/// A static lock of the whole process. See Note [Locks and forks] for what may happen under it.
pub(crate) struct ProcessLock<T> {
    mutex: Mutex<T>,
    noted: AtomicBool,
}

impl<T: Send> ProcessLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { mutex: Mutex::new(value), noted: AtomicBool::new(false) }
    }

    pub(crate) fn lock(&'static self) -> MutexGuard<'static, T> {
        if !self.noted.load(Ordering::Relaxed) && !self.noted.swap(true, Ordering::Relaxed) {
            note(&self.mutex);
        }
        give_way();
        self.mutex.lock()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::ProcessLock;

    #[test]
    fn a_child_finds_the_lock_free_and_what_it_guards_whole() {
        static PAIR: ProcessLock<(u64, u64)> = ProcessLock::new((0, 0));
        static STOP: AtomicBool = AtomicBool::new(false);
        let writer = std::thread::spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                let mut pair = PAIR.lock();
                pair.0 += 1;
                std::thread::sleep(Duration::from_micros(200));
                pair.1 += 1;
            }
        });
        for _ in 0..50 {
            // SAFETY: the child calls nothing but the lock, `alarm` and `_exit`.
            let child = unsafe { libc::fork() };
            assert!(child >= 0, "no child");
            if child == 0 {
                // SAFETY: no memory is involved. It ends a child that waits.
                unsafe { libc::alarm(5) };
                let pair = PAIR.lock();
                // SAFETY: ends the process.
                unsafe { libc::_exit(i32::from(pair.0 != pair.1)) };
            }
            let mut status = -1;
            // SAFETY: a child of this process, and room for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0, "the child waited for ever, or found half a write");
            std::thread::sleep(Duration::from_micros(100));
        }
        STOP.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
    }
}
