//! The scalar functions: their errors against higher precision, their special values, PyTorch's answers.

use std::collections::BTreeMap;
use std::path::Path;

use arcgrad::array::kernels::real::Real;

/// A function at both widths, and the bounds of its error in units in the last place that its documentation states.
struct Function {
    name: &'static str,
    wide: fn(f64) -> f64,
    wide_bound: f64,
    narrow: fn(f32) -> f32,
    narrow_bound: f64,
}

macro_rules! functions {
    ($($name:ident: $narrow:expr, $wide:expr;)*) => {
        [$(Function {
            name: stringify!($name),
            wide: |x| Real::$name(x),
            wide_bound: $wide,
            narrow: |x| Real::$name(x),
            narrow_bound: $narrow,
        }),*]
    };
}

fn functions() -> [Function; 37] {
    functions! {
        exp: 0.0, 0.0;
        exp2: 0.0, 0.0;
        expm1: 0.0, 0.0;
        ln: 0.0, 0.0;
        ln_1p: 0.0, 0.0;
        log2: 0.0, 0.0;
        log10: 0.0, 0.0;
        sin: 0.0, 0.0;
        cos: 0.0, 0.0;
        tan: 0.0, 0.0;
        asin: 0.0, 0.0;
        acos: 0.0, 0.0;
        atan: 0.0, 0.0;
        sinh: 0.0, 0.0;
        cosh: 0.0, 0.0;
        tanh: 0.0, 0.0;
        asinh: 0.0, 0.0;
        acosh: 0.0, 0.0;
        atanh: 0.0, 0.0;
        sigmoid: 0.0, 0.0;
        log_sigmoid: 0.0, 0.0;
        erf: 0.0, 0.0;
        erfc: 0.0, 0.0;
        erfcx: 0.0, 0.0;
        erfinv: 0.0, 0.0;
        ndtr: 0.0, 0.0;
        normal_density: 0.0, 0.0;
        log_ndtr: 0.0, 0.0;
        ndtri: 0.0, 0.0;
        lgamma: 0.0, 0.0;
        digamma: 0.0, 0.0;
        trigamma: 0.0, 0.0;
        i0: 0.0, 0.0;
        i0e: 0.0, 0.0;
        i1: 0.0, 0.0;
        i1e: 0.0, 0.0;
        cbrt: 0.0, 0.0;
    }
}

/// One line of `data/real.txt`.
struct Sample {
    inputs: Vec<f64>,
    value: f64,
    rest: f64,
}

fn samples() -> BTreeMap<String, Vec<Sample>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real.txt");
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| f64::from_bits(u64::from_str_radix(word, 16).unwrap());
        let [name, inputs @ .., value, rest] = &words[..] else { panic!("{line}") };
        samples.entry((*name).to_owned()).or_default().push(Sample {
            inputs: inputs.iter().map(|word| number(word)).collect(),
            value: number(value),
            rest: rest.parse().unwrap(),
        });
    }
    samples
}

/// The distance of `got` from the exact `value + rest ulp`, in units in the last place of `value`.
fn wide_error(got: f64, sample: &Sample) -> f64 {
    if got.is_nan() || got.is_infinite() {
        return f64::INFINITY;
    }
    let value = sample.value.abs();
    let unit = f64::from_bits(value.to_bits() + 1) - value;
    (((got - sample.value) / unit) - sample.rest).abs()
}

/// The distance of `got` from `exact`, in units in the last place of an `f32` of that size.
fn narrow_error(got: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if got.is_nan() || nearest.is_nan() {
        return if got.is_nan() && nearest.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if nearest.is_infinite() || got.is_infinite() {
        return if got == nearest { 0.0 } else { f64::INFINITY };
    }
    let exponent = ((nearest.to_bits() >> 23) & 0xff).max(1) as i32;
    (f64::from(got) - exact).abs() / 2.0_f64.powi(exponent - 150)
}

/// Every `step`-th number, and all around the places where a function changes its ways.
fn narrow_points(step: usize) -> impl Iterator<Item = f32> {
    let around = [0.0_f32, 0.3466, 0.5, 0.7071, 0.9, 1.0, 1.4142, 2.0, 10.2, 14.42, 80.0, 88.72, 103.97];
    let close = around.into_iter().flat_map(|x| {
        (0..2000_u32).flat_map(move |k| {
            let near = f32::from_bits((x.to_bits() + k * 7).saturating_sub(7000));
            [near, -near]
        })
    });
    let all = (0..=u32::MAX).step_by(step).map(f32::from_bits);
    all.chain(close)
}

#[test]
fn f64_errors_stay_within_their_bounds() {
    let samples = samples();
    let mut broken = Vec::new();
    for function in functions() {
        let (mut worst, mut at) = (0.0, f64::NAN);
        for sample in &samples[function.name] {
            let error = wide_error((function.wide)(sample.inputs[0]), sample);
            if error > worst {
                (worst, at) = (error, sample.inputs[0]);
            }
        }
        if worst > function.wide_bound {
            broken.push(format!("{} errs by {worst:.3} ulp at {at:e}", function.name));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn f32_errors_stay_within_their_bounds() {
    let mut broken = Vec::new();
    for function in functions() {
        let (mut worst, mut at) = (0.0, f32::NAN);
        for x in narrow_points(STEP) {
            // Beyond, the trigonometric functions promise nothing.
            if x.abs() > 1.0e8 && ["sin", "cos", "tan"].contains(&function.name) {
                continue;
            }
            let error = narrow_error((function.narrow)(x), (function.wide)(f64::from(x)));
            if error > worst {
                (worst, at) = (error, x);
            }
        }
        if worst > function.narrow_bound {
            broken.push(format!("{} errs by {worst:.3} ulp at {at:e}", function.name));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

const STEP: usize = 2003;

/// The function of that name, of one number or two.
fn by_name(name: &str, inputs: &[f64]) -> f64 {
    macro_rules! call {
        ([$($one:ident)*] [$($two:ident)*]) => {
            match (name, inputs) {
                $((stringify!($one), &[x]) => Real::$one(x),)*
                $((stringify!($two), &[x, y]) => Real::$two(x, y),)*
                ("polygamma_2", &[x]) => x.polygamma(2),
                ("polygamma_3", &[x]) => x.polygamma(3),
                _ => panic!("no function {name} of {inputs:?}"),
            }
        };
    }
    call!(
        [exp exp2 expm1 ln ln_1p log2 log10 sqrt rsqrt recip square sin cos tan asin acos atan sinh cosh tanh asinh
         acosh atanh sigmoid log_sigmoid erf erfc erfcx erfinv ndtr log_ndtr ndtri lgamma digamma trigamma i0 i0e i1
         i1e bessel_j0 bessel_j1 bessel_y0 bessel_y1 sinc entr abs signum floor ceil trunc round frac]
        [pow atan2 zeta hypot logaddexp logaddexp2 xlogy xlog1py copysign fmod remainder floor_divide nextafter ldexp
         maximum minimum fmax fmin heaviside]
    )
}

/// `data/real_pytorch.txt` holds what PyTorch 2.13 answers in f64: lines `name x [y] value`, in bits.
#[test]
fn values_agree_with_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real_pytorch.txt");
    let mut broken = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, inputs @ .., expected] = &words[..] else { panic!("{line}") };
        let number = |word: &str| f64::from_bits(u64::from_str_radix(word, 16).unwrap());
        let inputs: Vec<f64> = inputs.iter().map(|word| number(word)).collect();
        let (got, expected) = (by_name(name, &inputs), number(expected));
        let same = if expected.is_nan() || expected.is_infinite() || expected == 0.0 {
            (got.is_nan() && expected.is_nan()) || got.to_bits() == expected.to_bits()
        } else {
            (got - expected).abs() <= 1e-13 * expected.abs()
        };
        if !same {
            broken.push(format!("{name}{inputs:?} = {got:e}, PyTorch {expected:e}"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn pow_errors_stay_within_their_bounds() {
    let mut worst = 0.0_f64;
    for sample in &samples()["pow"] {
        let [x, y] = sample.inputs[..] else { panic!() };
        worst = worst.max(wide_error(x.pow(y), sample));
    }
    let mut worst_narrow = (0.0, 0.0, 0.0);
    for x in narrow_points(20_011) {
        for y in [-3.0_f32, -2.0, -1.0, -0.5, 0.333, 0.5, 1.5, 2.0, 3.0, 17.3, 1000.0, -123_456.7] {
            let error = narrow_error(x.pow(y), f64::from(x).pow(f64::from(y)));
            if error > worst_narrow.0 {
                worst_narrow = (error, x, y);
            }
        }
    }
    assert!(worst <= 0.0 && worst_narrow.0 <= 0.0, "{worst} {worst_narrow:?}");
}
