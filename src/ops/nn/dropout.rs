//! Dropout: random zeros, and what keeps the mean as it was.

use smallvec::smallvec;

use crate::array::{Array, Dims};
use crate::error::{Error, Result};
use crate::graph::{Tensor, mode};
use crate::ops::random::{Distribution, default_generator, random};
use crate::ops::{self};

fn check(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(Error::runtime(format!("dropout probability has to be between 0 and 1, but got {p}")))
}

/// Ones with probability 1 - p, and zeros, of a shape.
fn kept(x: &Tensor, shape: &[usize], p: f64) -> Result<Tensor> {
    random(Distribution::Bernoulli { p: 1.0 - p }, shape, x.dtype(), default_generator())
}

/// The shape of `x` with extent 1 beyond the first two axes.
fn features(x: &Tensor) -> Result<Dims> {
    if x.ndim() < 2 {
        return Err(Error::runtime("Feature dropout requires at least 2 dimensions in the input"));
    }
    let mut shape: Dims = smallvec![1; x.ndim()];
    shape[..2].copy_from_slice(&x.shape()[..2]);
    Ok(shape)
}

/// In training, zero with probability `p`, and the rest scaled by 1 / (1 - p). Draws from the default generator.
pub fn dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    dropped(x, p, training, &x.shape())
}

/// [`dropout`] of whole channels (all but the first two axes share their fate).
pub fn feature_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    check(p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    dropped(x, p, training, &features(x)?)
}

fn dropped(x: &Tensor, p: f64, training: bool, shape: &[usize]) -> Result<Tensor> {
    check(p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    if p == 1.0 {
        return ops::mul(x, &Tensor::new(Array::zeros(&[], x.dtype())?));
    }
    let noise = {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        ops::div(&kept(x, shape, p)?, 1.0 - p)?
    };
    ops::mul(x, &noise)
}

/// Dropout to the value that SELU tends to, which keeps mean and variance (Klambauer et al., 2017).
pub fn alpha_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    alpha_dropped(x, p, training, &x.shape())
}

/// [`alpha_dropout`] of whole channels.
pub fn feature_alpha_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    check(p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    alpha_dropped(x, p, training, &features(x)?)
}

fn alpha_dropped(x: &Tensor, p: f64, training: bool, shape: &[usize]) -> Result<Tensor> {
    /// The scale of SELU times its alpha.
    const FLOOR: f64 = 1.758_099_340_847_376_6;
    check(p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    if p == 1.0 {
        return ops::mul(x, &Tensor::new(Array::zeros(&[], x.dtype())?));
    }
    let a = 1.0 / ((FLOOR * FLOOR * p + 1.0) * (1.0 - p)).sqrt();
    let (scale, shift) = {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let noise = kept(x, shape, p)?;
        let shift = ops::add(&ops::mul(&ops::sub(&noise, 1.0)?, FLOOR * a)?, FLOOR * a * p)?;
        (ops::mul(&noise, a)?, shift)
    };
    ops::add(&ops::mul(x, &scale)?, &shift)
}
