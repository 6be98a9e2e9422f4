//! A rig to measure, its keys, and the service on it.

use crate::{
    KEYWARD, Outcome,
    carrier::Carrier,
    http1::{Connection, request},
    load::block_on,
    usage::{self, Usage},
    workload::Algorithm,
};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

/// An instance on a SoftHSM token of its own.
pub(crate) struct Instance {
    directory: PathBuf,
    /// Certificate and key of a client; empty paths until it has them.
    client: (PathBuf, PathBuf),
}

/// `keyward serve`, running.
pub(crate) struct Service {
    child: Child,
    pid: u32,
    worker: u32,
    /// The TLS listener.
    address: SocketAddr,
    socket: PathBuf,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
    socket: PathBuf,
    pid: u32,
}

impl Instance {
    /// `keyward init`, settings for measuring, and one key of each type.
    pub(crate) fn make(directory: &Path) -> Outcome<Self> {
        let mut instance = Self { directory: directory.to_owned(), client: Default::default() };
        instance.keyward(&["init", "--posture", "rig"])?;
        let mut settings = fs::OpenOptions::new().append(true).open(directory.join("keyward.toml"))?;
        settings.write_all(SETTINGS)?;
        for algorithm in Algorithm::ALL {
            let options = ["--algorithm", algorithm.name(), "--policy", algorithm.policy()];
            instance.keyward(&[["key", "generate", algorithm.name()].as_slice(), &options].concat())?;
        }
        instance.client = instance.certify_client()?;
        Ok(instance)
    }

    /// Path of SoftHSM, as `init` found it.
    pub(crate) fn module(&self) -> Outcome<PathBuf> {
        #[derive(Deserialize)]
        struct Settings {
            token: Token,
        }
        #[derive(Deserialize)]
        struct Token {
            module: PathBuf,
        }

        let text = fs::read_to_string(self.directory.join("keyward.toml"))?;
        Ok(toml::from_str::<Settings>(&text)?.token.module)
    }

    /// Makes keys until there are so many.
    pub(crate) fn fill(&self, keys: u32) -> Outcome<()> {
        let missing = keys.saturating_sub(u32::try_from(Algorithm::ALL.len())?);
        let service = self.serve()?;
        block_on(async {
            // Files are what takes time, so several at once.
            let mut making = JoinSet::new();
            for first in 0..MAKERS {
                let connection = Carrier::Socket(service.socket.clone()).connect().await?;
                making.spawn(make_keys(connection, (first..missing).step_by(MAKERS as usize)));
            }
            while let Some(made) = making.join_next().await {
                made??;
            }
            Ok(())
        })
    }

    /// Starts the service and waits until it is ready.
    pub(crate) fn serve(&self) -> Outcome<Service> {
        Service::start(Command::new(KEYWARD).args(self.serving()), &self.directory)
    }

    /// Arguments of the service.
    pub(crate) fn serving(&self) -> Vec<String> {
        ["--dir", &self.directory.display().to_string(), "-o", "json", "serve"].map(str::to_owned).to_vec()
    }

    /// The way that is measured.
    pub(crate) fn carrier(&self, service: &Service) -> Outcome<Carrier> {
        let (certificate, key) = &self.client;
        Carrier::mutual_tls(service.address, &self.directory.join("tls/server.pem"), certificate, key)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A client that has made its own key shows a CSR and gets a certificate.
    fn certify_client(&self) -> Outcome<(PathBuf, PathBuf)> {
        let path = |name| self.directory.with_extension(name);
        let (request, certificate, key) = (path("client.csr"), path("client.pem"), path("client.key"));
        let pair = rcgen::KeyPair::generate()?;
        let csr = rcgen::CertificateParams::new(Vec::new())?.serialize_request(&pair)?;
        fs::write(&request, csr.pem()?)?;
        fs::write(&key, pair.serialize_pem())?;
        let files = [&request, &certificate].map(|path| path.display().to_string());
        self.keyward(&["credential", "add", "bench", "--role", "signer", "--csr", &files[0], "--out", &files[1]])?;
        Ok((certificate, key))
    }

    fn keyward(&self, arguments: &[&str]) -> Outcome<()> {
        let output = Command::new(KEYWARD).arg("--dir").arg(&self.directory).args(arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("keyward {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into())
    }
}

impl Service {
    /// Runs a command that becomes the service; its log goes to `serve.log` in the instance.
    pub(crate) fn start(command: &mut Command, directory: &Path) -> Outcome<Self> {
        let log = directory.join("serve.log");
        let stderr = File::options().create(true).append(true).open(&log)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
        let said = child.stdout.take().ok_or("no pipe from the service")?;
        let Some(Ok(ready)) = serde_json::Deserializer::from_reader(said).into_iter::<Ready>().next() else {
            child.kill()?;
            return Err(format!("the service did not start: {}", fs::read_to_string(log)?).into());
        };
        let address = ready.url.trim_start_matches("https://").parse()?;
        Ok(Self { child, pid: ready.pid, worker: usage::child(ready.pid)?, address, socket: ready.socket })
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// CPU time up to now.
    pub(crate) fn usage(&self) -> Outcome<Usage> {
        Usage::now(self.pid, self.worker)
    }

    /// MiB of the service and of its worker.
    pub(crate) fn resident_mib(&self) -> Outcome<(f64, f64)> {
        Ok((usage::resident_mib(self.pid)?, usage::resident_mib(self.worker)?))
    }

    /// Kills the token worker, as a crash of the vendor's module would.
    pub(crate) fn kill_worker(&self) -> Outcome<()> {
        signal(self.worker, Signal::KILL)
    }

    /// Waits for the worker that comes after one that was killed.
    pub(crate) async fn find_worker(&mut self) -> Outcome<()> {
        let killed = self.worker;
        for _ in 0..LOOKS {
            match usage::child(self.pid) {
                Ok(worker) if worker != killed => {
                    self.worker = worker;
                    return Ok(());
                }
                _ => sleep(BETWEEN_LOOKS).await,
            }
        }
        Err("no other worker came".into())
    }

    /// MiB and open descriptors of the service.
    pub(crate) fn footprint(&self) -> Outcome<(f64, usize)> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid))?.count();
        Ok((usage::resident_mib(self.pid)?, descriptors))
    }

    /// Ends it and waits.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        signal(self.child.id(), Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ended already, if it was stopped.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = signal(self.child.id(), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

async fn make_keys(mut connection: Connection, numbers: impl Iterator<Item = u32>) -> Outcome<()> {
    for number in numbers {
        let body = format!("{{\"label\":\"filler-{number}\",\"algorithm\":\"p256\"}}");
        let answer = connection.exchange(&request("POST", "/api/v1/keys", &body)).await?;
        if answer.status != 201 {
            return Err(String::from_utf8_lossy(answer.body).into());
        }
    }
    Ok(())
}

fn signal(pid: u32, signal: Signal) -> Outcome<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no process")?;
    Ok(kill_process(pid, signal)?)
}

/// A free port, since several services run beside each other, and no limit that a load could meet.
const SETTINGS: &[u8] = b"\n[http]\nlisten = \"127.0.0.1:0\"\nrequests_per_second = 1000000\n";
/// For a worker to come, together ten seconds.
const LOOKS: u32 = 1_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Connections that make keys at the same time.
const MAKERS: u32 = 4;
