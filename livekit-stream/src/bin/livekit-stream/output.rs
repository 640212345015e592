//! Where recordings go: checked before the room is joined, named as participants come.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use livekit_stream::MediaSource;

use crate::failure::Failure;
use crate::selection::Scope;

/// File name endings of what is written: fragmented MP4, WebM, Matroska.
const EXTENSIONS: [&str; 6] = ["mp4", "m4v", "m4a", "webm", "mkv", "mka"];

/// File systems take 255 bytes; this leaves room for the source, a number and the ending.
const LONGEST_STEM: usize = 200;

/// A checked `--output`.
#[derive(Debug)]
pub(crate) enum Output {
    /// One file.
    File(PathBuf),
    /// A file for each participant.
    Folder {
        path: PathBuf,
        /// Created for this command: goes again if it stays empty.
        created: bool,
    },
}

impl Output {
    /// Finds out what `path` stands for and whether it can be written, without leaving anything
    /// behind but a folder.
    pub(crate) fn check(path: &Path, overwrite: bool) -> Result<Self, Failure> {
        if path.is_dir() || is_folder_name(path) {
            return folder(path);
        }
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let existing = fs::metadata(path);
        let is_file = existing.as_ref().map_or(true, fs::Metadata::is_file);
        if is_file && !EXTENSIONS.contains(&extension.as_str()) {
            return Err(Failure::usage(format!(
                "cannot write .{extension} to {}: give a path that ends in .mp4, .webm or .mkv, \
                 or a directory",
                path.display()
            )));
        }
        check_file(path, is_file && existing.is_ok(), overwrite)?;
        Ok(Self::File(path.to_owned()))
    }

    /// How many participants it takes.
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::File(_) => Scope::One,
            Self::Folder { .. } => Scope::All,
        }
    }

    /// The path of a participant's recording; in a folder a new file, which is there already.
    pub(crate) fn path_for(&self, identity: &str, source: MediaSource) -> io::Result<PathBuf> {
        let folder = match self {
            Self::File(path) => return Ok(path.clone()),
            Self::Folder { path, .. } => path,
        };
        let stem = format!("{}-{source}", file_name(identity));
        for number in 1.. {
            let suffix = if number == 1 {
                String::new()
            } else {
                format!("-{number}")
            };
            let path = folder.join(format!("{stem}{suffix}.mp4"));
            match File::create_new(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Takes away what was created and stayed empty: of a file nothing was recorded to, a folder
    /// without files.
    pub(crate) fn tidy(&self, files: &[PathBuf]) {
        for file in files {
            if fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() == 0) {
                // An empty file more is not worth an error.
                let _ = fs::remove_file(file);
            }
        }
        if let Self::Folder {
            path,
            created: true,
        } = self
        {
            // Refused, as it should be, if there is something in it.
            let _ = fs::remove_dir(path);
        }
    }
}

/// Whether a path that is not there stands for a folder: it ends in a slash, or has no ending.
fn is_folder_name(path: &Path) -> bool {
    let slash = path.as_os_str().to_string_lossy().ends_with('/');
    slash || path.extension().is_none() && !path.exists()
}

fn folder(path: &Path) -> Result<Output, Failure> {
    let created = !path.exists();
    let failed = |error: io::Error| {
        let path = path.display();
        Failure::failed(format!("cannot write to the directory {path}: {error}"))
    };
    fs::create_dir_all(path).map_err(failed)?;
    let probe = path.join(format!(".livekit-stream-{:08x}", rand::random::<u32>()));
    File::create_new(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(failed)?;
    Ok(Output::Folder {
        path: path.to_owned(),
        created,
    })
}

/// Checks that a report can be written; an older one is overwritten.
pub(crate) fn check_report(path: &Path) -> Result<(), Failure> {
    check_file(path, path.exists(), true)
}

/// Checks that a file can be written and is not there, unless it may be overwritten.
fn check_file(path: &Path, exists: bool, overwrite: bool) -> Result<(), Failure> {
    if exists && !overwrite {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path} already exists: give another path or --force"
        )));
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let new = !exists && fs::metadata(path).is_ok_and(|found| found.is_file());
    let checked = match opened {
        Ok(_) if new => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    checked.map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

/// An identity as part of a file name: what file systems or shells take amiss is replaced.
fn file_name(identity: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    let mut name: String = identity
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    while name.len() > LONGEST_STEM {
        name.pop();
    }
    if name.is_empty() || name.starts_with(['.', '-']) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_become_file_names() {
        assert_eq!(file_name("alice@example.org"), "alice@example.org");
        assert_eq!(file_name("../../etc/passwd"), "_.._.._etc_passwd");
        assert_eq!(file_name("Jörg Ünal\n"), "Jörg_Ünal_");
        assert_eq!(file_name("-rf"), "_-rf");
        assert_eq!(file_name(""), "_");
        assert!(file_name(&"ü".repeat(300)).len() <= LONGEST_STEM);
    }

    #[test]
    fn a_path_without_an_ending_is_a_folder_that_goes_if_it_stays_empty() {
        let temporary = tempfile::tempdir().expect("a folder");
        let path = temporary.path().join("new/recordings");
        let output = Output::check(&path, false).expect("writable");
        assert_eq!(output.scope(), Scope::All);
        assert!(path.is_dir());
        output.tidy(&[]);
        assert!(!path.exists());
    }

    #[test]
    fn files_in_a_folder_never_overwrite() {
        let temporary = tempfile::tempdir().expect("a folder");
        let output = Output::check(temporary.path(), false).expect("writable");
        let path = |identity| {
            let path = output
                .path_for(identity, MediaSource::Camera)
                .expect("a name");
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        assert_eq!(path("a/b").as_deref(), Some("a_b-camera.mp4"));
        assert_eq!(path("a:b").as_deref(), Some("a_b-camera-2.mp4"));
    }

    #[test]
    fn checking_a_file_leaves_nothing_and_overwrites_nothing() {
        let temporary = tempfile::tempdir().expect("a folder");
        let path = temporary.path().join("out.mp4");
        Output::check(&path, false).expect("writable");
        assert!(!path.exists());
        fs::write(&path, b"precious").expect("written");
        let error = Output::check(&path, false).expect_err("it exists");
        assert!(
            error
                .to_string()
                .ends_with("already exists: give another path or --force")
        );
        Output::check(&path, true).expect("forced");
        assert_eq!(fs::read(&path).expect("read"), b"precious");
    }

    #[test]
    fn other_formats_are_refused() {
        let error = Output::check(Path::new("out.avi"), false).expect_err("not one of them");
        assert!(error.to_string().contains(".avi"), "{error}");
    }
}
