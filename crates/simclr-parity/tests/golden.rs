//! The recorded cases that travel with the project, all of them, on every run of the tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use simclr_testkit::golden_cases;

fn golden() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

#[test]
fn every_shipped_case_matches_the_original() {
    let mut problems = Vec::new();
    for case in golden_cases(golden()).unwrap() {
        match simclr_parity::check(&case) {
            None => problems.push(format!("{}/{}: unknown kind", case.kind, case.name)),
            Some(Err(error)) => problems.push(format!("{}/{}: {error}", case.kind, case.name)),
            Some(Ok(report)) if !report.passed() => problems.push(format!(
                "{}/{}: {:?}",
                case.kind,
                case.name,
                report.failures().collect::<Vec<_>>()
            )),
            Some(Ok(_)) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_kind_that_can_be_judged_is_shipped() {
    let cases = golden_cases(golden()).unwrap();
    for kind in simclr_parity::kinds() {
        assert!(
            cases.iter().any(|case| case.kind == kind),
            "no case of kind {kind}"
        );
    }
}
