//! The scalar functions: their errors against higher precision, their special values, PyTorch's answers.

// Bits are compared on purpose.
#![allow(clippy::float_cmp)]

use std::collections::BTreeMap;
use std::path::Path;

use arcgrad::array::DType;
use arcgrad::array::kernels::real::{Fused, Real};
use arcgrad::error::Result;
use arcgrad::graph::row::Kind;
use arcgrad::graph::vector_space::to_dtype;
use arcgrad::graph::{Row, Tensor};
use arcgrad::ops::{self, registry};

/// A function at both widths, with products and sums rounded apart and in fused steps, and the bounds of its error in units
/// in the last place that its op's documentation states.
struct Function {
    name: &'static str,
    wide: [fn(f64) -> f64; 2],
    wide_bound: f64,
    narrow: [fn(f32) -> f32; 2],
    narrow_bound: f64,
}

/// The bounds for `f32` and `f64` that an op states: `Within 1.2 ulp in float32 and 1.3 in float64`.
fn statement(row: &Row) -> Option<[f64; 2]> {
    let (_, words) = row.doc.split_once("ithin ")?;
    let (narrow, rest) = words.split_once(" ulp in float32 and ")?;
    Some([narrow.parse().ok()?, rest.split_once(" in float64")?.0.parse().ok()?])
}

/// The bounds that the op of this function of `Real` states.
fn bounds(name: &str) -> [f64; 2] {
    let op = match name {
        "ln" => "log",
        "ln_1p" => "log1p",
        "log_sigmoid" => "logsigmoid",
        _ => name,
    };
    let row = registry::rows().find(|row| row.name == op).unwrap_or_else(|| panic!("no op {op}"));
    statement(row).unwrap_or_else(|| panic!("{op} states no bounds: {}", row.doc))
}

/// A function without an op has its bounds behind its name.
macro_rules! functions {
    (@bounds $name:ident) => { bounds(stringify!($name)) };
    (@bounds $name:ident $narrow:literal $wide:literal) => { [$narrow, $wide] };
    ($($name:ident $(: $narrow:literal, $wide:literal)?;)*) => {
        [$({
            let [narrow_bound, wide_bound] = functions!(@bounds $name $($narrow $wide)?);
            Function {
                name: stringify!($name),
                wide: [|x| Real::$name(x), |x| Real::$name(Fused(x)).0],
                wide_bound,
                narrow: [|x| Real::$name(x), |x| Real::$name(Fused(x)).0],
                narrow_bound,
            }
        }),*]
    };
}

fn functions() -> [Function; 45] {
    functions! {
        exp; exp2; expm1; ln; ln_1p; log2; log10; sin; cos; tan; sin_far: 0.51, 1.00; cos_far: 0.51, 1.00;
        tan_far: 0.51, 1.00; asin; acos; atan; sinh; cosh; tanh; asinh; acosh; atanh; sigmoid; log_sigmoid; erf; erfc;
        erfcx; erfinv; ndtr; gelu; normal_density; log_ndtr; ndtri; lgamma; digamma; trigamma: 0.51, 3.50; i0; i0e; i1; i1e;
        bessel_j0; bessel_j1; bessel_y0; bessel_y1; cbrt: 0.51, 0.51;
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

fn unit_of(magnitude: f64) -> f64 {
    f64::from_bits(magnitude.to_bits() + 1) - magnitude
}

/// The distance of `got` from the exact `value + rest ulp`, in units in the last place of `value`.
fn wide_error(got: f64, sample: &Sample) -> f64 {
    if got.is_nan() || got.is_infinite() {
        return f64::INFINITY;
    }
    let unit = unit_of(sample.value.abs());
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
    let around = [0.0_f32, 0.3466, 0.5, 0.707, 0.9, 1.0, 1.414, 2.0, 5.679, 10.2, 14.42, 80.0, 88.72, 103.97];
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
        let both = samples[function.name].iter().flat_map(|sample| function.wide.map(|wide| (sample, wide)));
        for (sample, wide) in both {
            let mut error = wide_error(wide(sample.inputs[0]), sample);
            // Beside their roots these promise an absolute error.
            let has_roots = function.name == "digamma" || function.name.starts_with("bessel");
            if has_roots && sample.value.abs() < 1.0 {
                error *= unit_of(sample.value.abs()) / f64::EPSILON;
            }
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
        for x in narrow_points(100_003) {
            // Beyond, the trigonometric functions promise nothing.
            if x.abs() > f32::REACH && ["sin", "cos", "tan"].contains(&function.name) {
                continue;
            }
            let exact = function.wide[0](f64::from(x));
            // Of so small a value one of its two factors has lost digits.
            if function.name == "gelu" && exact != 0.0 && exact.abs() < 1024.0 * f64::from(f32::MIN_POSITIVE)
            {
                continue;
            }
            for narrow in function.narrow {
                let error = narrow_error(narrow(x), exact);
                if error > worst {
                    (worst, at) = (error, x);
                }
            }
        }
        if worst > function.narrow_bound {
            broken.push(format!("{} errs by {worst:.3} ulp at {at:e}", function.name));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Ops on floats that are sums, products, quotients and selections, and state no bounds.
const ARITHMETIC: &[&str] = &[
    "addcdiv",
    "copysign",
    "frac",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "lerp",
    "nan_to_num_with",
    "nextafter",
    "softshrink",
];

#[test]
fn every_op_on_floats_states_its_error_and_the_page_states_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/accuracy.md");
    let page = std::fs::read_to_string(path).unwrap();
    for row in registry::TABLES.iter().copied().flatten() {
        let Some([narrow, wide]) = statement(row) else {
            assert!(
                row.kind != Kind::Real || ARITHMETIC.contains(&row.name),
                "{} states no bounds",
                row.name
            );
            continue;
        };
        let line = page.lines().find(|line| line.starts_with(&format!("| `{}` | ", row.name)));
        let cells: Vec<f64> =
            line.iter().flat_map(|line| line.split(" | ").skip(1).take(2)).flat_map(str::parse).collect();
        assert_eq!(cells, [narrow, wide], "{} in docs/accuracy.md: {line:?}", row.name);
    }
}

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

/// Where PyTorch 2.13 is inexact, or silent about a limit, and this crate is not.
fn is_better_than_pytorch(name: &str, inputs: &[f64], expected: f64) -> bool {
    let x = inputs[0];
    match name {
        // The last subnormals.
        "ln_1p" | "erfinv" | "i1" | "i1e" if x.abs() == 5e-324 => true,
        "sigmoid" => x == -745.0,
        // Its tail is one minus erf, and is lost.
        "ndtr" => x < -9.0,
        // Right to nine or ten digits there; large where a pole is missed.
        "trigamma" => (x < 0.0 && x == x.trunc()) || (x.trigamma() - expected).abs() <= 1e-9 * expected.abs(),
        "bessel_j0" | "bessel_j1" | "bessel_y0" | "bessel_y1" => {
            x.abs() > 1e299
                || x.is_infinite()
                || (by_name(name, inputs) - expected).abs() <= 1e-7 * expected.abs()
        }
        // Odd functions keep the sign of zero; limits at infinity exist; 710 does not overflow.
        "i0" | "i1" | "i1e" | "polygamma_2" | "polygamma_3" => x == 0.0 || x.is_infinite() || x == 710.0,
        "zeta" => x.is_nan() || x.is_infinite() || inputs[1].is_infinite(),
        "logaddexp2" => inputs == [-1.0, -1.0],
        // Beyond `REACH`.
        "sin" | "cos" | "tan" | "sinc" => x.abs() > f64::REACH,
        _ => false,
    }
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
        if !same && !is_better_than_pytorch(name, &inputs, expected) {
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
        worst = worst.max(wide_error(x.pow(y), sample)).max(wide_error(Fused(x).pow(Fused(y)).0, sample));
    }
    let mut worst_narrow = (0.0, 0.0, 0.0);
    for x in narrow_points(1_000_003) {
        for y in [-3.0_f32, -2.0, -1.0, -0.5, 0.333, 0.5, 1.5, 2.0, 3.0, 17.3, 1000.0, -123_456.7] {
            let exact = f64::from(x).pow(f64::from(y));
            for power in [x.pow(y), Fused(x).pow(Fused(y)).0] {
                let error = narrow_error(power, exact);
                if error > worst_narrow.0 {
                    worst_narrow = (error, x, y);
                }
            }
        }
    }
    let [narrow_bound, wide_bound] = bounds("pow");
    assert!(worst <= wide_bound && worst_narrow.0 <= narrow_bound, "{worst} {worst_narrow:?}");
}

#[test]
fn atan2_errors_stay_within_their_bounds() {
    let [narrow_bound, wide_bound] = bounds("atan2");
    for sample in &samples()["atan2"] {
        let [y, x] = sample.inputs[..] else { panic!() };
        for angle in [Real::atan2(y, x), Real::atan2(Fused(y), Fused(x)).0] {
            let error = wide_error(angle, sample);
            assert!(error <= wide_bound, "{error} ulp at {y}, {x}");
        }
        let (y, x) = (y as f32, x as f32);
        let exact = Real::atan2(f64::from(y), f64::from(x));
        for angle in [Real::atan2(y, x), Real::atan2(Fused(y), Fused(x)).0] {
            let error = narrow_error(angle, exact);
            assert!(error <= narrow_bound, "{error} ulp at {y}, {x} in f32");
        }
    }
}

/// Compiled for the widest registers, the same bits as compiled for none, of fused steps too: whoever makes them.
#[cfg(target_arch = "x86_64")]
#[test]
fn bits_do_not_depend_on_the_instruction_set() {
    let mut points: Vec<f64> = narrow_points(1_000_003).map(f64::from).collect();
    points.extend([5e-324, -1e-310, 1e300, -745.1, 709.8, f64::NAN]);
    macro_rules! compiled_for {
        ($features:literal, $f:ident, $points:ident) => {{
            #[target_feature(enable = $features)]
            fn apply(points: &[f64], narrow: &mut [[f32; 2]], wide: &mut [[f64; 2]]) {
                for ((x, narrow), wide) in points.iter().zip(narrow).zip(wide) {
                    *narrow = [Real::$f(*x as f32), Real::$f(Fused(*x as f32)).0];
                    *wide = [Real::$f(*x), Real::$f(Fused(*x)).0];
                }
            }
            let (mut narrow, mut wide) = (vec![[0.0; 2]; $points.len()], vec![[0.0; 2]; $points.len()]);
            // SAFETY: called only where the processor reports these features.
            unsafe { apply(&$points, &mut narrow, &mut wide) };
            (narrow, wide)
        }};
    }
    macro_rules! same_bits {
        ($($f:ident)*) => {$(
            let alone = |x: &f64| {
                let narrow = *x as f32;
                ([Real::$f(narrow), Real::$f(Fused(narrow)).0], [Real::$f(*x), Real::$f(Fused(*x)).0])
            };
            let expected: (Vec<[f32; 2]>, Vec<[f64; 2]>) = points.iter().map(alone).unzip();
            let check = |(narrow, wide): (Vec<[f32; 2]>, Vec<[f64; 2]>)| {
                for (k, point) in points.iter().enumerate() {
                    for way in 0..2 {
                        let (got, wanted) = (narrow[k][way], expected.0[k][way]);
                        let same = got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan();
                        assert!(same, "{} of {point:e} in f32", stringify!($f));
                        let (got, wanted) = (wide[k][way], expected.1[k][way]);
                        let same = got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan();
                        assert!(same, "{} of {point:e} in f64", stringify!($f));
                    }
                }
            };
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                check(compiled_for!("avx2,fma", $f, points));
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
            {
                check(compiled_for!("avx512f,avx512vl,avx512dq,avx512bw", $f, points));
            }
        )*};
    }
    same_bits!(exp exp2 expm1 ln ln_1p log2 log10 tanh sigmoid log_sigmoid erf erfc ndtr gelu normal_density sin cos tan atan
        sinh cosh asinh acosh atanh rsqrt round signum);
}

/// A form with fewer steps is taken of most numbers: no number may show which.
#[test]
fn the_near_forms_are_those_of_any_number_to_the_bit() {
    macro_rules! agree {
        ($float:ident, $x:expr, $measure:ident $reach:ident: $($near:ident $any:ident),*) => {
            if $x.$measure() <= $float::$reach {
                $(
                    // By the trait's name: `exp` of a float is the standard library's.
                    let (near, any) = (Real::$near($x), Real::$any($x));
                    assert_eq!(near.to_bits(), any.to_bits(), "{} of {:e}: {near:e}, {any:e}", stringify!($near), $x);
                    let (near, any) = (Real::$near(Fused($x)).0, Real::$any(Fused($x)).0);
                    assert_eq!(near.to_bits(), any.to_bits(), "fused {} of {:e}", stringify!($near), $x);
                )*
            }
        };
    }
    macro_rules! check {
        ($float:ident, $x:expr, $reach:literal) => {
            let x: $float = $x;
            assert_eq!(x.exponent_measure() <= $float::EXPONENT_REACH, x.abs() <= $reach, "{x:e}");
            assert_eq!(x.logarithm_measure() <= $float::LOGARITHM_REACH, x > 0.0 && x.is_normal(), "{x:e}");
            agree!($float, x, exponent_measure EXPONENT_REACH: exp_near exp, exp2_near exp2, sigmoid_near sigmoid, tanh_near tanh);
            agree!($float, x, logarithm_measure LOGARITHM_REACH: ln_near ln, log2_near log2, log10_near log10);
        };
    }
    for x in narrow_points(50_021) {
        check!(f32, x, 43.0);
        check!(f64, f64::from(x), 350.0);
        check!(f64, f64::from(x) * 1.000_000_123_456_789, 350.0);
        // Numbers of every size below the reach.
        check!(f32, (x.to_bits() as f32).sqrt() * 0.001 - 32.0, 43.0);
        check!(f64, (f64::from(x.to_bits()) * 7e-7).sin() * 360.0, 350.0);
    }
    for x in [5e-324_f64, -5e-324, 1e-310, 1.7e308, -1.7e308, 350.0, -350.0] {
        check!(f64, x, 350.0);
    }
}

/// The ops whose kernels have near forms.
fn ops_with_near_forms() -> [(&'static str, fn(&Tensor) -> Result<Tensor>); 10] {
    [
        ("exp", |x| ops::exponential::exp(x)),
        ("exp2", |x| ops::exponential::exp2(x)),
        ("log", |x| ops::exponential::log(x)),
        ("log2", |x| ops::exponential::log2(x)),
        ("log10", |x| ops::exponential::log10(x)),
        ("sigmoid", |x| ops::exponential::sigmoid(x)),
        ("silu", |x| ops::activation::silu(x)),
        ("tanh", |x| ops::trigonometric::tanh(x)),
        ("sin", |x| ops::trigonometric::sin(x)),
        ("tan", |x| ops::trigonometric::tan(x)),
    ]
}

/// An op's values, in bits.
fn bits_of(op: fn(&Tensor) -> Result<Tensor>, x: &[f64], dtype: DType) -> Vec<u64> {
    let x = to_dtype(&Tensor::from_slice(x, &[x.len()]).unwrap(), dtype).unwrap();
    let y = to_dtype(&op(&x).unwrap(), DType::F64).unwrap();
    // A NaN's sign and digits are anybody's.
    y.to_vec::<f64>().unwrap().iter().map(|y| if y.is_nan() { 1 } else { y.to_bits() }).collect()
}

/// In the middle of registers, in what is left at an end, alone: everywhere a number is taken in the same steps.
#[test]
fn bits_do_not_depend_on_the_place() {
    let numbers: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 400 - 100) * 0.031).collect();
    for (name, op) in ops_with_near_forms() {
        for dtype in [DType::F32, DType::F64] {
            let all = bits_of(op, &numbers, dtype);
            for start in (0..20).chain([100, 250]) {
                for length in (1..36).chain([63, 64, 65, 127, 129, 150]) {
                    let part = bits_of(op, &numbers[start..start + length], dtype);
                    assert!(
                        part == all[start..start + length],
                        "{name} in {dtype} from {start}, {length} numbers"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_beyond_a_near_form_is_computed_and_changes_no_neighbour() {
    let numbers: Vec<f64> = (0..2500).map(|i| 0.01 + f64::from(i * 37 % 2500) * 0.002).collect();
    let beyond = [0.0, -1.0, 90.0, -90.0, 1e-40, 1e15, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for (name, op) in ops_with_near_forms() {
        for dtype in [DType::F32, DType::F64] {
            let values = |x: &[f64]| bits_of(op, x, dtype);
            let plain = values(&numbers);
            for stranger in beyond {
                let alone = values(&[stranger])[0];
                for place in [0, 700, 1023, 1024, 2499] {
                    let mut x = numbers.clone();
                    x[place] = stranger;
                    let mut expected = plain.clone();
                    expected[place] = alone;
                    assert!(values(&x) == expected, "{name} in {dtype} beside {stranger} at {place}");
                }
            }
        }
    }
}

#[test]
fn f32_keeps_special_values() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    assert_eq!((Real::tanh(inf), Real::tanh(-inf)), (1.0, -1.0));
    assert_eq!((Real::exp(-inf), Real::exp(inf), Real::exp(-104.0_f32)), (0.0, inf, 0.0));
    assert_eq!(Real::exp(-103.0_f32), f32::from_bits(1));
    assert_eq!((Real::ln(0.0_f32), Real::ln(inf), Real::ln_1p(-1.0_f32)), (-inf, inf, -inf));
    assert!(Real::ln(-1.0_f32).is_nan() && Real::ln_1p(-1.5_f32).is_nan() && Real::sin(inf).is_nan());
    assert!((Real::ln(f32::from_bits(1)) + 103.278_93).abs() < 1e-5);
    assert_eq!(
        (Real::erf(inf), Real::erfc(inf), Real::erfc(-inf), inf.ndtr(), (-inf).ndtr()),
        (1.0, 0.0, 2.0, 1.0, 0.0)
    );
    assert_eq!((inf.sigmoid(), (-inf).sigmoid(), (-100.0_f32).sigmoid() > 0.0), (1.0, 0.0, true));
    assert_eq!(
        (inf.softplus(1.0, 20.0), (-inf).softplus(1.0, 20.0), 30.0_f32.softplus(1.0, 20.0)),
        (inf, 0.0, 30.0)
    );
    assert_eq!(
        (
            Real::maximum(1.0_f32, nan).is_nan(),
            Real::minimum(nan, 1.0).is_nan(),
            1.0_f32.fmax(nan),
            nan.fmin(1.0)
        ),
        (true, true, 1.0, 1.0)
    );
    assert_eq!(
        (Real::round(2.5_f32), Real::round(3.5_f32), Real::round(-0.5_f32).to_bits()),
        (2.0, 4.0, (-0.0_f32).to_bits())
    );
    for f in [
        Real::tanh,
        Real::sinh,
        Real::sin,
        Real::tan,
        Real::atan,
        Real::asinh,
        Real::atanh,
        Real::erf,
        Real::expm1,
        Real::ln_1p,
    ] as [fn(f32) -> f32; 10]
    {
        assert_eq!(f(-0.0).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(f(f32::from_bits(1)), f32::from_bits(1));
        assert!(f(nan).is_nan());
    }
}

#[test]
fn fused_steps_keep_special_values() {
    fn check<T: Real + PartialEq>(name: &str, [apart, fused]: [fn(T) -> T; 2], points: &[f64]) {
        for x in points.iter().map(|x| T::of(*x)) {
            // Half of the least number: up and down are equally near.
            if name == "gelu" && x != T::ZERO && x * T::of(0.5) == T::ZERO {
                continue;
            }
            let (apart, fused) = (apart(x), fused(x));
            let special = apart.is_nan() || apart.is_inf() || apart == T::ZERO;
            let same =
                apart == fused && apart.signbit() == fused.signbit() || apart.is_nan() && fused.is_nan();
            assert!(
                if special { same } else { fused.is_finite() && fused != T::ZERO },
                "{name} of {x:?}: {fused:?}"
            );
        }
    }
    let mut points =
        vec![0.0, 0.5, 1.0, 1.5, 88.8, 104.0, 150.0, 710.0, 745.2, 1e30, 1e300, 1e-45, 5e-324, f64::INFINITY];
    points.extend(points.clone().iter().map(|x| -x));
    points.push(f64::NAN);
    for Function { name, wide, narrow, .. } in functions() {
        check(name, narrow, &points);
        check(name, wide, &points);
    }
}

#[test]
fn numbers_beyond_reach_have_a_slow_way() {
    assert_eq!(1e22_f64.sin_far(), -0.852_200_849_767_188_8);
    assert_eq!(1e10_f32.cos_far(), 0.873_119_622_676_856_f64 as f32);
}

#[test]
fn exp_of_what_is_not_positive_has_the_bits_of_exp() {
    for x in narrow_points(10_007).filter(|x| *x <= 0.0).chain([f32::NEG_INFINITY, -0.0, -103.9, -87.4]) {
        assert_eq!(x.exp_nonpositive().to_bits(), Real::exp(x).to_bits(), "{x:e}");
        let wide = f64::from(x) * 7.0;
        assert_eq!(wide.exp_nonpositive().to_bits(), Real::exp(wide).to_bits(), "{wide:e}");
        let (narrow, wide) = (x.fused(), wide.fused());
        assert_eq!(narrow.exp_nonpositive().0.to_bits(), narrow.exp().0.to_bits(), "{x:e}, fused");
        assert_eq!(wide.exp_nonpositive().0.to_bits(), wide.exp().0.to_bits(), "{wide:?}");
    }
    assert!(f32::NAN.exp_nonpositive().is_nan() && f64::NAN.exp_nonpositive().is_nan());
}
