//! The house keeps its order: layers look down only, the core knows no Python, every file says what lives there.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "nothing under {folder}: the test would say nothing");
    found
}

/// The code of a file, without comments and doc examples.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Files under `folder` that name one of the given modules of this crate.
fn naming(folder: &str, modules: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in files(folder, "rs") {
        let code = code(&path);
        for module in modules {
            for way in
                [format!("crate::{module}::"), format!("crate::{module};"), format!("crate::{{{module}")]
            {
                if code.contains(&way) {
                    wrong.push(format!("{} names {module}", path.display()));
                }
            }
        }
    }
    wrong
}

#[test]
fn numbers_know_no_gradients() {
    let wrong = naming("src/array", &["graph", "ops", "engine", "gradcheck"]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_graph_knows_no_op_and_no_engine() {
    let wrong = naming("src/graph", &["ops", "engine", "gradcheck"]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_engine_knows_no_op_and_the_ops_know_no_engine() {
    let mut wrong = naming("src/engine", &["ops", "gradcheck"]);
    wrong.extend(naming("src/ops", &["engine"]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_derivative_is_fast_behind_the_back_of_forward_mode() {
    // A derivative that asks only whether gradients are recorded takes its fast way while tangents are to be propagated.
    // These ask about histories alone.
    let of_histories = ["nn/mod.rs", "random.rs"];
    for path in files("src/ops", "rs") {
        let excused = of_histories.iter().any(|end| path.ends_with(end));
        assert!(
            excused || !code(&path).contains("is_grad_enabled"),
            "{} asks for the grad mode; whether anybody differentiates is graph::forward::is_watched()",
            path.display()
        );
    }
}

#[test]
fn only_the_binding_names_python() {
    for path in files("src", "rs") {
        assert!(!code(&path).contains("pyo3"), "{} names pyo3", path.display());
    }
}

#[test]
fn every_file_opens_with_what_lives_there() {
    for folder in ["src", "python/src", "tests", "benches", "examples"] {
        for path in files(folder, "rs") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} does not open with a `//!` line", path.display());
        }
    }
}

#[test]
fn every_note_that_is_cited_is_written() {
    let mut notes = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/engine.md")).unwrap();
    let mut cited = Vec::new();
    for path in [files("src", "rs"), files("python/src", "rs")].concat() {
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("Note [").skip(1) {
            let name = part.split(']').next().unwrap().to_owned();
            // The place of a note is where its name is followed by a colon.
            if part[name.len()..].starts_with("]:") {
                notes.push_str(&name);
            }
            cited.push((path.clone(), name));
        }
    }
    assert!(!cited.is_empty());
    for (path, name) in cited {
        assert!(notes.contains(&name), "{} cites Note [{name}], which nobody wrote", path.display());
    }
}
