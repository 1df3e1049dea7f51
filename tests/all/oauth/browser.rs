//! A browser without scripts: cookies and forms.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ureq::Agent;
use user_auth_tests::Server;

/// A browser.
pub struct Browser {
    url: String,
    agent: Agent,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// A page, or a redirect.
pub struct Page {
    pub status: u16,
    pub text: String,
    headers: Vec<(String, String)>,
}

impl Page {
    /// Returns a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Browser {
    /// Opens a browser.
    pub fn new(server: &Server) -> Browser {
        Browser::with_cookies(server, BTreeMap::new())
    }

    /// Opens a browser at the URL of another server.
    pub fn at(url: &str) -> Browser {
        Browser::open(url, BTreeMap::new())
    }

    /// Opens a browser that has these cookies.
    pub fn with_cookies(server: &Server, cookies: BTreeMap<String, String>) -> Browser {
        Browser::open(&server.url, cookies)
    }

    fn open(url: &str, cookies: BTreeMap<String, String>) -> Browser {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Browser {
            url: url.to_owned(),
            agent,
            cookies: RefCell::new(cookies),
        }
    }

    /// Returns the cookies.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.borrow().clone()
    }

    /// Gets a page.
    pub fn get(&self, target: &str) -> Page {
        let request = self.agent.get(format!("{}{target}", self.url));
        let request = request.header("cookie", self.cookie());
        self.page(request.call().unwrap())
    }

    /// Sends the form of a page, with its hidden fields, its checked boxes and these.
    pub fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let (_, form) = page.text.split_once("<form").expect(&page.text);
        let (_, action) = form.split_once("action=\"").unwrap();
        let action = action.split('"').next().unwrap();
        let mut all: Vec<(String, String)> = form
            .split("<input ")
            .skip(1)
            .map(|input| input.split('>').next().unwrap())
            .filter(|input| {
                let is = |kind| attribute(input, "type") == Some(kind);
                is("hidden") || is("checkbox") && input.ends_with(" checked")
            })
            .map(|input| {
                let value = attribute(input, "value").unwrap();
                (
                    attribute(input, "name").unwrap().to_owned(),
                    unescaped(value),
                )
            })
            .collect();
        all.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let all: Vec<(&str, &str)> = all
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let request = self.agent.post(format!("{}{action}", self.url));
        let request = request
            .header("cookie", self.cookie())
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.page(request.send(encode(&all)).unwrap())
    }

    fn cookie(&self) -> String {
        let cookies = self.cookies.borrow();
        let pairs = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn page(&self, mut response: ureq::http::Response<ureq::Body>) -> Page {
        let fields = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
        let headers: Vec<(String, String)> = fields.collect();
        for (_, cookie) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.borrow_mut();
            match value {
                "" => cookies.remove(name),
                value => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Page {
            status: response.status().as_u16(),
            text: response.body_mut().read_to_string().unwrap(),
            headers,
        }
    }
}

/// Encodes a form.
pub fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let bytes = text.bytes().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        });
        bytes.collect::<String>()
    };
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Returns an attribute of an element, as it is written.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = element.split_once(&format!("{name}=\""))?;
    value.split('"').next()
}

fn unescaped(text: &str) -> String {
    let text = text
        .replace("&#38;", "&")
        .replace("&#34;", "\"")
        .replace("&#39;", "'");
    text.replace("&#60;", "<").replace("&#62;", ">")
}
