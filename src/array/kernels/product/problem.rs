//! One product as raw pointers and strides, after its bounds were checked; and the choice of a way to compute it.

use super::outer::Keeps;
use super::pack::{Contents, Naming};
use super::register::{Element, Register};
use super::tile::{ACROSS, DEPTH};
use super::{inner, outer, rows};

/// `C = alpha A B + beta C`. Strides are in elements.
#[derive(Clone, Copy)]
pub struct Problem<T> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub alpha: T,
    pub a: *const T,
    pub a_row: isize,
    pub a_col: isize,
    pub b: *const T,
    pub b_row: isize,
    pub b_col: isize,
    pub beta: T,
    pub c: *mut T,
    pub c_row: isize,
    pub c_col: isize,
}

// SAFETY: a problem is handed to other threads only in parts whose C do not overlap (see `part`); A and B are read.
unsafe impl<T: Sync> Sync for Problem<T> {}

/// A B of at most this many elements stays in the first-level cache, wherever it lies: packing it gains nothing.
const SMALL_B: usize = 4096;

/// Inner products of fewer elements cost more to fold than to add up.
const INNER_DEPTH: usize = 64;

/// With more rows and columns than this, turning a panel of B for whole tiles costs less than inner products do.
const INNER_EDGE: usize = 12;

/// With so few rows, a B that is not small is best read in long runs.
const STREAMED_ROWS: usize = 2;

/// A B of at most this many elements stays near enough to be read where it lies, by at most so many rows. With any other,
/// that costs more than packing it does as soon as there are two tiles down, in cache misses and in loads
/// that straddle two lines.
const NEAR_B: usize = 16 << 10;
const IN_PLACE_ROWS: usize = 256;

/// Multiply-adds below which no second thread is asked: some 40 microseconds of them, for waking a thread costs 3.
const PARALLEL_WORK: usize = 1 << 21;

/// Bytes of A and B together from which on a second thread is asked for less work too: a product of one row is as fast as
/// its matrix is read, and half of one that is too large for a core's second-level cache may stay there.
const PARALLEL_READ: usize = 2 << 20;

/// Multiply-adds in a part at least.
const PART_WORK: usize = 1 << 17;

/// The way to compute a problem. Chosen from the whole problem, so that its parts, however many, agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By inner products: A's rows and B's columns are contiguous and one of C's sides is short.
    Inner,
    /// B read once, in long runs.
    Streamed,
    /// B read where it lies, tile by tile.
    InPlace,
    /// B small, copied whole.
    CopiedB,
    /// Packed block by block: B, and A where that gains something.
    Packed,
    /// As `Packed`, of the transposed problem.
    Turned,
}

impl<T: Element> Problem<T> {
    /// `C^T = alpha B^T A^T + beta C^T`: the same elements, with the parts of A and B exchanged.
    #[inline]
    pub fn transposed(&self) -> Self {
        Self {
            m: self.n,
            n: self.m,
            a: self.b,
            a_row: self.b_col,
            a_col: self.b_row,
            b: self.a,
            b_row: self.a_col,
            b_col: self.a_row,
            c_row: self.c_col,
            c_col: self.c_row,
            ..*self
        }
    }

    /// The way for this problem, whose C has contiguous columns.
    #[inline]
    pub fn way<R: Register<Element = T>>(&self) -> Way {
        let small = self.k * self.n <= SMALL_B && self.k <= DEPTH;
        let near = small || self.k * self.n <= NEAR_B && self.m <= IN_PLACE_ROWS;
        if self.b_row == 1 && self.a_col == 1 && self.k >= INNER_DEPTH && self.m.min(self.n) <= INNER_EDGE {
            Way::Inner
        } else if self.b_col == 1 && self.m <= STREAMED_ROWS && !small {
            Way::Streamed
        } else if self.b_col == 1 && (near || self.m <= R::ROWS) {
            Way::InPlace
        } else if small {
            Way::CopiedB
        } else if self.is_turned::<R>() {
            Way::Turned
        } else {
            Way::Packed
        }
    }

    /// Whether a large product turns less as that of its transposed, whose C is turned in the end, and before if it is read.
    /// That needs B in place of A where it lies, rows of C that do not overlap, enough of them to fill a
    /// register, and few enough to turn those of A but once.
    fn is_turned<R: Register<Element = T>>(&self) -> bool {
        let turns_c = if self.beta == T::ZERO { self.n } else { 2 * self.n };
        let a = if outer::packs_a::<R>(self.n, (self.a_row, self.a_col)) { self.k } else { 0 };
        self.m > INNER_EDGE
            && self.a_col == 1
            && self.b_row == 1
            && !outer::packs_a::<R>(self.m, (self.b_col, self.b_row))
            && self.c_row >= self.n as isize
            && outer::keeps_cols::<R>(self.m, self.k)
            && self.m * (self.k + turns_c) < self.n * self.k + self.m * a
    }

    /// Computes the problem on this thread.
    ///
    /// # Safety
    /// The machine has `R`'s instructions, the matrices are valid and C overlaps neither A nor B.
    #[inline]
    pub unsafe fn compute<R: Register<Element = T>>(&self, way: Way) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.compute_rows::<R>(way, None) }
    }

    /// [`compute`](Self::compute), of rows of A with a name, if others of the same may follow.
    #[inline]
    unsafe fn compute_rows<R: Register<Element = T>>(&self, way: Way, rows: Option<Contents>) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            match way {
                Way::InPlace => outer::in_place::<R>(self),
                Way::CopiedB => outer::with_copied_b::<R>(self),
                Way::Packed => outer::packed::<R>(self, rows.map_or(Keeps::Nothing, Keeps::Rows)),
                Way::Turned => outer::turned::<R>(self, rows.unwrap_or_else(|| Naming::new().rows(0))),
                Way::Streamed => rows::streamed::<R>(self),
                Way::Inner => inner::products::<R>(self),
            }
        }
    }

    /// The same problem with A, B and C starting as many elements further on.
    pub fn moved(&self, [a, b, c]: [isize; 3]) -> Self {
        Self {
            a: self.a.wrapping_offset(a),
            b: self.b.wrapping_offset(b),
            c: self.c.wrapping_offset(c),
            ..*self
        }
    }

    /// The part of the problem in rows `rows` and columns `cols` of C.
    pub fn part(&self, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>) -> Self {
        Self {
            m: rows.len(),
            n: cols.len(),
            a: self.a.wrapping_offset(rows.start as isize * self.a_row),
            b: self.b.wrapping_offset(cols.start as isize * self.b_col),
            c: self.c.wrapping_offset(rows.start as isize * self.c_row + cols.start as isize * self.c_col),
            ..*self
        }
    }

    /// Computes the problem on up to `threads` threads. No element's arithmetic depends on the cuts
    /// (Note [One chain per element]), so their number may follow the number of threads.
    ///
    /// # Safety
    /// As [`compute`](Self::compute).
    pub unsafe fn compute_in_parts<R: Register<Element = T>>(&self, threads: usize) {
        let way = self.way::<R>();
        let work = self.m.saturating_mul(self.n).saturating_mul(self.k);
        let read = (self.m.saturating_add(self.n)).saturating_mul(self.k).saturating_mul(size_of::<T>());
        if threads <= 1 || work < PARALLEL_WORK && read < PARALLEL_READ {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.compute::<R>(way) };
        }
        let wanted = (4 * threads).min(work / PART_WORK);
        let (down, across) = self.cuts::<R>(way, wanted, threads);
        let (width, naming) = (ACROSS * R::LANES, Naming::new());
        let panels = self.n.div_ceil(width);
        // A thread's parts lie side by side in the same rows, as far as they can.
        super::for_each(down * across, &|part| {
            let (i, j) = (part / across, part % across);
            let (top, bottom) = (i * self.m / down, (i + 1) * self.m / down);
            let (left, right) = (j * panels / across * width, (j + 1) * panels / across * width);
            let part = self.part(top..bottom, left..right.min(self.n));
            // SAFETY: the caller's promise holds for every part, and no two parts share an element of C.
            unsafe { part.compute_rows::<R>(way, Some(naming.rows(top))) };
        });
    }

    /// Cuts down and across into about as many parts as wanted: first as many as can be had, then those that copy least,
    /// then those with the shortest edges, since a part reads what its edges span.
    fn cuts<R: Register<Element = T>>(&self, way: Way, wanted: usize, threads: usize) -> (usize, usize) {
        let (tall, broad) = if way == Way::Turned { (R::LANES, R::ROWS) } else { (R::ROWS, R::LANES) };
        let (most_down, most_across) = (self.m.div_ceil(4 * tall), self.n.div_ceil(4 * broad));
        let cuts = (1..=wanted.min(most_down)).map(|down| (down, (wanted / down).clamp(1, most_across)));
        let cost = |&(down, across): &(usize, usize)| {
            let rows = self.m.div_ceil(down);
            let copied = self.copied::<R>(way, (down, across), threads);
            (wanted.saturating_sub(down * across), copied, rows + self.n.div_ceil(across))
        };
        cuts.min_by_key(cost).unwrap_or((1, 1))
    }

    /// Elements that threads copy for each step of the inner index, those that they turn counted twice, when every part
    /// copies its columns of B, and a thread its rows of A once for all of its parts, if it can keep them.
    fn copied<R: Register<Element = T>>(
        &self,
        way: Way,
        (down, across): (usize, usize),
        threads: usize,
    ) -> usize {
        let rows = self.m.div_ceil(down);
        let (copies_b, keeps) = match way {
            Way::Packed => (true, outer::keeps_rows::<R>(rows, self.k)),
            Way::Turned => (false, outer::keeps_cols::<R>(rows, self.k)),
            _ => return 0,
        };
        let a = self.m * if self.a_row == 1 { 1 } else { 2 };
        let b = self.n * if self.b_col == 1 { 1 } else { 2 };
        a * if keeps { threads.div_ceil(down) } else { across } + if copies_b { b * down } else { 0 }
    }
}
