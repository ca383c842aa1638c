//! Random numbers: PyTorch's streams into tensors, and the generator that all share.

use std::sync::{Arc, LazyLock};

use parking_lot::{Mutex, MutexGuard};

use crate::array::fork;
use crate::array::kernels::copy;
use crate::array::random::{self, DEFAULT_SEED, RandomError};
use crate::array::{Array, Bool, DType};
use crate::error::{Error, Result};
use crate::graph::forward::{self, Place};
use crate::graph::{Tensor, linear, mode, profile, row, vector_space, view};

/// A stream of random numbers that several threads may draw from, one call at a time.
#[derive(Clone)]
pub struct Generator(Arc<Mutex<random::Generator>>);

impl Generator {
    /// A stream from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(random::Generator::new(seed))))
    }

    /// The stream, for one call.
    pub fn lock(&self) -> MutexGuard<'_, random::Generator> {
        fork::give_way();
        self.0.lock()
    }

    /// Whether both are the same stream.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Generator {
    /// The stream of a generator that nobody has seeded.
    fn default() -> Self {
        Self::new(DEFAULT_SEED)
    }
}

/// The stream of every call that names no other.
pub fn default_generator() -> &'static Generator {
    static DEFAULT: LazyLock<Generator> = LazyLock::new(|| {
        let generator = Arc::new(Mutex::new(random::Generator::from_entropy()));
        // Large tensors are filled under it, without the GIL.
        fork::keep_usable(&generator);
        Generator(generator)
    });
    &DEFAULT
}

impl From<RandomError> for Error {
    #[cold]
    fn from(error: RandomError) -> Self {
        Self::runtime(error.to_string())
    }
}

impl From<random::StateError> for Error {
    #[cold]
    fn from(error: random::StateError) -> Self {
        Self::runtime(error.to_string())
    }
}

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Floats of `[from, to)`.
    Uniform {
        /// The lower bound.
        from: f64,
        /// The upper bound.
        to: f64,
    },
    /// Gauss's.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// e to the power of normal numbers.
    LogNormal {
        /// The mean of the logarithm.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// Waiting times of a rate.
    Exponential {
        /// The rate.
        lambda: f64,
    },
    /// Cauchy's.
    Cauchy {
        /// The median.
        median: f64,
        /// Half the width at half the height.
        sigma: f64,
    },
    /// Ones of a probability, and zeros.
    Bernoulli {
        /// The probability.
        p: f64,
    },
    /// The number of tosses up to the first success.
    Geometric {
        /// The probability of a success.
        p: f64,
    },
    /// Integers of `[from, to)`.
    Integers {
        /// The lower bound.
        from: i64,
        /// The upper bound, exclusive.
        to: i64,
    },
    /// Integers from zero to the greatest that the dtype holds without gaps.
    FullRange,
}

impl Distribution {
    /// PyTorch's name for the node of a fill.
    fn node(self) -> &'static str {
        match self {
            Self::Uniform { .. } => "UniformBackward0",
            Self::Normal { .. } => "NormalBackward0",
            Self::LogNormal { .. } => "LogNormalBackward0",
            Self::Exponential { .. } => "ExponentialBackward0",
            Self::Cauchy { .. } => "CauchyBackward0",
            Self::Bernoulli { .. } => "BernoulliBackward2",
            Self::Geometric { .. } => "GeometricBackward0",
            Self::Integers { .. } => "RandomBackward0",
            Self::FullRange => "RandomBackward2",
        }
    }

    /// The name of a fill, without its `_`.
    fn op(self) -> &'static str {
        match self {
            Self::Uniform { .. } => "uniform",
            Self::Normal { .. } => "normal",
            Self::LogNormal { .. } => "log_normal",
            Self::Exponential { .. } => "exponential",
            Self::Cauchy { .. } => "cauchy",
            Self::Bernoulli { .. } => "bernoulli",
            Self::Geometric { .. } => "geometric",
            Self::Integers { .. } | Self::FullRange => "random",
        }
    }

    /// What a profiler calls a fill.
    fn event(self) -> &'static str {
        match self {
            Self::Uniform { .. } => "aten::uniform_",
            Self::Normal { .. } => "aten::normal_",
            Self::LogNormal { .. } => "aten::log_normal_",
            Self::Exponential { .. } => "aten::exponential_",
            Self::Cauchy { .. } => "aten::cauchy_",
            Self::Bernoulli { .. } => "aten::bernoulli_",
            Self::Geometric { .. } => "aten::geometric_",
            Self::Integers { .. } | Self::FullRange => "aten::random_",
        }
    }

    /// PyTorch's sentence for a dtype that the distribution has no samples in.
    fn refuse(self, dtype: DType) -> Error {
        let continuous = |name: &str| {
            Error::runtime(format!(
                "{name} distribution is a continuous probability distribution. dtype must be a floating point but you \
                 specified {}",
                dtype.scalar_name()
            ))
        };
        match self {
            Self::Normal { .. } => Error::unsupported("normal_kernel_cpu", dtype),
            Self::LogNormal { .. } => Error::unsupported("log_normal_cpu", dtype),
            Self::Exponential { .. } => continuous("Exponential"),
            Self::Cauchy { .. } => continuous("Cauchy"),
            Self::Geometric { .. } => Error::unsupported("geometric_cpu", dtype),
            _ => Error::unsupported("check_uniform_bounds", dtype),
        }
    }

    /// Fills a row-major array. `in_order` says whether it is so in the tensor it is for, which matters to normal numbers.
    fn fill(self, y: &Array, in_order: bool, generator: &mut random::Generator) -> Result<()> {
        macro_rules! floats {
            (|$out:ident| $draw:expr) => {
                match y.dtype() {
                    DType::F32 => {
                        let $out = elements::<f32>(y);
                        $draw?
                    }
                    DType::F64 => {
                        let $out = elements::<f64>(y);
                        $draw?
                    }
                    dtype => return Err(self.refuse(dtype)),
                }
            };
        }
        macro_rules! numbers {
            (|$out:ident| $draw:expr, bool => $toss:expr) => {
                match y.dtype() {
                    DType::U8 => {
                        let $out = elements::<u8>(y);
                        $draw
                    }
                    DType::I8 => {
                        let $out = elements::<i8>(y);
                        $draw
                    }
                    DType::I16 => {
                        let $out = elements::<i16>(y);
                        $draw
                    }
                    DType::I32 => {
                        let $out = elements::<i32>(y);
                        $draw
                    }
                    DType::I64 => {
                        let $out = elements::<i64>(y);
                        $draw
                    }
                    DType::F32 => {
                        let $out = elements::<f32>(y);
                        $draw
                    }
                    DType::F64 => {
                        let $out = elements::<f64>(y);
                        $draw
                    }
                    DType::Bool => $toss,
                }
            };
        }
        macro_rules! all {
            (|$out:ident| $draw:expr) => {
                numbers!(|$out| $draw, bool => {
                    let mut tosses = vec![false; y.numel()];
                    let $out = &mut tosses[..];
                    let done = $draw;
                    for (slot, toss) in elements::<Bool>(y).iter_mut().zip(tosses) {
                        *slot = toss.into();
                    }
                    done
                })
            };
        }
        match self {
            Self::Uniform { from, to } => floats!(|out| generator.uniform(out, from, to)),
            Self::Normal { mean, std } if in_order => floats!(|out| generator.normal(out, mean, std)),
            Self::Normal { mean, std } => floats!(|out| generator.normal_pairs(out, mean, std)),
            Self::LogNormal { mean, std } => floats!(|out| generator.log_normal(out, mean, std)),
            Self::Exponential { lambda } => floats!(|out| generator.exponential(out, lambda)),
            Self::Cauchy { median, sigma } => floats!(|out| generator.cauchy(out, median, sigma)),
            Self::Bernoulli { p } => all!(|out| generator.bernoulli(out, p))?,
            Self::Integers { from, to } => all!(|out| generator.randint(out, from, to))?,
            Self::FullRange => all!(|out| generator.random_full_range(out)),
            Self::Geometric { p } => {
                numbers!(|out| generator.geometric(out, p), bool => return Err(self.refuse(DType::Bool)))?;
            }
        }
        Ok(())
    }
}

#[allow(clippy::mut_from_ref)] // the exclusive access is to the storage, as said below
fn elements<T: crate::array::Element>(y: &Array) -> &mut [T] {
    // SAFETY: `y` is row-major, of dtype `T`, and written by this thread alone: it is either new or the target of an in-place
    // call (Note [Writes to shared storage]).
    unsafe { y.as_mut_slice::<T>() }.unwrap_or_default()
}

/// A new tensor of random numbers.
///
/// Fails when the distribution has no samples in the dtype, or is none.
pub fn random(
    distribution: Distribution,
    shape: &[usize],
    dtype: DType,
    generator: &Generator,
) -> Result<Tensor> {
    let y = {
        let _timed = profile::part("aten::empty");
        Array::empty(shape, dtype)?
    };
    let _timed = profile::part(distribution.event());
    distribution.fill(&y, true, &mut generator.lock())?;
    Ok(Tensor::new(y))
}

/// Writes random numbers over a tensor. Its history becomes that of a constant: no gradient passes.
pub fn fill_random(x: &Tensor, distribution: Distribution, generator: &Generator) -> Result<Tensor> {
    let array = x.array();
    let tracked = mode::is_grad_enabled() && x.requires_grad();
    view::check_write(distribution.op(), x, tracked)?;
    row::check_writable(distribution.op(), &array)?;
    if array.is_contiguous() {
        distribution.fill(&array, true, &mut generator.lock())?;
    } else {
        // Samples go out in the order of memory, outermost stride first.
        let mut axes: Vec<usize> = (0..array.ndim()).collect();
        axes.sort_by_key(|&axis| std::cmp::Reverse(array.strides()[axis]));
        let ordered = array.permute(&axes)?;
        let samples = Array::empty(ordered.shape(), ordered.dtype())?;
        distribution.fill(&samples, false, &mut generator.lock())?;
        copy::copy(&samples, &ordered);
    }
    // The written value depends on nothing: dx = 0.
    let written = linear(distribution.node(), x, array, vector_space::zeros_like, vector_space::zeros_like)?;
    view::rebase(x, distribution.op(), written.history());
    if forward::propagates() {
        let zeros = || Ok(smallvec::smallvec![None]);
        forward::propagate(Place::Written, &[x], std::slice::from_ref(x), None, zeros)?;
    }
    Ok(x.clone())
}

/// Ones with the probabilities in `p`, and zeros: a tensor like `p`, or of another dtype in `target`'s place.
fn toss_each(p: &Tensor, dtype: DType, generator: &Generator) -> Result<Array> {
    let p = p.array().contiguous()?;
    let y = Array::empty(p.shape(), dtype)?;
    let generator = &mut generator.lock();
    macro_rules! each {
        ($P:ty) => {
            match dtype {
                DType::F32 => generator.bernoulli_each(elements::<f32>(&y), &*elements::<$P>(&p)),
                DType::F64 => generator.bernoulli_each(elements::<f64>(&y), &*elements::<$P>(&p)),
                _ => {
                    let mut tosses = vec![0_u8; y.numel()];
                    let done = generator.bernoulli_each(&mut tosses, &*elements::<$P>(&p));
                    copy::copy(&Array::from_slice(&tosses, y.shape())?, &y);
                    done
                }
            }
        };
    }
    match p.dtype() {
        DType::F32 => each!(f32)?,
        DType::F64 => each!(f64)?,
        dtype => return Err(Error::unsupported("bernoulli_tensor_cpu_p_", dtype)),
    }
    Ok(y)
}

/// Ones with the probabilities in `x`, and zeros, of the same shape and dtype.
pub fn bernoulli(x: &Tensor, generator: &Generator) -> Result<Tensor> {
    let y = toss_each(x, x.dtype(), generator)?;
    constant("BernoulliBackward0", x, y)
}

/// Writes ones with the probabilities in `p` (which broadcasts), and zeros, over `x`.
pub fn bernoulli_(x: &Tensor, p: &Tensor, generator: &Generator) -> Result<Tensor> {
    let array = x.array();
    view::check_write("bernoulli", x, mode::is_grad_enabled() && x.requires_grad())?;
    row::check_writable("bernoulli", &array)?;
    let p = Tensor::new(p.array().expand(array.shape())?);
    copy::copy(&toss_each(&p, array.dtype(), generator)?, &array);
    let written = constant("BernoulliBackward1", x, array)?;
    view::rebase(x, "bernoulli", written.history());
    Ok(x.clone())
}

/// The output of an operation through which no gradient passes.
fn constant(node: &'static str, x: &Tensor, y: Array) -> Result<Tensor> {
    linear(node, x, y, vector_space::zeros_like, vector_space::zeros_like)
}

/// `samples` category numbers for each row of weights: a vector, or a matrix of as many rows.
///
/// Fails when `x` is not a float vector or matrix, or a row is no distribution.
pub fn multinomial(x: &Tensor, samples: i64, replacement: bool, generator: &Generator) -> Result<Tensor> {
    let array = x.array().contiguous()?;
    if !(1..=2).contains(&array.ndim()) {
        return Err(Error::runtime("prob_dist must be 1 or 2 dim"));
    }
    if !array.dtype().is_floating() {
        return Err(Error::runtime(format!(
            "multinomial only supports floating-point dtypes for input, got: {}",
            array.dtype().scalar_name()
        )));
    }
    let samples = usize::try_from(samples).unwrap_or(0);
    let categories = array.shape()[array.ndim() - 1];
    if samples == 0 {
        return Err(RandomError::NoSamples.into());
    }
    if categories == 0 || (!replacement && samples > categories) {
        return Err(RandomError::TooManySamples.into());
    }
    let mut shape: crate::array::Dims = array.shape().into();
    let last = shape.len() - 1;
    shape[last] = samples;
    let y = Array::empty(&shape, DType::I64)?;
    let generator = &mut generator.lock();
    let out = elements::<i64>(&y);
    match array.dtype() {
        DType::F32 => {
            generator.multinomial(&*elements::<f32>(&array), categories, samples, replacement, out)?;
        }
        _ => generator.multinomial(&*elements::<f64>(&array), categories, samples, replacement, out)?,
    }
    Ok(Tensor::new(y))
}

/// The numbers below `n` in random order.
///
/// Fails when `n` is negative or the dtype cannot hold `n - 1`.
pub fn randperm(n: i64, dtype: DType, generator: &Generator) -> Result<Tensor> {
    let count = usize::try_from(n)
        .map_err(|_| Error::runtime(format!("Trying to create tensor with negative dimension {n}: [{n}]")))?;
    super::creation::check_fits(crate::Scalar::Int(n), dtype)?;
    let wide = Array::empty(&[count], DType::I64)?;
    let order = generator.lock().randperm(count);
    elements::<i64>(&wide).copy_from_slice(&order);
    Ok(Tensor::new(wide.cast(dtype)?))
}

/// Normal numbers with a mean and a standard deviation of their own for each element, which broadcast.
///
/// Fails when a standard deviation is negative.
pub fn normal(mean: row::Operand<'_>, std: row::Operand<'_>, generator: &Generator) -> Result<Tensor> {
    use row::Operand;
    let floating = |x: Operand<'_>| match x {
        Operand::Tensor(x) => x.dtype(),
        Operand::Scalar(_) => DType::F32,
    };
    let dtype = match (mean, std) {
        (Operand::Scalar(_), Operand::Scalar(_)) => row::default_dtype(),
        (Operand::Tensor(m), _) => m.dtype(),
        (_, s) => floating(s),
    };
    if let Operand::Tensor(s) = std
        && s.to_vec::<f64>()?.iter().any(|&s| s < 0.0)
    {
        return Err(Error::runtime("normal expects all elements of std >= 0.0"));
    }
    if let Operand::Scalar(s) = std
        && s.to_f64() < 0.0
    {
        return Err(RandomError::Deviation { std: s.to_f64() }.into());
    }
    let shape_of = |x: Operand<'_>| match x {
        Operand::Tensor(x) => x.shape(),
        Operand::Scalar(_) => crate::array::Dims::new(),
    };
    let shape = crate::array::layout::broadcast("normal", &shape_of(mean), &shape_of(std))?;
    let standard = random(Distribution::Normal { mean: 0.0, std: 1.0 }, &shape, dtype, generator)?;
    let y = {
        let _guard = mode::no_grad();
        super::add(&super::mul(&standard, std)?, mean)?
    };
    match (mean, std) {
        (Operand::Tensor(m), Operand::Tensor(s)) => crate::graph::record(
            "NormalBackward3",
            &[m, s],
            y.array(),
            &[],
            |cx| {
                let zeros = |i| match cx.grad(0) {
                    Some(g) if cx.needs(i) => vector_space::zeros_like(g).map(Some),
                    _ => Ok(None),
                };
                Ok(smallvec::smallvec![zeros(0)?, zeros(1)?])
            },
            |cx| vector_space::zeros_like(cx.output()),
        ),
        (Operand::Tensor(m), _) => constant("NormalBackward1", m, y.array()),
        (_, Operand::Tensor(s)) => constant("NormalBackward2", s, y.array()),
        _ => Ok(y),
    }
}
