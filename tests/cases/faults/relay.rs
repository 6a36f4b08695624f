//! A relay between a client and a broker that loses one direction, as a network does that is cut off on one side: what is sent that way
//! waits, and the connections stay.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(20);

/// Which way does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Requests do not reach the broker.
    ToBroker,
    /// Requests do, and their answers do not come back.
    ToClient,
}

/// It relays as long as it lives, and for the connections that are open then.
pub struct Relay {
    cuts: [Arc<AtomicBool>; 2],
    is_over: Arc<AtomicBool>,
}

impl Relay {
    /// From a port to another one, both of this machine.
    pub fn start(from: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", from)).unwrap();
        let relay = Self { cuts: Default::default(), is_over: Arc::default() };
        let (cuts, is_over) = (relay.cuts.clone(), Arc::clone(&relay.is_over));
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => connect(client, to, &cuts, &is_over),
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
        });
        relay
    }

    /// Cuts a way, or lets it through again.
    pub fn set(&self, cut: Cut, is_cut: bool) {
        self.cuts[cut as usize].store(is_cut, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn connect(client: TcpStream, to: u16, cuts: &[Arc<AtomicBool>; 2], is_over: &Arc<AtomicBool>) {
    // A broker that is away refuses, and so does the relay.
    let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) else { return };
    client.set_nonblocking(false).unwrap();
    let ways = [(client.try_clone().unwrap(), broker.try_clone().unwrap()), (broker, client)];
    for ((from, to), cut) in ways.into_iter().zip(cuts) {
        let (cut, is_over) = (Arc::clone(cut), Arc::clone(is_over));
        std::thread::spawn(move || pass(from, to, &cut, &is_over));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool, is_over: &AtomicBool) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = vec![0; 64 << 10];
    while !is_over.load(Ordering::Relaxed) {
        // What comes meanwhile waits before it, as before a wire.
        if cut.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                while cut.load(Ordering::Relaxed) && !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(LOOK);
                }
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[test]
fn what_is_cut_off_waits_and_comes_through_afterwards() {
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let from = free.local_addr().unwrap().port();
    drop(free);
    let relay = Relay::start(from, broker.local_addr().unwrap().port());
    let mut client = TcpStream::connect(("127.0.0.1", from)).unwrap();
    let (mut server, _) = broker.accept().unwrap();
    server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    client.write_all(b"a").unwrap();
    server.read_exact(&mut byte).unwrap();
    relay.set(Cut::ToBroker, true);
    client.write_all(b"b").unwrap();
    server.write_all(b"c").unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"c", "the other way is open");
    assert!(server.read_exact(&mut byte).is_err(), "nothing comes");
    relay.set(Cut::ToBroker, false);
    server.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"b");
}
