//! What a node keeps for its derivative, and the check that nobody overwrote it since.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::tile::Source;
use crate::array::{Array, Scalar};
use crate::error::{Error, Kind, Result};
use crate::graph::node::{Edge, NodeRef};
use crate::graph::packing::Packed;
use crate::graph::tensor::Tensor;

/// Several saved values.
pub type SavedValues = SmallVec<[SavedValue; 2]>;

/// The saved values of a node.
#[derive(Default)]
pub enum Saved {
    /// They are there.
    Live(SavedValues),
    /// They are there, and some have to be unpacked before use.
    Packed(SavedValues),
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
            Self::Live(_) | Self::Packed(_) | Self::Freed => Self::Freed,
        };
        std::mem::replace(self, freed)
    }

    /// What is there, packed values as they are, or why it no longer is.
    #[inline]
    pub(crate) fn values(&self, node: &NodeRef) -> Result<&[SavedValue]> {
        match self {
            Self::Live(values) | Self::Packed(values) => Ok(values),
            Self::Nothing => Ok(&[]),
            Self::Freed => Err(Kind::Freed { node: node.name().to_owned() }.into()),
        }
    }
}

/// One kept value.
#[derive(Clone)]
pub enum SavedValue {
    /// A custom function's `None`.
    Nothing,
    /// A number, as it was given.
    Scalar(Scalar),
    /// A tensor. Its history is not kept here but read off the node's own edge (or is the node itself), so that what is saved
    /// can never own the node that saves it.
    Tensor {
        /// The numbers.
        array: Array,
        /// The storage's version when it was kept.
        version: u32,
        /// Where it stood.
        role: Role,
    },
    /// A tensor that is neither an input nor an output: something that a custom function computed on the way.
    Other(Box<Other>),
    /// A tensor in a user's package.
    Packed(Arc<Packed>),
}

/// A saved tensor with the history that it had.
#[derive(Clone)]
pub struct Other {
    /// The numbers.
    pub array: Array,
    /// The storage's version when it was kept.
    pub version: u32,
    /// The history.
    pub edge: Option<Edge>,
}

/// What a saved tensor is to its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The input of this number.
    Input(u16),
    /// The output of this number.
    Output(u16),
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
        match self {
            Self::Nothing => Ok(Unpacked::Nothing),
            Self::Scalar(value) => Ok(Unpacked::Scalar(*value)),
            Self::Packed(_) => self.opened()?.check(node),
            Self::Other(other) => {
                self.source(node)?;
                Ok(Unpacked::Tensor(with_edge(other.array.clone(), other.edge.clone())))
            }
            Self::Tensor { array, role, .. } => {
                self.source(node)?;
                Ok(Unpacked::Array(array.clone(), *role))
            }
        }
    }

    /// What it is to its node, if it is an input or an output.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Tensor { role, .. } => Some(*role),
            Self::Packed(packed) => packed.role(),
            Self::Nothing | Self::Scalar(_) | Self::Other(_) => None,
        }
    }

    /// The value with its package opened.
    pub(crate) fn opened(&self) -> Result<Self> {
        match self {
            Self::Packed(packed) => packed.open(),
            other => Ok(other.clone()),
        }
    }

    /// The numbers for a kernel, provided they were not overwritten.
    #[inline]
    pub(crate) fn source(&self, node: &NodeRef) -> Result<Source<'_>> {
        match self {
            Self::Scalar(value) => Ok(Source::Scalar(*value)),
            Self::Tensor { array, version, .. } if array.storage().version() == *version => {
                Ok(Source::Array(array))
            }
            Self::Tensor { array, version, role } => Err(modified(node, array, *version, Some(*role))),
            Self::Other(other) if other.array.storage().version() == other.version => {
                Ok(Source::Array(&other.array))
            }
            Self::Other(other) => Err(modified(node, &other.array, other.version, None)),
            Self::Packed(_) | Self::Nothing => {
                unreachable!("kernels read open packages, and no custom function's values")
            }
        }
    }
}

#[cold]
fn modified(node: &NodeRef, array: &Array, expected: u32, role: Option<Role>) -> Error {
    Kind::Modified {
        node: node.name().to_owned(),
        shape: array.shape().into(),
        dtype: array.dtype(),
        output: match role {
            Some(Role::Output(output)) => Some(output),
            Some(Role::Input(_)) | None => None,
        },
        found: array.storage().version(),
        expected,
    }
    .into()
}

/// A saved value that passed its check.
#[derive(Clone)]
pub enum Unpacked {
    /// A custom function's `None`.
    Nothing,
    /// A number.
    Scalar(Scalar),
    /// An array and what it is to the node.
    Array(Array, Role),
    /// A tensor with a history of its own.
    Tensor(Tensor),
}

impl Unpacked {
    /// As a tensor with its history, for derivatives of derivatives.
    pub fn tensor(self, node: &NodeRef) -> Result<Tensor> {
        Ok(match self {
            Self::Nothing => {
                return Err(Error::runtime(format!("{}: None was saved at this position", node.name())));
            }
            Self::Scalar(value) => Tensor::scalar(value, crate::array::DType::F64)?,
            Self::Array(array, Role::Output(output)) => {
                Tensor::with_history(array, Some(Edge { node: node.clone(), output: u32::from(output) }))
            }
            Self::Array(array, Role::Input(input)) => {
                with_edge(array, node.edges().get(usize::from(input)).cloned().flatten())
            }
            Self::Tensor(x) => x,
        })
    }
}

/// A tensor whose gradient goes to `edge`: the leaf itself if it is one's, and these still are its numbers.
fn with_edge(array: Array, edge: Option<Edge>) -> Tensor {
    if let Some(leaf) = edge.as_ref().and_then(|e| e.node.leaf())
        && leaf.array().storage().is(array.storage())
    {
        return leaf;
    }
    Tensor::with_history(array, edge)
}
