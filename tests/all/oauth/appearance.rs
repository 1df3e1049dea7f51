//! The name, the logo and the colour of the operator on the pages.

use std::fs;
use std::path::Path;

use user_auth_tests::{Options, command, folder};

/// A picture of one pixel.
pub(super) const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4,
    0x89, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0xa8, 0x62, 0x90, 0xfc,
    0x0f, 0x00, 0x03, 0x1e, 0x01, 0x93, 0xc3, 0xe1, 0xb9, 0x12, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

const ENVIRONMENT: [(&str, &str); 3] = [
    ("USER_AUTH_PUBLIC_URL", "http://localhost:8000/tenant"),
    ("USER_AUTH_OAUTH_ENABLED", "true"),
    ("USER_AUTH_OAUTH_SERVICE_NAME", "Acme"),
];

fn options(more: &[(&str, &str)]) -> Options {
    let all = ENVIRONMENT.iter().chain(more);
    all.fold(Options::new(), |options, (name, value)| {
        options.env(name, value)
    })
}

#[test]
fn pages_have_the_logo_and_the_colour_of_the_operator() {
    let home = folder();
    let file = home.path().join("logo");
    fs::write(&file, PNG).unwrap();
    let server = options(&[
        ("USER_AUTH_OAUTH_LOGO", file.to_str().unwrap()),
        ("USER_AUTH_OAUTH_ACCENT_COLOR", "#7a0019"),
    ])
    .start();
    let page = server.get("/tenant/sign-in", &[]);
    assert!(page.text.contains("<img src=\"/tenant/logo\" alt=\"\">"));
    assert!(page.text.contains("Acme"));
    for path in ["/tenant/logo", "/logo"] {
        let mut logo = ureq::get(format!("{}{path}", server.url)).call().unwrap();
        assert_eq!(logo.body_mut().read_to_vec().unwrap(), PNG, "{path}");
        for (name, value) in [
            ("content-type", "image/png"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(logo.headers()[name], value);
        }
        assert_eq!(server.post_to(path, &[], "").status, 405);
    }
    assert!(server.get("/style.css", &[]).text.contains("#7a0019"));

    let plain = options(&[]).start();
    assert_eq!(plain.get("/logo", &[]).status, 404);
    assert!(!plain.get("/sign-in", &[]).text.contains("<img"));
}

#[test]
fn a_logo_or_a_colour_that_does_harm_stops_the_start() {
    let home = folder();
    let svg = home.path().join("logo.svg");
    fs::write(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    let large = home.path().join("large.png");
    fs::write(&large, [PNG, &[0; 64 << 10]].concat()).unwrap();
    let path = |file: &Path| file.to_str().unwrap().to_owned();
    for (name, value, expected) in [
        ("LOGO", path(&svg), "is no PNG, WebP or JPEG"),
        ("LOGO", path(&large), "more than 65536 bytes"),
        ("LOGO", path(&home.path().join("none.png")), "none.png"),
        ("ACCENT_COLOR", "#ffcc00".to_owned(), "4.5:1, and has 1.5:1"),
        ("ACCENT_COLOR", "red".to_owned(), "such as #1f5fbf"),
        ("SIGN_UP", "yes".to_owned(), "`on` or `off`"),
    ] {
        let mut command = command(home.path());
        command.envs(ENVIRONMENT);
        command.env(format!("USER_AUTH_OAUTH_{name}"), &value);
        let output = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value}");
        assert!(error.contains(expected), "{value}: {error}");
    }
}

#[test]
fn the_longest_public_url_is_served() {
    let path = "/tenant".repeat(32);
    let url = format!("http://localhost:8000{path}");
    let url = format!("{url:x<252}");
    let server = Options::new()
        .env("USER_AUTH_PUBLIC_URL", &url)
        .env("USER_AUTH_OAUTH_ENABLED", "true")
        .start();
    let path = url.strip_prefix("http://localhost:8000").unwrap();
    assert_eq!(server.get(&format!("{path}/sign-in"), &[]).status, 200);
    assert_eq!(server.get("/ready", &[]).status, 200);
}
