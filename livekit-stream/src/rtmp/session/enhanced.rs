//! What the ends tell each other of codecs by FourCC (Enhanced RTMP v2, "Enhancing NetConnection
//! connect Command").

use crate::rtmp::amf0::Value;

/// Four characters that name a codec, such as `hvc1`.
pub type FourCc = [u8; 4];

/// `FourCcInfoMask`: what an end can do with a codec.
const CAN_DECODE: u32 = 1;
const CAN_FORWARD: u32 = 4;

/// Names of codecs that are kept of one message.
const MAX_CODECS: usize = 64;

/// Which codecs an end takes by FourCC. Comparing does not mind the case: examples of the
/// specification write `Avc1`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Codecs of pictures.
    pub video: Vec<FourCc>,
    /// Codecs of sound.
    pub audio: Vec<FourCc>,
    /// It takes pictures of every codec, whatever is listed.
    pub any_video: bool,
    /// It takes sound of every codec, whatever is listed.
    pub any_audio: bool,
}

impl Capabilities {
    /// These codecs.
    #[must_use]
    pub fn new(video: &[FourCc], audio: &[FourCc]) -> Self {
        Self {
            video: video.to_vec(),
            audio: audio.to_vec(),
            any_video: false,
            any_audio: false,
        }
    }

    /// Whether nothing is taken by FourCC.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.video.is_empty() && self.audio.is_empty() && !self.any_video && !self.any_audio
    }

    /// Whether pictures of this codec are taken.
    #[must_use]
    pub fn takes_video(&self, codec: FourCc) -> bool {
        self.any_video || lists(&self.video, codec)
    }

    /// Whether sound of this codec is taken.
    #[must_use]
    pub fn takes_audio(&self, codec: FourCc) -> bool {
        self.any_audio || lists(&self.audio, codec)
    }

    /// Reads them from the objects of `connect` or of the answer to it. `fourCcList`, which the
    /// first version had, does not tell pictures from sound.
    pub(super) fn from_objects(objects: &[Value]) -> Self {
        let mut found = Self::default();
        for object in objects {
            if let Some(Value::StrictArray(list)) = object.get("fourCcList") {
                for name in list.iter().take(MAX_CODECS).filter_map(Value::as_str) {
                    add(&mut found.video, &mut found.any_video, name);
                    add(&mut found.audio, &mut found.any_audio, name);
                }
            }
            for (map, codecs, any) in [
                ("videoFourCcInfoMap", &mut found.video, &mut found.any_video),
                ("audioFourCcInfoMap", &mut found.audio, &mut found.any_audio),
            ] {
                let Some(Value::Object(map) | Value::EcmaArray(map)) = object.get(map) else {
                    continue;
                };
                for (name, mask) in map.iter().take(MAX_CODECS) {
                    let mask = mask.as_number().unwrap_or(0.0) as u32;
                    if mask & (CAN_DECODE | CAN_FORWARD) != 0 {
                        add(codecs, any, name);
                    }
                }
            }
        }
        found
    }

    /// The properties that tell them; none when there is nothing to tell.
    pub(super) fn properties(&self) -> Vec<(&'static str, Value)> {
        if self.is_empty() {
            return Vec::new();
        }
        let names = |codecs: &[FourCc], any: bool| {
            let listed = codecs.iter().map(|codec| text(*codec));
            let any = any.then(|| "*".to_owned());
            listed.chain(any).collect::<Vec<_>>()
        };
        let video = names(&self.video, self.any_video);
        let audio = names(&self.audio, self.any_audio);
        let mut all = video.clone();
        all.extend(audio.iter().filter(|name| !video.contains(name)).cloned());
        let mask = Value::Number(f64::from(CAN_DECODE | CAN_FORWARD));
        let map =
            |names: Vec<String>| Value::object(names.into_iter().map(|name| (name, mask.clone())));
        vec![
            (
                "fourCcList",
                Value::StrictArray(all.into_iter().map(Value::String).collect()),
            ),
            ("videoFourCcInfoMap", map(video)),
            ("audioFourCcInfoMap", map(audio)),
        ]
    }
}

fn lists(codecs: &[FourCc], codec: FourCc) -> bool {
    codecs.iter().any(|one| one.eq_ignore_ascii_case(&codec))
}

fn add(codecs: &mut Vec<FourCc>, any: &mut bool, name: &str) {
    if name == "*" {
        *any = true;
    } else if let Ok(codec) = FourCc::try_from(name.as_bytes())
        && !codecs.contains(&codec)
    {
        codecs.push(codec);
    }
}

fn text(codec: FourCc) -> String {
    codec.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_reads_back() {
        let told = Capabilities::new(&[*b"hvc1", *b"av01"], &[*b"Opus"]);
        let read = Capabilities::from_objects(&[Value::Null, Value::object(told.properties())]);
        assert!(read.takes_video(*b"hvc1") && read.takes_video(*b"AV01"));
        assert!(read.takes_audio(*b"Opus") && !read.takes_video(*b"vp09"));
        assert!(Capabilities::default().properties().is_empty());
        assert_eq!(
            Capabilities::from_objects(&[Value::Null]),
            Capabilities::default()
        );
    }

    #[test]
    fn wildcards_lists_and_masks_count() {
        let list = Value::StrictArray(vec!["hvc1".into(), "*".into(), "x".into()]);
        let read = Capabilities::from_objects(&[Value::object([("fourCcList", list)])]);
        assert!(read.takes_video(*b"vp09") && read.takes_audio(*b"Opus"));
        // Can encode only, can forward.
        let map = Value::object([("vp09", Value::from(2.0)), ("av01", Value::from(4.0))]);
        let read = Capabilities::from_objects(&[Value::object([("videoFourCcInfoMap", map)])]);
        assert!(read.takes_video(*b"av01") && !read.takes_video(*b"vp09"));
        assert!(!read.takes_audio(*b"av01"));
    }
}
