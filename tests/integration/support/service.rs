//! A running `keyward serve`, ended with the test.

use super::{Rig, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

/// A service over a rig.
pub(crate) struct Service {
    child: Child,
    ready: Value,
    directory: PathBuf,
}

impl Service {
    /// Starts it on a free port, and waits until it is ready.
    pub(crate) fn start(rig: &Rig) -> Self {
        Self::start_with(rig, "")
    }

    /// The same with further lines of `[http]`.
    pub(crate) fn start_with(rig: &Rig, http: &str) -> Self {
        set_http(rig, http);
        Self::spawn(rig, rig.command(&["serve", "-o", "json"]))
    }

    /// Waits until a command that becomes a service of the rig says that it is ready.
    pub(crate) fn spawn(rig: &Rig, mut command: Command) -> Self {
        let log = fs::File::create(rig.path("serve.log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || fs::read_to_string(rig.path("serve.log")).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}{}", log()));
        Self { child, ready, directory: rig.directory() }
    }

    /// Its address, like `https://127.0.0.1:40000`.
    pub(crate) fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    /// Host and port of the TLS listener.
    pub(crate) fn address(&self) -> &str {
        self.url().strip_prefix("https://").unwrap()
    }

    /// Path of its socket.
    pub(crate) fn socket(&self) -> &Path {
        Path::new(self.ready["socket"].as_str().unwrap())
    }

    /// SHA-256 of its CA's certificate.
    pub(crate) fn ca_sha256(&self) -> &str {
        self.ready["ca_sha256"].as_str().unwrap()
    }

    /// What it said when it was ready.
    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Status and body of a request over its socket, by curl.
    pub(crate) fn at_socket(&self, arguments: &[&str], path: &str) -> (u16, Value) {
        let socket = self.socket().to_str().unwrap();
        let mut all = vec!["--unix-socket", socket];
        all.extend(arguments);
        curl(&all, &format!("http://localhost{path}"))
    }

    /// Status and body of a request over TLS, by curl.
    pub(crate) fn at_listener(&self, arguments: &[&str], path: &str) -> (u16, Value) {
        let ca = self.directory.join("tls/ca.pem");
        let mut all = vec!["--cacert", ca.to_str().unwrap()];
        all.extend(arguments);
        curl(&all, &format!("{}{path}", self.url()))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }

    /// Waits until it has ended; it was asked to before.
    pub(crate) fn stop_waiting(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it without asking.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended already cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets `[http]` of a rig, with a free port.
pub(crate) fn set_http(rig: &Rig, http: &str) {
    let path = rig.directory().join("keyward.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let others = settings.split("\n[http]").next().unwrap();
    fs::write(&path, format!("{others}\n[http]\nlisten = \"127.0.0.1:0\"\n{http}\n")).unwrap();
}

/// Status and JSON body (null if it is none) of a request by curl; status 0 if there was no answer.
pub(crate) fn curl(arguments: &[&str], url: &str) -> (u16, Value) {
    let mut all = vec!["--silent", "--max-time", "60", "--write-out", "\n%{http_code}"];
    all.extend(arguments);
    all.push(url);
    let ended = run(Command::new("curl").args(all));
    let (body, status) = ended.stdout.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}
