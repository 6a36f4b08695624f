//! Windows of counts: `layout` says which count stands where, `tally` counts (`measured` what other systems measured),
//! `pane` keeps sealed panes small, `watermark` says how far a stream has come.

pub mod layout;
pub mod measured;
pub mod pane;
pub mod tally;
pub mod watermark;
