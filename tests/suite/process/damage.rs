//! A member whose disk gives back something else than what was written serves nothing of it, and is rebuilt.

use std::fs;
use std::path::{Path, PathBuf};

use tonic::Code;

use super::divergence::{get, kvctl, put, rebuilt, three, until_alarms, until_refused};
use crate::harness::{PATIENCE, Server, Setup, Three, answers, status, subject};

const VALUE: &str = "a value that is found again in a file";
const PAGE: usize = 4096;

/// The file of the state in use.
fn data(member: &Server) -> PathBuf {
    let store = member.data_dir().join("member/store");
    let current = fs::read_to_string(store.join("CURRENT")).expect("CURRENT");
    store.join(current.trim_end()).join("data.mdb")
}

/// The places of a text in a file.
fn places(bytes: &[u8], text: &str) -> Vec<usize> {
    let found = bytes.windows(text.len()).enumerate().filter(|(_, at)| *at == text.as_bytes());
    found.map(|(place, _)| place).collect()
}

/// A bit of the value turns over.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("readable");
    let places = places(&bytes, VALUE);
    assert!(!places.is_empty());
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs::write(file, bytes).expect("written");
}

/// The pages with the value become others, of which LMDB would make a crash, or missing keys.
fn overwrite(file: &Path) {
    let mut bytes = fs::read(file).expect("readable");
    for place in places(&bytes, VALUE) {
        let page = place / PAGE * PAGE;
        bytes[page + 10..page + PAGE].fill(0xff);
    }
    fs::write(file, bytes).expect("written");
}

/// Starts a damaged member, which must not say anything of its data before it has others.
async fn rebuilds_itself(three: &Three, odd: usize, id: u64) {
    rebuilt(three, odd, id).await;
    let log = three.0[odd].log();
    assert!(log.contains("the data of this member are damaged"), "{log}");
    assert_eq!(get(&three.0[odd], "damaged", true).await, Ok(Some(VALUE.into())));
    let store = three.0[odd].data_dir().join("member/store");
    let names = fs::read_dir(store).expect("a directory").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("damaged-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_damaged_data_is_rebuilt_from_the_others() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&["--on-divergence=rebuild"]).await;
    put(&three.0[0], "damaged", VALUE).await;
    for damage in [flip as fn(&Path), overwrite] {
        let odd = (three.leader().await + 1) % 3;
        let id = status(&three.0[odd]).await.header.expect("a header").member_id;
        three.0[odd].stop().await;
        damage(&data(&three.0[odd]));
        three.0[odd].spawn();
        rebuilds_itself(&three, odd, id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_damaged_data_says_so_and_waits_for_a_command() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&[]).await;
    put(&three.0[0], "damaged", VALUE).await;
    let odd = (three.leader().await + 1) % 3;
    let id = status(&three.0[odd]).await.header.expect("a header").member_id;
    three.0[odd].stop().await;
    overwrite(&data(&three.0[odd]));
    three.0[odd].spawn();
    until_alarms(&three.0[(odd + 1) % 3], &[id]).await;
    until_refused(&three.0[odd]).await;
    // A restart changes nothing.
    three.0[odd].kill();
    three.0[odd].spawn();
    until_refused(&three.0[odd]).await;
    assert!(kvctl(&three.0[odd], &["rebuild"]).status.success());
    rebuilds_itself(&three, odd, id).await;
}

/// A disk that is good when the member starts, and later is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_under_a_running_member_is_no_answer() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&["--on-divergence=rebuild"]).await;
    let odd = (three.leader().await + 1) % 3;
    put(&three.0[odd], "damaged", VALUE).await;
    let id = status(&three.0[odd]).await.header.expect("a header").member_id;
    // It is on the disk after an orderly end.
    three.0[odd].stop().await;
    three.0[odd].start().await;
    answers(&three.0[odd]).await;
    flip_in_place(&data(&three.0[odd]));
    let begun = std::time::Instant::now();
    loop {
        match get(&three.0[odd], "damaged", true).await {
            Ok(value) => assert_eq!(value.as_deref(), Some(VALUE), "from the others"),
            Err((Code::DataLoss, _)) => break,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error:?}"),
        }
    }
    rebuilt(&three, odd, id).await;
    assert_eq!(get(&three.0[odd], "damaged", true).await, Ok(Some(VALUE.into())));
}

/// The same without a new file: the member has it open.
fn flip_in_place(file: &Path) {
    use std::os::unix::fs::FileExt;
    let bytes = fs::read(file).expect("readable");
    let open = fs::File::options().write(true).open(file).expect("a file");
    for place in places(&bytes, VALUE) {
        open.write_all_at(&[bytes[place] ^ 1], place as u64).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_with_damaged_data_does_not_start() {
    if !subject().is_kvd() {
        return;
    }
    let mut alone = Setup::of(&subject()).prepare();
    alone.start().await;
    put(&alone, "damaged", VALUE).await;
    alone.stop().await;
    flip(&data(&alone));
    alone.spawn();
    assert!(!alone.ended().await.success());
    let log = alone.log();
    assert!(log.contains(r#"lost is \"damaged\""#), "{log}");
}
