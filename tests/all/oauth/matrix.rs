//! Clients that others wrote, in each way in which the server can know them, at an issuer with
//! and without a path.
//!
//! `host/docs/clients.md` has a table of them, which is made from the same list.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::metadata_documents::Documents;
use super::real_clients::{Guarded, lives_through_all, with_rmcp};
use crate::clients::{client, node, script};

/// How a client is known to the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// It registers itself.
    ByItself,
    /// By its metadata document.
    ByDocument,
    /// An administrator has registered it, without a secret.
    ByAdministrator,
    /// An administrator has registered it, with a secret.
    WithSecret,
}

use Way::{ByAdministrator, ByDocument, ByItself, WithSecret};

const WAYS: [Way; 4] = [ByItself, ByDocument, ByAdministrator, WithSecret];
const PATHS: [&str; 2] = ["", "/tenant"];

/// The addresses to which the clients send their users back, at any port.
const REDIRECT_URIS: [&str; 3] = [
    "http://127.0.0.1/callback",
    "http://127.0.0.1/oauth/callback",
    "http://localhost/oauth/callback",
];

/// A client, and what is expected of it.
struct Subject {
    name: &'static str,
    package: Package,
    /// Returns the command that runs it, with this folder as its home.
    command: fn(&Path) -> Command,
    /// What does not work, or is not its business, with the reason.
    exceptions: &'static [(Cell, &'static str)],
}

/// The package of a client.
enum Package {
    Npm(&'static str),
    /// With the file that pins it.
    Python(&'static str, &'static str),
    Crate(&'static str),
}

impl Package {
    fn name(&self) -> &'static str {
        let (Package::Npm(name) | Package::Python(_, name) | Package::Crate(name)) = self;
        name
    }

    /// Returns the version that is installed.
    fn version(&self) -> String {
        let read = |path: &str| fs::read_to_string(client(path)).unwrap();
        match self {
            Package::Npm(name) => {
                let package: Value = serde_json::from_str(&read("package.json")).unwrap();
                package["dependencies"][name].as_str().unwrap().to_owned()
            }
            Package::Python(file, name) => {
                let pinned = read(file);
                let mut versions = pinned.lines().filter_map(|line| line.split_once("=="));
                versions
                    .find(|(pinned, _)| pinned == name)
                    .unwrap()
                    .1
                    .to_owned()
            }
            Package::Crate(name) => {
                let lock = read("rmcp/Cargo.lock");
                let (_, rest) = lock
                    .split_once(&format!("name = \"{name}\"\nversion = \""))
                    .unwrap();
                rest.split('"').next().unwrap().to_owned()
            }
        }
    }
}

/// What does not work.
#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Known(Way),
    MoreScopes,
}

impl Subject {
    fn reason(&self, cell: Cell) -> Option<&'static str> {
        let mut exceptions = self.exceptions.iter();
        let found = exceptions.find(|(exception, _)| *exception == cell);
        found.map(|(_, reason)| *reason)
    }

    fn run(&self) {
        let ways = WAYS.into_iter();
        for way in ways.filter(|way| self.reason(Cell::Known(*way)).is_none()) {
            for path in PATHS {
                println!("{} {way:?} {path:?}", self.name);
                self.run_as(way, path);
            }
        }
    }

    fn run_as(&self, way: Way, path: &str) {
        let documents = (way == ByDocument).then(Documents::start);
        let guarded = match &documents {
            Some(documents) => documents.authorization_server_at(path, "loopback"),
            None => Guarded::start(path),
        };
        let mut command = (self.command)(guarded.home.path());
        command.arg(format!("{}/mcp", guarded.issuer));
        if let Some(documents) = &documents {
            command.env("CLIENT_METADATA_URL", documents.url("/client.json"));
        }
        let method = match way {
            ByItself | ByDocument => None,
            ByAdministrator => Some("none"),
            WithSecret => Some("client_secret_basic"),
        };
        if let Some(method) = method {
            let input = json!({
                "client_name": "Desk",
                "redirect_uris": REDIRECT_URIS,
                "token_endpoint_auth_method": method,
            });
            let registered = guarded.operate("create_client", &input);
            command.env("CLIENT_ID", registered["client_id"].as_str().unwrap());
            if let Some(secret) = registered["client_secret"].as_str() {
                command.env("CLIENT_SECRET", secret);
            }
        }
        // A client that no administrator vouches for gets no permission of UserAuth itself.
        let is_verified = matches!(way, ByAdministrator | WithSecret);
        let asks_for_more = is_verified && self.reason(Cell::MoreScopes).is_none();
        let guarded = lives_through_all(guarded, command, asks_for_more);
        let listed = guarded.operate("list_clients", &json!({}));
        let clients = listed["clients"].as_array().unwrap().iter();
        let known: Vec<&Value> = clients.map(|client| &client["registration"]).collect();
        let expected = match way {
            ByItself => "dynamic",
            ByDocument => "document",
            ByAdministrator | WithSecret => "pre_registered",
        };
        assert_eq!(known, [expected], "{listed}");
    }
}

/// Makes a test of each client, and the list of all of them.
macro_rules! subjects {
    ($($test:ident: $subject:expr;)*) => {
        const SUBJECTS: &[Subject] = &[$($subject),*];

        $(#[test]
        fn $test() {
            $subject.run();
        })*
    };
}

const APPLICATION: &str = "the application that uses it would have to ask";

subjects! {
    the_python_sdk_lives_through_all: Subject {
        name: "Python SDK",
        package: Package::Python("requirements.txt", "mcp"),
        command: |home| script(client(".venv/bin/python"), "python_sign_in.py", home),
        exceptions: &[],
    };
    version_1_of_the_python_sdk_lives_through_all: Subject {
        name: "Python SDK, version 1",
        package: Package::Python("python1/requirements.txt", "mcp"),
        command: |home| script(client("python1/.venv/bin/python"), "python_sign_in_1.py", home),
        exceptions: &[],
    };
    the_typescript_sdk_lives_through_all: Subject {
        name: "TypeScript SDK",
        package: Package::Npm("@modelcontextprotocol/client"),
        command: |home| with(script(node(), "typescript_sign_in.mjs", home), "2"),
        exceptions: &[],
    };
    version_1_of_the_typescript_sdk_lives_through_all: Subject {
        name: "TypeScript SDK, version 1",
        package: Package::Npm("@modelcontextprotocol/sdk"),
        command: |home| with(script(node(), "typescript_sign_in.mjs", home), "1"),
        exceptions: &[(
            Cell::MoreScopes,
            "fails: it refreshes its token, which has no more scopes, and gives up",
        )],
    };
    rmcp_lives_through_all: Subject {
        name: "Rust SDK",
        package: Package::Crate("rmcp"),
        command: |_| Command::new(with_rmcp("rmcp-sign-in")),
        exceptions: &[],
    };
    mcp_remote_lives_through_all: Subject {
        name: "mcp-remote, for clients that only support standard input and output",
        package: Package::Npm("mcp-remote"),
        command: |home| script(node(), "mcp_remote_sign_in.mjs", home),
        exceptions: &[(
            Cell::MoreScopes,
            "fails: it shows the address, but does not repeat the call",
        )],
    };
    the_mcp_inspector_lives_through_all: Subject {
        name: "MCP Inspector, its command line",
        package: Package::Npm("@modelcontextprotocol/inspector"),
        command: |home| script(node(), "inspector_sign_in.mjs", home),
        exceptions: &[(Cell::MoreScopes, "it calls only tools that it has found in the list")],
    };
    openid_client_lives_through_all: Subject {
        name: "openid-client, as a plain OAuth client",
        package: Package::Npm("openid-client"),
        command: |home| script(node(), "openid_client.mjs", home),
        exceptions: &[(Cell::MoreScopes, APPLICATION)],
    };
    authlib_lives_through_all: Subject {
        name: "Authlib, as a plain OAuth client",
        package: Package::Python("requirements.txt", "Authlib"),
        command: |home| script(client(".venv/bin/python"), "authlib_client.py", home),
        exceptions: &[
            (Cell::Known(ByItself), "it does not register"),
            (Cell::MoreScopes, APPLICATION),
        ],
    };
}

fn with(mut command: Command, argument: &str) -> Command {
    command.arg(argument);
    command
}

/// Returns the table of the clients.
pub fn table() -> String {
    let mut table = "| client | registers itself | has a metadata document | registered by an \
         administrator | with a secret | refresh | restart | more scopes | access taken away |\n\
         |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for subject in SUBJECTS {
        let cell = |cell| subject.reason(cell).unwrap_or("yes");
        let ways = WAYS.map(|way| cell(Cell::Known(way))).join(" | ");
        let (name, more) = (subject.name, cell(Cell::MoreScopes));
        let (package, version) = (subject.package.name(), subject.package.version());
        writeln!(
            table,
            "| {name} (`{package}` {version}) | {ways} | yes | goes on | {more} | asks again |"
        )
        .unwrap();
    }
    table
}
