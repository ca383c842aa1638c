//! Random numbers.

use arcgrad::graph::Operand;
use arcgrad::ops::random::{self as draw, Distribution, default_generator};
use arcgrad::{DType, Tensor};
use pyo3::prelude::*;

use crate::bindings;
use crate::bindings::creation::{Options, shape};
use crate::dispatch::Args;
use crate::error::raise;
use crate::generator::{self, named};

const STANDARD_UNIFORM: Distribution = Distribution::Uniform { from: 0.0, to: 1.0 };
const STANDARD_NORMAL: Distribution = Distribution::Normal { mean: 0.0, std: 1.0 };

/// A factory: sizes at `size`, then the generator, `out` and the usual options.
fn fresh(
    a: &Args<'_, '_>,
    name: &'static str,
    size: usize,
    distribution: Distribution,
    usual: Option<DType>,
) -> PyResult<Tensor> {
    let options = Options::read(a, size + 3)?;
    let out = a.optional_tensor(size + 2)?;
    let dtype = options.dtype.or(out.map(Tensor::dtype)).or(usual).unwrap_or_else(|| options.dtype());
    let (shape, stream) = (shape(a, size)?, named(a.get(size + 1))?);
    let elements = shape.iter().product::<usize>();
    let made =
        crate::dispatch::work_of(a.py(), elements, || draw::random(distribution, &shape, dtype, stream));
    options.finish(made, name, out)
}

fn fresh_like(a: &Args<'_, '_>, distribution: Distribution, at: usize) -> PyResult<Tensor> {
    let (x, options) = (a.tensor(0)?, Options::read(a, at)?);
    let stream = named(a.get(at + 6))?;
    let y = x.array().empty_dense_like(options.dtype.unwrap_or(x.dtype())).map(Tensor::new);
    options.finish(y.and_then(|y| draw::fill_random(&y, distribution, stream)), "random_like", None)
}

fn in_place(a: &Args<'_, '_>, distribution: Distribution, generator: usize) -> PyResult<Tensor> {
    let (x, stream) = (a.tensor(0)?, named(a.get(generator))?);
    crate::dispatch::work_of(a.py(), x.numel(), || draw::fill_random(x, distribution, stream))
        .map_err(|e| raise(&e))
}

fn integers(a: &Args<'_, '_>, low: Option<usize>, high: usize) -> PyResult<Distribution> {
    Ok(Distribution::Integers { from: low.map_or(Ok(0), |i| a.int(i))?, to: a.int(high)? })
}

bindings! {
    /// Floats of [0, 1), all equally likely.
    function rand {
        "(int... size, *, Any? generator=None, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| fresh(a, "rand", 0, STANDARD_UNIFORM, None)?
    }
    /// Normal numbers of mean 0 and standard deviation 1.
    function randn {
        "(int... size, *, Any? generator=None, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| fresh(a, "randn", 0, STANDARD_NORMAL, None)?
    }
    /// Integers of [low, high).
    function randint {
        "(int high, int[] size, *, Any? generator=None, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| fresh(a, "randint", 1, integers(a, None, 0)?, Some(DType::I64))?,
        "(int low, int high, int[] size, *, Any? generator=None, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| fresh(a, "randint", 2, integers(a, Some(0), 1)?, Some(DType::I64))?
    }
    /// The integers below n in random order.
    function randperm {
        "(int n, *, Any? generator=None, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 3)?;
            let out = a.optional_tensor(2)?;
            let dtype = options.dtype.or(out.map(Tensor::dtype)).unwrap_or(DType::I64);
            options.finish(draw::randperm(a.int(0)?, dtype, named(a.get(1))?), "randperm", out)?
        }
    }
    /// Floats of [0, 1) in the same shape.
    function rand_like {
        "(Tensor input, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None, Any? generator=None) -> Tensor"
            => |a| fresh_like(a, STANDARD_UNIFORM, 1)?
    }
    /// Normal numbers in the same shape.
    function randn_like {
        "(Tensor input, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None, Any? generator=None) -> Tensor"
            => |a| fresh_like(a, STANDARD_NORMAL, 1)?
    }
    /// Integers of [low, high) in the same shape.
    function randint_like {
        "(Tensor input, int high, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None, Any? generator=None) -> Tensor"
            => |a| fresh_like(a, integers(a, None, 1)?, 2)?,
        "(Tensor input, int low, int high, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None, Any? generator=None) -> Tensor"
            => |a| fresh_like(a, integers(a, Some(1), 2)?, 3)?
    }
    /// Normal numbers of these means and standard deviations.
    function normal {
        "(float mean, float std, int[] size, *, Any? generator=None, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| fresh(a, "normal", 2, Distribution::Normal { mean: a.float(0)?, std: a.float(1)? }, None)?,
        "(Tensor mean, Operand std=1.0, *, Any? generator=None, Tensor? out=None) -> Tensor" => |a| normal(a)?,
        "(Operand mean, Tensor std, *, Any? generator=None, Tensor? out=None) -> Tensor" => |a| normal(a)?
    }
    /// Ones with the probabilities in the input, and zeros.
    both bernoulli {
        "(Tensor input, *, Any? generator=None, Tensor? out=None) -> Tensor" => |a| {
            deliver(a, "bernoulli", draw::bernoulli(a.tensor(0)?, named(a.get(1))?), 2)?
        },
        "(Tensor input, float p, *, Any? generator=None) -> Tensor" => |a| {
            let y = a.tensor(0)?.array().empty_dense_like(a.tensor(0)?.dtype()).map(Tensor::new);
            y.and_then(|y| {
                let p = a.float(1).map_err(crate::error::carry)?;
                draw::fill_random(&y, Distribution::Bernoulli { p }, named(a.get(2)).map_err(crate::error::carry)?)
            })
        }
    }
    /// Category numbers with probabilities in proportion to the weights of each row.
    both multinomial {
        "(Tensor input, int num_samples, bool replacement=False, *, Any? generator=None, Tensor? out=None) -> Tensor" => |a| {
            let made = draw::multinomial(a.tensor(0)?, a.int(1)?, a.flag(2)?, named(a.get(3))?);
            deliver(a, "multinomial", made, 4)?
        }
    }
    /// Writes floats of [from, to) over the tensor.
    method uniform_ {
        "(Tensor input, float from=0.0, float to=1.0, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::Uniform { from: a.float(1)?, to: a.float(2)? }, 3)?
    }
    /// Writes normal numbers over the tensor.
    method normal_ {
        "(Tensor input, float mean=0.0, float std=1.0, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::Normal { mean: a.float(1)?, std: a.float(2)? }, 3)?
    }
    /// Writes e to the power of normal numbers over the tensor.
    method log_normal_ {
        "(Tensor input, float mean=1.0, float std=2.0, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::LogNormal { mean: a.float(1)?, std: a.float(2)? }, 3)?
    }
    /// Writes waiting times of a rate over the tensor.
    method exponential_ {
        "(Tensor input, float lambd=1.0, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::Exponential { lambda: a.float(1)? }, 2)?
    }
    /// Writes Cauchy's numbers over the tensor.
    method cauchy_ {
        "(Tensor input, float median=0.0, float sigma=1.0, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::Cauchy { median: a.float(1)?, sigma: a.float(2)? }, 3)?
    }
    /// Writes numbers of tosses up to the first success over the tensor.
    method geometric_ {
        "(Tensor input, float p, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::Geometric { p: a.float(1)? }, 2)?
    }
    /// Writes ones of a probability, and zeros, over the tensor.
    method bernoulli_ {
        "(Tensor input, float p=0.5, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, Distribution::Bernoulli { p: a.float(1)? }, 2)?,
        "(Tensor input, Tensor p, *, Any? generator=None) -> Tensor"
            => |a| draw::bernoulli_(a.tensor(0)?, a.tensor(1)?, named(a.get(2))?)
    }
    /// Writes integers over the tensor: of [from, to), of [0, to), or of all that the dtype holds.
    method random_ {
        "(Tensor input, *, Any? generator=None) -> Tensor" => |a| in_place(a, Distribution::FullRange, 1)?,
        "(Tensor input, int to, *, Any? generator=None) -> Tensor"
            => |a| in_place(a, integers(a, None, 1)?, 2)?,
        "(Tensor input, int from, int? to, *, Any? generator=None) -> Tensor" => |a| {
            let to = a.optional_int(2)?.unwrap_or(i64::MAX);
            in_place(a, Distribution::Integers { from: a.int(1)?, to }, 3)?
        }
    }
    /// Starts the default stream anew from a seed; returns the stream.
    function manual_seed {
        "(Any seed) -> Generator" => |a| {
            let seed = a.get(0).ok_or_else(|| pyo3::exceptions::PyTypeError::new_err("manual_seed(): a seed is needed"))?;
            default_generator().lock().manual_seed(generator::seed(seed)?);
            generator::default_object(a.py())?.into_any()
        }
    }
    /// Starts the default stream anew from a seed of the system's, and returns it.
    function seed {
        "() -> int" => |a| default_generator().lock().seed().into_pyobject(a.py())?.into_any().unbind()
    }
    /// The seed that the default stream started from.
    function initial_seed {
        "() -> int" => |a| default_generator().lock().initial_seed().into_pyobject(a.py())?.into_any().unbind()
    }
    /// The state of the default stream, as a tensor of bytes.
    function get_rng_state { "() -> Tensor" => |_a| generator::state(default_generator())? }
    /// Continues the default stream from a state.
    function set_rng_state {
        "(Any new_state) -> None" => |a| match a.get(0) {
            Some(state) => generator::set_state(default_generator(), state)?,
            None => return Err(pyo3::exceptions::PyTypeError::new_err("RNG state must be a torch.ByteTensor")),
        }
    }
}

fn normal(a: &Args<'_, '_>) -> PyResult<Tensor> {
    let (mean, std): (Operand<'_>, Operand<'_>) = (a.operand(0)?, a.operand(1)?);
    deliver(a, "normal", draw::normal(mean, std, named(a.get(2))?), 3)
}

fn deliver(
    a: &Args<'_, '_>,
    name: &'static str,
    made: arcgrad::Result<Tensor>,
    out: usize,
) -> PyResult<Tensor> {
    let made = made.map_err(|e| raise(&e))?;
    let Some(out) = a.optional_tensor(out)? else { return Ok(made) };
    arcgrad::ops::creation::write_out(name, &made, out).map_err(|e| raise(&e))?;
    Ok(out.clone())
}
