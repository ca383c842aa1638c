//! The innermost loop: a tile of C, a few rows by two registers, kept in registers along the whole depth.
//!
//! Note [One chain per element]: every element of C is one chain of multiply-adds in the order of the inner index,
//! cut only at multiples of [`DEPTH`]. Tile shapes, row groups, threads and instruction sets with fused multiply-add
//! change which elements are computed together, never an element's own arithmetic: so its bits do not depend on them.

use std::marker::PhantomData;

use super::register::{Element, InstructionSet, Kernel, Register};

/// The inner index is cut into blocks of this length: one block of B, two registers wide, fills the first-level cache.
pub const DEPTH: usize = 256;

/// Registers across a tile.
pub const ACROSS: usize = 2;

/// The most rows that any register type keeps in a tile.
pub const MOST_ROWS: usize = 12;

/// Where a tile reads and writes. Strides are in elements; B's and C's columns are contiguous.
pub struct Tile<T> {
    pub depth: usize,
    pub alpha: T,
    pub a: *const T,
    pub a_row: isize,
    pub a_col: isize,
    pub b: *const T,
    pub b_row: isize,
    /// Where B is packed, by [`packing`] tiles only.
    pub b_packed: *mut T,
    /// Where each row of B starts, in elements from `b`, for [`gathered`] tiles only.
    pub b_starts: *const usize,
    pub beta: T,
    pub c: *mut T,
    pub c_row: isize,
    /// Columns of C in the tile's last register, `1..=LANES`.
    pub last: usize,
}

/// Has memory fetched that will be wanted, where nothing else foresees it.
#[inline(always)]
pub fn prefetch<T>(place: *const T) {
    // SAFETY: every x86-64 machine has it; and a prefetch does nothing that a program can see, wherever it points.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// A and B anywhere.
const DIRECT: u8 = 0;
/// Both from a packing buffer: A step by step, `R::ROWS` elements for each, and B in whole registers.
const PACKED: u8 = 1;
/// Rows of B each where `b_starts` says, in whole registers.
const GATHERED: u8 = 2;
/// A and B anywhere, and B's rows are packed on the way.
const PACKING: u8 = 3;

struct Compute<'t, T, const ROWS: usize, const WIDE: usize, const SOURCE: u8>(&'t Tile<T>);

impl<R: Register, const ROWS: usize, const WIDE: usize, const SOURCE: u8> Kernel<R>
    for Compute<'_, R::Element, ROWS, WIDE, SOURCE>
{
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: whoever filled the tile vouches for rows x WIDE registers of C (less the masked lanes) and for
        // `depth` columns of A and rows of B.
        unsafe {
            let tile = self.0;
            let (mut a, mut b) = (tile.a, tile.b);
            let mut sums = [[R::splat(R::Element::ZERO); WIDE]; ROWS];
            // The rows of a large C are far apart: they come while the products are made.
            if SOURCE == PACKED {
                let line = 64 / size_of::<R::Element>();
                for i in 0..ROWS as isize {
                    let row = tile.c.wrapping_offset(i * tile.c_row);
                    for l in 0..(WIDE * R::LANES).div_ceil(line) {
                        prefetch(row.wrapping_add(l * line));
                    }
                    prefetch(row.wrapping_add(WIDE * R::LANES - 1));
                }
            }
            // Packed A is step by step, whatever the tile says.
            let (a_row, a_col) =
                if SOURCE == PACKED { (1, R::ROWS as isize) } else { (tile.a_row, tile.a_col) };
            let b_row = if SOURCE == PACKED { (ACROSS * R::LANES) as isize } else { tile.b_row };
            let taken = match SOURCE {
                PACKED => {
                    R::steps::<ROWS, WIDE, true>(&mut sums, (a, a_row), (b, b_row), tile.last, tile.depth)
                }
                DIRECT if a_col == 1 => {
                    R::steps::<ROWS, WIDE, false>(&mut sums, (a, a_row), (b, b_row), tile.last, tile.depth)
                }
                _ => 0,
            };
            (a, b) = (a.offset(taken as isize * a_col), b.offset(taken as isize * b_row));
            for step in taken..tile.depth {
                if SOURCE == GATHERED {
                    b = tile.b.add(*tile.b_starts.add(step));
                }
                let mut row = [R::splat(R::Element::ZERO); WIDE];
                for v in 0..WIDE {
                    let from = b.add(v * R::LANES);
                    row[v] = if (SOURCE == DIRECT || SOURCE == PACKING) && v == WIDE - 1 {
                        R::load_first(from, tile.last)
                    } else {
                        R::load(from)
                    };
                    if SOURCE == PACKING {
                        row[v].store(tile.b_packed.add((step * ACROSS + v) * R::LANES));
                    }
                }
                for i in 0..ROWS {
                    let x = R::splat(*a.offset(i as isize * a_row));
                    for v in 0..WIDE {
                        sums[i][v] = sums[i][v].multiply_add(x, row[v]);
                    }
                }
                a = a.offset(a_col);
                if SOURCE != GATHERED {
                    b = b.offset(b_row);
                }
            }
            let (alpha, beta) = (R::splat(tile.alpha), R::splat(tile.beta));
            let reads_c = tile.beta != R::Element::ZERO;
            for i in 0..ROWS {
                for v in 0..WIDE {
                    let to = tile.c.offset(i as isize * tile.c_row).add(v * R::LANES);
                    let count = if v == WIDE - 1 { tile.last } else { R::LANES };
                    // Gathered products have no factor, and are many short ones.
                    let mut sum = if SOURCE == GATHERED { sums[i][v] } else { sums[i][v].times(alpha) };
                    if count == R::LANES {
                        if reads_c {
                            sum = sum.multiply_add(beta, R::load(to));
                        }
                        sum.store(to);
                    } else {
                        if reads_c {
                            sum = sum.multiply_add(beta, R::load_first(to, count));
                        }
                        sum.store_first(to, count);
                    }
                }
            }
        }
    }
}

type Compiled<T> = unsafe fn(&Tile<T>);

unsafe fn compute<R: Register, I: InstructionSet, const ROWS: usize, const WIDE: usize, const SOURCE: u8>(
    tile: &Tile<R::Element>,
) {
    // Register types with fewer rows never look at the later entries of the table: nothing is compiled for those.
    let is_called = const {
        match SOURCE {
            GATHERED if WIDE == 1 => ROWS <= R::ROWS_ALONE,
            // The first of several groups of rows, as even as can be.
            PACKING => R::PACKS_BESIDE && WIDE == ACROSS && ROWS > R::ROWS / 2 && ROWS <= R::ROWS,
            _ => ROWS <= R::ROWS,
        }
    };
    if is_called {
        // SAFETY: the caller's promise, passed on.
        unsafe { I::enter::<R, _>(Compute::<R::Element, ROWS, WIDE, SOURCE>(tile)) }
    }
}

/// The compiled tile for every number of rows and registers, in an instruction set that has the registers.
struct Table<R, I>(PhantomData<(R, I)>);

macro_rules! table {
    ($source:ident: $($rows:literal)*) => {
        [$([compute::<R, I, $rows, 1, $source>, compute::<R, I, $rows, 2, $source>]),*]
    };
}

impl<R: Register, I: InstructionSet> Table<R, I> {
    const DIRECT: [[Compiled<R::Element>; ACROSS]; MOST_ROWS] = table!(DIRECT: 1 2 3 4 5 6 7 8 9 10 11 12);
    const PACKED: [[Compiled<R::Element>; ACROSS]; MOST_ROWS] = table!(PACKED: 1 2 3 4 5 6 7 8 9 10 11 12);
    const GATHERED: [[Compiled<R::Element>; ACROSS]; MOST_ROWS] =
        table!(GATHERED: 1 2 3 4 5 6 7 8 9 10 11 12);
    const PACKING: [[Compiled<R::Element>; ACROSS]; MOST_ROWS] = table!(PACKING: 1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Computes a tile of `rows` (`1..=R::ROWS`) by `wide` (`1..=ACROSS`) registers from A and B where they lie.
///
/// # Safety
/// The machine has `R`'s instructions and the tile's elements are valid.
#[inline]
pub unsafe fn direct<R: Register>(rows: usize, wide: usize, tile: &Tile<R::Element>) {
    // SAFETY: the caller's promise, passed on.
    unsafe { Table::<R, R::Instructions>::DIRECT[rows - 1][wide - 1](tile) }
}

/// As [`direct`], of all [`ACROSS`] registers and more than half of `R::ROWS` rows, in a register that packs beside; packs B
/// for the tiles below it.
///
/// # Safety
/// As [`direct`], and there is room for `depth` rows of packed B.
#[inline]
pub unsafe fn packing<R: Register>(rows: usize, tile: &Tile<R::Element>) {
    debug_assert!(R::PACKS_BESIDE && rows > R::ROWS / 2);
    // SAFETY: the caller's promise, passed on.
    unsafe { Table::<R, R::Instructions>::PACKING[rows - 1][ACROSS - 1](tile) }
}

/// As [`direct`], from packed A, `R::ROWS` elements for each step, and packed B, [`ACROSS`] registers for each.
///
/// # Safety
/// As [`direct`].
#[inline]
pub unsafe fn packed<R: Register>(rows: usize, wide: usize, tile: &Tile<R::Element>) {
    // SAFETY: the caller's promise, passed on.
    unsafe { Table::<R, R::Instructions>::PACKED[rows - 1][wide - 1](tile) }
}

/// As [`direct`], with each row of B where `b_starts` says, and whole registers of it to read; of one register across,
/// up to `R::ROWS_ALONE` rows. `I` is an instruction set that has the register, its own or a later one.
///
/// # Safety
/// As [`direct`], and the machine has `I`.
#[inline]
pub unsafe fn gathered<R: Register, I: InstructionSet>(rows: usize, wide: usize, tile: &Tile<R::Element>) {
    // SAFETY: the caller's promise, passed on.
    unsafe { Table::<R, I>::GATHERED[rows - 1][wide - 1](tile) }
}
