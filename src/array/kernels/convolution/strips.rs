//! Depthwise convolution with a small square window that steps by one: images are read where they lie, in strips.
//!
//! Note [Strips]: a strip is as many neighbouring columns of the output as a register has lanes. What one of its lines
//! reads for one tap is a run of the input. Lanes that do not count, because the tap reads beside the input there or because
//! the column is none of the strip's, are zero in both factors: then nothing is added, not even the NaN that an infinity
//! times zero is. Lines beside the input are left out.

#![allow(clippy::needless_range_loop, reason = "one index walks registers, taps and lines at once")]

use std::ops::Range;

use super::{CHUNKS, Geometry, Number};
use crate::array::kernels::product::lanes::enter;
use crate::array::kernels::product::{Kernel, Register};
use crate::array::kernels::reduce::fold;
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;

/// The most lanes of a register.
const LANES: usize = 8;

/// Lines of the output that are computed together and share what they read.
const LINES: usize = 4;

/// Positions that are computed in one go, and those of a task.
const TOGETHER: usize = 8192;

/// The most padding of a line.
const BESIDE: usize = 1 << 10;

/// Whether a convolution is computed here: where lines of the output share what they read, and the weights of all taps
/// stay in registers.
pub fn serve(g: &Geometry) -> bool {
    serve_weights(g) && g.kernel[2] == 3 && g.dilation[1] == 1
}

/// Whether a weight's gradient is.
pub fn serve_weights(g: &Geometry) -> bool {
    let [depth, height, width] = g.kernel;
    let flat = [g.input[0], g.output[0], depth] == [1; 3] && g.padding[0] == 0;
    let small = height == width && matches!(width, 3 | 5);
    let reach = g.dilation[2].saturating_mul(width - 1);
    let near = (0..=BESIDE as isize).contains(&g.padding[2]) && reach <= BESIDE;
    g.is_depthwise() && g.stride == [1; 3] && flat && small && near
}

/// Neighbouring columns of the output.
struct Strip<T, const SIDE: usize> {
    /// The first of them.
    column: usize,
    /// For each column of taps, masks of the lanes that count.
    counts: [[T; LANES]; SIDE],
}

impl<T: Number, const SIDE: usize> Strip<T, SIDE> {
    /// The strips of an output. The last is as wide as the others and overlaps the one before; with `once`, columns that
    /// are in two count in one.
    fn all(g: &Geometry, once: bool) -> Vec<Self> {
        let (width, lanes) = (g.output[2], T::LANES);
        let strip = |start: usize| {
            let column = start.min(width.saturating_sub(lanes));
            let own = if once { start..width } else { column..width };
            let counts = |column: usize, tap| own.contains(&column) && g.read(2, column, tap).is_some();
            let counts =
                std::array::from_fn(|tap| std::array::from_fn(|lane| T::mask(counts(column + lane, tap))));
            Self { column, counts }
        };
        (0..width).step_by(lanes).map(strip).collect()
    }
}

/// Lines of an output channel that are computed in one go.
struct Part {
    lines: Range<usize>,
    /// Those of them that are computed [`LINES`] at once: every tap reads a line of the input.
    together: Range<usize>,
    /// The lines of the input that are read.
    input: Range<usize>,
}

impl Part {
    fn all(g: &Geometry) -> Vec<Self> {
        let (height, last) = (g.output[1], g.kernel[1] - 1);
        let inside = g.inside(1, 0).start..g.inside(1, last).end;
        let part = |lines: Range<usize>| {
            let start = inside.start.clamp(lines.start, lines.end);
            let end = inside.end.clamp(start, lines.end);
            // With steps between its taps a line shares nothing with the next.
            let together = if g.dilation[1] == 1 { start..end - (end - start) % LINES } else { start..start };
            let read = |at: usize| at.saturating_add_signed(-g.padding[1]).min(g.input[1]);
            let input = read(lines.start)..read(lines.end + last * g.dilation[1]);
            Self { lines, together, input }
        };
        let count = (TOGETHER / g.output[2]).max(1).next_multiple_of(LINES);
        (0..height).step_by(count).map(|start| part(start..height.min(start + count))).collect()
    }
}

/// The lines of a channel of the input that a part reads.
#[derive(Clone, Copy)]
struct Input<'a, T> {
    /// As many elements as there is padding, and from the first line on.
    elements: &'a [T],
    first: usize,
    height: usize,
    width: usize,
    padding: isize,
    dilation: [usize; 2],
}

impl<'a, T: Number> Input<'a, T> {
    fn new(g: &Geometry, lines: &Range<usize>, elements: &'a [T]) -> Self {
        let ([_, height, width], [_, dilation @ ..]) = (g.input, g.dilation);
        Self { elements, first: lines.start, height, width, padding: g.padding[1], dilation }
    }

    /// Calls `body` with lines of channel `number` of all images' channels, in a copy where not enough lies around them.
    fn with(g: &Geometry, x: &[T], number: usize, lines: &Range<usize>, body: impl FnOnce(Input<'_, T>)) {
        let (width, padding, reach) = (g.input[2], g.padding[2] as usize, g.dilation[2] * (g.kernel[2] - 1));
        // To the last element that a lane of the last line looks at.
        let length = (lines.len() * width + g.output[2].max(LANES) + reach).saturating_sub(width);
        let start = number * g.plane() + lines.start * width;
        let around = start.checked_sub(padding).and_then(|start| x.get(start..start + length));
        if let Some(elements) = around {
            return body(Input::new(g, lines, elements));
        }
        let own = &x[start..start + lines.len() * width];
        with_scratch(length.max(padding + own.len()), |copy: &mut [T]| {
            copy.fill(T::ZERO);
            copy[padding..padding + own.len()].copy_from_slice(own);
            body(Input::new(g, lines, &copy[..length]));
        });
    }

    /// The line of the input that line `line` of the output reads for a line of taps; there is one for lines computed
    /// together.
    #[inline(always)]
    fn line<const N: usize>(&self, line: usize, tap: usize) -> Option<usize> {
        let step = if N > 1 { 1 } else { self.dilation[0] };
        let at = (line + tap * step).wrapping_add_signed(-self.padding);
        (N > 1 || at < self.height).then_some(at)
    }

    /// What the columns from `column` on read in a line of the input for a column of taps.
    ///
    /// # Safety
    /// The machine has the register; line, column and tap are ones of the part.
    #[inline(always)]
    unsafe fn lanes<R: Register<Element = T>>(&self, line: usize, column: usize, tap: usize) -> R {
        let at = (line - self.first) * self.width + column + tap * self.dilation[1];
        debug_assert!(at + R::LANES <= self.elements.len());
        // SAFETY: `with` has made sure of what the last column reads in the last line for the last tap.
        unsafe { R::load(self.elements.as_ptr().add(at)) }
    }
}

/// Lines of one output channel.
struct Outputs<'a, T, const SIDE: usize> {
    strips: &'a [Strip<T, SIDE>],
    part: &'a Part,
    weights: &'a [[T; SIDE]; SIDE],
    bias: T,
    x: Input<'a, T>,
    /// Those lines.
    y: &'a mut [T],
    width: usize,
}

impl<T: Number, const SIDE: usize> Outputs<'_, T, SIDE> {
    /// # Safety
    /// The machine has the register; the strip and the `N` lines are ones of the part.
    #[inline(always)]
    unsafe fn lines<R: Register<Element = T>, const N: usize>(
        &mut self,
        strip: &Strip<T, SIDE>,
        weights: &[[R; SIDE]; SIDE],
        first: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [R::splat(T::ZERO); N];
            for i in 0..SIDE + N - 1 {
                let Some(line) = self.x.line::<N>(first, i) else { continue };
                for k in 0..SIDE {
                    let x = self.x.lanes::<R>(line, strip.column, k).and(R::load(strip.counts[k].as_ptr()));
                    for n in 0..N {
                        if n <= i && i - n < SIDE {
                            sums[n] = sums[n].multiply_add(weights[i - n][k], x);
                        }
                    }
                }
            }
            let (bias, one) = (R::splat(self.bias), R::splat(T::ONE));
            for n in 0..N {
                sums[n] = sums[n].multiply_add(bias, one);
            }
            let start = (first - self.part.lines.start) * self.width + strip.column;
            // Decided once: decisions between lines would keep them in order.
            if start + (N - 1) * self.width + R::LANES <= self.y.len() {
                for n in 0..N {
                    sums[n].store(self.y.as_mut_ptr().add(start + n * self.width));
                }
            } else {
                // Lanes beyond a line are written again with the next.
                for n in 0..N {
                    let y = &mut self.y[start + n * self.width..];
                    sums[n].store_first(y.as_mut_ptr(), R::LANES.min(y.len()));
                }
            }
        }
    }

    /// # Safety
    /// The machine has the register.
    #[inline(always)]
    unsafe fn all<R: Register<Element = T>>(mut self) {
        // SAFETY: the caller's promise, and the part's own lines.
        unsafe {
            for strip in self.strips {
                let mut weights = [[R::splat(T::ZERO); SIDE]; SIDE];
                for i in 0..SIDE {
                    for k in 0..SIDE {
                        weights[i][k] = R::splat(self.weights[i][k]).and(R::load(strip.counts[k].as_ptr()));
                    }
                }
                let mut line = self.part.lines.start;
                while line < self.part.lines.end {
                    if self.part.together.contains(&line) {
                        self.lines::<R, LINES>(strip, &weights, line);
                        line += LINES;
                    } else {
                        self.lines::<R, 1>(strip, &weights, line);
                        line += 1;
                    }
                }
            }
        }
    }
}

impl<R: Register<Element: Number>, const SIDE: usize> Kernel<R> for Outputs<'_, R::Element, SIDE> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.all::<R>() }
    }
}

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward<T: Number>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    const SIDE: usize = 3;
    let (outputs, positions, width) = (g.outputs_per_group(), g.positions(), g.output[2]);
    let windows = w.as_chunks::<SIDE>().0.as_chunks::<SIDE>().0;
    let (strips, parts) = (Strip::<T, SIDE>::all(g, false), Part::all(g));
    let planes = g.batch * g.groups;
    let together = (TOGETHER / positions).max(1);
    let all = Shared(y.as_mut_ptr());
    pool::for_each_if(g.is_large(), planes.div_ceil(together) * parts.len(), &|task| {
        let (task, part) = (task / parts.len(), &parts[task % parts.len()]);
        for plane in task * together..planes.min((task + 1) * together) {
            Input::with(g, x, plane, &part.input, |x| {
                for output in plane * outputs..(plane + 1) * outputs {
                    let o = output % g.outputs;
                    // SAFETY: these lines of this output are this task's alone.
                    let y = unsafe {
                        all.slice(output * positions + part.lines.start * width, part.lines.len() * width)
                    };
                    let bias = bias.map_or(T::ZERO, |bias| bias[o]);
                    let weights = &windows[o];
                    // SAFETY: strips and part are those of the input and the output.
                    unsafe { enter::<T, _>(Outputs { strips: &strips, part, weights, bias, x, y, width }) };
                }
            });
        }
    });
}

/// The sums of a weight's gradient, by lanes.
type Sums<T, const SIDE: usize> = [[[T; LANES]; SIDE]; SIDE];

/// What lines of one output channel add to its weight's gradient.
struct Products<'a, T, const SIDE: usize> {
    strips: &'a [Strip<T, SIDE>],
    part: &'a Part,
    x: Input<'a, T>,
    /// Those lines.
    gradient: &'a [T],
    width: usize,
    sums: &'a mut Sums<T, SIDE>,
}

impl<T: Number, const SIDE: usize> Products<'_, T, SIDE> {
    /// # Safety
    /// The machine has the register; the strip and the `N` lines are ones of the part.
    #[inline(always)]
    unsafe fn lines<R: Register<Element = T>, const N: usize>(
        &self,
        strip: &Strip<T, SIDE>,
        first: usize,
        sums: &mut [[R; SIDE]; SIDE],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let start = (first - self.part.lines.start) * self.width + strip.column;
            let mut gradient = [R::splat(T::ZERO); N];
            if start + (N - 1) * self.width + R::LANES <= self.gradient.len() {
                for n in 0..N {
                    gradient[n] = R::load(self.gradient.as_ptr().add(start + n * self.width));
                }
            } else {
                for n in 0..N {
                    let g = &self.gradient[start + n * self.width..];
                    gradient[n] = R::load_first(g.as_ptr(), R::LANES.min(g.len()));
                }
            }
            for k in 0..SIDE {
                let counts = R::load(strip.counts[k].as_ptr());
                let mut g = gradient;
                for n in 0..N {
                    g[n] = gradient[n].and(counts);
                }
                for i in 0..SIDE + N - 1 {
                    let Some(line) = self.x.line::<N>(first, i) else { continue };
                    let x = self.x.lanes::<R>(line, strip.column, k).and(counts);
                    for n in 0..N {
                        if n <= i && i - n < SIDE {
                            sums[i - n][k] = sums[i - n][k].multiply_add(g[n], x);
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// The machine has the register.
    #[inline(always)]
    unsafe fn all<R: Register<Element = T>>(self) {
        // SAFETY: the caller's promise, and the part's own lines.
        unsafe {
            let mut sums = [[R::splat(T::ZERO); SIDE]; SIDE];
            for i in 0..SIDE {
                for k in 0..SIDE {
                    sums[i][k] = R::load(self.sums[i][k].as_ptr());
                }
            }
            for strip in self.strips {
                let mut line = self.part.lines.start;
                while line < self.part.lines.end {
                    if self.part.together.contains(&line) {
                        self.lines::<R, LINES>(strip, line, &mut sums);
                        line += LINES;
                    } else {
                        self.lines::<R, 1>(strip, line, &mut sums);
                        line += 1;
                    }
                }
            }
            for i in 0..SIDE {
                for k in 0..SIDE {
                    sums[i][k].store(self.sums[i][k].as_mut_ptr());
                }
            }
        }
    }
}

impl<R: Register<Element: Number>, const SIDE: usize> Kernel<R> for Products<'_, R::Element, SIDE> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.all::<R>() }
    }
}

/// dw, from the input and the gradient `g` of the output: see [`super::weight_grad`].
pub fn weight_grad<T: Number>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    match geo.kernel[2] {
        3 => weight_grad_of::<T, 3>(geo, x, g, dw),
        _ => weight_grad_of::<T, 5>(geo, x, g, dw),
    }
}

fn weight_grad_of<T: Number, const SIDE: usize>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    let (positions, width) = (geo.positions(), geo.output[2]);
    let (strips, parts) = (Strip::<T, SIDE>::all(geo, true), Part::all(geo));
    let units = geo.batch * parts.len();
    let chunks = units.clamp(1, CHUNKS);
    let per_chunk = units.div_ceil(chunks);
    let size = dw.len();
    let mut partial = Cached::filled(T::ZERO, size * chunks);
    let all = Shared(partial.as_mut_ptr());
    pool::for_each_if(geo.is_large(), chunks * geo.outputs, &|task| {
        let (chunk, o) = (task / geo.outputs, task % geo.outputs);
        let mut sums = [[[T::ZERO; LANES]; SIDE]; SIDE];
        for unit in chunk * per_chunk..units.min((chunk + 1) * per_chunk) {
            let (image, part) = (unit / parts.len(), &parts[unit % parts.len()]);
            let plane = image * geo.groups + o / geo.outputs_per_group();
            let first = (image * geo.outputs + o) * positions + part.lines.start * width;
            let gradient = &g[first..first + part.lines.len() * width];
            Input::with(geo, x, plane, &part.input, |x| {
                let products = Products { strips: &strips, part, x, gradient, width, sums: &mut sums };
                // SAFETY: strips and part are those of the input and the gradient.
                unsafe { enter::<T, _>(products) };
            });
        }
        // SAFETY: this output channel's part of this chunk's sum is this task's alone.
        let target = unsafe { all.slice((chunk * geo.outputs + o) * SIDE * SIDE, SIDE * SIDE) };
        for (target, lanes) in target.iter_mut().zip(sums.as_flattened()) {
            *target = fold::joined(lanes, |a, b| a + b);
        }
    });
    dw.fill(T::ZERO);
    for sum in partial.chunks_exact(size.max(1)) {
        dw.iter_mut().zip(sum).for_each(|(dw, &part)| *dw += part);
    }
}
