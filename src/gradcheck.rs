//! Finite differences: holds every derivative of the registry, to second order and in forward mode, and yours.
//!
//! A derivative is compared with the central difference of the function itself in double precision, in random
//! directions: the gradient against the difference of the outputs, the gradient's gradient against the difference of the
//! gradients, the tangent of forward mode against the gradient, and a batch of gradients against each of its members.

use std::num::NonZeroUsize;

use crate::array::DType;
use crate::array::random::Generator;
use crate::engine::{self, Options};
use crate::error::{Error, Result};
use crate::graph::{Tensor, forward, mode};

/// One derivative to be checked: an op at some inputs.
pub struct Check {
    /// The op's name, which a failure names.
    pub name: &'static str,
    /// The inputs: those of a float dtype are differentiated.
    pub inputs: fn(&mut Sampler) -> Result<Vec<Tensor>>,
    /// The op; one or more outputs.
    pub call: fn(&[Tensor]) -> Result<Vec<Tensor>>,
    /// How often it is differentiable at these inputs: 2 unless the second derivative does not exist.
    pub order: u8,
}

impl Check {
    /// A check of an op with one output, to second order.
    pub const fn new(
        name: &'static str,
        inputs: fn(&mut Sampler) -> Result<Vec<Tensor>>,
        call: fn(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Self {
        Self { name, inputs, call, order: 2 }
    }
}

/// Draws inputs: the same ones on every run.
pub struct Sampler(Generator);

impl Sampler {
    /// A sampler with a seed.
    pub fn new(seed: u64) -> Self {
        Self(Generator::new(seed))
    }

    /// Doubles, uniform in `low..high`.
    pub fn uniform(&mut self, shape: &[usize], low: f64, high: f64) -> Result<Tensor> {
        let mut values = vec![0.0_f64; shape.iter().product()];
        self.0.uniform(&mut values, low, high).map_err(|e| Error::value(e.to_string()))?;
        Tensor::from_slice(&values, shape)
    }

    /// Doubles from the normal distribution.
    pub fn normal(&mut self, shape: &[usize]) -> Result<Tensor> {
        let mut values = vec![0.0_f64; shape.iter().product()];
        self.0.normal(&mut values, 0.0, 1.0).map_err(|e| Error::value(e.to_string()))?;
        Tensor::from_slice(&values, shape)
    }

    /// Doubles no two of which are near one another, in random order: for ops that choose.
    pub fn distinct(&mut self, shape: &[usize]) -> Result<Tensor> {
        let n = shape.iter().product::<usize>();
        let order = self.0.randperm(n);
        let values: Vec<f64> = order.iter().map(|&i| (i as f64 - n as f64 / 2.0) * 0.37 + 0.11).collect();
        Tensor::from_slice(&values, shape)
    }

    /// Indices below `bound`.
    pub fn indices(&mut self, shape: &[usize], bound: i64) -> Result<Tensor> {
        let mut values = vec![0_i64; shape.iter().product()];
        self.0.randint(&mut values, 0, bound).map_err(|e| Error::value(e.to_string()))?;
        Tensor::from_slice(&values, shape)
    }
}

const STEP: f64 = 1e-6;

/// Checks one derivative at inputs drawn from the seed. The error names the op, the order, the input and both numbers.
pub fn run(check: &Check, seed: u64) -> Result<()> {
    let mut sampler = Sampler::new(seed);
    let inputs = (check.inputs)(&mut sampler)?;
    run_with(check.name, inputs, &check.call, check.order, &mut sampler)
}

/// A function of tensors with one or more outputs.
pub type Function<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;

/// Checks the derivatives of any function at these inputs, up to an order of 1 or 2.
pub fn run_with(
    name: &str,
    inputs: Vec<Tensor>,
    call: Function<'_>,
    order: u8,
    sampler: &mut Sampler,
) -> Result<()> {
    let inputs: Vec<Tensor> = inputs
        .into_iter()
        .map(|x| if x.dtype().is_floating() { x.requires_grad_(true) } else { Ok(x) })
        .collect::<Result<_>>()?;
    let wanted: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].requires_grad()).collect();
    let _guard = mode::enable_grad();

    // A random projection makes the outputs one number.
    let outputs = differentiable(call(&inputs)?);
    if outputs.is_empty() {
        return if wanted.is_empty() { Ok(()) } else { Err(failed(name, "no output requires a gradient")) };
    }
    let weights: Vec<Tensor> =
        outputs.iter().map(|y| sampler.uniform(&y.shape(), 0.3, 1.3)).collect::<Result<_>>()?;
    let first = Projection { call, weights, directions: None };
    let gradients = first.gradient(&inputs, &wanted, true)?;
    compare(name, "gradient", &inputs, &wanted, &gradients, &|x| first.value(x))?;
    check_alone(name, &inputs, &wanted, &first, &gradients)?;
    check_batch(name, &inputs, &wanted, &first, &gradients, sampler)?;
    check_forward(name, &inputs, &wanted, &first, &gradients, sampler)?;
    if order < 2 {
        return Ok(());
    }

    // The gradient in a random direction is a function of the inputs like any other.
    let directions: Vec<Tensor> =
        wanted.iter().map(|&i| sampler.uniform(&inputs[i].shape(), 0.3, 1.3)).collect::<Result<_>>()?;
    let second = Projection { call, weights: first.weights.clone(), directions: Some(directions.clone()) };
    let gradients = second.gradient(&inputs, &wanted, false)?;
    compare(name, "second gradient", &inputs, &wanted, &gradients, &|x| second.value(x))?;
    check_mixed(name, &inputs, &wanted, &first, &directions, &gradients, sampler)
}

fn failed(name: &str, why: &str) -> Error {
    Error::runtime(format!("gradient check of {name} failed: {why}"))
}

fn differentiable(outputs: Vec<Tensor>) -> Vec<Tensor> {
    outputs.into_iter().filter(Tensor::requires_grad).collect()
}

/// Outputs (or their gradients in given directions) folded into one number by fixed weights.
struct Projection<'a> {
    call: Function<'a>,
    weights: Vec<Tensor>,
    directions: Option<Vec<Tensor>>,
}

impl Projection<'_> {
    /// The places in the graph and the weights there.
    fn roots(&self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let outputs = differentiable((self.call)(inputs)?);
        let Some(directions) = &self.directions else { return Ok((outputs, self.weights.clone())) };
        let wanted: Vec<Tensor> = inputs.iter().filter(|x| x.requires_grad()).cloned().collect();
        let roots = roots(&outputs, &self.weights)?;
        let gradients = engine::grad(
            roots,
            &wanted,
            Options { retain_graph: true, create_graph: true, ..Default::default() },
        )?;
        let pairs = gradients.into_iter().zip(directions.clone()).filter_map(|(g, d)| Some((g?, d)));
        Ok(pairs.filter(|(g, _)| g.requires_grad()).unzip())
    }

    fn value(&self, inputs: &[Tensor]) -> Result<f64> {
        let (outputs, weights) = if self.directions.is_none() {
            ((self.call)(inputs)?, self.weights.clone())
        } else {
            let all = self.all_gradients(inputs)?;
            (all, self.directions.clone().unwrap_or_default())
        };
        let outputs = outputs.iter().filter(|y| y.dtype().is_floating());
        let mut sum = 0.0;
        for (y, w) in outputs.zip(&weights) {
            for (y, w) in y.to_vec::<f64>()?.iter().zip(w.to_vec::<f64>()?) {
                sum += y * w;
            }
        }
        Ok(sum)
    }

    fn all_gradients(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let outputs = differentiable((self.call)(inputs)?);
        let wanted: Vec<Tensor> = inputs.iter().filter(|x| x.requires_grad()).cloned().collect();
        let gradients = engine::grad(roots(&outputs, &self.weights)?, &wanted, Options::default())?;
        gradients
            .into_iter()
            .zip(&wanted)
            .map(|(g, x)| g.map_or_else(|| Tensor::zeros(&x.shape(), x.dtype()), Ok))
            .collect()
    }

    fn gradient(&self, inputs: &[Tensor], wanted: &[usize], keep: bool) -> Result<Vec<Option<Tensor>>> {
        let (outputs, weights) = self.roots(inputs)?;
        if outputs.is_empty() {
            return Ok(vec![None; wanted.len()]);
        }
        let targets: Vec<Tensor> = wanted.iter().map(|&i| inputs[i].clone()).collect();
        engine::grad(
            roots(&outputs, &weights)?,
            &targets,
            Options { retain_graph: keep, create_graph: false, ..Default::default() },
        )
    }
}

fn roots(outputs: &[Tensor], weights: &[Tensor]) -> Result<Vec<engine::Root>> {
    outputs.iter().zip(weights).enumerate().map(|(i, (y, w))| engine::root(y, i, Some(w))).collect()
}

/// Holds each component of the gradients against a central difference.
fn compare(
    name: &str,
    what: &str,
    inputs: &[Tensor],
    wanted: &[usize],
    gradients: &[Option<Tensor>],
    value: &dyn Fn(&[Tensor]) -> Result<f64>,
) -> Result<()> {
    for (&i, gradient) in wanted.iter().zip(gradients) {
        let at = inputs[i].to_vec::<f64>()?;
        let gradient = match gradient {
            Some(g) if g.shape() == inputs[i].shape() => g.to_vec::<f64>()?,
            Some(g) => {
                return Err(failed(name, &format!("the {what} of input {i} has shape {:?}", g.shape())));
            }
            None => vec![0.0; at.len()],
        };
        for k in 0..at.len() {
            let moved = |by: f64| -> Result<f64> {
                let mut values = at.clone();
                values[k] += by;
                let mut all = inputs.to_vec();
                all[i] = Tensor::from_slice(&values, &inputs[i].shape())?.requires_grad_(true)?;
                value(&all)
            };
            let (far, near) = (moved(STEP)? - moved(-STEP)?, gradient[k]);
            let difference = far / (2.0 * STEP);
            if (difference - near).abs() > 1e-5 + 1e-4 * difference.abs()
                || near.is_nan() != difference.is_nan()
            {
                return Err(failed(
                    name,
                    &format!(
                        "{what} of input {i} at element {k} is {near}, finite differences give {difference}"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// A gradient that is asked for alone must be the one that is asked for together with the others.
fn check_alone(
    name: &str,
    inputs: &[Tensor],
    wanted: &[usize],
    projection: &Projection<'_>,
    together: &[Option<Tensor>],
) -> Result<()> {
    let numbers = |g: Option<&Tensor>| g.map(Tensor::to_vec::<f64>).transpose();
    for (&i, expected) in wanted.iter().zip(together) {
        let alone = projection.gradient(inputs, &[i], true)?;
        let (alone, expected) = (numbers(alone[0].as_ref())?, numbers(expected.as_ref())?);
        let agree = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b.abs() || (a.is_nan() && b.is_nan());
        let is_same = match (&alone, &expected) {
            (Some(alone), Some(expected)) => {
                alone.len() == expected.len() && alone.iter().zip(expected).all(agree)
            }
            _ => alone.is_none() == expected.is_none(),
        };
        if !is_same {
            return Err(failed(
                name,
                &format!(
                    "the gradient of input {i} asked for alone is {alone:?}, with the others {expected:?}"
                ),
            ));
        }
    }
    Ok(())
}

/// Gradients that walk as a batch, recorded or not, must be what each is alone.
fn check_batch(
    name: &str,
    inputs: &[Tensor],
    wanted: &[usize],
    projection: &Projection<'_>,
    gradients: &[Option<Tensor>],
    sampler: &mut Sampler,
) -> Result<()> {
    let others = projection.weights.iter().map(|w| sampler.uniform(&w.shape(), 0.3, 1.3));
    let weights = others.collect::<Result<_>>()?;
    let other = Projection { call: projection.call, weights, directions: None };
    let expected = [gradients.to_vec(), other.gradient(inputs, wanted, true)?];
    let targets: Vec<Tensor> = wanted.iter().map(|&i| inputs[i].clone()).collect();
    for create_graph in [false, true] {
        let outputs = differentiable((projection.call)(inputs)?);
        let mut roots = Vec::new();
        for (i, (y, w)) in outputs.iter().zip(projection.weights.iter().zip(&other.weights)).enumerate() {
            let numbers = [w.0.to_vec::<f64>()?, w.1.to_vec::<f64>()?].concat();
            let shape: Vec<usize> = std::iter::once(2).chain(y.shape()).collect();
            roots.push(engine::batched_root(y, i, &Tensor::from_slice(&numbers, &shape)?)?);
        }
        let options = Options { retain_graph: false, create_graph, batch: NonZeroUsize::new(2) };
        let found = engine::grad(roots, &targets, options)?;
        for (k, found) in found.iter().enumerate() {
            let what = format!("the batch of gradients of input {} (recorded: {create_graph})", wanted[k]);
            let Some(found) = found else {
                if expected.iter().all(|member| member[k].is_none()) {
                    continue;
                }
                return Err(failed(name, &format!("{what} is nothing")));
            };
            if found.shape()[1..] != targets[k].shape()[..] {
                return Err(failed(name, &format!("{what} has shape {:?}", found.shape())));
            }
            let numbers = found.to_vec::<f64>()?;
            for (i, member) in expected.iter().enumerate() {
                let size = targets[k].numel();
                let alone = member[k].as_ref().map_or_else(|| Ok(vec![0.0; size]), Tensor::to_vec::<f64>)?;
                let near = |(a, b): (&f64, &f64)| {
                    (a - b).abs() <= 1e-12 + 1e-12 * b.abs() || (a.is_nan() && b.is_nan())
                };
                let found = &numbers[i * size..(i + 1) * size];
                if !found.iter().zip(&alone).all(near) {
                    return Err(failed(name, &format!("member {i} of {what} is {found:?}, alone {alone:?}")));
                }
            }
        }
    }
    Ok(())
}

/// Forward mode in a random direction must agree with the gradient in that direction.
fn check_forward(
    name: &str,
    inputs: &[Tensor],
    wanted: &[usize],
    projection: &Projection<'_>,
    gradients: &[Option<Tensor>],
    sampler: &mut Sampler,
) -> Result<()> {
    let mut expected = 0.0;
    let level = forward::Level::new();
    let mut duals = inputs.to_vec();
    for (&i, gradient) in wanted.iter().zip(gradients) {
        let tangent = sampler.uniform(&inputs[i].shape(), 0.3, 1.3)?;
        if let Some(gradient) = gradient {
            for (g, t) in gradient.to_vec::<f64>()?.iter().zip(tangent.to_vec::<f64>()?) {
                expected += g * t;
            }
        }
        duals[i] = level.dual(&inputs[i].detach(), &tangent)?;
    }
    let outputs = (projection.call)(&duals)?;
    let mut found = 0.0;
    for (y, w) in outputs.iter().filter(|y| y.dtype().is_floating()).zip(&projection.weights) {
        let Some(tangent) = y.tangent() else { continue };
        if tangent.shape() != y.shape() {
            return Err(failed(name, &format!("a tangent has shape {:?}", tangent.shape())));
        }
        for (t, w) in tangent.to_vec::<f64>()?.iter().zip(w.to_vec::<f64>()?) {
            found += t * w;
        }
    }
    if (found - expected).abs() > 1e-8 + 1e-8 * expected.abs() {
        return Err(failed(
            name,
            &format!("forward mode gives {found}, the gradient in the same direction {expected}"),
        ));
    }
    Ok(())
}

/// Forward mode over a backward pass, and a backward pass over forward mode: the tangents of the gradients, and the gradients
/// of the tangents, must agree with the second gradient, which is that of the gradient in `directions`.
fn check_mixed(
    name: &str,
    inputs: &[Tensor],
    wanted: &[usize],
    projection: &Projection<'_>,
    directions: &[Tensor],
    second: &[Option<Tensor>],
    sampler: &mut Sampler,
) -> Result<()> {
    let level = forward::Level::new();
    let (mut duals, mut tangents) = (inputs.to_vec(), Vec::new());
    for &i in wanted {
        let tangent = sampler.uniform(&inputs[i].shape(), 0.3, 1.3)?;
        duals[i] = level.dual(&inputs[i], &tangent)?;
        tangents.push(Some(tangent));
    }
    let along = |a: &[Option<Tensor>], b: &[Option<Tensor>]| {
        let mut sum = 0.0;
        for (a, b) in a.iter().zip(b).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?))) {
            sum += a.to_vec::<f64>()?.iter().zip(b.to_vec::<f64>()?).map(|(a, b)| a * b).sum::<f64>();
        }
        Ok::<f64, Error>(sum)
    };
    let directions: Vec<_> = directions.iter().cloned().map(Some).collect();
    let expected = along(second, &tangents)?;
    let gradients = projection.gradient(&duals, wanted, true)?;
    let of_gradients: Vec<_> = gradients.iter().map(|g| g.as_ref().and_then(Tensor::tangent)).collect();

    let outputs = (projection.call)(&duals)?;
    let pairs = outputs.iter().filter(|y| y.requires_grad()).zip(&projection.weights);
    let (roots_of, weights): (Vec<_>, Vec<_>) =
        pairs.filter_map(|(y, w)| Some((y.tangent().filter(Tensor::requires_grad)?, w.clone()))).unzip();
    let targets: Vec<Tensor> = wanted.iter().map(|&i| duals[i].clone()).collect();
    let of_tangents = if roots_of.is_empty() {
        vec![]
    } else {
        engine::grad(roots(&roots_of, &weights)?, &targets, Options::default())?
    };
    for (what, found) in [
        ("forward mode over a backward pass", of_gradients),
        ("a backward pass over forward mode", of_tangents),
    ] {
        let found = along(&found, &directions)?;
        if (found - expected).abs() > 1e-7 + 1e-7 * expected.abs() {
            return Err(failed(name, &format!("{what} gives {found}, the second gradient {expected}")));
        }
    }
    Ok(())
}

/// The dtype of checks.
pub const DTYPE: DType = DType::F64;
