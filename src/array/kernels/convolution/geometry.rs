//! The sizes of a convolution.

use std::ops::Range;

/// What a convolution and its adjoints agree on. Fewer than three spatial axes are led by axes of extent 1.
///
/// Position `p` of the output reads, for tap `k`, position `p * stride + k * dilation - padding` of the input, and zero
/// where there is none. Padding behind the input is said by the output's extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub batch: usize,
    /// Groups of channels that do not meet.
    pub groups: usize,
    /// Channels of the input, of all groups.
    pub channels: usize,
    /// Channels of the output, of all groups.
    pub outputs: usize,
    /// Extents of the input.
    pub input: [usize; 3],
    /// Extents of the output.
    pub output: [usize; 3],
    /// Extents of the window.
    pub kernel: [usize; 3],
    /// Steps of the window.
    pub stride: [usize; 3],
    /// Zeros before the input; negative to leave out its beginning.
    pub padding: [isize; 3],
    /// Steps within the window.
    pub dilation: [usize; 3],
}

impl Geometry {
    /// Input channels of a group.
    pub fn channels_per_group(&self) -> usize {
        self.channels / self.groups
    }
    /// Output channels of a group.
    pub fn outputs_per_group(&self) -> usize {
        self.outputs / self.groups
    }
    /// Elements of the window.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }
    /// Where in the window the tap of this number is.
    pub fn tap(&self, number: usize) -> [usize; 3] {
        let [_, height, width] = self.kernel;
        [number / (height * width), number / width % height, number % width]
    }
    /// Weights of an output channel.
    pub fn rows(&self) -> usize {
        self.channels_per_group() * self.taps()
    }
    /// Whether a second thread is worth waking: some 40 microseconds of multiply-adds, and of moving what they read.
    pub fn is_large(&self) -> bool {
        const MOVING: usize = 32;
        self.batch * self.outputs * self.positions() * (self.rows() + MOVING) >= 1 << 21
    }
    /// Positions of the output.
    pub fn positions(&self) -> usize {
        self.output.iter().product()
    }
    /// Positions of the input.
    pub fn plane(&self) -> usize {
        self.input.iter().product()
    }

    /// Whether each output position reads the input position of its own number only.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1; 3] && self.stride == [1; 3] && self.padding == [0; 3] && self.input == self.output
    }

    /// Whether there are too few channels in a group for a product of matrices.
    pub fn is_depthwise(&self) -> bool {
        self.channels_per_group() == 1 && self.outputs_per_group() <= 2 && !self.is_pointwise()
    }

    /// The same with one spatial axis where the axes play no part, so that runs are long.
    pub fn collapsed(&self) -> Self {
        if !self.is_pointwise() {
            return *self;
        }
        let positions = [1, 1, self.positions()];
        Self { input: positions, output: positions, dilation: [1; 3], ..*self }
    }

    /// The geometry under which the input's gradient is a convolution; for strides of 1.
    pub fn turned(&self) -> Self {
        let mut padding = [0; 3];
        for (i, padding) in padding.iter_mut().enumerate() {
            *padding = (self.dilation[i] * (self.kernel[i] - 1)) as isize - self.padding[i];
        }
        Self {
            channels: self.outputs,
            outputs: self.channels,
            input: self.output,
            output: self.input,
            padding,
            ..*self
        }
    }

    /// Where tap `k` of axis `i` reads for position `p`; `None` beside the input.
    #[inline]
    pub fn read(&self, i: usize, p: usize, k: usize) -> Option<usize> {
        let at = (p * self.stride[i] + k * self.dilation[i]) as isize - self.padding[i];
        (0..self.input[i] as isize).contains(&at).then_some(at as usize)
    }

    /// The positions along axis `i` for which tap `k` reads inside the input.
    #[inline]
    pub fn inside(&self, i: usize, k: usize) -> Range<usize> {
        let shift = self.padding[i] - (k * self.dilation[i]) as isize;
        let (stride, extent) = (self.stride[i] as isize, self.output[i] as isize);
        let first = |bound: isize| bound.max(0).saturating_add(stride - 1) / stride;
        let start = first(shift).min(extent);
        let end = first(self.input[i] as isize + shift).min(extent).max(start);
        start as usize..end as usize
    }

    /// Which of `count` places of a phase read inside the input along an axis. Place `i` of a phase reads what tap `phase`,
    /// if there were no dilation, reads for position `i`.
    pub fn reads(&self, axis: usize, phase: usize, count: usize) -> Reads {
        let shift = phase as isize - self.padding[axis];
        let from = |bound: isize| ((bound - shift).max(0) as usize).div_ceil(self.stride[axis]).min(count);
        let start = from(0);
        let places = start..from(self.input[axis] as isize).max(start);
        Reads { places, first: (start * self.stride[axis]).wrapping_add_signed(shift) }
    }

    /// A range of the batch's output positions, by image: the image, the first position in it, how many.
    pub fn spans(&self, range: Range<usize>) -> impl Iterator<Item = (usize, usize, usize)> {
        let positions = self.positions();
        let mut at = range.start;
        std::iter::from_fn(move || {
            (at < range.end).then(|| {
                let (image, from) = (at / positions, at % positions);
                let length = (positions - from).min(range.end - at);
                at += length;
                (image, from, length)
            })
        })
    }
}

/// Neighbouring places that read inside the input.
pub struct Reads {
    /// The places.
    pub places: Range<usize>,
    /// What the first of them reads.
    pub first: usize,
}
