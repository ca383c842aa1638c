//! Attention: values weighted by how well their keys answer a query.

use smallvec::smallvec;

use crate::array::DType;
use crate::array::kernels::attention::{self as kernel, Known, Rule};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Keep, Onto, Tensor, forward, record_many};
use crate::ops::{self, Triangle};

/// softmax(scale q kᵀ) v over the last two axes; `causal`, query `i` sees keys `0..=i` only.
///
/// `q` is `[..heads, queries, inner]`, `k` `[..heads, keys, inner]`, `v` `[..heads, keys, outer]`, the heads alike.
/// Scores are never held all at once, neither here nor in the backward pass. Fails for shapes that do not fit, different
/// dtypes, and no key.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, causal: bool, scale: f64) -> Result<Tensor> {
    let rule = Rule { scale, causal };
    let [qs, ks, vs] = [q, k, v].map(Tensor::array);
    let n = qs.ndim();
    let fits = n >= 2
        && [&ks, &vs].iter().all(|x| x.ndim() == n && x.shape()[..n - 2] == qs.shape()[..n - 2])
        && ks.shape()[n - 1] == qs.shape()[n - 1]
        && ks.shape()[n - 2] == vs.shape()[n - 2]
        && ks.shape()[n - 2] > 0
        && [&ks, &vs].iter().all(|x| x.dtype() == qs.dtype());
    if !fits {
        return Err(Error::runtime(format!(
            "attention needs queries [..heads, l, e], keys [..heads, s, e] and values [..heads, s, v] of one dtype, but got \
             {:?}, {:?} and {:?}",
            qs.shape(),
            ks.shape(),
            vs.shape()
        )));
    }
    let [y, logs] = kernel::forward(&qs, &ks, &vs, rule)?;
    let keep = [Keep::Input(0), Keep::Input(1), Keep::Input(2), Keep::Output(0), Keep::Output(1)];
    let mut outputs = record_many(
        "ScaledDotProductFlashAttentionForCpuBackward0",
        &[q, k, v],
        vec![y, logs],
        &keep,
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None; 3]) };
            let [q, k, v] = [cx.saved(0)?, cx.saved(1)?, cx.saved(2)?];
            if forward::is_watched() {
                return gradients(g, &q, &k, &v, rule).map(|grads| grads.map(Some).into_iter().collect());
            }
            let [q, k, v, y, logs] = [q, k, v, cx.saved(3)?, cx.saved(4)?].map(|x| x.array());
            let known = Known { q: &q, k: &k, v: &v, y: &y, logs: &logs };
            let grads = kernel::backward(&g.array(), &known, rule)?;
            Ok(grads.into_iter().map(|d| Some(Tensor::new(d))).collect())
        },
        move |inputs, outputs| {
            let tangents: Vec<Option<Tensor>> = inputs.iter().map(|x| x.tangent()).collect();
            let tangent = tangent(inputs[0], inputs[1], inputs[2], &tangents, rule, &outputs[0])?;
            Ok(vec![Some(tangent), None])
        },
    )?;
    Ok(outputs.swap_remove(0))
}

/// The weights, in recorded operations.
fn weights(q: &Tensor, k: &Tensor, rule: Rule) -> Result<Tensor> {
    let scores = ops::mul(&ops::matmul(q, &ops::transpose(k, -2, -1)?)?, rule.scale)?;
    let scores = if rule.causal {
        let shape = scores.shape();
        let all = Tensor::full(&shape[shape.len() - 2..], true, DType::Bool)?;
        ops::masked_fill(&scores, &ops::triangle(Onto::Copy, Triangle::Upper, &all, 1)?, f64::NEG_INFINITY)?
    } else {
        scores
    };
    ops::softmax(&scores, -1, None)
}

/// The Jacobian of the softmax with weights `p`, which is symmetric, times `d` and the scale.
fn through_weights(p: &Tensor, d: &Tensor, rule: Rule) -> Result<Tensor> {
    let along = ops::sum(&ops::mul(p, d)?, Some(&[-1]), true, None)?;
    ops::mul(&ops::mul(p, &ops::sub(d, &along)?)?, rule.scale)
}

/// dv = pᵀ g, ds = scale p (g vᵀ - sum), dq = ds k, dk = dsᵀ q, in recorded operations.
fn gradients(g: &Tensor, q: &Tensor, k: &Tensor, v: &Tensor, rule: Rule) -> Result<[Tensor; 3]> {
    let p = weights(q, k, rule)?;
    let ds = through_weights(&p, &ops::matmul(g, &ops::transpose(v, -2, -1)?)?, rule)?;
    let over_queries = |x: &Tensor| ops::transpose(x, -2, -1);
    Ok([ops::matmul(&ds, k)?, ops::matmul(&over_queries(&ds)?, q)?, ops::matmul(&over_queries(&p)?, g)?])
}

/// dy = dp v + p dv, with dp from ds = dq kᵀ + q dkᵀ.
fn tangent(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    tangents: &[Option<Tensor>],
    rule: Rule,
    y: &Tensor,
) -> Result<Tensor> {
    let p = weights(q, k, rule)?;
    let mut sum = crate::graph::vector_space::zeros_like(y)?;
    let turned = |x: &Tensor| ops::transpose(x, -2, -1);
    for (other, given) in [(false, &tangents[0]), (true, &tangents[1])] {
        let Some(t) = given else { continue };
        let ds = if other { ops::matmul(q, &turned(t)?)? } else { ops::matmul(t, &turned(k)?)? };
        sum = ops::add(&sum, &ops::matmul(&through_weights(&p, &ds, rule)?, v)?)?;
    }
    if let Some(t) = &tangents[2] {
        sum = ops::add(&sum, &ops::matmul(&p, t)?)?;
    }
    Ok(sum)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "attention",
        |s| Ok(vec![s.normal(&[2, 3, 2])?, s.normal(&[2, 4, 2])?, s.normal(&[2, 4, 3])?]),
        |x| Ok(vec![attention(&x[0], &x[1], &x[2], false, 0.7)?]),
    ),
    Check::new(
        "attention, causal",
        |s| Ok(vec![s.normal(&[5, 2])?, s.normal(&[4, 2])?, s.normal(&[4, 3])?]),
        |x| Ok(vec![attention(&x[0], &x[1], &x[2], true, 0.7)?]),
    ),
];
