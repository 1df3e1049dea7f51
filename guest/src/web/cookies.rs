//! Cookies (RFC 6265). Their names begin with `__Host-`, so that a browser takes them from
//! this host only, by TLS only. On a loopback host without TLS, where browsers refuse such
//! cookies, the prefix is left out.

use std::time::Duration;

/// A cookie of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The session of the browser.
    Session,
    /// What the forms of a browser without a session are bound to.
    Form,
    /// The code of a link in a message.
    Code,
}

impl Cookie {
    fn name(self, is_https: bool) -> String {
        let prefix = if is_https { "__Host-" } else { "" };
        let name = match self {
            Cookie::Session => "user-auth-session",
            Cookie::Form => "user-auth-form",
            Cookie::Code => "user-auth-code",
        };
        format!("{prefix}{name}")
    }

    /// Returns the value of the cookie in the header fields `cookie` of a request, or `None`
    /// if there is none, or more than one: somebody else may have set one of them.
    pub fn read(self, fields: &[&str], is_https: bool) -> Option<String> {
        let wanted = self.name(is_https);
        let pairs = fields.iter().flat_map(|field| field.split(';'));
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == wanted).then_some(value)
        });
        let value = values.next()?;
        match values.next() {
            None => Some(value.to_owned()),
            Some(_) => None,
        }
    }

    /// Returns the header field that sets the cookie, for this long or until the browser
    /// ends.
    pub fn set(self, value: &str, lasts: Option<Duration>, is_https: bool) -> (String, String) {
        let name = self.name(is_https);
        let secure = if is_https { "; Secure" } else { "" };
        let max_age = lasts.map_or_else(String::new, |it| format!("; Max-Age={}", it.as_secs()));
        let value = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{max_age}");
        ("set-cookie".to_owned(), value)
    }

    /// Returns the header field that deletes the cookie.
    pub fn delete(self, is_https: bool) -> (String, String) {
        self.set("", Some(Duration::ZERO), is_https)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_only_if_there_is_one() {
        let read = |fields: &[&str]| Cookie::Session.read(fields, false);
        assert_eq!(read(&["a=1; user-auth-session=x"]).as_deref(), Some("x"));
        assert_eq!(
            read(&["a=1", "user-auth-session=x=y"]).as_deref(),
            Some("x=y")
        );
        for none in [
            &[][..],
            &["user-auth-session"],
            &["xuser-auth-session=x"],
            &["user-auth-session=x; user-auth-session=y"],
            &["user-auth-session=x", "user-auth-session=x"],
            &["__Host-user-auth-session=x"],
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
        assert_eq!(Cookie::Session.read(&["user-auth-session=x"], true), None);
    }

    #[test]
    fn cookies_are_for_this_host_alone() {
        let (_, set) = Cookie::Session.set("x", None, true);
        assert_eq!(
            set,
            "__Host-user-auth-session=x; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        let (_, set) = Cookie::Form.delete(false);
        assert_eq!(
            set,
            "user-auth-form=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }
}
