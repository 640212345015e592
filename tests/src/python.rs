//! Programs of other SDKs: Python scripts of the kit (`tests/python`) with packages that `pip` fetches
//! once.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::cache::try_cached;
use crate::process;

/// LiveKit's own SDK, over libwebrtc.
pub const LIVEKIT: &str = "livekit==1.2.0";

const FETCH_DEADLINE: Duration = Duration::from_secs(240);

/// The folder with a package and what it needs; `None` when it cannot be had.
pub(crate) fn packages(requirement: &str) -> Option<PathBuf> {
    try_cached(&format!("python-{requirement}"), |folder| {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        command.args(["--disable-pip-version-check", "--target"]);
        command.arg(folder).arg(requirement);
        process::run(&mut command, FETCH_DEADLINE).success()
    })
}

/// A command that runs one of the kit's scripts with a package.
///
/// # Panics
///
/// When the package cannot be had: the test has required it.
pub fn script(name: &str, requirement: &str) -> Command {
    let packages = packages(requirement).expect("the package is there");
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python").to_owned() + "/" + name);
    command
        .env("PYTHONPATH", packages)
        .env("PYTHONUNBUFFERED", "1");
    command
}
