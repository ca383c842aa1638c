//! Tables in registers of x86-64 machines.

#[allow(clippy::wildcard_imports, reason = "the instruction set's own vocabulary")]
use std::arch::x86_64::*;

use super::{Lookup, PLACES};

/// Of two numbers the one of less magnitude, its sign cleared.
const LESS_MAGNITUDE: i32 = 0b10_10;

impl Lookup for __m512 {
    #[inline(always)]
    unsafe fn magnitude_at_most(self, most: Self) -> Self {
        // SAFETY: the caller's promise: the machine has the instruction; so below.
        unsafe { _mm512_range_ps::<LESS_MAGNITUDE>(self, most) }
    }
    #[inline(always)]
    unsafe fn at_least(self, least: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(least, self) }
    }
    #[inline(always)]
    unsafe fn has_less(self, bound: Self) -> bool {
        // SAFETY: as above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, bound) != 0 }
    }
    #[inline(always)]
    unsafe fn squeeze(self, bound: Self, to: *mut f32) -> usize {
        // SAFETY: as above; a register has room there.
        unsafe {
            let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, bound);
            _mm512_storeu_ps(to, _mm512_maskz_compress_ps(less, self));
            less.count_ones() as usize
        }
    }
    #[inline(always)]
    unsafe fn spread(self, x: Self, bound: Self, from: *const f32) -> (Self, usize) {
        // SAFETY: as above; there are a register's numbers.
        unsafe {
            let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, bound);
            (_mm512_mask_expand_ps(self, less, _mm512_loadu_ps(from)), less.count_ones() as usize)
        }
    }
    #[inline(always)]
    unsafe fn look_up(self, table: &'static [f32; PLACES]) -> Self {
        // SAFETY: as above; a register has as many numbers as the table.
        unsafe { _mm512_permutexvar_ps(_mm512_castps_si512(self), _mm512_loadu_ps(table.as_ptr())) }
    }
}

/// A bit for each lane of `x` that is less than `bound`'s.
///
/// # Safety
/// The machine has AVX.
#[inline(always)]
unsafe fn less(x: __m256, bound: __m256) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(x, bound)).cast_unsigned() }
}

#[inline(always)]
fn numbers(register: __m256) -> [f32; 8] {
    // SAFETY: a register is eight numbers, of which every pattern of bits is one.
    unsafe { std::mem::transmute(register) }
}

/// Where a word has ones, from the last bit up; lanes, of eight.
#[inline(always)]
fn ones(mut word: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (place < 8).then_some(place)
    })
}

impl Lookup for __m256 {
    #[inline(always)]
    unsafe fn magnitude_at_most(self, most: Self) -> Self {
        // SAFETY: the caller's promise: the machine has the instruction; so below.
        unsafe { _mm256_min_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self), most) }
    }
    #[inline(always)]
    unsafe fn at_least(self, least: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_max_ps(least, self) }
    }
    #[inline(always)]
    unsafe fn has_less(self, bound: Self) -> bool {
        // SAFETY: as above.
        unsafe { less(self, bound) != 0 }
    }
    #[inline(always)]
    unsafe fn squeeze(self, bound: Self, to: *mut f32) -> usize {
        // SAFETY: as above; there is room for a register.
        unsafe {
            let (less, lanes) = (less(self, bound), numbers(self));
            for (i, lane) in ones(less).enumerate() {
                *to.add(i) = lanes[lane];
            }
            less.count_ones() as usize
        }
    }
    #[inline(always)]
    unsafe fn spread(self, x: Self, bound: Self, from: *const f32) -> (Self, usize) {
        // SAFETY: as above; a register's numbers are there.
        unsafe {
            let (less, mut lanes) = (less(x, bound), numbers(self));
            for (i, lane) in ones(less).enumerate() {
                lanes[lane] = *from.add(i);
            }
            (_mm256_loadu_ps(lanes.as_ptr()), less.count_ones() as usize)
        }
    }
    /// In either half of the table; the last bit but three says which half counts, once it is where a choice reads it.
    #[inline(always)]
    unsafe fn look_up(self, table: &'static [f32; PLACES]) -> Self {
        // SAFETY: as above; a register has half as many numbers as the table.
        unsafe {
            let place = _mm256_castps_si256(self);
            let low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr()), place);
            let high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr().add(PLACES / 2)), place);
            _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(place)))
        }
    }
}
