//! Blocks of memory (the caching version is on its way).
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// A block.
pub struct Block {
    pointer: NonNull<u8>,
    layout: Layout,
}
/// No memory.
#[derive(Debug)]
pub struct AllocError;
impl Block {
    /// first byte
    pub fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }
}
// SAFETY: plain memory
unsafe impl Send for Block {}
// SAFETY: plain memory
unsafe impl Sync for Block {}
impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) }
    }
}
/// uninit
pub fn allocate(bytes: usize) -> Result<Block, AllocError> {
    make(bytes, false)
}
/// zeros
pub fn allocate_zeroed(bytes: usize) -> Result<Block, AllocError> {
    make(bytes, true)
}
fn make(bytes: usize, zero: bool) -> Result<Block, AllocError> {
    let layout = Layout::from_size_align(bytes.max(1), 64).map_err(|_| AllocError)?;
    // SAFETY: size is not zero
    let p = unsafe { if zero { alloc_zeroed(layout) } else { alloc(layout) } };
    NonNull::new(p).map(|pointer| Block { pointer, layout }).ok_or(AllocError)
}
