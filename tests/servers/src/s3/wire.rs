//! Requests and answers as they stand on the wire.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Response, StatusCode};

use super::Body;

pub(super) fn whole_body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

pub(super) fn xml(content: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{content}");
    Response::new(whole_body(text.into()))
}

pub(super) fn refused(status: StatusCode, code: &str) -> Response<Body> {
    let text = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    built(
        Response::builder()
            .status(status)
            .body(whole_body(text.into())),
    )
}

pub(super) fn built(response: hyper::http::Result<Response<Body>>) -> Response<Body> {
    response.unwrap_or_else(|error| crate::fail(&format!("an answer of the S3 server: {error}")))
}

pub(super) fn etag(bytes: &[u8]) -> String {
    format!("\"{:x}\"", bytes.len())
}

/// `bytes=FROM-TO`, both included.
pub(super) fn range_of(header: &str) -> Option<(usize, usize)> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().unwrap_or(usize::MAX - 1)))
}

pub(super) fn query_of(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // As forms have it.
            (decoded(name), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// What percent signs stand for.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

pub(super) fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Who signed a request, as named behind our access key and a dot; empty where nothing is. None where it is not our key.
pub(super) fn user_of(authorization: &str) -> Option<&str> {
    let (_, rest) = authorization.split_once("Credential=")?;
    let (key, _) = rest.split_once('/')?;
    let name = key.strip_prefix(super::ACCESS_KEY)?;
    match name {
        "" => Some(""),
        _ => name.strip_prefix('.'),
    }
}
