//! The shared buffer under one or more views, with the version that every write raises.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use crate::array::counted::{Counted, WeakCounted};
use crate::array::memory::{self, Block};
use crate::array::writers::{self, Write};
use crate::error::{Kind, Result};
use crate::watch;

/// Buffers up to this many bytes lie inside the storage itself: small tensors cost no second allocation.
pub const INLINE_BYTES: usize = 32;

/// A reference-counted buffer.
#[derive(Clone)]
pub struct Storage(Counted<Inner>);

/// A reference that does not keep the memory alive.
pub(super) struct WeakStorage(WeakCounted<Inner>);

impl WeakStorage {
    pub fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

struct Inner {
    version: AtomicU32,
    /// Who wrote last: a number of `writers`.
    writer: AtomicU16,
    read_only: bool,
    /// How many others use the memory; [`FOR_GOOD`] if nobody counts them.
    shares: AtomicU8,
    bytes: usize,
    memory: Memory,
}

/// As many shares as this never end.
const FOR_GOOD: u8 = u8::MAX;

// See Note [Odd padding] in `dtype.rs`.
#[repr(u64)]
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
        let storage = Self::new(bytes, Memory::Foreign { data, _owner: owner }, read_only);
        storage.0.shares.store(FOR_GOOD, Ordering::Relaxed);
        storage
    }

    #[inline]
    fn new(bytes: usize, memory: Memory, read_only: bool) -> Self {
        Self(Counted::new(|| Inner {
            version: AtomicU32::new(0),
            writer: AtomicU16::new(0),
            read_only,
            shares: AtomicU8::new(0),
            bytes,
            memory,
        }))
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

    /// Records a write by the operation of this name (without the `_` of its in-place form), or by whoever else.
    ///
    /// While places are noted, this thread's is; so the caller may hold no lock.
    #[inline]
    pub fn raise_version(&self, by: &'static str) {
        self.raise_version_under_lock(by);
        if watch::is_on() {
            self.note_write(by);
        }
    }

    /// Notes this thread's place for a write that was just recorded. The caller may hold no lock.
    #[cold]
    pub fn note_write(&self, by: &'static str) {
        writers::note(self, by);
    }

    /// [`Self::raise_version`] for a caller that holds a lock: the place is not noted.
    #[inline]
    pub fn raise_version_under_lock(&self, by: &'static str) {
        self.0.version.fetch_add(1, Ordering::Relaxed);
        self.0.writer.store(writers::number(by), Ordering::Relaxed);
    }

    /// Who wrote last.
    pub fn writer(&self) -> Option<&'static str> {
        writers::name(self.0.writer.load(Ordering::Relaxed))
    }

    /// The first write after `version` whose place was noted.
    pub fn noted_write_after(&self, version: u32) -> Option<Write> {
        writers::first_after(self, version)
    }

    /// Whether others use the memory, too: see Note [Writes behind the graph's back].
    #[inline]
    pub fn is_shared(&self) -> bool {
        // Relaxed: whoever shares memory between threads orders the sharing and the use by other means.
        self.0.shares.load(Ordering::Relaxed) != 0
    }

    /// Counts one who uses the memory, and says whether it is the first.
    pub(super) fn share(&self) -> bool {
        self.change_shares(|shares| shares + 1) == 0
    }

    /// Whether one only uses the memory besides its owner.
    pub(super) fn is_last_share(&self) -> bool {
        self.0.shares.load(Ordering::Relaxed) == 1
    }

    /// The inverse of [`Self::share`].
    pub(super) fn unshare(&self) {
        self.change_shares(|shares| shares.saturating_sub(1));
    }

    fn change_shares(&self, change: impl Fn(u8) -> u8) -> u8 {
        let countable = |shares: u8| (shares != FOR_GOOD).then(|| change(shares));
        self.0
            .shares
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, countable)
            .unwrap_or_else(|shares| shares)
    }

    /// How many references to this buffer there are.
    pub(super) fn holders(&self) -> usize {
        self.0.holders()
    }

    /// A reference that does not keep the memory alive.
    pub(super) fn downgrade(&self) -> WeakStorage {
        WeakStorage(self.0.downgrade())
    }

    /// A number that no other living storage has.
    pub(super) fn address(&self) -> usize {
        self.0.address()
    }

    /// Says how many writes there have been, for who knows better than the count.
    pub fn set_version(&self, version: u32) {
        self.0.version.store(version, Ordering::Relaxed);
    }

    /// Whether both are the same buffer.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    /// Whether no other view holds this buffer, so that its owner may write over it or give it away.
    #[inline]
    pub fn is_unique(&self) -> bool {
        self.0.holders() == 1
    }
}
