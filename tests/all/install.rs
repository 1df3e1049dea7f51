//! `make install` and `make dist`: what they put in place runs there, wherever that is.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use user_auth_tests::{PASSWORD, built, command, folder};

/// Runs make with this target on what is built already, as a user whose files are private.
fn make(target: &str, variables: &[String]) {
    let mut make = Command::new("sh");
    make.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["-c", "umask 077; exec make --old-file build \"$@\"", "sh"])
        .arg(target)
        .arg(format!("RELEASE={}", built_folder().display()))
        .args(variables);
    // These variables belong to a `make` that runs this test.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(name);
    }
    succeed(&make.output().unwrap());
}

fn built_folder() -> PathBuf {
    built("user-auth.wasm").parent().unwrap().to_owned()
}

fn succeed(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns a command for the program in `bin` of this folder, which the shell finds through
/// `PATH`.
fn shell(installed: &Path, home: &Path, script: &str) -> Command {
    let environment = command(home);
    let mut path = installed.join("bin").into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["--norc", "-ec", script]).env_clear();
    for (name, value) in environment.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.current_dir(home).env("PATH", path);
    shell
}

/// Checks that the program in `bin` of this folder runs there with the component beside it.
fn assert_runs(installed: &Path) {
    let home = folder();
    let run = |script: &str| succeed(&shell(installed, home.path(), script).output().unwrap());
    let program = installed.join("bin/user-auth");
    assert_eq!(
        run("command -v user-auth").trim(),
        program.to_str().unwrap()
    );
    let version = run("user-auth --version");
    assert_eq!(
        version.trim(),
        concat!("user-auth ", env!("CARGO_PKG_VERSION"))
    );
    let register = format!("user-auth call register username=alice password='{PASSWORD}'");
    let user: Value = serde_json::from_str(&run(&register)).unwrap();
    assert_eq!(user["username"], "alice");
}

/// Checks the files below `share` of this folder.
fn assert_has_manual_and_completions(installed: &Path) {
    let read = |path: &str| {
        let path = installed.join("share").join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for name in ["user-auth", "user-auth-serve", "user-auth-config-show"] {
        let page = read(&format!("man/man1/{name}.1"));
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        assert!(page.contains("UserAuth 0."), "{page}");
    }
    let scripts = [
        "bash-completion/completions/user-auth",
        "zsh/site-functions/_user-auth",
        "fish/vendor_completions.d/user-auth.fish",
    ];
    for path in scripts {
        let script = read(path);
        assert!(script.contains("USER_AUTH_COMPLETE"), "{script}");
        let built = built_folder();
        let is_bound = script.contains(built.to_str().unwrap());
        assert!(!is_bound, "it calls the program in {built:?}: {script}");
    }
    assert!(read(scripts[1]).starts_with("#compdef user-auth\n"));
    let home = folder();
    let script = r#"
        source "$1"
        COMP_WORDS=(user-auth call regi); COMP_CWORD=2
        _clap_complete_user_auth user-auth regi call
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut complete = shell(installed, home.path(), script);
    complete
        .arg("bash")
        .arg(installed.join("share").join(scripts[0]));
    assert_eq!(succeed(&complete.output().unwrap()).trim(), "register");
}

#[test]
fn installed_files_run_and_all_users_can_read_them() {
    let scratch = folder();
    let staging = format!("DESTDIR={}", scratch.path().display());
    make("install", &[staging, "PREFIX=/usr".to_owned()]);
    let installed = scratch.path().join("usr");
    assert_runs(&installed);
    assert_has_manual_and_completions(&installed);
    let mode = |path: &str| {
        let metadata = fs::metadata(installed.join(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    for (path, expected) in [
        ("bin/user-auth", 0o755),
        ("bin/user-auth.wasm", 0o644),
        ("share/man/man1", 0o755),
        ("share/man/man1/user-auth.1", 0o644),
        ("share/zsh/site-functions/_user-auth", 0o644),
    ] {
        assert_eq!(mode(path), expected, "{path}: {:o}", mode(path));
    }
}

#[test]
fn the_archive_of_make_dist_has_its_checksum_and_runs_where_it_is_unpacked() {
    let scratch = folder();
    let dist = scratch.path().join("dist");
    make("dist", &[format!("DIST={}", dist.display())]);
    let mut unpack = Command::new("sh");
    unpack.current_dir(&dist).args([
        "-ec",
        "sha256sum --check --strict SHA256SUMS; tar -xzf user-auth-*.tar.gz",
    ]);
    succeed(&unpack.output().unwrap());
    let entries = fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap());
    let mut folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let unpacked = scratch.path().join("elsewhere");
    fs::rename(folders.next().unwrap().path(), &unpacked).unwrap();
    assert_runs(&unpacked);
    assert_has_manual_and_completions(&unpacked);
    for name in ["README.md", "LICENSE"] {
        assert!(unpacked.join(name).exists(), "{name}");
    }
}
