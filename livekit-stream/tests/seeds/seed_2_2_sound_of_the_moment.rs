//! `get_frame_and_audio`: the sound is that of the picture's moment.

use livekit_stream::frame::{AudioFrame, VideoFormat, VideoFrameEvent};

use crate::rtmp_kit::*;
use crate::seed_2_1_capture::{B_FRAMES, listening, once};

/// How far apart flash and beep may be.
const TOLERANCE_US: i64 = 20_000;

/// A white picture and a beep at every full second.
const FLASH_AND_BEEP: &[&str] = &[
    "-re",
    "-f",
    "lavfi",
    "-i",
    "color=c=black:s=160x120:r=25,geq=lum='if(lt(mod(T,1),0.039),235,16)':cb=128:cr=128",
    "-re",
    "-f",
    "lavfi",
    "-i",
    "aevalsrc='if(lt(mod(t,1),0.04),0.8*sin(2*PI*1000*t),0)':s=44100",
];

fn is_flash(picture: &VideoFrameEvent) -> bool {
    let luma = picture.frame.plane(0);
    luma.iter().map(|y| u64::from(*y)).sum::<u64>() / luma.len() as u64 > 150
}

/// When the first loud sample sounds.
fn onset_us(sound: &AudioFrame) -> Option<i64> {
    let loud = sound
        .samples
        .iter()
        .position(|sample| sample.abs() > 8_000)?;
    Some(sound.timestamp_us + loud as i64 * 1_000_000 / i64::from(sound.sample_rate))
}

/// Captures four seconds; `fps` is asked for if it is given.
async fn capture(fps: Option<f64>) {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut builder = listening()
        .format(VideoFormat::I420)
        .buffer_size(250)
        .reconnect(once());
    if let Some(fps) = fps {
        builder = builder.fps(fps);
    }
    let capture = builder.start().await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", capture.local_addr().unwrap());
    let mut args = FLASH_AND_BEEP.to_vec();
    args.extend(B_FRAMES.split_whitespace());
    args.extend(["-t", "4", "-f", "flv", &url]);
    let _publisher = ffmpeg(&args, &dir.path().join("ffmpeg.log"));
    let (mut flashes, mut beeps) = (Vec::new(), Vec::new());
    let mut sound_end_us: Option<i64> = None;
    while let Ok((picture, sound)) = soon("a picture", capture.get_frame_and_audio()).await {
        if let Some(end_us) = sound_end_us {
            // No gap and no overlap beyond the rounding to samples.
            let step = sound.timestamp_us - end_us;
            assert!(step.abs() <= 100, "{step} us between pieces of sound");
        }
        assert!((sound.timestamp_us - picture.timestamp_us).abs() <= TOLERANCE_US);
        sound_end_us = Some(sound.timestamp_us + sound.duration_us());
        if is_flash(&picture)
            && flashes
                .last()
                .is_none_or(|t| picture.timestamp_us - t > 500_000)
        {
            flashes.push(picture.timestamp_us);
        }
        if let Some(onset) = onset_us(&sound)
            && beeps.last().is_none_or(|t| onset - t > 500_000)
        {
            beeps.push(onset);
        }
    }
    assert_eq!(flashes.len(), 4, "{flashes:?} {beeps:?}");
    assert_eq!(beeps.len(), 4, "{flashes:?} {beeps:?}");
    for (flash, beep) in flashes.iter().zip(&beeps) {
        let apart = beep - flash;
        assert!(
            apart.abs() <= TOLERANCE_US,
            "{apart} us: {flashes:?} {beeps:?}"
        );
    }
}

#[tokio::test]
async fn flash_and_beep_come_together() {
    capture(None).await;
}

#[tokio::test]
async fn flash_and_beep_come_together_at_another_rate() {
    capture(Some(50.0)).await;
}
