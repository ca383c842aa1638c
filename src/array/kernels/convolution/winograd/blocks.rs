//! The tiles of a convolution, cut into blocks whose planes are transformed together.

use std::ops::Range;

use super::super::geometry::Geometry;
use super::super::windows::copy_line;
use super::transform::{LANES, SIDE, STEP, Tiles};
use crate::array::kernels::product::SLACK;

/// How many blocks there should be to share out before blocks get larger.
const SHARED_OUT: usize = 16;

/// Elements of a cache line, more than a register reaches beyond what is asked of it.
pub const LINE: usize = SLACK + 1;

/// Elements of a page: what lies whole pages apart falls on the same set of the cache.
const PAGE: usize = 1024;

/// Lines of tiles in an image, and tiles in a line.
pub fn tiles(g: &Geometry) -> [usize; 2] {
    [g.output[1].div_ceil(STEP), g.output[2].div_ceil(STEP)]
}

/// The planes of a group's channels of an input, or of an output's gradient, of which tiles of `side` begin two apart.
pub struct Planes<'a> {
    numbers: &'a [f32],
    /// Channels of an image, and the group's.
    of_image: usize,
    channels: Range<usize>,
    extent: [usize; 2],
    padding: [isize; 2],
    side: usize,
}

impl<'a> Planes<'a> {
    pub fn inputs(g: &Geometry, group: usize, x: &'a [f32]) -> Self {
        let (count, [_, extent @ ..], [_, padding @ ..]) = (g.channels_per_group(), g.input, g.padding);
        let channels = group * count..(group + 1) * count;
        Self { numbers: x, of_image: g.channels, channels, extent, padding, side: SIDE }
    }

    pub fn gradients(geo: &Geometry, group: usize, g: &'a [f32]) -> Self {
        let (count, [_, extent @ ..]) = (geo.outputs_per_group(), geo.output);
        let channels = group * count..(group + 1) * count;
        Self { numbers: g, of_image: geo.outputs, channels, extent, padding: [0; 2], side: STEP }
    }
}

/// Some lines of tiles, counted through all images, and some of their columns.
pub struct Block {
    pub lines: Range<usize>,
    pub columns: Range<usize>,
}

/// The lines of a block that are of one image.
pub struct Part {
    pub image: usize,
    /// Lines of tiles of the image.
    pub lines: Range<usize>,
    /// The block's tiles before them.
    pub before: usize,
}

impl Block {
    /// All blocks: of at most `most` tiles, and not cut below `least`.
    pub fn all(g: &Geometry, least: usize, most: usize) -> Vec<Self> {
        let [lines, columns] = tiles(g);
        let all_lines = g.batch * lines;
        let most = (all_lines * columns * g.groups / SHARED_OUT).clamp(least, most);
        let across = columns.div_ceil(columns.div_ceil(most));
        let down = (most / across).clamp(1, all_lines);
        // Of the upper half of heights that with which the fewest lanes of a product's registers are left empty.
        let empty = |down: usize| (down * across).next_multiple_of(LANES) as f64 / (down * across) as f64;
        let down =
            (down.div_ceil(2)..=down).rev().min_by(|&a, &b| empty(a).total_cmp(&empty(b))).unwrap_or(down);
        let mut blocks = Vec::new();
        for line in (0..all_lines).step_by(down) {
            for column in (0..columns).step_by(across) {
                blocks.push(Self {
                    lines: line..all_lines.min(line + down),
                    columns: column..columns.min(column + across),
                });
            }
        }
        blocks
    }

    pub fn tiles(&self) -> usize {
        self.lines.len() * self.columns.len()
    }

    /// Elements from a channel to the next: registers may reach beyond the tiles of one.
    pub fn channel(&self) -> usize {
        self.tiles().next_multiple_of(LINE) + LINE
    }

    /// Elements from a place to the next, of so many channels: whatever they are, the places do not fall on the same cache sets.
    pub fn place(&self, channels: usize) -> usize {
        (channels * self.channel()).next_multiple_of(PAGE) + LINE
    }

    /// Elements of a line of the padded copy of tiles of such a side.
    pub fn width(&self, side: usize) -> usize {
        STEP * self.columns.len().max(LANES) + side - STEP
    }

    pub fn copied(&self, side: usize) -> usize {
        (STEP * self.lines.len() + side - STEP) * self.width(side)
    }

    pub fn parts(&self, g: &Geometry) -> impl Iterator<Item = Part> {
        let [height, _] = tiles(g);
        let (Range { start, end }, columns) = (self.lines.clone(), self.columns.len());
        (start / height..end.div_ceil(height)).map(move |image| {
            let first = start.max(image * height);
            Part {
                image,
                lines: first - image * height..end.min((image + 1) * height) - image * height,
                before: (first - start) * columns,
            }
        })
    }

    /// The places of all tiles of all channels, `[places, channels, tiles]`: `transform` makes them from a padded copy.
    pub fn transform(
        &self,
        g: &Geometry,
        planes: &Planes<'_>,
        copy: &mut [f32],
        to: &mut [f32],
        transform: impl Fn(Tiles<'_>),
    ) {
        let ([height, width], [down, right]) = (planes.extent, planes.padding);
        let across = self.width(planes.side);
        // The copy's columns that are the plane's.
        let from = (STEP * self.columns.start) as isize - right;
        let own = (STEP * self.columns.len() + planes.side - STEP) as isize;
        let inside = (-from).clamp(0, own) as usize..(width as isize - from).clamp(0, own) as usize;
        for Part { image, lines, before } in self.parts(g) {
            let rows = STEP * lines.len() + planes.side - STEP;
            let copy = &mut copy[..rows * across];
            copy.fill(0.0);
            for (row, channel) in planes.channels.clone().enumerate() {
                let plane =
                    &planes.numbers[(image * planes.of_image + channel) * height * width..][..height * width];
                if !inside.is_empty() {
                    let first = inside.start.wrapping_add_signed(from);
                    for (row, copy) in copy.chunks_exact_mut(across).enumerate() {
                        let line = (STEP * lines.start + row).wrapping_add_signed(-down);
                        if line < height {
                            copy_line(
                                &mut copy[inside.clone()],
                                &plane[line * width + first..][..inside.len()],
                            );
                        }
                    }
                }
                transform(Tiles {
                    copy,
                    across,
                    lines: lines.len(),
                    columns: self.columns.len(),
                    to: &mut to[row * self.channel() + before..],
                    place: self.place(planes.channels.len()),
                });
            }
        }
    }
}
