//! The status page: `/` of the client port, for people who type the address into a browser.
//!
//! * `index.html`, `page.css`, `page.js`: the page. It loads nothing from anywhere else, and its content security policy
//!   allows nothing else.
//! * `data`: the figures that it asks for, again and again.
//! * `history`, `sampling`: rates and times of the last minutes.
//! * `lag`: how far members are behind, which only their leader knows.
//! * `around`: what the API does not know itself.
//!
//! With users the figures are for those who have logged in; the page itself says nothing. It has one form, and keeps the
//! token in a variable: there is no cookie that another site could use.

pub mod around;
mod data;
pub mod history;
pub mod lag;
mod sampling;

pub use sampling::run as keep_history;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use tokio::sync::Mutex;

use super::body::ReplyBody;
use super::client::Client;
use super::gate;
use super::grpc::RequestBody;
use super::http::answer::page;
use super::http::figures::resident_memory;
use super::json::{self, Gateway};
use super::rules::{Learner, RULES, Rpc, Rule};
use super::services::Services;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of everything here.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

const HTML: (&str, &str) = ("text/html; charset=utf-8", include_str!("index.html"));
const CSS: (&str, &str) = ("text/css; charset=utf-8", include_str!("page.css"));
const SCRIPT: (&str, &str) = ("text/javascript; charset=utf-8", include_str!("page.js"));

/// Something of the page.
#[derive(Clone, Copy)]
pub enum Part {
    /// A file: its type and its text.
    File((&'static str, &'static str)),
    /// The figures.
    Data,
    /// A user's name and password for a token.
    Login,
}

/// What is at that path, if it is a part of the page.
pub fn find(path: &str) -> Option<Part> {
    Some(match path {
        "/" => Part::File(HTML),
        "/status/page.css" => Part::File(CSS),
        "/status/page.js" => Part::File(SCRIPT),
        "/status/data" => Part::Data,
        "/status/login" => Part::Login,
        _ => return None,
    })
}

/// How old the figures may be that several readers share.
const AGE: Duration = Duration::from_millis(500);

/// The figures that were asked for last: a flood of requests does not cost more than one in [`AGE`].
#[derive(Default)]
pub struct Shared(Mutex<Option<(Instant, Bytes)>>);

impl Shared {
    async fn figures(&self, services: &Services) -> Bytes {
        // Whoever waits for the lock would ask for the same.
        let mut last = self.0.lock().await;
        if let Some((at, figures)) = &*last
            && at.elapsed() < AGE
        {
            return figures.clone();
        }
        let figures = Bytes::from(data::figures(services, resident_memory()).await.to_string());
        *last = Some((Instant::now(), figures.clone()));
        figures
    }
}

/// Answers a request for a part of the page.
pub async fn answer<B: RequestBody>(
    part: Part,
    (services, shared, gateway): (&Services, &Shared, &Gateway),
    client: &Arc<Client>,
    request: Request<B>,
) -> Response<ReplyBody> {
    let is_right = match part {
        Part::Login => request.method() == Method::POST,
        _ => request.method() == Method::GET || request.method() == Method::HEAD,
    };
    let mut response = match part {
        _ if !is_right => {
            page(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "Method Not Allowed\n")
        }
        Part::File((kind, text)) => page(StatusCode::OK, kind, text),
        Part::Data => match admit(services, request.headers(), client).await {
            Ok(()) => page(StatusCode::OK, "application/json", shared.figures(services).await),
            Err(refused) => refused,
        },
        Part::Login => login(gateway, client, request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whoever may list the members may see their status, on learners, too, and if the state is wrong: the page says so.
async fn admit(
    services: &Services,
    headers: &HeaderMap,
    client: &Arc<Client>,
) -> Result<(), Response<ReplyBody>> {
    let listing = RULES.iter().find(|rule| rule.rpc == Rpc::MemberList);
    let rule = listing.map(|rule| Rule { rpc: Rpc::Status, learner: Learner::Served, ..*rule });
    let Some(rule) = rule else { return Err(refused("there is no rule")) };
    let began = Instant::now();
    match gate::admit(services, &rule, headers, client.certified.as_ref()).await {
        Ok(_) => Ok(()),
        Err(refusal) => {
            if let Some(audit) = services.audit.get() {
                audit.refused(&rule, client, &refusal, began);
            }
            Err(refused(super::status::text(&refusal)))
        }
    }
}

fn refused(why: &str) -> Response<ReplyBody> {
    let text = serde_json::json!({ "error": why }).to_string();
    page(StatusCode::UNAUTHORIZED, "application/json", text)
}

/// The gateway's method, also while the gateway itself is off.
async fn login<B: RequestBody>(
    gateway: &Gateway,
    client: &Arc<Client>,
    request: Request<B>,
) -> Response<ReplyBody> {
    match json::find("/v3/auth/authenticate") {
        Some(target) => {
            let answer = gateway.call(target, request, client).await;
            if answer.status() == StatusCode::OK { answer } else { named(answer) }
        }
        None => refused("there is no way to log in"),
    }
}

/// The gateway's refusal in the page's form.
fn named(answer: Response<ReplyBody>) -> Response<ReplyBody> {
    let (parts, body) = answer.into_parts();
    let text = match &body {
        ReplyBody::Page(text) => serde_json::from_slice::<serde_json::Value>(text).ok(),
        _ => None,
    };
    let why = text.as_ref().and_then(|error| error["message"].as_str()).unwrap_or("not accepted");
    page(parts.status, "application/json", serde_json::json!({ "error": why }).to_string())
}
