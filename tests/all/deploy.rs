//! The deployment files, as far as they can be checked without a deployment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Probe, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use serde_json::{Value, json};
use user_auth_tests::{Options, Server, built, folder};

fn folder_of(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part)
}

fn text(name: &str) -> String {
    let path = folder_of("host/deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Parses the manifest with this name and rejects fields that its type does not know.
fn manifest<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let written: Value = serde_saphyr::from_str(&text(&format!("kubernetes/{name}.yaml")))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let read: T =
        serde_json::from_value(written.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), written, "{name}");
    read
}

fn pod() -> PodSpec {
    let deployment: Deployment = manifest("deployment");
    deployment.spec.unwrap().template.spec.unwrap()
}

fn container() -> Container {
    let [container] = pod().containers.try_into().unwrap();
    container
}

fn configuration() -> String {
    let map: ConfigMap = manifest("configmap");
    map.data.unwrap()["config.json"].clone()
}

/// Starts a server as the container does, except for the port, the store and the key.
fn start() -> (tempfile::TempDir, Server) {
    let folder = folder();
    let file = folder.path().join("config.json");
    fs::write(&file, configuration()).unwrap();
    let mut options = Options::new().store("memory");
    for variable in container().env.unwrap() {
        if let Some(value) = &variable.value
            && variable.name.starts_with("USER_AUTH_")
        {
            options = options.env(&variable.name, &value.replace("$(NAMESPACE)", "auth"));
        }
    }
    let file = file.display().to_string();
    for argument in container().args.unwrap() {
        options = match argument.as_str() {
            // Variables that the test harness sets itself.
            "serve" | "--listen" | "0.0.0.0:8000" => options,
            "/etc/user-auth/config.json" => options.arg(&file),
            other => options.arg(other),
        };
    }
    (folder, options.start())
}

#[test]
fn every_manifest_is_listed_and_has_only_known_fields() {
    let _: Deployment = manifest("deployment");
    let _: Service = manifest("service");
    let _: ConfigMap = manifest("configmap");
    let secret: Secret = manifest("secret.example");
    let _: PodDisruptionBudget = manifest("poddisruptionbudget");
    let _: HorizontalPodAutoscaler = manifest("horizontalpodautoscaler");
    let _: NetworkPolicy = manifest("networkpolicy");
    let values = secret.string_data.unwrap();
    assert!(values.values().all(String::is_empty), "no secret is in it");

    let list: Value = serde_saphyr::from_str(&text("kubernetes/kustomization.yaml")).unwrap();
    let listed = list["resources"].as_array().unwrap().iter();
    let listed: BTreeSet<String> = listed.map(|one| one.as_str().unwrap().to_owned()).collect();
    let files = fs::read_dir(folder_of("host/deploy/kubernetes")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files
        .filter(|name| !["kustomization.yaml", "secret.example.yaml"].contains(&name.as_str()))
        .collect();
    assert_eq!(listed, files);
}

#[test]
fn the_manifests_refer_only_to_existing_objects() {
    let deployment: Deployment = manifest("deployment");
    let name = deployment.metadata.name.clone();
    let spec = deployment.spec.unwrap();
    // Applying the manifest must not undo what an autoscaler has set.
    assert_eq!(spec.replicas, None);
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    let service: Service = manifest("service");
    let budget: PodDisruptionBudget = manifest("poddisruptionbudget");
    let policy: NetworkPolicy = manifest("networkpolicy");
    let service_spec = service.spec.unwrap();
    for selector in [
        spec.selector.match_labels,
        service_spec.selector,
        budget.spec.unwrap().selector.unwrap().match_labels,
        policy.spec.unwrap().pod_selector.unwrap().match_labels,
    ] {
        let selector = selector.unwrap();
        assert!(!selector.is_empty());
        assert!(
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        );
    }
    let scaler: HorizontalPodAutoscaler = manifest("horizontalpodautoscaler");
    assert_eq!(Some(scaler.spec.unwrap().scale_target_ref.name), name);

    let ports = container().ports.unwrap();
    let port = &ports[0];
    assert_eq!(port.container_port, 8000);
    let [exposed] = service_spec.ports.unwrap().try_into().unwrap();
    assert_eq!(exposed.port, 8000);
    let named = IntOrString::String(port.name.clone().unwrap());
    assert_eq!(exposed.target_port, Some(named.clone()));
    for probe in probes() {
        assert_eq!(probe.http_get.unwrap().port, named);
    }

    let map: ConfigMap = manifest("configmap");
    let secret: Secret = manifest("secret.example");
    let keys = secret.string_data.unwrap();
    for variable in container().env.unwrap() {
        let source = variable.value_from.and_then(|from| from.secret_key_ref);
        if let Some(source) = source {
            assert_eq!(Some(source.name), secret.metadata.name);
            assert!(keys.contains_key(&source.key), "{}", source.key);
        }
    }
    let volumes = pod().volumes.unwrap();
    for mount in container().volume_mounts.unwrap() {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let config = volume.unwrap().config_map.as_ref();
        assert!(config.is_none_or(|config| Some(&config.name) == map.metadata.name.as_ref()));
    }
}

#[test]
fn a_pod_has_minimal_privileges() {
    let pod = pod();
    assert_eq!(pod.automount_service_account_token, Some(false));
    // A service called user-auth would set USER_AUTH_PORT, which is not a setting.
    assert_eq!(pod.enable_service_links, Some(false));
    let of_pod = pod.security_context.unwrap();
    assert_eq!(of_pod.run_as_non_root, Some(true));
    assert_eq!(of_pod.seccomp_profile.unwrap().type_, "RuntimeDefault");
    let container = container();
    let context = container.security_context.unwrap();
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    let resources = container.resources.unwrap();
    for bounds in [resources.limits, resources.requests] {
        let bounds = bounds.unwrap();
        assert!(bounds.contains_key("memory") && bounds.contains_key("cpu"));
    }
}

fn probes() -> Vec<Probe> {
    let container = container();
    [
        container.startup_probe,
        container.liveness_probe,
        container.readiness_probe,
    ]
    .map(Option::unwrap)
    .into()
}

#[test]
fn the_container_starts_and_answers_its_probes() {
    let (_folder, server) = start();
    for probe in probes() {
        let path = probe.http_get.unwrap().path.unwrap();
        assert_eq!(server.get(&path, &[]).status, 200, "{path}");
    }
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let inside = "user-auth.auth.svc.cluster.local:8000";
    for (host, is_allowed) in [(inside, true), ("evil.example", false)] {
        let answer = server.post(&[("host", host)], ping);
        assert_eq!(answer.status != 403, is_allowed, "{host}: {}", answer.text);
    }
}

#[test]
fn the_announced_server_matches_the_running_one() {
    let service: Service = manifest("service");
    let annotations = service.metadata.annotations.unwrap();
    assert_eq!(annotations["mcp.discovery/enabled"], "true");
    let server = Server::start();
    let version = &annotations["mcp.protocol/version"];
    let params = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": params});
    let headers = [
        ("mcp-protocol-version", version.as_str()),
        ("mcp-method", "server/discover"),
    ];
    let answer = server.post(&headers, body.to_string()).json();
    let spoken = answer["result"]["supportedVersions"].as_array();
    assert!(spoken.unwrap().contains(&json!(version)), "{answer}");

    let own = env!("CARGO_PKG_VERSION");
    let image = container().image.unwrap();
    assert_eq!(image, format!("user-auth:{own}"));
    let deployment: Deployment = manifest("deployment");
    let labels = deployment.metadata.labels.unwrap();
    assert_eq!(labels["app.kubernetes.io/version"], own);
}

#[test]
fn the_registry_entry_follows_the_registry_schema() {
    let entry: Value = serde_json::from_str(&text("server.json")).unwrap();
    assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        entry["$schema"]
            .as_str()
            .unwrap()
            .starts_with("https://static.modelcontextprotocol.io/schemas/")
    );
    let name = entry["name"].as_str().unwrap();
    let (namespace, own) = name.split_once('/').unwrap();
    let is_plain = |text: &str, also: &str| {
        let mut chars = text.chars();
        chars.all(|char| char.is_ascii_alphanumeric() || also.contains(char))
    };
    assert!(is_plain(namespace, ".-") && is_plain(own, "._-"), "{name}");
    for (field, most) in [("description", 100), ("title", 100)] {
        let length = entry[field].as_str().unwrap().len();
        assert!((1..=most).contains(&length), "{field}");
    }
    // Nothing is published yet, so there is no package to name.
    assert_eq!(entry["packages"], Value::Null);
    let remote = &entry["remotes"][0];
    assert_eq!(remote["type"], "streamable-http");
    assert_eq!(remote["url"], "https://{host}/mcp");
    assert!(remote["variables"]["host"].is_object());
    let header = &remote["headers"][0];
    let configuration: Value = serde_json::from_str(&configuration()).unwrap();
    assert_eq!(
        header["name"],
        configuration["security"]["authentication"]["header"]
    );
    assert_eq!(header["isSecret"], true);
}

/// Returns the lines of a unit, with continued lines joined.
fn unit() -> Vec<(String, String)> {
    let text = text("user-auth.service").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let words: Vec<&str> = value.split_whitespace().collect();
            (key.to_owned(), words.join(" "))
        })
        .collect()
}

#[test]
fn the_unit_starts_the_program_with_valid_arguments() {
    let unit = unit();
    let value = |key: &str| {
        let found = unit.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    };
    // The program generates machine code at run time.
    assert_eq!(value("MemoryDenyWriteExecute"), Some("no"));
    for (key, expected) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
    ] {
        assert_eq!(value(key), Some(expected), "{key}");
    }

    let home = folder();
    let etc = home.path().join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("config.json"), configuration()).unwrap();
    // systemd makes credentials readable by the group, which is the service's own.
    let (credential, source) = value("LoadCredential").unwrap().split_once(':').unwrap();
    assert_eq!(source, "/etc/user-auth/master.key");
    let credential = etc.join(credential);
    fs::write(&credential, "7".repeat(64)).unwrap();
    let private = Command::new("chmod")
        .args(["440", &credential.display().to_string()])
        .status();
    assert!(private.unwrap().success());
    let at = |path: &Path| path.display().to_string();
    let start = value("ExecStart").unwrap();
    let start = start
        .replace("/etc/user-auth", &at(&etc))
        .replace("/var/lib/user-auth", &at(home.path()))
        .replace("/var/log/user-auth", &at(home.path()));
    let arguments = start.split(' ').skip(2);
    let options = Options::new().env("CREDENTIALS_DIRECTORY", &at(&etc));
    let options = arguments.fold(options, |options, argument| options.arg(argument));
    let server = options.start();
    assert_eq!(server.get("/health", &[]).status, 200);
    let (status, _) = server.stop();
    assert!(status.success());
    for made in ["user-auth.db", "audit.jsonl"] {
        assert!(home.path().join(made).exists(), "{made}");
    }
}

/// Asks systemd to verify the unit, where systemd is installed.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = folder();
    let file = folder.path().join("user-auth.service");
    let program = built("user-auth").canonicalize().unwrap();
    let unit = text("user-auth.service");
    let unit = unit.replace("/usr/local/bin/user-auth", &program.display().to_string());
    fs::write(&file, unit).unwrap();
    for arguments in [
        &["verify", "--man=no"][..],
        &["security", "--offline=true", "--threshold=20", "--no-pager"],
    ] {
        let checked = Command::new("systemd-analyze")
            .args(arguments)
            .arg(&file)
            .output();
        let Ok(checked) = checked else {
            return;
        };
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{arguments:?}: {said}");
        // Findings about other units of this machine do not matter.
        assert!(!said.contains("user-auth.service"), "{said}");
    }
}

#[test]
fn the_image_provides_what_the_manifests_rely_on() {
    let dockerfile = text("Dockerfile");
    let line = |start: &str| {
        let found = dockerfile.lines().rfind(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start}")).to_owned()
    };
    let context = pod().security_context.unwrap();
    let user = context.run_as_user.unwrap();
    let group = context.run_as_group.unwrap();
    assert_eq!(line("USER"), format!("USER {user}:{group}"));
    assert_eq!(line("EXPOSE"), "EXPOSE 8000");
    assert_eq!(
        line("ENTRYPOINT"),
        r#"ENTRYPOINT ["/usr/local/bin/user-auth"]"#
    );
    let manifest = fs::read_to_string(folder_of("Cargo.toml")).unwrap();
    let version = line("FROM rust:").replace("FROM rust:", "");
    let version = version.split('-').next().unwrap().to_owned();
    assert!(
        manifest.contains(&format!("rust-version = \"{version}\"")),
        "{version}"
    );
    let ignored = fs::read_to_string(folder_of(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "target"));
}
