//! Twenty people who come and go for three minutes leave nothing behind: no task, socket, file,
//! thread or memory, and each frame that came is accounted for. It looks at a whole process, so it
//! is a program of its own, which runs the benchmark's; an hour of the same is `bench soak`.

use std::process::Command;
use std::time::Duration;

use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{process, require};

const DEADLINE: Duration = Duration::from_secs(600);

#[test]
fn nothing_is_left_behind_by_people_who_come_and_go() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx, Peer::Libvpx);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["soak", "--minutes", "3"]);
    let output = process::run(&mut command, DEADLINE);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.success(), "{:?}: {}", output.status, output.stderr);
}
