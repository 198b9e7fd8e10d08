use arngate_lab::{
    load::{Counts, Population},
    servers::{Limits, Server, Settings},
    sts::Emulator,
};

use crate::support::{arngate, load};

/// An emulator with an admin endpoint, and its URL.
async fn emulator(population: &Population) -> (Emulator, String) {
    let any = "127.0.0.1:0".parse().unwrap();
    let builder = Emulator::builder().principals(population.table().clone()).admin(any);
    let emulator = builder.start().await.unwrap();
    let admin = format!("http://{}", emulator.admin_address().unwrap());
    (emulator, admin)
}

#[tokio::test]
async fn a_webhook_whose_sts_may_be_awss_is_not_loaded() {
    let population = Population::generated(Counts { roles: 3, ..Counts::default() });
    let (theirs, _) = emulator(&population).await;
    let (other, other_admin) = emulator(&population).await;
    let mappings = population.mappings("  ");
    let program = tokio::task::spawn_blocking(arngate).await.unwrap();
    let settings = Settings {
        program: &program,
        cluster_id: "lab",
        mappings: &mappings,
        sts: &theirs,
        limits: Limits::Off,
    };
    let server = Server::arngate(&settings).await.unwrap();
    let kubeconfig = server.kubeconfig();
    let target = ["--webhook-kubeconfig", kubeconfig.to_str().unwrap(), "--roles", "3", "--count", "10"];

    // Nobody says where its STS is: nothing is sent.
    let run = load(&target).await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("--i-know-this-calls-aws") && run.stderr.contains("--with-sts"),
        "{}",
        run.stderr
    );
    assert_eq!(theirs.calls(), 0);

    // It is said to be one that the webhook does not ask: that is found out with one token.
    let run = load(&[&target[..], &["--sts-metrics", &other_admin]].concat()).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("the emulator was not asked"), "{}", run.stderr);
    assert_eq!((theirs.calls(), other.calls()), (1, 0));

    // What never reaches STS may be sent, and so may the rest where that is meant.
    assert_eq!(load(&[&target[..], &["--garbage", "1"]].concat()).await.code, Some(0));
    assert_eq!(theirs.calls(), 1);
    assert_eq!(load(&[&target[..], &["--i-know-this-calls-aws"]].concat()).await.code, Some(0));
    assert!(theirs.calls() > 1);
}

#[tokio::test]
async fn sts_and_other_machines_are_no_targets() {
    let cases: [(&[&str], &str); 3] = [
        (
            &["--webhook", "https://sts.us-east-1.amazonaws.com/", "--i-know-this-calls-aws"],
            "a host of AWS STS",
        ),
        (&["--apiserver", "https://sts.amazonaws.com/", "--allow-remote"], "a host of AWS STS"),
        // An address of documentation (RFC 5737), to which nothing is sent.
        (&["--webhook", "https://192.0.2.1/authenticate"], "--allow-remote"),
    ];
    for (args, words) in cases {
        let run = load(args).await;
        assert_eq!(run.code, Some(1), "{args:?}");
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
}
