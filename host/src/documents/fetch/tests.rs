use std::sync::atomic::{AtomicU16, Ordering};

use http::HeaderValue;
use tokio::net::TcpListener;

use super::super::quota::Quota;
use super::*;

fn target(is_loopback: bool) -> Target {
    let host = if is_loopback {
        "localhost"
    } else {
        "app.example.com"
    };
    let text = format!("https://{host}/client");
    Target::parse(&text, is_loopback).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    let ips = texts.iter().map(|text| text.parse::<IpAddr>().unwrap());
    ips.map(|ip| SocketAddr::new(ip, 443)).collect()
}

/// A host that resolves to a public address and to another one gets no connection at all,
/// so the second answer of a resolver cannot differ from the one that was checked.
#[test]
fn attack_a18_one_address_that_is_not_public_is_enough_to_refuse_a_host() {
    let public = addresses(&["1.1.1.1", "2606:4700::1111"]);
    assert_eq!(checked(public.clone(), &target(false)), Ok(public));
    for texts in [
        &[][..],
        &["127.0.0.1"],
        &["1.1.1.1", "10.0.0.1"],
        &["169.254.169.254", "1.1.1.1"],
        &["1.1.1.1", "::1"],
        &["2606:4700::1111", "fd00::1"],
        &["::ffff:127.0.0.1"],
    ] {
        assert!(
            checked(addresses(texts), &target(false)).is_err(),
            "{texts:?}"
        );
    }
}

/// The name moves to another server as soon as its address has been checked.
#[tokio::test]
async fn attack_a19_a_document_is_fetched_from_the_address_that_was_checked() {
    static CHECKED: AtomicU16 = AtomicU16::new(0);
    static LATER: AtomicU16 = AtomicU16::new(0);
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (checked, later) = (listen().await.unwrap(), listen().await.unwrap());
    CHECKED.store(checked.local_addr().unwrap().port(), Ordering::Relaxed);
    LATER.store(later.local_addr().unwrap().port(), Ordering::Relaxed);
    let limits = Limits::default();
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let fetcher = Fetcher {
        resolver: |_, _| {
            let port = CHECKED.swap(LATER.load(Ordering::Relaxed), Ordering::Relaxed);
            Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
        },
        tls: OnceCell::new_with(Some(Arc::new(tls))),
        ..Fetcher::new(&limits)
    };
    let place = Arc::new(Quota::new(&limits).begin("https://localhost").unwrap());
    let target = target(true);
    // The server hangs up before it has shown a certificate.
    let hang_up = async { drop(checked.accept().await) };
    let fetched = async { tokio::join!(fetcher.fetch(&target, 1, &place), hang_up).0 };
    tokio::select! {
        fetched = fetched => assert!(fetched.is_err()),
        _ = later.accept() => panic!("connected to an address that was not checked"),
    }
}

#[test]
fn this_machine_is_reached_by_loopback_addresses_alone() {
    let loopback = addresses(&["127.0.0.1", "::1"]);
    assert_eq!(checked(loopback.clone(), &target(true)), Ok(loopback));
    for texts in [&["1.1.1.1"][..], &["127.0.0.1", "192.168.0.1"]] {
        assert!(
            checked(addresses(texts), &target(true)).is_err(),
            "{texts:?}"
        );
    }
}

#[test]
fn only_json_is_a_document() {
    for good in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/client-metadata+json",
    ] {
        assert!(is_json(good), "{good}");
    }
    for wrong in ["", "text/html", "text/json", "application/jsonp", "json"] {
        assert!(!is_json(wrong), "{wrong}");
    }
}

#[test]
fn a_document_is_fresh_as_long_as_its_server_says() {
    let fresh = |fields: &[(HeaderName, &'static str)]| {
        let fields = fields.iter().cloned();
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        fresh_for(&headers)
    };
    let cache = |value| (CACHE_CONTROL, value);
    assert_eq!(fresh(&[]), None);
    assert_eq!(fresh(&[cache("public")]), None);
    assert_eq!(fresh(&[cache("public, max-age=600")]), Some(600));
    assert_eq!(fresh(&[cache("MAX-AGE=\"600\""), (AGE, "100")]), Some(500));
    assert_eq!(fresh(&[cache("max-age=600"), (AGE, "700")]), Some(0));
    assert_eq!(
        fresh(&[cache("max-age=600"), cache("max-age=60")]),
        Some(60)
    );
    assert_eq!(fresh(&[cache("max-age=x")]), Some(0));
    assert_eq!(fresh(&[cache("max-age=600, no-store")]), Some(0));
    assert_eq!(fresh(&[cache("no-cache")]), Some(0));
    assert_eq!(fresh(&[cache("max-age=99999999999")]), Some(u32::MAX));
}
