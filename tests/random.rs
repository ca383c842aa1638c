//! The random streams are PyTorch's, bit for bit: replays `data/random.json`, which `data/record_random.py` recorded from torch 2.13.

use arcgrad::array::random::{Element, Float, Generator, Number, RandomError, STATE_BYTES, StateError};
use serde_json::Value;

fn recorded() -> Value {
    serde_json::from_str(include_str!("data/random.json")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn fnv1a(data: &[u8]) -> String {
    let digest = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |digest, &byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{digest:016x}")
}

/// Elements as the recorder writes them.
trait Bytes: Default + Copy {
    fn bytes(values: &[Self]) -> Vec<u8>;
    fn values(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! bytes {
    ($($dtype:ty)*) => {$(
        impl Bytes for $dtype {
            fn bytes(values: &[Self]) -> Vec<u8> {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
            fn values(bytes: &[u8]) -> Vec<Self> {
                bytes
                    .chunks_exact(size_of::<Self>())
                    .map(|chunk| Self::from_le_bytes(chunk.try_into().unwrap()))
                    .collect()
            }
        }
    )*};
}

bytes!(f32 f64 u8 i8 i16 i32 i64);

impl Bytes for bool {
    fn bytes(values: &[Self]) -> Vec<u8> {
        values.iter().map(|&value| u8::from(value)).collect()
    }
    fn values(bytes: &[u8]) -> Vec<Self> {
        bytes.iter().map(|&byte| byte != 0).collect()
    }
}

/// One recorded call, to be repeated.
struct Call<'a> {
    op: &'a str,
    size: usize,
    parameters: &'a [Value],
}

impl Call<'_> {
    fn real(&self, at: usize) -> f64 {
        self.parameters[at].as_f64().unwrap()
    }

    fn integer(&self, at: usize) -> i64 {
        self.parameters[at].as_str().unwrap().parse().unwrap()
    }

    fn any<T: Element + Bytes>(&self, generator: &mut Generator) -> Option<Vec<u8>> {
        let mut out = vec![T::default(); self.size];
        match self.op {
            "bernoulli" => generator.bernoulli(&mut out, self.real(0)).unwrap(),
            "random" => generator.random_full_range(&mut out),
            "randint" => generator.randint(&mut out, self.integer(0), self.integer(1)).unwrap(),
            _ => return None,
        }
        Some(T::bytes(&out))
    }

    fn number<T: Number + Bytes>(&self, generator: &mut Generator) -> Option<Vec<u8>> {
        if self.op != "geometric" {
            return self.any::<T>(generator);
        }
        let mut out = vec![T::default(); self.size];
        generator.geometric(&mut out, self.real(0)).unwrap();
        Some(T::bytes(&out))
    }

    fn float<T: Float + Bytes>(&self, generator: &mut Generator) -> Option<Vec<u8>> {
        let mut out = vec![T::default(); self.size];
        match self.op {
            "uniform" => generator.uniform(&mut out, self.real(0), self.real(1)).unwrap(),
            "normal" => generator.normal(&mut out, self.real(0), self.real(1)).unwrap(),
            "normal_pairs" => generator.normal_pairs(&mut out, self.real(0), self.real(1)).unwrap(),
            "exponential" => generator.exponential(&mut out, self.real(0)).unwrap(),
            "cauchy" => generator.cauchy(&mut out, self.real(0), self.real(1)).unwrap(),
            "log_normal" => generator.log_normal(&mut out, self.real(0), self.real(1)).unwrap(),
            "bernoulli_each" => {
                let p = T::values(&unhex(self.parameters[0].as_str().unwrap()));
                generator.bernoulli_each(&mut out, &p).unwrap();
            }
            "multinomial" => {
                let weights = T::values(&unhex(self.parameters[0].as_str().unwrap()));
                let [categories, samples] = [1, 2].map(|at| self.parameters[at].as_u64().unwrap() as usize);
                let replacement = self.parameters[3].as_bool().unwrap();
                let mut out = vec![0; self.size];
                generator.multinomial(&weights, categories, samples, replacement, &mut out).unwrap();
                return Some(i64::bytes(&out));
            }
            _ => return self.number::<T>(generator),
        }
        Some(T::bytes(&out))
    }

    fn repeat(&self, dtype: &str, generator: &mut Generator) -> Vec<u8> {
        if self.op == "randperm" {
            return i64::bytes(&generator.randperm(self.size));
        }
        match dtype {
            "float32" => self.float::<f32>(generator),
            "float64" => self.float::<f64>(generator),
            "uint8" => self.number::<u8>(generator),
            "int8" => self.number::<i8>(generator),
            "int16" => self.number::<i16>(generator),
            "int32" => self.number::<i32>(generator),
            "int64" => self.number::<i64>(generator),
            "bool" => self.any::<bool>(generator),
            _ => None,
        }
        .unwrap_or_else(|| panic!("the test knows no {} of {dtype}", self.op))
    }
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "double precision samples take their last bit from glibc"
)]
fn streams_are_those_of_torch() {
    let data = recorded();
    let mut calls = 0;
    for script in data["scripts"].as_array().unwrap() {
        let seed = script["seed"].as_str().unwrap();
        let mut generator = Generator::new(seed.parse().unwrap());
        for (at, call) in script["calls"].as_array().unwrap().iter().enumerate() {
            let [op, dtype, size, parameters, answer] = call.as_array().unwrap().as_slice() else {
                panic!("a call has five parts");
            };
            let (dtype, answer) = (dtype.as_str().unwrap(), answer.as_str().unwrap());
            let call = Call {
                op: op.as_str().unwrap(),
                size: size.as_u64().unwrap() as usize,
                parameters: parameters.as_array().unwrap(),
            };
            let ours = call.repeat(dtype, &mut generator);
            let label = || format!("call {at} after seed {seed}: {} of {} {dtype}", call.op, call.size);
            match answer.strip_prefix("hash ") {
                Some(hash) => assert_eq!(fnv1a(&ours), hash, "{}", label()),
                None => assert_eq!(ours, unhex(answer), "{}", label()),
            }
            calls += 1;
        }
        let state = generator.get_state();
        assert_eq!(fnv1a(&state), script["state_hash"].as_str().unwrap(), "the state after seed {seed}");
        let cached = i32::from_le_bytes(state[5040..5044].try_into().unwrap()) != 0;
        assert_eq!(cached, script["normal_is_cached"].as_bool().unwrap());
    }
    assert!(calls > 400, "only {calls} calls were recorded");
}

#[test]
fn state_of_torch_is_read_and_written_back() {
    let data = recorded();
    let saved = &data["saved_state"];
    let state = unhex(saved["bytes"].as_str().unwrap());
    let mut generator = Generator::default();
    generator.set_state(&state).unwrap();
    assert_eq!(generator.initial_seed(), 11);
    assert_eq!(generator.get_state(), state);
    // The cached sample, which takes nothing from the stream, and then the stream.
    let (mut normal, mut uniform) = ([0.0_f64], [0.0_f32; 5]);
    generator.normal(&mut normal, 0.0, 1.0).unwrap();
    generator.uniform(&mut uniform, 0.0, 1.0).unwrap();
    assert_eq!(f64::bytes(&normal), unhex(saved["normal_after"].as_str().unwrap()));
    assert_eq!(f32::bytes(&uniform), unhex(saved["uniform_after"].as_str().unwrap()));
}

#[test]
fn state_continues_the_stream_from_any_place_in_a_block() {
    let mut generator = Generator::new(5);
    for draws in 0..1300 {
        let mut restored = Generator::new(99);
        restored.set_state(&generator.get_state()).unwrap();
        let mut copy = generator.clone();
        assert_eq!(restored.random64(), copy.random64(), "after {draws} draws");
        generator.random();
    }
}

#[test]
fn bulk_draws_are_single_draws() {
    for offset in [0, 1, 2, 621, 622, 623, 624] {
        let mut bulk = Generator::new(17);
        for _ in 0..offset {
            bulk.random();
        }
        let mut single = bulk.clone();
        let mut filled = vec![0_i64; 1500];
        bulk.randint(&mut filled, 0, 1 << 62).unwrap();
        for value in filled {
            assert_eq!(value as u64, single.random64() % (1 << 62));
        }
        assert_eq!(bulk.get_state(), single.get_state());
    }
}

#[test]
fn refused_state_changes_nothing() {
    let mut generator = Generator::new(5);
    generator.random();
    let before = generator.get_state();
    assert_eq!(generator.set_state(&before[1..]), Err(StateError::Length { found: STATE_BYTES - 1 }));
    let spoilt = |at: usize, value: u8| {
        let mut state = before.clone();
        state[at] = value;
        state
    };
    // The counters are 624 draws left and word 1 next. None left; a next word that disagrees; never seeded; a next word past
    // the block.
    let mut none_left = spoilt(8, 0);
    none_left[9] = 0;
    for state in [none_left, spoilt(16, 7), spoilt(12, 0), spoilt(17, 255)] {
        assert_eq!(generator.set_state(&state), Err(StateError::Invalid));
        assert_eq!(generator.get_state(), before);
    }
}

#[test]
fn manual_seed_forgets_the_cached_sample() {
    let mut generator = Generator::new(3);
    generator.normal(&mut [0.0_f64], 0.0, 1.0).unwrap();
    generator.manual_seed(3);
    assert_eq!(generator.get_state(), Generator::new(3).get_state());
}

#[test]
fn seeds_from_entropy_differ_and_fit_a_double() {
    let mut generator = Generator::from_entropy();
    let first = generator.initial_seed();
    let second = generator.seed();
    assert_ne!(first, second);
    assert_eq!(second, generator.initial_seed());
    assert!(first < 1 << 53 && second < 1 << 53);
}

#[test]
fn refused_distributions_draw_nothing_and_say_why() {
    let mut generator = Generator::new(0);
    let before = generator.get_state();
    let (mut x, mut y, mut bytes, mut indices) = ([0.0_f32; 3], [0.0_f64; 3], [0_u8; 3], [0_i64; 3]);
    let nan = f64::NAN;
    let weights = |row: [f32; 2], samples, replacement, g: &mut Generator, out: &mut [i64]| {
        g.multinomial(&row, 2, samples, replacement, &mut out[..samples]).unwrap_err()
    };
    let g = &mut generator;
    let refusals: Vec<(RandomError, &str)> = vec![
        (
            g.uniform(&mut x, 1.0, 0.0).unwrap_err(),
            "uniform_ expects to return a [from, to) range, but found from=1 > to=0",
        ),
        (g.uniform(&mut x, 0.0, 1e39).unwrap_err(), "to is out of bounds for float"),
        (g.uniform(&mut y, nan, 1.0).unwrap_err(), "from is out of bounds for double"),
        (
            g.uniform(&mut x, -3e38, 3e38).unwrap_err(),
            "uniform_ expects to-from <= std::numeric_limits<Float>::max(), but found to=3e+38 and from=-3e+38 which result \
             in to-from to exceed the limit",
        ),
        (g.normal(&mut x, 0.0, -1.5).unwrap_err(), "normal expects std >= 0.0, but found std -1.5"),
        (g.normal(&mut x, 0.0, nan).unwrap_err(), "normal expects std >= 0.0, but found std nan"),
        (g.exponential(&mut x, 0.0).unwrap_err(), "exponential_ expects lambda > 0.0, but found lambda=0"),
        (g.cauchy(&mut x, 0.0, -1.0).unwrap_err(), "cauchy_ expects sigma > 0.0, but found sigma=-1"),
        (g.log_normal(&mut x, 0.0, 0.0).unwrap_err(), "log_normal_ expects std > 0.0, but found std=0"),
        (g.geometric(&mut x, 1.0).unwrap_err(), "geometric_ expects p to be in (0, 1), but got p=1"),
        (g.bernoulli(&mut x, 1.5).unwrap_err(), "bernoulli_ expects p to be in [0, 1], but got p=1.5"),
        (
            g.randint(&mut indices, 5, 5).unwrap_err(),
            "random_ expects 'from' to be less than 'to', but got from=5 >= to=5",
        ),
        (g.randint(&mut bytes, 0, 300).unwrap_err(), "to - 1 is out of bounds for unsigned char"),
        (g.randint(&mut bytes, -1, 3).unwrap_err(), "from is out of bounds for unsigned char"),
        (
            weights([1.0, -1.0], 1, false, g, &mut indices),
            "probability tensor contains either `inf`, `nan` or element < 0",
        ),
        (
            weights([1.0, -1.0], 3, true, g, &mut indices),
            "invalid multinomial distribution (encountering probability entry < 0)",
        ),
        (
            weights([1.0, f32::INFINITY], 3, true, g, &mut indices),
            "invalid multinomial distribution (encountering probability entry = infinity or NaN)",
        ),
        (
            weights([0.0, 0.0], 2, false, g, &mut indices),
            "invalid multinomial distribution (sum of probabilities <= 0)",
        ),
        (
            weights([0.0, 0.0], 2, true, g, &mut indices),
            "invalid multinomial distribution (sum of probabilities <= 0)",
        ),
        (
            weights([1.0, 1.0], 3, false, g, &mut indices),
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement",
        ),
        (weights([1.0, 1.0], 0, false, g, &mut indices), "cannot sample n_sample <= 0 samples"),
    ];
    for (refusal, sentence) in refusals {
        assert_eq!(refusal.to_string(), sentence);
    }
    assert!(matches!(
        generator.bernoulli_each(&mut bytes, &[0.0, f32::NAN, 1.0]),
        Err(RandomError::EachProbability { .. })
    ));
    assert_eq!(generator.get_state(), before);
}
