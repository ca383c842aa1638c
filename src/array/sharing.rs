//! Memory that others write to as well: writes that raise no version are found by comparing what is there.
//!
//! Note [Writes behind the graph's back]: a NumPy array over a tensor's memory is written without a word to us. So while a
//! storage is shared, whatever is saved from it is saved with its fingerprint, which is compared when it is unpacked. What
//! was saved before the memory was first shared had none taken; for it the fingerprints of all blocks of the storage are
//! taken when it is shared, and of those that the saved value touches are compared. When the last array over the memory
//! goes and nothing has changed, the storage is its owner's alone again and costs nothing. Memory that came from outside is
//! shared for good. A storage that was never shared pays one byte read for each saved value.

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;

use crate::array::fork::ProcessLock;
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::tile;
use crate::array::storage::{Storage, WeakStorage};
use crate::array::{Array, Layout};

/// An odd number without pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that differs, but for one chance in 2⁶⁴, when the elements do.
pub(crate) fn fingerprint(x: &Array) -> u64 {
    let size = x.dtype().size();
    if x.is_contiguous() {
        // SAFETY: the elements of `x`. Who else may write meanwhile is Note [Writes to shared storage].
        return mix(0, unsafe { slice::from_raw_parts(x.pointer(), x.numel() * size) });
    }
    let mut hash = 0;
    // Repeated elements are looked at once.
    let shape = x.shape().iter().zip(x.strides()).map(|(&n, &s)| if s == 0 { n.min(1) } else { n }).collect();
    let once = Layout::strided(shape, x.strides().into()).map(|layout| x.view_with(layout, x.offset()));
    tile::each_run(once.as_ref().unwrap_or(x), |first, step, n| {
        if step == 1 || n == 1 {
            // SAFETY: a run of elements of `x`; other writers as above.
            hash = mix(hash, unsafe { slice::from_raw_parts(first, n * size) });
        } else {
            for i in 0..n as isize {
                // SAFETY: as above, element by element.
                let one = unsafe { slice::from_raw_parts(first.offset(i * step * size as isize), size) };
                hash = mix(hash, one);
            }
        }
    });
    hash
}

/// One more word in a hash. It can be undone, so that one changed word always shows; the rotation brings high bits, such as
/// signs, down to where the next product spreads them.
#[inline(always)]
const fn step(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(FACTOR).rotate_left(29)
}

/// Words that are hashed side by side in long runs: four AVX-512 registers, so that products overlap.
const LANES: usize = 32;

/// Runs of fewer bytes do not repay that many lanes.
const LONG: usize = 16 * 8 * LANES;

struct Long<'a> {
    seed: u64,
    bytes: &'a [u8],
}

impl Task for Long<'_> {
    type Answer = u64;
    #[inline(always)]
    fn run(&self, _: usize) -> u64 {
        let (blocks, rest) = self.bytes.as_chunks::<{ 8 * LANES }>();
        let mut lanes: [u64; LANES] = std::array::from_fn(|j| self.seed.wrapping_add(j as u64));
        for block in blocks {
            let words = block.as_chunks::<8>().0;
            for j in 0..LANES {
                lanes[j] = step(lanes[j], u64::from_le_bytes(words[j]));
            }
        }
        short(lanes.into_iter().fold(self.bytes.len() as u64, step), rest)
    }
}

/// Continues a hash over these bytes.
fn mix(seed: u64, bytes: &[u8]) -> u64 {
    if bytes.len() < LONG { short(seed, bytes) } else { leveled(&Long { seed, bytes }, 0) }
}

/// [`mix`] four words at a time, for the processor to overlap.
fn short(seed: u64, bytes: &[u8]) -> u64 {
    let (fours, rest) = bytes.as_chunks::<32>();
    let mut lanes = [seed, 1, 2, 3];
    for four in fours {
        for (lane, word) in lanes.iter_mut().zip(four.as_chunks::<8>().0) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    let mut hash = lanes.into_iter().fold(bytes.len() as u64, step);
    for word in rest.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        hash = step(hash, u64::from_le_bytes(padded));
    }
    hash
}

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
    tile::each_run(x, |first, step, n| {
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
