use std::time::Duration;

use arngate_lab::{
    control_plane::{ControlPlane, Webhook, WebhookVersion},
    load::{Counts, Population},
    servers::{Limits, Server, Settings},
    sts::Emulator,
};

use crate::support::{arngate, count, load};

#[tokio::test]
async fn a_kube_apiserver_is_loaded_and_asks_the_webhook() {
    let population = Population::generated(Counts { roles: 4, strangers: 1, ..Counts::default() });
    let any = "127.0.0.1:0".parse().unwrap();
    let builder = Emulator::builder().principals(population.table().clone()).admin(any);
    let emulator = builder.start().await.unwrap();
    let mappings = population.mappings("  ");
    let program = tokio::task::spawn_blocking(arngate).await.unwrap();
    let settings = Settings {
        program: &program,
        cluster_id: "lab",
        mappings: &mappings,
        sts: &emulator,
        limits: Limits::Off,
    };
    let server = Server::arngate(&settings).await.unwrap();
    let webhook =
        Webhook { kubeconfig: server.kubeconfig(), version: WebhookVersion::V1, cache_ttl: Duration::ZERO };
    let control_plane = ControlPlane::builder().webhook(webhook).start().await.unwrap();

    // The administrator's certificate in it would be who the API server sees, were it used.
    let (kubeconfig, metrics) =
        (control_plane.admin_kubeconfig(), format!("http://{}", emulator.admin_address().unwrap()));
    let args = [
        "--apiserver-kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--roles",
        "4",
        "--strangers",
        "1",
        "--sts-metrics",
        &metrics,
        "--parallel",
        "2",
        "--count",
        "20",
    ];
    let report = load(&args).await.report();
    assert_eq!((count(&report, "authenticated"), count(&report, "refused")), (16, 4), "{report:#}");
    assert_eq!(emulator.access_keys_seen(), 5);
    control_plane.stop().await;
}
