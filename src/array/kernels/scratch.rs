//! Memory that tasks share, and memory that a thread keeps for its next task.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::array::kernels::product::Product;
use crate::array::memory::{self, AllocError, Block};

/// A buffer whose tasks write to places of their own.
pub struct Shared<T>(pub *mut T);

// SAFETY: each task writes to places that no other task touches; the methods' callers promise so.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// A place in the buffer.
    ///
    /// # Safety
    /// The place lies in the buffer.
    pub unsafe fn at(&self, place: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(place) }
    }

    /// A window of the buffer.
    ///
    /// # Safety
    /// The window lies in the buffer and no other live slice covers any of it.
    #[allow(
        clippy::mut_from_ref,
        reason = "windows of different tasks are disjoint, by the caller's promise"
    )]
    pub unsafe fn slice(&self, start: usize, length: usize) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
    }
}

/// A list in memory of the cache: a vector of some hundred kilobytes goes back to the system each time, and its fresh pages
/// cost more than what is done with them.
pub struct Cached<T> {
    block: Block,
    length: usize,
    of: PhantomData<T>,
}

impl<T: Copy> Cached<T> {
    /// So many copies of a value.
    ///
    /// # Panics
    ///
    /// When there is no memory for them; the panic reaches the caller of the operation as an error.
    pub fn filled(value: T, length: usize) -> Self {
        const { assert!(align_of::<T>() <= memory::ALIGNMENT) };
        let bytes = length.saturating_mul(size_of::<T>());
        let block = memory::allocate(bytes).unwrap_or_else(|error| panic!("{error}"));
        let start = block.start().as_ptr().cast::<T>();
        // SAFETY: the block has room for so many, aligned.
        (0..length).for_each(|i| unsafe { start.add(i).write(value) });
        Self { block, length, of: PhantomData }
    }
}

impl<T> Deref for Cached<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the block holds so many, written when it was made.
        unsafe { std::slice::from_raw_parts(self.block.start().as_ptr().cast(), self.length) }
    }
}

impl<T> DerefMut for Cached<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the block is this list's own.
        unsafe { std::slice::from_raw_parts_mut(self.block.start().as_ptr().cast(), self.length) }
    }
}

/// The unit of a thread's memory, a line of the cache: no register of numbers at its beginning straddles two.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as the numbers that a task keeps there")] [u64; 8]);

thread_local! {
    static KEPT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Bytes that a thread keeps for its next task; what is longer goes back to the system.
const KEPT_BYTES: usize = 32 << 20;

/// Calls `body` with `length` elements of any value, which begin a line of the cache and are kept for the next call unless
/// they are many.
///
/// # Panics
///
/// When there is no memory for them; the panic reaches the caller of the operation as an error.
pub fn with_scratch<T: Product, R>(length: usize, body: impl FnOnce(&mut [T]) -> R) -> R {
    const { assert!(align_of::<T>() <= align_of::<Line>()) };
    let mut lines = KEPT.take();
    let needed = length.saturating_mul(size_of::<T>()).div_ceil(size_of::<Line>());
    if let Some(more) = needed.checked_sub(lines.len()) {
        lines
            .try_reserve_exact(more)
            .unwrap_or_else(|_| panic!("{}", AllocError { bytes: needed.saturating_mul(size_of::<Line>()) }));
        lines.resize(needed, Line([0; 8]));
    }
    // SAFETY: the lines hold at least `length` elements, aligned, and every bit pattern is a number.
    let elements = unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<T>(), length) };
    let answer = body(elements);
    if size_of_val(&lines[..]) <= KEPT_BYTES {
        KEPT.set(lines);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cannot allocate")]
    fn scratch_that_cannot_be_had_is_refused_in_words() {
        with_scratch(usize::MAX, |_: &mut [f32]| ());
    }

    #[test]
    fn scratch_is_kept_unless_it_is_large() {
        let kept = || {
            let words = KEPT.take();
            let bytes = size_of_val(&words[..]);
            KEPT.set(words);
            bytes
        };
        with_scratch(1000, |_: &mut [f64]| ());
        assert_eq!(kept(), 8000);
        with_scratch(10, |_: &mut [f64]| ());
        assert_eq!(kept(), 8000);
        with_scratch(KEPT_BYTES / 8 + 1, |_: &mut [f64]| ());
        assert_eq!(kept(), 0);
    }
}
