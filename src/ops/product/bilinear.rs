//! The kind of rule that all products have: linear in each of two factors.

use smallvec::{SmallVec, smallvec};

use crate::array::{Array, Scalar};
use crate::error::Result;
use crate::graph::{Backward, Keep, Label, Tensor, record_with_work, vector_space};
use crate::ops;

/// A product's derivatives, given the gradient and the other factor, and the product itself.
pub(super) struct Bilinear<L, A, B, F> {
    /// The node's name.
    pub label: L,
    /// Elements of element-wise work.
    pub work: u64,
    /// da from g and b.
    pub da: A,
    /// db from g and a.
    pub db: B,
    /// y from a and b.
    pub itself: F,
}

/// Each factor's gradient needs the other factor: a factor is kept only if the other one wants a gradient.
fn kept(a: &Tensor, b: &Tensor, first: u8) -> SmallVec<[Keep<'static>; 2]> {
    let mut keep = SmallVec::new();
    if b.requires_grad() {
        keep.push(Keep::Input(first));
    }
    if a.requires_grad() {
        keep.push(Keep::Input(first + 1));
    }
    keep
}

impl<L, A, B, F> Bilinear<L, A, B, F>
where
    L: Label,
    A: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    B: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    F: Fn(&Tensor, &Tensor) -> Result<Tensor>,
{
    /// Both factors' gradients; the factors are the node's inputs `first` and `first + 1`.
    fn backward(
        da: &A,
        db: &B,
        cx: &Backward<'_>,
        first: usize,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // The places that `kept` filled when this was recorded, whatever this pass wants of it.
        let b_place = usize::from(cx.has_edge(first + 1));
        let for_a = cx.needs(first).then(|| da(g, &cx.saved(b_place)?)).transpose()?;
        let for_b = cx.needs(first + 1).then(|| db(g, &cx.saved(0)?)).transpose()?;
        Ok((for_a, for_b))
    }

    /// dy = itself(da, b) + itself(a, db), `None` if neither factor has a tangent.
    fn tangent(itself: &F, a: &Tensor, b: &Tensor) -> Result<Option<Tensor>> {
        let left = a.tangent().map(|t| itself(&t, b)).transpose()?;
        let right = b.tangent().map(|t| itself(a, &t)).transpose()?;
        Ok(match (left, right) {
            (Some(left), Some(right)) => Some(ops::add(&left, &right)?),
            (left, right) => left.or(right),
        })
    }

    /// y = a b, of which `y` holds the numbers.
    pub fn record(self, a: &Tensor, b: &Tensor, y: Array) -> Result<Tensor> {
        let Self { label, work, da, db, itself } = self;
        record_with_work(
            label,
            work,
            &[a, b],
            y,
            &kept(a, b, 0),
            move |cx| {
                let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
                let (da, db) = Self::backward(&da, &db, cx, 0, g)?;
                Ok(smallvec![da, db])
            },
            |cx| {
                Self::tangent(&itself, cx.input(0), cx.input(1))?
                    .map_or_else(|| vector_space::zeros_like(cx.output()), Ok)
            },
        )
    }

    /// y = beta c + alpha a b, of which `y` holds the numbers. `c` may have been broadcast.
    pub fn record_added(
        self,
        c: &Tensor,
        a: &Tensor,
        b: &Tensor,
        [beta, alpha]: [Scalar; 2],
        y: Array,
    ) -> Result<Tensor> {
        let Self { label, work, da, db, itself } = self;
        record_with_work(
            label,
            work,
            &[c, a, b],
            y,
            &kept(a, b, 1),
            move |cx| {
                let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None, None]) };
                let dc = cx.needs(0).then(|| scaled(g, beta)).transpose()?;
                if !(cx.needs(1) || cx.needs(2)) {
                    return Ok(smallvec![dc, None, None]);
                }
                let (da, db) = Self::backward(&da, &db, cx, 1, &scaled(g, alpha)?)?;
                Ok(smallvec![dc, da, db])
            },
            |cx| {
                let product = Self::tangent(&itself, cx.input(1), cx.input(2))?;
                let product = product.map(|t| scaled(&t, alpha)).transpose()?;
                let shape = cx.output().shape();
                let whole = |t: &Tensor| vector_space::expand(t, &shape);
                let addend = cx.tangent(0).map(|t| scaled(&t, beta)).transpose()?;
                match (addend, product) {
                    (Some(c), Some(ab)) => ops::add(&c, &ab),
                    (Some(c), None) => whole(&c),
                    (None, Some(ab)) => Ok(ab),
                    (None, None) => vector_space::zeros_like(cx.output()),
                }
            },
        )
    }
}

fn is_one(factor: Scalar) -> bool {
    factor == Scalar::Int(1) || factor == Scalar::Float(1.0)
}

/// factor * x.
pub(super) fn scaled(x: &Tensor, factor: Scalar) -> Result<Tensor> {
    if is_one(factor) { Ok(x.clone()) } else { ops::mul(x, factor) }
}
