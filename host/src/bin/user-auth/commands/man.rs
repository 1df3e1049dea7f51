//! Manual pages, written from the same definitions as the help.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::failure::Failure;
use crate::output;

/// The manual of the program, or the pages of all commands in a folder.
#[derive(Args)]
pub(super) struct Manual {
    /// The folder for the pages of all commands. Without it, the page of the program is
    /// printed.
    folder: Option<PathBuf>,
}

impl Manual {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut program = super::command().disable_help_subcommand(true);
        // Gives the commands their full names.
        program.build();
        match &self.folder {
            Some(folder) => write_pages(&program, folder),
            None => {
                let (_, page) = page(&program)?;
                output::print(&String::from_utf8(page).map_err(Failure::start)?)
            }
        }
    }
}

/// Writes the page of a command, and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> Result<(), Failure> {
    let (name, page) = page(command)?;
    let path = folder.join(name);
    fs::write(&path, page).map_err(|error| {
        let path = path.display();
        Failure::start(format!("{path} cannot be written: {error}"))
    })?;
    let mut below = command.get_subcommands();
    below.try_for_each(|command| write_pages(command, folder))
}

/// Returns the file name and the text of a page.
fn page(command: &Command) -> Result<(String, Vec<u8>), Failure> {
    let page = Man::new(command.clone())
        .source(concat!("UserAuth ", env!("CARGO_PKG_VERSION")))
        .manual("UserAuth");
    let mut text = Vec::new();
    page.render(&mut text).map_err(Failure::start)?;
    Ok((page.get_filename(), text))
}
