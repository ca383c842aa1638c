//! Losses of pairs of elements: rows, and a reduction over all of them in the same node.

use smallvec::SmallVec;

use crate::array::Scalar;
use crate::array::kernels::tile::Source;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::row::{Derivative, MOST_KEPT, Takes, apply, evaluate_numbers};
use crate::graph::vector_space::{add, expand, sum_to, to_dtype, zeros_like};
use crate::graph::{Grads, Keep, Operand, Row, Tensor, Term, forward, mode, record};
use crate::{ops, rows};

rows! {
    table LOSS;

    /// The square of the difference.
    real mse_each(x, t) -> y = (x - t) * (x - t), as "MseLossBackward0", {
        dx(g, x, t) = g * 2.0 * (x - t),
        dt(g, x, t) = g * 2.0 * (t - x)
    };

    /// The difference's square over 2 beta where it is below beta, else its size less beta / 2.
    real smooth_l1_each(x, t, beta) -> y =
        (x - t).abs().lt(beta).select(0.5 * (x - t) * (x - t) / beta, (x - t).abs() - 0.5 * beta),
        as "SmoothL1LossBackward0", {
        dx(g, x, t, beta) = ((x - t).lt(beta) & (x - t).gt(-beta)).select(g * (x - t) / beta, g * (x - t).signum()),
        dt(g, x, t, beta) = ((x - t).lt(beta) & (x - t).gt(-beta)).select(g * (t - x) / beta, g * (t - x).signum())
    };

    /// Half the difference's square where it is at most delta, else delta times its size less delta / 2.
    real huber_each(x, t, delta) -> y =
        (x - t).abs().le(delta).select(0.5 * (x - t) * (x - t), delta * ((x - t).abs() - 0.5 * delta)),
        as "HuberLossBackward0", {
        dx(g, x, t, delta) = ((x - t).le(delta) & (x - t).ge(-delta)).select(g * (x - t), g * delta * (x - t).signum()),
        dt(g, x, t, delta) = ((x - t).le(delta) & (x - t).ge(-delta)).select(g * (t - x), g * delta * (t - x).signum())
    };

    /// log(1 + exp(-t x)).
    real soft_margin_each(x, t) -> y = -(t * x).log_sigmoid(), as "SoftMarginLossBackward0", {
        dx(g, x, t) = -g * t * (-t * x).sigmoid()
    };

    /// -w (t log x + (1 - t) log(1 - x)), the logarithms no lower than -100.
    real binary_cross_entropy_each(x, t, weight) -> y =
        weight * ((t - 1.0) * (-x).ln_1p().maximum(-100.0) - t * x.ln().maximum(-100.0)),
        as "BinaryCrossEntropyBackward0", on 0.1..0.9, {
        dx(g, x, t, weight) = ((1.0 - x) * x).lt(1e-12)
            .select(g * weight * (x - t) / 1e-12, g * weight * (x - t) / ((1.0 - x) * x)),
        dt(g, x, weight) = g * weight * ((1.0 - x).ln().lt(-100.0).select(-100.0, (1.0 - x).ln())
            - x.ln().lt(-100.0).select(-100.0, x.ln()))
    };

    /// -w (p t log s + (1 - t) log(1 - s)) of s = sigmoid(x), without forming s: exact for any x.
    real binary_cross_entropy_logits_each(x, t, weight, pos_weight) -> y =
        weight * ((1.0 - t) * x - (1.0 + (pos_weight - 1.0) * t) * x.log_sigmoid()),
        as "BinaryCrossEntropyWithLogitsBackward0", {
        dx(g, x, t, weight, pos_weight) =
            g * weight * ((pos_weight * t + 1.0 - t) * x.sigmoid() - pos_weight * t),
        dt(g, x, weight, pos_weight) = -g * weight * (x + (pos_weight - 1.0) * x.log_sigmoid())
    };
}

/// What becomes of the losses of single elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// They are the result.
    None,
    /// Their mean is.
    Mean,
    /// Their sum is.
    Sum,
}

impl Reduction {
    /// By PyTorch's word for it.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            _ => Err(Error::value(format!("{name} is not a valid value for reduction"))),
        }
    }
}

/// A loss of any shape, reduced.
pub fn reduced(loss: &Tensor, reduction: Reduction) -> Result<Tensor> {
    match reduction {
        Reduction::None => Ok(loss.clone()),
        Reduction::Sum => ops::sum(loss, None, false, None),
        Reduction::Mean => ops::mean(loss, None, false, None),
    }
}

fn derivative(row: &'static Row, input: usize) -> Option<&'static Derivative> {
    row.derivatives.iter().find(|d| usize::from(d.input) == input)
}

/// A row's derivative for one input, of tensors or of numbers.
fn pull(d: &'static Derivative, g: &Tensor, inputs: &[Held]) -> Result<Tensor> {
    if forward::is_watched() {
        let mut terms: SmallVec<[Term; 5]> = SmallVec::new();
        for takes in d.takes {
            terms.push(match takes {
                Takes::Input(i) => inputs[usize::from(*i)].term(g),
                _ => Term::of(g.clone()),
            });
        }
        return (d.terms)(&terms).tensor();
    }
    let mut kept = [Source::Scalar(Scalar::Int(0)); MOST_KEPT];
    let arrays: SmallVec<[_; 4]> = inputs.iter().map(Held::array).collect();
    for (i, (source, array)) in kept.iter_mut().zip(&arrays).enumerate() {
        *source = match (array, &inputs[i]) {
            (Some(array), _) => Source::Array(array),
            (None, Held::Scalar(s)) => Source::Scalar(*s),
            (None, Held::Tensor(_)) => unreachable!("a tensor has an array"),
        };
    }
    evaluate_numbers(d, g, &kept)
}

/// An operand, held.
enum Held {
    Tensor(Tensor),
    Scalar(Scalar),
}

impl Held {
    fn term(&self, g: &Tensor) -> Term {
        match self {
            Self::Tensor(x) => Term::of(x.clone()),
            Self::Scalar(s) => Term::number(*s, g),
        }
    }

    fn array(&self) -> Option<crate::array::Array> {
        match self {
            Self::Tensor(x) => Some(x.array()),
            Self::Scalar(_) => None,
        }
    }
}

/// A row over all elements, and their mean or sum, in one node.
///
/// dx = the row's derivative at g, which for a mean is divided by the number of elements.
fn reduced_row<const N: usize>(
    row: &'static Row,
    operands: [Operand<'_>; N],
    reduction: Reduction,
) -> Result<Tensor> {
    if reduction == Reduction::None {
        return apply(row, operands);
    }
    let tensors: SmallVec<[&Tensor; 4]> = operands
        .iter()
        .filter_map(|x| match x {
            Operand::Tensor(x) => Some(*x),
            Operand::Scalar(_) => None,
        })
        .collect();
    let (y, shape) = {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let each = apply(row, operands)?;
        (reduced(&each, reduction)?.array(), each.shape())
    };
    let factor =
        if reduction == Reduction::Mean { 1.0 / shape.iter().product::<usize>() as f64 } else { 1.0 };
    // What operand `i` is: the tensor of this number, or a number.
    let mut plan: SmallVec<[Result<u8, Scalar>; 4]> = SmallVec::new();
    let mut keep: SmallVec<[Keep<'_>; 4]> = SmallVec::new();
    for operand in &operands {
        plan.push(match operand {
            Operand::Tensor(_) => {
                keep.push(Keep::Input(keep.len() as u8));
                Ok(keep.len() as u8 - 1)
            }
            Operand::Scalar(s) => Err(*s),
        });
    }
    let forward_plan = plan.clone();
    let forward_shape = shape.clone();
    record(
        row.node,
        &tensors,
        y,
        &keep,
        move |cx| {
            let mut grads = Grads::new();
            let Some(g) = cx.grad(0) else { return Ok(grads) };
            let g = expand(&ops::mul(g, factor)?, &shape)?;
            let mut inputs: SmallVec<[Held; 4]> = SmallVec::new();
            for operand in &plan {
                inputs.push(match operand {
                    Ok(i) => Held::Tensor(cx.saved(usize::from(*i))?),
                    Err(s) => Held::Scalar(*s),
                });
            }
            for (i, operand) in plan.iter().enumerate() {
                if let Ok(number) = operand {
                    let wanted = derivative(row, i).filter(|_| cx.needs(usize::from(*number)));
                    grads.push(wanted.map(|d| pull(d, &g, &inputs)).transpose()?);
                }
            }
            Ok(grads)
        },
        |cx| {
            let mut inputs: SmallVec<[Held; 4]> = SmallVec::new();
            for operand in &forward_plan {
                inputs.push(match operand {
                    Ok(i) => Held::Tensor(cx.input(usize::from(*i)).clone()),
                    Err(s) => Held::Scalar(*s),
                });
            }
            let mut sum = zeros_like(cx.output())?;
            for (i, operand) in forward_plan.iter().enumerate() {
                let Some(tangent) = operand.as_ref().ok().and_then(|number| cx.tangent(usize::from(*number)))
                else {
                    continue;
                };
                if let Some(d) = derivative(row, i) {
                    let part = pull(d, &expand(&tangent, &forward_shape)?, &inputs)?;
                    sum = add(&sum, &ops::mul(&sum_to(&part, &[])?, factor)?)?;
                }
            }
            Ok(sum)
        },
    )
}

/// The operands in the dtype they have in common: a derivative is computed in one dtype.
fn promoted(x: &Tensor, t: &Tensor) -> Result<(Tensor, Tensor)> {
    let dtype = crate::graph::row::result_type(&[x.into(), t.into()]);
    Ok((to_dtype(x, dtype)?, to_dtype(t, dtype)?))
}

/// The square of the difference, reduced. Shapes broadcast.
pub fn mse_loss(x: &Tensor, t: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let (x, t) = promoted(x, t)?;
    reduced_row(&mse_each::ROW, [(&x).into(), (&t).into()], reduction)
}

/// The absolute difference, reduced. Shapes broadcast.
pub fn l1_loss(x: &Tensor, t: &Tensor, reduction: Reduction) -> Result<Tensor> {
    reduced(&ops::abs(&ops::sub(x, t)?)?, reduction)
}

/// The absolute difference, rounded off by a parabola within `beta`, reduced.
pub fn smooth_l1_loss(x: &Tensor, t: &Tensor, reduction: Reduction, beta: f64) -> Result<Tensor> {
    if beta < 0.0 {
        return Err(Error::runtime("smooth_l1_loss does not support negative values for beta."));
    }
    if beta == 0.0 {
        return l1_loss(x, t, reduction);
    }
    let (x, t) = promoted(x, t)?;
    reduced_row(&smooth_l1_each::ROW, [(&x).into(), (&t).into(), beta.into()], reduction)
}

/// Half the square of the difference, straight beyond `delta`, reduced.
pub fn huber_loss(x: &Tensor, t: &Tensor, reduction: Reduction, delta: f64) -> Result<Tensor> {
    if delta <= 0.0 {
        return Err(Error::runtime("huber_loss does not support non-positive values for delta."));
    }
    let (x, t) = promoted(x, t)?;
    reduced_row(&huber_each::ROW, [(&x).into(), (&t).into(), delta.into()], reduction)
}

/// log(1 + exp(-t x)), reduced. The target has no derivative.
pub fn soft_margin_loss(x: &Tensor, t: &Tensor, reduction: Reduction) -> Result<Tensor> {
    reduced_row(&soft_margin_each::ROW, [x.into(), t.into()], reduction)
}

/// The cross entropy between probabilities `t` and `x`, reduced.
///
/// Fails when shapes differ or an element of `x` is outside [0, 1].
pub fn binary_cross_entropy(
    x: &Tensor,
    t: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    if x.shape() != t.shape() {
        return Err(Error::value(format!(
            "Using a target size (torch.Size({:?})) that is different to the input size (torch.Size({:?})) is deprecated. \
             Please ensure they have the same size.",
            &t.shape()[..],
            &x.shape()[..]
        )));
    }
    // A NaN lies in no interval.
    if !x.to_vec::<f64>()?.iter().all(|x| (0.0..=1.0).contains(x)) {
        return Err(Error::runtime("all elements of input should be between 0 and 1"));
    }
    let (x, t) = promoted(x, t)?;
    let weight = weight.map_or(Operand::from(1.0), Operand::from);
    reduced_row(&binary_cross_entropy_each::ROW, [(&x).into(), (&t).into(), weight], reduction)
}

/// The cross entropy between probabilities `t` and the sigmoid of `x`, reduced. `weight` and `pos_weight` (of the terms
/// with t) broadcast to `x`; they have no derivative.
///
/// Fails when the shapes of `x` and `t` differ.
pub fn binary_cross_entropy_with_logits(
    x: &Tensor,
    t: &Tensor,
    weight: Option<&Tensor>,
    pos_weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    if x.shape() != t.shape() {
        return Err(Error::value(format!(
            "Target size (torch.Size({:?})) must be the same as input size (torch.Size({:?}))",
            &t.shape()[..],
            &x.shape()[..]
        )));
    }
    let (x, t) = promoted(x, t)?;
    let weight = weight.map_or(Operand::from(1.0), Operand::from);
    let pos_weight = pos_weight.map_or(Operand::from(1.0), Operand::from);
    reduced_row(
        &binary_cross_entropy_logits_each::ROW,
        [(&x).into(), (&t).into(), weight, pos_weight],
        reduction,
    )
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "mse_loss",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2])?]),
        |x| Ok(vec![mse_loss(&x[0], &x[1], Reduction::Mean)?, mse_loss(&x[0], &x[1], Reduction::None)?]),
    ),
    Check::new(
        "smooth_l1_loss",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3, 2])?]),
        |x| Ok(vec![smooth_l1_loss(&x[0], &x[1], Reduction::Sum, 0.7)?]),
    ),
    Check::new(
        "huber_loss",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3, 2])?]),
        |x| Ok(vec![huber_loss(&x[0], &x[1], Reduction::Mean, 0.6)?]),
    ),
    Check::new(
        "soft_margin_loss",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| {
            let t = Tensor::from_slice(&[1.0, -1.0, 1.0, 1.0, -1.0, -1.0], &[3, 2])?;
            Ok(vec![soft_margin_loss(&x[0], &t, Reduction::Mean)?])
        },
    ),
    Check::new(
        "binary_cross_entropy",
        |s| Ok(vec![s.uniform(&[4], 0.1, 0.9)?, s.uniform(&[4], 0.1, 0.9)?]),
        |x| Ok(vec![binary_cross_entropy(&x[0], &x[1], None, Reduction::Mean)?]),
    ),
    Check::new(
        "binary_cross_entropy_with_logits",
        |s| Ok(vec![s.normal(&[3, 2])?, s.uniform(&[3, 2], 0.1, 0.9)?]),
        |x| {
            let weight = Tensor::from_slice(&[0.5, 2.0], &[2])?;
            let y = binary_cross_entropy_with_logits(
                &x[0],
                &x[1],
                Some(&weight),
                Some(&weight),
                Reduction::Mean,
            )?;
            Ok(vec![y, binary_cross_entropy_with_logits(&x[0], &x[1], None, None, Reduction::None)?])
        },
    ),
];
