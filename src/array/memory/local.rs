//! A thread's own lists of small blocks, and its part of the count of what is alive.

use std::cell::Cell;
use std::ptr::NonNull;

use super::chain::Chain;
use super::class::Class;
use super::{shared, system};

/// How many bytes a thread keeps in lists of its own.
pub const LOCAL_LIMIT: usize = 4 << 20;

/// What a thread allocated or dropped in small blocks without having told it to the shared count.
const UNREPORTED_MAX: isize = 256 << 10;

struct Lists {
    chains: [Cell<Chain>; Class::SMALL_COUNT],
    /// Bytes in `chains`.
    cached: Cell<usize>,
    /// Bytes allocated less bytes dropped, since the last report.
    unreported: Cell<isize>,
    /// The class at which the next search for room begins.
    hand: Cell<usize>,
}

thread_local! {
    static LISTS: Lists = const {
        Lists {
            chains: [const { Cell::new(Chain::EMPTY) }; Class::SMALL_COUNT],
            cached: Cell::new(0),
            unreported: Cell::new(0),
            hand: Cell::new(0),
        }
    };
}

/// A small block; not the empty one.
#[inline]
pub fn take(class: Class) -> Option<NonNull<u8>> {
    // A thread that is ending has no lists any more, and uses the shared ones.
    LISTS.try_with(|lists| lists.take(class)).unwrap_or_else(|_| shared::take_large(class))
}

/// Keeps a small block.
///
/// # Safety
///
/// `start` comes from [`take`] with this class, on whatever thread, and is not used any more.
#[inline]
pub unsafe fn put(start: NonNull<u8>, class: Class) {
    // SAFETY: the caller's word.
    let kept = LISTS.try_with(|lists| unsafe { lists.put(start, class) });
    if kept.is_err() {
        // SAFETY: the caller's word, and `put` has not run.
        unsafe { shared::drop_large(start, class) };
    }
}

pub fn cached_bytes() -> usize {
    LISTS.try_with(|lists| lists.cached.get()).unwrap_or(0)
}

/// Brings the shared count up to date with this thread.
pub fn report() {
    let _ending = LISTS.try_with(Lists::report);
}

/// Gives this thread's lists back to the system.
pub fn release() {
    let _ending = LISTS.try_with(|lists| {
        for index in 1..Class::SMALL_COUNT {
            // SAFETY: `empty` hands on blocks of this class that nobody uses.
            lists.empty(Class::at(index), |start, class| unsafe { system::put(start, class) });
        }
    });
}

/// Gives this thread's lists back if they exceed a limit that was lowered.
pub fn shrink() {
    if cached_bytes() > limit() {
        release();
    }
}

#[inline]
fn limit() -> usize {
    shared::limit().min(LOCAL_LIMIT)
}

impl Lists {
    #[inline]
    fn take(&self, class: Class) -> Option<NonNull<u8>> {
        let cell = &self.chains[class.index()];
        let mut chain = cell.take();
        let start = chain.pop();
        cell.set(chain);
        let start = match start {
            Some(start) => {
                self.cached.set(self.cached.get() - class.bytes());
                start
            }
            None => shared::take(class)?,
        };
        self.count(class.bytes().cast_signed());
        Some(start)
    }

    /// # Safety
    ///
    /// As the module's `put`.
    #[inline]
    unsafe fn put(&self, start: NonNull<u8>, class: Class) {
        self.count(-class.bytes().cast_signed());
        let cached = self.cached.get() + class.bytes();
        if cached > limit() && !self.make_room(class) {
            // SAFETY: the caller's word.
            return unsafe { shared::put(start, class) };
        }
        let cell = &self.chains[class.index()];
        let mut chain = cell.take();
        // SAFETY: the caller's word; a class that is not empty has room for a link.
        unsafe { chain.push(start) };
        cell.set(chain);
        self.cached.set(self.cached.get() + class.bytes());
    }

    /// Moves lists of other classes to the shared ones, in turn, until a block of `class` fits; says whether it does.
    #[cold]
    fn make_room(&self, class: Class) -> bool {
        for _ in 0..Class::SMALL_COUNT {
            if self.cached.get() + class.bytes() <= limit() {
                return true;
            }
            self.hand.set((self.hand.get() + 1) % Class::SMALL_COUNT);
            if self.hand.get() != class.index() {
                self.hand_over(Class::at(self.hand.get()));
            }
        }
        self.cached.get() + class.bytes() <= limit()
    }

    fn hand_over(&self, class: Class) {
        // SAFETY: `empty` hands on blocks of this class that nobody uses.
        self.empty(class, |start, class| unsafe { shared::put(start, class) });
    }

    /// Takes all blocks of a class out, for `receive` to own.
    fn empty(&self, class: Class, receive: impl Fn(NonNull<u8>, Class)) {
        let mut chain = self.chains[class.index()].take();
        while let Some(start) = chain.pop() {
            self.cached.set(self.cached.get() - class.bytes());
            receive(start, class);
        }
    }

    #[inline]
    fn count(&self, bytes: isize) {
        let unreported = self.unreported.get() + bytes;
        self.unreported.set(unreported);
        if unreported.abs() >= UNREPORTED_MAX {
            self.report();
        }
    }

    #[cold]
    fn report(&self) {
        shared::count(self.unreported.replace(0));
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        self.report();
        for index in 1..Class::SMALL_COUNT {
            self.hand_over(Class::at(index));
        }
    }
}
