//! Blocks from the system and back to it, and how much of them there is.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use super::ALIGNMENT;
use super::class::Class;

/// A page of the large kind, which most systems on most machines have in this size.
const HUGE_PAGE: usize = 2 << 20;

/// Where an empty block starts.
pub const DANGLING: NonNull<u8> =
    NonNull::without_provenance(std::num::NonZeroUsize::new(ALIGNMENT).unwrap());

/// None for a class that cannot be laid out.
fn layout(class: Class) -> Option<Layout> {
    // A block of at least a huge page begins with one, or the system could not use them for its ends.
    let align = if class.bytes() < HUGE_PAGE { ALIGNMENT } else { HUGE_PAGE };
    Layout::from_size_align(class.bytes(), align).ok()
}

/// A block of a class that is not empty; none when the system refuses.
#[cold]
pub fn take(class: Class) -> Option<NonNull<u8>> {
    let layout = layout(class)?;
    debug_assert!(layout.size() > 0);
    // SAFETY: the layout is not empty.
    let start = NonNull::new(unsafe { alloc(layout) })?;
    advise_huge_pages(start, layout.size());
    Some(start)
}

/// Gives a block back.
///
/// # Safety
///
/// `start` comes from [`take`] with the same class, and is not used any more.
#[cold]
pub unsafe fn put(start: NonNull<u8>, class: Class) {
    if let Some(layout) = layout(class) {
        // SAFETY: the caller's word.
        unsafe { dealloc(start.as_ptr(), layout) };
    }
}

/// A page fault for each 2 MiB in place of one for each 4 KiB: most of what fresh memory costs.
#[cfg(target_os = "linux")]
fn advise_huge_pages(start: NonNull<u8>, bytes: usize) {
    let whole = bytes - bytes % HUGE_PAGE;
    if whole > 0 {
        // SAFETY: the range is inside one allocation, begins with a page, and the advice changes no contents.
        // What it answers does not matter: a system without huge pages goes without.
        unsafe { libc::madvise(start.as_ptr().cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_start: NonNull<u8>, _bytes: usize) {}

/// The machine's memory in bytes; none where the system does not say.
#[cfg(unix)]
pub fn physical_bytes() -> Option<usize> {
    // SAFETY: no pointers, no preconditions.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    usize::try_from(pages).ok()?.checked_mul(usize::try_from(page).ok()?)
}

#[cfg(not(unix))]
pub fn physical_bytes() -> Option<usize> {
    None
}
