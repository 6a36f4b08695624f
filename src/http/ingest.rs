//! POST /events/{source}: events on their way to the topic of a source. Who posts is looked at before the body is read; what the body is as
//! records, `records` says.

mod records;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, ORIGIN};
use axum::http::{HeaderMap, StatusCode};

use super::app::Shared;
use super::problem::{PathNames, Problem};
use crate::sink::ingest::{Entry, NotTaken, Outcome, UNDER};

/// POST /events/{source}
pub(super) async fn post(
    State(app): State<Shared>,
    PathNames(name): PathNames<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let Some(entry) = app.ingest.entry(&name) else {
        return Err(Problem::not_found(format!(
            "no source takes events at {UNDER}{name}: write `http: {UNDER}{name}` to one of `sources`"
        )));
    };
    let refused = |outcome: Outcome| {
        move |problem: Problem| {
            entry.count(outcome, 1);
            problem
        }
    };
    let (head, body) = request.into_parts();
    may_post(entry, &head.headers).map_err(refused(Outcome::Unauthorized))?;
    let body = read(entry, &head.headers, body).await.map_err(|(outcome, problem)| refused(outcome)(problem))?;
    let events = records::of(&head.headers, body).map_err(refused(Outcome::Invalid))?;
    let n = events.len() as u64;
    match app.ingest.take(entry, events).await {
        Ok(()) => {
            entry.count(Outcome::Accepted, n);
            Ok(StatusCode::ACCEPTED)
        }
        Err(not) => {
            let (outcome, status, why) = match not {
                NotTaken::Busy(why) => (Outcome::Busy, StatusCode::TOO_MANY_REQUESTS, why),
                NotTaken::TooLarge(why) => (Outcome::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, why),
                NotTaken::Unacknowledged(why) => {
                    let why = format!("{why}; whether it is in the topic is not known: send it again");
                    (Outcome::Unacknowledged, StatusCode::SERVICE_UNAVAILABLE, why)
                }
            };
            entry.count(outcome, n);
            Err(Problem::new(status, why))
        }
    }
}

/// Whether whoever asks has the token, and is no page that is open in a browser.
fn may_post(entry: &Entry, headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(ORIGIN) {
        return Err(Problem::forbidden(
            "a page of a browser sends this (it has a header Origin): events are taken from programs",
        ));
    }
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.trim().split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    if entry.lets(token) {
        return Ok(());
    }
    Err(Problem::unauthorized(
        "events are taken with the token of the source: send it as `Authorization: Bearer TOKEN`",
    ))
}

/// The whole body.
async fn read(entry: &Entry, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, (Outcome, Problem)> {
    let most = entry.body_bytes;
    if let Some(coding) = headers.get(CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        let why = format!("the body is encoded ({}): send it as it is", coding.to_str().unwrap_or("?"));
        return Err((Outcome::Invalid, Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)));
    }
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|length| length > most) {
        return Err((Outcome::TooLarge, Problem::too_long(most)));
    }
    // One byte more tells a body that is too long from one that breaks off.
    match to_bytes(body, most + 1).await {
        Ok(bytes) if bytes.len() <= most => Ok(bytes.into()),
        Ok(_) => Err((Outcome::TooLarge, Problem::too_long(most))),
        Err(e) if is_too_long(&e) => Err((Outcome::TooLarge, Problem::too_long(most))),
        Err(_) => Err((Outcome::Invalid, Problem::bad_request("the body breaks off"))),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.to_string().contains("length limit"))
}
