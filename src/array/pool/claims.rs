//! The pieces of a parallel loop, and who does which.
//!
//! Note [A range of one's own]:
//! Each participant begins with its own range of the pieces, the same one in every loop, and takes pieces of the others' only
//! when that is done. Loops come in streams over the same memory, and so a thread finds in its core's cache what it wrote
//! there itself. Where pieces are dealt out in turn instead, the next loop reads half of them from another core's cache,
//! which costs several times as much where two cores have no cache in common.
//! The owner takes its pieces from the front and others take them from the back, so that what an owner who comes late has
//! left over is in one piece.
//!
//! This file is compiled a second time by `tests/pool_model.rs`, with the model checker's `sync` beside it.

use std::ops::Range;

use super::sync::{AtomicU64, Ordering};

/// The pieces that nobody has taken yet.
pub struct Claims {
    shares: Box<[Share]>,
}

/// What is left of one participant's range: its first piece in the low half, the one after its last in the high half.
/// On a line of the cache of its own, so that an owner at work is not disturbed by others at theirs.
#[repr(align(64))]
struct Share(AtomicU64);

impl Claims {
    /// The pieces `0..count`, for so many participants.
    pub fn new(count: u32, participants: usize) -> Self {
        // What comes before participant `i`; no more than `count`.
        let before = |i: usize| (u128::from(count) * i as u128 / participants as u128) as u32;
        let shares = (0..participants).map(|i| Share(AtomicU64::new(packed(before(i)..before(i + 1)))));
        Self { shares: shares.collect() }
    }

    /// A piece for the participant of this number, from its own share as long as there are any.
    pub fn next(&self, participant: usize) -> Option<u32> {
        let own = participant % self.shares.len();
        let (before, after) = self.shares.split_at(own);
        let (first, after) = after.split_first()?;
        let others = || after.iter().chain(before).find_map(|share| share.take(|range| range.next_back()));
        first.take(|range| range.next()).or_else(others)
    }

    /// Leaves nothing to take.
    pub fn abandon(&self) {
        for share in &self.shares {
            // Relaxed, and read as it is written, as in `take`.
            share.0.swap(packed(0..0), Ordering::Relaxed);
        }
    }
}

impl Share {
    fn take(&self, pick: impl Fn(&mut Range<u32>) -> Option<u32>) -> Option<u32> {
        // Relaxed throughout: a share only deals out numbers, each once because every write reads the one before it. What
        // is done with them is published by leaving the gate.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let mut range = unpacked(now);
            let piece = pick(&mut range)?;
            match self.0.compare_exchange_weak(now, packed(range), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(piece),
                Err(other) => now = other,
            }
        }
    }
}

fn packed(range: Range<u32>) -> u64 {
    u64::from(range.end) << 32 | u64::from(range.start)
}

fn unpacked(word: u64) -> Range<u32> {
    word as u32..(word >> 32) as u32
}
