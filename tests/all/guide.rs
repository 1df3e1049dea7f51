//! The ways of access that the integration guide documents, as its readers would type them:
//! its file of security settings, curl and Python with an API key, a registration with
//! Consul, a Service of Kubernetes.

use std::fs;
use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use tempfile::TempDir;
use user_auth_tests::{Consul, ConsulEvent, Options, PASSWORD, Server, command, folder};

/// The guide's file, word for word.
const SECURITY: &str = r#"{"security": {
   "authentication": {"type": "api_key", "header": "X-API-Key"},
   "rate_limiting": {"requests_per_minute": 100, "burst_size": 10},
   "cors": {"enabled": true, "allowed_origins": ["https://yourdomain.com"]}}}"#;

/// A typical client that uses only Python's standard library.
const CLIENT: &str = r#"
import json, sys, urllib.error, urllib.request

class UserAuthClient:
    def __init__(self, base_url, api_key):
        self.base_url, self.api_key, self.id = base_url, api_key, 0

    def call(self, method, params=None):
        self.id += 1
        body = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params or {}}
        request = urllib.request.Request(
            self.base_url + "/mcp", json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-API-Key": self.api_key})
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def tool(self, name, arguments):
        return self.call("tools/call", {"name": name, "arguments": arguments})

url, key, password = sys.argv[1:]
client = UserAuthClient(url, key)
capabilities = client.tool("user-auth_get_capabilities", {})
registered = client.tool("user-auth_execute_primary_operation", {
    "data": {"operation": "register", "username": "carol", "password": password}})
refused = UserAuthClient(url, "wrong").call("tools/list")
print(json.dumps([capabilities, registered, refused]))
"#;

/// A server with the guide's file, and an API key for its callers.
struct Guide {
    server: Server,
    key: String,
    _home: TempDir,
}

impl Guide {
    fn start() -> Guide {
        let home = folder();
        let file = home.path().join("config.json");
        fs::write(&file, SECURITY).unwrap();
        let config = file.display().to_string();
        let server = Options::new()
            .home(home.path())
            .arg("--config")
            .arg(&config)
            .start();
        let agent = operator(home.path(), &["create_service_account", "username=agent"]);
        let owner = format!("user_id={}", agent["user_id"].as_str().unwrap());
        let key = operator(home.path(), &["create_api_key", "name=first", &owner]);
        let key = key["api_key"].as_str().unwrap().to_owned();
        Guide {
            server,
            key,
            _home: home,
        }
    }

    /// Runs `curl` with these arguments and returns body and status.
    fn curl(&self, path: &str, arguments: &[&str]) -> (Value, String) {
        let output = Command::new("curl")
            .args(["-s", "-w", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("{}{path}", self.server.url))
            .output()
            .expect("curl runs");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (serde_json::from_str(body).unwrap(), status.to_owned())
    }

    fn post(&self, message: &Value) -> (Value, String) {
        let (key, message) = (format!("X-API-Key: {}", self.key), message.to_string());
        let json = "Content-Type: application/json";
        self.curl(
            "/mcp",
            &["-X", "POST", "-H", json, "-H", &key, "-d", &message],
        )
    }
}

fn operator(home: &Path, arguments: &[&str]) -> Value {
    let output = command(home).arg("call").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn message(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

#[test]
fn curl_with_a_key_can_call_tools_and_read_metrics_and_prompts() {
    let guide = Guide::start();
    let (health, status) = guide.curl("/health", &[]);
    assert_eq!((status.as_str(), &health["status"]), ("200", &json!("ok")));

    let tool = |name: &str, arguments: Value| {
        let params = json!({"name": name, "arguments": arguments});
        guide.post(&message("tools/call", params))
    };
    let (answer, _) = tool("user-auth_get_capabilities", json!({}));
    let operations = &answer["result"]["structuredContent"]["operations"];
    assert!(operations.as_array().is_some_and(|all| !all.is_empty()));
    let data = json!({"operation": "register", "username": "alice", "password": PASSWORD});
    let (answer, status) = tool("user-auth_execute_primary_operation", json!({"data": data}));
    assert_eq!(status, "200");
    let result = &answer["result"]["structuredContent"];
    assert!(result.to_string().contains("alice"), "{answer}");

    let uri = "mcp://user-auth/metrics";
    let (answer, _) = guide.post(&message("resources/read", json!({"uri": uri})));
    assert_eq!(answer["result"]["contents"][0]["uri"], uri, "{answer}");
    let (answer, _) = guide.post(&message("prompts/list", json!({})));
    assert!(
        answer["result"]["prompts"][0]["name"].is_string(),
        "{answer}"
    );
}

#[test]
fn curl_without_a_key_gets_the_documented_error() {
    let guide = Guide::start();
    let list = message("tools/list", json!({})).to_string();
    let json = "Content-Type: application/json";
    let (answer, status) = guide.curl("/mcp", &["-X", "POST", "-H", json, "-d", &list]);
    assert_eq!(status, "401");
    assert_eq!(answer["id"], 1);
    let error = &answer["error"];
    assert_eq!(error["code"], -32001);
    assert!(error["message"].is_string());
    assert_eq!(error["data"]["module"], "UserAuth");
    for field in ["operation", "timestamp", "details"] {
        assert!(!error["data"][field].is_null(), "{field} in {answer}");
    }
}

#[test]
fn python_with_a_key_can_call_tools() {
    let guide = Guide::start();
    let output = Command::new("python3")
        .args(["-c", CLIENT, &guide.server.url, &guide.key, PASSWORD])
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let [capabilities, registered, refused] = &answers[..] else {
        panic!("expected three answers");
    };
    assert_eq!(capabilities["result"]["isError"], false);
    assert!(
        registered["result"].to_string().contains("carol"),
        "{registered}"
    );
    assert_eq!(refused["error"]["code"], -32001);
}

/// Registers by hand, as in the guide; `--consul` does the same automatically.
#[test]
fn a_manual_registration_with_consul_is_accepted_and_healthy() {
    let guide = Guide::start();
    let agent = Consul::start();
    let port: u16 = guide
        .server
        .url
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let service = json!({
        "ID": "user-auth-mcp-server",
        "Name": "user-auth-mcp-server",
        "Address": "127.0.0.1",
        "Port": port,
        "Tags": ["mcp", "ai-discoverable", "authentication"],
        "Meta": {"protocol": "mcp", "domain": "authentication", "type": "wasm-component"},
        "Check": {"HTTP": format!("{}/health", guide.server.url), "Interval": "10s"},
    });
    let registered = Command::new("curl")
        .args(["-s", "-f", "-X", "PUT", "--data", &service.to_string()])
        .arg(format!("{}/v1/agent/service/register", agent.url))
        .status()
        .expect("curl runs");
    assert!(registered.success());
    let told = ConsulEvent::Registered {
        service,
        health: Some(200),
    };
    assert_eq!(agent.next(), told);
}

#[test]
fn the_kubernetes_service_of_the_guide_is_valid() {
    let manifest = "
apiVersion: v1
kind: Service
metadata:
  name: user-auth-mcp
  annotations:
    mcp.protocol/version: \"2025-11-25\"
    mcp.discovery/enabled: \"true\"
spec:
  selector:
    app: user-auth
  ports:
    - port: 8000
      targetPort: 8000
";
    let service: Service = serde_saphyr::from_str(manifest).unwrap();
    let written: Value = serde_json::to_value(&service).unwrap();
    let read: Value = serde_saphyr::from_str(manifest).unwrap();
    assert_eq!(written, read, "a field that Kubernetes does not know");
    // Our own manifest has the same annotations.
    let ours = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../host/deploy/kubernetes/service.yaml"
    );
    let ours: Service = serde_saphyr::from_str(&fs::read_to_string(ours).unwrap()).unwrap();
    let annotations = ours.metadata.annotations.unwrap();
    for (name, _) in service.metadata.annotations.unwrap() {
        assert!(annotations.contains_key(&name), "{name}");
    }
    let ports = ours.spec.unwrap().ports.unwrap();
    assert!(ports.iter().any(|port| port.port == 8000));
}
