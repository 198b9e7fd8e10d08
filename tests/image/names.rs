//! A name server that knows one name.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Where it is: resolvers ask at port 53 alone, which nobody has at this address of this machine's.
pub(crate) const ADDRESS: &str = "127.53.53.53";

/// It answers until the process ends.
pub(crate) struct Server {
    asked: Arc<AtomicBool>,
}

impl Server {
    /// Knows `name` as 127.0.0.1.
    pub(crate) fn start(name: &'static str) -> Self {
        let socket =
            UdpSocket::bind((ADDRESS, 53)).expect("root may take port 53; these tests want to be root");
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut question) {
                if let Some(answer) = answer(&question[..length], name) {
                    seen.store(true, Ordering::Relaxed);
                    // Who has gone needs none.
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Self { asked }
    }

    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The answer to a question: an A record for the name, nothing of other types of it, and that there is no other name.
/// <https://www.rfc-editor.org/rfc/rfc1035#section-4.1>
fn answer(question: &[u8], known: &str) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while *question.get(at)? != 0 {
        let length = usize::from(question[at]);
        labels.push(std::str::from_utf8(question.get(at + 1..=at + length)?).ok()?);
        at += length + 1;
    }
    let kind = question.get(at + 1..at + 3)?;
    let asked = question.get(12..at + 5)?;
    let is_known = labels.join(".").eq_ignore_ascii_case(known);
    let is_address = is_known && kind == [0, 1];
    let mut answer = question.get(..2)?.to_vec();
    // An answer, recursion asked for and there; without an error, or with that there is no such name.
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(asked);
    if is_address {
        // The name asked for, an address of the Internet, good for a second, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
