//! What a forecast is asked for.

use std::num::NonZeroU32;

use arngate::sts::Limits;

/// How long kube-apiserver remembers any token that was good, whatever its webhook's own time is, in seconds.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubeapiserver/options/authentication.go#L168>
pub(super) const LEAST_REMEMBERED: f64 = 10.0;
/// How long a node's lease holds, in seconds; a kubelet renews it every ten.
/// <https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/>
pub(super) const NODE_LEASE: f64 = 40.0;

/// A cluster, and who asks in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// Kubelets, and whatever else has an IAM identity and asks all the time: controllers outside of the cluster, k9s.
    pub nodes: u32,
    /// People who are at work with kubectl at the same time.
    pub people: u32,
    /// How many commands each of them runs in an hour. Each is a process, and so a token, of its own.
    pub commands_per_hour: f64,
    /// How many commands come together, as a script's or a habit's do.
    pub commands_at_once: u32,
    /// How many kube-apiservers there are, each with an arngate beside it.
    pub apiservers: NonZeroU32,
    /// Tokens a second that are none of ours and reach the webhook: expired service accounts' and the like.
    pub foreign_per_second: f64,
    /// kube-apiserver's `--authentication-token-webhook-cache-ttl`, in seconds.
    pub webhook_ttl: f64,
    /// How long client-go keeps a token, in seconds: 14 minutes, by what aws and aws-iam-authenticator say of theirs.
    pub token_lifetime: f64,
    /// How long a node is between two requests on average, in seconds. Zero is the most: it asks at any moment. A
    /// kubelet renews its lease every ten seconds at least.
    pub node_pause: f64,
    /// How many mappings there are.
    pub mappings: u32,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            nodes: 100,
            people: 0,
            commands_per_hour: 60.0,
            commands_at_once: 5,
            apiservers: NonZeroU32::MIN.saturating_add(2),
            foreign_per_second: 0.0,
            webhook_ttl: 120.0,
            token_lifetime: 840.0,
            node_pause: 0.0,
            mappings: 100,
        }
    }
}

/// How arngate is set up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// `server.stsCacheTTL`, in seconds.
    pub sts_ttl: f64,
    /// `server.stsCacheSize`
    pub cache_size: u32,
    /// `server.stsQps`; `None` where calls are not limited.
    pub qps: Option<f64>,
    /// `server.stsBurst`
    pub burst: f64,
    /// `server.stsConcurrency`
    pub concurrency: f64,
}

impl Default for Settings {
    /// arngate's own defaults.
    fn default() -> Self {
        let Limits { cache_ttl, cache_size, rate, burst, concurrency, .. } = Limits::default();
        let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            sts_ttl: cache_ttl.as_secs_f64(),
            cache_size: number(cache_size.get()),
            qps: rate.map(|rate| f64::from(rate.get())),
            burst: f64::from(burst.get()),
            concurrency: f64::from(number(concurrency.get())),
        }
    }
}

/// AWS STS, as one account has it in one region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sts {
    /// Calls a second that AWS answers, all of the account's programs together.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
    pub quota: f64,
    /// What the account's other programs use of that.
    pub others: f64,
    /// How long an answer takes, in seconds.
    pub latency: f64,
}

impl Default for Sts {
    fn default() -> Self {
        Self { quota: 600.0, others: 0.0, latency: 0.02 }
    }
}

impl Sts {
    /// What is left for arngate, in calls a second.
    #[must_use]
    pub fn left(&self) -> f64 {
        (self.quota - self.others).max(0.0)
    }
}
