//! openh264 without its deblocking filter (ITU-T H.264 section 8.7), which the wrapper always turns
//! on.

#![allow(unsafe_code)]

use openh264::encoder::{Encoder, SpsPpsStrategy};
use openh264_sys2::{
    CONSTANT_ID, DEBLOCKING_IDC_1, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, SEncParamExt,
};

/// The strategy an encoder has to start with for [`turn_off`]: openh264 takes the filter's setting
/// when it starts alone, and a change of strategy makes it start anew.
pub(super) const FIRST_STRATEGY: SpsPpsStrategy = SpsPpsStrategy::IncreasingId;

/// Starts an encoder anew without the filter, and with parameter sets of constant ids. It has to
/// have encoded a picture. `false` when openh264 refuses.
pub(super) fn turn_off(encoder: &mut Encoder) -> bool {
    let mut parameters = SEncParamExt::default();
    // SAFETY: the encoder runs, as it has encoded; both calls only copy a structure of this type,
    // from openh264's headers, during the call; the wrapper sets the same option when the size of
    // the pictures changes, and relies on none of what is changed here.
    unsafe {
        let api = encoder.raw_api();
        let option = ENCODER_OPTION_SVC_ENCODE_PARAM_EXT;
        if api.get_option(option, (&raw mut parameters).cast()) != 0 {
            return false;
        }
        parameters.iLoopFilterDisableIdc = DEBLOCKING_IDC_1 as _;
        parameters.eSpsPpsIdStrategy = CONSTANT_ID;
        api.set_option(option, (&raw mut parameters).cast()) == 0
    }
}
