//! HTTP over TLS, with curl as the client.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use user_auth_tests::{Options, Server, command, folder, write_private};

/// Creates a certificate for 127.0.0.1, and returns its file and that of its key.
pub(crate) fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let CertifiedKey { cert, signing_key } = made;
    let files = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&files.0, cert.pem()).unwrap();
    write_private(&files.1, &signing_key.serialize_pem());
    files
}

fn server(certificate: &Path, key: &Path) -> Server {
    options(certificate, key).start()
}

fn options(certificate: &Path, key: &Path) -> Options {
    Options::new()
        .store("memory")
        .env(
            "USER_AUTH_SERVER_TLS_CERTIFICATE",
            certificate.to_str().unwrap(),
        )
        .env("USER_AUTH_SERVER_TLS_KEY", key.to_str().unwrap())
}

fn curl(server: &Server, authority: &Path, more: &[&str]) -> Output {
    Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
        .arg(authority)
        .args(more)
        .arg(format!("{}/health", server.url))
        .output()
        .unwrap()
}

#[test]
fn a_client_that_trusts_the_certificate_is_served() {
    let folder = folder();
    let (certificate, key) = certificate(folder.path());
    let server = server(&certificate, &key);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http2"]] {
        let more = [version, &["--write-out", "\n%{http_version}"]].concat();
        let output = curl(&server, &certificate, &more);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(r#""status":"ok""#), "{version:?}: {text}");
        assert!(text.ends_with("\n1.1"), "{version:?}: {text}");
    }
    let (status, log) = server.stop();
    assert!(status.success() && log.contains("stopped"), "{log}");
}

#[test]
fn a_client_without_tls_gets_no_http_response() {
    let folder = folder();
    let (certificate, key) = certificate(folder.path());
    let server = server(&certificate, &key);
    let address = server.url.strip_prefix("https://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A closed connection may be reset.
    let _ = stream.read_to_end(&mut answer);
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP"),
        "{answer:?}"
    );
}

#[test]
fn unfinished_handshakes_are_cut_off_and_do_not_delay_others() {
    let folder = folder();
    let (certificate, key) = certificate(folder.path());
    let server = options(&certificate, &key)
        .env("USER_AUTH_LIMITS_HEADER_READ_MS", "2000")
        .start();
    let address = server.url.strip_prefix("https://").unwrap();
    let mut silent: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let output = curl(&server, &certificate, &[]);
    assert!(output.status.success(), "{output:?}");
    for stream in &mut silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "it is cut off");
    }
}

#[test]
fn an_unfinished_handshake_does_not_delay_the_shutdown() {
    let folder = folder();
    let (certificate, key) = certificate(folder.path());
    let server = server(&certificate, &key);
    let address = server.url.strip_prefix("https://").unwrap();
    let _silent = TcpStream::connect(address).unwrap();
    assert!(curl(&server, &certificate, &[]).status.success());
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");
    assert!(!log.contains("cut off"), "{log}");
}

#[test]
fn sighup_loads_a_new_certificate_and_rejects_a_broken_one() {
    let folder = folder();
    let (certificate, key) = certificate(folder.path());
    let server = server(&certificate, &key);
    let old = folder.path().join("old.pem");
    fs::copy(&certificate, &old).unwrap();

    self::certificate(folder.path());
    assert!(
        curl(&server, &old, &[]).status.success(),
        "the new certificate is not used before SIGHUP"
    );
    server.hang_up();
    server.wait_for("the certificate was reloaded");
    assert!(curl(&server, &certificate, &[]).status.success());
    assert!(!curl(&server, &old, &[]).status.success());

    fs::write(&key, "nothing").unwrap();
    server.hang_up();
    server.wait_for("the previous one stays in use");
    assert!(curl(&server, &certificate, &[]).status.success());
}

#[test]
fn invalid_certificate_files_stop_the_start() {
    let folder = folder();
    let (certificate, key) = certificate(folder.path());
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let (_, other_key) = self::certificate(&other);
    let empty = folder.path().join("empty.pem");
    write_private(&empty, "");
    for (certificate, key, part) in [
        (&certificate, &other_key, "KeyMismatch"),
        (&empty, &key, "the file contains no certificate"),
        (&certificate, &empty, "the private key"),
        (&folder.path().join("absent.pem"), &key, "absent.pem"),
    ] {
        let output = command(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--store", "memory"])
            .env("USER_AUTH_SERVER_TLS_CERTIFICATE", certificate)
            .env("USER_AUTH_SERVER_TLS_KEY", key)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(part), "{said}");
    }
}
