//! Results that are computed aside, a short piece at a time, before they go where they are to lie: since an input lies there,
//! or since they are to go past the caches.
//!
//! Note [Past the caches]: a line of memory that is written is read first, unless it is written past the caches and whole.
//! Where one call touches more than a cache holds, what it writes has left the cache before anyone can read it there; then
//! writing past it saves that reading, a third of what a function of one operand moves. The pieces are so short that the
//! next one's loads are on their way while one goes out: of 64 to 256 numbers they take the same time where a function is
//! cheap, and the longest have the fewest calls where it is not; with 1024 half of the gain is gone, with 4096 all of it.
//! The bits are the same.

use std::mem::MaybeUninit;

use crate::array::kernels::tile::{MAX_INPUTS, TILE, Tile};

/// What a core's last cache holds, in bytes: as much as an eight-core complex of Zen shares, and no less than most others.
const CACHE: usize = 32 << 20;

/// Elements in a piece that goes past the caches.
const SHORT: usize = 256;

/// Bytes in a line of the cache.
const LINE: usize = 64;

/// How a tile's results reach their place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The tile writes them there.
    Straight,
    /// Through a piece, since an input lies there.
    Aside,
    /// Through a piece, and past the caches.
    PastCache,
}

/// Whether a call that reads and writes so many bytes should write past the caches.
pub fn past_cache_pays(bytes: usize) -> bool {
    cfg!(target_arch = "x86_64") && bytes > CACHE
}

/// Room for a piece of the widest elements.
#[repr(align(64))]
struct Piece([MaybeUninit<u8>; TILE * size_of::<u64>()]);

/// A tile whose results reach their place in one of these ways.
pub struct Staged {
    /// The tile itself.
    pub tile: Tile,
    /// Bytes from an element of each input to the next: none where a number is spread.
    pub widths: [usize; MAX_INPUTS],
    /// Elements that the tile may be given at once: those over which numbers are spread.
    pub most: usize,
    /// Bytes in an element of the result.
    pub result_width: usize,
    /// How the results reach their place.
    pub way: Way,
}

impl Staged {
    /// Computes `n` elements, for this thread to read, and for others after [`settle`](Staged::settle).
    ///
    /// # Safety
    /// As for a tile; but an input may have each element where the output has the same one, if the way is [`Way::Aside`],
    /// and one that does not go on is read `most` elements on at most.
    #[inline]
    pub unsafe fn run(&self, inputs: &[*const u8; MAX_INPUTS], output: *mut u8, n: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.way {
                Way::Straight => self.straight(inputs, output, n),
                Way::Aside => self.in_pieces(inputs, output, n, TILE, TILE, |piece, to, bytes| {
                    std::ptr::copy_nonoverlapping(piece, to, bytes);
                }),
                Way::PastCache => {
                    // After a first piece that ends with a line, every whole one begins with one.
                    let first = output.align_offset(LINE).div_ceil(self.result_width);
                    self.in_pieces(inputs, output, n, first, SHORT, |piece, to, bytes| {
                        copy_past_cache(piece, to, bytes);
                    });
                }
            }
        }
    }

    /// Computes all of them where they belong.
    ///
    /// # Safety
    /// As for [`run`](Staged::run), and no input lies there.
    #[inline]
    unsafe fn straight(&self, inputs: &[*const u8; MAX_INPUTS], output: *mut u8, n: usize) {
        let mut at = 0;
        while at < n {
            let count = self.most.min(n - at);
            // SAFETY: elements of the caller's.
            unsafe {
                (self.tile)(&self.inputs_at(inputs, at), output.wrapping_add(at * self.result_width), count)
            };
            at += count;
        }
    }

    /// Where the inputs are after so many elements.
    #[inline]
    fn inputs_at(&self, inputs: &[*const u8; MAX_INPUTS], at: usize) -> [*const u8; MAX_INPUTS] {
        std::array::from_fn(|i| inputs[i].wrapping_add(at * self.widths[i]))
    }

    /// Computes pieces of `first` elements and then of `length`, and gives each to `copy`.
    ///
    /// # Safety
    /// As for [`run`](Staged::run); and no piece is longer than [`TILE`].
    #[inline]
    unsafe fn in_pieces(
        &self,
        inputs: &[*const u8; MAX_INPUTS],
        output: *mut u8,
        n: usize,
        first: usize,
        length: usize,
        copy: impl Fn(*const u8, *mut u8, usize),
    ) {
        let mut piece = Piece([MaybeUninit::uninit(); _]);
        let piece = piece.0.as_mut_ptr().cast::<u8>();
        let mut count = first.min(self.most).min(n);
        let mut at = 0;
        while at < n {
            // SAFETY: elements of the caller's; a piece has room for `count`, and nobody else has it.
            unsafe { (self.tile)(&self.inputs_at(inputs, at), piece, count) };
            copy(piece, output.wrapping_add(at * self.result_width), count * self.result_width);
            at += count;
            count = length.min(self.most).min(n - at);
        }
    }

    /// Lets other threads read what this one wrote, once they see what it writes next.
    pub fn settle(&self) {
        if self.way == Way::PastCache {
            settle();
        }
    }
}

/// Makes what this thread wrote past the caches visible before whatever it writes next.
pub fn settle() {
    // SAFETY: every x86-64 machine has it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Copies, whole lines of the target past the caches and what is before and after them as ever.
///
/// Who lets another thread read the target calls [`settle`] before.
///
/// # Safety
/// So many bytes are there to be read, and so many apart from them to be written.
pub unsafe fn copy_past_cache(from: *const u8, to: *mut u8, bytes: usize) {
    let before = to.align_offset(LINE).min(bytes);
    let lines = (bytes - before) / LINE;
    let after = before + lines * LINE;
    // SAFETY: the caller's promise; lines begin where the target's do.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, before);
        copy_lines(from.add(before), to.add(before), lines);
        std::ptr::copy_nonoverlapping(from.add(after), to.add(after), bytes - after);
    }
}

/// # Safety
/// Both sides have so many lines and are apart, and `to` begins with one.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_lines(from: *const u8, to: *mut u8, lines: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};

    use crate::array::kernels::isa;

    /// # Safety
    /// As for `copy_lines`, and the machine has AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn in_one_store(from: *const u8, to: *mut u8, lines: usize) {
        use std::arch::x86_64::{_mm512_loadu_si512, _mm512_stream_si512};
        for at in (0..lines * LINE).step_by(LINE) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_stream_si512(to.add(at).cast(), _mm512_loadu_si512(from.add(at).cast())) };
        }
    }

    if isa::level() == 2 {
        // SAFETY: the caller's promise; the processor was asked.
        return unsafe { in_one_store(from, to, lines) };
    }
    for at in (0..lines * LINE).step_by(size_of::<__m128i>()) {
        // SAFETY: the caller's promise; every x86-64 machine has these.
        unsafe { _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast())) };
    }
}

/// # Safety
/// Both sides have so many lines and are apart, and `to` begins with one.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_lines(from: *const u8, to: *mut u8, lines: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from, to, lines * LINE) };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tile of `2 x + 1`.
    unsafe fn tile(inputs: &[*const u8; MAX_INPUTS], output: *mut u8, n: usize) {
        let (x, y) = (inputs[0].cast::<f32>(), output.cast::<f32>());
        for i in 0..n {
            // SAFETY: by the contract of `Tile`.
            unsafe { y.add(i).write(2.0 * x.add(i).read() + 1.0) };
        }
    }

    fn staged(way: Way) -> Staged {
        Staged { tile, widths: [4; MAX_INPUTS], most: usize::MAX, result_width: 4, way }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_way_writes_the_tiles_results_and_nothing_beside_them(n in 0..1500_usize, from in 0..20_usize, to in 0..20_usize) {
            let x: Vec<f32> = (0_u16..1600).map(f32::from).collect();
            for way in [Way::Straight, Way::Aside, Way::PastCache] {
                let staged = staged(way);
                let mut y = vec![-1.0_f32; 1600];
                let mut inputs = [std::ptr::null(); MAX_INPUTS];
                inputs[0] = x[from..].as_ptr().cast();
                // SAFETY: `n` elements from either place on, and the two apart.
                unsafe { staged.run(&inputs, y[to..].as_mut_ptr().cast(), n) };
                staged.settle();
                for (i, &y) in y.iter().enumerate() {
                    let expected = if (to..to + n).contains(&i) { 2.0 * x[i - to + from] + 1.0 } else { -1.0 };
                    prop_assert_eq!(y.to_bits(), expected.to_bits(), "at {}", i);
                }
            }
        }

        #[test]
        fn a_number_spread_over_a_tile_serves_for_any_length(n in 0..1500_usize, most in 1..700_usize) {
            let x = vec![3.0_f32; most];
            for way in [Way::Straight, Way::Aside, Way::PastCache] {
                let staged = Staged { widths: [0; MAX_INPUTS], most, ..staged(way) };
                let mut y = vec![-1.0_f32; 1500];
                let mut inputs = [std::ptr::null(); MAX_INPUTS];
                inputs[0] = x.as_ptr().cast();
                // SAFETY: `most` numbers from the input on, `n` from the output on.
                unsafe { staged.run(&inputs, y.as_mut_ptr().cast(), n) };
                staged.settle();
                let expected: Vec<f32> = (0..1500).map(|i| if i < n { 7.0 } else { -1.0 }).collect();
                prop_assert_eq!(&y, &expected);
            }
        }

        #[test]
        fn aside_an_input_may_lie_where_the_results_go(n in 0..1500_usize) {
            let mut y: Vec<f32> = (0_u16..1500).map(f32::from).collect();
            let staged = staged(Way::Aside);
            let mut inputs = [std::ptr::null(); MAX_INPUTS];
            let place = y.as_mut_ptr();
            inputs[0] = place.cast_const().cast();
            // SAFETY: `n` elements, each where the output has the same one.
            unsafe { staged.run(&inputs, place.cast(), n) };
            for (i, (&y, x)) in y.iter().zip(0_u16..).enumerate() {
                let expected = if i < n { 2.0 * f32::from(x) + 1.0 } else { f32::from(x) };
                prop_assert_eq!(y.to_bits(), expected.to_bits(), "at {}", i);
            }
        }

        #[test]
        fn a_copy_past_the_caches_is_a_copy(bytes in 0..400_usize, from in 0..70_usize, to in 0..70_usize) {
            let x: Vec<u8> = (0..500_usize).map(|i| (i * 7 % 251) as u8).collect();
            let mut y = vec![255_u8; 500];
            // SAFETY: so many bytes from either place on, and the two apart.
            unsafe { copy_past_cache(x[from..].as_ptr(), y[to..].as_mut_ptr(), bytes) };
            settle();
            let mut expected = vec![255_u8; 500];
            expected[to..to + bytes].copy_from_slice(&x[from..from + bytes]);
            prop_assert_eq!(y, expected);
        }
    }
}
