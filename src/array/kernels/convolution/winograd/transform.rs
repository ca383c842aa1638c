//! The transforms of minimal filtering, and their adjoints, in registers of neighbouring tiles or windows.

#![allow(clippy::needless_range_loop, reason = "one index walks registers and places of a tile at once")]

use crate::array::kernels::product::lanes::Laned;
use crate::array::kernels::product::{Kernel, Register};

/// Side of a tile of the input, of the output it serves, and of the window.
pub const SIDE: usize = 4;
pub const STEP: usize = 2;
pub const WINDOW: usize = 3;

/// Places in a tile.
pub const PLACES: usize = SIDE * SIDE;

/// Neighbouring tiles that are transformed together.
pub const LANES: usize = <f32 as Laned>::LANES;

/// `B'` times a column of four.
///
/// # Safety
/// The machine has the register; so below.
#[inline(always)]
unsafe fn transformed<R: Register<Element = f32>>([a, b, c, d]: [R; SIDE]) -> [R; SIDE] {
    // SAFETY: the caller's promise; so below.
    unsafe { [a.minus(c), b.plus(c), c.minus(b), b.minus(d)] }
}

/// `A'` times a column of four.
#[inline(always)]
unsafe fn gathered<R: Register<Element = f32>>([a, b, c, d]: [R; SIDE]) -> [R; STEP] {
    // SAFETY: as above.
    unsafe { [a.plus(b).plus(c), b.minus(c).minus(d)] }
}

/// `A` times a column of two.
#[inline(always)]
unsafe fn spread<R: Register<Element = f32>>([a, b]: [R; STEP]) -> [R; SIDE] {
    // SAFETY: as above.
    unsafe { [a, a.plus(b), a.minus(b), R::splat(0.0).minus(b)] }
}

/// `G` times a column of three.
#[inline(always)]
unsafe fn filtered<R: Register<Element = f32>>([a, b, c]: [R; WINDOW]) -> [R; SIDE] {
    // SAFETY: as above.
    unsafe {
        let (half, outer) = (R::splat(0.5), a.plus(c));
        [a, outer.plus(b).times(half), outer.minus(b).times(half), c]
    }
}

/// `G'` times a column of four.
#[inline(always)]
unsafe fn unfiltered<R: Register<Element = f32>>([a, b, c, d]: [R; SIDE]) -> [R; WINDOW] {
    // SAFETY: as above.
    unsafe {
        let half = R::splat(0.5);
        let even = b.plus(c).times(half);
        [a.plus(even), b.minus(c).times(half), even.plus(d)]
    }
}

/// `G w G'` of neighbouring windows, whose taps lie each by itself: `[taps, count]`.
pub struct Windows<'a> {
    pub taps: &'a [f32],
    /// The number of the first window among all, and how many there are.
    pub first: usize,
    pub count: usize,
    /// Windows of an output, and elements left out between outputs: none unless whole registers come before them.
    pub channels: usize,
    pub gap: usize,
    /// Where the first place of window 0 goes, and how far on the next place does.
    pub to: *mut f32,
    pub place: usize,
}

impl<R: Register<Element = f32>> Kernel<R> for Windows<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        debug_assert!(
            self.gap == 0 || self.channels.is_multiple_of(R::LANES) && self.first.is_multiple_of(R::LANES)
        );
        for at in (0..self.count).step_by(R::LANES) {
            let count = R::LANES.min(self.count - at);
            let window = self.first + at;
            // SAFETY: the taps of so many windows can be read, and their places written.
            unsafe {
                let to = self.to.add(window + window / self.channels * self.gap);
                let mut lines = [[R::splat(0.0); WINDOW]; SIDE];
                for column in 0..WINDOW {
                    let mut taps = [R::splat(0.0); WINDOW];
                    for line in 0..WINDOW {
                        let from = (line * WINDOW + column) * self.count + at;
                        taps[line] = R::load_first(self.taps.as_ptr().add(from), count);
                    }
                    let taps = filtered(taps);
                    for line in 0..SIDE {
                        lines[line][column] = taps[line];
                    }
                }
                for line in 0..SIDE {
                    let line_of = filtered(lines[line]);
                    for column in 0..SIDE {
                        let to = to.add((line * SIDE + column) * self.place);
                        if count == R::LANES {
                            line_of[column].store(to);
                        } else {
                            line_of[column].store_first(to, count);
                        }
                    }
                }
            }
        }
    }
}

/// `G' u G` of neighbouring windows: the adjoint of [`Windows`], from places to taps.
pub struct Sums<'a> {
    /// The first place of the first window, and how far on the next place is.
    pub from: &'a [f32],
    pub place: usize,
    pub count: usize,
    /// `[taps, count]`.
    pub taps: &'a mut [f32],
}

impl<R: Register<Element = f32>> Kernel<R> for Sums<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        assert!(self.from.len() >= (PLACES - 1) * self.place + self.count);
        assert!(self.taps.len() >= WINDOW * WINDOW * self.count);
        for at in (0..self.count).step_by(R::LANES) {
            let count = R::LANES.min(self.count - at);
            // SAFETY: the places and the taps of so many windows are there.
            unsafe {
                let mut columns = [[R::splat(0.0); SIDE]; WINDOW];
                for column in 0..SIDE {
                    let mut places = [R::splat(0.0); SIDE];
                    for line in 0..SIDE {
                        let from = (line * SIDE + column) * self.place + at;
                        places[line] = R::load_first(self.from.as_ptr().add(from), count);
                    }
                    let places = unfiltered(places);
                    for line in 0..WINDOW {
                        columns[line][column] = places[line];
                    }
                }
                for line in 0..WINDOW {
                    let taps = unfiltered(columns[line]);
                    for column in 0..WINDOW {
                        let to = self.taps.as_mut_ptr().add((line * WINDOW + column) * self.count + at);
                        taps[column].store_first(to, count);
                    }
                }
            }
        }
    }
}

/// Where registers of tiles begin in a line of so many. The last ends with the line; of fewer tiles than lanes there is one.
#[inline(always)]
fn registers(columns: usize, lanes: usize) -> impl Iterator<Item = usize> {
    let last = columns.saturating_sub(lanes);
    (0..columns.div_ceil(lanes)).map(move |register| last.min(register * lanes))
}

/// The tiles of one channel's lines: a padded copy of what they hold, and where their places go.
pub struct Tiles<'a> {
    pub copy: &'a [f32],
    /// Elements of a line of the copy: those of a register's tiles at least.
    pub across: usize,
    /// Lines of tiles, and tiles in a line.
    pub lines: usize,
    pub columns: usize,
    /// A place's results lie one line of tiles after the other, and may reach a register beyond.
    pub to: &'a mut [f32],
    pub place: usize,
}

impl Tiles<'_> {
    /// Whether tiles that begin two apart and have so long a side lie in the copy, and their places where they go.
    fn fit(&self, side: usize) -> bool {
        self.across >= STEP * (self.columns.max(LANES) - 1) + side
            && self.copy.len() >= (STEP * (self.lines - 1) + side) * self.across
            && self.to.len() >= (PLACES - 1) * self.place + self.lines * self.columns + LANES
    }

    /// Stores the places of a register of tiles, a column at a time.
    ///
    /// # Safety
    /// The machine has the register; the line and the column are ones of the tiles, which fit.
    #[inline(always)]
    unsafe fn put<R: Register<Element = f32>>(
        &mut self,
        line: usize,
        column: usize,
        i: usize,
        places: [R; SIDE],
    ) {
        // SAFETY: beyond a line is the next, written later, or room for a register.
        unsafe {
            let to = self.to.as_mut_ptr().add(line * self.columns + column);
            for k in 0..SIDE {
                places[k].store(to.add((k * SIDE + i) * self.place));
            }
        }
    }
}

/// `B' d B` of tiles of the input.
pub struct Inputs<'a>(pub Tiles<'a>);

impl<R: Register<Element = f32>> Kernel<R> for Inputs<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        /// A line of the input of neighbouring tiles, transformed along the line.
        ///
        /// # Safety
        /// The machine has the register, and two registers and two more numbers can be read.
        #[inline(always)]
        unsafe fn line<R: Register<Element = f32>>(from: *const f32) -> [R; SIDE] {
            // SAFETY: the caller's promise.
            unsafe {
                let (first, second) = R::load(from).parted(R::load(from.add(R::LANES)));
                let next = from.add(STEP);
                let (third, fourth) = R::load(next).parted(R::load(next.add(R::LANES)));
                transformed([first, second, third, fourth])
            }
        }
        const { assert!(R::LANES == LANES) };
        let Self(mut tiles) = self;
        assert!(tiles.fit(SIDE));
        for column in registers(tiles.columns, R::LANES) {
            // SAFETY: the tiles fit.
            unsafe {
                let from = tiles.copy.as_ptr().add(STEP * column);
                let mut above: [[R; SIDE]; STEP] = [line(from), line(from.add(tiles.across))];
                for at in 0..tiles.lines {
                    let from = from.add(STEP * (at + 1) * tiles.across);
                    let below: [[R; SIDE]; STEP] = [line(from), line(from.add(tiles.across))];
                    for i in 0..SIDE {
                        let places = transformed([above[0][i], above[1][i], below[0][i], below[1][i]]);
                        tiles.put(at, column, i, places);
                    }
                    above = below;
                }
            }
        }
    }
}

/// `A g A'` of tiles of the output's gradient: the adjoint of [`Outputs`].
pub struct Gradients<'a>(pub Tiles<'a>);

impl<R: Register<Element = f32>> Kernel<R> for Gradients<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        const { assert!(R::LANES == LANES) };
        let Self(mut tiles) = self;
        assert!(tiles.fit(STEP));
        for column in registers(tiles.columns, R::LANES) {
            for at in 0..tiles.lines {
                // SAFETY: the tiles fit.
                unsafe {
                    let from = tiles.copy.as_ptr().add(STEP * (at * tiles.across + column));
                    let line = |from: *const f32| {
                        let (first, second) = R::load(from).parted(R::load(from.add(R::LANES)));
                        spread([first, second])
                    };
                    let (above, below) = (line(from), line(from.add(tiles.across)));
                    for i in 0..SIDE {
                        let places = spread([above[i], below[i]]);
                        tiles.put(at, column, i, places);
                    }
                }
            }
        }
    }
}

/// `A' m A` of the tiles of one output channel's lines, plus the bias.
pub struct Outputs<'a> {
    /// The products of the first tile's first place, how far on the next place is, and tiles in a line.
    pub products: &'a [f32],
    pub place: usize,
    pub columns: usize,
    pub bias: f32,
    /// The first output; the rows from there on, elements from one to the next, and the columns of them that are written.
    pub y: *mut f32,
    pub rows: usize,
    pub width: usize,
    pub valid: usize,
    /// Zero, made NaN when an output is not finite.
    pub zero: &'a mut f32,
}

impl Outputs<'_> {
    /// Writes the outputs of a register of tiles in one row.
    ///
    /// # Safety
    /// The machine has the register; the row and the column are among those to be written, and the caller's.
    #[inline(always)]
    unsafe fn put<R: Register<Element = f32>>(&self, row: usize, column: usize, [first, second]: [R; STEP]) {
        let count = (STEP * R::LANES).min(self.valid - column);
        // What is written beyond a row is later rows', and written again with them: while there are some.
        let again = self.valid == self.width && self.valid <= STEP * R::LANES;
        let fits = again && row * self.width + STEP * R::LANES <= self.rows * self.width;
        // SAFETY: the caller's promise.
        unsafe {
            let (first, second) = first.interleaved(second);
            let to = self.y.add(row * self.width + column);
            if fits || count > R::LANES {
                first.store(to);
            } else {
                first.store_first(to, count);
            }
            if fits || count == STEP * R::LANES {
                second.store(to.add(R::LANES));
            } else if count > R::LANES {
                second.store_first(to.add(R::LANES), count - R::LANES);
            }
        }
    }
}

impl<R: Register<Element = f32>> Kernel<R> for Outputs<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        const { assert!(R::LANES == LANES) };
        let count = self.columns.min(R::LANES);
        // SAFETY: the products of these tiles can be read, and their outputs are the caller's.
        unsafe {
            let (bias, zero) = (R::splat(self.bias), R::splat(0.0));
            let mut sum = zero;
            for line in 0..self.rows.div_ceil(STEP) {
                for column in registers(self.columns, R::LANES) {
                    let from = self.products.as_ptr().add(line * self.columns + column);
                    let mut halves = [[zero; SIDE]; STEP];
                    for i in 0..SIDE {
                        let mut places = [zero; SIDE];
                        for k in 0..SIDE {
                            places[k] = R::load_first(from.add((k * SIDE + i) * self.place), count);
                        }
                        let places = gathered(places);
                        for k in 0..STEP {
                            halves[k][i] = places[k];
                        }
                    }
                    for k in 0..STEP {
                        let [first, second] = gathered(halves[k]);
                        let outputs = [first.plus(bias), second.plus(bias)];
                        sum = sum.multiply_add(outputs[0], zero).multiply_add(outputs[1], zero);
                        if STEP * line + k < self.rows {
                            self.put(STEP * line + k, STEP * column, outputs);
                        }
                    }
                }
            }
            *self.zero += sum.folded();
        }
    }
}
