//! A folder under cargo's target folder where the kit keeps what is slow to make: clips, the
//! browser's LiveKit client.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The file or folder of that name in the cache; `make` builds it at the path it is given when it
/// is not there.
pub(crate) fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let made = try_cached(name, |path| {
        make(path);
        true
    });
    made.expect("it has been made")
}

/// [`cached`] for what may fail: `None` when `make` says that it has. Safe with tests in several
/// processes: each builds its own, the first to finish is kept.
pub(crate) fn try_cached(name: &str, make: impl FnOnce(&Path) -> bool) -> Option<PathBuf> {
    let folder = folder();
    let kept = folder.join(name);
    if kept.exists() {
        return Some(kept);
    }
    fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("cannot create {}: {error}", folder.display()));
    let making = tempfile::Builder::new()
        .prefix("making-")
        .tempdir_in(&folder)
        .expect("a temporary folder in the test kit's cache");
    // The name is kept, for programs choose the format by its ending.
    let made = making.path().join(name);
    if !make(&made) {
        return None;
    }
    if let Err(error) = fs::rename(&made, &kept) {
        // A folder cannot replace a folder that another test has put there meanwhile.
        assert!(kept.exists(), "cannot keep {}: {error}", kept.display());
    }
    Some(kept)
}

fn folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // A test's program is target/debug/deps/NAME, and cargo marks the target folder.
    let marked = || {
        let program = env::current_exe().ok()?;
        program
            .ancestors()
            .find(|folder| folder.join("CACHEDIR.TAG").exists())
            .map(Path::to_path_buf)
    };
    target
        .or_else(marked)
        .unwrap_or_else(env::temp_dir)
        .join("test-kit")
}
