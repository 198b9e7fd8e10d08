//! Paths, methods and bounds; the decision itself is the authenticator's.

use std::{convert::Infallible, sync::Arc, time::Instant};

use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use hyper::body::{Body, Bytes};
use jiff::Timestamp;

use super::{
    admission::{self, Admission},
    answer::{self, Answer},
    body::{BodyBudget, BodyError, Limits},
    connections::Arriving,
    health,
    listener::Peer,
    token_review,
};
use crate::{
    authenticator::{Authenticator, Decision},
    outcome::{Denial, Outcome},
    telemetry::{self, Metrics, Quotes},
};

/// Answers requests on the authentication port.
#[derive(Debug)]
pub struct Router {
    authenticator: Authenticator,
    audiences: Vec<String>,
    metrics: Metrics,
    bodies: BodyBudget,
    admission: Admission,
    reviews: telemetry::RequestIds,
    audit: Option<telemetry::Recorder>,
    /// Whether `/metrics` and the health checks have an address of their own, and are not served beside the webhook.
    operations_apart: bool,
    /// Whether reviews are asked for by clients with certificates alone.
    certified_alone: bool,
}

impl Router {
    /// `audiences` are those that tokens accepted here are meant for; with none, a review's are not looked at.
    #[must_use]
    pub fn new(authenticator: Authenticator, audiences: Vec<String>, metrics: Metrics) -> Self {
        Self {
            authenticator,
            audiences,
            metrics,
            bodies: BodyBudget::new(Limits::TOKEN_REVIEWS),
            admission: Admission::new(Vec::new(), Quotes::Withheld),
            reviews: telemetry::RequestIds::new(),
            audit: None,
            operations_apart: false,
            certified_alone: false,
        }
    }

    /// The same, which looks at edits of aws-auth by `admission`.
    #[must_use]
    pub fn with_admission(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// The same, each of whose decisions is written to an audit log by `audit`, where there is one.
    #[must_use]
    pub fn with_audit(self, audit: Option<telemetry::Recorder>) -> Self {
        Self { audit, ..self }
    }

    /// The same, without `/metrics` and the health checks: [`Self::operate`] answers those elsewhere.
    #[must_use]
    pub fn with_operations_apart(self, operations_apart: bool) -> Self {
        Self { operations_apart, ..self }
    }

    /// The same, which takes TokenReviews from clients with certificates alone. Edits of aws-auth are looked at for
    /// everybody, since an API server shows admission webhooks none unless it is told to, and health checks have none.
    #[must_use]
    pub fn with_certified_alone(self, certified_alone: bool) -> Self {
        Self { certified_alone, ..self }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// None: what goes wrong becomes an answer. The type is what hyper asks for.
    pub async fn route<B>(self: Arc<Self>, request: Request<B>, client: Peer) -> Result<Answer, Infallible>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        Ok(match request.uri().path() {
            "/authenticate" if self.certified_alone && !client.certified => {
                self.metrics.uncertified_request(started.elapsed());
                answer::failure(
                    StatusCode::UNAUTHORIZED,
                    "a client certificate is wanted here; kube-apiserver shows the one in the webhook kubeconfig that it \
                     read when it started",
                )
            }
            "/authenticate" if request.method() == Method::POST => {
                match self.authenticate(request, client, started).await {
                    Ok(answer) => answer,
                    Err(refusal) => {
                        self.metrics.malformed_request(started.elapsed());
                        refusal
                    }
                }
            }
            "/authenticate" => {
                self.metrics.malformed_request(started.elapsed());
                answer::method_not_allowed("POST")
            }
            admission::PATH if request.method() == Method::POST => {
                let (answer, verdict) =
                    self.admission.answer(request.into_body(), &self.authenticator.chain).await;
                self.metrics.admission_review(verdict);
                answer
            }
            admission::PATH => answer::method_not_allowed("POST"),
            _ if self.operations_apart => answer::failure(
                StatusCode::NOT_FOUND,
                "no such path; served are /authenticate and /validate/aws-auth, and /healthz, /readyz and /metrics at \
                 the address of server.metricsAddress",
            ),
            _ => self.operation(&request).unwrap_or_else(|| {
                answer::failure(
                    StatusCode::NOT_FOUND,
                    "no such path; served are /authenticate, /validate/aws-auth, /healthz, /readyz and /metrics",
                )
            }),
        })
    }

    /// Answers one request at an address where no reviews are asked for.
    #[must_use]
    pub fn operate(&self, request: &Request<Arriving>) -> Answer {
        self.operation(request).unwrap_or_else(|| {
            answer::failure(
                StatusCode::NOT_FOUND,
                "no such path; served here are /healthz, /readyz and /metrics",
            )
        })
    }

    /// `None` where the path is none of theirs.
    fn operation<B>(&self, request: &Request<B>) -> Option<Answer> {
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        Some(match request.uri().path() {
            "/healthz" | "/readyz" | "/metrics" if !get => answer::method_not_allowed("GET"),
            "/healthz" => health::healthz(),
            "/readyz" => {
                let form = health::Form::asked(request.uri().query(), request.headers().get(ACCEPT));
                health::readyz(&self.authenticator.chain.get(), form)
            }
            "/metrics" => self.metrics(),
            _ => return None,
        })
    }

    async fn authenticate<B>(
        &self,
        request: Request<B>,
        client: Peer,
        started: Instant,
    ) -> Result<Answer, Answer>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let review = read(&self.bodies, request).await?;
        let version = review.api_version;
        let served = self.served_audiences(&review.spec.audiences);
        let decision = match &served {
            Some(_) => self.authenticator.authenticate(&review.spec.token, Timestamp::now()).await,
            None => Decision::without_caller(Outcome::Denied(Denial::Audience)),
        };
        let (id, decided_at, duration) = (self.reviews.next(), Timestamp::now(), started.elapsed());
        self.metrics.decision(&decision.outcome, duration);
        telemetry::record(
            telemetry::Review { id, client: client.address, decided_at, duration },
            &decision,
            self.audit.as_ref(),
        );
        Ok(answer::review(version, served.unwrap_or_default(), &decision.outcome))
    }

    /// Which of the audiences asked for are served here; `None` where some are asked for and none is served.
    ///
    /// With none configured the answer names none, which means "valid for the API server's own".
    fn served_audiences(&self, asked: &[String]) -> Option<Vec<String>> {
        if asked.is_empty() || self.audiences.is_empty() {
            return Some(Vec::new());
        }
        let served: Vec<String> =
            asked.iter().filter(|audience| self.audiences.contains(audience)).cloned().collect();
        (!served.is_empty()).then_some(served)
    }

    fn metrics(&self) -> Answer {
        match self.metrics.render(Timestamp::now()) {
            Ok((text, content_type)) => answer::text(
                StatusCode::OK,
                text,
                HeaderValue::from_str(&content_type).unwrap_or(HeaderValue::from_static("text/plain")),
            ),
            Err(error) => answer::failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// Reads a TokenReview within its bounds. No message of a failure quotes the body, which may hold a token.
async fn read<B>(budget: &BodyBudget, request: Request<B>) -> Result<token_review::Request, Answer>
where
    B: Body<Data = Bytes> + Unpin,
{
    let is_json = request.headers().get(CONTENT_TYPE).is_none_or(|content_type| {
        let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    if !is_json {
        return Err(answer::failure(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a TokenReview is sent as application/json",
        ));
    }
    let body = budget.read(request.into_body()).await.map_err(BodyError::answer)?;
    serde_json::from_slice(body.bytes()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        answer::failure(
            StatusCode::BAD_REQUEST,
            format!(
                "the body is no TokenReview of authentication.k8s.io/v1 or v1beta1: it stops being one at line \
                 {line}, column {column}"
            ),
        )
    })
}
