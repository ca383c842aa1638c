//! Counts the instructions of the small-op path, and fails when one has risen above what is recorded.
//!
//! Seconds waver with whatever else a machine does; instructions do not. Each work runs under callgrind in two lengths,
//! whose difference is the cost of the work alone. Callgrind shows programs a processor with AVX2, whatever it runs on.
//!
//! `cargo bench --bench instructions` compares with `benches/instructions.tsv`; with `-- --record` it writes that file.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::{env, fs, hint};

use arcgrad::engine::{Host, Options, Schedule, root};
use arcgrad::{DType, Tensor, ops};

/// How far above the recorded count a work may be, in parts of it.
const ROOM: f64 = 0.03;
/// Repetitions of the shorter run: what happens only once is over by then.
const SHORT: usize = 200;
/// Further repetitions of the longer run.
const MORE: usize = 1000;

/// A work's name, what it is made of, and one repetition of it.
struct Work {
    name: &'static str,
    run: fn(&Tensor, &Tensor),
    recorded: bool,
}

const WORKS: &[Work] = &[
    Work { name: "a + b", run: |a, b| drop(hint::black_box(ops::add(a, b))), recorded: false },
    Work { name: "a * 2", run: |a, _| drop(hint::black_box(ops::mul(a, 2.0))), recorded: false },
    Work { name: "a * b with gradient", run: |a, b| drop(hint::black_box(ops::mul(a, b))), recorded: true },
    Work {
        name: "view with gradient",
        run: |a, _| drop(hint::black_box(ops::view(a, &[2, 2]))),
        recorded: true,
    },
    Work { name: "chain of ten and its backward", run: chain_and_backward, recorded: true },
];

fn chain_and_backward(a: &Tensor, b: &Tensor) {
    let mut y = a.clone();
    for _ in 0..10 {
        y = ops::mul(&y, b).expect("a product");
    }
    let root = root(&y, 0, Some(&b.detach())).expect("a history");
    let host = Host { schedule: Schedule::Inline, ..Host::default() };
    let leaf = a.gradient_edge().expect("a leaf");
    hint::black_box(host.grad(vec![root], &[leaf], Options::default()).expect("a gradient"));
}

/// Runs a work so many times: what callgrind counts.
fn repeat(work: &Work, times: usize) {
    let operand = || {
        let x = Tensor::full(&[4], 0.5, DType::F32).and_then(|x| x.requires_grad_(work.recorded));
        x.expect("an operand")
    };
    let (a, b) = (operand(), operand());
    for _ in 0..times {
        (work.run)(&a, &b);
    }
}

/// The instructions of this program when it repeats a work so many times.
fn instructions(index: usize, times: usize) -> Result<u64, String> {
    let this = env::current_exe().map_err(|e| e.to_string())?;
    let finished = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--repeat", &index.to_string(), &times.to_string()])
        .output()
        .map_err(|e| format!("valgrind cannot be run ({e}); it is in the package of that name"))?;
    let said = String::from_utf8_lossy(&finished.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.filter(|_| finished.status.success()).ok_or_else(|| format!("callgrind counted nothing:\n{said}"))
}

/// Instructions of one repetition of each work.
fn measured() -> Result<Vec<f64>, String> {
    (0..WORKS.len())
        .map(|index| {
            let (short, long) = (instructions(index, SHORT)?, instructions(index, SHORT + MORE)?);
            Ok((long - short) as f64 / MORE as f64)
        })
        .collect()
}

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.tsv");

/// What is recorded: names and counts.
fn recorded() -> Result<Vec<(String, f64)>, String> {
    let text = fs::read_to_string(RECORD).map_err(|e| format!("{RECORD}: {e}"))?;
    let line = |line: &str| {
        let (name, count) = line.split_once('\t')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| line(l).ok_or_else(|| format!("not a name and a count: {l}"))).collect()
}

fn record(counts: &[f64]) -> Result<(), String> {
    let mut text = "# Instructions of one repetition; written by `make record-instructions`.\n".to_owned();
    for (work, count) in WORKS.iter().zip(counts) {
        let _ = writeln!(text, "{}\t{count:.1}", work.name);
    }
    fs::write(RECORD, text).map_err(|e| format!("{RECORD}: {e}"))
}

fn compare(counts: &[f64]) -> Result<(), String> {
    let known = recorded()?;
    let mut complaints = String::new();
    for (work, &count) in WORKS.iter().zip(counts) {
        let Some((_, before)) = known.iter().find(|(name, _)| name == work.name) else {
            let _ = writeln!(complaints, "{}: nothing is recorded", work.name);
            continue;
        };
        let change = count / before - 1.0;
        println!("{:32} {count:9.1} instructions, {:+.1} % of {before:.1}", work.name, 100.0 * change);
        if change > ROOM {
            let _ = writeln!(complaints, "{}: {count:.1} instructions, recorded are {before:.1}", work.name);
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!("{complaints}If this is meant, `make record-instructions` and say why in the commit."))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, index, times] = &arguments[..]
        && flag == "--repeat"
    {
        let (index, times): (usize, usize) =
            (index.parse().expect("a work"), times.parse().expect("a count"));
        repeat(&WORKS[index], times);
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().any(|a| a == "--record");
    match measured().and_then(|counts| if wanted { record(&counts) } else { compare(&counts) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}
