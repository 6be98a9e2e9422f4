//! Virtual cards of one test, in namespaces of their own; ended when dropped.

use crate::support::{Ended, Rig, python, run, sources};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Yubico's default management key.
const MANAGEMENT_KEY: &str = "010203040506070801020304050607080102030405060708";

/// Cards and the readers that they can be put into.
pub(super) struct Cards {
    process: Child,
    directory: PathBuf,
    /// Which card belongs into which reader.
    serials: Vec<u32>,
}

impl Cards {
    /// At most two cards, by serial number and firmware; none is in its reader yet.
    pub(super) fn start(rig: &Rig, cards: &[(u32, &str)]) -> Self {
        let directory = rig.path("cards");
        fs::create_dir(&directory).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
        command.arg(sources("piv/cards.sh")).arg(python()).arg(&directory);
        for (place, (serial, version)) in cards.iter().enumerate() {
            command.arg(format!("{serial}={version}@{}", FIRST_PORT + place));
        }
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self { process, directory, serials: cards.iter().map(|(serial, _)| *serial).collect() }
    }

    /// Adds the card to the instance as a further token, with further lines of its section.
    pub(super) fn name(&self, rig: &Rig, label: &str, serial: u32, further: &str) {
        let secret = |name: &str, text: &str| {
            let path = rig.write(name, text);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let pin = secret(&format!("{label}.pin"), "123456\n");
        let management_key = secret("management-key", &format!("{MANAGEMENT_KEY}\n"));
        let settings = rig.directory().join("keyward.toml");
        let before = fs::read_to_string(&settings).unwrap();
        let socket = self.socket();
        let section = format!(
            "[[tokens]]\nyubikey = {serial}\nlabel = {label:?}\npin_file = {pin:?}\nmanagement_key_file = \
             {management_key:?}\nenvironment = {{ PCSCLITE_CSOCK_NAME = {socket:?} }}\n{further}\n"
        );
        fs::write(&settings, format!("{before}\n{section}")).unwrap();
    }

    /// Path of the PC/SC service's socket, as seen from outside its namespaces.
    pub(super) fn socket(&self) -> String {
        format!("/proc/{}/root/run/pcscd/pcscd.comm", self.process.id())
    }

    /// The certificate of the root that vouches for the cards.
    pub(super) fn root(&self) -> PathBuf {
        self.directory.join("root.pem")
    }

    /// Puts a card into its reader, and again as long as the service does not come to use it: it looks at its readers
    /// twice a second, and a card that was away for less than that stays mute.
    pub(super) fn insert(&self, serial: u32) {
        let usable = |_| {
            assert_eq!(self.order(&json!({ "card": serial, "do": "insert" })), true);
            let answers = (0..10).any(|_| self.piv_tool(serial, &["-a", "status"]).code == 0);
            if !answers {
                self.pull(serial);
            }
            answers
        };
        assert!((0..20).any(usable), "the card stays mute");
    }

    /// Pulls a card.
    pub(super) fn pull(&self, serial: u32) {
        self.order(&json!({ "card": serial, "do": "pull" }));
    }

    /// Touches a card that waits for it.
    pub(super) fn touch(&self, serial: u32) {
        assert_eq!(self.order(&json!({ "card": serial, "do": "touch" })), true);
    }

    /// Has a card that waits for a touch give up, as if its time were over.
    pub(super) fn miss_touch(&self, serial: u32) {
        assert_eq!(self.order(&json!({ "card": serial, "do": "touch", "missed": true })), true);
    }

    /// How often a card was given a PIN.
    pub(super) fn pins_given(&self, serial: u32) -> usize {
        let log = self.order(&json!({ "card": serial, "do": "log" }));
        log.as_array().unwrap().iter().filter(|command| *command == "200080+").count()
    }

    /// Waits until keyward can use a token whose card was put in.
    pub(super) fn wait_for(&self, rig: &Rig, token: &str) {
        let begun = Instant::now();
        while rig.keyward(&["token", "show", token]).code != 0 {
            assert!(begun.elapsed() < SEEN_WITHIN, "{:?}", rig.keyward(&["token", "show", token]));
        }
    }

    /// Yubico's own tool, at these cards.
    pub(super) fn piv_tool(&self, serial: u32, arguments: &[&str]) -> Ended {
        let place = self.serials.iter().position(|known| *known == serial).unwrap();
        let reader = format!("00 0{place}");
        run(Command::new("yubico-piv-tool")
            .args(["--reader", &reader])
            .args(arguments)
            .env("PCSCLITE_CSOCK_NAME", self.socket()))
    }

    fn order(&self, order: &Value) -> Value {
        let stream = UnixStream::connect(self.directory.join("control")).unwrap();
        writeln!(&stream, "{order}").unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Cards {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A service that has looked for a card in vain pauses for up to 5 s before it looks the third time.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// Port of the driver's first reader; the second is at the next.
const FIRST_PORT: usize = 0x9100;
