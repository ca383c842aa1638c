//! Windows of one channel: too thin for products of matrices, they are summed run by run.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use std::cell::Cell;
use std::ops::Range;

use super::padded::{Band, Lined, Windows, bands, copy_line};
use crate::array::kernels::convolution::{CHUNKS, Geometry, Number};
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::reduce::fold;
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;

/// Columns summed side by side.
const WIDE: usize = 64;

/// Lanes of a weight's gradient: column `i` goes to lane `i % LANES`.
const LANES: usize = 16;

/// Taps whose lanes stay in registers together.
const TAPS: usize = 5;

/// Columns in a task.
const GROUP: usize = 8192;

/// Columns of a window rounded up to whole blocks, and elements of a copy in which those can be read.
fn extents(windows: &Windows) -> [usize; 2] {
    let columns = windows.columns.next_multiple_of(WIDE);
    let last = windows.starts.iter().max().copied().unwrap_or_default();
    [columns, windows.size.max(last + columns)]
}

/// The sums over the taps of each column.
struct Sums<'a, T> {
    weights: &'a [T],
    starts: &'a [usize],
    copy: &'a [T],
    columns: &'a [Cell<T>],
}

impl<T: Number> Task for Sums<'_, T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, _: usize) {
        for (block, columns) in self.columns.as_chunks::<WIDE>().0.iter().enumerate() {
            let mut sums = [T::ZERO; WIDE];
            for (&weight, &start) in self.weights.iter().zip(self.starts) {
                let Some(run) = self.copy[start + block * WIDE..].first_chunk::<WIDE>() else { return };
                for j in 0..WIDE {
                    sums[j] += weight * run[j];
                }
            }
            for j in 0..WIDE {
                columns[j].set(sums[j]);
            }
        }
    }
}

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward<T: Number>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    let (outputs, positions, taps) = (g.outputs_per_group(), g.positions(), g.taps());
    let bands = bands(g, Lined::Beyond);
    let all = Shared(y.as_mut_ptr());
    let planes = g.batch * g.groups;
    let group = (GROUP / bands[0].windows.columns).max(1);
    pool::for_each_if(g.is_large(), planes.div_ceil(group) * bands.len(), &|task| {
        let (task, band) = (task / bands.len(), &bands[task % bands.len()]);
        let (windows, width) = (&band.windows, band.geometry.output[2]);
        let [columns, length] = extents(windows);
        with_scratch(length + columns, |scratch: &mut [T]| {
            let (copy, columns) = scratch.split_at_mut(length);
            copy.fill(T::ZERO);
            for plane in task * group..planes.min((task + 1) * group) {
                let (image, group) = (plane / g.groups, plane % g.groups);
                windows.refill(&band.geometry, image, group, x, copy);
                for o in group * outputs..(group + 1) * outputs {
                    let weights = &w[o * taps..(o + 1) * taps];
                    let cells = Cell::from_mut(&mut *columns).as_slice_of_cells();
                    leveled(&Sums { weights, starts: &windows.starts, copy, columns: cells }, 0);
                    windows.each_line(band, g, |column, position| {
                        // SAFETY: this output channel's positions of this band are this task's alone.
                        let line =
                            unsafe { all.slice((image * g.outputs + o) * positions + position, width) };
                        let row = &columns[column..column + width];
                        match bias {
                            Some(bias) => line.iter_mut().zip(row).for_each(|(y, &c)| *y = c + bias[o]),
                            None => copy_line(line, row),
                        }
                    });
                }
            }
        });
    });
}

/// The sums over the columns of each tap, by lanes.
struct Products<'a, T> {
    gradient: &'a [T],
    copy: &'a [T],
    starts: &'a [usize],
    sums: &'a [Cell<[T; LANES]>],
}

impl<T: Number> Products<'_, T> {
    #[inline(always)]
    fn taps<const N: usize>(&self, first: usize) {
        let count = self.gradient.len();
        // Each tap's run is cut first: a bound checked within the loop costs as much as the sums.
        let runs: [&[[T; LANES]]; N] =
            std::array::from_fn(|i| self.copy[self.starts[first + i]..][..count].as_chunks().0);
        let mut sums: [[T; LANES]; N] = std::array::from_fn(|i| self.sums[first + i].get());
        for (block, g) in self.gradient.as_chunks::<LANES>().0.iter().enumerate() {
            for (sums, run) in sums.iter_mut().zip(&runs) {
                let x = &run[block];
                for j in 0..LANES {
                    sums[j] += g[j] * x[j];
                }
            }
        }
        for (place, sums) in self.sums[first..].iter().zip(sums) {
            place.set(sums);
        }
    }
}

impl<T: Number> Task for Products<'_, T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, _: usize) {
        for first in (0..self.starts.len()).step_by(TAPS) {
            match self.starts.len() - first {
                1 => self.taps::<1>(first),
                2 => self.taps::<2>(first),
                3 => self.taps::<3>(first),
                4 => self.taps::<4>(first),
                _ => self.taps::<TAPS>(first),
            }
        }
    }
}

/// Adds what a band of some images gives to the sums of a group's taps.
fn add_images<T: Number>(
    geo: &Geometry,
    band: &Band,
    images: Range<usize>,
    group: usize,
    [x, g]: [&[T]; 2],
    sums: &mut [[T; LANES]],
) {
    let (outputs, taps, width) = (geo.outputs_per_group(), geo.taps(), band.geometry.output[2]);
    let windows = &band.windows;
    let [columns, length] = extents(windows);
    if images.is_empty() {
        return;
    }
    with_scratch(length + columns, |scratch: &mut [T]| {
        let (copy, gradient) = scratch.split_at_mut(length);
        copy.fill(T::ZERO);
        gradient.fill(T::ZERO);
        for image in images {
            windows.refill(&band.geometry, image, group, x, copy);
            for (o, sums) in sums.chunks_exact_mut(taps).enumerate() {
                let first = (image * geo.outputs + group * outputs + o) * geo.positions();
                windows.each_line(band, geo, |column, position| {
                    copy_line(&mut gradient[column..column + width], &g[first + position..][..width]);
                });
                let sums = Cell::from_mut(sums).as_slice_of_cells();
                leveled(&Products { gradient, copy, starts: &windows.starts, sums }, 0);
            }
        }
    });
}

/// dw, from the input and the gradient `g` of the output: see [`super::weight_grad`].
pub fn weight_grad<T: Number>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    let (outputs, taps) = (geo.outputs_per_group(), geo.taps());
    let (bands, own) = (bands(geo, Lined::Beyond), outputs * taps);
    // Images of the first band, images of the second, and so on.
    let units = geo.batch * bands.len();
    let chunks = units.clamp(1, CHUNKS);
    let per_chunk = units.div_ceil(chunks);
    let size = dw.len();
    let mut partial = Cached::filled(T::ZERO, size * chunks);
    let all = Shared(partial.as_mut_ptr());
    pool::for_each_if(geo.is_large(), chunks * geo.groups, &|task| {
        let (chunk, group) = (task / geo.groups, task % geo.groups);
        let mut sums = Cached::filled([T::ZERO; LANES], own);
        let units = chunk * per_chunk..units.min((chunk + 1) * per_chunk);
        for (number, band) in bands.iter().enumerate() {
            let image = |unit: usize| unit.saturating_sub(number * geo.batch).min(geo.batch);
            add_images(geo, band, image(units.start)..image(units.end), group, [x, g], &mut sums);
        }
        // SAFETY: this group's part of this chunk's sum is this task's alone.
        let target = unsafe { all.slice(chunk * size + group * own, own) };
        for (target, lanes) in target.iter_mut().zip(sums.iter()) {
            *target = fold::joined(lanes, |a, b| a + b);
        }
    });
    dw.fill(T::ZERO);
    for sum in partial.chunks_exact(size.max(1)) {
        dw.iter_mut().zip(sum).for_each(|(dw, &part)| *dw += part);
    }
}
