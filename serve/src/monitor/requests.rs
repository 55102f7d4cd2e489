//! What happens to each request before and after it is answered, whatever the protocol: it gets an id, must show a key where keys are asked for, is counted, and gets a line in the log.

use super::Metrics;
use crate::http::json;
use crate::keys::ApiKeys;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tonic::Status;

/// The header with a request's id: the client's own, if it sent one, else the server's.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a client's id at most; a longer one is replaced.
const LONGEST_ID: usize = 64;
/// Characters of a path in the log.
const LONGEST_PATH: usize = 256;

/// What requests are asked without a key: the page by itself holds nothing, and who watches over a server must see that it lives.
const OPEN: [&str; 5] = [
    "/",
    "/v2/health/live",
    "/v2/health/ready",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
];

/// How requests come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// REST.
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// The status that the client sees. gRPC's stands in the answer's trailers if it is fine, and beside the headers otherwise.
    fn code(self, response: &Response) -> u32 {
        match (self, response.extensions().get::<Status>()) {
            (Self::Grpc, Some(status)) => status.code() as u32,
            (Self::Grpc, None) if response.status().is_success() => 0,
            _ => response.status().as_u16().into(),
        }
    }

    /// The answer to a request that shows no good key.
    fn keyless(self) -> Response {
        let why = "the request shows no key that this server takes: Authorization: Bearer KEY";
        if self == Self::Grpc {
            return Status::unauthenticated(why).into_http::<Body>();
        }
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        (challenge, refused(StatusCode::UNAUTHORIZED, why)).into_response()
    }
}

fn refused(status: StatusCode, why: &str) -> Response {
    json(status, &serde_json::json!({ "error": why }))
}

/// Whether a browser says that a page of another site asks. Such a page can't read answers, but could unload models of a server on its reader's machine.
fn is_cross_site(request: &Request) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if request.uri().path() == "/" {
        return false;
    }
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), ..) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, from)| from != host),
        _ => false,
    }
}

/// What all requests of a protocol go through.
struct Observer {
    protocol: Protocol,
    metrics: Arc<Metrics>,
    keys: Option<ApiKeys>,
}

/// The same addresses, where each request has an id, shows one of `keys` if there are any, is counted in `metrics` and logged.
pub fn observed(router: Router, protocol: Protocol, metrics: Arc<Metrics>, keys: Option<ApiKeys>) -> Router {
    let observer = Arc::new(Observer { protocol, metrics, keys });
    router.layer(middleware::from_fn_with_state(observer, observe))
}

async fn observe(State(observer): State<Arc<Observer>>, request: Request, next: Next) -> Response {
    let mut line = LogLine::new(&observer, &request);
    let admitted =
        observer.keys.as_ref().is_none_or(|keys| OPEN.contains(&request.uri().path()) || keys.admit(request.headers()));
    let mut response = if !admitted {
        observer.protocol.keyless()
    } else if is_cross_site(&request) {
        refused(StatusCode::FORBIDDEN, "pages of other sites can't use this server")
    } else {
        next.run(request).await
    };
    let code = observer.protocol.code(&response);
    observer.metrics.responded(observer.protocol.name(), code);
    line.code = Some(code);
    response.headers_mut().insert(REQUEST_ID, line.id.clone());
    response
}

/// A request's line in the log, which is written when its handling ends, also if that is because the client has gone.
struct LogLine {
    id: HeaderValue,
    protocol: &'static str,
    method: String,
    path: String,
    start: Instant,
    /// The answer's status; `None` while there is no answer.
    code: Option<u32>,
}

impl LogLine {
    fn new(observer: &Observer, request: &Request) -> Self {
        Self {
            id: id(request.headers()),
            protocol: observer.protocol.name(),
            method: request.method().as_str().chars().take(LONGEST_ID).collect(),
            path: request.uri().path().chars().take(LONGEST_PATH).collect(),
            start: Instant::now(),
            code: None,
        }
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let Self { protocol, method, path, code, .. } = &*self;
        let id = self.id.to_str().unwrap_or_default();
        let ms = self.start.elapsed().as_secs_f64() * 1e3;
        match code {
            Some(code) => tracing::info!(id, protocol, method, path, code, ms, "request"),
            None => tracing::info!(id, protocol, method, path, ms, "request: the client has gone"),
        }
    }
}

/// The client's id, if it is one that can be given back, else one that no other request has.
fn id(headers: &HeaderMap) -> HeaderValue {
    let plain = |id: &&HeaderValue| {
        (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(|byte| byte.is_ascii_graphic())
    };
    headers.get(REQUEST_ID).filter(plain).cloned().unwrap_or_else(|| {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let process = PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()));
        let id = format!("{process:016x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed));
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(sent: &'static str) -> HeaderValue {
        id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(sent))]))
    }

    #[test]
    fn pages_of_other_sites_are_known() {
        let asked = |path: &str, headers: &[(&'static str, &'static str)]| {
            let mut request = axum::http::Request::builder().uri(path).header("host", "127.0.0.1:8000");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_cross_site(&request.body(Body::empty()).unwrap())
        };
        assert!(!asked("/v2", &[]) && !asked("/v2", &[("origin", "http://127.0.0.1:8000")]));
        assert!(
            !asked("/v2", &[("sec-fetch-site", "same-origin")]) && !asked("/", &[("sec-fetch-site", "cross-site")])
        );
        assert!(asked("/v2", &[("origin", "http://elsewhere.example")]) && asked("/v2", &[("origin", "null")]));
        assert!(asked("/v2", &[("sec-fetch-site", "cross-site")]) && asked("/v2", &[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn clients_ids_are_kept_and_others_are_unique() {
        assert_eq!(id_of("run-7/a"), "run-7/a");
        let own = [id(&HeaderMap::new()), id(&HeaderMap::new()), id_of(""), id_of("a b")];
        for (at, id) in own.iter().enumerate() {
            assert!(!own[..at].contains(id) && id != "a b" && id != "none");
        }
    }
}
