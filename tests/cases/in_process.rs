//! The daemon as a function: it runs in this process, stops in order when it is told to, and leaves nothing behind that a second
//! run would meet.

use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use driftgate::daemon::{self, Control, End, Options};

use crate::broker::wait_for;
use crate::service::{CANARY, Service, serving};

/// A daemon of a service in this process.
struct Running {
    control: Control,
    address: SocketAddr,
    daemon: JoinHandle<anyhow::Result<End>>,
}

impl Running {
    fn start(service: &Service) -> Self {
        let config = daemon::read_config(&service.config()).unwrap();
        let control = Control::default();
        let of_daemon = control.clone();
        let options = Options { threads: 2, ..Options::default() };
        let daemon = thread::spawn(move || daemon::run(&config, &options, &of_daemon));
        let address = wait_for("a port", || control.address());
        Self { control, address, daemon }
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::blocking::get(format!("http://{}{path}", self.address)).ok()?;
        Some((answer.status().as_u16(), answer.text().ok()?))
    }

    /// Stops it, and waits until the function returns.
    fn stop(self) -> End {
        let begun = Instant::now();
        self.control.stop();
        let end = self.daemon.join().unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
        assert!(TcpStream::connect(self.address).is_err(), "the port is still open");
        end
    }
}

#[test]
fn a_daemon_in_this_process_stops_in_order_and_a_second_run_goes_on() {
    let service = Service::new("embedded", "", CANARY, "");
    for minute in 0..2 {
        let running = Running::start(&service);
        wait_for("readiness", || running.get("/ready").filter(|(status, _)| *status == 200));
        service.minutes(minute, minute + 1, &[serving("1", "dev")]);
        // The second run counts on from the state of the first.
        let counted = format!("driftgate_predictions_total{{model=\"embedded\",version=\"1\"}} {}", 30 * (minute + 1));
        wait_for(&counted, || running.get("/metrics").filter(|(_, text)| text.lines().any(|line| line == counted)));
        assert_eq!(running.stop(), End::Stopped);
    }
}

#[test]
fn a_daemon_that_is_told_to_stop_before_it_reads_returns() {
    let service = Service::new("stopped", "", CANARY, "");
    let config = daemon::read_config(&service.config()).unwrap();
    let control = Control::default();
    control.stop();
    assert_eq!(daemon::run(&config, &Options { threads: 1, ..Options::default() }, &control).unwrap(), End::Stopped);
    assert!(control.address().is_some_and(|address| TcpStream::connect(address).is_err()));
}
