//! That docs/security.md speaks of tests that there are, and that no crate here has unsafe code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn words_in_backticks(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split('`').skip(1).step_by(2).filter(is_name)
}

/// The last cells of the tables' rows below a heading `shown by`, and what stands behind "fuzz target".
fn cells(page: &str) -> Vec<&str> {
    let mut is_threat = false;
    let mut cells = Vec::new();
    for line in page.lines() {
        let Some(row) = line.strip_prefix('|') else {
            is_threat = false;
            continue;
        };
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        if is_threat && !last.starts_with("---") {
            cells.push(last);
        }
        is_threat |= last.trim() == "shown by";
    }
    cells
}

#[test]
fn each_test_and_fuzz_target_that_the_page_names_exists() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let folders = ["src", "tests", "lab/src", "lab/tests"].map(|folder| root().join(folder));
    let sources: String = folders
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let cells = cells(&page);
    assert!(cells.len() > 30, "{} threats", cells.len());
    let mut missing = BTreeSet::new();
    for cell in cells {
        let (tests, targets) = cell.split_once("fuzz target").unwrap_or((cell, ""));
        assert!(
            words_in_backticks(cell).next().is_some() || cell.contains("all fuzz targets"),
            "nothing shows {cell}"
        );
        let is_no_test = |name: &&str| !sources.contains(&format!("fn {name}("));
        missing.extend(words_in_backticks(tests).filter(is_no_test));
        let is_no_target = |name: &&str| !root().join(format!("fuzz/fuzz_targets/{name}.rs")).exists();
        missing.extend(words_in_backticks(targets).filter(is_no_target));
    }
    let no_crate_here_has_unsafe_code = sources.contains("fn no_crate_here_has_unsafe_code(");
    assert!(missing.is_empty() && no_crate_here_has_unsafe_code, "no such test or target: {missing:?}");
}

#[test]
fn each_fuzz_target_has_a_property_and_a_corpus_and_is_on_the_page() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let targets = rust_files(&root().join("fuzz/fuzz_targets"));
    assert!(targets.len() >= 9, "{targets:?}");
    for target in targets {
        let name = target.file_stem().unwrap().to_str().unwrap();
        let module = fs::read_to_string(root().join(format!("fuzz/src/{name}.rs"))).unwrap();
        assert!(module.contains("**Property.**"), "{name} says no property");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/security.md");
        let corpus = fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap().count();
        assert!((8..=99).contains(&corpus), "the corpus of {name} has {corpus} files");
    }
}

/// What macros of other crates expand to is theirs: of fuzz/ libFuzzer's.
#[test]
fn no_crate_here_has_unsafe_code() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    for crate_root in ["src/lib.rs", "lab/src/lib.rs", "fuzz/src/lib.rs"] {
        assert!(read(crate_root).contains("#![forbid(unsafe_code)]"), "{crate_root}");
    }
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for manifest in ["Cargo.toml", "lab/Cargo.toml"] {
        assert!(read(manifest).contains("[lints]\nworkspace = true"), "{manifest} has lints of its own");
    }
    let folders = ["src", "tests", "benches", "lab/src", "lab/tests", "fuzz/src", "fuzz/fuzz_targets"];
    let word = ["un", "safe "].concat();
    for file in folders.iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let text = fs::read_to_string(&file).unwrap();
        let has = |keyword: &str| text.contains(&format!("{word}{keyword}"));
        let found = ["{", "fn", "impl", "extern", "trait"].into_iter().find(|keyword| has(keyword));
        assert_eq!(found, None, "{}", file.display());
    }
}
