//! The kit's clips and measures agree with each other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions, annexb};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{media, process, require};

fn mux(video: &Path, fps: u32, audio: &Path, output: &Path) {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-loglevel", "error", "-y", "-r", &fps.to_string(), "-i"]);
    command.arg(video).arg("-i").arg(audio);
    command.args(["-c", "copy"]).arg(output);
    process::run_ok(&mut command, Duration::from_secs(60));
}

#[test]
fn a_muxed_clip_has_its_pictures_and_its_flashes_at_the_beeps() {
    require!(Peer::Ffmpeg);
    let clip = VideoClip::make(VideoOptions::default().slices(2));
    let sound = AudioClip::make(4);
    assert_eq!((clip.units.len(), sound.packets.len()), (120, 200));
    assert!(
        sound
            .packets
            .iter()
            .all(|packet| packet.duration == Duration::from_millis(20))
    );
    let keyframes = clip
        .units
        .iter()
        .enumerate()
        .filter(|(_, unit)| unit.keyframe);
    let keyframes: Vec<_> = keyframes.map(|(index, _)| index).collect();
    assert_eq!(keyframes, [0, 30, 60, 90]);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("clip.mp4");
    mux(&clip.path, 30, &sound.path, &file);
    let probe = media::assert_plays(&file);
    assert_eq!(
        (probe.video().codec.as_str(), probe.audio().codec.as_str()),
        ("h264", "opus")
    );
    assert_eq!((probe.video().width, probe.video().height), (640, 360));
    assert_eq!(media::decoded_frames(&file), 120);

    let units = clip.units.iter();
    let pictures: Vec<_> = units.map(|unit| annexb::slices(&unit.data)).collect();
    assert_eq!(media::h264_pictures(&file), pictures);
    // The Ogg file has the packet of the encoder's delay too.
    let packets = sound.packets.iter().map(|packet| packet.data.clone());
    let packets: Vec<_> = packets.collect();
    assert!(media::opus_without_silence(&file).starts_with(&packets));

    let offsets = media::flashes_and_beeps(&file).offsets();
    assert_eq!(
        offsets.len(),
        3,
        "one for each full second but the first: {offsets:?}"
    );
    assert!(
        offsets.iter().all(|offset| offset.abs() <= 10_000),
        "{offsets:?}"
    );

    let flash = media::picture(&file, Duration::from_millis(1050));
    let no_flash = media::picture(&file, Duration::from_millis(1500));
    assert!(flash.mean(0, 0, 320, 180) > 240.0);
    assert!(no_flash.mean(0, 0, 320, 180) < 200.0);
    assert!(flash.psnr(&no_flash) < 30.0 && flash.psnr(&flash).is_infinite());
}

#[test]
fn a_vp8_clip_has_a_keyframe_a_second() {
    require!(Peer::Ffmpeg);
    let clip = VideoClip::make(VideoOptions::of(VideoCodec::Vp8).size(320, 180).seconds(2));
    let keyframes = clip.units.iter().filter(|unit| unit.keyframe).count();
    assert_eq!((clip.units.len(), keyframes), (60, 2));
    assert_eq!(media::decoded_frames(&clip.path), 60);
}

#[test]
fn a_broken_file_does_not_pass() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("clip.mp4");
    mux(
        &VideoClip::make(VideoOptions::default()).path,
        30,
        &AudioClip::make(4).path,
        &file,
    );
    let mut bytes = std::fs::read(&file).expect("the file is read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].fill(0xFF);
    std::fs::write(&file, bytes).expect("the file is written");
    let checked = std::panic::catch_unwind(|| media::decode_without_errors(&file));
    assert!(checked.is_err());
}
