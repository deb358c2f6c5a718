//! Every log line of this process, at every level and of every crate, searched for what may be in none of them: prompts,
//! answers, tokens, keys and passwords.
//!
//! [`listen`] begins it, once for a process. Lines are searched as they are written and not kept, but for the last ones:
//! those are searched again when a secret becomes known. One that is found ends the process with the status of failed
//! tests: a panic could be in a task where nobody sees it, and no test can know that it is the last one.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a line is not as long as that, and a fault ends the test"
)]

use std::{
    backtrace::Backtrace,
    cell::Cell,
    collections::{HashMap, VecDeque},
    fmt::{self, Write as _},
    io::{self, Write as _},
    pin::pin,
    process,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// What no log may have in it, whoever says it: words of the tests' prompts and of what the mock provider says, the
/// beginnings of tokens and of private keys, and the keys that seals are made with.
const ALWAYS: &[&str] = &[
    "walnut",
    "knock",
    "The error that was asked for",
    "__cf_bm=mock",
    "mock-account",
    "eyJhbGciOi",
    "eyJ0eXAiOi",
    "PRIVATE KEY",
];
/// Keys that seals are made with. Also looked for: their digits, and their bytes as the database has them.
const SEAL_KEYS: &[&[u8]] = &[
    b"the key of the neighbours' houses",
    b"the key of databases under test, 1",
    b"the key of a database to be proven",
    &[0x5a; 32],
    &[0x55; 32],
    &[0xc0, 0xff, 0xee, 0x42],
    &[0xde, 0xca, 0xde, 0x00],
];
/// A secret's first bytes, by which it is looked for. Shorter ones are no secrets.
const START: usize = 5;
/// A secret is looked for by so much of it.
const SECRET_BYTES_MAX: usize = 48;
/// What is kept of the lines that were written last.
const RECENT_BYTES_MAX: usize = 256 << 10;
/// Said by the collector to itself, to know that it hears.
const HEARD: &str = "is anybody listening?";

static OF_THIS_PROCESS: OnceLock<Collector> = OnceLock::new();

thread_local! {
    /// The test itself speaks to the driver that the gateway uses as well.
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// From now on a secret in a log ends this process.
pub(crate) fn listen() {
    of_this_process();
}

/// From now on this is searched for as well: as a whole where it is short, else by its first word.
pub(crate) fn secret(text: &str) {
    of_this_process().add(text);
}

/// A line that another process wrote.
pub(crate) fn heard(line: &str) {
    of_this_process().hear(line.to_owned());
}

/// Does this without being heard: the statements of a test name what it looks for.
pub(crate) async fn unheard<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        let before = OWN.replace(true);
        let polled = work.as_mut().poll(cx);
        OWN.set(before);
        polled
    })
    .await
}

fn of_this_process() -> &'static Collector {
    OF_THIS_PROCESS.get_or_init(|| {
        let collector = Collector::new(false);
        tracing::subscriber::set_global_default(collector.clone()).expect("nobody else listens");
        log::set_boxed_logger(Box::new(collector.clone())).expect("nobody else listens");
        log::set_max_level(log::LevelFilter::Trace);
        tracing::trace!(HEARD);
        log::trace!("{HEARD} {}", process::id());
        let heard = collector.recent().lines.iter().filter(|line| line.contains(HEARD)).count();
        assert_eq!(heard, 2, "a collector that hears nothing finds nothing");
        collector
    })
}

/// Searches what it is told. Clones are the same one.
#[derive(Clone)]
struct Collector(Arc<Inner>);

struct Inner {
    /// Only notes what it finds.
    tries: bool,
    spans: AtomicU64,
    secrets: RwLock<Secrets>,
    recent: Mutex<Recent>,
    found: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Recent {
    lines: VecDeque<String>,
    bytes: usize,
}

struct Secrets {
    all: Vec<String>,
    by_start: HashMap<[u8; START], Vec<usize>>,
    /// Whether any secret begins with three bytes of this sum: most places of a line are done with by that.
    begins: Vec<bool>,
}

impl Collector {
    fn new(tries: bool) -> Self {
        let secrets =
            Secrets { all: Vec::new(), by_start: HashMap::new(), begins: vec![false; 1 << 12] };
        let collector = Self(Arc::new(Inner {
            tries,
            spans: AtomicU64::new(1),
            secrets: RwLock::new(secrets),
            recent: Mutex::default(),
            found: Mutex::default(),
        }));
        collector.lock_secrets(|secrets| {
            for secret in ALWAYS {
                secrets.add(secret);
            }
            for key in SEAL_KEYS {
                let start = &key[..key.len().min(12)];
                let mut hex = String::new();
                for byte in start {
                    let _written = write!(hex, "{byte:02x}");
                }
                let pad: Vec<_> = start.iter().map(|byte| byte ^ 0x36).collect();
                let bytes = |bytes: &[u8]| format!("{bytes:?}").trim_end_matches(']').to_owned();
                for form in [hex, bytes(start), bytes(&pad), start.escape_ascii().to_string()] {
                    secrets.add(&form);
                }
            }
        });
        collector
    }

    /// What was found, and where.
    fn found(&self) -> Vec<String> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, text: &str) {
        // What a formatter would not write in another way.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let whole = text.len() <= SECRET_BYTES_MAX && text.chars().all(|c| plain(c) || c == ' ');
        let mut words = if whole { vec![text] } else { text.split(|c| !plain(c)).collect() };
        words.retain(|word| word.len() >= START);
        let Some(word) = words.first() else { return };
        let word = &word[..word.len().min(SECRET_BYTES_MAX)];
        if self.lock_secrets(|secrets| secrets.add(word)) {
            let line = self.recent().lines.iter().find(|line| line.contains(word)).cloned();
            if let Some(line) = line {
                self.tell(word, &line);
            }
        }
    }

    fn hear(&self, line: String) {
        if OWN.get() {
            return;
        }
        let secrets = self.0.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let found = secrets.find(&line).map(str::to_owned);
        drop(secrets);
        if let Some(secret) = found {
            self.tell(&secret, &line);
        }
        let mut recent = self.recent();
        recent.bytes += line.len();
        recent.lines.push_back(line);
        while recent.bytes > RECENT_BYTES_MAX {
            let oldest = recent.lines.pop_front().map_or(0, |line| line.len());
            recent.bytes -= oldest;
        }
    }

    fn tell(&self, secret: &str, line: &str) {
        let told = format!("a secret in a log: {secret:?} in {line:?}");
        if self.0.tries {
            self.0.found.lock().unwrap_or_else(PoisonError::into_inner).push(told);
            return;
        }
        let thread = std::thread::current();
        let (name, trace) = (thread.name().unwrap_or("a thread"), Backtrace::force_capture());
        // Past what the harness captures of each test, which is lost now.
        let _written = writeln!(io::stderr(), "\n{name}: {told}\n{trace}");
        process::exit(101);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_secrets<T>(&self, change: impl FnOnce(&mut Secrets) -> T) -> T {
        change(&mut self.0.secrets.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Secrets {
    /// Whether it is new.
    fn add(&mut self, secret: &str) -> bool {
        let start = secret.as_bytes().first_chunk::<START>().expect("too short to be looked for");
        let same = self.by_start.entry(*start).or_default();
        if same.iter().any(|known| self.all[*known] == secret) {
            return false;
        }
        same.push(self.all.len());
        self.begins[sum(start)] = true;
        self.all.push(secret.to_owned());
        true
    }

    fn find(&self, line: &str) -> Option<&str> {
        let bytes = line.as_bytes();
        for at in 0..bytes.len().saturating_sub(START - 1) {
            let rest = &bytes[at..];
            if !self.begins[sum(rest)] {
                continue;
            }
            let same = rest.first_chunk::<START>().and_then(|start| self.by_start.get(start));
            let mut same = same.into_iter().flatten().map(|known| self.all[*known].as_str());
            if let Some(secret) = same.find(|secret| rest.starts_with(secret.as_bytes())) {
                return Some(secret);
            }
        }
        None
    }
}

fn sum(start: &[u8]) -> usize {
    let [a, b, c] = [0, 1, 2].map(|at| usize::from(start[at]));
    ((a << 7) ^ (b << 4) ^ c) & 0xfff
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::of(span.metadata());
        span.record(&mut line);
        self.hear(line.0);
        Id::from_u64(self.0.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line("a span:".to_owned());
        values.record(&mut line);
        self.hear(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::of(event.metadata());
        event.record(&mut line);
        self.hear(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What of an event or a span a formatter could write.
struct Line(String);

impl Line {
    fn of(metadata: &Metadata<'_>) -> Self {
        Self(format!("{} {} {}:", metadata.level(), metadata.target(), metadata.name()))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _written = write!(self.0, " {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.extend([" ", field.name(), "=", value]);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut next = Some(value);
        while let Some(error) = next {
            let _written = write!(self.0, " {field}={error} {error:?}");
            next = error.source();
        }
    }
}

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // A text that is part of the program has no secret in it.
        if record.args().as_str().is_none() {
            self.hear(format!("{} {}: {}", record.level(), record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// In each suite that listens.
#[test]
fn a_secret_in_a_log_would_be_noticed() {
    let collector = Collector::new(true);
    collector.add("of-a-token.that-is-good");
    tracing::subscriber::with_default(collector.clone(), || {
        tracing::info!(tokens = 3, "call ended");
        assert_eq!(collector.found(), [""; 0]);
        tracing::trace!("they said walnut");
        let span =
            tracing::debug_span!("call", prompt = "knock knock", later = tracing::field::Empty);
        span.record("later", "walnut");
        let error = io::Error::other("of-a-token.that-is-good was refused");
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::error!(error, "no answer");
        tracing::warn!(key = ?["eyJhbGciOiJSUzI1NiJ9"], "refused");
    });
    assert_eq!(collector.found().len(), 5, "{:#?}", collector.found());
    // What the driver of the database says, by another way.
    let (said, asked) = ("walnut", format_args!("executing: {}", "mock-account").to_string());
    let record = |text: fmt::Arguments<'_>| {
        let record = log::Record::builder().args(text).build();
        log::Log::log(&collector, &record);
    };
    record(format_args!("parameters: {said:?}"));
    record(format_args!("{asked}"));
    assert_eq!(collector.found().len(), 7, "{:#?}", collector.found());
    // What becomes known to be a secret afterwards.
    let late = "password-that-comes-late".to_owned();
    record(format_args!("opened with {late}"));
    assert_eq!(collector.found().len(), 7);
    collector.add(&late);
    assert_eq!(collector.found().len(), 8, "{:#?}", collector.found());
    listen();
}
