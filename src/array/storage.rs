//! The shared buffer under one or more views, with the version that every write raises.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::array::memory::{self, Block};
use crate::error::{Kind, Result};

/// Buffers up to this many bytes lie inside the storage itself: small tensors cost no second allocation.
pub const INLINE_BYTES: usize = 32;

/// A reference-counted buffer.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    version: AtomicU32,
    read_only: bool,
    bytes: usize,
    memory: Memory,
}

enum Memory {
    Inline(UnsafeCell<[u64; INLINE_BYTES / 8]>),
    Block(Block),
    /// Memory that somebody else owns, alive as long as the owner is held.
    Foreign {
        data: NonNull<u8>,
        _owner: Box<dyn Any + Send + Sync>,
    },
}

// SAFETY: the buffer is plain memory. Who may write when is Note [Writes to shared storage] in docs/engine.md: as in
// every tensor library, two threads that write one buffer without synchronising get unspecified numbers.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Storage {
    /// An uninitialised buffer.
    #[inline]
    pub fn allocate(bytes: usize) -> Result<Self> {
        let memory = if bytes <= INLINE_BYTES {
            Memory::Inline(UnsafeCell::new([0; INLINE_BYTES / 8]))
        } else {
            Memory::Block(memory::allocate(bytes).map_err(|_| Kind::OutOfMemory { bytes })?)
        };
        Ok(Self::new(bytes, memory, false))
    }

    /// A buffer of zeros.
    pub fn zeroed(bytes: usize) -> Result<Self> {
        if bytes <= INLINE_BYTES {
            return Self::allocate(bytes);
        }
        let block = memory::allocate_zeroed(bytes).map_err(|_| Kind::OutOfMemory { bytes })?;
        Ok(Self::new(bytes, Memory::Block(block), false))
    }

    /// A window on memory that `owner` keeps alive.
    ///
    /// # Safety
    /// `data..data + bytes` must stay valid for reads, and unless `read_only` for writes, as long as `owner` lives.
    pub unsafe fn foreign(
        data: NonNull<u8>,
        bytes: usize,
        read_only: bool,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self::new(bytes, Memory::Foreign { data, _owner: owner }, read_only)
    }

    #[inline]
    fn new(bytes: usize, memory: Memory, read_only: bool) -> Self {
        Self(Arc::new(Inner { version: AtomicU32::new(0), read_only, bytes, memory }))
    }

    /// The first byte. Valid as long as this storage lives.
    #[inline]
    pub fn pointer(&self) -> *mut u8 {
        match &self.0.memory {
            Memory::Inline(cell) => cell.get().cast(),
            Memory::Block(block) => block.start().as_ptr(),
            Memory::Foreign { data, .. } => data.as_ptr(),
        }
    }

    /// Its length.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    /// How many writes there have been.
    #[inline]
    pub fn version(&self) -> u32 {
        // Relaxed: a version is compared on the thread that ordered the write and the read by other means.
        self.0.version.load(Ordering::Relaxed)
    }

    /// Records a write.
    #[inline]
    pub fn raise_version(&self) {
        self.0.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Says how many writes there have been, for who knows better than the count.
    pub fn set_version(&self, version: u32) {
        self.0.version.store(version, Ordering::Relaxed);
    }

    /// Whether both are the same buffer.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether no other view holds this buffer, so that its owner may write over it or give it away.
    #[inline]
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
