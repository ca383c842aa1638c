//! From a formula over numbers to tiles: one loop, compiled for each dtype and each instruction set.

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
use std::arch::x86_64::{__m256, __m512};

use crate::array::kernels::integer::{Integer, N};
use crate::array::kernels::isa::{self, FUSES, LEVELS};
#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
use crate::array::kernels::lanes;
use crate::array::kernels::lanes::LanesFormula;
use crate::array::kernels::real::{Fused, Note, Real};
use crate::array::kernels::tile::{MAX_INPUTS, Tile};
use crate::array::kernels::value::{Mask, V};
use crate::array::{Bool, DType, Element};

/// A formula for one dtype: `I` is the type of every operand, `O` of the result.
pub trait Formula<const ARITY: usize> {
    /// The operands' element type.
    type I: Copy;
    /// The result's element type.
    type O: Copy;
    /// What is noted of elements.
    type Note: Note;
    /// The formula for elements of every kind, itself or a slower one; where `at` holds, its values are the same to the bit.
    type Total: Formula<ARITY, I = Self::I, O = Self::O>;
    /// Whether `at` holds for every element.
    const IS_TOTAL: bool = true;
    /// The largest note of an element for which `at` holds.
    const REACH: Self::Note = Self::Note::LEAST;
    /// The value at one element. Must be `#[inline(always)]`: it is compiled into loops of several instruction sets.
    fn at(x: [Self::I; ARITY]) -> Self::O;
    /// Beyond [`REACH`](Formula::REACH) where `at` does not hold for an element. Must be `#[inline(always)]` too.
    #[inline(always)]
    fn note(_x: [Self::I; ARITY]) -> Self::Note {
        Self::Note::LEAST
    }
}

/// Elements among which one beyond a formula's reach has all of them computed by the total one.
const BLOCK: usize = 1024;

/// `whole` is the tile that this is the body of, `total` that of the total formula.
#[inline(always)]
unsafe fn body<const ARITY: usize, F: Formula<ARITY>>(
    [whole, total]: [Tile; 2],
    inputs: &[*const u8; MAX_INPUTS],
    output: *mut u8,
    n: usize,
) {
    // SAFETY: by the contract of `Tile`: `n` elements behind each pointer, aligned for their dtype, the output apart.
    unsafe {
        if !F::IS_TOTAL && n > BLOCK {
            return in_blocks::<ARITY, F>(whole, inputs, output, n);
        }
        let operands: [&[F::I]; ARITY] =
            std::array::from_fn(|i| std::slice::from_raw_parts(inputs[i].cast::<F::I>(), n));
        let results = std::slice::from_raw_parts_mut(output.cast::<F::O>(), n);
        let mut note = F::Note::LEAST;
        for (i, y) in results.iter_mut().enumerate() {
            let x = std::array::from_fn(|k| *operands[k].get_unchecked(i));
            note = note.max(F::note(x));
            *y = F::at(x);
        }
        if note > F::REACH {
            total(inputs, output, n);
        }
    }
}

/// Computes a long tile as short ones: a loop around the body would cost it registers.
///
/// # Safety
/// As for a tile.
#[inline(never)]
unsafe fn in_blocks<const ARITY: usize, F: Formula<ARITY>>(
    tile: Tile,
    inputs: &[*const u8; MAX_INPUTS],
    output: *mut u8,
    n: usize,
) {
    for start in (0..n).step_by(BLOCK) {
        let inputs = inputs.map(|x| x.wrapping_add(start * size_of::<F::I>()));
        let output = output.wrapping_add(start * size_of::<F::O>());
        // SAFETY: elements of the caller's tile.
        unsafe { tile(&inputs, output, BLOCK.min(n - start)) };
    }
}

unsafe fn portable<const ARITY: usize, F: Formula<ARITY>>(
    inputs: &[*const u8; MAX_INPUTS],
    output: *mut u8,
    n: usize,
) {
    // SAFETY: the same contract.
    unsafe { body::<ARITY, F>([portable::<ARITY, F>, portable::<ARITY, F::Total>], inputs, output, n) }
}

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
#[target_feature(enable = "avx2,fma,bmi1,bmi2")]
unsafe fn avx2<const ARITY: usize, F: Formula<ARITY>>(
    inputs: &[*const u8; MAX_INPUTS],
    output: *mut u8,
    n: usize,
) {
    // SAFETY: the same contract.
    unsafe { body::<ARITY, F>([avx2::<ARITY, F>, avx2::<ARITY, F::Total>], inputs, output, n) }
}

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn avx512<const ARITY: usize, F: Formula<ARITY>>(
    inputs: &[*const u8; MAX_INPUTS],
    output: *mut u8,
    n: usize,
) {
    // SAFETY: the same contract.
    unsafe { body::<ARITY, F>([avx512::<ARITY, F>, avx512::<ARITY, F::Total>], inputs, output, n) }
}

/// One formula's tile for each instruction-set level.
pub type Levels = [Tile; LEVELS];

/// Compiles a float formula for every level, in fused steps for those that have them; both formulas are one, of operands
/// alike in memory. A debug build compiles it once: it is read more often than run.
#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
pub const fn leveled<const ARITY: usize, F: Formula<ARITY>, G: Formula<ARITY>>() -> Levels {
    [base::<ARITY, F, G>(), avx2::<ARITY, G>, avx512::<ARITY, G>]
}

/// Compiles a float formula once for every level.
#[cfg(any(not(target_arch = "x86_64"), debug_assertions))]
pub const fn leveled<const ARITY: usize, F: Formula<ARITY>, G: Formula<ARITY>>() -> Levels {
    [base::<ARITY, F, G>(); LEVELS]
}

/// The tile for what every machine of this target has.
const fn base<const ARITY: usize, F: Formula<ARITY>, G: Formula<ARITY>>() -> Tile {
    if FUSES { portable::<ARITY, G> } else { portable::<ARITY, F> }
}

/// Compiles an integer formula once: integer work is bound by memory.
pub const fn plain<const ARITY: usize, F: Formula<ARITY>>() -> Levels {
    [portable::<ARITY, F>; LEVELS]
}

/// A kernel: the tile for each compute dtype that has one.
pub struct Kernel(pub [Option<Levels>; DType::COUNT]);

impl Kernel {
    /// The tile for a compute dtype on this machine.
    #[inline]
    pub fn tile(&self, compute: DType) -> Option<Tile> {
        self.0[compute as usize].as_ref().map(|levels| levels[isa::level()])
    }
}

/// A formula over floats, for every float type.
pub trait RealFormula<const ARITY: usize> {
    /// The value at one element, `#[inline(always)]`.
    fn at<T: Real, const FAR: bool>(x: [V<T, FAR>; ARITY]) -> V<T, FAR>;
}

/// A truth over floats, for every float type.
pub trait RealTest<const ARITY: usize> {
    /// The truth at one element, `#[inline(always)]`.
    fn at<T: Real>(x: [V<T>; ARITY]) -> Mask;
}

/// A formula over integers, for every integer type.
pub trait IntegerFormula<const ARITY: usize> {
    /// The value at one element, `#[inline(always)]`.
    fn at<T: Integer>(x: [N<T>; ARITY]) -> N<T>;
}

/// A truth over integers, for every integer type.
pub trait IntegerTest<const ARITY: usize> {
    /// The truth at one element, `#[inline(always)]`.
    fn at<T: Integer>(x: [N<T>; ARITY]) -> Mask;
}

struct OfReal<T, F, const FAR: bool = false>(std::marker::PhantomData<(T, F)>);
impl<const ARITY: usize, T: Real, F: RealFormula<ARITY>, const FAR: bool> Formula<ARITY>
    for OfReal<T, F, FAR>
{
    type I = T;
    type O = T;
    type Note = bool;
    type Total = Self;
    #[inline(always)]
    fn at(x: [T; ARITY]) -> T {
        F::at::<T, FAR>(x.map(V)).0
    }
}

/// A formula that takes sines: of numbers beyond [`Real::REACH`], and of some before it, the slow way, which a vectorised loop
/// cannot hold.
struct OfAngle<T, F>(std::marker::PhantomData<(T, F)>);

impl<const ARITY: usize, T: Real, F: RealFormula<ARITY>> Formula<ARITY> for OfAngle<T, F> {
    type I = T;
    type O = T;
    type Note = bool;
    type Total = OfReal<T, F, true>;
    const IS_TOTAL: bool = false;
    #[inline(always)]
    fn at(x: [T; ARITY]) -> T {
        F::at::<T, false>(x.map(V)).0
    }
    /// A formula takes the sine of `x` or of `pi x`.
    #[inline(always)]
    fn note(x: [T; ARITY]) -> bool {
        x.iter().fold(false, |beyond, x| beyond | (x.abs() > T::REACH * T::of(0.25)))
    }
}

/// A formula with exponentials, or else logarithms, of its operand: of most numbers they take fewer steps. Since something is
/// noted of each, the compiler takes four registers at a time, whose steps fill each other's gaps; of other loops it does not.
struct OfMost<T, F, const EXPONENT: bool>(std::marker::PhantomData<(T, F)>);

impl<T: Real, F: RealFormula<1>, const EXPONENT: bool> Formula<1> for OfMost<T, F, EXPONENT> {
    type I = T;
    type O = T;
    type Note = T::Measure;
    type Total = OfReal<T, F, true>;
    const IS_TOTAL: bool = false;
    const REACH: T::Measure = if EXPONENT { T::EXPONENT_REACH } else { T::LOGARITHM_REACH };
    #[inline(always)]
    fn at(x: [T; 1]) -> T {
        F::at::<T, false>(x.map(V)).0
    }
    #[inline(always)]
    fn note([x]: [T; 1]) -> T::Measure {
        if EXPONENT { x.exponent_measure() } else { x.logarithm_measure() }
    }
}

struct OfRealTest<T, F>(std::marker::PhantomData<(T, F)>);
impl<const ARITY: usize, T: Real, F: RealTest<ARITY>> Formula<ARITY> for OfRealTest<T, F> {
    type I = T;
    type O = Bool;
    type Note = bool;
    type Total = Self;
    #[inline(always)]
    fn at(x: [T; ARITY]) -> Bool {
        F::at::<T>(x.map(V)).0.into()
    }
}

struct OfInteger<T, F>(std::marker::PhantomData<(T, F)>);
impl<const ARITY: usize, T: Integer, F: IntegerFormula<ARITY>> Formula<ARITY> for OfInteger<T, F> {
    type I = T;
    type O = T;
    type Note = bool;
    type Total = Self;
    #[inline(always)]
    fn at(x: [T; ARITY]) -> T {
        F::at::<T>(x.map(N)).0
    }
}

struct OfIntegerTest<T, F>(std::marker::PhantomData<(T, F)>);
impl<const ARITY: usize, T: Integer, F: IntegerTest<ARITY>> Formula<ARITY> for OfIntegerTest<T, F> {
    type I = T;
    type O = Bool;
    type Note = bool;
    type Total = Self;
    #[inline(always)]
    fn at(x: [T; ARITY]) -> Bool {
        F::at::<T>(x.map(N)).0.into()
    }
}

/// A kernel of tiles for `f32` and `f64`.
const fn of_floats(narrow: Levels, wide: Levels) -> Kernel {
    Kernel([None, None, None, None, None, None, Some(narrow), Some(wide)])
}

/// A kernel for the float dtypes.
pub const fn real<const ARITY: usize, F: RealFormula<ARITY>>() -> Kernel {
    of_floats(
        leveled::<ARITY, OfReal<f32, F>, OfReal<Fused<f32>, F>>(),
        leveled::<ARITY, OfReal<f64, F>, OfReal<Fused<f64>, F>>(),
    )
}

/// A kernel for the float dtypes whose formula takes sines.
pub const fn angle<const ARITY: usize, F: RealFormula<ARITY>>() -> Kernel {
    of_floats(
        leveled::<ARITY, OfAngle<f32, F>, OfAngle<Fused<f32>, F>>(),
        leveled::<ARITY, OfAngle<f64, F>, OfAngle<Fused<f64>, F>>(),
    )
}

/// A kernel for the float dtypes whose formula has exponentials of its operand.
pub const fn exponential<F: RealFormula<1>>() -> Kernel {
    of_most::<F, true>()
}

/// A kernel for the float dtypes whose formula has logarithms of its operand.
pub const fn logarithmic<F: RealFormula<1>>() -> Kernel {
    of_most::<F, false>()
}

const fn of_most<F: RealFormula<1>, const EXPONENT: bool>() -> Kernel {
    of_floats(
        leveled::<1, OfMost<f32, F, EXPONENT>, OfMost<Fused<f32>, F, EXPONENT>>(),
        leveled::<1, OfMost<f64, F, EXPONENT>, OfMost<Fused<f64>, F, EXPONENT>>(),
    )
}

/// A kernel for the float dtypes whose formula looks up in a table: in `f32` and fused steps it is read over registers.
pub const fn tabled<F: LanesFormula>() -> Kernel {
    let Kernel([.., narrow, wide]) = real::<1, F>();
    #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
    let narrow = match narrow {
        Some([base, ..]) => Some([base, lanes::tile::<__m256, F>, lanes::tile::<__m512, F>]),
        None => None,
    };
    Kernel([None, None, None, None, None, None, narrow, wide])
}

/// A truth-valued kernel for the float dtypes.
pub const fn real_test<const ARITY: usize, F: RealTest<ARITY>>() -> Kernel {
    of_floats(
        leveled::<ARITY, OfRealTest<f32, F>, OfRealTest<Fused<f32>, F>>(),
        leveled::<ARITY, OfRealTest<f64, F>, OfRealTest<Fused<f64>, F>>(),
    )
}

/// A kernel for the integer dtypes.
pub const fn integer<const ARITY: usize, F: IntegerFormula<ARITY>>() -> Kernel {
    Kernel([
        None,
        Some(plain::<ARITY, OfInteger<u8, F>>()),
        Some(plain::<ARITY, OfInteger<i8, F>>()),
        Some(plain::<ARITY, OfInteger<i16, F>>()),
        Some(plain::<ARITY, OfInteger<i32, F>>()),
        Some(plain::<ARITY, OfInteger<i64, F>>()),
        None,
        None,
    ])
}

/// A kernel for the float and the integer dtypes.
pub const fn number<const ARITY: usize, F: RealFormula<ARITY> + IntegerFormula<ARITY>>() -> Kernel {
    let Kernel([_, u8, i8, i16, i32, i64, ..]) = integer::<ARITY, F>();
    let Kernel([.., f32, f64]) = real::<ARITY, F>();
    Kernel([None, u8, i8, i16, i32, i64, f32, f64])
}

/// A truth-valued kernel for the float and the integer dtypes.
pub const fn number_test<const ARITY: usize, F: RealTest<ARITY> + IntegerTest<ARITY>>() -> Kernel {
    let Kernel([.., f32, f64]) = real_test::<ARITY, F>();
    Kernel([
        None,
        Some(plain::<ARITY, OfIntegerTest<u8, F>>()),
        Some(plain::<ARITY, OfIntegerTest<i8, F>>()),
        Some(plain::<ARITY, OfIntegerTest<i16, F>>()),
        Some(plain::<ARITY, OfIntegerTest<i32, F>>()),
        Some(plain::<ARITY, OfIntegerTest<i64, F>>()),
        f32,
        f64,
    ])
}

/// A kernel over truths.
pub const fn logic<const ARITY: usize, F: Formula<ARITY, I = Bool, O = Bool>>() -> Kernel {
    Kernel([Some(plain::<ARITY, F>()), None, None, None, None, None, None, None])
}

/// Which dtype a kernel computes in; the element types' names for a check at compile time.
pub const fn dtype_of<T: Element>() -> DType {
    T::DTYPE
}
