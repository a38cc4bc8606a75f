//! `kvd --version`, in the format from which tools read etcd's version.

/// The etcd version whose protocols and answers kvd implements.
const ETCD_VERSION: &str = "3.7.3";

/// etcd's four lines with kvd's real values, and kvd's own version.
pub fn version_text() -> String {
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: {}\nGo Version: none (kvd is written in Rust)\nGo OS/Arch: {}/{}\nkvd Version: {}\n",
        option_env!("KVD_GIT_SHA").unwrap_or("unknown"),
        std::env::consts::OS,
        go_arch(std::env::consts::ARCH),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Go's name for a processor.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}
