//! Counted references whose value is written where it stays.

use std::sync::Arc;

/// As `Arc::new(make())`, without building the value on the stack first and copying it out of there: such a copy reads
/// what was only just written piece by piece, and waits for it. See Note [Odd padding] in `dtype.rs`.
#[inline(always)]
#[allow(clippy::inline_always)] // it is only for its callers' sake that it exists
pub(crate) fn arc<T>(make: impl FnOnce() -> T) -> Arc<T> {
    let place = Arc::<T>::new_uninit();
    // SAFETY: nobody else knows of the memory yet, and it is as large and aligned as a `T` needs. If `make` panics, it is
    // given back without anything in it being dropped.
    unsafe {
        Arc::as_ptr(&place).cast_mut().cast::<T>().write(make());
        place.assume_init()
    }
}
