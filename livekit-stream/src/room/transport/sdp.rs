//! What the session has to know of an SDP.

/// The id of a header extension in an SDP (RFC 8285 section 5).
pub(super) fn extension_id(sdp: &str, uri: &str) -> Option<u8> {
    sdp.lines().find_map(|line| {
        let mut words = line.strip_prefix("a=extmap:")?.split_ascii_whitespace();
        let id = words.next()?.split('/').next()?;
        if words.next()? == uri {
            id.parse().ok()
        } else {
            None
        }
    })
}

/// The media sections of a description in which the peer sends (RFC 8866 section 6.7).
pub(crate) fn sending_sections(sdp: &str) -> Vec<&str> {
    let starts: Vec<usize> = sdp.match_indices("\nm=").map(|(at, _)| at + 1).collect();
    let ends = starts.iter().skip(1).copied().chain([sdp.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(&start, end)| sdp.get(start..end))
        .filter(|section| {
            section
                .lines()
                .all(|line| !matches!(line.trim_end(), "a=inactive" | "a=recvonly"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";

    #[test]
    fn only_sections_that_send_count() {
        let sdp = "v=0\r\nm=audio 9\r\na=sendonly\r\na=msid:PA_1 TR_1\r\n\
                   m=video 9\r\na=msid:PA_1 TR_2\r\na=inactive\r\nm=video 9\r\na=msid:PA_1 TR_3\r\n";
        let sections = sending_sections(sdp);
        assert_eq!(sections.len(), 2);
        assert!(sections[0].contains("TR_1") && sections[1].contains("TR_3"));
        assert!(sending_sections("").is_empty());
    }

    #[test]
    fn finds_the_id_of_a_header_extension() {
        let sdp = "v=0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                   a=extmap:13/recvonly urn:3gpp:video-orientation\r\n";
        assert_eq!(extension_id(sdp, VIDEO_ORIENTATION), Some(13));
        assert_eq!(
            extension_id("a=extmap:x urn:3gpp:video-orientation", VIDEO_ORIENTATION),
            None
        );
        assert_eq!(extension_id("v=0", VIDEO_ORIENTATION), None);
    }
}
