//! A signature as text, and what it says.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::convert;
use crate::dtype::PyDType;

/// What a parameter accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A tensor.
    Tensor,
    /// A tensor or a number.
    Operand,
    /// A number.
    Scalar,
    /// An integer.
    Int,
    /// Integers: one, or a sequence.
    Ints,
    /// Integers: one, a sequence, or as many positional arguments as there are.
    Sizes,
    /// A float.
    Float,
    /// A truth value.
    Bool,
    /// A dtype.
    Dtype,
    /// A string.
    Str,
    /// A sequence of tensors.
    Tensors,
    /// A sequence of tensors, or as many positional arguments as there are.
    TensorSpread,
    /// Anything.
    Any,
}

/// One parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it accepts.
    pub kind: Kind,
    /// Whether `None` is accepted too.
    pub optional: bool,
    /// The default as text, if there is one.
    pub default: Option<String>,
    /// Whether it must be named.
    pub keyword_only: bool,
}

/// A parsed signature.
#[derive(Debug)]
pub struct Signature {
    /// The parameters in order.
    pub parameters: Vec<Parameter>,
    /// What comes back, as text.
    pub returns: String,
    /// The most arguments that it takes.
    pub most: usize,
}

impl Signature {
    /// Parses `(Tensor input, int[]? dim=None, *, bool keepdim=False) -> Tensor`.
    ///
    /// Panics on a text that is no signature: they are all literals, parsed when the module is first imported.
    pub fn parse(text: &str) -> Self {
        let (inside, returns) = text
            .strip_prefix('(')
            .and_then(|t| t.rsplit_once(") -> "))
            .unwrap_or_else(|| panic!("not a signature: {text}"));
        let mut parameters = Vec::new();
        let mut keyword_only = false;
        for part in split_top_level(inside) {
            if part == "*" {
                keyword_only = true;
                continue;
            }
            let (declaration, default) =
                part.split_once('=').map_or((part, None), |(d, v)| (d, Some(v.to_owned())));
            let (kind, name) =
                declaration.rsplit_once(' ').unwrap_or_else(|| panic!("not a parameter: {part}"));
            let (kind, optional) = kind.strip_suffix('?').map_or((kind, false), |k| (k, true));
            parameters.push(Parameter {
                name: name.to_owned(),
                kind: Kind::parse(kind),
                optional,
                default,
                keyword_only,
            });
        }
        let spreads = parameters.iter().any(|p| matches!(p.kind, Kind::Sizes | Kind::TensorSpread));
        let most = if spreads { usize::MAX } else { parameters.len() };
        Self { parameters, returns: returns.to_owned(), most }
    }
}

fn split_top_level(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|p| !p.is_empty());
    parts
}

impl Kind {
    fn parse(text: &str) -> Self {
        match text {
            "Tensor" => Self::Tensor,
            "Operand" => Self::Operand,
            "Scalar" => Self::Scalar,
            "int" => Self::Int,
            "int[]" => Self::Ints,
            "int..." => Self::Sizes,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "dtype" => Self::Dtype,
            "str" => Self::Str,
            "Tensor[]" => Self::Tensors,
            "Tensor..." => Self::TensorSpread,
            "Any" => Self::Any,
            _ => panic!("not a kind of parameter: {text}"),
        }
    }

    /// The word that error messages use.
    pub fn spoken(self) -> &'static str {
        match self {
            Self::Tensor => "Tensor",
            Self::Operand => "Tensor or Number",
            Self::Scalar => "Number",
            Self::Int => "int",
            Self::Ints | Self::Sizes => "tuple of ints",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Dtype => "torch.dtype",
            Self::Str => "str",
            Self::Tensors | Self::TensorSpread => "tuple of Tensors",
            Self::Any => "object",
        }
    }

    /// Whether an object looks like this kind: a quick test that settles which overload is meant.
    pub fn accepts(self, object: &Bound<'_, PyAny>) -> bool {
        match self {
            Self::Any => true,
            Self::Tensor => convert::tensor(object).is_some(),
            Self::Operand => convert::tensor(object).is_some() || is_number(object),
            Self::Scalar | Self::Float => {
                convert::tensor(object).map_or_else(|| is_number(object), convert::is_number)
            }
            Self::Int => is_int(object),
            Self::Ints | Self::Sizes => is_sequence_of(object, is_int) || is_int(object),
            Self::Bool => object.is_instance_of::<pyo3::types::PyBool>() || is_numpy_bool(object),
            Self::Dtype => {
                object.is_instance_of::<PyDType>() || object.is_instance_of::<pyo3::types::PyType>()
            }
            Self::Str => object.is_instance_of::<PyString>(),
            Self::Tensors | Self::TensorSpread => is_sequence_of(object, |x| convert::tensor(x).is_some()),
        }
    }
}

fn is_int(object: &Bound<'_, PyAny>) -> bool {
    // Most are plain ints, and of those one comparison tells.
    if object.is_exact_instance_of::<PyInt>() {
        return true;
    }
    if object.is_instance_of::<PyInt>() {
        return !object.is_instance_of::<pyo3::types::PyBool>();
    }
    if let Some(t) = convert::tensor(object) {
        return t.numel() == 1 && !t.dtype().is_floating();
    }
    // NumPy's integers know how to be an index. The type is asked: an attribute that is missing costs an exception.
    // SAFETY: the object is alive.
    let is_index = unsafe { pyo3::ffi::PyIndex_Check(object.as_ptr()) } != 0;
    is_index && !object.is_instance_of::<PyFloat>() && !object.hasattr("__len__").unwrap_or(true)
}

fn is_numpy_bool(object: &Bound<'_, PyAny>) -> bool {
    object.get_type().name().is_ok_and(|n| n == "bool" || n == "bool_")
        && object.hasattr("dtype").unwrap_or(false)
}

fn is_number(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyFloat>()
        || object.is_instance_of::<PyInt>()
        || (object.hasattr("dtype").unwrap_or(false)
            && object.hasattr("item").unwrap_or(false)
            && !object.hasattr("__len__").unwrap_or(true))
}

fn is_sequence_of(object: &Bound<'_, PyAny>, accepts: impl Fn(&Bound<'_, PyAny>) -> bool) -> bool {
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().all(|x| accepts(&x));
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter_borrowed().all(|x| accepts(&x));
    }
    false
}
