//! A Consul agent for tests, which holds its clients to the documented API
//! (developer.hashicorp.com/consul/api-docs/agent/service) more strictly than Consul.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::http::{Request, answer};

/// A Consul agent.
pub struct Consul {
    /// The base URL: `http://127.0.0.1:PORT`.
    pub url: String,
    events: Mutex<Receiver<ConsulEvent>>,
    services: Services,
}

type Services = Arc<Mutex<BTreeMap<String, Value>>>;

/// A request that the agent received, or the result of a check.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsulEvent {
    /// A service was registered, and its health check answered with this status.
    Registered {
        /// The registration as it was sent.
        service: Value,
        /// The status of the HTTP check, or `None` if there was no response.
        health: Option<u16>,
    },
    /// The service with this id was deregistered.
    Deregistered(String),
    /// A request was refused with this status.
    Refused(u16),
}

impl Consul {
    /// Starts an agent without access control, on a port of its own.
    pub fn start() -> Consul {
        Consul::at("127.0.0.1:0", None)
    }

    /// Starts an agent that accepts registrations with this token only.
    pub fn with_token(token: &str) -> Consul {
        Consul::at("127.0.0.1:0", Some(token.to_owned()))
    }

    /// Starts an agent at this address.
    pub fn at(address: &str, token: Option<String>) -> Consul {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, events) = channel();
        let services = Services::default();
        let shared = Arc::clone(&services);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, services) = (sender.clone(), Arc::clone(&shared));
                let token = token.clone();
                thread::spawn(move || serve(stream, token.as_deref(), &sender, &services));
            }
        });
        Consul {
            url: format!("http://{address}"),
            events: Mutex::new(events),
            services,
        }
    }

    /// Waits for the next event.
    pub fn next(&self) -> ConsulEvent {
        let events = self.events.lock().expect("no thread failed");
        events
            .recv_timeout(Duration::from_secs(60))
            .expect("an event arrives")
    }

    /// Returns the ids of the registered services.
    pub fn services(&self) -> Vec<String> {
        let services = self.services.lock().expect("no thread failed");
        services.keys().cloned().collect()
    }

    /// Loses its data, as an agent does that restarts without its data folder.
    pub fn forget(&self) {
        self.services.lock().expect("no thread failed").clear();
    }
}

fn serve(stream: TcpStream, token: Option<&str>, events: &Sender<ConsulEvent>, known: &Services) {
    let Some(request) = Request::read(&stream) else {
        return;
    };
    let answered = judge(&request, token, known);
    // The event is sent before the client gets its answer, so that no test sees the second
    // event before the first. The test may be over by then.
    let (status, body) = match answered {
        Ok((event, body)) => {
            if let Some(event) = event {
                let _ = events.send(event);
            }
            (200, body)
        }
        Err((status, reason)) => {
            // Clients keep asking for an unknown service.
            if request.method != "GET" {
                let _ = events.send(ConsulEvent::Refused(status));
            }
            (status, reason)
        }
    };
    answer(stream, status, body.as_bytes());
}

type Judged = Result<(Option<ConsulEvent>, String), (u16, String)>;

fn judge(request: &Request, token: Option<&str>, known: &Services) -> Judged {
    let refused = |status: u16, reason: &str| Err((status, reason.to_owned()));
    let Some(path) = request.path.strip_prefix("/v1/agent/service/") else {
        return refused(404, "no such endpoint");
    };
    let expected = match path {
        "register" => "PUT",
        _ if path.starts_with("deregister/") => "PUT",
        _ => "GET",
    };
    if request.method != expected {
        return refused(405, "method not allowed");
    }
    if token.is_some() && request.header("x-consul-token") != token {
        return refused(403, "Permission denied");
    }
    let mut services = known.lock().expect("no thread failed");
    if path == "register" {
        let service = match registration(&request.body) {
            Ok(service) => service,
            Err(problem) => return refused(400, &problem),
        };
        let id = service["ID"].as_str().unwrap_or_default().to_owned();
        let health = check(&service);
        services.insert(id, service.clone());
        return Ok((
            Some(ConsulEvent::Registered { service, health }),
            String::new(),
        ));
    }
    if let Some(id) = path.strip_prefix("deregister/") {
        return match services.remove(id) {
            Some(_) => Ok((
                Some(ConsulEvent::Deregistered(id.to_owned())),
                String::new(),
            )),
            None => refused(404, "Unknown service ID"),
        };
    }
    match services.get(path) {
        Some(service) => Ok((None, service.to_string())),
        None => refused(404, "unknown service ID"),
    }
}

/// Performs the HTTP check.
fn check(service: &Value) -> Option<u16> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let answer = agent.get(service["Check"]["HTTP"].as_str()?).call();
    Some(answer.ok()?.status().as_u16())
}

/// Returns the service that a body describes, or the mistake in it.
fn registration(body: &[u8]) -> Result<Value, String> {
    let service: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    only(
        &service,
        &[
            ("Name", Value::is_string),
            ("ID", Value::is_string),
            ("Tags", is_texts),
            ("Address", Value::is_string),
            ("Meta", is_meta),
            ("Port", Value::is_u64),
            ("Check", Value::is_object),
        ],
    )?;
    only(
        &service["Check"],
        &[
            ("Name", Value::is_string),
            ("HTTP", Value::is_string),
            ("Method", Value::is_string),
            ("Interval", is_duration),
            ("Timeout", is_duration),
            ("DeregisterCriticalServiceAfter", is_duration),
        ],
    )?;
    for required in ["Name", "ID", "Port", "Check"] {
        if service[required].is_null() {
            return Err(format!("{required} is missing"));
        }
    }
    Ok(service)
}

/// A field, and a predicate for its values.
type Field<'a> = (&'a str, fn(&Value) -> bool);

fn only(object: &Value, fields: &[Field<'_>]) -> Result<(), String> {
    let empty = Map::new();
    for (name, value) in object.as_object().unwrap_or(&empty) {
        let known = fields.iter().find(|(known, _)| known == name);
        if !known.is_some_and(|(_, fits)| fits(value)) {
            return Err(format!("{name} is unknown, or no {value}"));
        }
    }
    Ok(())
}

fn is_texts(value: &Value) -> bool {
    let list = value.as_array();
    list.is_some_and(|list| list.iter().all(Value::is_string))
}

fn is_meta(value: &Value) -> bool {
    let meta = value.as_object();
    meta.is_some_and(|meta| {
        meta.len() <= 64
            && meta.iter().all(|(key, value)| {
                let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
                key.chars().all(is_plain) && value.as_str().is_some_and(|text| text.len() <= 512)
            })
    })
}

/// A duration as Go writes it, with one unit.
fn is_duration(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let number = text.trim_end_matches(['h', 'm', 's']);
    number.len() < text.len() && number.parse::<u32>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_agent_refuses_invalid_registrations() {
        let good = json!({"Name": "a", "ID": "b", "Port": 1, "Check": {"Interval": "10s"}});
        assert!(registration(good.to_string().as_bytes()).is_ok());
        for (field, wrong) in [
            ("Port", json!("1")),
            ("port", json!(1)),
            ("Tags", json!("mcp")),
            ("Meta", json!({"a": 1})),
            ("Check", json!({"Interval": 10})),
            ("Check", json!({"Http": "http://127.0.0.1"})),
        ] {
            let mut bad = good.clone();
            bad[field] = wrong;
            assert!(registration(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
        assert!(registration(b"{").is_err());
    }
}
