//! Registration with Consul.

use std::fs;
use std::net::TcpListener;

use serde_json::json;
use user_auth_tests::{Consul, ConsulEvent, Options, Server, folder};

/// Writes a configuration with a health check every second.
fn check_every_second(agent: &Consul) -> (tempfile::TempDir, String) {
    let folder = folder();
    let file = folder.path().join("config.json");
    let consul = json!({"url": agent.url, "interval_seconds": 1});
    let config = json!({"discovery": {"consul": consul}});
    fs::write(&file, config.to_string()).unwrap();
    let file = file.display().to_string();
    (folder, file)
}

fn port(server: &Server) -> u64 {
    server.url.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn the_server_is_registered_with_its_health_until_it_stops() {
    let agent = Consul::start();
    let server = Options::new().arg("--consul").arg(&agent.url).start();
    let ConsulEvent::Registered { service, health } = agent.next() else {
        panic!("not registered");
    };
    assert_eq!(health, Some(200), "the check is one that passes");
    let port = port(&server);
    assert_eq!(service["Name"], "user-auth-mcp-server");
    assert_eq!(service["Address"], "127.0.0.1");
    assert_eq!(service["Port"], port);
    assert_eq!(
        service["Tags"],
        json!(["mcp", "ai-discoverable", "authentication"])
    );
    assert_eq!(service["Meta"]["protocol"], "mcp");
    assert_eq!(service["Meta"]["domain"], "authentication");
    assert_eq!(service["Meta"]["type"], "wasm-component");
    assert_eq!(service["Check"]["Interval"], "10s");
    let health = format!("http://127.0.0.1:{port}/health");
    assert_eq!(service["Check"]["HTTP"], health);
    let id = service["ID"].as_str().unwrap().to_owned();
    assert_eq!(agent.services(), std::slice::from_ref(&id));

    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
    assert_eq!(agent.next(), ConsulEvent::Deregistered(id));
    assert!(agent.services().is_empty());
}

#[test]
fn the_server_registers_once_the_agent_is_reachable() {
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let url = format!("http://{address}");
    let server = Options::new()
        .env("USER_AUTH_DISCOVERY_CONSUL_URL", &url)
        .start();
    server.new_session("alice");
    let agent = Consul::at(&address, None);
    assert!(matches!(agent.next(), ConsulEvent::Registered { .. }));
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");
    let warnings = log.matches("not registered with Consul").count();
    assert_eq!(warnings, 1, "{log}");
}

#[test]
fn the_server_registers_again_after_the_agent_lost_its_data() {
    let agent = Consul::start();
    let (_folder, config) = check_every_second(&agent);
    let server = Options::new().arg("--config").arg(&config).start();
    let first = agent.next();
    assert!(matches!(first, ConsulEvent::Registered { .. }));
    agent.forget();
    assert_eq!(agent.next(), first);
    server.stop();
    assert!(matches!(agent.next(), ConsulEvent::Deregistered(_)));
}

#[test]
fn the_token_is_sent_to_the_agent_and_not_logged() {
    const TOKEN: &str = "b1gs33cr3t-5f3e-7b4a-1c2d-0123456789ab";
    let agent = Consul::with_token(TOKEN);
    let without = Options::new().arg("--consul").arg(&agent.url).start();
    assert_eq!(agent.next(), ConsulEvent::Refused(403));
    without.new_session("alice");
    let (status, log) = without.stop();
    assert!(status.success(), "{status}");
    assert!(log.contains("CONSUL_HTTP_TOKEN"), "{log}");

    let agent = Consul::with_token(TOKEN);
    let server = Options::new()
        .arg("--consul")
        .arg(&agent.url)
        .env("CONSUL_HTTP_TOKEN", TOKEN)
        .env("LOG_LEVEL", "DEBUG")
        .start();
    assert!(matches!(agent.next(), ConsulEvent::Registered { .. }));
    let (_, log) = server.stop();
    assert!(matches!(agent.next(), ConsulEvent::Deregistered(_)));
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn an_unresponsive_agent_delays_neither_start_nor_stop() {
    // The system accepts the connections, but no program answers on them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let server = Options::new().arg("--consul").arg(&url).start();
    server.new_session("alice");
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");
    assert!(log.contains("the agent does not respond"), "{log}");
}
