//! `keyward man`: a manual page for each command (man(7)), made from the command line itself.

use super::{Arguments, exit::CliError};
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use std::{fs, io, path::Path, path::PathBuf};

#[derive(Args)]
pub(super) struct Pages {
    /// Directory that the pages go to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes `keyward.1`, `keyward-key.1`, `keyward-key-sign.1` and so on.
pub(super) fn write(asked: &Pages) -> Result<(), CliError> {
    fs::create_dir_all(&asked.out).map_err(|error| CliError::file("making", asked.out.display(), error))?;
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    write_tree(&root, &asked.out)
}

fn write_tree(command: &Command, directory: &Path) -> Result<(), CliError> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_tree(inner, directory)?;
    }
    let man = Man::new(command.clone());
    let path = directory.join(man.get_filename());
    let failed = |error| CliError::file("writing", path.display(), error);
    fs::write(&path, page(&man, command).map_err(failed)?).map_err(failed)
}

fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    // By hand, since an empty date would be left out and shift what follows. A page has none: the same source gives
    // the same page.
    let name = man.get_filename();
    let title = name.trim_end_matches(".1");
    let mut page = format!(".TH {title} 1 \"\" \"keyward {}\" \"keyward\"\n", env!("CARGO_PKG_VERSION")).into_bytes();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(notes) = command.get_after_help() {
        // As it stands: the library's own section would run the lines of examples together.
        let mut section = Roff::new();
        section.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.to_string().lines() {
            section.text([roman(line)]);
        }
        section.control("fi", []).to_writer(&mut page)?;
    }
    Ok(page)
}
