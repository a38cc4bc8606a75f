//! A member whose disk gives back something else than what was written serves nothing of it, and is rebuilt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tonic::Code;

use super::divergence::{get, kvctl, put, rebuilt, three, until_alarms, until_refused, wait_for};
use crate::harness::{PATIENCE, Server, Setup, Three, answers, reference, status, subject, tool};

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
    // Nor is a command needed if the options are others by then.
    three.0[odd].stop().await;
    overwrite(&data(&three.0[odd]));
    three.0[odd].spawn();
    until_refused(&three.0[odd]).await;
    three.0[odd].stop().await;
    three.0[odd].add_args(&["--on-divergence=rebuild"]);
    three.0[odd].spawn();
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
    assert!(log.contains("kvctl recover salvage"), "{log}");
}

/// The output of a command, and its exit code.
fn run(program: &Path, words: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(program).args(words).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_single_member_is_saved_and_restored() {
    const NAME: &str = "what_is_left_of_a_single_member_is_saved_and_restored";
    if !subject().is_kvd() {
        return;
    }
    let mut alone = Setup::of(&subject()).prepare();
    alone.start().await;
    for number in 0..100 {
        put(&alone, &format!("key/{number:02}"), "good").await;
    }
    put(&alone, "damaged", "an older value").await;
    put(&alone, "damaged", VALUE).await;
    let data_dir = alone.data_dir().display().to_string();
    let file = alone.dir().join("saved.db").display().to_string();
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let salvage = || run(kvctl, &["recover", "salvage", &data_dir, &file]);
    let (running, code) = salvage();
    assert!(code == Some(1) && running.contains("in use"), "{running}");
    alone.stop().await;
    let pristine = fs::read(data(&alone)).expect("readable");
    let (whole, code) = salvage();
    assert!(code == Some(0) && whole.contains("has all 102 changes"), "{whole}");
    let (again, code) = salvage();
    assert!(code == Some(1) && again.contains("it exists"), "{again}");
    fs::remove_file(&file).expect("removed");
    flip(&data(&alone));
    let before = fs::read(data(&alone)).expect("readable");
    let (text, code) = salvage();
    assert_eq!(code, Some(6), "{text}");
    for part in ["damaged: page ", "lost: \"damaged\" as it was put at revision 103\n", "INCOMPLETE: "] {
        assert!(text.contains(part), "{text}");
    }
    assert!(fs::read(data(&alone)).expect("readable") == before, "the damaged data stay as they are");
    let names = fs::read_dir(alone.dir()).expect("a directory").flatten().map(|entry| entry.file_name());
    let left = names.filter(|name| {
        name.to_string_lossy().contains("kvctl-") || name.to_string_lossy().ends_with(".part")
    });
    assert_eq!(left.count(), 0);
    let mut tools = vec![(subject(), kvctl.to_path_buf())];
    if let (Some(etcd), Some(etcdutl)) = (reference(NAME), tool(NAME, "3.7.3", "etcdutl")) {
        tools.push((etcd, etcdutl));
    }
    for (program, restores) in tools {
        let mut other = Setup::of(&program).prepare();
        let (data, peer) = (other.data_dir().display().to_string(), other.peer_url());
        let (cluster, own) = (format!("node={peer}"), format!("--initial-advertise-peer-urls={peer}"));
        let words = [
            "snapshot",
            "restore",
            &file,
            "--name=node",
            "--data-dir",
            &data,
            "--initial-cluster",
            &cluster,
            &own,
        ];
        let (text, code) = run(&restores, &words);
        assert_eq!(code, Some(0), "{text}");
        other.start().await;
        assert_eq!(get(&other, "damaged", false).await, Ok(None), "and not the older value");
        for number in 0..100 {
            assert_eq!(get(&other, &format!("key/{number:02}"), false).await, Ok(Some("good".into())));
        }
    }
    // With its data as they were the member goes on. What it does not check at a start it checks after it.
    fs::write(data(&alone), pristine).expect("written");
    alone.start().await;
    assert_eq!(get(&alone, "damaged", false).await, Ok(Some(VALUE.into())));
    assert!(!alone.log().contains("checked after the start"), "{}", alone.log());
    alone.stop().await;
    alone.start().await;
    wait_for(&alone, "kvd_scrubs_total", |scrubs| scrubs >= 1.0).await;
}

/// Without the log no script must miss that, and nobody's file is taken for one of the command's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_salvage_has_what_only_the_log_has_and_says_if_it_has_not() {
    if !subject().is_kvd() {
        return;
    }
    // So long that the state on the disk stays behind the log.
    let mut alone = Setup::of(&subject()).arg("--backend-batch-interval=1h").start().await;
    put(&alone, "key", "acknowledged").await;
    alone.kill();
    let data_dir = alone.data_dir().display().to_string();
    let file = alone.dir().join("saved.db").display().to_string();
    let part = format!("{file}.part");
    let salvage = || run(Path::new(env!("CARGO_BIN_EXE_kvctl")), &["recover", "salvage", &data_dir, &file]);
    fs::write(&part, "somebody's own").expect("written");
    let (text, code) = salvage();
    assert!(code == Some(1) && text.contains("File exists"), "{text}");
    assert_eq!(fs::read_to_string(&part).expect("it is still there"), "somebody's own");
    fs::remove_file(&part).expect("removed");
    let (text, code) = salvage();
    assert!(code == Some(0) && text.contains("saved, too: the last "), "{text}");
    assert!(text.contains("has all 1 changes"), "{text}");
    let restored = alone.dir().join("restored").display().to_string();
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let (told, code) = run(kvctl, &["snapshot", "restore", &file, "--data-dir", &restored]);
    assert_eq!(code, Some(0), "{told}");
    let (status, _) = run(kvctl, &["snapshot", "status", &file]);
    // The revision, and the number of keys.
    assert!(status.contains(", 2, 1, "), "{status}");
    fs::remove_file(&file).expect("removed");
    let segments = fs::read_dir(alone.data_dir().join("member/log")).expect("readable").flatten();
    for segment in segments.filter(|entry| entry.path().extension().is_some_and(|end| end == "seg")) {
        let mut bytes = fs::read(segment.path()).expect("readable");
        bytes[4096..4160].iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(segment.path(), bytes).expect("written");
    }
    let (text, code) = salvage();
    assert!(code == Some(6) && text.contains("how many is unknown"), "{text}");
    assert!(text.contains("INCOMPLETE: ") && text.contains("is not damaged"), "{text}");
}
