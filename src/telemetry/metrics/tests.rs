use super::*;
use crate::ec2::{Failure, Lookup};

/// The library panics where a figure is given more or fewer labels than it was made with.
#[test]
fn every_figure_takes_the_labels_that_it_is_given() {
    let metrics = Metrics::new();
    metrics.malformed_request(Duration::ZERO);
    metrics.dynamic_latency("DynamicFile", Duration::ZERO);
    metrics.crd_watch_failure();
    metrics.crd_status_write(StatusWrite::Written);
    metrics.ec2_failure(Failure::ServerError(503));
    metrics.ec2_lookup(Lookup::KnownUnknown);
    metrics.ec2_names(7);
    metrics.connections(2);
    metrics.uncertified_request(Duration::ZERO);
    metrics.connection_closed(Closed::NoRoom);
    metrics.certificate_expiry(CertificateKind::Serving, Some("1970-01-01T00:02:00Z".parse().unwrap()));
    metrics.certificate_expiry(CertificateKind::Client, None);
    metrics.certificate_loaded();
    metrics.certificate_load_failed();
    metrics.backend_waiting(BackendMode::EksConfigMap);
    metrics.backend_loaded(BackendMode::EksConfigMap, 3, 2, 1);
    metrics.snapshot_in_force(BackendMode::EksConfigMap, &Snapshot::empty(), Timestamp::UNIX_EPOCH);
    metrics.restored(BackendMode::EksConfigMap, true);
    metrics.admission_review(Verdict::Refused);
    metrics.snapshot_kept(BackendMode::EksConfigMap, "1970-01-01T00:01:00Z".parse().unwrap());
    let text = String::from_utf8(metrics.render(Timestamp::UNIX_EPOCH).unwrap().0).unwrap();
    for line in [
        r#"aws_iam_authenticator_decisions_total{outcome="refused",reason="malformed_request"} 1"#,
        r#"aws_iam_authenticator_authenticate_latency_seconds_count{result="malformed_request"} 2"#,
        r#"aws_iam_authenticator_dynamic_e2e_latency_seconds_count{type="DynamicFile"} 1"#,
        "aws_iam_authenticator_crd_watch_failures_total 1",
        r#"aws_iam_authenticator_crd_status_writes_total{result="written"} 1"#,
        r#"aws_iam_authenticator_ec2_describe_instances_failures_total{reason="ec2_server_error"} 1"#,
        r#"aws_iam_authenticator_ec2_name_lookups_total{result="known_unknown"} 1"#,
        "aws_iam_authenticator_ec2_names 7",
        "aws_iam_authenticator_connections 2",
        r#"aws_iam_authenticator_decisions_total{outcome="refused",reason="no_client_certificate"} 1"#,
        r#"aws_iam_authenticator_connections_closed_total{reason="no_room"} 1"#,
        r#"aws_iam_authenticator_certificate_expiry_timestamp_seconds{certificate="serving"} 120"#,
        r#"aws_iam_authenticator_certificate_loads_total{result="failed"} 1"#,
        r#"aws_iam_authenticator_backend_loaded{backend="EKSConfigMap"} 1"#,
        r#"aws_iam_authenticator_mappings{backend="EKSConfigMap"} 3"#,
        r#"aws_iam_authenticator_mapping_diagnostics{backend="EKSConfigMap",severity="error"} 2"#,
        r#"aws_iam_authenticator_mapping_diagnostics{backend="EKSConfigMap",severity="warning"} 1"#,
        r#"aws_iam_authenticator_mapping_entries{backend="EKSConfigMap",kind="permission_set"} 0"#,
        r#"aws_iam_authenticator_mapping_entries_kept{backend="EKSConfigMap"} 0"#,
        r#"aws_iam_authenticator_mappings_restored{backend="EKSConfigMap"} 1"#,
        r#"aws_iam_authenticator_snapshot_confirmed_timestamp_seconds{backend="EKSConfigMap"} 60"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    metrics.backend_removed(BackendMode::EksConfigMap);
    let text = String::from_utf8(metrics.render(Timestamp::UNIX_EPOCH).unwrap().0).unwrap();
    assert!(!text.contains("EKSConfigMap"), "{text}");
}

#[test]
fn keeps_the_names_that_dashboards_know() {
    let metrics = Metrics::new();
    metrics.decision(&Outcome::Denied(crate::outcome::Denial::NotMapped), Duration::from_millis(3));
    metrics.sts_response("us-east-1", 403);
    metrics.ec2_call();
    metrics.sts_call::<()>("us-east-1", Duration::ZERO, &Err(NoVerdict::Throttled.into()));
    metrics.sts_call::<()>("us-east-1", Duration::ZERO, &Err(NoVerdict::Connect.into()));
    let text = String::from_utf8(metrics.render(Timestamp::UNIX_EPOCH).unwrap().0).unwrap();
    for line in [
        r#"aws_iam_authenticator_authenticate_latency_seconds_count{result="uknown_user"} 1"#,
        r#"aws_iam_authenticator_sts_responses_total{ResponseCode="403",StsRegion="us-east-1"} 1"#,
        r#"aws_iam_authenticator_sts_throttling_total{StsRegion="us-east-1"} 1"#,
        r#"aws_iam_authenticator_sts_connection_failures_total{StsRegion="us-east-1"} 1"#,
        "aws_iam_authenticator_configmap_watch_failures_total 0",
        "aws_iam_authenticator_ec2_describe_instances_calls_total 1",
        r#"aws_iam_authenticator_decisions_total{outcome="denied",reason="not_mapped"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
