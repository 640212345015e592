//! Rows 3.1, 3.2 and 3.5: writers, devices, RTMP players, and the options of containers.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_5_an_rtmp_player_is_served() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let url = format!("rtmp://127.0.0.1:{port}/live/app");
    let played = folder.path().join("played.flv");
    let player = {
        let (url, played) = (url.clone(), played.clone());
        tokio::task::spawn_blocking(move || {
            // The server is not there at once.
            for _ in 0..100 {
                let mut command = Command::new(Peer::Ffmpeg.path());
                command.args(["-v", "error", "-nostdin", "-y", "-i", &url, "-c", "copy"]);
                if process::run(command.arg(&played), DEADLINE).success() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            false
        })
    };
    let mut encoder = StreamingMediaEncoder::new(url.as_str())
        .format("flv")
        .backend(MediaBackend::Ffmpeg);
    let options = VideoStreamOptions::new(25.0, 64, 48)
        .encoder("libx264")
        .encoder_option("preset", "veryfast")
        .encoder_format("yuv420p");
    encoder.add_video_stream(options).expect("a stream");
    let opening = encoder.open([("listen", "1")]);
    tokio::time::timeout(DEADLINE, opening)
        .await
        .expect("in time")
        .expect("a player came");
    for _ in 0..10 {
        encoder
            .write_video_chunk(0, red_and_blue(5), None)
            .await
            .expect("written");
    }
    encoder.close().await.expect("closed");
    assert!(player.await.expect("ended"), "the player has it");
    assert_eq!(media::probe(&played).video().codec, "h264");
    assert!(media::decoded_frames(&played) >= 45);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_5_options_reach_muxers_and_what_nobody_takes_is_told() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let with = folder.path().join("with.flac");
    sound_file(&with, AudioStreamOptions::new(16_000, 1), &[]).await;
    assert_eq!(ffprobe(&with, "format_tags=artist"), "the encoder's test");
    let without = folder.path().join("without.flac");
    sound_file(
        &without,
        AudioStreamOptions::new(16_000, 1),
        &[("write_header", "false")],
    )
    .await;
    let data = std::fs::read(&without).expect("there");
    assert!(!data.starts_with(b"fLaC"), "no header, and no artist in it");

    let path = folder.path().join("none.flac");
    let mut encoder = StreamingMediaEncoder::new(path.as_path());
    encoder
        .add_audio_stream(AudioStreamOptions::new(16_000, 1))
        .expect("a stream");
    let error = encoder
        .open([("no_such_option", "1")])
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("no_such_option"), "{error}");
}

/// A writer whose bytes can be seen, and that fails after some.
#[derive(Clone)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    largest: Arc<Mutex<usize>>,
    room: usize,
}

impl Shared {
    fn new(room: usize) -> Self {
        Self {
            bytes: Arc::default(),
            largest: Arc::default(),
            room,
        }
    }
}

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut bytes = self.bytes.lock().expect("no panic");
        if bytes.len() + data.len() > self.room {
            return Err(io::Error::other("the tape is full"));
        }
        let mut largest = self.largest.lock().expect("no panic");
        *largest = data.len().max(*largest);
        bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn to_writer(destination: Destination) -> Result<(), MediaEncoderError> {
    let mut encoder = StreamingMediaEncoder::new(destination)
        .format("mpegts")
        .buffer_size(1_880);
    encoder.add_audio_stream(AudioStreamOptions::new(48_000, 2).encoder("mp2"))?;
    encoder.open_default().await?;
    for _ in 0..8 {
        encoder
            .write_audio_chunk(0, tone(48_000, 2, 0.25), None)
            .await?;
    }
    encoder.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_1_a_writer_of_ones_own() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Shared::new(usize::MAX);
    to_writer(Destination::writer(writer.clone()))
        .await
        .expect("written");
    let path = folder.path().join("written.ts");
    std::fs::write(&path, &*writer.bytes.lock().expect("no panic")).expect("there");
    assert_eq!(media::probe(&path).audio().codec, "mp2");
    media::decode_sound_without_errors(&path);
    assert!(*writer.largest.lock().expect("no panic") <= 1_880);

    let path = folder.path().join("async.ts");
    let file = tokio::fs::File::create(&path).await.expect("created");
    to_writer(Destination::async_writer(file))
        .await
        .expect("written");
    media::decode_sound_without_errors(&path);

    let error = to_writer(Destination::writer(Shared::new(20_000)))
        .await
        .expect_err("full");
    assert_eq!(error.to_string(), "cannot write: the tape is full");
}

/// Devices that every machine has: ALSA's that keeps a copy in a file, and libcaca's that shows nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_2_devices_take_sound_and_pictures() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let heard = folder.path().join("heard.raw");
    let card = format!("tee:SLAVE=null,FILE={},FORMAT=raw", heard.display());
    let mut encoder = StreamingMediaEncoder::new(card.as_str()).format("alsa");
    encoder
        .add_audio_stream(AudioStreamOptions::new(48_000, 2))
        .expect("a stream");
    encoder.open_default().await.expect("the card takes it");
    let sound = tone(48_000, 2, 0.5);
    for _ in 0..2 {
        let chunk = encoder.write_audio_chunk(0, sound.clone(), None);
        chunk.await.expect("written");
    }
    encoder.close().await.expect("closed");
    let heard = std::fs::read(&heard).expect("there");
    // A second of 16 bits in stereo, at half of full scale.
    assert_eq!(heard.len(), 48_000 * 4);
    let samples = heard
        .chunks(2)
        .map(|two| i16::from_le_bytes([two[0], two[1]]));
    let loudest = samples.map(i16::unsigned_abs).max().expect("samples");
    assert!((16_000..17_000).contains(&loudest), "{loudest}");

    let mut encoder = StreamingMediaEncoder::new("a window").format("caca");
    encoder
        .add_video_stream(VideoStreamOptions::new(25.0, 64, 48).encoder_format("rgb24"))
        .expect("a stream");
    let opened = encoder.open([("driver", "null")]).await;
    opened.expect("the window opens");
    let chunk = encoder.write_video_chunk(0, red_and_blue(5), None);
    chunk.await.expect("shown");
    encoder.close().await.expect("closed");

    let mut encoder = StreamingMediaEncoder::new("no card of this name").format("alsa");
    encoder
        .add_audio_stream(AudioStreamOptions::new(48_000, 2))
        .expect("a stream");
    let error = encoder.open_default().await.expect_err("no such card");
    let named = "the header of alsa to no card of this name";
    assert!(error.to_string().contains(named), "{error}");
}
