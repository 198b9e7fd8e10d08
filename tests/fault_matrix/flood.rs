//! Memory, under a flood of forged tokens.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    asking::{Asking, MAPPED, fresh, name, shown},
    memory,
    support::{ACCOUNT, Server, Setup, emulator, token},
    table::Table,
};

/// How many tokens are forged.
const FORGED: usize = 20_000;
/// How much memory of its own arngate may take for them, in KiB.
const MOST: u64 = 16 * 1024;

/// A memory limit for one process and what it has read; `None` where the machine gives none away.
struct Cage(PathBuf);

impl Cage {
    fn of(bytes: u64) -> Option<Self> {
        [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
            .into_iter()
            .find_map(|(root, limit)| {
                let folder = Path::new(root).join(format!("arngate-test-{}", std::process::id()));
                fs::create_dir(&folder).ok()?;
                let cage = Self(folder);
                // A file that is not there is not made: these are no ordinary ones.
                fs::OpenOptions::new().write(true).open(cage.0.join(limit)).ok()?;
                fs::write(cage.0.join(limit), bytes.to_string()).ok()?;
                Some(cage)
            })
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // It can be removed as soon as its process has ended.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Makes tokens that look right: of keys that nobody has, with signatures that nobody has made.
struct Forgery {
    before_key: String,
    before_signature: String,
}

impl Forgery {
    fn of(token: &str, key: &str) -> Self {
        let url = URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.").unwrap()).unwrap();
        let url = String::from_utf8(url).unwrap();
        let (before_key, rest) = url.split_once(key).unwrap();
        let before_signature = &rest[..rest.len() - 64];
        Self { before_key: before_key.to_owned(), before_signature: before_signature.to_owned() }
    }

    fn token(&self, number: usize) -> String {
        let Self { before_key, before_signature } = self;
        let url = format!("{before_key}AKIA{number:016}{before_signature}{number:064x}");
        format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
    }
}

/// Has arngate asked about forged tokens, 64 at a time on four connections; what was told, and how often.
async fn flood(server: &Server, forgery: Forgery) -> BTreeMap<u16, usize> {
    let (forgery, next) = (Arc::new(forgery), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let asking = Arc::new(Asking::of(server));
        for _ in 0..16 {
            let (asking, forgery, next) = (Arc::clone(&asking), Arc::clone(&forgery), Arc::clone(&next));
            tasks.push(tokio::spawn(async move {
                let mut codes = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= FORGED {
                        return codes;
                    }
                    let answer = asking.about(&forgery.token(number)).await;
                    assert_eq!(name(&answer), None, "{answer:?}");
                    codes.push(answer.code);
                }
            }));
        }
    }
    let mut told = BTreeMap::new();
    for codes in join_all(tasks).await {
        for code in codes.unwrap() {
            *told.entry(code).or_default() += 1;
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn short_of_memory_under_a_flood() {
    let mut table = Table::of("process: memory");
    let (emulator, principals) = emulator().await;
    let carol = principals.user(ACCOUNT, "carol");
    // Before the server, so that it goes after it: it cannot as long as there is somebody in it.
    let cage = Cage::of(32 * 1024 * 1024);
    let mut setup = Setup::new(&emulator, MAPPED);
    if let Some(Cage(folder)) = &cage {
        setup = setup
            .env("FAULT_CAGE", folder.to_str().unwrap())
            .after("echo $$ > \"$FAULT_CAGE/cgroup.procs\" || exit 9");
    }
    let server = setup.start();
    let asking = Asking::of(&server);
    asking.until_let_in(&fresh(&carol), "carol", Instant::now()).await;

    let id = server.id();
    let before = memory::anonymous(id);
    let (most, seen) = tokio::sync::watch::channel(before);
    let _watching = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            most.send_modify(|most| *most = memory::anonymous(id).max(*most));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }));
    let begun = Instant::now();
    let flood = flood(&server, Forgery::of(&token(&carol), &carol.access_key_id));
    tokio::pin!(flood);
    let mut times = Vec::new();
    // Carol comes ten times a second meanwhile.
    let told = loop {
        let of_carol = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let asked = Instant::now();
            let answer = asking.about(&fresh(&carol)).await;
            assert_eq!(name(&answer), Some("carol"), "{answer:?}");
            asked.elapsed()
        };
        tokio::select! {
            told = &mut flood => break told,
            time = of_carol => times.push(time),
        }
    };
    let ended = Instant::now();
    asking.until_let_in(&fresh(&carol), "carol", ended).await;
    times.sort_unstable();
    let (count, median, most) = (times.len(), shown(times[times.len() / 2]), *seen.borrow());
    let codes: Vec<String> = told.iter().map(|(code, number)| format!("{number} times {code}")).collect();
    let limit = if cage.is_some() { "a cgroup of 32 MiB" } else { "no cgroup is to be had here" };
    table.add(
        &format!("{FORGED} forged tokens in {}; {limit}", shown(ended - begun)),
        format!(
            "in as carol, {count} times of {count}, the median after {median}; memory of its own {before} KiB before, \
             {most} KiB at most; resident {} KiB at most",
            memory::peak(id)
        ),
        codes.join(", "),
        shown(ended.elapsed()),
    );
    assert!(most - before < MOST, "{before} KiB, then {most} KiB");
}
