//! The padded copy of an image, in which every tap of every channel reads one run of memory: how it is laid out, and filled.
//!
//! Note [Windows as runs]: let the lines of a padded image lie one after the other, each as long as a line of the output
//! and what the window reaches beyond it. Then tap `(a, b)` reads, for the output position `(h, w)`, `a` lines and `b`
//! elements further on than tap `(0, 0)` does: for all positions together a run that begins at the tap's own place. So a
//! convolution is a product of matrices whose B is never made, its rows being runs of the copy. At the end of each line
//! some columns come out that belong to no position; they are left behind. Where windows step over positions, the copy
//! holds the positions of each residue, a *phase*, by themselves, and all of this is true within a phase. Where what is
//! left behind is much, each column of taps has a phase of its own, whose lines end with the output's: see [`Lined`].

use std::sync::Arc;

use super::super::geometry::Geometry;
use super::{COLUMN_COST, LANES, Number};
use crate::array::kernels::product::SLACK;

/// Columns of a band: with as many outputs as are computed at once they stay in the second-level cache.
const COLUMNS: usize = 1024;

/// Columns of a band where there are fewer than [`FEW`] images and groups to share out.
const NARROW_COLUMNS: usize = 256;
const FEW: usize = 16;

/// What it costs to copy an element once more, in products; and the widest window that is copied for each column of taps.
const COPIED_COST: usize = 12;
const WIDEST: usize = 7;

/// Elements up to which a padded copy of a group may be made, and beyond which it must not be this much larger than what it is
/// a copy of: long steps through much padding read little but zeros.
const COPIED: usize = 1 << 20;
const SPARSE: usize = 8;

/// How long the lines of a copy are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lined {
    /// What the window reaches beyond a line of the output is part of it: one copy for all columns of taps.
    Beyond,
    /// As long as a line of the output, so that the output's lines come out joined: a copy for each column of taps.
    Joined,
}

impl Lined {
    /// How an output is best computed: joined lines fill every register, for which more is copied.
    pub(super) fn of(g: &Geometry) -> Self {
        let ([depth, _, width], outputs) = (g.output, g.outputs_per_group());
        let [_, down, _] = Windows::extent_of(g, Self::Joined);
        let saved = Self::Beyond.computed(g).saturating_sub(Self::Joined.computed(g)) * outputs * g.taps();
        let copied = (g.kernel[2] - 1) * (depth * down * width);
        // One column of taps has one copy in any case.
        let pays = copied == 0 || saved > copied * COPIED_COST;
        if g.kernel[2] <= WIDEST && pays { Self::Joined } else { Self::Beyond }
    }

    /// The columns that are computed of an image, those in a register's empty lanes too.
    pub(super) fn computed(self, g: &Geometry) -> usize {
        let [depth, height, width] = g.output;
        match self {
            Self::Joined => depth * (height * width).next_multiple_of(LANES),
            Self::Beyond => {
                let apart = depth * height * width.next_multiple_of(LANES);
                apart.min(Windows::columns_of(g, self).next_multiple_of(LANES))
            }
        }
    }
}

/// Where a padded copy of one group of an image has what.
pub(super) struct Windows {
    /// Extents of a phase.
    pub(super) extent: [usize; 3],
    /// Elements of a channel: all its phases.
    pub(super) size: usize,
    /// Where each tap of each channel begins: the same for all bands of a length.
    pub(super) starts: Arc<[usize]>,
    /// Columns: as long as a tap's run.
    pub(super) columns: usize,
    /// The blocks of a channel that are copied, one for each phase that reads inside the input.
    blocks: Vec<Block>,
}

/// What a phase of the copy holds of the input: the places along each axis, which are a stride apart in the input.
pub(super) struct Block {
    /// The first place in the copy.
    to: usize,
    /// The first place in the input.
    from: usize,
    extent: [usize; 3],
}

impl Windows {
    /// The extents of a phase of the copy.
    fn extent_of(g: &Geometry, lined: Lined) -> [usize; 3] {
        let reach = |i: usize| (g.kernel[i] - 1) * g.dilation[i] / g.stride[i];
        std::array::from_fn(|i| g.output[i] + if is_split(lined, i) { 0 } else { reach(i) })
    }

    /// How long a tap's run is.
    pub(super) fn columns_of(g: &Geometry, lined: Lined) -> usize {
        let [_, height, width] = Self::extent_of(g, lined);
        ((g.output[0] - 1) * height + g.output[1] - 1) * width + g.output[2]
    }

    fn phases_of(g: &Geometry, lined: Lined) -> [usize; 3] {
        std::array::from_fn(|i| match g.kernel[i] {
            1 => 1,
            taps if is_split(lined, i) => taps,
            _ => g.stride[i],
        })
    }

    /// Whether the copy is worth its memory, and making it, band by band, costs no more than making columns.
    pub(super) fn is_dense(g: &Geometry) -> bool {
        let Cut { axis, length } = Cut::of(g, Lined::Beyond);
        let mut band = *g;
        band.output[axis] = length;
        let copied = Self::extent_of(&band, Lined::Beyond)
            .into_iter()
            .chain((0..3).map(|i| g.kernel[i].min(g.stride[i])))
            .fold(g.output[axis].div_ceil(length), usize::saturating_mul);
        let columns = g.positions().saturating_mul(g.taps());
        Self::copied(g) <= (COPIED / g.channels_per_group().max(1)).max(g.plane().saturating_mul(SPARSE))
            && copied.saturating_mul(COPIED_COST) <= columns.saturating_mul(COLUMN_COST)
    }

    /// Elements of a channel's copy: all its phases.
    pub(super) fn copied(g: &Geometry) -> usize {
        let (extent, phases) = (Self::extent_of(g, Lined::Beyond), Self::phases_of(g, Lined::Beyond));
        extent.into_iter().chain(phases).fold(1, usize::saturating_mul)
    }

    /// The copy of a band; `starts` are its [`Windows::starts_of`].
    fn new(g: &Geometry, lined: Lined, starts: Arc<[usize]>) -> Self {
        let extent = Self::extent_of(g, lined);
        let size = extent.into_iter().chain(Self::phases_of(g, lined)).product();
        Self { extent, size, starts, columns: Self::columns_of(g, lined), blocks: Self::blocks_of(g, lined) }
    }

    /// Where each tap of each channel begins.
    fn starts_of(g: &Geometry, lined: Lined) -> Arc<[usize]> {
        let (phases, extent) = (Self::phases_of(g, lined), Self::extent_of(g, lined));
        let plane: usize = extent.iter().product();
        let size = plane * phases.iter().product::<usize>();
        let line = |at: [usize; 3]| (at[0] * extent[1] + at[1]) * extent[2] + at[2];
        let tap = |k: [usize; 3]| {
            let reach = |i: usize| k[i] * g.dilation[i];
            let phase: [usize; 3] =
                std::array::from_fn(|i| if is_split(lined, i) { k[i] } else { reach(i) % g.stride[i] });
            let phase = (phase[0] * phases[1] + phase[1]) * phases[2] + phase[2];
            let place = |i: usize| if is_split(lined, i) { 0 } else { reach(i) / g.stride[i] };
            phase * plane + line(std::array::from_fn(place))
        };
        let taps: Vec<usize> = (0..g.taps()).map(|t| tap(g.tap(t))).collect();
        (0..g.channels_per_group()).flat_map(|c| taps.iter().map(move |t| c * size + t)).collect()
    }

    /// What each of a channel's phases that a tap reads has inside the input.
    fn blocks_of(g: &Geometry, lined: Lined) -> Vec<Block> {
        let (phases, extent) = (Self::phases_of(g, lined), Self::extent_of(g, lined));
        let (plane, [_, height, width]) = (extent.iter().product::<usize>(), g.input);
        // Where taps step evenly through the residues, the first to come back to zero ends them.
        let read = |i: usize| {
            (0..g.kernel[i].min(phases[i]))
                .map(move |k| if is_split(lined, i) { k } else { k * g.dilation[i] % g.stride[i] })
                .enumerate()
                .take_while(|&(k, phase)| k == 0 || phase != 0)
                .map(|(_, phase)| phase)
        };
        let block = |phase: [usize; 3]| {
            let reach = |i: usize| if is_split(lined, i) { phase[i] * g.dilation[i] } else { phase[i] };
            let [depth, down, across] = std::array::from_fn(|i| g.reads(i, reach(i), extent[i]));
            let places = [&depth, &down, &across].map(|reads| reads.places.len());
            // What reads beside the input only has no first place in it.
            (!places.contains(&0)).then(|| {
                let number = (phase[0] * phases[1] + phase[1]) * phases[2] + phase[2];
                let line = depth.places.start * extent[1] + down.places.start;
                let to = number * plane + line * extent[2] + across.places.start;
                let from = (depth.first * height + down.first) * width + across.first;
                Block { to, from, extent: places }
            })
        };
        read(0)
            .flat_map(|d| read(1).flat_map(move |h| read(2).map(move |w| [d, h, w])))
            .filter_map(block)
            .collect()
    }

    /// Elements of the copy.
    pub(super) fn length(&self, g: &Geometry) -> usize {
        g.channels_per_group() * self.size + SLACK
    }

    /// Copies one group of an image, with zeros where a window reaches beside it.
    pub(super) fn fill<T: Number>(&self, g: &Geometry, image: usize, group: usize, x: &[T], copy: &mut [T]) {
        copy.fill(T::ZERO);
        self.refill(g, image, group, x, copy);
    }

    /// Copies one group of an image into a copy of another, or of nothing, which has the zeros already.
    pub(super) fn refill<T: Number>(
        &self,
        g: &Geometry,
        image: usize,
        group: usize,
        x: &[T],
        copy: &mut [T],
    ) {
        let (channels, plane) = (g.channels_per_group(), g.plane());
        let copy = &mut copy[..channels * self.size];
        let first = (image * g.channels + group * channels) * plane;
        let (to_line, from_line) = (self.extent[2], g.stride[1] * g.input[2]);
        let (to_depth, from_depth) = (self.extent[1] * to_line, g.stride[0] * g.input[1] * g.input[2]);
        for (copy, x) in copy.chunks_exact_mut(self.size).zip(x[first..].chunks_exact(plane)) {
            for &Block { to, from, extent: [depth, down, across] } in &self.blocks {
                for d in 0..depth {
                    let (mut to, mut from) = (to + d * to_depth, from + d * from_depth);
                    if g.stride[2] == 1 && to_line == from_line {
                        copy_run(&mut copy[to..], &x[from..], [down, across], to_line);
                        continue;
                    }
                    for _ in 0..down {
                        let copy = &mut copy[to..to + across];
                        if g.stride[2] == 1 {
                            copy_line(copy, &x[from..from + across]);
                        } else {
                            copy.iter_mut()
                                .zip(x[from..].iter().step_by(g.stride[2]))
                                .for_each(|(y, x)| *y = *x);
                        }
                        (to, from) = (to + to_line, from + from_line);
                    }
                }
            }
        }
    }

    /// Calls `body(column, position)` for each line: where it begins among the columns, and where in the output.
    pub(super) fn each_line(&self, band: &Band, whole: &Geometry, mut body: impl FnMut(usize, usize)) {
        let [depth, height, _] = band.geometry.output;
        for d in 0..depth {
            for h in 0..height {
                body((d * self.extent[1] + h) * self.extent[2], band.position(whole, d, h));
            }
        }
    }
}

/// Whether each tap of an axis has a phase of its own.
fn is_split(lined: Lined, axis: usize) -> bool {
    lined == Lined::Joined && axis == 2
}

/// Copies lines that lie as far apart in both as one run, and clears what that carries into the gaps between them.
fn copy_run<T: Number>(to: &mut [T], from: &[T], [down, across]: [usize; 2], apart: usize) {
    let run = (down - 1) * apart + across;
    to[..run].copy_from_slice(&from[..run]);
    for gap in across..apart.min(run) {
        to[gap..run].iter_mut().step_by(apart).for_each(|y| *y = T::ZERO);
    }
}

/// Copies a line: a short one in pieces that may overlap, for a call would take longer.
#[inline]
pub fn copy_line<T: Number>(to: &mut [T], from: &[T]) {
    const PIECE: usize = 8;
    if let (Some(first), Some(last)) = (from.first_chunk::<PIECE>(), from.last_chunk::<PIECE>())
        && let n @ ..=32 = to.len()
    {
        let mut put = |at: usize, piece: &[T; PIECE]| to[at..at + PIECE].copy_from_slice(piece);
        put(0, first);
        for at in [PIECE, 2 * PIECE] {
            if let Some(piece) = from[at.min(n)..].first_chunk() {
                put(at, piece);
            }
        }
        return put(n - PIECE, last);
    }
    to.copy_from_slice(from);
}

/// A part of the output along its first axis that has more than one position.
pub(super) struct Band {
    pub(super) geometry: Geometry,
    /// Its first position.
    first: [usize; 3],
    pub(super) lined: Lined,
    pub(super) windows: Windows,
}

/// How an output is cut into bands: by the geometry alone.
struct Cut {
    axis: usize,
    /// Positions along the axis of all bands but the last, which may be shorter.
    length: usize,
}

impl Cut {
    fn of(g: &Geometry, lined: Lined) -> Self {
        let axis = (0..3).find(|&i| g.output[i] > 1).unwrap_or(2);
        let behind: usize = Windows::extent_of(g, lined)[axis + 1..].iter().product();
        let columns = if g.batch * g.groups < FEW { NARROW_COLUMNS } else { COLUMNS };
        let count = g.output[axis].div_ceil((columns / behind).max(1));
        Self { axis, length: g.output[axis].div_ceil(count) }
    }
}

/// The bands of an output. What they are plays no part in the bits of an output, each being one chain.
pub(super) fn bands(g: &Geometry, lined: Lined) -> Vec<Band> {
    let Cut { axis, length } = Cut::of(g, lined);
    let mut known: Option<(usize, Arc<[usize]>)> = None;
    let band = |start: usize| {
        let mut geometry = *g;
        let mut first = [0; 3];
        first[axis] = start;
        geometry.output[axis] = length.min(g.output[axis] - start);
        geometry.padding[axis] -= (start * g.stride[axis]) as isize;
        let starts = match &known {
            Some((length, starts)) if *length == geometry.output[axis] => Arc::clone(starts),
            _ => Windows::starts_of(&geometry, lined),
        };
        known = Some((geometry.output[axis], Arc::clone(&starts)));
        Band { geometry, first, lined, windows: Windows::new(&geometry, lined, starts) }
    };
    (0..g.output[axis]).step_by(length).map(band).collect()
}

impl Band {
    /// Where in a whole output channel a line of the band begins.
    pub(super) fn position(&self, whole: &Geometry, depth: usize, height: usize) -> usize {
        let [d, h, w] = [self.first[0] + depth, self.first[1] + height, self.first[2]];
        (d * whole.output[1] + h) * whole.output[2] + w
    }
}
