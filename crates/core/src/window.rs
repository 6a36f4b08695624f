//! Windows of counts: `layout` says which count is where, `tally` counts (`measured` what other systems measured),
//! `pane` keeps sealed panes small, `front` says how far a partition has come and `watermark` how far a stream has.

pub mod front;
pub mod keep;
pub mod layout;
pub mod measured;
pub mod pane;
pub mod tally;
pub mod watermark;
