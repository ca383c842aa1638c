//! Products of tensors over chosen axes, as compositions of the blocks.

use crate::array::Dims;
use crate::array::layout::axis;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops;
use crate::ops::product::batch::multiply_each;
use crate::ops::product::matrix;
use crate::ops::view::reshape_to;

/// The sums of products over the axes `a_dims` of `a` and `b_dims` of `b`, pair by pair: the result has the other axes
/// of `a`, then those of `b`. Extents of a pair are equal, or one is 1. Both of one dtype, not truths.
pub fn tensordot(a: &Tensor, b: &Tensor, a_dims: &[isize], b_dims: &[isize]) -> Result<Tensor> {
    if a_dims.len() != b_dims.len() {
        return Err(Error::runtime(format!(
            "both dimension lists should have same length (they are {a_dims:?} and {b_dims:?})"
        )));
    }
    let (mut a, mut b) = (a.clone(), b.clone());
    let (mut x, mut z) = (a.shape(), b.shape());
    let (left, right) = (distinct(a_dims, x.len())?, distinct(b_dims, z.len())?);
    for (pair, (&i, &j)) in left.iter().zip(&right).enumerate() {
        if x[i] == z[j] {
            continue;
        }
        // Summed against an extent of 1, an axis is just summed.
        if x[i] == 1 {
            z[j] = 1;
        } else if z[j] == 1 {
            x[i] = 1;
        } else {
            return Err(Error::runtime(format!(
                "contracted dimensions need to match, but first has size {} in dim {} and second has size {} in dim {} (the \
                 shapes are {:?} and {:?})",
                x[i],
                a_dims[pair],
                z[j],
                b_dims[pair],
                &a.shape()[..],
                &b.shape()[..]
            )));
        }
    }
    if x != a.shape() {
        a = ops::sum_to(&a, &x)?;
    }
    if z != b.shape() {
        b = ops::sum_to(&b, &z)?;
    }
    let others = |taken: &[usize], ndim: usize| (0..ndim).filter(|i| !taken.contains(i)).collect::<Vec<_>>();
    let (rows, cols) = (others(&left, x.len()), others(&right, z.len()));
    let extent = |shape: &Dims, axes: &[usize]| axes.iter().map(|&i| shape[i]).product::<usize>();
    let order =
        |first: &[usize], then: &[usize]| first.iter().chain(then).map(|&i| i as isize).collect::<Vec<_>>();
    let depth = extent(&x, &left);
    let a = reshape_to(&ops::permute(&a, &order(&rows, &left))?, &[extent(&x, &rows), depth])?;
    let b = reshape_to(&ops::permute(&b, &order(&right, &cols))?, &[depth, extent(&z, &cols)])?;
    let shape: Dims = rows.iter().map(|&i| x[i]).chain(cols.iter().map(|&i| z[i])).collect();
    reshape_to(&matrix::mm(&a, &b)?, &shape)
}

fn distinct(dims: &[isize], ndim: usize) -> Result<Vec<usize>> {
    let mut axes = Vec::with_capacity(dims.len());
    for &dim in dims {
        let i = axis(dim, ndim)?;
        if axes.contains(&i) {
            return Err(Error::runtime(format!("dim {i} appears multiple times in the list of dims")));
        }
        axes.push(i);
    }
    Ok(axes)
}

/// [`tensordot`] over the last `count` axes of `a` and the first `count` of `b`.
pub fn tensordot_of(a: &Tensor, b: &Tensor, count: isize) -> Result<Tensor> {
    if count < 0 {
        return Err(Error::runtime(format!("tensordot expects dims >= 0, but got dims={count}")));
    }
    if count as usize > a.ndim().min(b.ndim()) {
        return Err(Error::runtime(format!(
            "tensordot expects dims < ndim_a or ndim_b, but got dims={count}"
        )));
    }
    let (last, first): (Vec<isize>, Vec<isize>) = ((-count..0).collect(), (0..count).collect());
    tensordot(a, b, &last, &first)
}

/// Kronecker's product: each element of `a` times all of `b`, as blocks. Dtypes are promoted.
pub fn kron(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ndim = a.ndim().max(b.ndim());
    let full = |x: &Tensor| {
        let mut shape = Dims::from_elem(1, ndim - x.ndim());
        shape.extend_from_slice(&x.shape());
        shape
    };
    let (x, z) = (full(a), full(b));
    let left: Dims = x.iter().flat_map(|&n| [n, 1]).collect();
    let right: Dims = z.iter().flat_map(|&n| [1, n]).collect();
    let y: Dims = x.iter().zip(&z).map(|(&m, &n)| m * n).collect();
    reshape_to(&ops::mul(&reshape_to(a, &left)?, &reshape_to(b, &right)?)?, &y)
}

/// The sums of products of two batches of vectors along an axis. Both of one float dtype.
pub fn vecdot(a: &Tensor, b: &Tensor, dim: isize) -> Result<Tensor> {
    let (x, z) = (a.dtype(), b.dtype());
    if !x.is_floating() {
        return Err(Error::runtime(format!(
            "linalg.vecdot: Expected a floating point or complex tensor as input. Got {}",
            x.scalar_name()
        )));
    }
    if x != z {
        return Err(Error::runtime(format!(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type {} and y of type {} instead",
            x.scalar_name(),
            z.scalar_name()
        )));
    }
    if a.ndim() == 1 && b.ndim() == 1 {
        return ops::dot(a, b);
    }
    let products = ops::mul(a, b)?;
    let mut shape = products.shape();
    let dim = axis(dim, shape.len())?;
    if shape.is_empty() {
        return Ok(products);
    }
    shape[dim] = 1;
    let sums = ops::sum_to(&products, &shape)?;
    shape.remove(dim);
    reshape_to(&sums, &shape)
}

/// x W z + bias for each of the `out` matrices W of `weight`: `[.., m]`, `[.., n]`, `[out, m, n]` and `[out]` give
/// `[.., out]`. All of one dtype.
pub fn bilinear(x: &Tensor, z: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, cols, kernels) = (x.shape(), z.shape(), weight.shape());
    check_bilinear(&rows, &cols, &kernels, bias.map(Tensor::shape))?;
    let [out, m, n] = [kernels[0], kernels[1], kernels[2]];
    let front = &rows[..rows.len() - 1];
    let count: usize = front.iter().product();
    // For each row of the batch, the matrix of all x W, then that matrix on z.
    let columns = reshape_to(&ops::permute(weight, &[1, 0, 2])?, &[m, out * n])?;
    let products = reshape_to(&matrix::mm(&reshape_to(x, &[count, m])?, &columns)?, &[count, out, n])?;
    let y = multiply_each(&products, &reshape_to(z, &[count, n, 1])?, [false, false])?;
    let mut shape: Dims = front.into();
    shape.push(out);
    let y = reshape_to(&y, &shape)?;
    bias.map_or_else(|| Ok(y.clone()), |bias| ops::add(&y, bias))
}

fn check_bilinear(x: &[usize], z: &[usize], weight: &[usize], bias: Option<Dims>) -> Result<()> {
    let wrong = |what: String| Err(Error::runtime(format!("bilinear(): {what}")));
    if x.is_empty() || x.len() != z.len() {
        return wrong(format!("input dimensions do not match: got {} and {}", x.len(), z.len()));
    }
    if weight.len() != 3 {
        return wrong(format!(
            "the weight must have 3 dimensions, not {} (its shape is {weight:?})",
            weight.len()
        ));
    }
    for i in 0..x.len() - 1 {
        if x[i] != z[i] {
            return wrong(format!(
                "input batch dimensions do not match at dim {i}: got {} and {}",
                x[i], z[i]
            ));
        }
    }
    for (shape, number) in [(x, 1), (z, 2)] {
        let last = shape[shape.len() - 1];
        if last != weight[number] {
            return wrong(format!(
                "input{number} size does not match weight size: got {last} but expected {}",
                weight[number]
            ));
        }
    }
    match bias {
        Some(bias) if bias.len() != 1 || bias[0] != weight[0] => wrong(format!(
            "bias size does not match weight size: got {} but expected {}",
            bias.first().unwrap_or(&1),
            weight[0]
        )),
        _ => Ok(()),
    }
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "tensordot",
        |s| Ok(vec![s.normal(&[2, 3, 2])?, s.normal(&[3, 2, 2])?]),
        |x| Ok(vec![tensordot(&x[0], &x[1], &[1, 0], &[0, -1])?]),
    ),
    Check::new("kron", |s| Ok(vec![s.normal(&[2])?, s.normal(&[2, 3])?]), |x| Ok(vec![kron(&x[0], &x[1])?])),
    Check::new(
        "linalg.vecdot",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[1, 3])?]),
        |x| Ok(vec![vecdot(&x[0], &x[1], -1)?]),
    ),
    Check::new(
        "bilinear",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[2, 2])?, s.normal(&[4, 3, 2])?, s.normal(&[4])?]),
        |x| Ok(vec![bilinear(&x[0], &x[1], &x[2], Some(&x[3]))?]),
    ),
];
