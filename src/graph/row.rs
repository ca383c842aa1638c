//! Element-wise ops as rows: forward and derivatives in one line each, and the one way to run, record and differentiate
//! them all. How a row reads is said in `row/table.rs`.

mod apply;
mod derivative;
mod name;
mod promotion;
mod table;
mod write;

pub use apply::{apply, apply_in_place};
pub(crate) use derivative::evaluate_numbers;
pub use name::{NodeName, differentiated, input_named, needed, same};
pub use promotion::{Operand, default_dtype, result_type, set_default_dtype};
pub(crate) use write::{check_overlap, check_writable, inference_saved, read_beside};

use crate::array::DType;
use crate::array::kernels::formula::Kernel;
use crate::array::kernels::tile::Tile;
use crate::error::{Error, Result};
use crate::graph::term::Term;

/// Which dtypes a row takes and gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Computes in floats; integers become the default float.
    Real,
    /// Computes in the promoted dtype.
    Number,
    /// Compares in the promoted dtype, gives truths.
    Test,
    /// Tests floats, gives truths.
    RealTest,
    /// Truths to truths.
    Logic,
    /// Integers or truths to the same.
    Bits,
}

/// One element-wise op.
pub struct Row {
    /// PyTorch's name.
    pub name: &'static str,
    /// The node's name.
    pub node: &'static str,
    /// The inputs' names, in order.
    pub inputs: &'static [&'static str],
    /// For each input, the default that a caller in Python may leave out.
    pub defaults: &'static [Option<&'static str>],
    /// What it computes, in a sentence.
    pub doc: &'static str,
    /// Dtypes in and out.
    pub kind: Kind,
    /// The formula's kernels.
    pub forward: Kernel,
    /// At most one for each input.
    pub derivatives: &'static [Derivative],
    /// The input whose derivative is not implemented, and what an error calls it.
    pub unknown: Option<(u8, &'static str)>,
    /// The inputs that have a derivative, known or not, one bit each.
    pub differentiable: u8,
    /// Where the gradient check draws its points.
    pub domain: (f64, f64),
}

/// A row's derivative with respect to one input.
pub struct Derivative {
    /// Which input.
    pub input: u8,
    /// What the formula is given, in order.
    pub takes: &'static [Takes],
    /// What of it is kept: [`needed`] of them.
    pub needs: u8,
    /// Whether the formula is just `g`.
    pub identity: bool,
    /// The formula over numbers.
    pub kernel: Kernel,
    /// The formula over terms.
    pub terms: fn(&[Term]) -> Term,
}

/// The most inputs that a row has.
pub const MOST_INPUTS: usize = 4;

/// How many things a derivative may need to be kept: the inputs and the output.
pub(crate) const MOST_KEPT: usize = MOST_INPUTS + 1;

/// The bit of the output among those of what is kept; an input has the one of its number.
const OUTPUT_BIT: u8 = 1 << MOST_INPUTS;

/// A formula's argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// The gradient of the output.
    Grad,
    /// The input of this number.
    Input(u8),
    /// The output.
    Output,
}

fn float(dtype: DType) -> DType {
    if dtype.is_floating() { dtype } else { default_dtype() }
}

/// What a backward pass says that needs a derivative which is not implemented.
#[cold]
pub fn no_derivative(what: &str) -> Error {
    Error::not_implemented(format!("the derivative for '{what}' is not implemented."))
}

/// What forward mode says there.
#[cold]
pub fn no_forward_mode(op: &str) -> Error {
    Error::not_implemented(format!(
        "Trying to use forward AD with {op} that does not support it because it has not been implemented yet."
    ))
}

impl Row {
    /// What is computed in, what the tile gives, and what the result is, for operands of this common dtype.
    #[inline]
    fn dtypes(&self, common: DType) -> (DType, DType, DType) {
        // Truths are summed and compared as bytes.
        let number = if common == DType::Bool { DType::U8 } else { common };
        match self.kind {
            Kind::Real => (float(common), float(common), float(common)),
            Kind::Number | Kind::Bits => (number, number, common),
            Kind::Test => (number, DType::Bool, DType::Bool),
            Kind::RealTest => (float(common), DType::Bool, DType::Bool),
            Kind::Logic => (DType::Bool, DType::Bool, DType::Bool),
        }
    }

    /// The tile for a compute dtype.
    #[inline]
    pub fn tile(&self, compute: DType) -> Result<Tile> {
        self.forward.tile(compute).ok_or_else(|| Error::unsupported(self.name, compute))
    }

    fn derivative(&self, input: usize) -> Option<&'static Derivative> {
        self.derivatives.iter().find(|d| usize::from(d.input) == input)
    }

    /// Fails if the derivative of this input is not implemented.
    fn check_known(&self, input: usize, refusal: impl FnOnce(&str) -> Error) -> Result<()> {
        match self.unknown {
            Some((unknown, what)) if usize::from(unknown) == input => Err(refusal(what)),
            _ => Ok(()),
        }
    }

    /// What the derivatives of these inputs need, one bit each.
    fn needs(&self, wanted: impl Fn(usize) -> bool) -> u8 {
        self.derivatives
            .iter()
            .fold(0, |mask, d| if wanted(usize::from(d.input)) { mask | d.needs } else { mask })
    }
}
