//! Clients that identify themselves by a metadata document: the server fetches it from
//! another one, which serves good documents and others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use user_auth_tests::{command, folder, write_private};

use super::Browser;
use super::browser::encode;
use super::real_clients::{Client, Guarded};
use crate::clients::client;

const SETTING: &str = "USER_AUTH_OAUTH_CLIENT_ID_METADATA_DOCUMENTS";
const REDIRECT: &str = "http://127.0.0.1:33418/callback";

/// A server of documents on this machine, with a certificate that nobody else has signed.
pub struct Documents {
    folder: TempDir,
    server: Client,
    port: String,
}

impl Documents {
    pub fn start() -> Documents {
        Documents::start_with(None)
    }

    /// Starts one that also serves this file, the keys of a client.
    pub fn start_with(jwks: Option<&Path>) -> Documents {
        let folder = folder();
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let CertifiedKey { cert, signing_key } = made;
        let key = folder.path().join("key.pem");
        write_private(&key, &signing_key.serialize_pem());
        let certificate = folder.path().join("certificate.pem");
        fs::write(&certificate, cert.pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/documents.py");
        let mut command = Command::new(client(".venv/bin/python"));
        command.arg(script).arg(certificate).arg(key);
        command.args(jwks);
        let mut server = Client::start(command);
        let port = server.wait_for("");
        Documents {
            folder,
            server,
            port,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Returns the path of the certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Starts an authorization server that trusts the certificate, with this setting.
    pub fn authorization_server(&self, setting: &str) -> Guarded {
        self.authorization_server_at("", setting)
    }

    /// Starts one whose issuer has this path.
    pub fn authorization_server_at(&self, path: &str, setting: &str) -> Guarded {
        let certificate = self.certificate();
        let environment = [
            ("SSL_CERT_FILE", certificate.to_str().unwrap()),
            (SETTING, setting),
        ];
        Guarded::start_with(path, &environment)
    }

    /// Returns the paths that were asked for so far. `/end` is asked for to know that all of
    /// them are here.
    pub fn asked(&mut self, browser: &Browser) -> Vec<String> {
        browser.get(&authorize(&self.url("/end")));
        self.server.wait_for("/end");
        self.server.seen.iter().skip(1).cloned().collect()
    }
}

fn authorize(client_id: &str) -> String {
    let query = encode(&[
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
        ("code_challenge_method", "S256"),
    ]);
    format!("/authorize?{query}")
}

/// A19: what is not a good document, and comes not at once.
#[test]
fn attack_a19_only_a_good_document_is_used_and_no_redirect_is_followed() {
    let mut documents = Documents::start();
    let guarded = documents.authorization_server("loopback");
    let browser = Browser::new(&guarded.server);
    let paths = [
        "/redirect",
        "/large",
        "/slow",
        "/gzip",
        "/html",
        "/missing",
        "/twice",
        "/other",
    ];
    let used = paths.map(|path| {
        let page = browser.get(&authorize(&documents.url(path)));
        let is_refused = (page.status, page.header("location")) == (400, None)
            && page.text.contains("a document on the web");
        (!is_refused).then_some(path)
    });
    assert_eq!(used.into_iter().flatten().collect::<Vec<_>>(), [""; 0]);
    let asked = documents.asked(&browser);
    assert_eq!(asked, [&paths[..], &["/end"]].concat());
    // A good one leads to the sign-in page.
    let page = browser.get(&authorize(&documents.url("/client.json")));
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("name=\"password\""), "{}", page.text);
}

/// A18: what could be on this machine or in its network is not even asked for.
#[test]
fn attack_a18_nothing_on_this_machine_is_fetched_unless_that_is_allowed() {
    let mut documents = Documents::start();
    let good = documents.url("/client.json");
    {
        let guarded = documents.authorization_server("public");
        let browser = Browser::new(&guarded.server);
        let page = browser.get(&authorize(&good));
        assert_eq!((page.status, page.header("location")), (400, None));
    }
    let guarded = documents.authorization_server("loopback");
    let browser = Browser::new(&guarded.server);
    let port = &documents.port;
    for url in [
        format!("https://127.0.0.1:{port}/client.json"),
        format!("https://[::1]:{port}/client.json"),
        format!("https://[::ffff:127.0.0.1]:{port}/client.json"),
        format!("https://2130706433:{port}/client.json"),
        format!("https://0x7f.1:{port}/client.json"),
        format!("https://localhost.:{port}/client.json"),
        format!("https://LOCALHOST:{port}/client.json"),
        format!("https://me@localhost:{port}/client.json"),
        format!("http://localhost:{port}/client.json"),
    ] {
        let page = browser.get(&authorize(&url));
        assert_eq!((page.status, page.header("location")), (400, None), "{url}");
    }
    assert_eq!(documents.asked(&browser), ["/end"]);
}

#[test]
fn documents_of_this_machine_need_a_service_on_this_machine() {
    let home = folder();
    let mut command = command(home.path());
    command
        .env("USER_AUTH_PUBLIC_URL", "https://auth.example.com")
        .env("USER_AUTH_OAUTH_ENABLED", "true")
        .env(SETTING, "loopback")
        .args(["call", "get_capabilities"]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("public or off"), "{error}");
}
