//! The faces of the rows: for each a function, a method and an in-place method, without a line of its own.

use std::sync::OnceLock;

use arcgrad::graph::row::{Row, apply};
use arcgrad::ops::Place;
use arcgrad::ops::numbers::run;
use arcgrad::ops::registry;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::convert::Answer;
use crate::dispatch::{Args, Binding, Entry, Fast, Implementation, Overload, Signature, enter};
use crate::tensor::PyTensor;

/// How many faces there is room for; a compile-time bound on the table of entry points below.
const MOST: usize = 192;

static FACES: OnceLock<Vec<Face>> = OnceLock::new();

struct Face {
    new: Binding,
    in_place: Binding,
}

fn faces() -> &'static [Face] {
    FACES.get_or_init(|| registry::TABLES.iter().flat_map(|table| table.iter().copied()).map(face).collect())
}

fn face(row: &'static Row) -> Face {
    let in_place_name: &'static str = Box::leak(format!("{}_", row.name).into_boxed_str());
    Face {
        new: Binding::of_row(row.name, row, overload(row, Place::New), signature(row, false)),
        in_place: Binding::of_row(in_place_name, row, overload(row, Place::First), signature(row, true)),
    }
}

/// The first input is Python's `input` and the second of two is `other`; further ones keep the row's names.
fn signature(row: &Row, in_place: bool) -> Signature {
    let parameters: Vec<String> = row
        .inputs
        .iter()
        .zip(row.defaults)
        .enumerate()
        .map(|(i, (name, default))| {
            // Beside inputs that have a derivative, one that has none is a number that shapes the function.
            let shapes = row.differentiable != 0 && row.differentiable & (1 << i) == 0;
            let kind = match (i, row.inputs.len()) {
                (0, 1) => "Tensor",
                (0, _) if in_place => "Tensor",
                (1.., _) if shapes => "Scalar",
                _ => "Operand",
            };
            let name = match (i, *name) {
                (0, _) => "input",
                (1, "b") => "other",
                (_, name) => name,
            };
            // `value` of addcmul can only be named, as all of PyTorch's late additions.
            let star = if name == "value" && default.is_some() { "*, " } else { "" };
            default.map_or_else(|| format!("{kind} {name}"), |value| format!("{star}{kind} {name}={value}"))
        })
        .collect();
    Signature::parse(&format!("({}) -> Tensor", parameters.join(", ")))
}

fn overload(row: &Row, place: Place) -> &'static [Overload] {
    const fn of(call: Implementation) -> [Overload; 1] {
        [Overload { signature: "", call }]
    }
    static NEW: [[Overload; 1]; 4] =
        [of(call::<1, false>), of(call::<2, false>), of(call::<3, false>), of(call::<4, false>)];
    static IN_PLACE: [[Overload; 1]; 4] =
        [of(call::<1, true>), of(call::<2, true>), of(call::<3, true>), of(call::<4, true>)];
    let table = if place == Place::New { &NEW } else { &IN_PLACE };
    &table[row.inputs.len() - 1]
}

fn call<const N: usize, const IN_PLACE: bool>(a: &Args<'_, '_>) -> PyResult<Py<PyAny>> {
    let mut operands = [arcgrad::graph::Operand::from(0.0); N];
    for (i, operand) in operands.iter_mut().enumerate() {
        *operand = a.operand(i)?;
    }
    let row = a.row();
    let place = if IN_PLACE { Place::First } else { Place::New };
    if matches!(row.name, "floor_divide" | "remainder" | "fmod") {
        let [x, y] = [operands[0], operands[N - 1]];
        return a
            .call(|row, x, y| arcgrad::ops::integer_division(row, x, y, place), (row, x, y))
            .object(a.py());
    }
    if IN_PLACE {
        a.call(|row, x| run::<N>(row, x, Place::First), (row, operands)).object(a.py())
    } else {
        a.call(|row, x| apply::<N>(row, x), (row, operands)).object(a.py())
    }
}

unsafe extern "C" fn function<const I: usize>(
    _: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with its fast-call arguments, holding the GIL; only faces that exist are registered.
    unsafe { enter(&faces()[I].new, std::ptr::null_mut(), args, count, names) }
}

unsafe extern "C" fn method<const I: usize>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above; `this` is the object the method was called on.
    unsafe { enter(&faces()[I].new, this, args, count, names) }
}

unsafe extern "C" fn in_place<const I: usize>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above.
    unsafe { enter(&faces()[I].in_place, this, args, count, names) }
}

/// CPython calls a C function without data of its own, so each face needs its own entry point.
macro_rules! entry_points {
    ($base:expr; $($i:literal)*) => { [$( EntryPoints::at::<{ $base + $i }>() ),*] };
}

#[derive(Clone, Copy)]
struct EntryPoints {
    function: Fast,
    method: Fast,
    in_place: Fast,
}

impl EntryPoints {
    const fn at<const I: usize>() -> Self {
        Self { function: function::<I>, method: method::<I>, in_place: in_place::<I> }
    }
}

macro_rules! sixty_four {
    ($base:expr) => {
        entry_points!($base; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33
            34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63)
    };
}

static POINTS: [[EntryPoints; 64]; MOST / 64] = [sixty_four!(0), sixty_four!(64), sixty_four!(128)];

/// The entries of all faces.
pub fn entries() -> Vec<Entry> {
    let faces = faces();
    assert!(faces.len() <= MOST, "more rows than entry points: add to POINTS");
    faces
        .iter()
        .zip(POINTS.as_flattened())
        .flat_map(|(face, points)| {
            [
                Entry { binding: &face.new, function: points.function, method: points.method, place: "both" },
                Entry {
                    binding: &face.in_place,
                    function: points.in_place,
                    method: points.in_place,
                    // As in PyTorch, `sin_` is a function too; `add_` is not.
                    place: if face.new.row.is_some_and(|row| row.inputs.len() == 1) {
                        "both"
                    } else {
                        "method"
                    },
                },
            ]
        })
        .collect()
}

/// Other names of the same things, here and on Tensor, in-place methods included.
const ALIASES: &[(&str, &str)] = &[
    ("absolute", "abs"),
    ("arccos", "acos"),
    ("arccosh", "acosh"),
    ("arcsin", "asin"),
    ("arcsinh", "asinh"),
    ("arctan", "atan"),
    ("arctan2", "atan2"),
    ("arctanh", "atanh"),
    ("clip", "clamp"),
    ("divide", "div"),
    ("expit", "sigmoid"),
    ("fix", "trunc"),
    ("greater", "gt"),
    ("greater_equal", "ge"),
    ("less", "lt"),
    ("less_equal", "le"),
    ("multiply", "mul"),
    ("negative", "neg"),
    ("not_equal", "ne"),
    ("subtract", "sub"),
    ("true_divide", "div"),
    ("sgn", "sign"),
];

/// The division slots' names of old, by which PyTorch's tensors still answer.
const OLD_SLOTS: &[(&str, &str)] =
    &[("__div__", "__truediv__"), ("__rdiv__", "__rtruediv__"), ("__idiv__", "__itruediv__")];

/// Puts the aliases beside the names they stand for.
pub fn register_aliases(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let tensor = module.py().get_type::<PyTensor>();
    for (alias, name) in ALIASES {
        module.add(*alias, module.getattr(*name)?)?;
        if let Ok(in_place) = module.getattr(format!("{name}_")) {
            module.add(format!("{alias}_"), in_place)?;
        }
        for suffix in ["", "_"] {
            let (alias, name) = (format!("{alias}{suffix}"), format!("{name}{suffix}"));
            if let Ok(method) = tensor.getattr(name.as_str()) {
                tensor.setattr(alias.as_str(), method)?;
            }
        }
    }
    for (old, slot) in OLD_SLOTS {
        tensor.setattr(*old, tensor.getattr(*slot)?)?;
    }
    Ok(())
}
