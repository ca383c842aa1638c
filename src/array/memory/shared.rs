//! The lists that all threads share, under one limit, and the counts of what is alive.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

use super::chain::{Chain, SharedChain};
use super::class::Class;
use super::system;

static LISTS: [SharedChain; Class::COUNT] = [const { SharedChain::new() }; Class::COUNT];

// Relaxed everywhere below: these are counts, and the lists publish their blocks by themselves.

/// Bytes in `LISTS`, those included for which room is reserved but which are not in yet.
static CACHED: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(UNKNOWN);
/// In `LIMIT`: nobody asked for it yet, nor set it.
const UNKNOWN: usize = usize::MAX;
/// Where the next search for something to give back begins, so that no size stays for ever.
static HAND: AtomicUsize = AtomicUsize::new(0);

/// May be below 0 for a moment: a thread that dropped what another allocated may report first.
static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// A large block, from its list or the system.
pub fn take_large(class: Class) -> Option<NonNull<u8>> {
    let start = take(class)?;
    count(class.bytes().cast_signed());
    Some(start)
}

/// Keeps a large block if there is room.
///
/// # Safety
///
/// `start` comes from [`take_large`] with this class, and is not used any more.
pub unsafe fn drop_large(start: NonNull<u8>, class: Class) {
    count(-class.bytes().cast_signed());
    // SAFETY: the caller's word.
    unsafe { put(start, class) };
}

/// A block of any class but the empty one, not counted as alive.
pub fn take(class: Class) -> Option<NonNull<u8>> {
    let list = &LISTS[class.index()];
    let mut chain = list.take();
    let Some(start) = chain.pop() else { return take_fresh(class) };
    list.put(chain);
    CACHED.fetch_sub(class.bytes(), Relaxed);
    Some(start)
}

/// A block from the system; what the cache holds is not in the way of it.
#[cold]
fn take_fresh(class: Class) -> Option<NonNull<u8>> {
    system::take(class).or_else(|| {
        super::empty_cache();
        system::take(class)
    })
}

/// Keeps a block if there is room, which large blocks of other sizes make.
///
/// # Safety
///
/// `start` comes from [`take`] with this class, and is not used any more.
pub unsafe fn put(start: NonNull<u8>, class: Class) {
    let (bytes, limit) = (class.bytes(), limit());
    let cached = CACHED.fetch_add(bytes, Relaxed) + bytes;
    // One block of a size is as good as another of that size, so nothing of its own class makes way for it.
    if cached > limit && (bytes > limit || !give_back(cached - limit, Some(class))) {
        CACHED.fetch_sub(bytes, Relaxed);
        // SAFETY: the caller's word, and `take` has it from the system in the end.
        return unsafe { system::put(start, class) };
    }
    let mut chain = Chain::EMPTY;
    // SAFETY: the caller's word; a class that is not empty has room for a link.
    unsafe { chain.push(start) };
    LISTS[class.index()].put(chain);
}

/// Gives `bytes` bytes back to the system, none of class `spared`; says whether there were so many.
#[cold]
fn give_back(bytes: usize, spared: Option<Class>) -> bool {
    let mut left = bytes;
    let first = HAND.load(Relaxed);
    for index in (first..Class::COUNT).chain(0..first) {
        let class = Class::at(index);
        if spared == Some(class) {
            continue;
        }
        let mut chain = LISTS[index].take();
        while left > 0
            && let Some(start) = chain.pop()
        {
            // SAFETY: it was in the list of this class.
            unsafe { system::put(start, class) };
            CACHED.fetch_sub(class.bytes(), Relaxed);
            left = left.saturating_sub(class.bytes());
        }
        LISTS[index].put(chain);
        if left == 0 {
            HAND.store(index, Relaxed);
            return true;
        }
    }
    false
}

/// Gives everything back to the system.
pub fn release() {
    give_back(usize::MAX, None);
}

pub fn cached_bytes() -> usize {
    CACHED.load(Relaxed)
}

/// How many bytes the lists may keep.
#[inline]
pub fn limit() -> usize {
    match LIMIT.load(Relaxed) {
        UNKNOWN => default_limit(),
        limit => limit,
    }
}

#[cold]
fn default_limit() -> usize {
    const MOST: usize = 1 << 30;
    let limit = system::physical_bytes().map_or(MOST / 4, |bytes| (bytes / 8).min(MOST));
    // A limit set by another thread in the meantime stands.
    LIMIT.compare_exchange(UNKNOWN, limit, Relaxed, Relaxed).map_or_else(|set| set, |_| limit)
}

pub fn set_limit(bytes: usize) {
    let limit = bytes.min(UNKNOWN - 1);
    LIMIT.store(limit, Relaxed);
    let cached = CACHED.load(Relaxed);
    if cached > limit {
        give_back(cached - limit, None);
    }
}

/// Adds to what is alive.
pub fn count(bytes: isize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    // Read first: in the steady state the peak is far above, and its cache line stays shared.
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
    }
}

pub fn live_bytes() -> usize {
    LIVE.load(Relaxed).max(0).cast_unsigned()
}

pub fn peak_bytes() -> usize {
    PEAK.load(Relaxed).max(0).cast_unsigned()
}

pub fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}
