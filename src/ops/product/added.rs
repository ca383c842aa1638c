//! Products added to a tensor in one pass: y = beta c + alpha a b.

use crate::array::kernels::copy;
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Batched, Operand, Tensor};
use crate::ops;
use crate::ops::numbers::Place;
use crate::ops::product::arrays::{self, Factor};
use crate::ops::product::bilinear::{Bilinear, scaled};
use crate::ops::product::broadcast::{matmul, of_rows};
use crate::ops::product::matrix::{self, check_inner};
use crate::ops::product::{batch, vector};

/// The factors beta and alpha of a sum.
pub type Weights = [Scalar; 2];

/// Both one.
pub const PLAIN: Weights = [Scalar::Int(1), Scalar::Int(1)];

/// Room for the sum, holding `c` if it counts at all: with beta zero, a NaN in it does not survive.
fn beginning(c: &Array, shape: &[usize], beta: Scalar) -> Result<Array> {
    let c = broadcast(c, shape)?;
    let y = Array::empty(shape, c.dtype())?;
    if beta.is_true() {
        copy::copy(&c, &y);
    }
    Ok(y)
}

fn broadcast(c: &Array, shape: &[usize]) -> Result<Array> {
    if c.shape() == shape {
        return Ok(c.clone());
    }
    if c.ndim() > shape.len() {
        return Err(Error::runtime(format!(
            "The number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({}): \
             the addend {:?} does not fit the product {shape:?}",
            shape.len(),
            c.ndim(),
            c.shape()
        )));
    }
    let skip = shape.len() - c.ndim();
    let wrong = (0..c.ndim()).rev().find(|&i| c.shape()[i] != 1 && c.shape()[i] != shape[skip + i]);
    match wrong {
        None => c.expand(shape),
        Some(i) => Err(Error::runtime(format!(
            "The expanded size of the tensor ({}) must match the existing size ({}) at non-singleton dimension {}.  Target \
             sizes: {shape:?}.  Tensor sizes: {:?}",
            shape[skip + i],
            c.shape()[i],
            skip + i,
            c.shape()
        ))),
    }
}

fn unequal(names: [&str; 2], a: DType, b: DType) -> Error {
    Error::runtime(format!(
        "{} and {} must have the same dtype, but got {} and {} (.to({a}) converts)",
        names[0],
        names[1],
        a.scalar_name(),
        b.scalar_name()
    ))
}

/// beta c + alpha a b, for matrices a, b and a c that broadcasts to their product. All of one dtype, not truths.
pub fn addmm(c: &Tensor, a: &Tensor, b: &Tensor, weights: Weights) -> Result<Tensor> {
    add_product(c, a, b, [false, false], weights)
}

/// [`addmm`] with each factor transposed where `flip` says so.
fn add_product(c: &Tensor, a: &Tensor, b: &Tensor, flip: [bool; 2], weights: Weights) -> Result<Tensor> {
    let (v, x, z) = (c.array(), a.array(), b.array());
    for (array, name) in [(&x, "mat1"), (&z, "mat2")] {
        if array.ndim() != 2 {
            return Err(Error::runtime(format!(
                "{name} must be a matrix, got {}-D tensor (its shape is {:?})",
                array.ndim(),
                array.shape()
            )));
        }
    }
    let (left, right) = (Factor::matrix(&x, flip[0]), Factor::matrix(&z, flip[1]));
    check_inner(left, right)?;
    if x.dtype() != z.dtype() {
        return Err(unequal(["mat1", "mat2"], x.dtype(), z.dtype()));
    }
    if v.dtype() != z.dtype() {
        return Err(unequal(["self", "mat2"], v.dtype(), z.dtype()));
    }
    let [beta, alpha] = weights;
    let y = beginning(&v, &[left.rows, right.cols], beta)?;
    arrays::multiply(matrix::KERNEL, alpha, left, right, beta, Factor::matrix(&y, false))?;
    Bilinear {
        label: Batched("AddmmBackward0"),
        work: arrays::work(left.rows, right.cols, left.cols),
        da: move |g: &Tensor, b: &Tensor| matrix::da(g, b, flip),
        db: move |g: &Tensor, a: &Tensor| matrix::db(g, a, flip),
        itself: move |a: &Tensor, b: &Tensor| matrix::multiply(a, b, flip),
    }
    .record_added(c, a, b, weights, y)
}

/// beta c + alpha a b, for a matrix a, a vector b, and a c that broadcasts to their product. All of one dtype.
pub fn addmv(c: &Tensor, a: &Tensor, b: &Tensor, weights: Weights) -> Result<Tensor> {
    let (v, x, z) = (c.array(), a.array(), b.array());
    vector::check_mv(&x, &z, false)?;
    let (left, right) = (Factor::matrix(&x, false), Factor::column(&z));
    let fits = v.ndim() == 0 || (v.ndim() == 1 && (v.numel() == left.rows || v.numel() == 1));
    if !fits {
        return Err(Error::runtime(format!(
            "size mismatch, got input ({}), mat ({}x{}), vec ({})",
            arrays::join(v.shape()),
            left.rows,
            left.cols,
            right.rows
        )));
    }
    if v.dtype() != z.dtype() {
        return Err(unequal(["self", "vec"], v.dtype(), z.dtype()));
    }
    let [beta, alpha] = weights;
    let y = beginning(&v, &[left.rows], beta)?;
    arrays::multiply("addmv_impl_cpu", alpha, left, right, beta, Factor::column(&y))?;
    Bilinear {
        label: "AddmvBackward0",
        work: arrays::work(left.rows, left.cols, 1),
        da: |g: &Tensor, b: &Tensor| vector::da(g, b, false),
        db: |g: &Tensor, a: &Tensor| vector::apply(a, g, true),
        itself: vector::mv,
    }
    .record_added(c, a, b, weights, y)
}

/// beta c + alpha a b^T, for vectors a, b and a c that broadcasts to their matrix. Dtypes are promoted.
pub fn addr(c: &Tensor, a: &Tensor, b: &Tensor, weights: Weights) -> Result<Tensor> {
    for (x, name) in [(a, "vec1"), (b, "vec2")] {
        if x.ndim() != 1 {
            return Err(Error::runtime(format!(
                "addr: Expected 1-D argument {name}, but got {}-D (its shape is {:?})",
                x.ndim(),
                &x.shape()[..]
            )));
        }
    }
    let (v, x, z) = (c.array(), a.array(), b.array());
    let [beta, alpha] = weights;
    if !(v.dtype().is_floating() && v.dtype() == x.dtype() && x.dtype() == z.dtype()) {
        let product = ops::outer(a, b)?;
        broadcast(&v, product.array().shape())?;
        let floats = v.dtype().is_floating() || product.dtype().is_floating();
        for (weight, name) in [(alpha, "alpha"), (beta, "beta")] {
            if matches!(weight, Scalar::Float(_)) && !floats {
                return Err(Error::runtime(format!(
                    "For integral input tensors, argument {name} must not be a floating point number."
                )));
            }
        }
        if v.dtype() == DType::Bool && product.dtype() == DType::Bool {
            return match (beta.is_true(), alpha.is_true()) {
                (true, true) => ops::logical_or(c, &product),
                (false, true) => Ok(product),
                (true, false) => ops::logical_and(c, &ops::logical_or(&product, true)?),
                (false, false) => ops::logical_and(&product, false),
            };
        }
        if !beta.is_true() {
            return scaled(&product, alpha);
        }
        let addend = scaled(c, beta)?;
        return ops::add_alpha(Operand::Tensor(&addend), Operand::Tensor(&product), alpha, Place::New);
    }
    let y = beginning(&v, &[x.numel(), z.numel()], beta)?;
    arrays::multiply("addr", alpha, Factor::column(&x), Factor::row(&z), beta, Factor::matrix(&y, false))?;
    Bilinear {
        label: "AddrBackward0",
        work: 0,
        da: |g: &Tensor, b: &Tensor| vector::apply(g, b, false),
        db: |g: &Tensor, a: &Tensor| vector::apply(g, a, true),
        itself: vector::rank_one,
    }
    .record_added(c, a, b, weights, y)
}

/// beta c + alpha a b for each pair of matrices of two batches. All of one dtype, not truths.
pub fn baddbmm(c: &Tensor, a: &Tensor, b: &Tensor, weights: Weights) -> Result<Tensor> {
    let (v, x, z) = (c.array(), a.array(), b.array());
    batch::check_batches(&x, &z)?;
    if x.dtype() != z.dtype() || v.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "Input dtypes must be the same, got: input {}, batch1: {}, batch2: {}",
            matrix::spoken(v.dtype()),
            matrix::spoken(x.dtype()),
            matrix::spoken(z.dtype())
        )));
    }
    let (left, right) = (Factor::matrix(&x, false), Factor::matrix(&z, false));
    let count = x.shape()[0];
    let [beta, alpha] = weights;
    let y = beginning(&v, &[count, left.rows, right.cols], beta)?;
    let target = Factor::matrix(&y, false);
    arrays::multiply_each("baddbmm", &[count], alpha, left, right, beta, target)?;
    Bilinear {
        label: "BaddbmmBackward0",
        work: arrays::work(y.numel(), 1, left.cols),
        da: |g: &Tensor, b: &Tensor| batch::da(g, b, [false, false]),
        db: |g: &Tensor, a: &Tensor| batch::db(g, a, [false, false]),
        itself: batch::bmm,
    }
    .record_added(c, a, b, weights, y)
}

/// beta c + alpha times the sum of the products of the matrices of two batches. All of one dtype, not truths.
pub fn addbmm(c: &Tensor, a: &Tensor, b: &Tensor, weights: Weights) -> Result<Tensor> {
    let (v, x, z) = (c.array(), a.array(), b.array());
    batch::check_batches(&x, &z)?;
    if x.dtype() != z.dtype() {
        return Err(unequal(["mat1", "mat2"], x.dtype(), z.dtype()));
    }
    if v.dtype() != z.dtype() {
        return Err(unequal(["self", "mat2"], v.dtype(), z.dtype()));
    }
    let (rows, cols, depth) = (x.shape()[1], z.shape()[2], x.shape()[2]);
    let [beta, alpha] = weights;
    let y = beginning(&v, &[rows, cols], beta)?;
    // Each product is added to the ones before, in order.
    let mut before = beta;
    for index in 0..x.shape()[0] {
        let (x, z) = (x.select(0, index)?, z.select(0, index)?);
        let (left, right) = (Factor::matrix(&x, false), Factor::matrix(&z, false));
        arrays::multiply("addbmm", alpha, left, right, before, Factor::matrix(&y, false))?;
        before = Scalar::Int(1);
    }
    if x.shape()[0] == 0 {
        return scaled(&ops::expand(c, &[rows as isize, cols as isize])?, beta);
    }
    Bilinear {
        label: "AddbmmBackward0",
        work: arrays::work(rows * cols, x.shape()[0], depth),
        da: |g: &Tensor, b: &Tensor| batch::da(g, b, [false, false]),
        db: |g: &Tensor, a: &Tensor| batch::db(g, a, [false, false]),
        itself: |a: &Tensor, b: &Tensor| {
            let products = batch::bmm(a, b)?;
            let shape = products.shape();
            ops::sum_to(&products, &shape[1..])
        },
    }
    .record_added(c, a, b, weights, y)
}

/// x W^T + bias: `[.., k]`, `[n, k]` and `[n]` give `[.., n]`. All of one dtype, not truths. W may also be a vector.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (axes, weight_axes) = (x.ndim(), weight.ndim());
    match bias {
        _ if weight_axes > 2 => Err(Error::runtime(format!(
            "t() expects a tensor with <= 2 dimensions, but self is {weight_axes}D (the weight of linear is [out, in], not {:?})",
            &weight.shape()[..]
        ))),
        Some(bias) if axes == 2 && weight_axes == 2 => add_product(bias, x, weight, [false, true], PLAIN),
        None if axes == 2 && weight_axes == 2 => matrix::multiply(x, weight, [false, true]),
        Some(bias) if weight_axes == 2 && axes > 0 && bias.ndim() == 1 => {
            of_rows(x, 1, |rows| add_product(bias, rows, weight, [false, true], PLAIN))
        }
        None if weight_axes == 2 && axes > 0 => {
            of_rows(x, 1, |rows| matrix::multiply(rows, weight, [false, true]))
        }
        bias => {
            let y = matmul(x, &ops::t(weight)?)?;
            bias.map_or_else(|| Ok(y.clone()), |bias| ops::add(&y, bias))
        }
    }
}

/// Weights that are neither zero nor one.
const ODD: Weights = [Scalar::Float(0.7), Scalar::Float(-1.3)];

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "addmm",
        |s| Ok(vec![s.normal(&[4])?, s.normal(&[2, 3])?, s.normal(&[3, 4])?]),
        |x| Ok(vec![addmm(&x[0], &x[1], &x[2], ODD)?]),
    ),
    Check::new(
        "addmv",
        |s| Ok(vec![s.normal(&[1])?, s.normal(&[2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![addmv(&x[0], &x[1], &x[2], ODD)?]),
    ),
    Check::new(
        "addr",
        |s| Ok(vec![s.normal(&[2, 1])?, s.normal(&[2])?, s.normal(&[3])?]),
        |x| Ok(vec![addr(&x[0], &x[1], &x[2], ODD)?]),
    ),
    Check::new(
        "baddbmm",
        |s| Ok(vec![s.normal(&[2, 1])?, s.normal(&[2, 2, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![baddbmm(&x[0], &x[1], &x[2], ODD)?]),
    ),
    Check::new(
        "addbmm",
        |s| Ok(vec![s.normal(&[2])?, s.normal(&[2, 2, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![addbmm(&x[0], &x[1], &x[2], ODD)?]),
    ),
    Check::new(
        "linear",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[4, 3])?, s.normal(&[4])?]),
        |x| Ok(vec![linear(&x[0], &x[1], Some(&x[2]))?]),
    ),
    Check::new(
        "linear of a batch",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[2, 3])?, s.normal(&[2])?]),
        |x| Ok(vec![linear(&x[0], &x[1], Some(&x[2]))?]),
    ),
    Check::new(
        "linear without a bias",
        |s| Ok(vec![s.normal(&[3])?, s.normal(&[4, 3])?]),
        |x| Ok(vec![linear(&x[0], &x[1], None)?]),
    ),
];
