//! One request of a browser.

use serde_json::Value;

use super::cookies::Cookie;
use super::form_token;
use super::language;
use super::page::Frame;
use super::sign_in;
use super::texts::Texts;
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal};
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::browser;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::json::{Fields, Node};
use crate::oauth::parameters::{self, Parameters};
use crate::operations::{self, Operation};
use crate::settings::OAuth;
use crate::types::mac;

/// One request of a browser.
pub struct Visit<'a> {
    /// The call of its anonymous caller.
    pub call: Call<'a>,
    /// The settings of the pages.
    pub oauth: &'a OAuth,
    /// The query, without its question mark.
    pub query: &'a str,
    /// The form, which is empty unless the method is POST.
    pub form: Parameters,
    /// The header fields `cookie`.
    pub cookies: Vec<&'a str>,
    /// The header field `accept-language`.
    pub accept_language: Option<&'a str>,
    /// The header field `origin`.
    pub origin: Option<&'a str>,
    /// The header field `sec-fetch-site`.
    pub fetch_site: Option<&'a str>,
    /// The header field `sec-fetch-dest`.
    pub fetch_dest: Option<&'a str>,
}

impl Visit<'_> {
    /// Returns the words of the page.
    pub fn texts(&self) -> &'static Texts {
        let query = Parameters::parse(self.query.as_bytes()).unwrap_or_default();
        language::choose(query.first("ui_locales"), self.accept_language)
    }

    /// Returns the frame of a page.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            texts: self.texts(),
            service: self.oauth.service_name.as_str(),
            base: self.oauth.public_url.path(),
            has_logo: self.oauth.has_logo,
        }
    }

    /// Returns the address of a page from which the user goes on to `return_to`, if that is
    /// not empty.
    pub fn link(&self, page: &str, return_to: &str) -> String {
        let base = self.oauth.public_url.path();
        match return_to {
            "" => format!("{base}{page}"),
            to => format!("{base}{page}?{}", parameters::encode(&[("return_to", to)])),
        }
    }

    /// Returns the parameter `return_to` of the query, if the user may be sent there.
    pub fn return_to(&self) -> String {
        let query = Parameters::parse(self.query.as_bytes()).unwrap_or_default();
        let return_to = query.first("return_to").unwrap_or_default();
        sign_in::checked(return_to, self).to_owned()
    }

    /// Returns a field of the form, which is empty if it was left out.
    pub fn typed(&self, name: &str) -> &str {
        self.form.first(name).unwrap_or_default()
    }

    /// Returns a cookie.
    pub fn cookie(&self, cookie: Cookie) -> Option<String> {
        cookie.read(&self.cookies, self.oauth.public_url.is_https())
    }

    /// Returns the session of the browser, if it is signed in.
    pub fn session(&self) -> Result<Option<Session>> {
        match self.cookie(Cookie::Session) {
            Some(cookie) => browser::session(&cookie, &self.call),
            None => Ok(None),
        }
    }

    /// Runs the operation of this name with these texts as its input, as a program could,
    /// and as the owner of the session if there is one. What it returns is not needed.
    pub fn invoke(
        &self,
        name: &str,
        input: &[(&str, &str)],
        session: Option<&Session>,
    ) -> Result<()> {
        let owner = session.map(|session| self.owner(session)).transpose()?;
        let call = Call {
            caller: owner.as_ref().unwrap_or(self.call.caller),
            ..self.call.clone()
        };
        operations::invoke(name, Node::Object(Fields::from(input)), &call)?;
        Ok(())
    }

    /// Returns the owner of a session as a caller.
    fn owner(&self, session: &Session) -> Result<Caller> {
        let call = &self.call;
        let issued = AccessToken::issue(session, &call.settings.audience, call)?;
        Ok(Caller {
            principal: Principal::AccessToken(issued.token),
            source: call.caller.source,
        })
    }

    /// Runs an operation as the owner of the session. `shown` is the input for the audit log.
    pub fn run<O: Operation>(
        &self,
        operation: O,
        shown: &Value,
        session: &Session,
    ) -> Result<O::Output> {
        let caller = self.owner(session)?;
        let call = Call {
            caller: &caller,
            ..self.call.clone()
        };
        operations::call(operation, shown, &call)
    }

    /// Returns the token for a form, and the header field that sets the cookie which the
    /// token belongs to, if the browser has none yet.
    pub fn form_token(&self) -> Result<(String, Option<(String, String)>)> {
        let ports = &self.call.ports;
        if let Some(cookie) = self.cookie(Cookie::Form) {
            return Ok((form_token::of_cookie(&cookie, ports)?, None));
        }
        let mut bytes = [0; 32];
        ports.random.fill(&mut bytes)?;
        let value = mac::to_hex(&bytes);
        let set = Cookie::Form.set(&value, None, self.oauth.public_url.is_https());
        Ok((form_token::of_cookie(&value, ports)?, Some(set)))
    }

    /// Reports whether the form was sent by a page of this service in this browser.
    pub fn is_of_own_form(&self) -> Result<bool> {
        let (Some(token), Some(cookie)) =
            (self.form.first("form_token"), self.cookie(Cookie::Form))
        else {
            return Ok(false);
        };
        Ok(self.is_of_own_page() && form_token::is_of_cookie(token, &cookie, &self.call.ports)?)
    }

    /// Reports whether the user can see that the browser goes to this page. Browsers that are
    /// older than the header `Sec-Fetch-Dest` do not say whether they load it as an image or
    /// into a frame.
    pub fn is_visible(&self) -> bool {
        self.fetch_dest.is_none_or(|dest| dest == "document")
    }

    /// Reports whether the browser says that a page of this service has sent the form.
    /// Browsers that are older than the header `Sec-Fetch-Site` name the origin, which is
    /// `null` for pages that send no referrer; then only the token in the form decides.
    pub fn is_of_own_page(&self) -> bool {
        match (self.fetch_site, self.origin) {
            (Some(site), _) => site == "same-origin",
            (None, Some(origin)) => origin == "null" || origin == self.oauth.public_url.origin(),
            (None, None) => true,
        }
    }
}
