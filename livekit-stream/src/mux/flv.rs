//! FLV tags (Adobe Flash Video File Format 10.1, annex E).
