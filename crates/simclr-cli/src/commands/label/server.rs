//! The page, served to this machine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::session::{Session, State};
use crate::terminal::AnyResult;

/// What the handlers share.
#[derive(Clone)]
struct Service {
    session: Arc<Mutex<Session>>,
    finished: Arc<Notify>,
}

/// An error as an answer.
struct Failure(String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.0).into_response()
    }
}

impl<E: ToString> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A class for an image, or none to pass it over.
#[derive(Deserialize)]
struct Answer {
    index: usize,
    class: Option<usize>,
}

impl Service {
    fn session(&self) -> MutexGuard<'_, Session> {
        // An answer that panicked has changed nothing that the next one could not mend.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the page until it is told to finish; `started` learns where it is. Returns how many
/// images have a label.
pub(super) fn serve(
    session: Session,
    address: SocketAddr,
    started: impl FnOnce(SocketAddr),
) -> AnyResult<usize> {
    let service = Service {
        session: Arc::new(Mutex::new(session)),
        finished: Arc::new(Notify::new()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        started(listener.local_addr()?);
        let finished = service.finished.clone();
        axum::serve(listener, router(service.clone()))
            .with_graceful_shutdown(async move { finished.notified().await })
            .await
    })?;
    Ok(service.session().labelled())
}

fn router(service: Service) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/state", get(state))
        .route("/answer", post(answer))
        .route("/undo", post(undo))
        .route("/finish", post(finish))
        .route("/image/{index}", get(image))
        .route("/section/{index}", get(section))
        .layer(middleware::from_fn(only_from_here))
        .with_state(service)
}

/// Other sites must not reach the page by a name of theirs for this machine.
async fn only_from_here(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if matches!(name, "127.0.0.1" | "localhost") {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "this page is for this machine").into_response()
}

async fn state(Shared(service): Shared<Service>) -> Json<State> {
    Json(service.session().state())
}

async fn answer(
    Shared(service): Shared<Service>,
    Json(answer): Json<Answer>,
) -> Result<Json<State>, Failure> {
    let mut session = service.session();
    session.answer(answer.index, answer.class)?;
    Ok(Json(session.state()))
}

/// That even nothing has to be sent as JSON keeps out the forms of other sites, which cannot.
async fn undo(
    Shared(service): Shared<Service>,
    Json(()): Json<()>,
) -> Result<Json<State>, Failure> {
    let mut session = service.session();
    session.undo()?;
    Ok(Json(session.state()))
}

async fn finish(Shared(service): Shared<Service>, Json(()): Json<()>) {
    service.finished.notify_one();
}

async fn image(
    Shared(service): Shared<Service>,
    Path(index): Path<usize>,
) -> Result<Response, Failure> {
    Ok(png(service.session().picture(index)?))
}

async fn section(
    Shared(service): Shared<Service>,
    Path(index): Path<usize>,
) -> Result<Response, Failure> {
    Ok(png(service.session().section(index)?))
}

fn png(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "image/png")], bytes).into_response()
}
