use std::time::Duration;

use arngate::yaml::{self, Limits, Node, Position};

use super::{
    Ending, Event, Expected, LoadStep, Model, Scenario, ScenarioError, Step,
    fields::{Fields, wrong},
};
use crate::{
    load::{Counts, Mix, Stage},
    sts::{Conditions, Fault, FaultPlan, Latency, RateLimit},
};

const MOST_PRINCIPALS: usize = 1_000_000;
const MOST_MAPPINGS: usize = 140_000;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Scenario {
    /// Reads a scenario's text.
    ///
    /// # Errors
    /// Where it is no YAML, or says what cannot be played.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let start = Position { line: 1, column: 1 };
        let document = yaml::parse(text, Limits::default())?
            .ok_or_else(|| ScenarioError { position: start, message: "it is empty".to_owned() })?;
        let fields = Fields::of(&document, &["name", "cluster", "steps"])?;
        let cluster = fields.node("cluster").ok_or_else(|| fields.wrong("there is no cluster"))?;
        let known = &["nodes", "roles", "users", "strangers", "mappings", "apiservers", "timeout"];
        let cluster = Fields::of(cluster, known)?;
        let count = |key| cluster.parsed::<usize>(key).map(Option::unwrap_or_default);
        let counts = Counts {
            nodes: count("nodes")?,
            roles: count("roles")?,
            sessions: 1,
            users: count("users")?,
            strangers: count("strangers")?,
        };
        let all = [counts.nodes, counts.roles, counts.users, counts.strangers];
        if all.iter().any(|count| *count > MOST_PRINCIPALS) || all.iter().sum::<usize>() == 0 {
            return Err(cluster.wrong("expected at least one principal, and at most a million of a kind"));
        }
        let mappings = mapping_count(cluster)?;
        // All nodes have one.
        let least = counts.nodes.min(1) + counts.roles + counts.users;
        if mappings.is_some_and(|mappings| mappings < least) {
            return Err(cluster.wrong(too_few(least)));
        }
        let step = |node| step(node, mappings.map(|_| least));
        let steps = fields.list("steps")?.iter().map(step).collect::<Result<Vec<_>, _>>()?;
        if steps.is_empty() {
            return Err(fields.wrong("there are no steps"));
        }
        Ok(Self {
            name: fields.text("name")?.unwrap_or("A scenario").to_owned(),
            counts,
            apiservers: cluster.parsed("apiservers")?.unwrap_or(1),
            timeout: cluster.duration("timeout")?.unwrap_or(DEFAULT_TIMEOUT),
            mappings,
            steps,
        })
    }
}

/// A file of 16 MiB, which is the longest that arngate reads, has some 140,000.
fn mapping_count(fields: Fields<'_>) -> Result<Option<usize>, ScenarioError> {
    match fields.parsed("mappings")? {
        Some(count) if !(1..=MOST_MAPPINGS).contains(&count) => {
            Err(fields.wrong(format!("mappings: expected a number from 1 to {MOST_MAPPINGS}")))
        }
        count => Ok(count),
    }
}

fn too_few(least: usize) -> String {
    format!("mappings: expected {least} at least, one for each role and user and one for all nodes")
}

/// There have to be `least` mappings, where they are in a file.
fn step(node: &Node, least: Option<usize>) -> Result<Step, ScenarioError> {
    let fields = Fields::of(node, &["sts", "restart", "mappings", "load", "wait"])?;
    if node.as_mapping().is_none_or(|fields| fields.len() != 1) {
        return Err(fields.wrong("expected one of sts, restart, mappings, load and wait in each step"));
    }
    if let Some(load) = fields.node("load") {
        return Ok(Step::Load(load_step(load, least)?));
    }
    match fields.duration("wait")? {
        Some(duration) => Ok(Step::Wait(duration)),
        None => event(fields, least).map(Step::Event),
    }
}

fn event(fields: Fields<'_>, least: Option<usize>) -> Result<Event, ScenarioError> {
    if let Some(sts) = fields.node("sts") {
        return Ok(Event::Sts(conditions(sts)?));
    }
    if let Some(count) = mapping_count(fields)? {
        return match least {
            None => Err(fields.wrong("say in cluster how many mappings there are at the beginning")),
            Some(least) if count < least => Err(fields.wrong(too_few(least))),
            Some(_) => Ok(Event::Mappings(count)),
        };
    }
    match fields.text("restart")? {
        Some("term") => Ok(Event::Restart(Ending::Term)),
        Some("kill") => Ok(Event::Restart(Ending::Kill)),
        _ => Err(fields.wrong("expected sts: {…}, restart: term, restart: kill or mappings: 1000")),
    }
}

fn conditions(node: &Node) -> Result<Conditions, ScenarioError> {
    let fields = Fields::of(node, &["fault", "for", "share", "latency", "limit", "seed"])?;
    let fault = fields.parsed::<Fault>("fault")?.unwrap_or_default();
    Ok(Conditions {
        plan: FaultPlan { fault, remaining: fields.parsed("for")? },
        share: fields.share("share")?.unwrap_or(1.0),
        latency: fields.parsed::<Latency>("latency")?.unwrap_or_default(),
        limit: fields.parsed::<RateLimit>("limit")?,
        seed: fields.parsed("seed")?.unwrap_or(1),
    })
}

fn load_step(node: &Node, least: Option<usize>) -> Result<LoadStep, ScenarioError> {
    let known = [
        "title",
        "rate",
        "duration",
        "stages",
        "parallel",
        "count",
        "repeat",
        "forged",
        "garbage",
        "seed",
        "meanwhile",
        "expect",
    ];
    let fields = Fields::of(node, &known)?;
    let mix = Mix {
        repeat: fields.share("repeat")?.unwrap_or_default(),
        forged: fields.share("forged")?.unwrap_or_default(),
        garbage: fields.share("garbage")?.unwrap_or_default(),
        pool: None,
        seed: fields.parsed("seed")?.unwrap_or(1),
    };
    mix.check().map_err(|error| fields.wrong(error.to_string()))?;
    let mut meanwhile = Vec::new();
    for node in fields.list("meanwhile")? {
        let fields = Fields::of(node, &["after", "sts", "restart", "mappings"])?;
        let after = fields.duration("after")?.ok_or_else(|| fields.wrong("there is no after: 3s"))?;
        meanwhile.push((after, event(fields, least)?));
    }
    meanwhile.sort_by_key(|(after, _)| *after);
    Ok(LoadStep {
        title: fields.text("title")?.unwrap_or("Load").to_owned(),
        model: model(fields)?,
        mix,
        count: fields.parsed("count")?,
        meanwhile,
        expected: fields.node("expect").map_or(Ok(Expected::default()), expected)?,
    })
}

fn model(fields: Fields<'_>) -> Result<Model, ScenarioError> {
    let duration = fields.duration("duration")?;
    let mut stages = Vec::new();
    for node in fields.list("stages")? {
        let text = node.as_str().ok_or_else(|| wrong(node, "expected a stage, such as 0:500:30s"))?;
        stages.push(text.parse::<Stage>().map_err(|error| wrong(node, format!("{text:?}: {error}")))?);
    }
    match (fields.parsed::<f64>("rate")?, fields.parsed::<usize>("parallel")?, duration) {
        (None, None, None) if !stages.is_empty() => Ok(Model::Open(stages)),
        (Some(rate), None, Some(lasting)) if stages.is_empty() && rate > 0.0 && rate <= 1e6 => {
            Ok(Model::Open(vec![Stage { from: rate, to: rate, lasting }]))
        }
        (None, Some(parallel), Some(lasting)) if stages.is_empty() && (1..=100_000).contains(&parallel) => {
            Ok(Model::Closed(parallel, lasting))
        }
        _ => Err(fields.wrong("expected rate and duration, parallel and duration, or stages")),
    }
}

fn expected(node: &Node) -> Result<Expected, ScenarioError> {
    let fields = Fields::of(node, &["failures", "p99", "sts-calls-per-100"])?;
    Ok(Expected {
        failures: fields.share("failures")?,
        p99: fields.duration("p99")?,
        sts_calls_per_100: fields.parsed("sts-calls-per-100")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
name: Everything
cluster: {nodes: 100, roles: 10, users: 10, mappings: 1000, apiservers: 3, timeout: 5s}
steps:
- sts: {latency: 'lognormal=20ms,0.5', limit: 100/s}
- load:
    title: quiet
    rate: 20
    duration: 10s
    repeat: 0.9
    expect: {failures: 0, p99: 1s, sts-calls-per-100: 20}
- restart: term
- wait: 2s
- load:
    stages: ['0:100:5s', '100:5s']
    count: 600
    meanwhile:
    - {after: 4s, restart: kill}
    - {after: 2s, sts: {fault: status=503, share: 0.5}}
    - {after: 3s, mappings: 500}
- load: {parallel: 8, duration: 1s, garbage: 1}
";

    #[test]
    fn everything_is_read() {
        let scenario = Scenario::parse(TEXT).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.apiservers), ("Everything", 3));
        assert_eq!(scenario.timeout, Duration::from_secs(5));
        assert_eq!(scenario.steps.len(), 6);
        let [
            _,
            Step::Load(quiet),
            Step::Event(restart),
            Step::Wait(wait),
            Step::Load(restarted),
            Step::Load(closed),
        ] = &scenario.steps[..]
        else {
            panic!("{:?}", scenario.steps)
        };
        assert_eq!(quiet.expected.sts_calls_per_100, Some(20.0));
        assert_eq!((restart, wait), (&Event::Restart(Ending::Term), &Duration::from_secs(2)));
        assert!(matches!(restarted.meanwhile[0].1, Event::Sts(_)), "in the order of time");
        assert_eq!(restarted.meanwhile[1], (Duration::from_secs(3), Event::Mappings(500)));
        assert_eq!(restarted.meanwhile[2], (Duration::from_secs(4), Event::Restart(Ending::Kill)));
        assert_eq!(scenario.mappings, Some(1000));
        assert_eq!(closed.model, Model::Closed(8, Duration::from_secs(1)));
    }

    #[test]
    fn a_small_scale_keeps_the_shape() {
        let scenario = Scenario::parse(TEXT).unwrap().scaled(0.1, 5.0);
        assert_eq!((scenario.counts.nodes, scenario.counts.roles), (10, 1));
        let Step::Event(Event::Sts(conditions)) = &scenario.steps[0] else { panic!() };
        assert_eq!(conditions.limit, Some("10/s".parse().unwrap()));
        let Step::Load(quiet) = &scenario.steps[1] else { panic!() };
        let stage = Stage { from: 2.0, to: 2.0, lasting: Duration::from_secs(2) };
        assert_eq!(quiet.model, Model::Open(vec![stage]));
        let Step::Load(restarted) = &scenario.steps[4] else { panic!() };
        // 60 requests have to come in a fifth of the time.
        assert_eq!(restarted.count, Some(60));
        let Model::Open(stages) = &restarted.model else { panic!() };
        assert!((stages[1].to - 50.0).abs() < 1e-9);
        assert_eq!(restarted.meanwhile[1], (Duration::from_millis(600), Event::Mappings(50)));
        assert_eq!((restarted.meanwhile[2].0, scenario.mappings), (Duration::from_millis(800), Some(100)));
    }

    #[test]
    fn the_examples_can_be_played() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 2);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (from, to, message) in [
            ("rate: 20", "rte: 20", "line 8, column 5: \"rte\" is not known here"),
            ("rate: 20", "rate: x", "line 8"),
            ("limit: 100/s", "limit: lots", "limit: \"lots\": expected requests a second"),
            ("restart: term", "restart: softly", "restart: term, restart: kill or mappings: 1000"),
            ("repeat: 0.9", "repeat: 9", "repeat: expected a number from 0 to 1"),
            ("'100:5s'", "'100'", "\"100\": expected FROM:TO:DURATION"),
            ("    duration: 10s\n", "", "expected rate and duration"),
            ("- wait: 2s", "- {wait: 2s, restart: term}", "one of sts, restart, mappings, load and wait"),
            ("nodes: 100, roles: 10, users: 10, ", "", "at least one principal"),
            ("after: 4s, ", "", "there is no after"),
            ("mappings: 500", "mappings: 0", "mappings: expected a number from 1 to"),
            ("mappings: 1000, ", "", "say in cluster how many"),
            ("mappings: 1000", "mappings: 20", "mappings: expected 21 at least"),
            ("mappings: 500", "mappings: 20", "mappings: expected 21 at least"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = Scenario::parse(&TEXT.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}\nwanted {message}");
        }
        assert!(Scenario::parse("").is_err());
    }
}
