//! Memory that others write to as well: writes that raise no version are found by comparing what is there.
//!
//! Note [Writes behind the graph's back]: a NumPy array over a tensor's memory is written without a word to us. So while a
//! storage is shared, whatever is saved from it is saved with its fingerprint, which is compared when it is unpacked. What
//! was saved before the memory was first shared had none taken; for it the fingerprints of all blocks of the storage are
//! taken when it is shared, and of those that the saved value touches are compared. When the last array over the memory
//! goes and nothing has changed, the storage is its owner's alone again and costs nothing. Memory that came from outside is
//! shared for good. A storage that was never shared pays one byte read for each saved value.

mod fingerprint;

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;

use crate::array::Array;
use crate::array::fork::ProcessLock;
use crate::array::kernels::walk::each_run;
use crate::array::storage::{Storage, WeakStorage};

pub(crate) use fingerprint::fingerprint;
use fingerprint::mix;

/// Storages up to this many bytes are told apart element by element, larger ones in coarser blocks.
const FINE: usize = 4096;

/// What was in a storage when it was first shared.
struct Snapshot {
    /// Keeps the storage's address taken.
    storage: WeakStorage,
    version: u32,
    block: usize,
    blocks: Arc<[u64]>,
}

static SNAPSHOTS: ProcessLock<Option<HashMap<usize, Snapshot>>> = ProcessLock::new(None);

fn blocks(storage: &Storage, block: usize) -> Arc<[u64]> {
    // SAFETY: the storage's own bytes; other writers as above.
    let bytes = unsafe { slice::from_raw_parts(storage.pointer(), storage.bytes()) };
    bytes.chunks(block).map(|bytes| mix(0, bytes)).collect()
}

/// The blocks of now and of when the storage was shared, if nobody wrote openly since.
fn compared(storage: &Storage) -> Option<(usize, Arc<[u64]>, Arc<[u64]>)> {
    let (block, before) = {
        let snapshots = SNAPSHOTS.lock();
        let taken = snapshots.as_ref()?.get(&storage.address())?;
        if taken.version != storage.version() {
            return None;
        }
        (taken.block, taken.blocks.clone())
    };
    Some((block, blocks(storage, block), before))
}

/// Whether elements of `x`, saved before its memory was shared, were written to unseen.
pub(crate) fn is_changed(x: &Array) -> bool {
    let Some((block, now, before)) = compared(x.storage()) else { return false };
    if now == before {
        return false;
    }
    let (start, size) = (x.storage().pointer().addr(), x.dtype().size());
    let mut changed = false;
    each_run(x, |first, step, n| {
        for i in 0..n as isize {
            let place = (first.addr() - start).wrapping_add_signed(i * step * size as isize);
            changed |= (place / block..=(place + size - 1) / block).any(|block| now[block] != before[block]);
        }
    });
    changed
}

/// An array whose memory others use, for as long as this lives.
pub struct Shared(Array);

impl Shared {
    /// Shares the memory of `array`. `holders` says how many references to its storage the caller knows of, `array` being
    /// one: if there are more, one of them may be a saved value.
    pub fn new(array: Array, holders: usize) -> Self {
        let storage = array.storage();
        if storage.share() && storage.holders() > holders {
            let block = if storage.bytes() <= FINE { 4 } else { 256 };
            let blocks = blocks(storage, block);
            let taken = Snapshot { storage: storage.downgrade(), version: storage.version(), block, blocks };
            let mut snapshots = SNAPSHOTS.lock();
            let snapshots = snapshots.get_or_insert_default();
            if snapshots.len() == snapshots.capacity() {
                snapshots.retain(|_, taken| !taken.storage.is_gone());
            }
            snapshots.insert(storage.address(), taken);
        }
        Self(array)
    }

    /// The array.
    pub fn array(&self) -> &Array {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let storage = self.0.storage();
        if !storage.is_last_share() {
            storage.unshare();
            return;
        }
        if compared(storage).is_none_or(|(_, now, before)| now == before) {
            if let Some(snapshots) = &mut *SNAPSHOTS.lock() {
                snapshots.remove(&storage.address());
            }
            storage.unshare();
        }
    }
}
