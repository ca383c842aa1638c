//! Steps of optimizers: the parameters of a group are moved in one call, and nothing is recorded.

use smallvec::SmallVec;

use crate::array::kernels::copy::copy;
use crate::array::kernels::fill::fill;
use crate::array::kernels::optimizer::{self as kernel, Direction, STATES, Slot, Update};
use crate::array::kernels::reduce::sum::Float;
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::row::check_writable;
use crate::graph::{Tensor, mode, view};

/// Options of [`sgd_`].
#[derive(Clone, Copy)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// How much of the last step's direction stays.
    pub momentum: f64,
    /// How much of the gradient is left out of the direction.
    pub dampening: f64,
    /// The parameter times this is added to its gradient.
    pub weight_decay: f64,
    /// Whether a step is along gradient and momentum.
    pub nesterov: bool,
    /// Whether steps ascend.
    pub maximize: bool,
    /// Whether the directions start with these gradients.
    pub first: bool,
}

/// Options of [`adam_`].
#[derive(Clone, Copy)]
pub struct Adam {
    /// The learning rate.
    pub lr: f64,
    /// The decay rates of the averages of gradients and of their squares.
    pub betas: (f64, f64),
    /// What is added to the root.
    pub eps: f64,
    /// The parameter times this is added to its gradient, or, `decoupled`, times the rate taken off itself.
    pub weight_decay: f64,
    /// Whether the weight decay is apart from the gradient.
    pub decoupled: bool,
    /// Whether steps ascend.
    pub maximize: bool,
}

/// An array that is written in a step: its own memory if that lies in order, else a copy that is brought back.
struct Written {
    array: Array,
    copy: Option<Array>,
}

impl Written {
    fn new(x: &Tensor) -> Result<Self> {
        view::check_write("step", x, false)?;
        let array = x.array();
        check_writable("step", &array)?;
        Ok(Self { copy: (!array.is_contiguous()).then(|| array.copied()).transpose()?, array })
    }

    fn dense(&self) -> &Array {
        self.copy.as_ref().unwrap_or(&self.array)
    }

    fn bring_back(&self) {
        if let Some(dense) = &self.copy {
            copy(dense, &self.array);
        }
        self.array.storage().raise_version("an optimizer's step");
    }
}

/// What a step reads and writes of one parameter.
struct Member {
    param: Written,
    grad: Array,
    state: SmallVec<[Written; STATES]>,
}

impl Member {
    fn slot<T>(&self) -> Slot<T> {
        let mut state = [std::ptr::null_mut(); STATES];
        for (place, written) in state.iter_mut().zip(&self.state) {
            *place = written.dense().pointer().cast();
        }
        Slot {
            param: self.param.dense().pointer().cast(),
            grad: self.grad.pointer().cast::<T>().cast_const(),
            state,
            length: self.grad.numel(),
        }
    }
}

/// The parameters with their gradients and state, one list for each tensor of state that a parameter has.
///
/// Fails unless lists are equally long and what belongs together has one shape and one float dtype.
fn members(params: &[Tensor], grads: &[Tensor], states: &[&[Tensor]]) -> Result<Vec<Member>> {
    if grads.len() != params.len() || states.iter().any(|list| list.len() != params.len()) {
        return Err(Error::runtime("a step needs one gradient and one of each state for every parameter"));
    }
    let member = |(i, (param, grad)): (usize, (&Tensor, &Tensor))| {
        let mut member = Member {
            param: Written::new(param)?,
            grad: grad.array().contiguous()?,
            state: states.iter().map(|list| Written::new(&list[i])).collect::<Result<_>>()?,
        };
        let array = &member.param.array;
        if !array.dtype().is_floating() {
            return Err(Error::unsupported("step", array.dtype()));
        }
        let like = |x: &&Array| x.shape() == array.shape() && x.dtype() == array.dtype();
        let others = std::iter::once(&member.grad).chain(member.state.iter().map(|w| &w.array));
        if let Some(other) = others.into_iter().find(|x| !like(x)) {
            return Err(Error::runtime(format!(
                "a parameter, its gradient and its state must have one shape and dtype, but got {:?} ({}) and {:?} ({})",
                array.shape(),
                array.dtype(),
                other.shape(),
                other.dtype()
            )));
        }
        let first = member.grad.pointer() as usize;
        let end = first + member.grad.numel() * member.grad.dtype().size();
        if member.spans().any(|(from, to)| from < end && first <= to) {
            member.grad = member.grad.copied()?;
        }
        Ok(member)
    };
    params.iter().zip(grads).enumerate().map(member).collect()
}

impl Member {
    /// First and last byte of each array that is written.
    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        let written = std::iter::once(&self.param).chain(&self.state).filter(|w| w.array.numel() > 0);
        written.map(|w| {
            let first = w.dense().pointer() as usize;
            (first, first + w.array.numel() * w.array.dtype().size() - 1)
        })
    }
}

/// Whether two spans meet.
fn meet(mut spans: Vec<(usize, usize)>) -> bool {
    spans.sort_unstable();
    !spans.is_sorted_by(|a, b| a.1 < b.0)
}

/// An optimizer's algorithm, for any float.
trait Algorithm {
    type Rule<T: Float>: Update<T>;
    /// The update of the parameters of these numbers.
    fn rule<T: Float>(&self, numbers: &[usize]) -> Self::Rule<T>;
}

fn update<T: Float, A: Algorithm>(
    algorithm: &A,
    members: &[Member],
    numbers: &[usize],
    maximize: bool,
    weight_decay: f64,
) {
    let slots: Vec<Slot<T>> = numbers.iter().map(|&i| members[i].slot()).collect();
    let direction = Direction { maximize, weight_decay: T::of(weight_decay) };
    // SAFETY: the arrays are contiguous, of one length and of type `T`, and held by `members`; `run` has made sure that
    // they do not meet.
    unsafe { kernel::update(&slots, direction, &algorithm.rule::<T>(numbers)) };
}

/// Moves all members, those of one dtype at once; members whose memory meets one after the other.
fn run<A: Algorithm>(algorithm: &A, members: &[Member], maximize: bool, weight_decay: f64) -> Result<()> {
    if members.iter().any(|member| !member.state.is_empty() && meet(member.spans().collect())) {
        return Err(Error::runtime("a parameter and its state share memory; clone() one of them"));
    }
    let together = !meet(members.iter().flat_map(Member::spans).collect());
    for dtype in [DType::F32, DType::F64] {
        let own: Vec<usize> = (0..members.len()).filter(|&i| members[i].grad.dtype() == dtype).collect();
        for numbers in own.chunks(if together { own.len().max(1) } else { 1 }) {
            match dtype {
                DType::F32 => update::<f32, A>(algorithm, members, numbers, maximize, weight_decay),
                _ => update::<f64, A>(algorithm, members, numbers, maximize, weight_decay),
            }
        }
    }
    for written in members.iter().flat_map(|member| std::iter::once(&member.param).chain(&member.state)) {
        written.bring_back();
    }
    Ok(())
}

impl Algorithm for Sgd {
    type Rule<T: Float> = kernel::Sgd<T>;
    fn rule<T: Float>(&self, _: &[usize]) -> kernel::Sgd<T> {
        kernel::Sgd {
            lr: T::of(self.lr),
            momentum: T::of(self.momentum),
            fresh: T::of(1.0 - self.dampening),
            first: self.first,
            nesterov: self.nesterov,
        }
    }
}

/// p -= lr v, with v = momentum v + (1 - dampening) (grad + weight_decay p), kept in `buffers` where there is momentum.
///
/// Parameters and buffers are overwritten, and nothing of it is recorded.
pub fn sgd_(params: &[Tensor], grads: &[Tensor], buffers: &[Tensor], options: Sgd) -> Result<()> {
    let _guard = mode::enter(mode::Mode { grad: false, ..mode::get() });
    let states: &[&[Tensor]] = if options.momentum == 0.0 { &[] } else { &[buffers] };
    let members = members(params, grads, states)?;
    run(&options, &members, options.maximize, options.weight_decay)
}

/// [`Adam`], and how many steps each parameter has taken, this one included.
struct Taken {
    options: Adam,
    steps: Vec<f64>,
}

impl Algorithm for Taken {
    type Rule<T: Float> = kernel::Adam<T>;
    fn rule<T: Float>(&self, numbers: &[usize]) -> kernel::Adam<T> {
        let Adam { lr, betas: (beta1, beta2), eps, weight_decay, decoupled, .. } = self.options;
        let scale = |&i: &usize| {
            let bias = |beta: f64| 1.0 - beta.powf(self.steps[i]);
            (T::of(-lr / bias(beta1)), T::of(bias(beta2).sqrt()))
        };
        kernel::Adam {
            weight: T::of(1.0 - beta1),
            decay: T::of(beta2),
            fresh: T::of(1.0 - beta2),
            eps: T::of(eps),
            shrink: (decoupled && weight_decay != 0.0).then(|| T::of(1.0 - lr * weight_decay)),
            scales: numbers.iter().map(scale).collect(),
        }
    }
}

/// p -= lr m̂ / (sqrt(v̂) + eps), with m and v the averages of gradients and of their squares, by their bias.
///
/// `steps` are 0-d tensors that count; `largest` are the largest v so far, divided by in place of v, or empty. All are
/// overwritten, and nothing of it is recorded.
pub fn adam_(
    params: &[Tensor],
    grads: &[Tensor],
    [averages, squares, largest]: [&[Tensor]; 3],
    steps: &[Tensor],
    options: Adam,
) -> Result<()> {
    let _guard = mode::enter(mode::Mode { grad: false, ..mode::get() });
    let states: &[&[Tensor]] =
        if largest.is_empty() { &[averages, squares] } else { &[averages, squares, largest] };
    let members = members(params, grads, states)?;
    if steps.len() != params.len() {
        return Err(Error::runtime("a step needs one count for every parameter"));
    }
    let steps = steps.iter().map(|step| count(step)).collect::<Result<_>>()?;
    let coupled = if options.decoupled { 0.0 } else { options.weight_decay };
    run(&Taken { options, steps }, &members, options.maximize, coupled)
}

/// Adds one to a count and gives it.
fn count(step: &Tensor) -> Result<f64> {
    let array = step.array();
    check_writable("add", &array)?;
    let value = array.item()?.to_f64() + 1.0;
    fill(&array, Scalar::Float(value));
    array.storage().raise_version("an optimizer's step");
    Ok(value)
}
