//! A real server for the example and the tests: on a free port of the loopback, without files, and
//! gone when it is dropped.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

/// A running `valkey-server` or `redis-server`. Dropped, also by a panic, it is killed.
#[derive(Debug)]
pub struct Server {
    port: u16,
    /// `None` while it is down.
    process: Option<Child>,
}

/// What to start: `GECASO_VALKEY_SERVER`, or what is found on the `PATH`.
fn programs() -> Vec<OsString> {
    match env::var_os("GECASO_VALKEY_SERVER").filter(|path| !path.is_empty()) {
        Some(path) => vec![path],
        None => vec!["valkey-server".into(), "redis-server".into()],
    }
}

/// A port that nobody listens on now. Somebody may take it before the server does.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Starts the server on this port, and waits until it says that it is ready.
fn launch(port: u16) -> io::Result<Child> {
    let mut missing = None;
    for program in programs() {
        let mut command = Command::new(&program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        match command.spawn() {
            Ok(process) => return wait_until_ready(process),
            Err(error) => missing = Some(format!("{}: {error}", program.display())),
        }
    }
    let tried = missing.unwrap_or_default();
    Err(io::Error::other(format!(
        "no server could be started ({tried}): run `make test-redis`, which installs one, or name \
         one in GECASO_VALKEY_SERVER"
    )))
}

fn wait_until_ready(mut process: Child) -> io::Result<Child> {
    let mut said = BufReader::new(process.stdout.take().expect("it is piped"));
    let (mut line, mut last) = (String::new(), String::new());
    while said.read_line(&mut line)? > 0 {
        if line.contains("Ready to accept connections") {
            // What it says from now on must be read by somebody, or it stops in the end.
            std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
            return Ok(process);
        }
        last = std::mem::take(&mut line);
    }
    let ended = process.wait()?;
    Err(io::Error::other(format!("the server ended ({ended}): {}", last.trim_end())))
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If there is none to start: the message says how to get one.
    pub fn start() -> Server {
        let mut failed = None;
        // The port may have been taken by somebody else just before.
        for _ in 0..5 {
            match free_port().and_then(|port| Ok((port, launch(port)?))) {
                Ok((port, process)) => return Server { port, process: Some(process) },
                Err(error) => failed = Some(error),
            }
        }
        panic!("{}", failed.expect("tried five times"));
    }

    /// Where it is: what a client wants to know.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it (`kill -9`): connections break, and what it held is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Some(launch(self.port).unwrap_or_else(|error| panic!("{error}")));
    }

    /// Stops it (`SIGSTOP`): it holds its connections, and answers nothing.
    pub fn stall(&self) {
        self.signal("-STOP");
    }

    /// Lets a stalled one go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it runs");
        let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "`kill {signal}` works");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
