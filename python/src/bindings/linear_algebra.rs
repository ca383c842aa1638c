//! Linear equations, determinants and decompositions.

use arcgrad::ops::{self, Cutoff, QrMode};
use arcgrad::{Result, Tensor};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::bindings;
use crate::dispatch::Args;
use crate::error::raise;
use crate::named::Named;

/// Whether the upper triangle is meant.
fn upper(a: &Args<'_, '_>, i: usize) -> PyResult<bool> {
    match a.str(i)?.as_str() {
        "L" | "l" => Ok(false),
        "U" | "u" => Ok(true),
        other => {
            Err(PyRuntimeError::new_err(format!("Expected UPLO argument to be 'L' or 'U', but got {other}")))
        }
    }
}

fn slogdet(a: &Args<'_, '_>, name: &'static str) -> PyResult<Result<Named>> {
    let answer: Result<(Tensor, Tensor)> = a.call(ops::slogdet, (a.tensor(0)?,));
    Ok(answer.map(|(sign, log)| Named { name, fields: &["sign", "logabsdet"], tensors: vec![sign, log] }))
}

fn qr(a: &Args<'_, '_>, name: &'static str, how: QrMode) -> PyResult<Result<Named>> {
    let answer: Result<[Tensor; 2]> = a.call(ops::qr, (a.tensor(0)?, how));
    Ok(answer.map(|qr| Named { name, fields: &["Q", "R"], tensors: qr.into() }))
}

/// The bounds of a tolerance that is a tensor.
fn bounds(a: &Args<'_, '_>, i: usize) -> PyResult<Option<Vec<f64>>> {
    a.optional_tensor(i)?.map(|t| t.detach().to_vec::<f64>().map_err(|e| raise(&e))).transpose()
}

bindings! {
    /// Determinant of square matrices.
    both det { "(Tensor input) -> Tensor" => |a| a.call(ops::det, (a.tensor(0)?,)) }
    /// Determinant of square matrices.
    function linalg_det { "(Tensor A) -> Tensor" => |a| a.call(ops::det, (a.tensor(0)?,)) }
    /// Logarithm of the determinant, NaN where that is negative.
    both logdet { "(Tensor input) -> Tensor" => |a| a.call(ops::logdet, (a.tensor(0)?,)) }
    /// Sign of the determinant, and logarithm of its magnitude.
    both slogdet { "(Tensor input) -> tuple[Tensor, Tensor]" => |a| slogdet(a, "slogdet")? }
    /// Sign of the determinant, and logarithm of its magnitude.
    function linalg_slogdet { "(Tensor A) -> tuple[Tensor, Tensor]" => |a| slogdet(a, "linalg_slogdet")? }
    /// The X with A X = B, or X A = B if not left.
    function linalg_solve {
        "(Tensor A, Tensor B, *, bool left=True) -> Tensor"
            => |a| a.call(ops::solve, (a.tensor(0)?, a.tensor(1)?, a.flag(2)?)),
    }
    /// The X with A X = B, or X A = B if not left, for triangular A.
    function linalg_solve_triangular {
        "(Tensor A, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor"
            => |a| a.call(ops::solve_triangular,
                (a.tensor(0)?, a.tensor(1)?, a.flag(2)?, a.flag(3)?, a.flag(4)?)),
    }
    /// Lower (or upper) triangular factor of symmetric positive definite matrices.
    both cholesky {
        "(Tensor input, bool upper=False) -> Tensor" => |a| a.call(ops::cholesky, (a.tensor(0)?, a.flag(1)?)),
    }
    /// Lower (or upper) triangular factor of symmetric positive definite matrices.
    function linalg_cholesky {
        "(Tensor A, *, bool upper=False) -> Tensor" => |a| a.call(ops::cholesky, (a.tensor(0)?, a.flag(1)?)),
    }
    /// Orthonormal columns and an upper triangular matrix.
    both qr {
        "(Tensor input, bool some=True) -> tuple[Tensor, Tensor]"
            => |a| qr(a, "qr", if a.flag(1)? { QrMode::Reduced } else { QrMode::Complete })?,
    }
    /// Orthonormal columns and an upper triangular matrix.
    function linalg_qr {
        "(Tensor A, str mode='reduced') -> tuple[Tensor, Tensor]"
            => |a| qr(a, "linalg_qr", QrMode::named(&a.str(1)?).map_err(|e| raise(&e))?)?,
    }
    /// Eigenvalues, ascending, and eigenvectors of symmetric matrices.
    function linalg_eigh {
        "(Tensor A, str UPLO='L') -> tuple[Tensor, Tensor]" => |a| {
            let answer: Result<[Tensor; 2]> = a.call(ops::eigh, (a.tensor(0)?, upper(a, 1)?));
            answer.map(|own| Named {
                name: "linalg_eigh", fields: &["eigenvalues", "eigenvectors"], tensors: own.into(),
            })
        }
    }
    /// Left singular vectors, singular values, and right singular vectors transposed.
    function linalg_svd {
        "(Tensor A, bool full_matrices=True) -> tuple[Tensor, Tensor, Tensor]" => |a| {
            let answer: Result<[Tensor; 3]> = a.call(ops::svd, (a.tensor(0)?, a.flag(1)?));
            answer.map(|own| Named { name: "linalg_svd", fields: &["U", "S", "Vh"], tensors: own.into() })
        }
    }
    /// Left singular vectors, singular values, and right singular vectors.
    both svd {
        "(Tensor input, bool some=True) -> tuple[Tensor, Tensor, Tensor]" => |a| {
            let call = |x: &Tensor, full: bool| {
                let [u, s, vh] = ops::svd(x, full)?;
                Ok([u, s, ops::transpose(&vh, -2, -1)?])
            };
            let answer: Result<[Tensor; 3]> = a.call(call, (a.tensor(0)?, !a.flag(1)?));
            answer.map(|own| Named { name: "svd", fields: &["U", "S", "V"], tensors: own.into() })
        }
    }
    /// The inverse in the sense of least squares; singular values below a tolerance count as zero.
    function linalg_pinv {
        "(Tensor A, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor" => |a| {
            let cutoff = Cutoff { absolute: bounds(a, 1)?, relative: bounds(a, 2)? };
            a.call(|x: &Tensor, hermitian: bool| ops::pinv(x, &cutoff, hermitian), (a.tensor(0)?, a.flag(3)?))
        }
    }
    /// The inverse in the sense of least squares; singular values below rcond times the largest count as zero.
    both pinverse {
        "(Tensor input, float rcond=1e-15) -> Tensor" => |a| {
            let cutoff = Cutoff { absolute: None, relative: Some(vec![a.float(1)?]) };
            a.call(|x: &Tensor| ops::pinv(x, &cutoff, false), (a.tensor(0)?,))
        }
    }
    /// The sum of singular values, of matrices in two axes.
    function nuclear_norm {
        "(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor" => |a| {
            let call = |x: &Tensor, dim: Option<smallvec::SmallVec<[isize; 6]>>, keepdim: bool| {
                ops::nuclear_norm(x, dim.as_deref(), keepdim)
            };
            a.call(call, (a.tensor(0)?, a.optional_ints(1)?, a.flag(2)?))
        }
    }
}
