//! Buffers for numbers, kept for the next of their size: fresh memory costs many times what used memory does.
//!
//! Note [Where a block waits for its next use]:
//! Sizes are rounded up to classes (`class.rs`). A block of a small class goes to a list of the thread that drops it
//! (`local.rs`): no atomics, a few nanoseconds. What a thread has too much of, what it leaves behind when it ends, and all
//! large blocks go to one list for each class that all threads share (`shared.rs`), up to a limit in bytes; what exceeds
//! the limit goes back to the system (`system.rs`).
//!
//! No lock is taken anywhere, so neither a forked child nor a signal can find one taken. In a forked child the lists of its
//! parent's other threads are lost: their memory, at most [`LOCAL_LIMIT`] each, is not used again by the child.

mod chain;
mod class;
mod local;
mod shared;
mod system;

use std::error::Error;
use std::fmt;
use std::ptr::NonNull;

pub use local::LOCAL_LIMIT;

use class::Class;

/// Every block starts at a multiple of this: one cache line, and the widest vector register.
pub const ALIGNMENT: usize = 64;

/// The system has no such amount of memory, or there is no such amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError {
    /// How many bytes were asked for.
    pub bytes: usize,
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot allocate {} bytes", self.bytes)
    }
}

impl Error for AllocError {}

/// Memory owned by whoever holds it, aligned to [`ALIGNMENT`]; what is in it is for the holder to know.
///
/// Dropping a block gives it to the cache, on whatever thread that happens.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    class: Class,
}

// SAFETY: a block is memory and nothing else, owned alone; lists take it over on the thread that drops it.
unsafe impl Send for Block {}
// SAFETY: a shared block gives out only its address and its size.
unsafe impl Sync for Block {}

impl Block {
    /// Where it starts: valid for reads and writes of [`Block::capacity`] bytes while the block lives, through this pointer or
    /// another one got from here. Dangling, but aligned, if the capacity is 0.
    #[inline]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The size in bytes, at least what was asked for and less than an eighth or 64 bytes above it.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.class.bytes()
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        let (start, class) = (self.start, self.class);
        if class.is_empty() {
            return;
        }
        // SAFETY: a block comes from `take` with this class, and is gone after this.
        unsafe { if class.is_small() { local::put(start, class) } else { shared::drop_large(start, class) } }
    }
}

/// A block of at least `bytes` bytes, whose contents are not initialised.
///
/// # Errors
///
/// [`AllocError`] when the system refuses, or for a size that cannot exist.
#[inline]
pub fn allocate(bytes: usize) -> Result<Block, AllocError> {
    let refused = AllocError { bytes };
    let class = Class::holding(bytes).ok_or(refused)?;
    let start = if class.is_empty() {
        system::DANGLING
    } else if class.is_small() {
        local::take(class).ok_or(refused)?
    } else {
        shared::take_large(class).ok_or(refused)?
    };
    Ok(Block { start, class })
}

/// A block whose first `bytes` bytes, at least, are 0.
///
/// # Errors
///
/// As [`allocate`].
pub fn allocate_zeroed(bytes: usize) -> Result<Block, AllocError> {
    let block = allocate(bytes)?;
    // SAFETY: the block is at least `bytes` long, and nobody else's.
    unsafe { block.start.write_bytes(0, bytes) };
    Ok(block)
}

/// Gives the shared lists and the calling thread's own back to the system.
///
/// Other threads keep their lists, at most [`LOCAL_LIMIT`] each, until they end.
pub fn empty_cache() {
    local::release();
    shared::release();
}

/// The bytes kept for later in the shared lists and the calling thread's own.
pub fn cached_bytes() -> usize {
    shared::cached_bytes() + local::cached_bytes()
}

/// The bytes of all blocks that are alive, as their capacities.
///
/// Exact for the calling thread; what other threads allocated or dropped in small blocks may be missing up to 256 KiB each.
pub fn live_bytes() -> usize {
    local::report();
    shared::live_bytes()
}

/// The highest that [`live_bytes`] has been since the start or [`reset_peak`].
///
/// A peak of small blocks alone may be missed by up to 256 KiB for each thread; large blocks (above 64 KiB) count at once.
pub fn peak_bytes() -> usize {
    local::report();
    shared::peak_bytes()
}

/// Makes [`peak_bytes`] start again from what is alive now.
pub fn reset_peak() {
    local::report();
    shared::reset_peak();
}

/// Sets how many bytes the shared lists may keep, and gives back at once what exceeds it.
///
/// Until then an eighth of the machine's memory, at most 1 GiB. A thread's own lists obey it from its next drop of a block on:
/// they keep at most [`LOCAL_LIMIT`] beside the shared ones, and nothing that is larger than the limit.
pub fn set_cache_limit(bytes: usize) {
    shared::set_limit(bytes);
    local::shrink();
}
