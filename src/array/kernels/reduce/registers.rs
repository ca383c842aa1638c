//! Sums and extremes of runs in AVX2 registers, written by hand.
//!
//! The compiler keeps lanes in registers through a long loop, but joins them through memory, which for a run of 64
//! numbers takes five times as long as the sum itself. A sum has the bits of [`fold`](super::fold)'s lanes; an
//! extreme has its value, and of zeros that are equal either sign.

/// Registers of a sum's lanes.
#[cfg(target_arch = "x86_64")]
const LANES: usize = 8;

macro_rules! registers {
    (
        $float:ident, $width:literal, $short:literal, $register:ident, $word:ident,
        $zero:ident, $same:ident, $load:ident, $masked:ident, $mask:ident, $add:ident, $max:ident, $min:ident
    ) => {
        pub mod $float {
            #[cfg(target_arch = "x86_64")]
            use crate::array::kernels::isa;
            use crate::array::kernels::reduce::driver::Rows;

            #[cfg(target_arch = "x86_64")]
            pub(super) mod avx2 {
                use std::arch::x86_64::*;

                use super::super::{LANES, joined};
                use crate::array::kernels::reduce::driver::Rows;
                use crate::array::kernels::reduce::fold::LONG;

                /// Numbers in a register.
                const WIDTH: usize = $width;

                /// From word `WIDTH - n` on, a mask of the first `n` numbers.
                static FIRST: [$word; 2 * WIDTH] = {
                    let mut words = [0; 2 * WIDTH];
                    let mut i = 0;
                    while i < WIDTH {
                        words[i] = -1;
                        i += 1;
                    }
                    words
                };

                #[inline(always)]
                fn numbers(register: $register) -> [$float; WIDTH] {
                    // SAFETY: a register is that many numbers, of which every pattern of bits is one.
                    unsafe { std::mem::transmute(register) }
                }

                /// The sum in `N * WIDTH` lanes.
                #[inline]
                #[target_feature(enable = "avx2,fma")]
                pub fn sum<const N: usize>(x: &[$float]) -> $float {
                    // SAFETY: as many numbers as a register holds.
                    let load = |x: &[$float; WIDTH]| unsafe { $load(x.as_ptr()) };
                    let mut lanes = [$zero(); N];
                    let (registers, tail) = x.as_chunks::<WIDTH>();
                    let (blocks, few) = registers.as_chunks::<N>();
                    for block in blocks {
                        for i in 0..N {
                            lanes[i] = $add(lanes[i], load(&block[i]));
                        }
                    }
                    if !few.is_empty() || !tail.is_empty() {
                        // SAFETY: `FIRST` has `WIDTH` words from there on; a masked load touches the numbers of the mask alone.
                        let tail = unsafe {
                            let mask = $mask(FIRST.as_ptr().add(WIDTH - tail.len()).cast());
                            $masked(tail.as_ptr(), mask)
                        };
                        for i in 0..N {
                            if i < few.len() {
                                lanes[i] = $add(lanes[i], load(&few[i]));
                            } else if i == few.len() {
                                lanes[i] = $add(lanes[i], tail);
                            }
                        }
                    }
                    joined(numbers(joined(lanes, |a, b| $add(a, b))), |a, b| a + b)
                }

                /// The sums of rows, in the lanes of a fold.
                #[target_feature(enable = "avx2,fma")]
                pub fn sums(rows: Rows<'_, $float>, out: &mut [f64]) {
                    for (i, out) in out.iter_mut().enumerate() {
                        let row = rows.row(i);
                        let sum = if rows.width() < LONG { sum::<$short>(row) } else { sum::<LANES>(row) };
                        *out = f64::from(sum);
                    }
                }

                /// The largest (`MAX`) or smallest, unless there may be a NaN, or fewer numbers than a register holds.
                ///
                /// A comparison leaves out a NaN. To ask every number whether it is one would take three instructions; to
                /// add it up takes one, and the sum is NaN if any number is (or if infinities cancel, which is as rare).
                #[inline]
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::eq_op)] // only NaN differs from itself
                pub fn extreme<const MAX: bool>(x: &[$float]) -> Option<$float> {
                    // SAFETY: as many numbers as a register holds.
                    let load = |x: &[$float; WIDTH]| unsafe { $load(x.as_ptr()) };
                    let further = |a, b| if MAX { $max(a, b) } else { $min(a, b) };
                    let last = x.last_chunk::<WIDTH>()?;
                    let mut best =
                        [$same(if MAX { $float::NEG_INFINITY } else { $float::INFINITY }); LANES / 2];
                    let mut sums = [$zero(); LANES / 2];
                    let (registers, _) = x.as_chunks::<WIDTH>();
                    let (blocks, few) = registers.as_chunks::<{ LANES / 2 }>();
                    for block in blocks {
                        for i in 0..LANES / 2 {
                            let x = load(&block[i]);
                            best[i] = further(x, best[i]);
                            sums[i] = $add(sums[i], x);
                        }
                    }
                    // The last numbers may be seen twice.
                    for x in few.iter().chain([last]) {
                        best[0] = further(load(x), best[0]);
                        sums[0] = $add(sums[0], load(x));
                    }
                    let sum = joined(numbers(joined(sums, |a, b| $add(a, b))), |a, b| a + b);
                    let best = numbers(joined(best, further));
                    (sum == sum)
                        .then(|| joined(best, |a, b| if (if MAX { a > b } else { a < b }) { a } else { b }))
                }

                /// That of each row, or `otherwise`.
                #[target_feature(enable = "avx2,fma")]
                pub fn extremes<const MAX: bool>(
                    rows: Rows<'_, $float>,
                    out: &mut [$float],
                    otherwise: impl Fn(&[$float]) -> $float,
                ) {
                    for (i, out) in out.iter_mut().enumerate() {
                        let row = rows.row(i);
                        *out = extreme::<MAX>(row).unwrap_or_else(|| otherwise(row));
                    }
                }
            }

            /// The sum in the lanes of a long run, if the processor has the registers.
            #[inline(always)]
            pub fn sum(_x: &[$float]) -> Option<$float> {
                #[cfg(target_arch = "x86_64")]
                if isa::has_avx2() {
                    // SAFETY: it has.
                    return Some(unsafe { avx2::sum::<{ super::LANES }>(_x) });
                }
                None
            }

            /// The sums of rows in the lanes of their folds, if the processor has the registers.
            #[inline(always)]
            pub fn sums(_rows: Rows<'_, $float>, _out: &mut [f64]) -> bool {
                #[cfg(target_arch = "x86_64")]
                if isa::has_avx2() {
                    // SAFETY: it has.
                    unsafe { avx2::sums(_rows, _out) };
                    return true;
                }
                false
            }

            /// The largest (`MAX`) or smallest, if the processor has the registers, and there is surely no NaN.
            #[inline(always)]
            pub fn extreme<const MAX: bool>(_x: &[$float]) -> Option<$float> {
                #[cfg(target_arch = "x86_64")]
                if isa::has_avx2() {
                    // SAFETY: it has.
                    return unsafe { avx2::extreme::<MAX>(_x) };
                }
                None
            }

            /// That of each row, or `otherwise`, if the processor has the registers.
            #[inline(always)]
            pub fn extremes<const MAX: bool>(
                _rows: Rows<'_, $float>,
                _out: &mut [$float],
                _otherwise: impl Fn(&[$float]) -> $float,
            ) -> bool {
                #[cfg(target_arch = "x86_64")]
                if isa::has_avx2() {
                    // SAFETY: it has.
                    unsafe { avx2::extremes::<MAX>(_rows, _out, _otherwise) };
                    return true;
                }
                false
            }
        }
    };
}

/// Registers, or numbers, joined as a balanced tree.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn joined<R: Copy, const N: usize>(mut registers: [R; N], join: impl Fn(R, R) -> R) -> R {
    let mut width = N;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            registers[i] = join(registers[i], registers[i + width]);
        }
    }
    registers[0]
}

registers!(
    f32,
    8,
    1,
    __m256,
    i32,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_maskload_ps,
    _mm256_loadu_si256,
    _mm256_add_ps,
    _mm256_max_ps,
    _mm256_min_ps
);
registers!(
    f64,
    4,
    2,
    __m256d,
    i64,
    _mm256_setzero_pd,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_maskload_pd,
    _mm256_loadu_si256,
    _mm256_add_pd,
    _mm256_max_pd,
    _mm256_min_pd
);

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::array::kernels::reduce::driver::Rows;
    use crate::array::kernels::reduce::fold::LONG;

    /// Number `i` in lane `i % lanes`, the lanes joined as a balanced tree.
    macro_rules! sum_in_lanes {
        ($x:expr, $lanes:literal) => {{
            let mut lanes = [0.0; $lanes];
            for (i, x) in $x.iter().enumerate() {
                lanes[i % $lanes] += x;
            }
            joined(lanes, |a, b| a + b)
        }};
    }

    fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    #[test]
    fn sums_have_the_bits_of_lanes() {
        if !has_avx2() {
            return;
        }
        let wide: Vec<f64> = (0..700).map(|i| 1.0 / f64::from(i % 97 - 48) - 0.01 * f64::from(i)).collect();
        let wide: Vec<f64> = wide.into_iter().map(|x| if x.is_finite() { x } else { -0.0 }).collect();
        let narrow: Vec<f32> = wide.iter().map(|x| *x as f32).collect();
        for n in 0..700 {
            // SAFETY: the processor has the registers.
            let (got, wanted) =
                (unsafe { f32::avx2::sum::<LANES>(&narrow[..n]) }, sum_in_lanes!(narrow[..n], 64));
            assert_eq!(got.to_bits(), wanted.to_bits(), "{n} numbers");
            // SAFETY: as above.
            let (got, wanted) =
                (unsafe { f64::avx2::sum::<LANES>(&wide[..n]) }, sum_in_lanes!(wide[..n], 32));
            assert_eq!(got.to_bits(), wanted.to_bits(), "{n} doubles");
        }
    }

    #[test]
    fn sums_of_rows_have_the_bits_of_lanes() {
        if !has_avx2() {
            return;
        }
        let narrow: Vec<f32> = (0..3000).map(|i| (i as f32 * 0.37).sin() * 1e3).collect();
        let wide: Vec<f64> = narrow.iter().map(|&x| f64::from(x) / 3.0).collect();
        for width in 0..140 {
            for (count, stride) in [(1, 0), (5, width), (7, width + 3), (4, 0)] {
                // SAFETY: the rows lie inside the lists.
                let (few, many) = unsafe {
                    (
                        Rows::new(narrow.as_ptr(), stride as isize, count, width),
                        Rows::new(wide.as_ptr(), stride as isize, count, width),
                    )
                };
                let mut sums = [[0.0; 7]; 2];
                // SAFETY: the processor has the registers.
                unsafe {
                    f32::avx2::sums(few, &mut sums[0][..count]);
                    f64::avx2::sums(many, &mut sums[1][..count]);
                }
                for i in 0..count {
                    let x = &narrow[i * stride..][..width];
                    let wanted = if width < LONG { sum_in_lanes!(x, 8) } else { sum_in_lanes!(x, 64) };
                    assert_eq!(
                        sums[0][i].to_bits(),
                        f64::from(wanted).to_bits(),
                        "row {i} of {width} numbers"
                    );
                    let x = &wide[i * stride..][..width];
                    let wanted: f64 = if width < LONG { sum_in_lanes!(x, 8) } else { sum_in_lanes!(x, 32) };
                    assert_eq!(sums[1][i].to_bits(), wanted.to_bits(), "row {i} of {width} doubles");
                }
            }
        }
    }

    #[test]
    fn extremes_are_those_of_numbers_and_nothing_where_there_is_a_nan() {
        if !has_avx2() {
            return;
        }
        for n in 0..150 {
            for special in [3.0, -3.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                for at in 0..n {
                    let mut x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
                    x[at] = special;
                    // SAFETY: the processor has the registers.
                    let both = unsafe { (f32::avx2::extreme::<true>(&x), f32::avx2::extreme::<false>(&x)) };
                    let (most, least) = (
                        x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                        x.iter().copied().fold(f32::INFINITY, f32::min),
                    );
                    let wanted =
                        if n < 8 || special.is_nan() { (None, None) } else { (Some(most), Some(least)) };
                    assert_eq!(both, wanted, "{special} at {at} of {n}");
                }
            }
        }
    }
}
