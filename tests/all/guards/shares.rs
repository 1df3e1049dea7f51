//! The resources that one address can occupy, and those that remain for others meanwhile.
//! None of these tests waits for a time to pass: others are served while the attackers are
//! still connected.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use user_auth_host::Limits;
use user_auth_host::store::MemoryStore;
use user_auth_tests::{Options, Server, built};

use super::{PING, plugin, serve};

const ATTACKER: &str = "127.0.0.3";
const VICTIM: &str = "127.0.0.2";
/// Longer than any test may take.
const FOR_GOOD: &str = "600000";
/// A client that waits this long counts as blocked.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let connected = timeout(PATIENCE, socket.connect(to)).await;
    connected
        .expect("the server accepts a new connection")
        .unwrap()
}

fn post(body: &str, announced: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {announced}\r\n\r\n{body}"
    )
}

/// Builds a ping with this many bytes.
fn ping(bytes: usize) -> String {
    let body = format!("{PING}{}", " ".repeat(bytes - PING.len()));
    post(&body, bytes)
}

/// Returns the first bytes of the response to a request.
async fn answer(stream: &mut TcpStream, request: &str) -> String {
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        let mut seen = vec![0; 4096];
        let length = stream.read(&mut seen).await?;
        seen.truncate(length);
        Ok::<_, std::io::Error>(seen)
    };
    let seen = timeout(PATIENCE, exchange).await;
    let seen = seen.expect("other clients get a response").unwrap();
    String::from_utf8_lossy(&seen).into_owned()
}

async fn assert_served(from: &str, to: SocketAddr, request: &str) {
    let mut stream = connect(from, to).await;
    let answer = answer(&mut stream, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Asserts that these connections are open and have received no response.
fn assert_unanswered(attackers: &[TcpStream]) {
    for (number, stream) in attackers.iter().enumerate() {
        let read = stream.try_read(&mut [0; 1]);
        let waits = matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(waits, "attacker {number}: {read:?}");
    }
}

/// Sends all but the last byte of a message, as far as it is accepted.
async fn begin(from: &str, to: SocketAddr, bytes: usize) -> TcpStream {
    let mut stream = connect(from, to).await;
    let request = post(&" ".repeat(bytes - 1), bytes);
    // The server need not read the message to its end.
    let sent = timeout(Duration::from_secs(1), stream.write_all(request.as_bytes()));
    if let Ok(sent) = sent.await {
        sent.unwrap();
    }
    stream
}

async fn begin_all(from: impl Iterator<Item = String>, to: SocketAddr) -> Vec<TcpStream> {
    let mut begun = JoinSet::new();
    for from in from {
        begun.spawn(async move { begin(&from, to, 1 << 20).await });
    }
    begun.join_all().await
}

fn start() -> (Server, SocketAddr) {
    let server = Options::new()
        .store("memory")
        .env("USER_AUTH_LIMITS_BODIES_BYTES", &(16 << 20).to_string())
        .env("USER_AUTH_LIMITS_BODY_READ_MS", FOR_GOOD)
        .env("USER_AUTH_LIMITS_CALL_QUEUE_WAIT_MS", FOR_GOOD)
        .start();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    (server, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_unfinished_messages_of_one_address_leave_memory_for_others() {
    let (_server, address) = start();
    // Two and a half times the available memory.
    let attackers = begin_all((0..40).map(|_| ATTACKER.to_owned()), address).await;
    for bytes in [PING.len(), 4 << 10, 64 << 10, 1 << 20] {
        for _ in 0..5 {
            assert_served(VICTIM, address, &ping(bytes)).await;
        }
    }
    // Other clients behind the same address are served as well.
    assert_served(ATTACKER, address, &ping(PING.len())).await;
    assert_unanswered(&attackers);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_unfinished_messages_of_many_addresses_leave_memory_for_small_messages() {
    let (_server, address) = start();
    let from = (0..40).map(|number| format!("127.0.1.{}", number + 1));
    let attackers = begin_all(from, address).await;
    for _ in 0..20 {
        assert_served(VICTIM, address, &ping(PING.len())).await;
        assert_served(VICTIM, address, &ping(1 << 10)).await;
    }
    assert_unanswered(&attackers);
}

/// A complete message returns its memory to its address.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_can_send_any_number_of_messages_in_sequence() {
    let (_server, address) = start();
    let mut stream = connect(ATTACKER, address).await;
    for number in 0..40 {
        stream
            .write_all(ping(1 << 20).as_bytes())
            .await
            .unwrap_or_else(|error| panic!("message {number}: {error}"));
        let answer = answer(&mut stream, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{number}: {answer}");
    }
    // The address then begins some messages without ending them.
    for _ in 0..10 {
        drop(begin(ATTACKER, address, 1 << 20).await);
    }
    assert_served(ATTACKER, address, &ping(1 << 20)).await;
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_an_address_over_its_connection_share_loses_its_own_connections() {
    const PLACES: usize = 32;
    let server = Options::new()
        .store("memory")
        .env("USER_AUTH_LIMITS_CONNECTIONS", &PLACES.to_string())
        .env("USER_AUTH_LIMITS_HEADER_READ_MS", FOR_GOOD)
        .start();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    // The connection that has been idle for longest, by far.
    let mut patient = connect(VICTIM, address).await;
    let mut slow = connect(VICTIM, address).await;
    answer(&mut patient, HEALTH).await;
    slow.write_all(&HEALTH.as_bytes()[..20]).await.unwrap();
    let mut attackers = Vec::new();
    for _ in 0..5 * PLACES {
        let mut attacker = connect(ATTACKER, address).await;
        // The response shows that the connection got a slot.
        answer(&mut attacker, HEALTH).await;
        attackers.push(attacker);
    }
    let answered = answer(&mut patient, HEALTH).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    let answered = answer(&mut slow, &HEALTH[20..]).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

/// Returns how many calls are being processed.
async fn live(address: SocketAddr) -> u64 {
    let mut stream = connect(VICTIM, address).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (_, rest) = text.split_once("\nuser_auth_instances_live ").unwrap();
    rest.split('\n').next().unwrap().parse().unwrap()
}

/// Waits until the number of calls that are being processed is good.
async fn until(is_good: impl Fn(u64) -> bool, address: SocketAddr) {
    let waiting = async {
        while !is_good(live(address).await) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("calls begin and end");
}

async fn serve_hostile(limits: Limits) -> SocketAddr {
    let plugin = plugin(Arc::new(MemoryStore::new()))
        .component(built("user-auth-hostile.wasm"))
        .limits(limits)
        .build()
        .unwrap();
    serve(plugin)
        .await
        .trim_start_matches("http://")
        .parse()
        .unwrap()
}

fn endless(id: usize) -> String {
    let body = json!({"id": id, "method": "loop"}).to_string();
    post(&body, body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_42_calls_of_one_address_leave_slots_for_others() {
    let address = serve_hostile(Limits {
        concurrent_calls: 4,
        waiting_calls: 16,
        cpu_per_call: Duration::from_secs(600),
        wall_clock_per_call: Duration::from_secs(600),
        call_queue_wait: Duration::from_secs(600),
        ..Limits::default()
    })
    .await;
    let mut attackers = Vec::new();
    for id in 0..6 {
        let mut attacker = connect(ATTACKER, address).await;
        attacker.write_all(endless(id).as_bytes()).await.unwrap();
        attackers.push(attacker);
    }
    until(|live| live >= 2, address).await;
    for _ in 0..20 {
        assert_served(VICTIM, address, &ping(PING.len())).await;
    }
    assert_unanswered(&attackers);
    // Two calls are running, and half of the queue belongs to one address.
    for id in 6..20 {
        let mut attacker = connect(ATTACKER, address).await;
        attacker.write_all(endless(id).as_bytes()).await.unwrap();
        attackers.push(attacker);
    }
    let mut waiting = JoinSet::new();
    for mut attacker in attackers {
        waiting.spawn(async move { answer(&mut attacker, "").await });
    }
    for _ in 0..10 {
        let answer = waiting.join_next().await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
    }
    assert_served(VICTIM, address, &ping(PING.len())).await;
    assert_eq!(waiting.len(), 10);
    assert!(waiting.try_join_next().is_none(), "no more are refused");
}

/// A response is held until its reader has taken it, so no address holds more of them than
/// it may have calls.
#[tokio::test(flavor = "multi_thread")]
async fn attack_42_unread_responses_count_as_calls_of_their_address() {
    let address = serve_hostile(Limits {
        concurrent_calls: 4,
        memory_bytes: 128 << 20,
        answer_bytes: 64 << 20,
        cpu_per_call: Duration::from_secs(60),
        response_write: Duration::from_secs(600),
        call_queue_wait: Duration::from_secs(600),
        ..Limits::default()
    })
    .await;
    let mut unread = Vec::new();
    let request = post(r#""large-answer""#, 14);
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket
            .bind(format!("{ATTACKER}:0").parse().unwrap())
            .unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // The head has arrived, so the response is complete on the server.
        stream.readable().await.unwrap();
        unread.push(stream);
    }
    let mut third = connect(ATTACKER, address).await;
    third.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..20 {
        assert_served(VICTIM, address, &ping(PING.len())).await;
    }
    // No call is running that the third could be waiting for.
    until(|live| live == 0, address).await;
    // Calls that do the same and began later have been answered by now.
    for _ in 0..2 {
        assert_served(VICTIM, address, &request).await;
    }
    assert_unanswered(std::slice::from_ref(&third));
    drop(unread);
    let answer = answer(&mut third, "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
