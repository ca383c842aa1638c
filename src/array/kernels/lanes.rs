//! `L`: numbers in registers, in which a row is read a second time where its function is looked up in a table.
//!
//! What a loop over `Real` does with a load for each number, a permutation does for a register's at once, and no compiler
//! finds it (Note [Pieces of gelu]). The bits are the same.

// Without inlining registers travel through memory.
#![allow(clippy::inline_always)]

use std::marker::PhantomData;

use super::formula::RealFormula;
use super::product::{Kernel, Register};
use super::real::Fused;
use super::real::gelu::{self, PLACES};
use super::tile::MAX_INPUTS;
use super::value::V;

#[cfg(target_arch = "x86_64")]
mod x86;

/// A register that looks up its numbers in a table of sixteen.
///
/// # Safety
/// Callers of any method have made sure that the machine has the register's instructions, and pointers are valid for as many
/// numbers as it has lanes.
#[allow(clippy::missing_safety_doc, reason = "said once, for all methods")]
pub trait Lookup: Register<Element = f32> {
    /// The magnitude, or `most` where that is less or beside a NaN.
    unsafe fn magnitude_at_most(self, most: Self) -> Self;
    /// The larger of the two; `self` where it is NaN, and where both are zeros.
    unsafe fn at_least(self, least: Self) -> Self;
    /// Whether a lane is less than `bound`'s.
    unsafe fn has_less(self, bound: Self) -> bool;
    /// Writes the lanes that are less than `bound`'s one beside the other, and says how many they are. What room there
    /// is after them up to `LANES` may be written too.
    unsafe fn squeeze(self, bound: Self, to: *mut f32) -> usize;
    /// What [`squeeze`](Lookup::squeeze) of `x` wrote, in the lanes that it came from, and the other lanes of `self`.
    unsafe fn spread(self, x: Self, bound: Self, from: *const f32) -> (Self, usize);
    /// The numbers of a table at the places that the last four bits of each lane say.
    unsafe fn look_up(self, table: &'static [f32; PLACES]) -> Self;
}

/// Below this number nothing is looked up.
pub const LEAST: f32 = -gelu::END;

/// Numbers after which those less than [`LEAST`] are taken care of.
const BLOCK: usize = 256;

/// Numbers of the longest [`L`].
const MOST: usize = 16 * TOGETHER;

/// Registers in an [`L`]: the steps of one fill the gaps between those of the other.
const TOGETHER: usize = 2;

/// Numbers in registers; only on a machine that has these, since whoever loads them has made sure.
#[derive(Clone, Copy)]
pub struct L<R>([R; TOGETHER]);

impl<R: Lookup> L<R> {
    const LANES: usize = TOGETHER * R::LANES;

    /// `LANES` numbers from memory.
    ///
    /// # Safety
    /// The machine has `R`'s instructions, and the numbers are there.
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let mut registers = [R::load(from); TOGETHER];
            for (i, register) in registers.iter_mut().enumerate().skip(1) {
                *register = R::load(from.add(i * R::LANES));
            }
            L(registers)
        }
    }

    /// `LANES` numbers to memory.
    ///
    /// # Safety
    /// There is room for them.
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (i, register) in self.0.into_iter().enumerate() {
            // SAFETY: the caller's promise; and the machine has what is there.
            unsafe { register.store(to.add(i * R::LANES)) };
        }
    }

    /// Whether a number is less than [`LEAST`].
    #[inline(always)]
    fn is_beyond(self) -> bool {
        // SAFETY: the machine has the registers, since they are there; so below.
        unsafe {
            let least = R::splat(LEAST);
            self.0.into_iter().fold(false, |found, x| found | x.has_less(least))
        }
    }

    /// [`Real::gelu`](super::real::Real::gelu) of [`Fused`] numbers not less than [`LEAST`].
    #[inline(always)]
    pub fn gelu(self) -> Self {
        let L(x) = self;
        let (mut t, mut place, mut r, mut fall, mut y) = (x, x, x, x, x);
        // SAFETY: as above.
        unsafe {
            let (end, shift) = (R::splat(gelu::END), R::splat(gelu::SHIFT));
            let (magic, minus_zero) = (R::splat(gelu::MAGIC), R::splat(-0.0));
            let [lower @ .., highest] = &gelu::COEFFICIENTS;
            for i in 0..TOGETHER {
                t[i] = x[i].magnitude_at_most(end);
                let shifted = t[i].plus(shift);
                place[i] = magic.multiply_add(shifted, shifted);
            }
            for i in 0..TOGETHER {
                r[i] = t[i].minus(place[i].look_up(&gelu::ORIGIN));
                fall[i] = place[i].look_up(highest);
            }
            for coefficient in lower.iter().rev() {
                for i in 0..TOGETHER {
                    fall[i] = place[i].look_up(coefficient).multiply_add(fall[i], r[i]);
                }
            }
            for i in 0..TOGETHER {
                y[i] = x[i].at_least(minus_zero).minus(fall[i]);
            }
        }
        L(y)
    }
}

/// A formula of one number that is read over registers too.
pub trait LanesFormula: RealFormula<1> {
    /// The values at numbers not less than [`LEAST`], `#[inline(always)]`.
    fn at<R: Lookup>(x: L<R>) -> L<R>;
}

/// A formula's values `y`, to be computed at `x`.
struct Values<'a, F> {
    x: &'a [f32],
    y: &'a mut [f32],
    formula: PhantomData<F>,
}

impl<R: Lookup, F: LanesFormula> Kernel<R> for Values<'_, F> {
    #[inline(always)]
    unsafe fn run(self) {
        for (x, y) in self.x.chunks(BLOCK).zip(self.y.chunks_mut(BLOCK)) {
            let rest = x.len() % L::<R>::LANES;
            let whole = x.len() - rest;
            let mut is_beyond = false;
            // SAFETY: the caller's promise; both slices have `whole` numbers, and the longest `L` has room in a buffer.
            unsafe {
                for i in (0..whole).step_by(L::<R>::LANES) {
                    is_beyond |= look_up::<R, F>(x.as_ptr().add(i), y.as_mut_ptr().add(i));
                }
                if rest > 0 {
                    let (mut numbers, mut values) = ([0.0; MOST], [0.0; MOST]);
                    numbers[..rest].copy_from_slice(&x[whole..]);
                    is_beyond |= look_up::<R, F>(numbers.as_ptr(), values.as_mut_ptr());
                    y[whole..].copy_from_slice(&values[..rest]);
                }
                if is_beyond {
                    amend::<R, F>(Beyond(Values { x, y, formula: PhantomData }));
                }
            }
        }
    }
}

/// The values at an `L` of numbers, and whether some are less than [`LEAST`].
///
/// # Safety
/// The machine has `R`'s instructions; an `L` of numbers is there to be read, and has room to be written.
#[inline(always)]
unsafe fn look_up<R: Lookup, F: LanesFormula>(from: *const f32, to: *mut f32) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let x = L::<R>::load(from);
        <F as LanesFormula>::at(x).store(to);
        x.is_beyond()
    }
}

/// Values of a block that are to be computed anew at numbers less than [`LEAST`].
struct Beyond<'a, F>(Values<'a, F>);

impl<R: Lookup, F: LanesFormula> Kernel<R> for Beyond<'_, F> {
    /// Where there is one such number there are often more, but seldom many: so they are brought together first.
    #[inline(always)]
    unsafe fn run(self) {
        let Values { x, y, .. } = self.0;
        let whole = x.len() - x.len() % R::LANES;
        let mut few = [LEAST; BLOCK + MOST];
        let mut count = 0;
        // SAFETY: the caller's promise; both slices have `whole` numbers, and after the few there is room for a register.
        unsafe {
            let least = R::splat(LEAST);
            for i in (0..whole).step_by(R::LANES) {
                let x = R::load(x.as_ptr().add(i));
                if x.has_less(least) {
                    count += x.squeeze(least, few.as_mut_ptr().add(count));
                }
            }
        }
        for &x in &x[whole..] {
            few[count] = x;
            count += usize::from(x < LEAST);
        }
        // In whole registers: what is left of a loop is not vectorised.
        for numbers in &mut few.as_chunks_mut::<16>().0[..count.div_ceil(16)] {
            for x in numbers {
                *x = <F as RealFormula<1>>::at::<Fused<f32>, true>([V(Fused(*x))]).0.0;
            }
        }
        let mut next = 0;
        // SAFETY: as above.
        unsafe {
            let least = R::splat(LEAST);
            for i in (0..whole).step_by(R::LANES) {
                let (x, y) = (R::load(x.as_ptr().add(i)), y.as_mut_ptr().add(i));
                if x.has_less(least) {
                    let (values, taken) = R::load(y).spread(x, least, few.as_ptr().add(next));
                    values.store(y);
                    next += taken;
                }
            }
        }
        for (&x, y) in x[whole..].iter().zip(&mut y[whole..]) {
            if x < LEAST {
                *y = few[next];
                next += 1;
            }
        }
    }
}

/// # Safety
/// The machine has `R`'s instructions.
#[cold]
#[inline(never)]
unsafe fn amend<R: Lookup, F: LanesFormula>(values: Beyond<'_, F>) {
    // SAFETY: the caller's promise.
    unsafe { R::enter(values) }
}

/// The tile of a formula that is read over registers `R`.
///
/// # Safety
/// As for a [`Tile`](super::tile::Tile) of `f32`, and the machine has `R`'s instructions.
pub unsafe fn tile<R: Lookup, F: LanesFormula>(inputs: &[*const u8; MAX_INPUTS], output: *mut u8, n: usize) {
    // SAFETY: the caller's promise: `n` numbers behind either pointer, aligned, apart from each other.
    unsafe {
        let x: &[f32] = std::slice::from_raw_parts(inputs[0].cast(), n);
        let y = std::slice::from_raw_parts_mut(output.cast(), n);
        R::enter(Values { x, y, formula: PhantomData::<F> });
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::arch::x86_64::{__m256, __m512};

    use proptest::prelude::*;

    use super::*;
    use crate::array::kernels::isa;
    use crate::array::kernels::real::Real;
    use crate::array::kernels::tile::Tile;

    struct Gelu;
    impl RealFormula<1> for Gelu {
        #[inline(always)]
        fn at<T: Real, const FAR: bool>([x]: [V<T, FAR>; 1]) -> V<T, FAR> {
            x.gelu()
        }
    }
    impl LanesFormula for Gelu {
        #[inline(always)]
        fn at<R: Lookup>(x: L<R>) -> L<R> {
            x.gelu()
        }
    }

    /// The machine's tiles over registers.
    fn tiles() -> Vec<Tile> {
        let all: [Tile; 2] = [tile::<__m256, Gelu>, tile::<__m512, Gelu>];
        all[..isa::level()].to_vec()
    }

    /// Ordinary numbers, numbers of any size, and what is neither.
    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            6 => -7.0_f32..7.0,
            2 => -12.0_f32..-5.0,
            2 => any::<u32>().prop_map(f32::from_bits),
            1 => prop_oneof![Just(0.0_f32), Just(-0.0), Just(LEAST), Just(-LEAST), Just(f32::NAN), Just(f32::INFINITY)],
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bits_in_registers_are_those_of_one_number(
            x in prop::collection::vec(number(), 0..150),
            skipped in 0..20_usize,
        ) {
            let x = &x[skipped.min(x.len())..];
            for tile in tiles() {
                let mut y = vec![f32::NAN; x.len() + 1];
                let mut inputs = [std::ptr::null(); MAX_INPUTS];
                inputs[0] = x.as_ptr().cast();
                // SAFETY: as many numbers as `x` has behind both; the machine's own registers.
                unsafe { tile(&inputs, y.as_mut_ptr().cast(), x.len()) };
                prop_assert!(y.pop().is_some_and(f32::is_nan), "written beyond the end");
                for (&x, y) in x.iter().zip(y) {
                    let alone = Fused(x).gelu().0;
                    prop_assert!(y.to_bits() == alone.to_bits() || y.is_nan() && alone.is_nan(), "{x:e}: {y:e}, {alone:e}");
                }
            }
        }
    }
}
