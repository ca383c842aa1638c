//! How many references a value has, of both kinds, in one word.
//!
//! This file is compiled a second time by `tests/counts_model.rs`, with the model checker's `sync` beside it.
//!
//! Note [One word for both counts]: a locked instruction takes some twenty cycles on many processors, whoever else there is,
//! and most values go while a single reference is left. That it is the last of both kinds can be seen without a locked
//! instruction if both counts are one word: a reference comes only from a reference, so a lone one stays alone, and nothing
//! needs to be counted down. With a word for each, as in the standard library, no order of two reads shows as much.

use super::sync::{AtomicU64, Ordering, fence};

/// What a strong reference adds.
const STRONG: u64 = 1;
/// What a weak reference adds. All strong references together count as a weak one, which keeps the memory.
const WEAK: u64 = 1 << 32;
/// References of a kind beyond which the process ends, as with the standard library's: they were leaked, for they do not
/// fit into memory, and one count may not run into the other.
const MOST: u32 = 1 << 31;

/// The two counts.
pub struct Counts(AtomicU64);

/// What is left to do for whoever dropped a strong reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Nothing: others hold the value.
    Nothing,
    /// To drop the value, and then [the weak reference](Counts::drop_weak) that stood for all strong ones.
    Value,
    /// To drop the value and free the memory: nobody else knows of it.
    Everything,
}

impl Counts {
    /// One strong reference.
    #[inline]
    pub fn one() -> Self {
        Self(AtomicU64::new(STRONG + WEAK))
    }

    /// How many strong references there are.
    #[inline]
    pub fn strong(&self) -> usize {
        // Relaxed: whoever concludes something from it orders it.
        self.0.load(Ordering::Relaxed) as u32 as usize
    }

    /// Counts a strong reference, made from another.
    #[inline]
    pub fn add_strong(&self) {
        // Relaxed: who makes it has a reference already, and hands the new one on by other means.
        let before = self.0.fetch_add(STRONG, Ordering::Relaxed);
        check(before as u32);
    }

    /// Counts a weak reference, made from another of any kind.
    #[inline]
    pub fn add_weak(&self) {
        // Relaxed: as above.
        let before = self.0.fetch_add(WEAK, Ordering::Relaxed);
        check((before >> 32) as u32);
    }

    /// Counts a strong reference, made from a weak one; false if the value is gone.
    #[inline]
    pub fn revive(&self) -> bool {
        let mut counts = self.0.load(Ordering::Relaxed);
        while counts as u32 != 0 {
            check(counts as u32);
            // Acquire: who upgrades sees the value as the one saw it who made the weak reference's strong one.
            match self.0.compare_exchange_weak(counts, counts + STRONG, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => counts = now,
            }
        }
        false
    }

    /// Takes a strong reference away.
    #[inline]
    pub fn drop_strong(&self) -> Left {
        // Acquire: all who let go before are done with the value. They did so by writes of this word, each of which goes on
        // what the one before it released.
        if self.0.load(Ordering::Acquire) == STRONG + WEAK {
            return Left::Everything;
        }
        // Release: what this holder did comes before the end of the value.
        if self.0.fetch_sub(STRONG, Ordering::Release) as u32 != 1 {
            return Left::Nothing;
        }
        fence(Ordering::Acquire);
        Left::Value
    }

    /// Takes a weak reference away; true if it was the last of all: the memory is then the caller's to free.
    #[inline]
    pub fn drop_weak(&self) -> bool {
        if self.0.fetch_sub(WEAK, Ordering::Release) >> 32 != 1 {
            return false;
        }
        // Acquire: the value was dropped before its memory goes.
        fence(Ordering::Acquire);
        true
    }
}

#[inline]
fn check(count: u32) {
    if count >= MOST {
        std::process::abort();
    }
}
