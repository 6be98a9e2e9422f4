//! What goes wrong, by the control file: a line for a fault, `FUNCTION WORD…`.
//!
//! | word | what happens at a call of the function |
//! |---|---|
//! | `rv=CODE` | it is not done, and answers the code |
//! | `after=CODE` | it is done, and answers the code all the same |
//! | `reset` | the device loses its sessions, its login and its numbers, and answers `CKR_SESSION_HANDLE_INVALID` |
//! | `hang=SECONDS`, `delay=MS` | it waits, then is done |
//! | `segv`, `abort`, `exit`, `print` | the process crashes, aborts, exits; text goes to standard output |
//! | `skip=N` | the first N calls of this process are spared |
//! | `times=N` | N calls, counted over all processes, fail; without it all do |
//! | `log` | a line with the function's name goes into the log |
//!
//! The function `*` is every one. `random=N` lets a fault happen at one call in N by chance, `seed=S` says by which one.
//! A fault that happens leaves its line in the log, which is the control file's name with `.log`.

use crate::{handles, overlay, random::Random};
use cryptoki_sys::{CK_RV, CKR_SESSION_HANDLE_INVALID};
use std::{
    env, fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::Duration,
};

static CONTROL: Mutex<Control> = Mutex::new(Control { version: None, rules: Vec::new() });
/// Held for reading by calls, for writing by a reset: a real module is not made for a session that ends during a call.
static CALLS: RwLock<()> = RwLock::new(());

struct Control {
    version: Option<(u64, i64, i64, u64)>,
    rules: Vec<Rule>,
}

struct Rule {
    line: String,
    function: String,
    fault: Fault,
    skip: u64,
    times: Option<u64>,
    chance: Option<(u64, Random)>,
}

#[derive(Clone, Copy)]
enum Fault {
    Abort,
    After(CK_RV),
    Delay(Duration),
    Exit,
    Log,
    Print,
    Reset,
    Return(CK_RV),
    Segv,
}

/// Does a call, or what the control file says instead. `call` answers the code of the real module.
pub(crate) fn around(function: &str, call: impl FnOnce() -> Result<(), CK_RV>) -> CK_RV {
    let mut answer = None;
    for fault in due(function) {
        match act(fault) {
            Some(Outcome::Instead(rv)) => return rv,
            Some(Outcome::Afterwards(rv)) => answer = Some(rv),
            None => {}
        }
    }
    let _calling = CALLS.read().unwrap_or_else(PoisonError::into_inner);
    let done = call().err().unwrap_or_default();
    answer.unwrap_or(done)
}

/// What happens when the module is loaded, as function `load`.
pub(crate) fn before_load() -> Result<(), CK_RV> {
    match due("load").into_iter().find_map(act) {
        Some(Outcome::Instead(rv) | Outcome::Afterwards(rv)) => Err(rv),
        None => Ok(()),
    }
}

enum Outcome {
    Afterwards(CK_RV),
    Instead(CK_RV),
}

fn act(fault: Fault) -> Option<Outcome> {
    match fault {
        Fault::Abort => process::abort(),
        Fault::After(rv) => return Some(Outcome::Afterwards(rv)),
        Fault::Delay(time) => thread::sleep(time),
        Fault::Exit => process::exit(3),
        Fault::Log => {}
        Fault::Print => println!("the module says something on standard output"),
        Fault::Reset => {
            reset();
            return Some(Outcome::Instead(CKR_SESSION_HANDLE_INVALID));
        }
        Fault::Return(rv) => return Some(Outcome::Instead(rv)),
        // SAFETY: none; that this address cannot be read is what it is for.
        Fault::Segv => unsafe {
            std::ptr::without_provenance::<u8>(8).read_volatile();
        },
    }
    None
}

fn reset() {
    let _alone = CALLS.write().unwrap_or_else(PoisonError::into_inner);
    for slot in handles::slots() {
        overlay::close_all(slot);
    }
    handles::reset();
}

/// The faults that happen at this call. What is logged is on disk before it happens.
fn due(function: &str) -> Vec<Fault> {
    let mut control = control();
    let Some(path) = env::var_os("PKCS11_FAULT_FILE").map(PathBuf::from) else { return Vec::new() };
    control.follow(&path);
    let mut faults = Vec::new();
    for rule in &mut control.rules {
        if (rule.function == function || rule.function == "*" && function != "load") && rule.happens() {
            let written = fs::OpenOptions::new().create(true).append(true).open(log(&path));
            let line = if matches!(rule.fault, Fault::Log) { function } else { &rule.line };
            // A test that reads the log finds what is missing.
            let _ = written.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
            faults.push(rule.fault);
        }
    }
    faults
}

fn control() -> MutexGuard<'static, Control> {
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(path: &std::path::Path) -> PathBuf {
    path.with_extension("log")
}

impl Control {
    fn follow(&mut self, path: &std::path::Path) {
        let seen = fs::metadata(path).ok();
        let version = seen.map(|seen| (seen.ino(), seen.mtime(), seen.mtime_nsec(), seen.len()));
        if version == self.version {
            return;
        }
        self.version = version;
        let text = fs::read_to_string(path).unwrap_or_default();
        let happened = fs::read_to_string(log(path)).unwrap_or_default();
        let rules = text.lines().filter(|line| !line.trim().is_empty());
        self.rules = rules.map(|line| Rule::read(line.trim(), &happened)).collect();
    }
}

impl Rule {
    /// Reads a line; one that says nothing that we know of stops the process, so that no test passes by a slip.
    fn read(line: &str, happened: &str) -> Self {
        let mut words = line.split_whitespace();
        let function = words.next().unwrap_or_default().to_owned();
        let mut rule = Self { line: line.to_owned(), function, fault: Fault::Log, skip: 0, times: None, chance: None };
        let (mut one_in, mut seed) = (None, 0);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "abort" => rule.fault = Fault::Abort,
                "after" => rule.fault = Fault::After(number(line, value)),
                "delay" => rule.fault = Fault::Delay(Duration::from_millis(number(line, value))),
                "exit" => rule.fault = Fault::Exit,
                "hang" => rule.fault = Fault::Delay(Duration::from_secs(number(line, value))),
                "log" => rule.fault = Fault::Log,
                "print" => rule.fault = Fault::Print,
                "random" => one_in = Some(number(line, value)),
                "reset" => rule.fault = Fault::Reset,
                "rv" => rule.fault = Fault::Return(number(line, value)),
                "seed" => seed = number(line, value),
                "segv" => rule.fault = Fault::Segv,
                "skip" => rule.skip = number(line, value),
                "times" => rule.times = Some(number(line, value)),
                _ => unknown(line),
            }
        }
        let before = happened.lines().filter(|happened| *happened == line).count() as u64;
        rule.times = rule.times.map(|times| times.saturating_sub(before));
        // Another process goes another way.
        rule.chance = one_in.map(|one_in| (one_in, Random::new(seed ^ happened.len() as u64)));
        rule
    }

    fn happens(&mut self) -> bool {
        if self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some((one_in, random)) = &mut self.chance
            && random.below(*one_in) != 0
        {
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

fn number(line: &str, text: &str) -> u64 {
    let number = text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok());
    number.unwrap_or_else(|| unknown(line))
}

fn unknown(line: &str) -> ! {
    eprintln!("fault: `{line}` is no line of a control file");
    process::abort()
}
