//! Apache with modules that others wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use user_auth_tests::built;

use crate::elsewhere::Running;

/// Starts Apache with these modules and this configuration, in a folder. `/whoami.html` is a page
/// with this text.
pub fn start(home: &Path, port: u16, modules: &[&str], page: &str, configuration: &str) -> Running {
    let (program, root) = program(modules);
    let always = ["mpm_event", "authn_core", "authz_core"];
    let load = [&always, modules].concat().into_iter().map(|name| {
        let path = module(&root, name);
        format!("LoadModule {name}_module {}\n", path.display())
    });
    let pages = home.join("pages");
    fs::create_dir(&pages).unwrap();
    fs::write(pages.join("whoami.html"), page).unwrap();
    let configuration = format!(
        "ServerRoot {home}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile pid\n\
         DefaultRuntimeDir {home}\nErrorLog /dev/stderr\nLogLevel notice\n{load}\
         DocumentRoot {pages}\nSetOutputFilter INCLUDES\nOptions +Includes\n{configuration}",
        load = load.collect::<String>(),
        home = home.display(),
        pages = pages.display(),
    );
    let file = home.join("apache.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new(program);
    command.arg("-DFOREGROUND").arg("-f").arg(file);
    command.env("LD_LIBRARY_PATH", libraries(&root));
    let (running, _) = Running::start(&mut command, "resuming normal operations");
    running
}

/// Returns the Apache of the machine, or the one that `make` has unpacked, and the folder
/// that its modules are below.
fn program(modules: &[&str]) -> (PathBuf, PathBuf) {
    let unpacked = built("user-auth").with_file_name("../tools/apache");
    for root in [PathBuf::from("/"), unpacked] {
        let program = root.join("usr/sbin/apache2");
        let mut modules = modules.iter().map(|name| module(&root, name));
        if program.exists() && modules.all(|module| module.exists()) {
            return (program, root);
        }
    }
    panic!("Apache with {modules:?} is missing; run `make test`");
}

fn module(root: &Path, name: &str) -> PathBuf {
    root.join(format!("usr/lib/apache2/modules/mod_{name}.so"))
}

fn libraries(root: &Path) -> PathBuf {
    let machine = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    root.join(machine)
}
