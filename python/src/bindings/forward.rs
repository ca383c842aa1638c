//! Forward mode: Python's one level, and dual tensors.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arcgrad::graph::forward::{self, Level};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::bindings;
use crate::convert::{self, Answer};
use crate::dispatch::Args;

/// The level that the program has entered, on whichever thread.
static LEVEL: Mutex<Option<Level>> = Mutex::new(None);

fn level() -> MutexGuard<'static, Option<Level>> {
    LEVEL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter() -> PyResult<i64> {
    let mut level = level();
    if level.is_some() {
        return Err(PyRuntimeError::new_err("Nested forward mode AD is not supported at the moment"));
    }
    *level = Some(Level::new());
    Ok(0)
}

fn exit(number: i64) -> PyResult<()> {
    let ended = match number {
        0 => level().take(),
        _ => return Err(PyRuntimeError::new_err("Dual level must be a positive number.")),
    };
    // After the lock: tangents that go may take Python objects along.
    match ended {
        Some(ended) => {
            drop(ended);
            Ok(())
        }
        None => Err(PyRuntimeError::new_err(
            "Trying to exit a forward AD level but no level exists, make sure to enter_dual_level() first.",
        )),
    }
}

/// Fails unless the level is the one that there can be.
fn check(a: &Args<'_, '_>, index: usize, caller: &str) -> PyResult<()> {
    match a.int(index)? {
        0 => Ok(()),
        _ => Err(PyRuntimeError::new_err(format!("Invalid level given to {caller}"))),
    }
}

bindings! {
    /// Begins the time for which tangents last. Returns its number, 0: there is one at a time.
    function _enter_dual_level { "() -> int" => |_a| enter()? }
    /// Ends the time for which tangents last; they are gone.
    function _exit_dual_level { "(int level) -> None" => |a| exit(a.int(0)?)? }
    /// A tensor with the memory and the history of `tensor` and this tangent.
    function _make_dual {
        "(Tensor tensor, Tensor tangent, int level) -> Tensor" => |a| {
            check(a, 2, "_make_dual")?;
            match &*level() {
                Some(level) => convert::core(level.dual(a.tensor(0)?, a.tensor(1)?))?,
                None => return Err(PyRuntimeError::new_err("Invalid level given to _make_dual")),
            }
        }
    }
    /// The value and the tangent of a dual tensor; None for the tangent of any other.
    function _unpack_dual {
        "(Tensor dual, int level) -> Any" => |a| {
            check(a, 1, "_fw_primal")?;
            let (primal, tangent) = convert::core(forward::unpack(a.tensor(0)?))?;
            (primal.object(a.py())?, tangent.object(a.py())?).into_pyobject(a.py())?.into_any().unbind()
        }
    }
    /// The tangent, if this thread propagates tangents.
    function _tangent {
        "(Tensor dual) -> Tensor?" => |a| a.tensor(0)?.tangent().filter(|_| forward::propagates())
    }
}
