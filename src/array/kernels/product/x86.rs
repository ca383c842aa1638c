//! Registers of x86-64 machines: AVX2 with FMA, and AVX-512.

#[allow(clippy::wildcard_imports, reason = "the instruction set's own vocabulary")]
use std::arch::x86_64::*;
use std::sync::atomic::{AtomicU8, Ordering};

use super::register::{InstructionSet, Kernel, Register};
use super::tile::ACROSS;

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub struct Avx2;

/// AVX-512 with its byte, word, doubleword and vector-length parts.
#[derive(Clone, Copy)]
pub struct Avx512;

impl InstructionSet for Avx2 {
    #[inline(always)]
    unsafe fn enter<R: Register, K: Kernel<R>>(kernel: K) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn inside<R: Register, K: Kernel<R>>(kernel: K) {
            // SAFETY: the caller's promise, passed on.
            unsafe { kernel.run() }
        }
        // SAFETY: the caller's promise: the machine has AVX2 and FMA.
        unsafe { inside(kernel) }
    }
}

impl InstructionSet for Avx512 {
    #[inline(always)]
    unsafe fn enter<R: Register, K: Kernel<R>>(kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn inside<R: Register, K: Kernel<R>>(kernel: K) {
            // SAFETY: the caller's promise, passed on.
            unsafe { kernel.run() }
        }
        // SAFETY: the caller's promise: the machine has these parts of AVX-512.
        unsafe { inside(kernel) }
    }
}

/// What this machine's registers can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// Not asked yet.
    Unknown,
    /// Neither of the two below.
    Plain,
    /// [`Avx2`].
    Avx2,
    /// [`Avx512`].
    Avx512,
}

/// One byte, so that a small product asks with one load rather than one for each instruction set's parts.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Unknown as u8);

/// This machine's level, asked once.
#[inline]
pub fn level() -> Level {
    // Relaxed: the byte publishes nothing but itself, and every thread would write the same.
    match LEVEL.load(Ordering::Relaxed) {
        3 => Level::Avx512,
        2 => Level::Avx2,
        1 => Level::Plain,
        _ => ask(),
    }
}

#[cold]
fn ask() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    let level = if avx512 {
        Level::Avx512
    } else if avx2 {
        Level::Avx2
    } else {
        Level::Plain
    };
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

/// Masks for the first `count` lanes are windows into this row: `MASK[8 - count..]`.
static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same for eight-byte lanes: `MASK_WIDE[4 - count..]`.
static MASK_WIDE: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

/// Four by four single-precision elements.
#[inline(always)]
unsafe fn transpose_four(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller's promise: both squares are valid.
    unsafe {
        let (a, b) = (_mm_loadu_ps(from), _mm_loadu_ps(from.offset(from_row)));
        let (c, d) = (_mm_loadu_ps(from.offset(2 * from_row)), _mm_loadu_ps(from.offset(3 * from_row)));
        let (low, high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (low_next, high_next) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(to, _mm_movelh_ps(low, low_next));
        _mm_storeu_ps(to.add(to_row), _mm_movehl_ps(low_next, low));
        _mm_storeu_ps(to.add(2 * to_row), _mm_movelh_ps(high, high_next));
        _mm_storeu_ps(to.add(3 * to_row), _mm_movehl_ps(high_next, high));
    }
}

/// The lower half of [`mask`], for four lanes.
#[inline(always)]
unsafe fn mask_four(count: usize) -> __m128i {
    debug_assert!(count <= 4);
    // SAFETY: 8 - count + 4 <= 16 entries.
    unsafe { _mm_loadu_si128(MASK.as_ptr().add(8 - count).cast()) }
}

#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    debug_assert!(count <= 8);
    // SAFETY: 8 - count + 8 <= 16 entries.
    unsafe { _mm256_loadu_si256(MASK.as_ptr().add(8 - count).cast()) }
}

#[inline(always)]
unsafe fn mask_wide(count: usize) -> __m256i {
    debug_assert!(count <= 4);
    // SAFETY: 4 - count + 4 <= 8 entries.
    unsafe { _mm256_loadu_si256(MASK_WIDE.as_ptr().add(4 - count).cast()) }
}

/// Two four-element rows, four rows apart, as the halves of one register: so that the later shuffles stay inside
/// 128-bit halves, where they are cheapest.
#[inline(always)]
unsafe fn half_rows(from: *const f32, from_row: isize) -> __m256 {
    // SAFETY: the caller's promise: both rows have four elements.
    unsafe {
        _mm256_insertf128_ps::<1>(
            _mm256_castps128_ps256(_mm_loadu_ps(from)),
            _mm_loadu_ps(from.offset(4 * from_row)),
        )
    }
}

/// Eight by eight single-precision elements, in two passes of four columns each.
#[inline(always)]
unsafe fn transpose_f32(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller's promise: both squares are valid.
    unsafe {
        for half in 0..2 {
            let from = from.add(4 * half);
            let to = to.add(4 * half * to_row);
            let (a, b) = (half_rows(from, from_row), half_rows(from.offset(from_row), from_row));
            let (c, d) = (
                half_rows(from.offset(2 * from_row), from_row),
                half_rows(from.offset(3 * from_row), from_row),
            );
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (low_next, high_next) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(low, low_next));
            _mm256_storeu_ps(to.add(to_row), _mm256_shuffle_ps::<0xee>(low, low_next));
            _mm256_storeu_ps(to.add(2 * to_row), _mm256_shuffle_ps::<0x44>(high, high_next));
            _mm256_storeu_ps(to.add(3 * to_row), _mm256_shuffle_ps::<0xee>(high, high_next));
        }
    }
}

#[inline(always)]
unsafe fn half_rows_wide(from: *const f64, from_row: isize) -> __m256d {
    // SAFETY: the caller's promise: both rows have two elements.
    unsafe {
        _mm256_insertf128_pd::<1>(
            _mm256_castpd128_pd256(_mm_loadu_pd(from)),
            _mm_loadu_pd(from.offset(2 * from_row)),
        )
    }
}

/// Four by four double-precision elements, in two passes of two columns each.
#[inline(always)]
unsafe fn transpose_f64(from: *const f64, from_row: isize, to: *mut f64, to_row: usize) {
    // SAFETY: the caller's promise: both squares are valid.
    unsafe {
        for half in 0..2 {
            let from = from.add(2 * half);
            let to = to.add(2 * half * to_row);
            let (a, b) = (half_rows_wide(from, from_row), half_rows_wide(from.offset(from_row), from_row));
            _mm256_storeu_pd(to, _mm256_unpacklo_pd(a, b));
            _mm256_storeu_pd(to.add(to_row), _mm256_unpackhi_pd(a, b));
        }
    }
}

#[inline(always)]
unsafe fn folded_four(x: __m128) -> f32 {
    // SAFETY: the caller's promise: the machine has the instructions; here and below.
    unsafe {
        let two = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

#[inline(always)]
unsafe fn folded_eight(x: __m256) -> f32 {
    // SAFETY: as above.
    unsafe { folded_four(_mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x))) }
}

#[inline(always)]
unsafe fn folded_sixteen(x: __m512) -> f32 {
    // SAFETY: as above.
    unsafe { folded_eight(_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x))) }
}

#[inline(always)]
unsafe fn folded_four_wide(x: __m256d) -> f64 {
    // SAFETY: as above.
    unsafe {
        let two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
    }
}

#[inline(always)]
unsafe fn folded_eight_wide(x: __m512d) -> f64 {
    // SAFETY: as above.
    unsafe { folded_four_wide(_mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd::<1>(x))) }
}

/// What a shuffle within halves has left as first, third, second and fourth quarter.
#[inline(always)]
unsafe fn quarters_in_order(x: __m256) -> __m256 {
    // SAFETY: the caller's promise: the machine has the instructions.
    unsafe { _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(x))) }
}

/// A macro with a step, each pair of rows of a tile, and the registers of B; here, for a macro in a macro cannot repeat.
macro_rules! each_pair {
    ($pair:ident, $step:literal, $($j:literal)*, $b:ident) => {
        $($pair!($step, $j, $b);)*
    };
}

/// [`Register::steps`] of AVX-512.
///
/// Note [Few instructions a step]: where another thread shares the core, each is given half of the instructions that the
/// core can begin, and these, not its multipliers, limit a tile. So four steps are written out, with addresses short
/// enough for short instructions, and every second row has its element of A read and spread by the multiply-adds
/// themselves, once for each register: that saves an instruction for one read more, of which the core has enough to
/// spare. Where A is not packed, each of those rows has a pointer, for a multiply-add that reads by two registers is
/// two instructions to the core; the row after it is found from there. As assembly, for the compiler makes one read of
/// the two, or reads all four steps ahead and runs out of registers.
macro_rules! steps {
    ($load:literal, $spread:literal, $multiply_add:literal, $word:literal, $lanes:literal, $size:literal, $mask:ty) => {
        const READS_FAR_ROWS: bool = true;

        // Registers as operands of assembly need the feature where they stand, and that cannot be inlined by decree; but
        // where it is not inlined, the sums pass through memory.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn steps<const ROWS: usize, const WIDE: usize, const PACKED: bool>(
            all_sums: &mut [[Self; WIDE]; ROWS],
            (a, a_row): (*const Self::Element, isize),
            (mut b, b_row): (*const Self::Element, isize),
            last: usize,
            depth: usize,
        ) -> usize {
            const STEPS: usize = 4;
            const { assert!(ROWS <= 12) };
            let mut sums = *all_sums;
            let mask = <$mask>::MAX >> (Self::LANES - last);
            let mut pairs: [_; 6] =
                std::array::from_fn(|j| if PACKED { a } else { a.wrapping_offset((2 * j as isize).wrapping_mul(a_row)) });
            let row = a_row.wrapping_mul($size);
            macro_rules! load {
                ($step:literal, $v:literal) => {{
                    let x: Self;
                    if PACKED {
                        std::arch::asm!(
                            concat!($load, " {x}, zmmword ptr [{b} + {at}]"),
                            x = out(zmm_reg) x, b = in(reg) b, at = const ($step * ACROSS + $v) * 64,
                            options(readonly, nostack, preserves_flags),
                        );
                    } else if $v < WIDE - 1 {
                        std::arch::asm!(
                            concat!($load, " {x}, zmmword ptr [{b} + {at}]"),
                            x = out(zmm_reg) x, b = in(reg) b, at = const $v * 64,
                            options(readonly, nostack, preserves_flags),
                        );
                    } else {
                        std::arch::asm!(
                            concat!($load, " {x}{{{mask}}}{{z}}, zmmword ptr [{b} + {at}]"),
                            x = out(zmm_reg) x, mask = in(kreg) mask, b = in(reg) b, at = const $v * 64,
                            options(readonly, nostack, preserves_flags),
                        );
                    }
                    x
                }};
            }
            macro_rules! pair {
                ($step:literal, $j:literal, $b:ident) => {
                    if 2 * $j < ROWS {
                        for v in 0..WIDE {
                            std::arch::asm!(
                                concat!($multiply_add, " {sum}, {y}, ", $word, " ptr [{a} + {at}]", $lanes),
                                sum = inout(zmm_reg) sums[2 * $j][v], y = in(zmm_reg) $b[v], a = in(reg) pairs[$j],
                                at = const (if PACKED { $step * Self::ROWS + 2 * $j } else { $step }) * $size,
                                options(readonly, nostack, preserves_flags),
                            );
                        }
                    }
                    if 2 * $j + 1 < ROWS {
                        let x: Self;
                        if PACKED {
                            std::arch::asm!(
                                concat!($spread, " {x}, ", $word, " ptr [{a} + {at}]"),
                                x = out(zmm_reg) x, a = in(reg) pairs[$j],
                                at = const ($step * Self::ROWS + 2 * $j + 1) * $size,
                                options(readonly, nostack, preserves_flags),
                            );
                        } else {
                            std::arch::asm!(
                                concat!($spread, " {x}, ", $word, " ptr [{a} + {row} + {at}]"),
                                x = out(zmm_reg) x, a = in(reg) pairs[$j], row = in(reg) row, at = const $step * $size,
                                options(readonly, nostack, preserves_flags),
                            );
                        }
                        for v in 0..WIDE {
                            std::arch::asm!(
                                concat!($multiply_add, " {sum}, {y}, {x}"),
                                sum = inout(zmm_reg) sums[2 * $j + 1][v], y = in(zmm_reg) $b[v], x = in(zmm_reg) x,
                                options(readonly, nostack, preserves_flags),
                            );
                        }
                    }
                };
            }
            macro_rules! step {
                ($step:literal) => {{
                    let mut registers = [load!($step, 0); WIDE];
                    if WIDE == ACROSS {
                        registers[1] = load!($step, 1);
                    }
                    each_pair!(pair, $step, 0 1 2 3 4 5, registers);
                    if !PACKED {
                        b = b.wrapping_offset(b_row);
                    }
                }};
            }
            // SAFETY: the caller's promise: the machine has the instructions, and so many elements can be read.
            unsafe {
                for _ in 0..depth / STEPS {
                    step!(0);
                    step!(1);
                    step!(2);
                    step!(3);
                    pairs = pairs.map(|a| a.wrapping_add(if PACKED { STEPS * Self::ROWS } else { STEPS }));
                    if PACKED {
                        b = b.add(STEPS * ACROSS * Self::LANES);
                    }
                }
            }
            *all_sums = sums;
            depth - depth % STEPS
        }
    };
}

macro_rules! register {
    (
        $name:ty, $t:ty, $set:ty, lanes $lanes:literal, rows $rows:literal, square $square:literal, $transpose:ident, $folded:ident,
        $splat:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident, $and:ident,
        load_first($from:ident, $load_count:ident) $load_first:expr,
        store_first($to:ident, $store_count:ident, $value:ident) $store_first:expr
        $(, $($own:item)+)?
    ) => {
        impl Register for $name {
            type Element = $t;
            type Instructions = $set;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            const ROWS_ALONE: usize = 12;
            const SQUARE: usize = $square;

            #[inline(always)]
            unsafe fn splat(x: $t) -> Self {
                // SAFETY: the caller's promise: the machine has the instruction.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                // SAFETY: the caller's promise: LANES elements can be read.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn load_first($from: *const $t, $load_count: usize) -> Self {
                // SAFETY: the caller's promise: `count` elements can be read; masked lanes are not touched.
                unsafe { $load_first }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                // SAFETY: the caller's promise: LANES elements can be written.
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn store_first(self, $to: *mut $t, $store_count: usize) {
                let $value = self;
                // SAFETY: the caller's promise: `count` elements can be written; masked lanes are not touched.
                unsafe { $store_first }
            }
            #[inline(always)]
            unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller's promise: the machine has the instruction.
                unsafe { $fma(a, b, self) }
            }
            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: the caller's promise: the machine has the instruction.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn minus(self, other: Self) -> Self {
                // SAFETY: the caller's promise: the machine has the instruction.
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn times(self, other: Self) -> Self {
                // SAFETY: the caller's promise: the machine has the instruction.
                unsafe { $mul(self, other) }
            }
            #[inline(always)]
            unsafe fn and(self, other: Self) -> Self {
                // SAFETY: the caller's promise: the machine has the instruction.
                unsafe { $and(self, other) }
            }
            #[inline(always)]
            unsafe fn folded(self) -> $t {
                // SAFETY: the caller's promise: the machine has the instructions.
                unsafe { $folded(self) }
            }
            #[inline(always)]
            unsafe fn transpose(from: *const $t, from_row: isize, to: *mut $t, to_row: usize) {
                // SAFETY: the caller's promise, passed on.
                unsafe { $transpose(from, from_row, to, to_row) }
            }
            $($($own)+)?
        }
    };
}

register!(__m128, f32, Avx2, lanes 4, rows 6, square 4, transpose_four, folded_four,
    _mm_set1_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_fmadd_ps, _mm_add_ps, _mm_sub_ps, _mm_mul_ps, _mm_and_ps,
    load_first(from, count) _mm_maskload_ps(from, mask_four(count)),
    store_first(to, count, value) _mm_maskstore_ps(to, mask_four(count), value));

register!(__m256, f32, Avx2, lanes 8, rows 6, square 8, transpose_f32, folded_eight,
_mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_and_ps,
load_first(from, count) _mm256_maskload_ps(from, mask(count)),
store_first(to, count, value) _mm256_maskstore_ps(to, mask(count), value),
const SQUARE_OF_FEW: usize = 4;
#[inline(always)]
unsafe fn transpose_few(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller's promise, passed on.
    unsafe { transpose_four(from, from_row, to, to_row) }
}
#[inline(always)]
unsafe fn parted(self, other: Self) -> (Self, Self) {
    // SAFETY: the caller's promise: the machine has the instructions.
    unsafe {
        let (first, second) =
            (_mm256_shuffle_ps::<0x88>(self, other), _mm256_shuffle_ps::<0xdd>(self, other));
        (quarters_in_order(first), quarters_in_order(second))
    }
}
#[inline(always)]
unsafe fn interleaved(self, other: Self) -> (Self, Self) {
    // SAFETY: the caller's promise: the machine has the instructions.
    unsafe {
        let (low, high) = (_mm256_unpacklo_ps(self, other), _mm256_unpackhi_ps(self, other));
        (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
    }
});

register!(__m256d, f64, Avx2, lanes 4, rows 6, square 4, transpose_f64, folded_four_wide,
    _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, _mm256_add_pd, _mm256_sub_pd, _mm256_mul_pd, _mm256_and_pd,
    load_first(from, count) _mm256_maskload_pd(from, mask_wide(count)),
    store_first(to, count, value) _mm256_maskstore_pd(to, mask_wide(count), value));

register!(__m512, f32, Avx512, lanes 16, rows 12, square 8, transpose_f32, folded_sixteen,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_and_ps,
    load_first(from, count) _mm512_maskz_loadu_ps((0xffff_u32 >> (16 - count)) as u16, from),
    store_first(to, count, value) _mm512_mask_storeu_ps(to, (0xffff_u32 >> (16 - count)) as u16, value),
steps!("vmovups", "vbroadcastss", "vfmadd231ps", "dword", "{{1to16}}", 4, u16);
#[inline(always)]
unsafe fn parted(self, other: Self) -> (Self, Self) {
    // SAFETY: the caller's promise: the machine has the instructions.
    unsafe {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
        (_mm512_permutex2var_ps(self, even, other), _mm512_permutex2var_ps(self, odd, other))
    }
}
#[inline(always)]
unsafe fn interleaved(self, other: Self) -> (Self, Self) {
    // SAFETY: the caller's promise: the machine has the instructions.
    unsafe {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_or_si512(low, _mm512_set1_epi32(8));
        (_mm512_permutex2var_ps(self, low, other), _mm512_permutex2var_ps(self, high, other))
    }
});

register!(__m512d, f64, Avx512, lanes 8, rows 12, square 4, transpose_f64, folded_eight_wide,
    _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_mul_pd, _mm512_and_pd,
    load_first(from, count) _mm512_maskz_loadu_pd((0xff_u32 >> (8 - count)) as u8, from),
    store_first(to, count, value) _mm512_mask_storeu_pd(to, (0xff_u32 >> (8 - count)) as u8, value),
    steps!("vmovupd", "vbroadcastsd", "vfmadd231pd", "qword", "{{1to8}}", 8, u8););
