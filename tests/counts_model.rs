//! The counts of references under every interleaving that the memory model allows: the shipped file, with `loom`'s atomics.

#[path = "../src/array/counted/counts.rs"]
mod counts;

/// What it needs of the platform, in the model.
mod sync {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

use counts::{Counts, Left};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// What a place holds after its end: the value dropped, the memory freed.
const ALIVE: u32 = 7;
const DROPPED: u32 = 8;
const FREED: u32 = 9;

/// A value and its memory, whose ends are writes: `loom` reports those that are not ordered after all uses.
struct Block {
    counts: Counts,
    value: UnsafeCell<u32>,
    memory: UnsafeCell<u32>,
}

// SAFETY: `loom` itself reports any two accesses to a cell that are not ordered.
unsafe impl Sync for Block {}

impl Block {
    /// A block that the test itself never frees, with one strong reference.
    fn new() -> Arc<Self> {
        let counts = Counts::one();
        Arc::new(Self { counts, value: UnsafeCell::new(ALIVE), memory: UnsafeCell::new(ALIVE) })
    }

    fn read(&self) {
        // SAFETY: see `Sync`.
        self.value.with(|value| assert_eq!(unsafe { *value }, ALIVE));
    }

    fn drop_strong(&self) {
        let left = self.counts.drop_strong();
        if left == Left::Nothing {
            return;
        }
        // SAFETY: see `Sync`.
        self.value.with_mut(|value| assert_eq!(unsafe { std::mem::replace(&mut *value, DROPPED) }, ALIVE));
        if left == Left::Everything || self.counts.drop_weak() {
            self.free();
        }
    }

    fn drop_weak(&self) {
        if self.counts.drop_weak() {
            self.free();
        }
    }

    fn free(&self) {
        // SAFETY: see `Sync`.
        self.value.with(|value| assert_eq!(unsafe { *value }, DROPPED));
        // SAFETY: see `Sync`.
        self.memory.with_mut(|memory| assert_eq!(unsafe { std::mem::replace(&mut *memory, FREED) }, ALIVE));
    }

    /// The end of the test, after all threads: nothing leaked.
    fn is_freed(&self) -> bool {
        // SAFETY: see `Sync`.
        self.memory.with(|memory| unsafe { *memory } == FREED)
    }
}

/// Runs both at a time, and checks that the block was freed once they are done.
fn meet(block: &Arc<Block>, here: impl FnOnce(&Block), there: impl FnOnce(&Block) + Send + 'static) {
    let other = Arc::clone(block);
    let thread = thread::spawn(move || there(&other));
    here(block);
    thread.join().unwrap();
    assert!(block.is_freed());
}

#[test]
fn the_later_of_two_holders_drops_the_value_after_both_used_it() {
    loom::model(|| {
        let block = Block::new();
        block.counts.add_strong();
        assert_eq!(block.counts.strong(), 2);
        let hold = |block: &Block| {
            block.read();
            block.drop_strong();
        };
        meet(&block, hold, hold);
    });
}

#[test]
fn a_clone_made_meanwhile_keeps_the_value() {
    loom::model(|| {
        let block = Block::new();
        block.counts.add_strong();
        meet(&block, Block::drop_strong, |block| {
            block.counts.add_strong();
            block.drop_strong();
            block.read();
            block.drop_strong();
        });
    });
}

#[test]
fn an_upgrade_finds_the_whole_value_or_none() {
    loom::model(|| {
        let block = Block::new();
        block.counts.add_weak();
        meet(
            &block,
            |block| {
                block.read();
                block.drop_strong();
            },
            |block| {
                if block.counts.revive() {
                    block.read();
                    block.drop_strong();
                }
                block.drop_weak();
            },
        );
    });
}

#[test]
fn a_reference_that_turns_weak_and_back_is_not_overlooked() {
    // What two counts in two words cannot tell from a lone reference, in whatever order they are read.
    loom::model(|| {
        let block = Block::new();
        block.counts.add_strong();
        meet(&block, Block::drop_strong, |block| {
            block.counts.add_weak();
            block.drop_strong();
            let is_alive = block.counts.revive();
            block.drop_weak();
            if is_alive {
                block.read();
                block.drop_strong();
            }
        });
    });
}
