//! `make soak`: sends a mix of calls for minutes and records memory and latency. Leaks and
//! degradation show as a climbing line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use plotters::prelude::*;
use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server};

const CLIENTS: usize = 8;
const ACCOUNTS: usize = 64;
/// One point of the plot.
const WINDOW: Duration = Duration::from_secs(10);
/// The windows that are left out as warm-up: caches fill, threads start.
const WARM_UP: usize = 3;

/// The measurements of one window.
struct Point {
    at: Duration,
    memory_mib: f64,
    /// Latency by operation, in milliseconds.
    p99: BTreeMap<&'static str, f64>,
    calls: usize,
}

/// The latencies of a window, by operation.
type Latencies = Mutex<BTreeMap<&'static str, Vec<Duration>>>;

/// Runs for `seconds` on `store`, and draws the measurements into `plot`.
pub fn run(seconds: u64, store: Option<&str>, plot: &Path) -> Result<()> {
    let mut options = Options::new().for_a_crowd();
    if let Some(store) = store {
        options = options.store(store);
    }
    let server = options.start();
    for account in 0..ACCOUNTS {
        server
            .call("register", credentials(account))
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    let (latencies, over) = (Latencies::default(), AtomicBool::new(false));
    let names = AtomicUsize::new(0);
    let points = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client {
                    server: &server,
                    latencies: &latencies,
                    names: &names,
                    turn: number,
                };
                let over = &over;
                scope.spawn(move || {
                    let worked = client.work(over);
                    // A client that fails ends the run for all.
                    over.store(true, Ordering::Relaxed);
                    worked
                })
            })
            .collect();
        let points = watch(&server, &latencies, &over, Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("no client panics")?;
        }
        points
    })?;
    draw(&points, plot).context("the plot cannot be drawn")?;
    summarize(&points)
}

struct Client<'a> {
    server: &'a Server,
    latencies: &'a Latencies,
    names: &'a AtomicUsize,
    turn: usize,
}

impl Client<'_> {
    /// Imitates a day of a service: most calls verify tokens, some refresh them, and a few
    /// log in, register, fail or list sessions.
    fn work(mut self, over: &AtomicBool) -> Result<()> {
        let mut tokens = self.login()?;
        while !over.load(Ordering::Relaxed) {
            self.turn += 1;
            match self.turn % 100 {
                0 => {
                    self.call("logout", json!({"access_token": tokens["access_token"]}))?;
                    tokens = self.login()?;
                }
                10 | 60 => {
                    let refresh = json!({"refresh_token": tokens["refresh_token"]});
                    tokens = self.call("refresh_token", refresh)?;
                }
                20 => {
                    let name = self.names.fetch_add(1, Ordering::Relaxed);
                    let account = json!({"username": format!("new{name}"), "password": PASSWORD});
                    self.call("register", account)?;
                }
                30 => {
                    let forged = self.call("verify_token", json!({"token": "eyJ.eyJ.no"}))?;
                    ensure!(
                        forged["active"] == false,
                        "a token with an invalid signature is active"
                    );
                }
                40 => {
                    let own = json!({"access_token": tokens["access_token"]});
                    self.call("list_sessions", own)?;
                }
                50 => {
                    let own = json!({"access_token": tokens["access_token"], "limit": 20});
                    self.call("query_audit", own)?;
                }
                _ => {
                    self.call("verify_token", json!({"token": tokens["access_token"]}))?;
                }
            }
        }
        Ok(())
    }

    fn login(&self) -> Result<Value> {
        self.call("login", credentials(self.turn % ACCOUNTS))
    }

    fn call(&self, operation: &'static str, input: Value) -> Result<Value> {
        self.timed(operation, input)
            .map_err(|error| anyhow::anyhow!("{operation}: {error}"))
    }

    fn timed(&self, operation: &'static str, input: Value) -> Result<Value, Value> {
        let sent = Instant::now();
        let answer = self.server.call(operation, input);
        let took = sent.elapsed();
        let mut latencies = self.latencies.lock().expect("no client panics");
        latencies.entry(operation).or_default().push(took);
        answer
    }
}

fn watch(
    server: &Server,
    latencies: &Latencies,
    over: &AtomicBool,
    duration: Duration,
) -> Result<Vec<Point>> {
    let started = Instant::now();
    let mut points = Vec::new();
    while started.elapsed() < duration && !over.load(Ordering::Relaxed) {
        thread::sleep(WINDOW);
        let seen = std::mem::take(&mut *latencies.lock().expect("no client panics"));
        let point = Point {
            at: started.elapsed(),
            memory_mib: crate::resident(server)? as f64,
            calls: seen.values().map(Vec::len).sum(),
            p99: seen
                .into_iter()
                .map(|(name, times)| (name, p99(times)))
                .collect(),
        };
        println!(
            "{:>5.0} s {:>6.0} MiB {:>8} calls   verify {:>6.2} ms   login {:>6.1} ms",
            point.at.as_secs_f64(),
            point.memory_mib,
            point.calls,
            point.p99.get("verify_token").copied().unwrap_or(f64::NAN),
            point.p99.get("login").copied().unwrap_or(f64::NAN),
        );
        points.push(point);
    }
    Ok(points)
}

fn p99(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100].as_secs_f64() * 1000.0
}

/// Prints how the last third compares with the first after the warm-up.
fn summarize(points: &[Point]) -> Result<()> {
    let settled = points.get(WARM_UP..).unwrap_or_default();
    let third = settled.len() / 3;
    ensure!(
        third > 0,
        "the run is too short to compare; give it some minutes"
    );
    let (early, late) = (&settled[..third], &settled[settled.len() - third..]);
    let compare = |what: &str, of: &dyn Fn(&Point) -> Option<f64>| {
        let (early, late) = (median(early, of), median(late, of));
        println!(
            "{what:<28}{early:>9.2} -> {late:>9.2}   ({:+.1} %)",
            (late / early - 1.0) * 100.0
        );
    };
    println!("\nfirst third -> last third, medians of windows");
    compare("memory, MiB", &|point| Some(point.memory_mib));
    compare("calls a window", &|point| Some(point.calls as f64));
    for operation in ["verify_token", "refresh_token", "login", "register"] {
        compare(&format!("p99 of {operation}, ms"), &|point| {
            point.p99.get(operation).copied()
        });
    }
    Ok(())
}

fn median(points: &[Point], of: &dyn Fn(&Point) -> Option<f64>) -> f64 {
    let mut values: Vec<f64> = points.iter().filter_map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn draw(points: &[Point], path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let root = SVGBackend::new(path, (900, 840)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((3, 1));
    let memory = points
        .iter()
        .map(|point| (point.at.as_secs_f64(), point.memory_mib));
    chart(
        &areas[0],
        "Resident memory, MiB",
        &[("memory", BLUE, memory.collect())],
    )?;
    let latency = |operation: &str| -> Vec<(f64, f64)> {
        let values = points.iter();
        values
            .filter_map(|point| Some((point.at.as_secs_f64(), *point.p99.get(operation)?)))
            .collect()
    };
    chart(
        &areas[1],
        "verify_token: 99th percentile in windows of 10 s, ms",
        &[("verify_token", BLUE, latency("verify_token"))],
    )?;
    chart(
        &areas[2],
        "login and register (hash a password): 99th percentile in windows of 10 s, ms",
        &[
            ("login", RED, latency("login")),
            ("register", MAGENTA, latency("register")),
        ],
    )?;
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
/// The name, colour and points of a line.
type Series<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

fn chart(area: &Area<'_>, title: &str, series: &[Series<'_>]) -> Result<()> {
    let all = || series.iter().flat_map(|(_, _, points)| points);
    let end = all().map(|(x, _)| *x).fold(1.0, f64::max);
    let top = all().map(|(_, y)| *y).fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .light_line_style(WHITE)
        .draw()?;
    for (name, colour, points) in series {
        let colour = *colour;
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        let drawn = chart.draw_series(line)?;
        if series.len() > 1 {
            drawn
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        }
    }
    if series.len() > 1 {
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    Ok(())
}

fn credentials(account: usize) -> Value {
    json!({"username": format!("soak{account}"), "password": PASSWORD})
}
