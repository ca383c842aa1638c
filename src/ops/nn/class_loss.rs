//! Losses against classes: the negative logarithm of a class's probability, and cross entropy.

use std::sync::Arc;

use smallvec::smallvec;

use crate::array::kernels::class_loss::{self as kernel, Classes};
use crate::array::{Array, DType, Dims, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{sum_to, zeros_like};
use crate::graph::{Data, Keep, Tensor, record};
use crate::ops;
use crate::ops::linear::linear_with;
use crate::ops::nn::loss::{Reduction, reduced};
use crate::ops::nn::{shaped, tied};

/// A target of this value counts for nothing.
pub const IGNORE_INDEX: i64 = -100;

/// -w x at the class of each position, reduced; a mean is over the weights of the positions.
///
/// `x` is `[classes]`, or `[batch, classes, ..positions]`; `target` holds classes, without that axis; `weight` one number
/// for each class.
pub fn nll_loss(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: i64,
    reduction: Reduction,
) -> Result<Tensor> {
    check_shapes(x, target)?;
    let shape = x.shape();
    let count = shape[usize::from(shape.len() > 1)];
    if let Some(weight) = weight.filter(|w| w.numel() != count || w.ndim() != 1) {
        return Err(Error::runtime(format!(
            "weight tensor should be defined either for all {count} classes or no classes but got weight tensor of shape: \
             {:?}",
            &weight.shape()[..]
        )));
    }
    let classes = Classes {
        at: classes(target, count, ignore_index)?,
        count,
        positions: shape.get(2..).map_or(1, |rest| rest.iter().product()),
        weight: weight.map(Tensor::to_vec::<f64>).transpose()?,
    };
    let scale = if reduction == Reduction::Mean { 1.0 / classes.total() } else { 1.0 };
    let name = if shape.len() > 2 { "NllLoss2DBackward0" } else { "NllLossBackward0" };
    let reduced = reduction != Reduction::None;
    picked(x, &Arc::new(Picking { name, classes, scale, reduced, target: target.shape() }))
}

fn check_shapes(x: &Tensor, target: &Tensor) -> Result<()> {
    let (x, target) = (x.shape(), target.shape());
    if x.is_empty() {
        return Err(Error::value(format!("Expected 1 or more dimensions (got {})", x.len())));
    }
    let expected: Dims =
        x.iter().enumerate().filter(|&(i, _)| i != usize::from(x.len() > 1)).map(|(_, &n)| n).collect();
    if x.len() == 1 || expected == target {
        return if x.len() == 1 && !target.iter().all(|&n| n == 1) {
            Err(Error::runtime(format!("size mismatch (got input: {:?}, target: {:?})", &x[..], &target[..])))
        } else {
            Ok(())
        };
    }
    if target.first() != x.first() {
        return Err(Error::value(format!(
            "Expected input batch_size ({}) to match target batch_size ({}).",
            x[0],
            target.first().copied().unwrap_or(0)
        )));
    }
    Err(Error::runtime(format!("Expected target size {:?}, got {:?}", &expected[..], &target[..])))
}

/// Classes, checked.
fn classes(target: &Tensor, count: usize, ignore_index: i64) -> Result<Vec<Option<usize>>> {
    if !matches!(target.dtype(), DType::I64 | DType::U8) {
        return Err(Error::runtime(format!(
            "expected target dtype to be Long or Byte, but got {}",
            target.dtype().scalar_name()
        )));
    }
    let mut classes = Vec::with_capacity(target.numel());
    for class in target.to_vec::<i64>()? {
        classes.push(match usize::try_from(class) {
            _ if class == ignore_index => None,
            Ok(class) if class < count => Some(class),
            _ => return Err(Error::index(format!("Target {class} is out of bounds."))),
        });
    }
    Ok(classes)
}

/// Which entries of a table are taken, and what becomes of them.
struct Picking {
    name: &'static str,
    classes: Classes,
    scale: f64,
    reduced: bool,
    target: Dims,
}

/// Linear in x, with [`spread`] for its adjoint.
fn picked(x: &Tensor, picking: &Arc<Picking>) -> Result<Tensor> {
    let array = x.array().contiguous()?;
    if !array.dtype().is_floating() {
        return Err(Error::unsupported("nll_loss_out_frame", array.dtype()));
    }
    let y = if picking.reduced {
        let sum = kernel::sum(&picking.classes, &array)? * picking.scale;
        Array::scalar(Scalar::Float(sum), array.dtype())?
    } else {
        let y = Array::empty(&picking.target, array.dtype())?;
        kernel::each(&picking.classes, &array, &y);
        y
    };
    let shape: Dims = array.shape().into();
    let kept: Data = picking.clone();
    record(
        picking.name,
        &[x],
        y,
        &[Keep::Input(0), Keep::Data(&kept)],
        move |cx| {
            let picking = cx.data(1)?;
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            Ok(smallvec![Some(tied(spread(g, &picking, &shape)?, || cx.saved(0))?)])
        },
        |cx| cx.tangent(0).map_or_else(|| zeros_like(cx.output()), |t| picked(&t, picking)),
    )
}

/// Linear in g, with [`picked`] for its adjoint.
fn spread(g: &Tensor, picking: &Arc<Picking>, shape: &[usize]) -> Result<Tensor> {
    let array = g.array().contiguous()?;
    let dx = Array::zeros(shape, array.dtype())?;
    kernel::spread(&picking.classes, &array, picking.scale, &dx);
    linear_with("NllLossBackwardBackward0", g, dx, picking, picked, |t| spread(t, picking, shape))
}

/// The sum along an axis, which stays with extent 1.
fn along(x: &Tensor, axis: usize) -> Result<Tensor> {
    let mut shape = x.shape();
    if let Some(n) = shape.get_mut(axis) {
        *n = 1;
    }
    sum_to(x, &shape)
}

/// The cross entropy between a target and the softmax of `x` over its classes, reduced.
///
/// `x` is `[classes]` or `[batch, classes, ..positions]`. `target` holds classes (as [`nll_loss`]), or probabilities in the
/// shape of `x`. `label_smoothing` gives every class an equal share of that much of the target.
pub fn cross_entropy(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
    ignore_index: i64,
    label_smoothing: f64,
) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(Error::runtime(format!(
            "label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}"
        )));
    }
    if x.ndim() == 0 {
        return Err(Error::value("Expected 1 or more dimensions (got 0)"));
    }
    if !x.dtype().is_floating() {
        return Err(Error::unsupported("log_softmax_lastdim_kernel_impl", x.dtype()));
    }
    let axis = usize::from(x.ndim() > 1);
    let logs = ops::log_softmax(x, axis as isize, None)?;
    if target.dtype().is_floating() {
        if target.shape() != x.shape() {
            return Err(Error::runtime(
                "Expected floating point type for target with class probabilities, in the input's shape",
            ));
        }
        return against_probabilities(&logs, target, weight, axis, reduction, label_smoothing);
    }
    let sharp = nll_loss(&logs, target, weight, ignore_index, reduction)?;
    if label_smoothing == 0.0 {
        return Ok(sharp);
    }
    // Every class alike: the mean of its own loss over the classes, positions ignored as before.
    let count = x.shape()[axis];
    let flags: Vec<f64> =
        classes(target, count, ignore_index)?.into_iter().map(|c| f64::from(u8::from(c.is_some()))).collect();
    let counted = Tensor::from_slice(&flags, &target.shape())?;
    let counted = crate::graph::vector_space::to_dtype(&counted, x.dtype())?;
    let mut shape = logs.shape();
    shape.remove(axis);
    let weighted = ops::neg(&class_weighted(&logs, weight, axis)?)?;
    let each = ops::mul(&shaped(&along(&weighted, axis)?, &shape)?, &shaped(&counted, &shape)?)?;
    let smooth = match reduction {
        Reduction::None => each,
        Reduction::Sum => sum_to(&each, &[])?,
        Reduction::Mean => {
            let total = match weight {
                None => flags.iter().sum::<f64>(),
                Some(weight) => {
                    let weight = weight.to_vec::<f64>()?;
                    classes(target, count, ignore_index)?.into_iter().flatten().map(|c| weight[c]).sum()
                }
            };
            ops::div(&sum_to(&each, &[])?, total)?
        }
    };
    ops::add(&ops::mul(&sharp, 1.0 - label_smoothing)?, &ops::mul(&smooth, label_smoothing / count as f64)?)
}

fn class_weighted(x: &Tensor, weight: Option<&Tensor>, axis: usize) -> Result<Tensor> {
    let Some(weight) = weight else { return Ok(x.clone()) };
    let mut shape: Dims = smallvec::smallvec![1; x.ndim()];
    shape[axis] = weight.numel();
    ops::mul(x, &shaped(weight, &shape)?)
}

/// -sum over classes of w t log p; a mean is over positions.
fn against_probabilities(
    logs: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    axis: usize,
    reduction: Reduction,
    label_smoothing: f64,
) -> Result<Tensor> {
    let count = logs.shape()[axis];
    let target = if label_smoothing > 0.0 {
        ops::add(&ops::mul(target, 1.0 - label_smoothing)?, label_smoothing / count as f64)?
    } else {
        target.clone()
    };
    let each = ops::neg(&class_weighted(&ops::mul(logs, &target)?, weight, axis)?)?;
    match reduction {
        Reduction::Mean => ops::div(&sum_to(&each, &[])?, (logs.numel() / count.max(1)) as f64),
        Reduction::Sum => sum_to(&each, &[]),
        Reduction::None => {
            let mut shape = logs.shape();
            shape.remove(axis);
            reduced(&shaped(&along(&each, axis)?, &shape)?, Reduction::None)
        }
    }
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "nll_loss",
        |s| Ok(vec![s.normal(&[4, 3])?]),
        |x| {
            let target = Tensor::from_slice(&[0_i64, 2, IGNORE_INDEX, 1], &[4])?;
            let weight = Tensor::from_slice(&[0.5, 2.0, 1.5], &[3])?;
            let y = nll_loss(&x[0], &target, Some(&weight), IGNORE_INDEX, Reduction::Mean)?;
            Ok(vec![y, nll_loss(&x[0], &target, None, IGNORE_INDEX, Reduction::None)?])
        },
    ),
    Check::new(
        "cross_entropy",
        |s| Ok(vec![s.normal(&[2, 3, 2])?]),
        |x| {
            let target = Tensor::from_slice(&[0_i64, 2, 2, 1], &[2, 2])?;
            let y = cross_entropy(&x[0], &target, None, Reduction::Mean, IGNORE_INDEX, 0.0)?;
            Ok(vec![y, cross_entropy(&x[0], &target, None, Reduction::Sum, 2, 0.2)?])
        },
    ),
    Check::new(
        "cross_entropy, probabilities",
        |s| Ok(vec![s.normal(&[2, 3])?, s.uniform(&[2, 3], 0.1, 0.9)?]),
        |x| {
            let weight = Tensor::from_slice(&[0.5, 2.0, 1.5], &[3])?;
            Ok(vec![cross_entropy(&x[0], &x[1], Some(&weight), Reduction::Mean, IGNORE_INDEX, 0.1)?])
        },
    ),
];
