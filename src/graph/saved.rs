//! What a node keeps for its derivative, and the check that nobody overwrote it since.

use smallvec::SmallVec;

use crate::array::kernels::tile::Source;
use crate::array::{Array, Scalar};
use crate::error::{Error, Kind, Result};
use crate::graph::node::{Edge, NodeRef};
use crate::graph::tensor::Tensor;

/// The saved values of a node.
#[derive(Default)]
pub enum Saved {
    /// They are there.
    Live(SmallVec<[SavedValue; 2]>),
    /// There never were any: the node can run any number of times.
    #[default]
    Nothing,
    /// A backward pass has freed them.
    Freed,
}

impl Saved {
    pub(crate) fn take(&mut self) -> Self {
        let freed = match self {
            Self::Nothing => Self::Nothing,
            Self::Live(_) | Self::Freed => Self::Freed,
        };
        std::mem::replace(self, freed)
    }
}

impl Saved {
    /// What is there, or why it no longer is.
    #[inline]
    pub(crate) fn values(&self, node: &NodeRef) -> Result<&[SavedValue]> {
        match self {
            Self::Live(values) => Ok(values),
            Self::Nothing => Ok(&[]),
            Self::Freed => Err(Kind::Freed { node: node.name().to_owned() }.into()),
        }
    }
}

/// One kept value.
#[derive(Clone)]
pub enum SavedValue {
    /// A number, as it was given.
    Scalar(Scalar),
    /// A tensor: the input of this number, or an output. Its history is not kept here but read off the node's own edge
    /// (or is the node itself), so that what is saved can never own the node that saves it.
    Tensor {
        /// The numbers.
        array: Array,
        /// The storage's version when it was kept.
        version: u32,
        /// Where it stood.
        role: Role,
    },
}

/// What a saved tensor is to its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The input of this number.
    Input(u8),
    /// The output of this number.
    Output(u8),
}

impl SavedValue {
    /// Keeps an array as it is now.
    #[inline]
    pub fn array(array: Array, role: Role) -> Self {
        let version = array.storage().version();
        Self::Tensor { array, version, role }
    }

    /// The numbers, provided they were not overwritten.
    pub fn check(&self, node: &NodeRef) -> Result<Unpacked> {
        Ok(match self.source(node)? {
            Source::Scalar(value) => Unpacked::Scalar(value),
            Source::Array(array) => match self {
                Self::Tensor { role, .. } => Unpacked::Array(array.clone(), *role),
                Self::Scalar(_) => unreachable!("an array was kept as a tensor"),
            },
        })
    }

    /// The numbers for a kernel, provided they were not overwritten.
    #[inline]
    pub(crate) fn source(&self, node: &NodeRef) -> Result<Source<'_>> {
        match self {
            Self::Scalar(value) => Ok(Source::Scalar(*value)),
            Self::Tensor { array, version, .. } if array.storage().version() == *version => {
                Ok(Source::Array(array))
            }
            Self::Tensor { array, version, role } => Err(modified(node, array, *version, *role)),
        }
    }
}

#[cold]
fn modified(node: &NodeRef, array: &Array, expected: u32, role: Role) -> Error {
    Kind::Modified {
        node: node.name().to_owned(),
        shape: array.shape().into(),
        dtype: array.dtype(),
        output: matches!(role, Role::Output(_)),
        found: array.storage().version(),
        expected,
    }
    .into()
}

/// A saved value that passed its check.
pub enum Unpacked {
    /// A number.
    Scalar(Scalar),
    /// An array and what it is to the node.
    Array(Array, Role),
}

impl Unpacked {
    /// As a tensor with its history, for derivatives of derivatives.
    pub fn tensor(self, node: &NodeRef) -> Result<Tensor> {
        match self {
            Self::Scalar(value) => Tensor::scalar(value, crate::array::DType::F64),
            Self::Array(array, Role::Output(output)) => {
                let edge = Edge { node: node.clone(), output: u32::from(output) };
                Ok(Tensor::with_history(array, Some(edge)))
            }
            Self::Array(array, Role::Input(input)) => {
                let edge = node.edges().get(usize::from(input)).cloned().flatten();
                if let Some(leaf) = edge.as_ref().and_then(|e| e.node.leaf()) {
                    return Ok(leaf.clone());
                }
                Ok(Tensor::with_history(array, edge))
            }
        }
    }
}
