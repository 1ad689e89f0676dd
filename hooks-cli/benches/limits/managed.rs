//! Hooks that are made over the API: what they cost to make, to keep, to list, to load and to publish past.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hooks_core::BoxError;

use crate::contest::{Contestant, Results, Verdict, median};
use crate::keeping::{accepted, request, send};
use crate::peers::free_port;
use crate::pipe::written;
use crate::process::{Cost, cpu_of, memory};
use crate::{Report, Setup};

/// Clients that make hooks at the same time.
const CLIENTS: usize = 64;

/// Requests for each kind of page.
const PAGES: usize = 100;

/// Hooks of each tenant. Every other hook is nobody's.
const OF_TENANT: usize = 100;

/// Hooks that are made over the API of `hooks serve`, on the durable bus.
pub(crate) fn managed(setup: &Setup) -> Result<Report, BoxError> {
    let count = setup.managed;
    let (none, _) = Daemon::start(setup, "none", false)?;
    let (many, _) = Daemon::start(setup, "many", false)?;
    let (empty, cpu, began) = (many.resident()?, many.cpu()?, Instant::now());
    many.define(count)?;
    let (making, rate) = (many.cpu()? - cpu, count as f64 / began.elapsed().as_secs_f64());
    let each = |kib: f64| (kib - empty) / count as f64;
    let made = each(many.resident()?);
    let pages = many.pages(count)?;
    drop(many);
    let mut loading = Vec::new();
    for _ in 0..2 {
        loading.push(Daemon::start(setup, "many", true)?.1);
    }
    let (many, cpu) = Daemon::start(setup, "many", true)?;
    loading.push(cpu);
    let loaded = each(many.resident()?);
    let contestants = vec![
        Contestant::new("publish to no hook", || none.publish(setup)),
        Contestant::new("publish past them", || many.publish(setup)),
    ];
    let results = Results::of(contestants, setup.rounds, setup.events.millions())?;
    let ratio = results.ratio("publish past them", &["publish to no hook"]);
    let mut verdicts = vec![
        Verdict::at_least(format!("hooks made over the API in a second, {count} by {CLIENTS} clients"), rate, "", 1e3),
        Verdict::at_most("memory of each of them when made", made, " KiB", 5.0),
        Verdict::at_most("memory of each of them when loaded", loaded, " KiB", 5.0),
        Verdict::at_most("CPU of loading them", median(loading), " s", 3.0 * count as f64 / 1e5),
        Verdict::at_most("publishing past them, by no hook", ratio, " ×", 1.1),
    ];
    verdicts.extend(
        pages.into_iter().map(|(name, cpu)| {
            Verdict::at_most(format!("CPU of a page of 100 of them, {name}"), cpu * 1e3, " ms", 10.0)
        }),
    );
    let note = format!("Making one took {:.0} µs of CPU.", making / count as f64 * 1e6);
    Ok(Report { title: "hooks over the API", text: format!("{}\n{note}\n", results.table()), verdicts })
}

/// A `hooks serve` that is ready.
struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// In a folder of this name, which is new unless it goes on. With it comes the CPU time of its start.
    fn start(setup: &Setup, name: &str, goes_on: bool) -> Result<(Self, f64), BoxError> {
        let (port, folder) = (free_port()?, setup.folder.join("managed").join(name));
        if !goes_on && folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let text = format!(
            "bus = {{ kind = \"durable\", dir = \"{}\" }}\n\n[ingest]\nlisten = \"127.0.0.1:{port}\"\n\n[api]\n",
            folder.join("data").display()
        );
        let config = written(folder.join("hooks.toml"), &text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_hooks"));
        command.args([OsStr::new("serve"), OsStr::new("-c"), config.as_os_str()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(folder.join("said"))?);
        let daemon = Self { child: command.spawn()?, port };
        daemon.ask("GET", "/healthz", "")?;
        let cpu = daemon.cpu()?;
        Ok((daemon, cpu))
    }

    fn cpu(&self) -> Result<f64, BoxError> {
        cpu_of(self.child.id())
    }

    /// KiB of memory.
    fn resident(&self) -> Result<f64, BoxError> {
        let (now, _) = memory(&self.child.id().to_string()).ok_or("the daemon has ended")?;
        Ok(now * 1024.0)
    }

    /// A connection. It listens soon after it was started.
    fn connect(&self) -> Result<TcpStream, BoxError> {
        let began = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) if began.elapsed() > Duration::from_secs(30) => return Err(error.into()),
                Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
            }
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(), BoxError> {
        let mut stream = self.connect()?;
        request(&mut stream, method, path, "application/json", body.as_bytes())?;
        Ok(accepted(&mut stream)?)
    }

    /// Makes so many hooks, by clients that each wait for every answer.
    fn define(&self, count: usize) -> Result<(), BoxError> {
        std::thread::scope(|scope| {
            let of_client = |client: usize| -> Result<(), String> {
                let mut stream = self.connect().map_err(|error| error.to_string())?;
                for number in (client..count).step_by(CLIENTS) {
                    let (path, body) = (format!("/v1/hooks/{}", name(number)), definition(number));
                    let put = request(&mut stream, "PUT", &path, "application/json", body.as_bytes());
                    put.and_then(|()| accepted(&mut stream)).map_err(|error| error.to_string())?;
                }
                Ok(())
            };
            let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || of_client(client))).collect();
            clients.into_iter().try_for_each(|client| match client.join() {
                Ok(done) => done.map_err(BoxError::from),
                Err(_) => Err("a client panicked".into()),
            })
        })
    }

    /// CPU seconds of each kind of page.
    fn pages(&self, count: usize) -> Result<Vec<(&'static str, f64)>, BoxError> {
        let kinds = [
            ("the first", String::new()),
            ("from the middle", format!("?after={}", name(count / 2))),
            ("of a tenant", format!("?tenant={}", tenant(count / 2))),
            ("by a text that all have", "?q=EXAMPLE".to_owned()),
            ("by a text that few have", format!("?q={}", name(count - 1))),
        ];
        let one = |(kind, query): (&'static str, String)| {
            let mut stream = self.connect()?;
            let before = self.cpu()?;
            for _ in 0..PAGES {
                request(&mut stream, "GET", &format!("/v1/hooks{query}"), "application/json", b"")?;
                accepted(&mut stream)?;
            }
            Ok((kind, (self.cpu()? - before) / PAGES as f64))
        };
        kinds.into_iter().map(one).collect()
    }

    /// Events that no hook is for.
    fn publish(&self, setup: &Setup) -> Result<Cost, BoxError> {
        let (cpu, began) = (self.cpu()?, Instant::now());
        match send(self.connect()?, &setup.events.file)?.join() {
            Ok(sent) => sent?,
            Err(_) => return Err("the publisher panicked".into()),
        }
        Ok(Cost { cpu: self.cpu()? - cpu, wall: began.elapsed().as_secs_f64(), peak: 0.0 })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(number: usize) -> String {
    format!("hook-{number:06}")
}

fn tenant(number: usize) -> String {
    format!("tenant-{}", number / 2 / OF_TENANT)
}

fn definition(number: usize) -> String {
    let of = if number.is_multiple_of(2) { format!("\"tenant\":\"{}\",", tenant(number)) } else { String::new() };
    format!(
        r#"{{{of}"types":["customer-{number}.*"],"sink":{{"kind":"http","url":"https://customer-{number}.example.com/hooks"}}}}"#
    )
}
