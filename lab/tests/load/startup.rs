use crate::support::{Run, arngate, lab};

#[test]
fn a_start_is_measured_with_an_api_server_and_without() {
    let mut command = lab();
    command.args(["startup", "--runs", "1", "--mappings", "5", "-o", "json", "--arngate"]).arg(arngate());
    let figures = Run::of(&command.output().unwrap()).report();
    let at = |server: &str, milestone: &str| figures[server][milestone]["median"].as_f64();
    for server in ["with_api_server", "without_api_server"] {
        let (listening, verdict) = (at(server, "listening").unwrap(), at(server, "verdict").unwrap());
        assert!(0.0 < listening && listening < verdict, "{figures:#}");
    }
    assert!(at("with_api_server", "ready").is_some());
    // The snapshot lets in whom it maps, and nobody is told that it is all.
    assert_eq!(at("without_api_server", "ready"), None);
}
