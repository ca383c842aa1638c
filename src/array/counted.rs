//! `Counted`: the reference count under tensors, nodes and buffers; what `std::sync::Arc` is, with a cheaper end.

mod counts;

use std::alloc::{Layout, dealloc};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use counts::{Counts, Left};

/// What `counts.rs` needs of the platform; the model checker puts its own in this module's place.
mod sync {
    pub use std::sync::atomic::{AtomicU64, Ordering, fence};
}

/// A value with its counts.
#[repr(C)]
pub(crate) struct Block<T: ?Sized> {
    counts: Counts,
    value: T,
}

/// A shared reference that keeps its value alive, on any thread. See Note [One word for both counts].
pub(crate) struct Counted<T: ?Sized> {
    block: NonNull<Block<T>>,
    /// It may drop a `T`.
    owns: PhantomData<Block<T>>,
}

/// A reference that keeps the value's memory, and not the value.
pub(crate) struct WeakCounted<T: ?Sized>(NonNull<Block<T>>);

// SAFETY: as for `Arc`: references are shared between threads (`Sync`), and the last one drops the value (`Send`).
unsafe impl<T: ?Sized + Send + Sync> Send for Counted<T> {}
// SAFETY: as above, for whoever has a reference to one can clone it.
unsafe impl<T: ?Sized + Send + Sync> Sync for Counted<T> {}
// SAFETY: as above, for it can become a `Counted`.
unsafe impl<T: ?Sized + Send + Sync> Send for WeakCounted<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for WeakCounted<T> {}

impl<T> Counted<T> {
    /// The value that `make` makes, written where it stays.
    ///
    /// It is not built on the stack first and copied out of there: such a copy reads what was only just written piece by piece,
    /// and waits for it. See Note [Odd padding] in `dtype.rs`.
    #[inline(always)]
    #[allow(clippy::inline_always)] // it is only for its callers' sake that it exists
    pub fn new(make: impl FnOnce() -> T) -> Self {
        let mut place = Box::<Block<T>>::new_uninit();
        let block: *mut Block<T> = place.as_mut_ptr();
        // SAFETY: the memory is there for a block. If `make` panics, the box gives it back without dropping anything in it.
        unsafe {
            ptr::addr_of_mut!((*block).counts).write(Counts::one());
            ptr::addr_of_mut!((*block).value).write(make());
        }
        let block: NonNull<MaybeUninit<Block<T>>> = Box::leak(place).into();
        Self { block: block.cast(), owns: PhantomData }
    }

    /// The same reference, of which less is known; `forget` makes a `T` a `U` behind a pointer.
    ///
    /// # Safety
    /// `forget` answers with the pointer that it was given.
    #[inline]
    pub unsafe fn unsize<U: ?Sized>(self, forget: impl FnOnce(*mut Block<T>) -> *mut Block<U>) -> Counted<U> {
        let block = forget(self.block.as_ptr());
        std::mem::forget(self);
        // SAFETY: the caller's promise: it is the pointer of before, which is none to nothing.
        Counted { block: unsafe { NonNull::new_unchecked(block) }, owns: PhantomData }
    }
}

impl<T: ?Sized> Counted<T> {
    #[inline]
    fn block(&self) -> &Block<T> {
        // SAFETY: a strong reference keeps the value alive, and only shared references to it are given.
        unsafe { self.block.as_ref() }
    }

    /// How many strong references there are.
    #[inline]
    pub fn holders(&self) -> usize {
        self.block().counts.strong()
    }

    /// Whether both are references to one value.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        self.address() == other.address()
    }

    /// A number that no other living value has.
    #[inline]
    pub fn address(&self) -> usize {
        self.block.as_ptr().cast::<()>().addr()
    }

    /// A reference that does not keep the value alive.
    #[inline]
    pub fn downgrade(&self) -> WeakCounted<T> {
        self.block().counts.add_weak();
        WeakCounted(self.block)
    }
}

impl<T: ?Sized> Deref for Counted<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.block().value
    }
}

impl<T: ?Sized> Clone for Counted<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.block().counts.add_strong();
        Self { block: self.block, owns: PhantomData }
    }
}

impl<T: ?Sized> Drop for Counted<T> {
    #[inline]
    fn drop(&mut self) {
        let left = self.block().counts.drop_strong();
        if left != Left::Nothing {
            // SAFETY: the counts say that this was the last strong reference, and what of the rest is ours.
            unsafe { end(self.block, left) }
        }
    }
}

/// Drops a value whose last strong reference is gone, and frees its memory unless a weak reference keeps it.
///
/// # Safety
/// `left` was answered for the last strong reference to the block, which is not used again.
#[inline(never)]
unsafe fn end<T: ?Sized>(block: NonNull<Block<T>>, left: Left) {
    // SAFETY: the caller's promise. Until the weak reference of all strong ones is dropped the memory is there.
    unsafe {
        ptr::drop_in_place(ptr::addr_of_mut!((*block.as_ptr()).value));
        if left == Left::Everything || block.as_ref().counts.drop_weak() {
            free(block);
        }
    }
}

/// Gives a block's memory back.
///
/// # Safety
/// The value was dropped, and no reference is left.
unsafe fn free<T: ?Sized>(block: NonNull<Block<T>>) {
    // SAFETY: the caller's promise; the memory was a box's, of this very size.
    unsafe {
        let layout = Layout::for_value(block.as_ref());
        dealloc(block.as_ptr().cast(), layout);
    }
}

impl<T: ?Sized> WeakCounted<T> {
    #[inline]
    fn counts(&self) -> &Counts {
        // SAFETY: a weak reference keeps the memory, and the counts are never dropped. The value, which may be gone, is not
        // part of the reference.
        unsafe { &*ptr::addr_of!((*self.0.as_ptr()).counts) }
    }

    /// Whether the value is gone.
    pub fn is_gone(&self) -> bool {
        self.counts().strong() == 0
    }

    /// A reference that keeps the value alive, if it still lives.
    #[inline]
    pub fn upgrade(&self) -> Option<Counted<T>> {
        self.counts().revive().then(|| Counted { block: self.0, owns: PhantomData })
    }

    /// [`Counted::address`] of the value, be it gone.
    pub fn address(&self) -> usize {
        self.0.as_ptr().cast::<()>().addr()
    }
}

impl<T: ?Sized> Clone for WeakCounted<T> {
    fn clone(&self) -> Self {
        self.counts().add_weak();
        Self(self.0)
    }
}

impl<T: ?Sized> Drop for WeakCounted<T> {
    fn drop(&mut self) {
        if self.counts().drop_weak() {
            // SAFETY: the counts say that no reference is left; the last strong one dropped the value.
            unsafe { free(self.0) }
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Counts its drops.
    struct Noted<'a>(&'a AtomicUsize);

    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    trait Number {
        fn number(&self) -> u64;
    }

    /// More than a word, and of an alignment of its own.
    #[repr(align(64))]
    struct Wide([u64; 5]);

    impl Number for Wide {
        fn number(&self) -> u64 {
            self.0.iter().sum()
        }
    }

    #[test]
    fn a_value_of_unknown_type_is_read_and_freed_as_it_was_made() {
        let wide = Counted::new(|| Wide([1, 2, 3, 4, 5]));
        let address = wide.address();
        // SAFETY: the pointer stays the same.
        let number: Counted<dyn Number> = unsafe { wide.unsize(|block| block as *mut _) };
        assert_eq!((number.address(), ptr::from_ref(&*number).addr() % 64), (address, 0));
        let weak = number.downgrade();
        assert_eq!(weak.upgrade().map(|number| number.number()), Some(15));
        drop(number);
        assert!(weak.is_gone() && weak.upgrade().is_none());
    }

    #[test]
    fn a_value_that_panics_while_it_is_made_leaves_nothing() {
        let drops = AtomicUsize::new(0);
        let made = catch_unwind(AssertUnwindSafe(|| {
            Counted::new(|| {
                let noted = Noted(&drops);
                assert!(drops.load(Ordering::Relaxed) > 0, "not made");
                noted
            })
        }));
        assert!(made.is_err());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// References of both kinds, made from and dropped in any order, against a list of them.
        #[test]
        fn a_value_lives_as_long_as_a_strong_reference(steps in prop::collection::vec((0..6_u8, any::<prop::sample::Index>()), 0..40)) {
            let drops = AtomicUsize::new(0);
            let mut strong = vec![Counted::new(|| Noted(&drops))];
            let mut weak: Vec<WeakCounted<Noted<'_>>> = Vec::new();
            for (step, index) in steps {
                match step {
                    0 if !strong.is_empty() => strong.push(index.get(&strong).clone()),
                    1 if !strong.is_empty() => weak.push(index.get(&strong).downgrade()),
                    2 if !weak.is_empty() => weak.push(index.get(&weak).clone()),
                    3 if !weak.is_empty() => strong.extend(index.get(&weak).upgrade()),
                    4 if !strong.is_empty() => drop(strong.swap_remove(index.index(strong.len()))),
                    5 if !weak.is_empty() => drop(weak.swap_remove(index.index(weak.len()))),
                    _ => {}
                }
                prop_assert_eq!(drops.load(Ordering::Relaxed), usize::from(strong.is_empty()));
                for reference in &strong {
                    prop_assert_eq!(reference.holders(), strong.len());
                }
                for reference in &weak {
                    prop_assert_eq!(reference.is_gone(), strong.is_empty());
                }
            }
        }
    }
}
