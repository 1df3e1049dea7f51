//! The host that a request is addressed to.

use http::header::HOST;
use http::{HeaderMap, HeaderName, Uri, Version, uri};
use user_auth_origins::authority::{Authority, default_port};

/// Returns the host of a request, from its target or its Host header (RFC 9112
/// section 3.2). `Err` says what is wrong with it.
pub(crate) fn named_by(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
) -> Result<Option<Authority>, String> {
    let form = "a host name or address, with or without a port";
    let parse = |text: &str, part: &str| {
        Authority::parse(text).ok_or_else(|| format!("the {part} is not {form}"))
    };
    let header = only(headers, &HOST)?;
    let header = header.map(|text| parse(text, "Host header")).transpose()?;
    // The target of a CONNECT names a host as well; this server has no resource for
    // those.
    let Some(scheme) = uri.scheme_str() else {
        return match header {
            None if version >= Version::HTTP_11 => Err("the Host header is missing".into()),
            header => Ok(header),
        };
    };
    let Some(default_port) = default_port(scheme) else {
        return Err("the target of the request is not an HTTP URL".into());
    };
    let target = uri.authority().map(uri::Authority::as_str);
    let target = parse(target.unwrap_or_default(), "host in the target")?;
    match &header {
        Some(header) if !header.is(&target, default_port) => {
            Err("the Host header differs from the target of the request".into())
        }
        _ => Ok(Some(target)),
    }
}

/// Returns the only value of a header. With two, a proxy and this server could each use
/// a different one.
pub(crate) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("there is more than one {name} header"));
    }
    match value.to_str() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(format!("the {name} header is not plain text")),
    }
}
