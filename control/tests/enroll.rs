//! The real program as CA and newcomer, as two processes on loopback.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use sabha_core::{
    Clock, DeviceKey, Identity, UserId,
    ca::{Authority, AuthoritySettings, FolderOutbox},
};
use tempfile::TempDir;

const WAIT_MAX: Duration = Duration::from_secs(30);

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sabha"));
    command.env_clear().env("HOME", dir).current_dir(dir).stdin(Stdio::null());
    command
}

/// A CA that runs as a process of its own; killed when dropped.
struct Ca {
    dir: TempDir,
    child: Child,
    address: String,
    fingerprint: String,
}

impl Ca {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(dir: TempDir) -> Self {
        let mut child = program(dir.path())
            .args(["ca", "--dir", "ca", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let read = |name: &str| {
            let line = lines.recv_timeout(WAIT_MAX).expect("the CA prints two lines");
            line.strip_prefix(name).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        let (address, fingerprint) = (read("listening "), read("fingerprint "));
        Self { dir, child, address, fingerprint }
    }

    fn outbox(&self) -> FolderOutbox {
        FolderOutbox::new(&self.dir.path().join("ca/outbox")).unwrap()
    }

    fn otp(&self, user: &str) -> String {
        self.outbox().newest_otp(&user.parse().unwrap()).unwrap().expect("a mail was sent")
    }

    fn enroll(&self, user: &str, dir: &str, more: &[&str]) -> Output {
        program(self.dir.path())
            .args(["enroll", "--ca", &self.address, "--fingerprint", &self.fingerprint])
            .args(["--user", user, "--dir", dir])
            .args(more)
            .output()
            .unwrap()
    }

    /// Asks for a password and enrols with it; clears the outbox first, as mails of one second have
    /// no order.
    fn enroll_whole(&self, user: &str, dir: &str, more: &[&str]) -> Output {
        for mail in fs::read_dir(self.path("ca/outbox")).unwrap() {
            fs::remove_file(mail.unwrap().path()).unwrap();
        }
        let asked = self.enroll(user, dir, more);
        assert!(asked.status.success(), "{}", text(&asked.stderr));
        self.enroll(user, dir, &[more, &["--otp", &self.otp(user)]].concat())
    }

    fn identity(&self, dir: &str) -> Identity {
        Identity::load(Clock::system().now(), &self.path(dir)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the CA does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    receive
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks that a command failed with one plain line, and returns it.
fn refusal(output: &Output) -> String {
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{told}");
    let last = told.lines().last().unwrap_or_default();
    last.strip_prefix("sabha: ").unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn newcomer_enrols_with_the_password_from_the_outbox() {
    let ca = Ca::start();
    let output = ca.enroll_whole("ann@example.org", "ann", &["--mixer"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let identity = ca.identity("ann");
    let certificate = identity.certificate();
    assert_eq!(
        text(&output.stdout),
        format!(
            "user ann@example.org\nnode {}\nvalid until {}\nmixer since {}\n",
            identity.node(),
            certificate.not_after,
            certificate.mixer.unwrap().node_since
        )
    );
    assert_eq!(identity.root().fingerprint().to_string(), ca.fingerprint);
}

#[test]
fn device_without_the_mixer_mark_is_told_so() {
    let ca = Ca::start();
    let output = ca.enroll_whole("ann@example.org", "ann", &[]);
    assert!(text(&output.stdout).ends_with("\nmixer no\n"), "{}", text(&output.stdout));
    assert_eq!(ca.identity("ann").certificate().mixer, None);
}

#[test]
fn without_terminal_the_next_command_is_printed() {
    let ca = Ca::start();
    let output = ca.enroll("ann@example.org", "my id", &["--mixer"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected = format!(
        "A one-time password is on its way to ann@example.org. Run next, with the password from \
         the mail:\n  sabha enroll --ca {} --fingerprint {} --user ann@example.org --mixer --dir \
         'my id' --otp OTP\n",
        ca.address, ca.fingerprint
    );
    assert_eq!(text(&output.stdout), expected);
    assert!(!ca.path("my id").exists());
}

#[test]
fn wrong_password_is_told_with_the_tries_left_and_the_right_one_still_works() {
    let ca = Ca::start();
    assert!(ca.enroll("ann@example.org", "ann", &[]).status.success());
    let wrong = refusal(&ca.enroll("ann@example.org", "ann", &["--otp", "00000-00000"]));
    assert_eq!(
        wrong,
        "the CA refused: wrong one-time password, 4 tries left; copy it from the newest mail"
    );
    assert!(!ca.path("ann/device.pem").exists());
    let key = DeviceKey::load(&ca.path("ann/device.key")).unwrap();
    let right = ca.enroll("ann@example.org", "ann", &["--otp", &ca.otp("ann@example.org")]);
    assert!(right.status.success(), "{}", text(&right.stderr));
    assert_eq!(ca.identity("ann").node(), key.node());
}

#[test]
fn other_fingerprint_is_refused_before_anything_is_mailed() {
    let mut ca = Ca::start();
    ca.fingerprint = "ab".repeat(32);
    let told = refusal(&ca.enroll("ann@example.org", "ann", &[]));
    assert!(told.contains("does not have the root abab"), "{told}");
    assert_eq!(ca.outbox().newest_otp(&"ann@example.org".parse().unwrap()).unwrap(), None);
}

#[test]
fn identity_of_another_user_or_ca_is_not_overwritten() {
    let mut ca = Ca::start();
    assert!(ca.enroll_whole("ann@example.org", "id", &[]).status.success());
    let before = fs::read(ca.path("id/device.pem")).unwrap();
    let other_user = refusal(&ca.enroll("ben@example.org", "id", &[]));
    assert!(other_user.starts_with("id holds the identity of ann@example.org;"), "{other_user}");
    ca.fingerprint = "ab".repeat(32);
    let other_root = refusal(&ca.enroll("ann@example.org", "id", &["--otp", "x"]));
    assert!(other_root.starts_with("id holds an identity of the CA with root "), "{other_root}");
    assert_eq!(fs::read(ca.path("id/device.pem")).unwrap(), before);
}

#[test]
fn unusable_identity_is_not_overwritten() {
    let ca = Ca::start();
    assert!(ca.enroll_whole("ann@example.org", "id", &[]).status.success());
    fs::write(ca.path("id/device.pem"), "nonsense").unwrap();
    let told = refusal(&ca.enroll("ann@example.org", "id", &[]));
    assert!(told.starts_with("id holds an identity that cannot be used: device.pem"), "{told}");
}

#[test]
fn device_that_enrols_again_keeps_key_and_mark() {
    let ca = Ca::start();
    assert!(ca.enroll_whole("ann@example.org", "id", &["--mixer"]).status.success());
    let before = ca.identity("id");
    assert!(ca.enroll_whole("ann@example.org", "id", &[]).status.success());
    let after = ca.identity("id");
    assert_eq!(after.node(), before.node());
    assert_eq!(after.certificate().mixer, before.certificate().mixer);
    assert_ne!(after.certificate().fingerprint, before.certificate().fingerprint);
}

#[test]
fn expired_device_enrols_again_and_keeps_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (ca_dir, id_dir) = (dir.path().join("ca"), dir.path().join("id"));
    let now = Clock::system().now();
    let long_ago = now.before(Duration::from_secs(200 * 86_400));
    let authority =
        Authority::open_or_create(long_ago, &ca_dir, AuthoritySettings::default()).unwrap();
    let ann: UserId = "ann@example.org".parse().unwrap();
    let key = Arc::new(DeviceKey::generate().unwrap());
    authority.issue(long_ago, &ann, key.clone(), false).unwrap().save(&id_dir).unwrap();
    drop(authority);
    assert!(Identity::load(now, &id_dir).is_err(), "it has expired");

    let ca = Ca::start_in(dir);
    let other_user = refusal(&ca.enroll("ben@example.org", "id", &[]));
    assert!(other_user.starts_with("id holds the identity of ann@example.org;"), "{other_user}");
    let output = ca.enroll_whole("ann@example.org", "id", &["--mixer"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let renewed = ca.identity("id");
    assert_eq!(renewed.node(), key.node());
    assert!(renewed.certificate().mixer.is_some());
}

#[test]
fn ca_ends_in_order_on_sigterm_and_on_sigint_and_keeps_its_root() {
    let mut ca = Ca::start();
    ca.signal("TERM");
    assert_eq!(ca.wait().code(), Some(0));
    let fingerprint = ca.fingerprint.clone();
    let dir = std::mem::replace(&mut ca.dir, tempfile::tempdir().unwrap());
    let mut again = Ca::start_in(dir);
    assert_eq!(again.fingerprint, fingerprint);
    again.signal("INT");
    assert_eq!(again.wait().code(), Some(0));
}

#[test]
fn address_that_is_taken_is_told() {
    let ca = Ca::start();
    let args = ["ca", "--dir", "second", "--listen", &ca.address];
    let told = refusal(&program(ca.dir.path()).args(args).output().unwrap());
    assert!(told.starts_with(&format!("cannot listen on {}", ca.address)), "{told}");
}

#[test]
fn ca_that_is_not_there_is_told() {
    let ca = Ca::start();
    let args = ["enroll", "--ca", "no-such-host.invalid:1", "--user", "ann@example.org"];
    let args = [&args[..], &["--fingerprint", &ca.fingerprint]].concat();
    let told = refusal(&program(ca.dir.path()).args(args).output().unwrap());
    assert!(told.starts_with("cannot find the address of no-such-host.invalid:1: "), "{told}");
}
