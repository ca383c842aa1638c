//! Einstein's summation: products and sums named by the letters of their axes.

use std::iter::Peekable;

use crate::array::Dims;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops;
use crate::ops::product::batch::multiply_each;
use crate::ops::view::reshape_to;

/// What stands for axes in a list of subscripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscript {
    /// One axis, by a number below 52: `A` to `Z`, then `a` to `z`.
    Axis(u8),
    /// All axes that have no letter: `...`.
    Rest,
}

/// How many letters there are; axes of the ellipsis are numbered on from here.
const LETTERS: usize = 52;

/// The sum of products that an equation such as `"bij,bjk->bik"` describes.
///
/// Axes with one letter are equal or 1 and multiplied; letters that the output does not name are summed; a letter that
/// one operand has twice takes its diagonal; `...` stands for any axes, which broadcast. Without `->`, the output has the
/// axes of `...` and then, in alphabetical order, the letters that occur once. Operands are taken from left to right.
pub fn einsum(equation: &str, operands: &[Tensor]) -> Result<Tensor> {
    let (inputs, output) = parse(equation)?;
    einsum_of(operands, &inputs, output.as_deref())
}

/// [`einsum`] with the subscripts of each operand, and of the output if they are not the usual ones, as lists.
pub fn einsum_of(
    operands: &[Tensor],
    inputs: &[Vec<Subscript>],
    output: Option<&[Subscript]>,
) -> Result<Tensor> {
    let plan = Plan::new(operands, inputs, output)?;
    let mut aligned = Vec::with_capacity(operands.len());
    for (x, axes) in operands.iter().zip(&plan.axes) {
        aligned.push(plan.align(x, axes)?);
    }
    let mut aligned = aligned.into_iter().enumerate();
    let Some((_, first)) = aligned.next() else { return Err(nothing()) };
    let mut y = sum(&first, &plan.sums_after(0))?;
    for (i, x) in aligned {
        y = contract(&y, &x, &plan.sums_after(i))?;
    }
    reshape_to(&y, &y.shape()[..plan.kept])
}

fn nothing() -> Error {
    Error::value(
        "einsum(): must specify the equation string and at least one operand, or at least one operand and its \
         subscripts list",
    )
}

/// The subscripts of each operand, and of the output if it was spelled out.
type Equation = (Vec<Vec<Subscript>>, Option<Vec<Subscript>>);

fn parse(equation: &str) -> Result<Equation> {
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation, None),
    };
    let mut inputs = Vec::new();
    let mut start = 0;
    for (number, part) in left.split(',').enumerate() {
        inputs.push(subscripts(part, start, Some(number))?);
        start += part.len() + 1;
    }
    let output = right.map(|text| subscripts(text, left.len() + 2, None)).transpose()?;
    Ok((inputs, output))
}

/// One operand's subscripts (the output's without a number), which start at index `start` of the equation.
fn subscripts(text: &str, start: usize, number: Option<usize>) -> Result<Vec<Subscript>> {
    let mut list = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((i, letter)) = letters.next() {
        match letter {
            ' ' => {}
            '.' => {
                let repeated = list.contains(&Subscript::Rest);
                if repeated || !(dot(&mut letters) && dot(&mut letters)) {
                    return Err(stray_dot(number, repeated));
                }
                list.push(Subscript::Rest);
            }
            'A'..='Z' => list.push(Subscript::Axis(letter as u8 - b'A')),
            'a'..='z' => list.push(Subscript::Axis(letter as u8 - b'a' + 26)),
            _ => {
                return Err(Error::runtime(format!(
                    "einsum(): invalid subscript given at index {} in the equation string, subscripts must be in [a-zA-Z] \
                     (it is '{letter}')",
                    start + i
                )));
            }
        }
    }
    Ok(list)
}

fn dot(letters: &mut Peekable<impl Iterator<Item = (usize, char)>>) -> bool {
    letters.next_if(|&(_, c)| c == '.').is_some()
}

fn stray_dot(number: Option<usize>, repeated: bool) -> Error {
    Error::runtime(match (number, repeated) {
        (Some(i), true) => {
            format!("einsum(): found '.' for operand {i} for which an ellipsis was already found")
        }
        (Some(i), false) => format!("einsum(): found '.' for operand {i} that is not part of any ellipsis"),
        (None, true) => "einsum(): found '.' for output but an ellipsis (...) was already found".to_owned(),
        (None, false) => "einsum(): found '.' for output that is not part of any ellipsis (...)".to_owned(),
    })
}

/// The letter of an axis, for messages.
fn letter(axis: usize) -> String {
    match axis {
        0..26 => char::from(b'A' + axis as u8).to_string(),
        26..LETTERS => char::from(b'a' + (axis - 26) as u8).to_string(),
        _ => "...".to_owned(),
    }
}

/// Where each axis goes: all operands are brought to one order of axes, the output's first.
struct Plan {
    /// For each operand, the letter of each of its axes.
    axes: Vec<Vec<usize>>,
    /// All letters in use: the output's, then those that are summed.
    order: Vec<usize>,
    /// How many of them the output has.
    kept: usize,
}

impl Plan {
    fn new(operands: &[Tensor], inputs: &[Vec<Subscript>], output: Option<&[Subscript]>) -> Result<Self> {
        if operands.is_empty() {
            return Err(nothing());
        }
        if operands.len() != inputs.len() {
            return Err(Error::runtime(format!(
                "einsum(): {} operands were provided than specified in the equation ({} operands, {} lists of subscripts)",
                if operands.len() > inputs.len() { "more" } else { "fewer" },
                operands.len(),
                inputs.len()
            )));
        }
        let mut rest = 0;
        for (i, (x, list)) in operands.iter().zip(inputs).enumerate() {
            rest = rest.max(unnamed(i, x.ndim(), list)?);
        }
        let mut axes = Vec::with_capacity(operands.len());
        for (x, list) in operands.iter().zip(inputs) {
            let own = x.ndim() + 1 - list.len().min(x.ndim() + 1);
            let own = if list.contains(&Subscript::Rest) { own } else { 0 };
            axes.push(spell(list, rest - own..rest));
        }
        check_extents(operands, &axes)?;
        let mut order = match output {
            Some(list) => named(list, rest, &axes)?,
            None => usual(rest, &axes),
        };
        let kept = order.len();
        let mut others: Vec<usize> = axes.iter().flatten().copied().filter(|a| !order.contains(a)).collect();
        others.sort_unstable();
        others.dedup();
        order.extend(others);
        Ok(Self { axes, order, kept })
    }

    /// The summed axes, as places in the order, that no operand after this one has.
    fn sums_after(&self, operand: usize) -> Vec<usize> {
        let last = |axis: &usize| self.axes.iter().rposition(|axes| axes.contains(axis));
        (self.kept..self.order.len()).filter(|&place| last(&self.order[place]) == Some(operand)).collect()
    }

    /// An operand with all axes of the order, of extent 1 where it has none.
    fn align(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let (x, axes) = diagonals(x, axes)?;
        let places = self.order.iter().map(|axis| axes.iter().position(|a| a == axis));
        let own: Vec<isize> = places.clone().flatten().map(|i| i as isize).collect();
        let shape = x.shape();
        let wide: Dims = places.map(|place| place.map_or(1, |i| shape[i])).collect();
        let sorted = own.is_sorted();
        let x = if sorted { x } else { ops::permute(&x, &own)? };
        if x.shape() == wide { Ok(x) } else { reshape_to(&x, &wide) }
    }
}

/// How many axes of operand `i` the ellipsis stands for.
fn unnamed(i: usize, ndim: usize, list: &[Subscript]) -> Result<usize> {
    let letters = list.iter().filter(|s| matches!(s, Subscript::Axis(_))).count();
    if letters == list.len() && letters != ndim {
        return Err(Error::runtime(format!(
            "einsum(): the number of subscripts in the equation ({letters}) does not match the number of dimensions \
             ({ndim}) for operand {i} and no ellipsis was given"
        )));
    }
    ndim.checked_sub(letters).ok_or_else(|| {
        Error::runtime(format!(
            "einsum(): the number of subscripts in the equation ({letters}) is more than the number of dimensions ({ndim}) \
             for operand {i}"
        ))
    })
}

/// The axes that subscripts stand for; the ellipsis stands for those in `rest`.
fn spell(list: &[Subscript], rest: std::ops::Range<usize>) -> Vec<usize> {
    let mut axes = Vec::new();
    for subscript in list {
        match subscript {
            Subscript::Axis(axis) => axes.push(usize::from(*axis)),
            Subscript::Rest => axes.extend(rest.clone().map(|i| LETTERS + i)),
        }
    }
    axes
}

fn check_extents(operands: &[Tensor], axes: &[Vec<usize>]) -> Result<()> {
    let mut extents: Vec<(usize, usize)> = Vec::new();
    for (i, (x, axes)) in operands.iter().zip(axes).enumerate() {
        let shape = x.shape();
        for (place, &axis) in axes.iter().enumerate() {
            let first = axes.iter().position(|&a| a == axis).unwrap_or(place);
            if shape[first] != shape[place] {
                return Err(Error::runtime(format!(
                    "einsum(): subscript {} is repeated for operand {i} but the sizes don't match, {} != {} (its shape is \
                     {:?})",
                    letter(axis),
                    shape[place],
                    shape[first],
                    &shape[..]
                )));
            }
            match extents.iter_mut().find(|(a, _)| *a == axis) {
                None => extents.push((axis, shape[place])),
                Some((_, seen)) if *seen == 1 => *seen = shape[place],
                Some((_, seen)) if shape[place] != 1 && *seen != shape[place] => {
                    return Err(Error::runtime(format!(
                        "einsum(): subscript {} has size {} for operand {i} which does not broadcast with previously seen \
                         size {seen}",
                        letter(axis),
                        shape[place]
                    )));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// The axes of an output that was spelled out.
fn named(list: &[Subscript], rest: usize, inputs: &[Vec<usize>]) -> Result<Vec<usize>> {
    let axes = spell(list, 0..rest);
    for (i, axis) in axes.iter().enumerate() {
        if axes[..i].contains(axis) {
            return Err(Error::runtime(format!(
                "einsum(): output subscript {} appears more than once in the output",
                letter(*axis)
            )));
        }
        if !inputs.iter().any(|axes| axes.contains(axis)) {
            return Err(Error::runtime(format!(
                "einsum(): output subscript {} does not appear in the equation for any input operand",
                letter(*axis)
            )));
        }
    }
    Ok(axes)
}

/// The axes of an output that was not: the ellipsis, then the letters that occur once.
fn usual(rest: usize, inputs: &[Vec<usize>]) -> Vec<usize> {
    let count = |axis: usize| inputs.iter().flatten().filter(|&&a| a == axis).count();
    (LETTERS..LETTERS + rest).chain((0..LETTERS).filter(|&axis| count(axis) == 1)).collect()
}

/// Without repeated letters: their diagonal takes the first one's place.
fn diagonals(x: &Tensor, axes: &[usize]) -> Result<(Tensor, Vec<usize>)> {
    let (mut x, mut axes) = (x.clone(), axes.to_vec());
    let mut place = 0;
    while place < axes.len() {
        match axes[..place].iter().position(|&a| a == axes[place]) {
            Some(first) => {
                x = ops::diagonal(&x, 0, first as isize, place as isize)?;
                x = ops::movedim(&x, &[-1], &[first as isize])?;
                axes.remove(place);
            }
            None => place += 1,
        }
    }
    Ok((x, axes))
}

/// Sums axes, which stay with extent 1.
fn sum(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let mut shape = x.shape();
    for &axis in axes {
        shape[axis] = 1;
    }
    if shape == x.shape() { Ok(x.clone()) } else { ops::sum_to(x, &shape) }
}

/// The product of two tensors of equally many axes, summed over some of them, which stay with extent 1.
fn contract(a: &Tensor, b: &Tensor, sums: &[usize]) -> Result<Tensor> {
    let (x, z) = (a.shape(), b.shape());
    // An axis that only one of them has is summed before.
    let of_one = |other: &Dims| sums.iter().copied().filter(|&i| other[i] == 1).collect::<Vec<_>>();
    let (a, b) = (sum(a, &of_one(&z))?, sum(b, &of_one(&x))?);
    let (inner, outer): (Vec<usize>, Vec<usize>) =
        (0..x.len()).partition(|i| sums.contains(i) && x[*i] != 1 && z[*i] != 1);
    if inner.is_empty() {
        return ops::mul(&a, &b);
    }
    let (x, z) = (a.shape(), b.shape());
    let shared: Vec<usize> = outer.iter().copied().filter(|&i| (x[i] == 1) == (z[i] == 1)).collect();
    let left: Vec<usize> = outer.iter().copied().filter(|&i| x[i] != 1 && z[i] == 1).collect();
    let right: Vec<usize> = outer.iter().copied().filter(|&i| x[i] == 1 && z[i] != 1).collect();
    let product = multiply_each(
        &fold(&a, [&shared, &left, &inner], &right)?,
        &fold(&b, [&shared, &inner, &right], &left)?,
        [false, false],
    )?;
    // Its axes are those of `shared`, `left`, `right`, and the summed ones of extent 1.
    let order: Vec<usize> = [&shared[..], &left, &right, &inner].concat();
    let extent = |i: usize| if inner.contains(&i) { 1 } else { x[i].max(z[i]).min(x[i] * z[i]) };
    let wide: Dims = order.iter().map(|&i| extent(i)).collect();
    let mut back = vec![0; order.len()];
    for (place, &axis) in order.iter().enumerate() {
        back[axis] = place as isize;
    }
    ops::permute(&reshape_to(&product, &wide)?, &back)
}

/// Three groups of axes as three axes; the axes that are left over have extent 1.
fn fold(x: &Tensor, groups: [&[usize]; 3], ones: &[usize]) -> Result<Tensor> {
    let order: Vec<isize> =
        groups.iter().copied().chain([ones]).flatten().map(|&axis| axis as isize).collect();
    let shape = x.shape();
    let folded: Dims = groups.iter().map(|group| group.iter().map(|&i| shape[i]).product()).collect();
    reshape_to(&ops::permute(x, &order)?, &folded)
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "einsum bij,bjk->bik",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![einsum("bij,bjk->bik", x)?]),
    ),
    Check::new("einsum ii->i", |s| Ok(vec![s.normal(&[3, 3])?]), |x| Ok(vec![einsum("ii->i", x)?])),
    Check::new(
        "einsum ...ij,jk",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[3, 2])?]),
        |x| Ok(vec![einsum("...ij,jk", x)?]),
    ),
    Check::new(
        "einsum i,ij,j->",
        |s| Ok(vec![s.normal(&[2])?, s.normal(&[2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![einsum("i,ij,j->", x)?]),
    ),
    Check::new(
        "einsum ij,kj->ki",
        |s| Ok(vec![s.normal(&[2, 1])?, s.normal(&[4, 3])?]),
        |x| Ok(vec![einsum("ij,kj->ki", x)?]),
    ),
];
