//! Fuzzes a text in the place of a redirect URI, of the URL of a resource server and of a
//! scope: what is accepted is plain ASCII, and is read again as it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use user_auth_guest::domain::clients::redirect_uri::RedirectUri;
use user_auth_guest::domain::resources::resource_url::ResourceUrl;
use user_auth_guest::domain::resources::scope::Scope;

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fuzz_target!(|text: &str| {
    if let Ok(uri) = RedirectUri::try_from(text.to_owned()) {
        assert_eq!(uri.as_str(), text);
        assert!(is_plain(text) && !text.contains(['#', '*', '\\']));
        assert!(uri.permits(&uri));
        let lower = text.to_ascii_lowercase();
        let is_local = ["http://localhost", "http://127.", "http://[:", "http://[0"];
        let is_plain_http = lower.starts_with("http:");
        assert_eq!(uri.is_loopback(), is_plain_http);
        assert!(!is_plain_http || is_local.iter().any(|start| lower.starts_with(start)));
        for script in ["javascript:", "data:", "vbscript:", "file:", "blob:"] {
            assert!(!lower.starts_with(script));
        }
    }
    if let Ok(url) = ResourceUrl::try_from(text.to_owned()) {
        let form = url.as_str();
        assert!(is_plain(form) && !form.ends_with('/') && !form.contains(['?', '#', '\\']));
        assert!(form.len() <= text.len());
        assert_eq!(ResourceUrl::try_from(form.to_owned()).as_ref(), Ok(&url));
    }
    if let Ok(scope) = Scope::parse(text) {
        assert!(scope.tokens().all(is_plain));
        assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
    }
});
