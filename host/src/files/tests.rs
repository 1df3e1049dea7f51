use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use super::*;

const STRANGER: u32 = 65534;

fn file(folder: &TempDir, mode: u32) -> PathBuf {
    let path = folder.path().join("x");
    fs::write(&path, "secret").unwrap();
    set_mode(&path, mode);
    path
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn each_guard_rejects_its_permissions() {
    let folder = tempdir().unwrap();
    for (guard, good, bad) in [
        (
            Guard::Trusted,
            &[0o600, 0o644, 0o755, 0o444][..],
            &[0o666, 0o602][..],
        ),
        (
            Guard::Secret,
            &[0o600, 0o400],
            &[0o640, 0o604, 0o620, 0o660, 0o644],
        ),
        (
            Guard::Credential,
            &[0o600, 0o440, 0o640],
            &[0o444, 0o620, 0o604],
        ),
    ] {
        for mode in good {
            let path = file(&folder, *mode);
            assert!(open(&path, guard).is_ok(), "{guard:?} {mode:o}");
            fs::remove_file(path).unwrap();
        }
        for mode in bad {
            let path = file(&folder, *mode);
            let told = open(&path, guard).unwrap_err().to_string();
            let shown = format!("mode {mode:03o}");
            assert!(told.contains(&shown) && told.contains("chmod"), "{told}");
            fs::remove_file(path).unwrap();
        }
    }
}

/// Only root may give files away; other users skip this test.
#[test]
fn a_file_of_another_user_or_writable_by_a_group_is_rejected() {
    let folder = tempdir().unwrap();
    let path = file(&folder, 0o600);
    if chown(&path, Some(STRANGER), Some(0)).is_err() {
        return;
    }
    for guard in [Guard::Trusted, Guard::Secret, Guard::Credential] {
        let told = open(&path, guard).unwrap_err().to_string();
        assert!(told.contains("belongs to user 65534"), "{told}");
        assert!(told.contains("chown 0"), "{told}");
    }
    chown(&path, Some(0), Some(STRANGER)).unwrap();
    set_mode(&path, 0o664);
    assert!(matches!(
        open(&path, Guard::Trusted),
        Err(FileError::Writable { .. })
    ));
    // The owner's own group has no other members.
    chown(&path, Some(0), Some(0)).unwrap();
    assert!(open(&path, Guard::Trusted).is_ok());
}

#[test]
fn the_open_file_is_checked() {
    let folder = tempdir().unwrap();
    let path = file(&folder, 0o600);
    let opened = open(&path, Guard::Secret).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "planted").unwrap();
    let read = read_all(opened, &path, 100).unwrap();
    assert_eq!(*read, b"secret");
    // For a link, the checks apply to its target.
    let link = folder.path().join("link");
    set_mode(&path, 0o644);
    symlink(&path, &link).unwrap();
    assert!(open(&link, Guard::Secret).is_err());
    set_mode(&path, 0o600);
    assert!(open(&link, Guard::Secret).is_ok());
}

#[test]
fn text_may_come_from_a_pipe_but_code_may_not() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&pipe)
        .status();
    assert!(made.unwrap().success());
    // Not even one that would block until there is a writer.
    let told = open(&pipe, Guard::Trusted).unwrap_err().to_string();
    assert!(told.contains("not a regular file"), "{told}");
    // A pipe without a writer reads as if it were empty.
    let told = read_text(&pipe, Guard::Secret).unwrap_err().to_string();
    assert!(told.contains("start what writes to it"), "{told}");
    // A shell's process substitution names the output of a program in this way.
    let mut printf = Command::new("printf");
    let mut child = printf.arg("a text").stdout(Stdio::piped()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", output.as_raw_fd()));
    let read = read_text(&path, Guard::Secret).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(*read, "a text");
    let told = read_text(folder.path(), Guard::Trusted).unwrap_err();
    assert!(told.to_string().contains("not a regular file"), "{told}");
}

#[test]
fn a_file_is_read_to_its_limit_and_no_further() {
    let folder = tempdir().unwrap();
    let path = file(&folder, 0o600);
    assert_eq!(*read(&path, Guard::Secret, 6).unwrap(), b"secret");
    let told = read(&path, Guard::Secret, 5).unwrap_err().to_string();
    assert!(told.contains("more than 5 bytes"), "{told}");
    fs::write(&path, b"\xff").unwrap();
    let told = read_text(&path, Guard::Secret).unwrap_err().to_string();
    assert!(told.contains("UTF-8"), "{told}");
    let absent = folder.path().join("absent");
    assert!(open(&absent, Guard::Secret).unwrap_err().is_absent());
}

#[test]
fn a_temporary_file_claims_a_name_once() {
    let folder = tempdir().unwrap();
    let target = folder.path().join("target");
    let write = |text: &str| {
        let temporary = Temporary::create(&target).unwrap();
        temporary.file().write_all(text.as_bytes()).unwrap();
        temporary
    };
    write("first").claim(&target).unwrap();
    let error = write("second").claim(&target).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&target).unwrap(), b"first");
    write("third").replace(&target).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"third");
    drop(write("fourth"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_being_written_is_not_left_over() {
    let folder = tempdir().unwrap();
    let target = folder.path().join("target");
    let first = Temporary::create(&target).unwrap();
    let second = Temporary::create(&target).unwrap();
    assert!(first.path().exists() && second.path().exists());
    let left = first.path().to_owned();
    // A killed process leaves this behind: its lock ends, and its file stays.
    let copy = left.with_file_name("target.0123456789abcdef.new");
    fs::copy(&left, &copy).unwrap();
    drop(first);
    sweep(&target);
    assert!(!copy.exists() && second.path().exists());
}

#[test]
fn concurrent_writers_do_not_delete_each_others_files() {
    let folder = tempdir().unwrap();
    let target = folder.path().join("target");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let temporary = Temporary::create(&target).unwrap();
                    temporary.file().write_all(b"whole").unwrap();
                    temporary.replace(&target).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read(&target).unwrap(), b"whole");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
