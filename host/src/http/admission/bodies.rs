//! Reads and limits the bodies of requests.

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::shares::{Memory, NoMore};
use crate::error::CallError;
use crate::http::body::Response;
use crate::http::respond::Wording;
use crate::limits::Limits;

/// A body and its share of the memory for bodies.
pub(crate) struct Kept {
    pub(crate) body: Vec<u8>,
    pub(crate) memory: Memory,
}

/// A reason why a body was not kept.
enum NotKept {
    TooLarge,
    NoMemory,
    Broken,
}

/// Reads a body to its end, and keeps it if it has at most `keep` bytes. `Err` is the
/// response to a body that does not arrive or exceeds the limit for all callers.
pub(crate) async fn read(
    body: Incoming,
    keep: usize,
    memory: Memory,
    limits: &Limits,
    wording: &Wording,
) -> Result<Kept, Response> {
    let too_large = || {
        let message = format!("a message may have at most {} bytes", limits.body_bytes);
        wording.refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    // A body that announces far too many bytes is not read at all.
    if body.size_hint().lower() > limits.discarded_body_bytes as u64 {
        return Err(too_large());
    }
    match timeout(limits.body_read, collect(body, keep, memory, limits)).await {
        Ok(Ok(kept)) => Ok(kept),
        Ok(Err(NotKept::TooLarge)) => Err(too_large()),
        Ok(Err(NotKept::NoMemory)) => Err(wording.unavailable(&CallError::Busy)),
        Ok(Err(NotKept::Broken)) => Err(wording.refuse(
            StatusCode::BAD_REQUEST,
            "the body could not be read completely",
        )),
        Err(_) => Err(wording.refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        )),
    }
}

/// Reads a body that is too large too, up to a limit, because most clients read the
/// response only after they have sent everything.
async fn collect(
    mut body: Incoming,
    keep: usize,
    mut memory: Memory,
    limits: &Limits,
) -> Result<Kept, NotKept> {
    let announced = body.size_hint().exact();
    let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    // A body that is too large is not stored at all.
    let keep = if announced > Some(keep) { 0 } else { keep };
    let mut kept = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| NotKept::Broken)?.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > limits.discarded_body_bytes {
            return Err(NotKept::TooLarge);
        }
        if seen > keep {
            kept = Vec::new();
            memory.shrink(0);
            continue;
        }
        let held = memory.hold(seen, announced.unwrap_or(keep)).await;
        held.map_err(|NoMore| NotKept::NoMemory)?;
        kept.extend_from_slice(&data);
    }
    memory.shrink(kept.len());
    if seen > limits.body_bytes {
        Err(NotKept::TooLarge)
    } else {
        Ok(Kept { body: kept, memory })
    }
}
