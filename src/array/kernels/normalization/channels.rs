//! Batch and group normalization: statistics of whole channels, one factor and one shift for each channel.

use super::{Gradients, Wanted, run_all};
use crate::array::kernels::leveled::Task;
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::moments::{Moments, spread};
use crate::array::kernels::reduce::paired;
use crate::array::kernels::reduce::sum::Float;
use crate::array::{Array, DType};
use crate::error::{Error, Result};

/// Elements in a task, where a set has fewer.
const GROUP: usize = 16 * 1024;

/// How the elements of a contiguous array are cut into sets with statistics of their own: each set is some segments at
/// even distances, and each segment a channel of an image.
#[derive(Clone, Copy, Debug)]
pub struct Sets {
    /// How many sets there are.
    count: usize,
    /// Elements from one set's beginning to the next one's.
    step: usize,
    /// Segments of a set.
    segments: usize,
    /// Elements from one segment's beginning to the next one's.
    segment_step: usize,
    /// Elements of a segment.
    length: usize,
    /// Different channels in a set.
    channels: usize,
    /// Channels of an image.
    all_channels: usize,
}

impl Sets {
    /// A set for each channel: all images' segments of it.
    pub fn of_batch([images, channels, length]: [usize; 3]) -> Self {
        Self {
            count: channels,
            step: length,
            segments: images,
            segment_step: channels * length,
            length,
            channels: 1,
            all_channels: channels,
        }
    }

    /// A set for each of `groups` of channels of each image.
    pub fn of_groups([images, channels, length]: [usize; 3], groups: usize) -> Self {
        let own = channels / groups;
        Self {
            count: images * groups,
            step: own * length,
            segments: own,
            segment_step: length,
            length,
            channels: own,
            all_channels: channels,
        }
    }

    /// Elements of a set.
    pub fn size(&self) -> usize {
        self.segments * self.length
    }

    /// Sets in a task.
    fn group(&self) -> usize {
        (GROUP / self.size().max(1)).max(1)
    }

    #[inline(always)]
    fn channel(&self, set: usize, segment: usize) -> usize {
        (set * self.channels + segment % self.channels) % self.all_channels
    }
}

/// A mean, and one by the root of a variance and `eps`, for each set.
#[derive(Clone, Copy)]
struct Statistics<T> {
    mean: T,
    scale: T,
}

/// Statistics that need not be looked for.
#[derive(Clone, Copy)]
pub enum Known<'a> {
    /// None.
    Nothing,
    /// A mean and a scale for each set, which are constants.
    Given(&'a [Array; 2]),
    /// What [`forward`] found in the same elements.
    Found(&'a [Moments]),
}

/// What both passes read.
struct Operands<T> {
    sets: Sets,
    x: *const T,
    /// Null where there are none.
    weight: *const T,
    /// Null where they are the elements' own.
    mean: *const T,
    scale: *const T,
    /// Null where they are not yet found.
    moments: *const Moments,
    eps: f64,
}

impl<T: Float> Operands<T> {
    fn new(sets: Sets, x: &Array, weight: Option<&Array>, known: Known<'_>, eps: f64) -> Self {
        let (given, found) = match known {
            Known::Nothing => (None, None),
            Known::Given(given) => (Some(given), None),
            Known::Found(moments) => (None, Some(moments)),
        };
        Self {
            sets,
            x: first(Some(x)),
            weight: first(weight),
            mean: first(given.map(|[mean, _]| mean)),
            scale: first(given.map(|[_, scale]| scale)),
            moments: found.map_or(std::ptr::null(), <[Moments]>::as_ptr),
            eps,
        }
    }

    /// A segment's place in the array.
    #[inline(always)]
    fn at(&self, set: usize, segment: usize) -> usize {
        set * self.sets.step + segment * self.sets.segment_step
    }

    /// A segment of an operand.
    ///
    /// # Safety
    /// `from` is a contiguous array of the sets, and the segment is one of them.
    #[inline(always)]
    unsafe fn segment(&self, from: *const T, set: usize, segment: usize) -> &[T] {
        // SAFETY: by the caller's word.
        unsafe { std::slice::from_raw_parts(from.add(self.at(set, segment)), self.sets.length) }
    }

    #[inline(always)]
    fn factor(&self, channel: usize) -> T {
        // SAFETY: there is one for each channel.
        if self.weight.is_null() { <T as Real>::ONE } else { unsafe { *self.weight.add(channel) } }
    }

    /// The statistics of a set, and its moments if they are its own.
    #[inline(always)]
    fn statistics(&self, set: usize) -> (Statistics<T>, Moments) {
        if !self.mean.is_null() {
            // SAFETY: there is one for each set.
            let given = unsafe { Statistics { mean: *self.mean.add(set), scale: *self.scale.add(set) } };
            return (given, Moments::default());
        }
        let moments = if self.moments.is_null() {
            self.look(set)
        } else {
            // SAFETY: there is one for each set.
            unsafe { *self.moments.add(set) }
        };
        let scale = T::of(1.0 / (moments.variance(0.0) + self.eps).sqrt());
        (Statistics { mean: T::of(moments.mean()), scale }, moments)
    }

    /// The moments of a set, by reading it.
    #[inline(always)]
    fn look(&self, set: usize) -> Moments {
        let sets = &self.sets;
        // Segments that lie one after the other are one run.
        let runs = if sets.segment_step == sets.length { 1 } else { sets.segments };
        let length = sets.size() / runs;
        spread(sets.size(), || {
            // SAFETY: the runs of a set that is there.
            (0..runs).map(|run| unsafe { std::slice::from_raw_parts(self.x.add(self.at(set, run)), length) })
        })
    }
}

fn first<T>(x: Option<&Array>) -> *const T {
    x.map_or(std::ptr::null(), |x| x.pointer().cast::<T>().cast_const())
}

struct Forward<T> {
    operands: Operands<T>,
    /// Null where there are none.
    bias: *const T,
    y: *mut T,
    moments: *mut Moments,
}

// SAFETY: tasks read the operands, and each writes to places of `y` and `moments` of its own.
unsafe impl<T> Sync for Forward<T> {}

impl<T: Float> Task for Forward<T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, index: usize) {
        let operands = &self.operands;
        let sets = &operands.sets;
        for set in index * sets.group()..sets.count.min((index + 1) * sets.group()) {
            let (Statistics { mean, scale }, moments) = operands.statistics(set);
            // SAFETY: there is one for each set.
            unsafe { self.moments.add(set).write(moments) };
            for segment in 0..sets.segments {
                let channel = sets.channel(set, segment);
                let factor = scale * operands.factor(channel);
                let shift = if self.bias.is_null() {
                    <T as Real>::ZERO
                } else {
                    // SAFETY: there is one for each channel.
                    unsafe { *self.bias.add(channel) }
                };
                // SAFETY: the segment is there, in `x` and in `y`, which was just made.
                let (x, y) = unsafe {
                    let y = self.y.add(operands.at(set, segment));
                    (
                        operands.segment(operands.x, set, segment),
                        std::slice::from_raw_parts_mut(y, sets.length),
                    )
                };
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * factor + shift);
            }
        }
    }
}

struct Backward<T> {
    operands: Operands<T>,
    g: *const T,
    /// Null where it is not wanted.
    dx: *mut T,
    /// For each channel of each set the sums of g and of g z.
    sums: *mut [f64; 2],
}

// SAFETY: tasks read the operands, and each writes to places of `dx` and `sums` of its own.
unsafe impl<T> Sync for Backward<T> {}

impl<T: Float> Backward<T> {
    /// The sums of each channel of a set, and those of h and of h z by the number of elements.
    #[inline(always)]
    fn sums(&self, set: usize, Statistics { mean, scale }: Statistics<T>) -> [T; 2] {
        let operands = &self.operands;
        let sets = &operands.sets;
        let mut means = [0.0; 2];
        for segment in 0..sets.segments {
            // SAFETY: the segment is there, and so is a place for each channel of the set, which is this task's alone.
            let (x, g, total) = unsafe {
                let place = self.sums.add(set * sets.channels + segment % sets.channels);
                (
                    operands.segment(operands.x, set, segment),
                    operands.segment(self.g, set, segment),
                    &mut *place,
                )
            };
            let sums = paired::sums([x, g], move |[x, g]| [g, g * ((x - mean) * scale)]);
            let factor = Real::to_f64(operands.factor(sets.channel(set, segment)));
            for i in 0..2 {
                total[i] += sums[i];
                means[i] += factor * sums[i];
            }
        }
        means.map(|sum| T::of(sum / sets.size() as f64))
    }
}

impl<T: Float> Task for Backward<T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, index: usize) {
        let operands = &self.operands;
        let sets = &operands.sets;
        for set in index * sets.group()..sets.count.min((index + 1) * sets.group()) {
            let (statistics, _) = operands.statistics(set);
            let [shift, along] = self.sums(set, statistics);
            if self.dx.is_null() {
                continue;
            }
            let Statistics { mean, scale } = statistics;
            // Given statistics are constants.
            let given = !operands.mean.is_null();
            let [shift, along] =
                if given { [<T as Real>::ZERO; 2] } else { [scale * shift, scale * scale * along] };
            for segment in 0..sets.segments {
                let factor = scale * operands.factor(sets.channel(set, segment));
                // SAFETY: the segment is there, in the operands and in `dx`, which was just made.
                let (x, g, dx) = unsafe {
                    let dx = self.dx.add(operands.at(set, segment));
                    (
                        operands.segment(operands.x, set, segment),
                        operands.segment(self.g, set, segment),
                        std::slice::from_raw_parts_mut(dx, sets.length),
                    )
                };
                if given {
                    dx.iter_mut().zip(g).for_each(|(dx, &g)| *dx = factor * g);
                } else {
                    let pairs = x.iter().zip(g);
                    dx.iter_mut()
                        .zip(pairs)
                        .for_each(|(dx, (&x, &g))| *dx = factor * g - shift - (x - mean) * along);
                }
            }
        }
    }
}

/// The normalized array, and the mean and the variance of each set, in doubles: zero where statistics are given.
pub struct Normalized {
    /// The array.
    pub y: Array,
    /// Mean and variance.
    pub moments: Vec<Moments>,
}

fn forward_of<T: Float>(operands: Operands<T>, bias: Option<&Array>, y: Array) -> Normalized {
    let sets = operands.sets;
    let mut moments = vec![Moments::default(); sets.count];
    let task = Forward { operands, bias: first(bias), y: y.pointer().cast(), moments: moments.as_mut_ptr() };
    run_all(&task, sets.count.div_ceil(sets.group()), y.numel());
    Normalized { y, moments }
}

/// (x - mean) / sqrt(variance + eps) times `weight` plus `bias`, over the sets of contiguous `x`. Parameters are
/// contiguous, of `x`'s dtype, one for each channel; so are given means and scales, one for each set.
pub fn forward(
    x: &Array,
    sets: Sets,
    weight: Option<&Array>,
    bias: Option<&Array>,
    known: Known<'_>,
    eps: f64,
) -> Result<Normalized> {
    let y = x.empty_like(x.dtype())?;
    match x.dtype() {
        DType::F32 => Ok(forward_of(Operands::<f32>::new(sets, x, weight, known, eps), bias, y)),
        DType::F64 => Ok(forward_of(Operands::<f64>::new(sets, x, weight, known, eps), bias, y)),
        other => Err(Error::unsupported("batch_norm", other)),
    }
}

fn backward_of<T: Float>(operands: Operands<T>, g: &Array, wanted: Wanted) -> Result<Gradients> {
    let sets = operands.sets;
    let dx = wanted.input.then(|| g.empty_like(T::DTYPE)).transpose()?;
    let mut sums = vec![[0.0; 2]; sets.count * sets.channels];
    let task = Backward {
        operands,
        g: first(Some(g)),
        dx: dx.as_ref().map_or(std::ptr::null_mut(), |dx| dx.pointer().cast()),
        sums: sums.as_mut_ptr(),
    };
    run_all(&task, sets.count.div_ceil(sets.group()), g.numel());
    // Sets are added in their order, whoever summed which.
    let total = |which: usize| {
        let mut total = vec![0.0; sets.all_channels];
        for image in sums.chunks_exact(sets.all_channels) {
            total.iter_mut().zip(image).for_each(|(total, sums)| *total += sums[which]);
        }
        Array::from_slice(&total.into_iter().map(T::of).collect::<Vec<T>>(), &[sets.all_channels])
    };
    let dw = wanted.weight.then(|| total(1)).transpose()?;
    let db = wanted.bias.then(|| total(0)).transpose()?;
    Ok([dx, dw, db])
}

/// The gradients of [`forward`], from the gradient `g` of its output.
///
/// With z what the weight is multiplied with, h = w g and means over a set, dx = s (h - mean(h) - z mean(h z)),
/// dw = sum(g z), db = sum(g); dx = s h if the statistics are given.
pub fn backward(
    g: &Array,
    x: &Array,
    sets: Sets,
    weight: Option<&Array>,
    known: Known<'_>,
    eps: f64,
    wanted: Wanted,
) -> Result<Gradients> {
    match x.dtype() {
        DType::F32 => backward_of(Operands::<f32>::new(sets, x, weight, known, eps), g, wanted),
        DType::F64 => backward_of(Operands::<f64>::new(sets, x, weight, known, eps), g, wanted),
        other => Err(Error::unsupported("batch_norm", other)),
    }
}
