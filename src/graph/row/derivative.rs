//! The derivative of any row: over numbers, over terms, and forward.

use smallvec::{SmallVec, smallvec};

use super::promotion::Operand;
use super::{Derivative, MOST_KEPT, Row, Takes, no_derivative, no_forward_mode};
use crate::array::Scalar;
use crate::array::kernels::tile::{Call, MAX_INPUTS, Source};
use crate::error::{Error, Result};
use crate::graph::forward::Place;
use crate::graph::node::{Grads, NodeRef, Rule};
use crate::graph::record::Backward;
use crate::graph::saved::{SavedValue, Unpacked};
use crate::graph::tensor::Tensor;
use crate::graph::term::Term;
use crate::graph::{forward, mode, vector_space};

/// The derivative of any row.
pub(super) struct RowRule {
    pub(super) row: &'static Row,
}

/// Elements up to which a derivative reads what was saved in place; above, it takes its own references first, so that
/// no lock is held while kernels use the pool.
const BRIEF: usize = 4096;

impl Rule for RowRule {
    #[allow(clippy::misnamed_getters)] // a rule goes by its node's name
    fn name(&self) -> &str {
        self.row.node
    }

    /// What is kept broadcasts to the gradient from the right, whatever the gradient has in front.
    fn takes_batch(&self) -> bool {
        true
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        let Some(g) = cx.take_grad(0) else { return Ok(SmallVec::from_elem(None, cx.node().edges().len())) };
        if forward::is_watched() {
            return self.backward_recorded(cx, &g);
        }
        if cx.has_taken() || g.state().array.numel() <= BRIEF {
            return cx.values(|values| self.backward_numbers(cx, &g, values));
        }
        let values: SmallVec<[SavedValue; 2]> = cx.values(|values| Ok(values.iter().cloned().collect()))?;
        self.backward_numbers(cx, &g, &values)
    }
}

impl RowRule {
    /// One pass over memory for each input.
    fn backward_numbers(&self, cx: &Backward<'_>, g: &Tensor, saved: &[SavedValue]) -> Result<Grads> {
        // What was kept was settled when the op ran; which gradients this pass wants changes nothing about it.
        let needs = self.row.needs(|i| cx.has_edge(i));
        let mut kept = [Source::Scalar(Scalar::Int(0)); MOST_KEPT];
        let mut values = saved.iter().enumerate();
        for (bit, source) in kept.iter_mut().enumerate() {
            if needs & (1 << bit) != 0 {
                *source = values.next().map_or_else(
                    || unreachable!("what a derivative takes was kept"),
                    |(i, value)| value.source(cx.node(), &saved[..i]),
                )?;
            }
        }
        let mut grads = Grads::new();
        for input in 0..cx.node().edges().len() {
            let derivative = if cx.needs(input) { self.row.derivative(input) } else { None };
            grads.push(match derivative {
                None => self.none(cx, input)?,
                Some(d) if d.identity => Some(g.clone()),
                Some(d) => Some(evaluate_numbers(d, g, &kept)?),
            });
        }
        Ok(grads)
    }

    /// The gradient of an input that has no derivative, or whose gradient nobody wants.
    fn none(&self, cx: &Backward<'_>, input: usize) -> Result<Option<Tensor>> {
        if cx.needs(input) {
            self.row.check_known(input, no_derivative)?;
        }
        Ok(None)
    }

    #[cold]
    fn backward_recorded(&self, cx: &Backward<'_>, g: &Tensor) -> Result<Grads> {
        let needs = self.row.needs(|i| cx.has_edge(i));
        let mut kept: SmallVec<[(u8, Unpacked); 3]> = SmallVec::new();
        for bit in (0..MOST_KEPT).map(|i| 1 << i).filter(|bit| needs & bit != 0) {
            let value = cx.unpack(kept.len())?;
            kept.push((bit, value));
        }
        let mut grads = Grads::new();
        for input in 0..cx.node().edges().len() {
            let derivative = self.row.derivative(input).filter(|_| cx.needs(input));
            grads.push(match derivative {
                None => self.none(cx, input)?,
                Some(d) if d.identity => Some(g.clone()),
                Some(d) => Some(tied(evaluate_terms(d, g, &kept, cx.node())?, &kept, cx.node())?),
            });
        }
        Ok(grads)
    }
}

/// A derivative that is constant in what was kept (that of relu, say) as a function of it all the same, whose derivative
/// is zero: asking for a second derivative is then no error, as it is none in PyTorch.
fn tied(dx: Tensor, kept: &[(u8, Unpacked)], node: &NodeRef) -> Result<Tensor> {
    if dx.requires_grad() || !mode::is_grad_enabled() {
        return Ok(dx);
    }
    for (_, value) in kept {
        if let Unpacked::Array(..) | Unpacked::Tensor(_) = value {
            let x = value.clone().tensor(node)?;
            if x.requires_grad() {
                return vector_space::tied(&dx, &x);
            }
        }
    }
    Ok(dx)
}

fn find(kept: &[(u8, Unpacked)], takes: Takes) -> &Unpacked {
    kept.iter()
        .find(|(bit, _)| *bit == takes.bit())
        .map_or_else(|| unreachable!("what a derivative takes was kept"), |(_, value)| value)
}

/// One pass over memory; `kept` is indexed by the bit of what a derivative takes.
pub(crate) fn evaluate_numbers(
    d: &'static Derivative,
    g: &Tensor,
    kept: &[Source<'_>; MOST_KEPT],
) -> Result<Tensor> {
    let state = g.state();
    let g = &state.array;
    let dtype = g.dtype();
    let y = g.empty_like(dtype)?;
    let mut sources = [Source::Array(g); MAX_INPUTS];
    for (source, takes) in sources.iter_mut().zip(d.takes) {
        if *takes != Takes::Grad {
            *source = kept[takes.bit().trailing_zeros() as usize];
        }
    }
    let tile = d.kernel.tile(dtype).ok_or_else(|| Error::unsupported("a derivative", dtype))?;
    let inputs = &sources[..d.takes.len()];
    Call { tile, compute: dtype, inputs, result: dtype, output: &y }.run_fresh();
    Ok(Tensor::new(y))
}

/// In recorded tensor operations.
fn evaluate_terms(
    d: &'static Derivative,
    g: &Tensor,
    kept: &[(u8, Unpacked)],
    node: &NodeRef,
) -> Result<Tensor> {
    let mut terms: SmallVec<[Term; 4]> = SmallVec::new();
    for &takes in d.takes {
        terms.push(match takes {
            Takes::Grad => Term::of(g.clone()),
            _ => match find(kept, takes) {
                Unpacked::Scalar(s) => Term::number(*s, g),
                kept => Term::of(kept.clone().tensor(node)?),
            },
        });
    }
    (d.terms)(&terms).tensor()
}

/// Forward mode: the sum of the derivatives' formulas, each with its input's tangent for `g`.
#[cold]
pub(super) fn propagate_row<const N: usize>(
    row: &'static Row,
    place: Place,
    operands: &[Operand<'_>; N],
    y: &Tensor,
    node: Option<NodeRef>,
) -> Result<()> {
    // By their numbers: for an operand that is a number the output stands in, which has no tangent of its own.
    let inputs: SmallVec<[&Tensor; 4]> = operands
        .iter()
        .map(|x| match x {
            Operand::Tensor(x) => *x,
            Operand::Scalar(_) => y,
        })
        .collect();
    forward::propagate(place, &inputs, std::slice::from_ref(y), node.as_ref(), || {
        for (input, x) in operands.iter().enumerate() {
            if matches!(x, Operand::Tensor(x) if x.tangent().is_some()) {
                row.check_known(input, |_| no_forward_mode(row.name))?;
            }
        }
        let mut sum: Option<Tensor> = None;
        for d in row.derivatives {
            let Operand::Tensor(x) = operands[usize::from(d.input)] else { continue };
            let Some(tangent) = x.tangent() else { continue };
            let mut terms: SmallVec<[Term; 4]> = SmallVec::new();
            for takes in d.takes {
                terms.push(match takes {
                    Takes::Grad => Term::of(tangent.clone()),
                    Takes::Output => Term::of(y.clone()),
                    Takes::Input(i) => match operands[usize::from(*i)] {
                        Operand::Tensor(x) => Term::of(x.clone()),
                        Operand::Scalar(s) => Term::number(s, y),
                    },
                });
            }
            let part = (d.terms)(&terms).tensor()?;
            sum = Some(match sum {
                None => part,
                Some(sum) => vector_space::add_grads(sum, part)?,
            });
        }
        let tangent = sum.map_or_else(|| vector_space::zeros_like(y), Ok)?;
        let tangent = vector_space::to_dtype(&tangent, y.dtype())?;
        let shape = y.shape();
        let fits = tangent.shape() == shape;
        Ok(smallvec![Some(if fits { tangent } else { vector_space::expand(&tangent, &shape)? })])
    })
}
