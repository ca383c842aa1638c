//! What a product kernel asks of a machine: a register of lanes, and a door into code compiled for it.

use std::marker::PhantomData;

/// The arithmetic of one element; integers wrap.
pub trait Element: Copy + PartialEq + Send + Sync + 'static {
    /// The sum's neutral element.
    const ZERO: Self;
    /// The product's neutral element.
    const ONE: Self;
    /// The element all of whose bits are set: what [`and`](Element::and) leaves as it is.
    const ONES: Self;
    /// `self + a * b`, rounded once where the target multiplies and adds in one instruction.
    fn multiply_add(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    fn plus(self, other: Self) -> Self;
    /// `self - other`.
    fn minus(self, other: Self) -> Self;
    /// `self * other`.
    fn times(self, other: Self) -> Self;
    /// The bits that both have.
    fn and(self, other: Self) -> Self;
}

macro_rules! float_element {
    ($($t:ty),*) => {$(
        impl Element for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const ONES: Self = <$t>::from_bits(!0);
            #[inline(always)]
            fn multiply_add(self, a: Self, b: Self) -> Self {
                // Without the instruction `mul_add` is a call into a software routine, fifty times slower.
                if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, self) } else { self + a * b }
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                <$t>::from_bits(self.to_bits() & other.to_bits())
            }
        }
    )*};
}

macro_rules! integer_element {
    ($($t:ty),*) => {$(
        impl Element for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const ONES: Self = !0;
            #[inline(always)]
            fn multiply_add(self, a: Self, b: Self) -> Self {
                self.wrapping_add(a.wrapping_mul(b))
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
        }
    )*};
}

float_element!(f32, f64);
integer_element!(i8, i16, i32, i64, u8);

/// A loop written over registers, to be run by [`Register::enter`].
pub trait Kernel<R: Register> {
    /// Runs the loop.
    ///
    /// # Safety
    /// The machine has `R`'s instructions, and what the kernel points to is valid.
    unsafe fn run(self);
}

/// A machine register of `LANES` elements. Every method but [`enter`](Register::enter) is inlined into its caller.
///
/// # Safety
/// Callers of any method have made sure that the machine has the register's instructions; pointers are valid for
/// the lanes that the method names.
pub trait Register: Copy {
    /// The type of a lane.
    type Element: Element;
    /// What has the register.
    type Instructions: InstructionSet;
    /// Lanes in the register.
    const LANES: usize;
    /// Rows of the result that fit in the machine's registers, at two registers a row.
    const ROWS: usize;
    /// Rows of the result that fit in the machine's registers, at one register a row.
    const ROWS_ALONE: usize;
    /// The side of the square that [`transpose`](Register::transpose) turns.
    const SQUARE: usize;
    /// The side of the square that [`transpose_few`](Register::transpose_few) turns, at most `ROWS`.
    const SQUARE_OF_FEW: usize = Self::SQUARE;
    /// Whether a tile reads rows of A that lie far apart as fast as packed ones.
    const READS_FAR_ROWS: bool = false;
    /// Whether the first of several tiles packs B for the others: as many tiles more to compile.
    const PACKS_BESIDE: bool = true;
    /// Registers in a cache line.
    const LINE: usize = 64 / (Self::LANES * size_of::<Self::Element>());
    /// Runs `kernel` in a function compiled for this register's instruction set.
    #[inline(always)]
    unsafe fn enter<K: Kernel<Self>>(kernel: K) {
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::Instructions::enter(kernel) }
    }
    /// `x` in every lane.
    unsafe fn splat(x: Self::Element) -> Self;
    /// `LANES` elements from memory.
    unsafe fn load(from: *const Self::Element) -> Self;
    /// The first `count` elements (`1..=LANES`) from memory, zero in the other lanes; reads nothing beyond.
    unsafe fn load_first(from: *const Self::Element, count: usize) -> Self;
    /// `LANES` elements to memory.
    unsafe fn store(self, to: *mut Self::Element);
    /// The first `count` lanes to memory; writes nothing beyond.
    unsafe fn store_first(self, to: *mut Self::Element, count: usize);
    /// `self + a * b`.
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    unsafe fn plus(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn minus(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn times(self, other: Self) -> Self;
    /// The bits that both have.
    unsafe fn and(self, other: Self) -> Self;
    /// The sum of the lanes, folded in halves.
    unsafe fn folded(self) -> Self::Element;
    /// Takes as many of the first steps of a tile as the register knows better than the tile's own loop, and says how many:
    /// of packed A, `Self::ROWS` elements for each step, and packed B, [`ACROSS`](super::tile::ACROSS) registers for each; or
    /// of A whose rows are contiguous and rows of B anywhere, with `last` elements to read in the last of its registers.
    #[inline(always)]
    unsafe fn steps<const ROWS: usize, const WIDE: usize, const PACKED: bool>(
        _sums: &mut [[Self; WIDE]; ROWS],
        _a: (*const Self::Element, isize),
        _b: (*const Self::Element, isize),
        _last: usize,
        _depth: usize,
    ) -> usize {
        0
    }
    /// Writes `to[j * to_row + i] = from[i * from_row + j]` for `i, j` in `0..SQUARE`.
    unsafe fn transpose(from: *const Self::Element, from_row: isize, to: *mut Self::Element, to_row: usize);

    /// [`transpose`](Register::transpose) of a square that is not larger than a tile has rows.
    #[inline(always)]
    unsafe fn transpose_few(
        from: *const Self::Element,
        from_row: isize,
        to: *mut Self::Element,
        to_row: usize,
    ) {
        const { assert!(Self::SQUARE_OF_FEW == Self::SQUARE && Self::SQUARE <= Self::ROWS) };
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::transpose(from, from_row, to, to_row) }
    }

    /// Of the lanes of `self` and then those of `other`, every second, from the first and from the second one on.
    #[inline(always)]
    unsafe fn parted(self, other: Self) -> (Self, Self) {
        const { assert!(Self::LANES <= MOST_LANES) };
        let mut lanes = [Self::Element::ZERO; 2 * MOST_LANES];
        let mut parts = [[Self::Element::ZERO; MOST_LANES]; 2];
        // SAFETY: both lists have room for the lanes of two registers, of which none has more than the most.
        unsafe {
            self.store(lanes.as_mut_ptr());
            other.store(lanes.as_mut_ptr().add(Self::LANES));
            for i in 0..2 * Self::LANES {
                parts[i % 2][i / 2] = lanes[i];
            }
            (Self::load(parts[0].as_ptr()), Self::load(parts[1].as_ptr()))
        }
    }

    /// The lanes of `self` and `other` in turn, which [`parted`](Register::parted) parts again.
    #[inline(always)]
    unsafe fn interleaved(self, other: Self) -> (Self, Self) {
        const { assert!(Self::LANES <= MOST_LANES) };
        let mut parts = [[Self::Element::ZERO; MOST_LANES]; 2];
        let mut lanes = [Self::Element::ZERO; 2 * MOST_LANES];
        // SAFETY: both lists have room for the lanes of two registers, of which none has more than the most.
        unsafe {
            self.store(parts[0].as_mut_ptr());
            other.store(parts[1].as_mut_ptr());
            for i in 0..2 * Self::LANES {
                lanes[i] = parts[i % 2][i / 2];
            }
            (Self::load(lanes.as_ptr()), Self::load(lanes.as_ptr().add(Self::LANES)))
        }
    }
}

/// The most lanes of any register.
const MOST_LANES: usize = 16;

/// An instruction set that the compiler vectorises plain loops for.
pub trait InstructionSet: Copy {
    /// Runs `kernel` in a function compiled for this instruction set.
    ///
    /// # Safety
    /// The machine has the instruction set, and what the kernel points to is valid.
    unsafe fn enter<R: Register, K: Kernel<R>>(kernel: K);
}

/// What every machine of the target has.
#[derive(Clone, Copy)]
pub struct Baseline;

impl InstructionSet for Baseline {
    #[inline(always)]
    unsafe fn enter<R: Register, K: Kernel<R>>(kernel: K) {
        // SAFETY: the caller's promise, passed on.
        unsafe { kernel.run() }
    }
}

/// A register spelled as an array: the compiler finds the instructions.
#[derive(Clone, Copy)]
pub struct Lanes<T, const N: usize, I> {
    lanes: [T; N],
    instructions: PhantomData<I>,
}

impl<T: Element, const N: usize, I> Lanes<T, N, I> {
    #[inline(always)]
    fn of(lanes: [T; N]) -> Self {
        Self { lanes, instructions: PhantomData }
    }
}

impl<T: Element, const N: usize, I: InstructionSet> Register for Lanes<T, N, I> {
    type Element = T;
    type Instructions = I;
    const LANES: usize = N;
    const PACKS_BESIDE: bool = false;
    const ROWS: usize = 4;
    const ROWS_ALONE: usize = 4;
    const SQUARE: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Self::of([x; N])
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller's promise: N elements can be read.
        Self::of(unsafe { from.cast::<[T; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const T, count: usize) -> Self {
        let mut lanes = [T::ZERO; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: i < count, and count elements can be read.
            *lane = unsafe { *from.add(i) };
        }
        Self::of(lanes)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller's promise: N elements can be written.
        unsafe { to.cast::<[T; N]>().write_unaligned(self.lanes) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut T, count: usize) {
        for (i, lane) in self.lanes.iter().enumerate().take(count) {
            // SAFETY: i < count, and count elements can be written.
            unsafe { *to.add(i) = *lane };
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(mut self, a: Self, b: Self) -> Self {
        for i in 0..N {
            self.lanes[i] = self.lanes[i].multiply_add(a.lanes[i], b.lanes[i]);
        }
        self
    }
    #[inline(always)]
    unsafe fn plus(mut self, other: Self) -> Self {
        for i in 0..N {
            self.lanes[i] = self.lanes[i].plus(other.lanes[i]);
        }
        self
    }
    #[inline(always)]
    unsafe fn minus(mut self, other: Self) -> Self {
        for i in 0..N {
            self.lanes[i] = self.lanes[i].minus(other.lanes[i]);
        }
        self
    }
    #[inline(always)]
    unsafe fn times(mut self, other: Self) -> Self {
        for i in 0..N {
            self.lanes[i] = self.lanes[i].times(other.lanes[i]);
        }
        self
    }
    #[inline(always)]
    unsafe fn and(mut self, other: Self) -> Self {
        for i in 0..N {
            self.lanes[i] = self.lanes[i].and(other.lanes[i]);
        }
        self
    }
    #[inline(always)]
    unsafe fn folded(mut self) -> T {
        let mut half = N / 2;
        while half > 0 {
            for i in 0..half {
                self.lanes[i] = self.lanes[i].plus(self.lanes[i + half]);
            }
            half /= 2;
        }
        self.lanes[0]
    }
    #[inline(always)]
    unsafe fn transpose(from: *const T, from_row: isize, to: *mut T, to_row: usize) {
        for i in 0..Self::SQUARE {
            for j in 0..Self::SQUARE {
                // SAFETY: the caller's promise: both squares are valid.
                unsafe { *to.add(j * to_row + i) = *from.offset(i as isize * from_row).add(j) };
            }
        }
    }
}
