//! What convolutions are given: checked as PyTorch checks it, and brought to a [`Geometry`].

use smallvec::{SmallVec, smallvec};

use super::{Padding, convolution, named_input_grad};
use crate::array::Dims;
use crate::array::kernels::convolution::Geometry;
use crate::error::{Error, Kind, Result};
use crate::graph::Tensor;
use crate::ops::nn::{shaped, three, times};

/// What all convolutions are given.
pub struct Call<'a> {
    /// Spatial axes.
    pub axes: usize,
    /// The input.
    pub x: &'a Tensor,
    /// The windows' weights.
    pub weight: &'a Tensor,
    /// One number for each output channel.
    pub bias: Option<&'a Tensor>,
    /// Steps of the window.
    pub stride: &'a [isize],
    /// Steps within the window.
    pub dilation: &'a [isize],
    /// Groups of channels that do not meet.
    pub groups: isize,
}

type Steps = SmallVec<[usize; 3]>;

/// The largest extent: places beside an input are counted below zero too.
const MOST: usize = isize::MAX as usize;

impl Call<'_> {
    fn name(&self, transposed: bool) -> String {
        format!("conv{}{}d", if transposed { "_transpose" } else { "" }, self.axes)
    }

    /// Numbers for each axis, none below `least`.
    fn steps(&self, given: &[isize], what: &str, least: isize) -> Result<Steps> {
        let axes = self.axes;
        if given.len() != 1 && given.len() != axes {
            return Err(Error::runtime(format!(
                "expected {what} to be a single integer value or a list of {axes} values to match the convolution \
                 dimensions, but got {what}={given:?}"
            )));
        }
        if given.iter().any(|&n| n < least) {
            let kind = if least == 0 { "negative" } else { "non-positive" };
            return Err(Error::runtime(format!("{kind} {what} is not supported")));
        }
        Ok((0..axes).map(|i| given[if given.len() == 1 { 0 } else { i }] as usize).collect())
    }

    fn check(&self, transposed: bool) -> Result<()> {
        let (axes, x, w) = (self.axes, self.x.shape(), self.weight.shape());
        if self.groups <= 0 {
            return Err(Error::runtime("non-positive groups is not supported"));
        }
        if x.len() != axes + 1 && x.len() != axes + 2 {
            return Err(Error::runtime(format!(
                "Expected {}D (unbatched) or {}D (batched) input to {}, but got input of size: {:?}",
                axes + 1,
                axes + 2,
                self.name(transposed),
                &x[..]
            )));
        }
        if w.len() != axes + 2 {
            return Err(Error::runtime(format!(
                "Expected {}-dimensional input for {}-dimensional weight {:?}, but got {}-dimensional input of size {:?} \
                 instead",
                w.len(),
                w.len(),
                &w[..],
                axes + 2,
                self.batched_shape()
            )));
        }
        let dtype = self.x.dtype();
        if let Some(bias) = self.bias.filter(|bias| bias.dtype() != dtype) {
            return Err(Error::runtime(format!(
                "Input type ({}) and bias type ({}) should be the same",
                dtype.c_name().to_lowercase(),
                bias.dtype().c_name().to_lowercase()
            )));
        }
        if self.weight.dtype() != dtype {
            return Err(Error::runtime(format!(
                "expected scalar type {} but found {}",
                dtype.scalar_name(),
                self.weight.dtype().scalar_name()
            )));
        }
        self.check_channels(transposed)
    }

    fn check_channels(&self, transposed: bool) -> Result<()> {
        let (x, w, groups) = (self.batched_shape(), self.weight.shape(), self.groups as usize);
        if w[0] < groups {
            return Err(Error::runtime(format!(
                "Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size {:?} \
                 instead",
                &w[..]
            )));
        }
        if w[0] % groups != 0 {
            return Err(Error::runtime(format!(
                "Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size \
                 [{:?}] instead",
                &w[..]
            )));
        }
        let channels = if transposed { w[0] } else { w[1] * groups };
        if x[1] != channels {
            let given = if transposed { "transposed=1".to_owned() } else { format!("groups={groups}") };
            return Err(Error::runtime(format!(
                "Given {given}, weight of size {:?}, expected input{:?} to have {channels} channels, but got {} channels \
                 instead",
                &w[..],
                &x[..],
                x[1]
            )));
        }
        let outputs = if transposed { w[1] * groups } else { w[0] };
        match self.bias.map(Tensor::shape) {
            Some(bias) if bias[..] != [outputs] => Err(Error::runtime(format!(
                "Given {}weight of size {:?}, expected bias to be 1-dimensional with {outputs} elements, but got bias of \
                 size {:?} instead",
                if transposed { "transposed=1, " } else { "" },
                &w[..],
                &bias[..]
            ))),
            _ => Ok(()),
        }
    }

    fn check_kernel(&self) -> Result<()> {
        let extents = &self.weight.shape()[2..];
        if !extents.contains(&0) {
            return Ok(());
        }
        let given = match *extents {
            [width] => format!(" kernel_height: 1 kernel_width: {width}"),
            [height, width] => format!(" kernel_height: {height} kernel_width: {width}"),
            _ => format!(": {} (TxHxW)", times(extents)),
        };
        Err(Error::runtime(format!("kernel size should be greater than zero, but got{given}")))
    }

    fn batched_shape(&self) -> Dims {
        let mut shape = self.x.shape();
        if shape.len() == self.axes + 1 {
            shape.insert(0, 1);
        }
        shape
    }

    fn batched(&self) -> Result<Tensor> {
        let shape = self.batched_shape();
        if shape.len() == self.x.ndim() { Ok(self.x.clone()) } else { shaped(self.x, &shape) }
    }

    /// The result without a batch where the input has none.
    fn like_input(&self, y: Tensor) -> Result<Tensor> {
        if self.x.ndim() == self.axes + 2 { Ok(y) } else { shaped(&y, &y.shape()[1..]) }
    }

    /// The convolution.
    pub fn convolve(&self, padding: Padding<'_>) -> Result<Tensor> {
        self.check(false)?;
        let axes = self.axes;
        let stride = self.steps(self.stride, "stride", 1)?;
        let dilation = self.steps(self.dilation, "dilation", 1)?;
        let (x, w) = (self.batched_shape(), self.weight.shape());
        let reach: Steps = w[2..]
            .iter()
            .zip(&dilation)
            .map(|(&k, &d)| d.saturating_mul(k.saturating_sub(1)).min(MOST))
            .collect();
        // Zeros on both sides together, and how many of them stand before.
        let (padded, before): (Steps, Steps) = match padding {
            Padding::Each(given) => {
                let each = self.steps(given, "padding", 0)?;
                (each.iter().map(|&p| p.saturating_mul(2)).collect(), each)
            }
            Padding::Valid => (smallvec![0; axes], smallvec![0; axes]),
            Padding::Same if stride.iter().any(|&s| s != 1) => {
                return Err(Error::runtime("padding='same' is not supported for strided convolutions"));
            }
            Padding::Same => (reach.clone(), reach.iter().map(|&r| r / 2).collect()),
        };
        let sizes: Steps = x[2..].iter().zip(&padded).map(|(&n, &p)| n.saturating_add(p)).collect();
        if sizes.iter().any(|&n| n > MOST) {
            return Err(Kind::SizeOverflow { shape: sizes.into_iter().collect() }.into());
        }
        // A window of none has no reach, and covers nothing.
        let kernel: Steps =
            reach.iter().zip(&w[2..]).map(|(&r, &k)| if k == 0 { 0 } else { r + 1 }).collect();
        if sizes.iter().zip(&kernel).any(|(n, k)| n < k) {
            return Err(Error::runtime(format!(
                "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than \
                 actual input size",
                times(&sizes),
                times(&kernel)
            )));
        }
        self.check_kernel()?;
        let output: Steps = (0..axes).map(|i| (sizes[i] - reach[i] - 1) / stride[i] + 1).collect();
        let geometry = Geometry {
            batch: x[0],
            groups: self.groups as usize,
            channels: x[1],
            outputs: w[0],
            input: three(&x[2..]),
            output: three(&output),
            kernel: three(&w[2..]),
            stride: three(&within(&stride, &sizes)),
            padding: signed(&before),
            dilation: three(&within(&dilation, &sizes)),
        };
        let y = convolution(&self.batched()?, self.weight, self.bias, Sizes { geometry, axes })?;
        self.like_input(y)
    }

    /// The adjoint of a convolution in its input.
    pub fn transpose(&self, padding: &[isize], output_padding: &[isize]) -> Result<Tensor> {
        self.check(true)?;
        let axes = self.axes;
        let stride = self.steps(self.stride, "stride", 1)?;
        let dilation = self.steps(self.dilation, "dilation", 1)?;
        let padding = self.steps(padding, "padding", 0)?;
        let behind = self.steps(output_padding, "output_padding", 0)?;
        self.check_kernel()?;
        if (0..axes).any(|i| behind[i] >= stride[i] && behind[i] >= dilation[i]) {
            let named = |what: &str, numbers: &Steps| {
                let names = &["depth", "height", "width"][3 - axes..];
                let parts: Vec<String> =
                    names.iter().zip(numbers).map(|(name, n)| format!("{what}_{name}: {n}")).collect();
                parts.join(" ")
            };
            return Err(Error::runtime(format!(
                "output padding must be smaller than either stride or dilation, but got {} {} {}",
                named("output_padding", &behind),
                named("stride", &stride),
                named("dilation", &dilation)
            )));
        }
        let (x, w) = (self.batched_shape(), self.weight.shape());
        // What windows cover, and what is left of it without the padding.
        let (mut covered, mut output) = (Steps::new(), Steps::new());
        for i in 0..axes {
            let (n, k) = (x[i + 2] as i128, w[i + 2] as i128);
            let whole = (n - 1) * stride[i] as i128 + dilation[i] as i128 * (k - 1) + behind[i] as i128 + 1;
            let size = whole - 2 * padding[i] as i128;
            if size <= 0 || n == 0 {
                return Err(Error::runtime(format!(
                    "Given input size per channel: ({}). Calculated output size per channel: ({size}). Output size is too \
                     small",
                    times(&x[2..])
                )));
            }
            if whole > MOST as i128 {
                return Err(Error::runtime(format!(
                    "Given input size per channel: ({}). Calculated output size per channel: ({size}). Output size is too \
                     big",
                    times(&x[2..])
                )));
            }
            covered.push(whole as usize);
            output.push(size as usize);
        }
        let groups = self.groups as usize;
        let geometry = Geometry {
            batch: x[0],
            groups,
            channels: w[1] * groups,
            outputs: w[0],
            input: three(&output),
            output: three(&x[2..]),
            kernel: three(&w[2..]),
            stride: three(&within(&stride, &covered)),
            padding: signed(&padding),
            dilation: three(&within(&dilation, &covered)),
        };
        let sizes = Sizes { geometry, axes };
        let y = named_input_grad("ConvolutionBackward0", &self.batched()?, self.weight, self.bias, sizes)?;
        self.like_input(y)
    }
}

/// Steps no longer than the extents they lead through: beyond those, no second position or tap is left to reach.
fn within(steps: &Steps, extents: &Steps) -> Steps {
    steps.iter().zip(extents).map(|(&step, &extent)| step.min(extent)).collect()
}

fn signed(numbers: &[usize]) -> [isize; 3] {
    let mut three = [0; 3];
    for (three, &n) in three[3 - numbers.len()..].iter_mut().zip(numbers) {
        *three = n as isize;
    }
    three
}

/// A geometry and how many of its axes the tensors have.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// The geometry, of three axes.
    pub geometry: Geometry,
    /// The tensors' spatial axes.
    pub axes: usize,
}

impl Sizes {
    fn shape(&self, first: usize, second: usize, extents: [usize; 3]) -> Dims {
        let mut shape: Dims = smallvec![first, second];
        shape.extend_from_slice(&extents[3 - self.axes..]);
        shape
    }

    /// The shape of the input.
    pub fn input_shape(&self) -> Dims {
        self.shape(self.geometry.batch, self.geometry.channels, self.geometry.input)
    }

    /// The shape of the output.
    pub fn output_shape(&self) -> Dims {
        self.shape(self.geometry.batch, self.geometry.outputs, self.geometry.output)
    }

    /// The shape of the weight.
    pub fn weight_shape(&self) -> Dims {
        self.shape(self.geometry.outputs, self.geometry.channels_per_group(), self.geometry.kernel)
    }

    /// Two more products of the same size, in passes over elements.
    pub fn work(&self) -> u64 {
        let g = &self.geometry;
        (g.batch * g.positions() * g.outputs * g.rows() / 2) as u64
    }
}
