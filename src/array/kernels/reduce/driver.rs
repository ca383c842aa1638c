//! Runs a reduction over an array of any layout, on any number of threads, with the same bits.
//!
//! Note [Bits of a reduction]:
//! The numbers that make one output are cut into chunks of a fixed size, each chunk is folded in a fixed number of lanes,
//! and the chunks' results are combined as a balanced tree in the order of the chunks. All of this follows from shapes and
//! strides. Threads only decide who folds which chunk, and registers only how many lanes move at once.

use crate::array::kernels::copy::{self, Run};
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::reduce::geometry::{Axes, AxisSet, Geometry};
use crate::array::{Array, DType, Element, pool};

/// The most elements folded as one chunk: 64 KiB of doubles, which fit the second-level cache and a thread's stack.
pub const CHUNK: usize = 8192;

/// Columns folded side by side: rows of a strided chunk are read in pieces of this many elements.
pub const COLUMNS: usize = 128;

/// Rows folded one after the other before their results are finished.
const ROWS: usize = 32;

/// Below this many elements nobody is woken.
const PARALLEL: usize = 32 * CHUNK;

/// Below this many neighbouring columns their numbers are gathered and folded one column after the other.
const FEWEST_COLUMNS: usize = 8;

/// How numbers become one.
///
/// `run` and `columns` must be `#[inline(always)]`: they are compiled into loops of several instruction sets.
pub trait Reduction: Sync {
    /// What is reduced. An array of another dtype is converted on the way.
    type In: Element;
    /// What a chunk comes to.
    type Partial: Copy + Default + Send + Sync;
    /// The dtype of the result.
    type Out: Element;
    /// Whether wider registers help.
    const VECTOR: bool = Self::In::DTYPE.is_floating();

    /// Folds one chunk (of an empty reduction: an empty one), whose first element has the position `start`.
    fn run(&self, x: &[Self::In], start: usize) -> Self::Partial;
    /// Folds each row of a block; a row is all there is to its output.
    #[inline(always)]
    fn rows(&self, rows: Rows<'_, Self::In>, out: &mut [Self::Partial]) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = self.run(rows.row(i), 0);
        }
    }
    /// Folds each column of a block of rows. `out` is as long as a row.
    fn columns(&self, rows: Rows<'_, Self::In>, start: usize, out: &mut [Self::Partial]);
    /// Combines two chunks; `a` comes first.
    fn combine(&self, a: Self::Partial, b: Self::Partial) -> Self::Partial;
    /// The result.
    fn finish(&self, partial: Self::Partial) -> Self::Out;
}

/// Rows of one width at even distances.
#[derive(Clone, Copy)]
pub struct Rows<'a, T> {
    first: *const T,
    stride: isize,
    count: usize,
    width: usize,
    _life: std::marker::PhantomData<&'a T>,
}

impl<'a, T> Rows<'a, T> {
    /// Rows at even distances.
    ///
    /// # Safety
    /// For `'a`, each of `count` rows must be `width` readable elements.
    pub unsafe fn new(first: *const T, stride: isize, count: usize, width: usize) -> Self {
        Self { first, stride, count, width, _life: std::marker::PhantomData }
    }

    /// The same rows without the columns before `first` and those after the next `width`.
    #[inline(always)]
    pub fn columns(self, first: usize, width: usize) -> Self {
        assert!(first <= self.width && width <= self.width - first, "columns beyond the rows' ends");
        Self { first: self.first.wrapping_add(first), width, ..self }
    }

    /// How many rows there are.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long a row is.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.count);
        // SAFETY: by the word given to `new`.
        unsafe { std::slice::from_raw_parts(self.first.offset(i as isize * self.stride), self.width) }
    }
}

/// Reduces the axes of `x`, leaving the results in `y`, a contiguous array with one place for each.
pub fn reduce<R: Reduction>(reduction: &R, x: &Array, axes: AxisSet, y: &Array) {
    debug_assert!(y.is_contiguous() && y.dtype() == R::Out::DTYPE);
    let outputs = y.numel();
    if outputs == 0 {
        return;
    }
    let direct = x.dtype() == R::In::DTYPE;
    if outputs == 1 && direct && x.is_contiguous() && x.numel() <= CHUNK {
        // SAFETY: contiguous and of this type; `y` has one place. Nobody writes to either meanwhile.
        unsafe {
            let numbers = std::slice::from_raw_parts(x.pointer().cast::<R::In>().cast_const(), x.numel());
            let result = reduction.finish(leveled(&Whole { reduction, numbers }, 0).unwrap_or_default());
            y.pointer().cast::<R::Out>().write(result);
        }
        return;
    }
    let mut geometry = Geometry::new(x, axes);
    let length = if x.numel() == 0 { 0 } else { x.numel() / outputs };
    let source = Source {
        first: x.pointer(),
        size: x.dtype().size() as isize,
        convert: copy::run_between(x.dtype(), R::In::DTYPE),
        direct,
    };
    let target = y.pointer().cast::<R::Out>();
    match take_columns(&mut geometry) {
        Some(column) if length > 0 => {
            by_columns(reduction, &source, &geometry, &column, length, target);
        }
        _ => by_rows(reduction, &source, &geometry, length, outputs, target),
    }
}

/// Where the numbers come from.
struct Source {
    first: *mut u8,
    size: isize,
    convert: Run,
    /// Whether they have the type that is reduced.
    direct: bool,
}

// SAFETY: reductions only read what it points to, which the caller of `reduce` holds.
unsafe impl Sync for Source {}

impl Source {
    fn at<T>(&self, offset: isize) -> *const T {
        self.first.wrapping_offset(offset * self.size).cast()
    }
}

type Buffer<T> = [std::mem::MaybeUninit<T>; CHUNK];

/// A pointer that tasks write through, each to places of its own.
struct Places<T>(*mut T);
// SAFETY: each task writes to places that are its alone.
unsafe impl<T> Sync for Places<T> {}

impl<T> Places<T> {
    fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}

/// A kept axis whose neighbours lie nearer than those of any reduced axis.
struct Column {
    extent: usize,
    stride: isize,
    /// Elements of the output between two columns.
    step: usize,
    /// The output's places of the other kept axes.
    outer: Axes,
}

/// Takes the kept axis along which memory runs out of the geometry, if there is one and it is long enough.
fn take_columns(geometry: &mut Geometry) -> Option<Column> {
    let Geometry { kept, reduced } = geometry;
    if reduced.innermost().abs() == 1 {
        return None;
    }
    let axis = (0..kept.shape.len())
        .filter(|&i| kept.shape[i] >= FEWEST_COLUMNS && kept.strides[i] != 0)
        .min_by_key(|&i| kept.strides[i].unsigned_abs())
        .filter(|&i| kept.strides[i].abs() < reduced.innermost().abs())?;
    let step: usize = kept.shape[axis + 1..].iter().product();
    let mut outer = Axes { shape: kept.shape.clone(), strides: kept.strides.clone() };
    let mut width = 1;
    for (extent, stride) in outer.shape.iter().zip(outer.strides.iter_mut()).rev() {
        *stride = width as isize;
        width *= extent;
    }
    outer.shape.remove(axis);
    outer.strides.remove(axis);
    Some(Column { extent: kept.shape.remove(axis), stride: kept.strides.remove(axis), step, outer })
}

fn run_all<T: Task<Answer = ()> + Sync>(task: &T, count: usize, elements: usize) {
    if elements < PARALLEL {
        (0..count).for_each(|i| leveled(task, i));
    } else {
        pool::for_each(count, &|i| leveled(task, i));
    }
}

/// One chunk that is everything.
struct Whole<'a, R: Reduction> {
    reduction: &'a R,
    numbers: &'a [R::In],
}

impl<R: Reduction> Task for Whole<'_, R> {
    type Answer = Option<R::Partial>;
    const VECTOR: bool = R::VECTOR;
    #[inline(always)]
    fn run(&self, _: usize) -> Option<R::Partial> {
        Some(self.reduction.run(self.numbers, 0))
    }
}

/// Outputs one after the other, each from its own run of numbers.
struct ByRows<'a, R: Reduction> {
    reduction: &'a R,
    source: &'a Source,
    geometry: &'a Geometry,
    length: usize,
    outputs: usize,
    /// Chunks per output; with one, tasks are groups of outputs that are finished at once.
    chunks: usize,
    group: usize,
    direct: bool,
    partials: Places<R::Partial>,
    target: Places<R::Out>,
}

impl<R: Reduction> ByRows<'_, R> {
    /// Folds `n` numbers of one output from position `start` on.
    #[inline(always)]
    fn chunk(&self, output: usize, start: usize, n: usize) -> R::Partial {
        let base = self.geometry.kept.offset(output);
        if self.direct {
            let first = self.source.at::<R::In>(base + start as isize);
            // SAFETY: the reduced axes are one axis of stride 1 (or none), and the positions are inside it.
            return self.reduction.run(unsafe { std::slice::from_raw_parts(first, n) }, start);
        }
        let mut buffer: Buffer<R::In> = [const { std::mem::MaybeUninit::uninit() }; CHUNK];
        self.gather(&mut buffer, base, start, n);
        // SAFETY: `gather` has filled the first `n`.
        self.reduction.run(unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<R::In>(), n) }, start)
    }

    /// Outputs `first..end`, all rows of which lie at even distances as far as the innermost kept axis goes.
    #[inline(always)]
    fn even_rows(&self, mut first: usize, end: usize) {
        let line = self.geometry.kept.shape.last().copied().unwrap_or(1);
        while first < end {
            let count = ROWS.min(end - first).min(line - first % line);
            let start = self.source.at::<R::In>(self.geometry.kept.offset(first));
            // SAFETY: the reduced axes are one axis of stride 1 (or none), and the innermost kept one goes on for `count` rows.
            let rows = unsafe { Rows::new(start, self.geometry.kept.innermost(), count, self.length) };
            let mut partials = [R::Partial::default(); ROWS];
            self.reduction.rows(rows, &mut partials[..count]);
            for (i, &partial) in partials[..count].iter().enumerate() {
                // SAFETY: groups do not overlap, and these are some of the target's places.
                unsafe { self.target.at(first + i).write(self.reduction.finish(partial)) };
            }
            first += count;
        }
    }

    #[inline(never)]
    fn gather(&self, buffer: &mut Buffer<R::In>, base: isize, start: usize, n: usize) {
        let mut place = buffer.as_mut_ptr().cast::<R::In>();
        self.geometry.reduced.each_run(start, n, |offset, step, count| {
            let first = self.source.at::<u8>(base + offset);
            // SAFETY: the runs are inside the array and together `n <= CHUNK` elements.
            unsafe { (self.source.convert)(first, step, place.cast(), 1, count) };
            place = place.wrapping_add(count);
        });
    }
}

impl<R: Reduction> Task for ByRows<'_, R> {
    type Answer = ();
    const VECTOR: bool = R::VECTOR;
    #[inline(always)]
    fn run(&self, index: usize) {
        if self.chunks > 1 {
            let (output, chunk) = (index / self.chunks, index % self.chunks);
            let start = chunk * CHUNK;
            let partial = self.chunk(output, start, CHUNK.min(self.length - start));
            // SAFETY: there is one place for each index.
            unsafe { self.partials.at(index).write(partial) };
            return;
        }
        let first = index * self.group;
        let end = self.outputs.min(first + self.group);
        if self.direct && end > first + 1 {
            return self.even_rows(first, end);
        }
        for output in first..end {
            let result = self.reduction.finish(self.chunk(output, 0, self.length));
            // SAFETY: groups do not overlap, and `output` is one of the target's places.
            unsafe { self.target.at(output).write(result) };
        }
    }
}

fn by_rows<R: Reduction>(
    reduction: &R,
    source: &Source,
    geometry: &Geometry,
    length: usize,
    outputs: usize,
    target: *mut R::Out,
) {
    let chunks = length.div_ceil(CHUNK).max(1);
    let mut partials = vec![R::Partial::default(); if chunks > 1 { outputs * chunks } else { 0 }];
    let group = (CHUNK / length.max(1)).max(1);
    let direct = source.direct && geometry.reduced.shape.len() <= 1 && geometry.reduced.innermost() == 1;
    let task = ByRows {
        reduction,
        source,
        geometry,
        length,
        outputs,
        chunks,
        group,
        direct,
        partials: Places(partials.as_mut_ptr()),
        target: Places(target),
    };
    let tasks = if chunks > 1 { outputs * chunks } else { outputs.div_ceil(group) };
    run_all(&task, tasks, outputs * length);
    if chunks > 1 {
        for (output, partials) in partials.chunks_mut(chunks).enumerate() {
            combine(reduction, partials, 1);
            // SAFETY: `output` is one of the target's places.
            unsafe { target.add(output).write(reduction.finish(partials[0])) };
        }
    }
}

/// Combines chunks of `width` results each into the first, as a balanced tree.
fn combine<R: Reduction>(reduction: &R, partials: &mut [R::Partial], width: usize) {
    let count = partials.len() / width;
    let mut distance = 1;
    while distance < count {
        for k in (0..count - distance).step_by(2 * distance) {
            for j in 0..width {
                let (a, b) = (partials[k * width + j], partials[(k + distance) * width + j]);
                partials[k * width + j] = reduction.combine(a, b);
            }
        }
        distance *= 2;
    }
}

/// Columns side by side, folded row by row.
struct ByColumns<'a, R: Reduction> {
    reduction: &'a R,
    source: &'a Source,
    geometry: &'a Geometry,
    column: &'a Column,
    length: usize,
    /// Rows in a chunk.
    rows: usize,
    /// Chunks per output.
    chunks: usize,
    /// Blocks of columns for each position of the other kept axes.
    blocks: usize,
    units: usize,
    group: usize,
    direct: bool,
    partials: Places<R::Partial>,
    target: Places<R::Out>,
}

impl<R: Reduction> ByColumns<'_, R> {
    #[inline(always)]
    fn unit(&self, unit: usize) {
        let (chunk, block) = (unit % self.chunks, unit / self.chunks);
        let (outer, block) = (block / self.blocks, block % self.blocks);
        let column = block * COLUMNS;
        let width = COLUMNS.min(self.column.extent - column);
        let start = chunk * self.rows;
        let count = self.rows.min(self.length - start);
        let base = self.geometry.kept.offset(outer) + column as isize * self.column.stride;
        let mut results = [R::Partial::default(); COLUMNS];
        let results = &mut results[..width];
        if self.direct {
            let stride = self.geometry.reduced.innermost();
            let first = self.source.at::<R::In>(base + start as isize * stride);
            // SAFETY: the column axis has stride 1, the reduced axes are one, and the block lies inside both.
            let rows = unsafe { Rows::new(first, stride, count, width) };
            self.reduction.columns(rows, start, results);
        } else {
            let mut buffer: Buffer<R::In> = [const { std::mem::MaybeUninit::uninit() }; CHUNK];
            self.gather(&mut buffer, base, start, count, width);
            // SAFETY: `gather` has filled `count` rows of this width.
            let rows = unsafe { Rows::new(buffer.as_ptr().cast::<R::In>(), width as isize, count, width) };
            self.reduction.columns(rows, start, results);
        }
        if self.chunks > 1 {
            for (j, &result) in results.iter().enumerate() {
                // SAFETY: each unit has a row of `COLUMNS` places.
                unsafe { self.partials.at(unit * COLUMNS + j).write(result) };
            }
        } else {
            self.finish(outer, column, results);
        }
    }

    #[inline(always)]
    fn finish(&self, outer: usize, column: usize, results: &[R::Partial]) {
        let first = self.column.outer.offset(outer) as usize + column * self.column.step;
        for (j, &result) in results.iter().enumerate() {
            // SAFETY: one of the target's places, and no other unit's.
            unsafe { self.target.at(first + j * self.column.step).write(self.reduction.finish(result)) };
        }
    }

    #[inline(never)]
    fn gather(&self, buffer: &mut Buffer<R::In>, base: isize, start: usize, count: usize, width: usize) {
        let mut place = buffer.as_mut_ptr().cast::<R::In>();
        for row in start..start + count {
            let first = self.source.at::<u8>(base + self.geometry.reduced.offset(row));
            // SAFETY: the row is inside the array; the buffer holds `CHUNK >= count * width` elements.
            unsafe { (self.source.convert)(first, self.column.stride, place.cast(), 1, width) };
            place = place.wrapping_add(width);
        }
    }
}

impl<R: Reduction> Task for ByColumns<'_, R> {
    type Answer = ();
    const VECTOR: bool = R::VECTOR;
    #[inline(always)]
    fn run(&self, index: usize) {
        let first = index * self.group;
        for unit in first..self.units.min(first + self.group) {
            self.unit(unit);
        }
    }
}

fn by_columns<R: Reduction>(
    reduction: &R,
    source: &Source,
    geometry: &Geometry,
    column: &Column,
    length: usize,
    target: *mut R::Out,
) {
    let width = column.extent.min(COLUMNS);
    let rows = CHUNK / width;
    let chunks = length.div_ceil(rows);
    let blocks = column.extent.div_ceil(COLUMNS);
    let blocks_in_all = geometry.kept.count() * blocks;
    let units = blocks_in_all * chunks;
    let mut partials = vec![R::Partial::default(); if chunks > 1 { units * COLUMNS } else { 0 }];
    let group = if chunks > 1 { 1 } else { (CHUNK / (length * width)).max(1) };
    let task = ByColumns {
        reduction,
        source,
        geometry,
        column,
        length,
        rows,
        chunks,
        blocks,
        units,
        group,
        direct: source.direct && column.stride == 1 && geometry.reduced.shape.len() <= 1,
        partials: Places(partials.as_mut_ptr()),
        target: Places(target),
    };
    run_all(&task, units.div_ceil(group), geometry.kept.count() * column.extent * length);
    if chunks > 1 {
        for (block, partials) in partials.chunks_mut(chunks * COLUMNS).enumerate() {
            combine(reduction, partials, COLUMNS);
            let (outer, block) = (block / blocks, block % blocks);
            let width = COLUMNS.min(column.extent - block * COLUMNS);
            task.finish(outer, block * COLUMNS, &partials[..width]);
        }
    }
}

/// The dtype that a reduction takes.
pub const fn input_of<R: Reduction>() -> DType {
    R::In::DTYPE
}
