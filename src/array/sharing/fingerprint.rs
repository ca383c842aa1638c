//! A hash of what lies in memory, taken at the memory's speed: whether it is what lay there before.
//!
//! Where the processor has instructions for AES, one of its rounds takes in sixteen bytes at a time; elsewhere a product
//! takes in eight. A fingerprint is never kept beyond the process, so the two need not agree.

use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::walk::each_run;
use crate::array::{Array, Dims, Layout, pool};

/// An odd number without pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that differs, but for one chance in 2⁶⁴, when the elements do.
pub(crate) fn fingerprint(x: &Array) -> u64 {
    let size = x.dtype().size();
    if x.is_contiguous() {
        // SAFETY: the elements of `x`. Who else may write meanwhile is Note [Writes to shared storage].
        return shared_out(unsafe { slice::from_raw_parts(x.pointer(), x.numel() * size) });
    }
    let mut hash = 0;
    // Repeated elements are looked at once.
    let shape: Dims =
        x.shape().iter().zip(x.strides()).map(|(&n, &s)| if s == 0 { n.min(1) } else { n }).collect();
    let once = Layout::strided(&shape, x.strides()).map(|layout| x.view_with(layout, x.offset()));
    each_run(once.as_ref().unwrap_or(x), |first, step, n| {
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

/// Bytes that one thread looks through at a time.
const CHUNK: usize = 1 << 16;

/// [`mix`], the chunks shared out among threads.
fn shared_out(bytes: &[u8]) -> u64 {
    if bytes.len() < 4 * CHUNK {
        return mix(0, bytes);
    }
    let hashes: Vec<AtomicU64> = bytes.chunks(CHUNK).map(|_| AtomicU64::new(0)).collect();
    pool::for_each(hashes.len(), &|i| {
        let chunk = &bytes[i * CHUNK..bytes.len().min((i + 1) * CHUNK)];
        // Relaxed: the end of the call orders the writes before the reads.
        hashes[i].store(mix(i as u64, chunk), Ordering::Relaxed);
    });
    hashes.into_iter().fold(bytes.len() as u64, |hash, chunk| step(hash, chunk.into_inner()))
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
pub(super) fn mix(seed: u64, bytes: &[u8]) -> u64 {
    if bytes.len() < LONG {
        return short(seed, bytes);
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("aes") {
        // SAFETY: the processor has just been asked.
        return unsafe { encrypted(seed, bytes) };
    }
    leveled(&Long { seed, bytes }, 0)
}

/// Rounds of AES that go on side by side: as many as are under way at once.
#[cfg(target_arch = "x86_64")]
const STREAMS: usize = 8;

/// [`mix`] by rounds of AES: each can be undone, so that one changed word always shows, and spreads a changed byte to
/// four, the next one to sixteen.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes")]
fn encrypted(seed: u64, bytes: &[u8]) -> u64 {
    use std::arch::x86_64::{_mm_aesenc_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_unpackhi_epi64};
    let (blocks, rest) = bytes.as_chunks::<{ 16 * STREAMS }>();
    let mut streams = [_mm_set_epi64x(0, 0); STREAMS];
    for (j, stream) in streams.iter_mut().enumerate() {
        *stream = _mm_set_epi64x(FACTOR as i64, seed.wrapping_add(j as u64) as i64);
    }
    for block in blocks {
        let words = block.as_chunks::<8>().0;
        for (j, stream) in streams.iter_mut().enumerate() {
            let [low, high] = [2 * j, 2 * j + 1].map(|word| i64::from_le_bytes(words[word]));
            *stream = _mm_aesenc_si128(*stream, _mm_set_epi64x(high, low));
        }
    }
    let key = _mm_set_epi64x(1, FACTOR as i64);
    let mut hash = bytes.len() as u64;
    for stream in streams {
        let spread = _mm_aesenc_si128(_mm_aesenc_si128(stream, key), key);
        hash = step(hash, _mm_cvtsi128_si64(spread) as u64);
        hash = step(hash, _mm_cvtsi128_si64(_mm_unpackhi_epi64(spread, spread)) as u64);
    }
    short(hash, rest)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Hash = fn(u64, &[u8]) -> u64;

    /// Every way to take a fingerprint that this machine has.
    fn ways() -> Vec<(&'static str, Hash)> {
        let mut ways: Vec<(&str, Hash)> =
            vec![("short", short), ("long", |seed, bytes| leveled(&Long { seed, bytes }, 0)), ("mix", mix)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("aes") {
            // SAFETY: the processor has just been asked.
            ways.push(("encrypted", |seed, bytes| unsafe { encrypted(seed, bytes) }));
        }
        ways.push(("shared out", |_, bytes| shared_out(bytes)));
        ways
    }

    /// Numbers as they come: zeros, ones, small steps.
    fn numbers(kind: u8, n: usize) -> Vec<u8> {
        let number = |i: usize| match kind {
            0 => 0.0,
            1 => 1.0,
            _ => (i as f32).sin(),
        };
        (0..n).flat_map(|i| number(i).to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn one_changed_byte_always_shows(
            kind in 0u8..3, n in 1usize..3000, place in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            let before = numbers(kind, n);
            let mut after = before.clone();
            after[place.index(4 * n)] ^= flip;
            for (name, way) in ways() {
                prop_assert_ne!(way(0, &before), way(0, &after), "{}", name);
            }
        }

        #[test]
        fn two_changed_signs_show(
            kind in 1u8..3, n in 2usize..3000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        ) {
            let (a, b) = (a.index(n), b.index(n));
            prop_assume!(a != b);
            let before = numbers(kind, n);
            let mut after = before.clone();
            after[4 * a + 3] ^= 0x80;
            after[4 * b + 3] ^= 0x80;
            for (name, way) in ways() {
                prop_assert_ne!(way(0, &before), way(0, &after), "{}", name);
            }
        }

        #[test]
        fn two_numbers_that_changed_places_show(
            n in 2usize..3000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        ) {
            let (a, b) = (a.index(n), b.index(n));
            prop_assume!(a != b);
            let before = numbers(2, n);
            let mut after = before.clone();
            for i in 0..4 {
                after.swap(4 * a + i, 4 * b + i);
            }
            prop_assume!(before != after);
            for (name, way) in ways() {
                prop_assert_ne!(way(0, &before), way(0, &after), "{}", name);
            }
        }
    }

    #[test]
    fn signs_of_any_two_numbers_a_few_blocks_apart_show() {
        let before = numbers(2, 512);
        for (name, way) in ways() {
            let plain = way(0, &before);
            for a in 0..128 {
                for b in a + 1..512 {
                    let mut after = before.clone();
                    after[4 * a + 3] ^= 0x80;
                    after[4 * b + 3] ^= 0x80;
                    assert_ne!(way(0, &after), plain, "{name}: {a} and {b}");
                }
            }
        }
    }

    #[test]
    fn a_change_in_any_chunk_shows() {
        let before = numbers(2, 5 * CHUNK / 4 + 3);
        let plain = shared_out(&before);
        for place in (0..before.len()).step_by(CHUNK / 3).chain([before.len() - 1]) {
            let mut after = before.clone();
            after[place] ^= 1;
            assert_ne!(shared_out(&after), plain, "byte {place}");
        }
    }
}
