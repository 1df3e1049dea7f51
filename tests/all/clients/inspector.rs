//! The MCP Inspector, from its command line.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use user_auth_tests::{PASSWORD, Server, built, folder};

use super::{client, succeed};

struct Target<'a> {
    home: &'a Path,
    arguments: Vec<String>,
}

impl Target<'_> {
    fn run(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new("node");
        command
            .arg(client(
                "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js",
            ))
            .arg("--cli")
            .args(&self.arguments)
            .args(arguments)
            .env("HOME", self.home);
        let output = succeed(&mut command);
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error} in {output}"))
    }

    fn tool(&self, operation: &str, arguments: &[String]) -> Value {
        let name = format!("user-auth_{operation}");
        let mut all = vec!["--method", "tools/call", "--tool-name", &name];
        for argument in arguments {
            all.extend(["--tool-arg", argument]);
        }
        self.run(&all)["structuredContent"].take()
    }

    /// Lists everything, calls each tool, reads each resource and gets each prompt.
    fn tour(&self) {
        let tools = self.run(&["--method", "tools/list"]);
        let password = format!("password={PASSWORD}");
        let credentials = ["username=alice".to_owned(), password];
        let argument = |name: &str, value: &Value| [format!("{name}={}", value.as_str().unwrap())];

        let capabilities = self.tool("get_capabilities", &[]);
        let operations = capabilities["operations"].as_array().unwrap();
        assert_eq!(tools["tools"].as_array().unwrap().len(), operations.len());
        let account = self.tool("register", &credentials);
        assert_eq!(account["username"], "alice");
        let data = format!(r#"data={{"username":"alice","password":"{PASSWORD}"}}"#);
        let tokens = self.tool("execute_primary_operation", &[data]);
        assert_eq!(tokens["token_type"], "Bearer");
        let tokens = self.tool("login", &credentials);
        let verified = self.tool("verify_token", &argument("token", &tokens["access_token"]));
        assert_eq!(verified["sub"], account["user_id"]);
        let access_token = argument("access_token", &tokens["access_token"]);
        assert_eq!(self.tool("get_session", &access_token)["username"], "alice");
        let refresh_token = argument("refresh_token", &tokens["refresh_token"]);
        let tokens = self.tool("refresh_token", &refresh_token);
        let refresh_token = argument("refresh_token", &tokens["refresh_token"]);
        let ended = self.tool("logout", &refresh_token);
        assert_eq!(ended["session_id"], tokens["session_id"]);

        let resources = self.run(&["--method", "resources/list"]);
        for resource in resources["resources"].as_array().unwrap() {
            let uri = resource["uri"].as_str().unwrap();
            let read = self.run(&["--method", "resources/read", "--uri", uri]);
            assert_eq!(read["contents"][0]["uri"], uri);
        }
        let prompts = self.run(&["--method", "prompts/list"]);
        for prompt in prompts["prompts"].as_array().unwrap() {
            let name = prompt["name"].as_str().unwrap();
            let all = [
                "--method",
                "prompts/get",
                "--prompt-name",
                name,
                "--prompt-args",
                "username=alice",
            ];
            let got = self.run(&all);
            assert!(
                got["messages"][0]["content"]["text"]
                    .as_str()
                    .unwrap()
                    .contains("alice")
            );
        }
    }
}

fn over_http(era: &str) {
    let server = Server::start();
    let home = folder();
    let url = format!("{}/mcp", server.url);
    let arguments = [&url, "--transport", "http", "--protocol-era", era];
    Target {
        home: home.path(),
        arguments: arguments.map(str::to_owned).to_vec(),
    }
    .tour();
}

#[test]
fn tours_in_the_modern_era_over_http() {
    over_http("modern");
}

#[test]
fn tours_in_the_handshake_era_over_http() {
    over_http("legacy");
}

#[test]
fn tours_over_stdio() {
    let home = folder();
    let store = format!("sqlite:{}/user-auth.db", home.path().display());
    let program = built("user-auth");
    let arguments = [
        program.to_str().unwrap(),
        "stdio",
        "--operator",
        "--store",
        &store,
    ];
    Target {
        home: home.path(),
        arguments: arguments.map(str::to_owned).to_vec(),
    }
    .tour();
}
