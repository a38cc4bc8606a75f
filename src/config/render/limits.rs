//! The limits of a member: the page LIMITS of kvd(8). `tests/tidy/limits.rs` holds every row against the source, and looks
//! for its test.

/// A limit.
pub struct Limit {
    /// What is limited.
    pub what: &'static str,
    /// How much there may be, and what happens beyond it.
    pub most: &'static str,
    /// The option that sets it; empty for none.
    pub option: &'static str,
    /// The file below src/ with the constant, and its declaration; both empty if the option's default is everything.
    pub source: (&'static str, &'static str),
    /// The test that exceeds it: file and name.
    pub test: &'static str,
}

const fn limit(
    what: &'static str,
    most: &'static str,
    option: &'static str,
    source: (&'static str, &'static str),
    test: &'static str,
) -> Limit {
    Limit { what, most, option, source, test }
}

const CONNECTION: &str = "api/server/connection.rs";
const SERVER: &str = "api/server/mod.rs";
const TUNING: &str = "peer/tuning.rs";

/// All of them, clients' first.
pub const LIMITS: &[Limit] = &[
    limit(
        "Connections of clients",
        "the limit on file descriptors minus 150; further ones wait in the kernel",
        "",
        (SERVER, "RESERVED_DESCRIPTORS: u64 = 150"),
        "src/api/tests/limits.rs::connections_beyond_the_limit_wait",
    ),
    limit(
        "Time for a TLS handshake, and then for the first bytes",
        "10 s, 60 s; then the connection is closed",
        "",
        (SERVER, "first_byte_timeout: Duration::from_secs(60)"),
        "src/api/tests/limits.rs::whoever_says_nothing_is_left",
    ),
    limit(
        "HTTP/2 streams of a connection",
        "10000; the client is told, and streams beyond are refused",
        "max-concurrent-streams",
        (CONNECTION, "MAX_STREAMS: u32 = 10_000"),
        "tests/suite/process/attacks.rs::streams_without_end",
    ),
    limit(
        "Headers of a request",
        "64 KiB, and 128 headers in HTTP/1.1",
        "",
        (CONNECTION, "MAX_HEADERS: u32 = 64 << 10"),
        "src/api/tests/limits.rs::headers_that_are_too_large_are_refused",
    ),
    limit(
        "Headers of all requests that are not answered yet",
        "44 MiB, and as much for their buffers, and 8 KiB of each connection; beyond it the answer is \"too many requests\". \
         A request that is being answered counts as 512 bytes at most",
        "",
        (SERVER, "REQUESTS: usize = 88 << 20"),
        "src/api/unsent.rs::headers_are_counted_over_all_connections",
    ),
    limit(
        "Messages of requests that have not come wholly, or are not answered yet",
        "192 MiB; beyond it the answer is \"too many requests\", unless the connection has 64 KiB at most",
        "",
        (SERVER, "MESSAGES: usize = 192 << 20"),
        "tests/suite/process/attacks.rs::messages_that_never_end",
    ),
    limit(
        "What clients send ahead of what is read of it",
        "128 MiB, of which a connection gets 4 MiB at most, and less the more there are, and 64 KiB of each connection",
        "",
        (SERVER, "WINDOWS: usize = 128 << 20"),
        "tests/suite/process/attacks.rs::requests_that_nobody_reads",
    ),
    limit(
        "Time without progress in reading answers or sending messages, if more than 64 KiB wait",
        "60 s, in which the client moves less than 64 KiB or a sixteenth of them; then the connection is closed. Streams wait",
        "",
        (SERVER, "stall_timeout: Duration::from_secs(60)"),
        "src/api/tests/limits.rs::whoever_does_not_read_its_answer_is_left",
    ),
    limit(
        "Requests of a connection that are taken up at a time",
        "16, and 3 as long as none has ended; further ones wait until those have begun",
        "",
        ("api/server/frames.rs", "REQUESTS_IN_TURN: u32 = 16"),
        "src/api/server/frames.rs::so_many_requests_pass_in_one_turn",
    ),
    limit(
        "Paths and authorities that a connection's table keeps",
        "8, and none after a request with more than 4 kB of headers; from then on the server keeps no table for it",
        "",
        ("api/server/authority.rs", "MAX_KEPT: usize = 8"),
        "tests/suite/process/attacks.rs::tables_that_keep_buffers",
    ),
    limit(
        "Requests that are taken back at once",
        "200 at first, 1000 a second and 4 for each part of an answer, with the frames of the next row; then the connection is closed",
        "",
        ("api/server/floods.rs", "FREE: u32 = 1000"),
        "src/api/tests/limits.rs::streams_that_are_reset_at_once",
    ),
    limit(
        "Frames of settings, priorities and windows",
        "200 at first, 1000 a second and 4 for each part of an answer; then the connection is closed",
        "",
        ("api/server/floods.rs", "FREE: u32 = 1000"),
        "src/api/server/frames.rs::a_flood_of_control_frames_ends_and_requests_do_not_count",
    ),
    limit(
        "Pings of a client",
        "one in 5 s; the third that comes too early closes the connection",
        "grpc-keepalive-min-time",
        ("api/server/pings.rs", "MAX_STRIKES: u32 = 2"),
        "tests/suite/process/pings.rs::a_client_that_pings_too_often_is_sent_away_as_by_etcd",
    ),
    limit(
        "A request",
        "1.5 MiB",
        "max-request-bytes",
        ("", ""),
        "src/api/tests.rs::messages_that_are_too_long_are_refused_in_the_same_words_everywhere",
    ),
    limit(
        "Operations of a transaction",
        "128 in a branch",
        "max-txn-ops",
        ("", ""),
        "src/api/rpc/convert_tests.rs::a_nested_transaction_gets_what_its_parent_leaves",
    ),
    limit(
        "Transactions inside of each other",
        "32",
        "",
        ("store/apply/txn.rs", "MAX_DEPTH: usize = 32"),
        "src/api/rpc/convert_tests.rs::a_nested_transaction_gets_what_its_parent_leaves",
    ),
    limit(
        "What is read for clients, and answers that they have not read yet",
        "320 MiB, of which a connection has half at most; beyond it the answer is \"too many requests\", and streams wait",
        "max-unsent-bytes",
        ("", ""),
        "tests/suite/process/attacks.rs::answers_that_nobody_reads",
    ),
    limit(
        "A single answer",
        "half of that",
        "max-unsent-bytes",
        ("", ""),
        "tests/suite/process/attacks.rs::transactions_with_large_answers",
    ),
    limit(
        "A connection's answers that are never refused",
        "64 KiB",
        "",
        ("api/unsent.rs", "OWN: usize = 64 << 10"),
        "src/api/unsent.rs::whoever_does_not_read_gets_a_share_and_keeps_nobody_out",
    ),
    limit(
        "A stream's messages ahead of its client",
        "1 MiB for all streams of a connection",
        "",
        ("api/unsent.rs", "AHEAD: usize = 1 << 20"),
        "src/api/unsent.rs::a_stream_waits_for_its_client",
    ),
    limit(
        "Bytes for a client that the kernel keeps before it sends them",
        "128 KiB for each connection; then kvd waits",
        "",
        ("api/server/listen.rs", "UNSENT: u32 = 128 << 10"),
        "src/api/server/listen.rs::the_kernel_keeps_little_for_a_client_that_does_not_read",
    ),
    limit(
        "Large transactions that are read and checked at a time",
        "2 of at least 32 KiB; others wait",
        "",
        ("api/jobs.rs", "CHECKS: usize = 2"),
        "src/api/jobs.rs::no_kind_of_work_takes_the_turns_of_another",
    ),
    limit(
        "Snapshots that are being sent to clients",
        "16; one that is not read for a minute is given up",
        "",
        ("api/reads/handle.rs", "SNAPSHOTS: usize = 16"),
        "tests/suite/process/unread.rs::snapshots_that_nobody_reads_are_in_nobodys_way",
    ),
    limit(
        "Streams of ranges",
        "256; likewise",
        "",
        ("api/reads/handle.rs", "RANGE_STREAMS: usize = 256"),
        "src/api/reads/limited.rs::a_stream_that_nobody_reads_is_given_up_with_its_place",
    ),
    limit(
        "Long reads at a time",
        "16; others wait",
        "",
        ("api/jobs.rs", "READS: usize = 16"),
        "src/api/jobs.rs::no_kind_of_work_takes_the_turns_of_another",
    ),
    limit(
        "Events that wait for a watcher",
        "1024, or 4 MiB, or 4 of them where 262144 wait for all watchers together; then they are read from the history when \
         it reads on",
        "",
        ("watch/inbox.rs", "MAX_QUEUED_BYTES: usize = 4 << 20"),
        "src/watch/tests/stories.rs::a_full_feed_reads_from_history_and_goes_live_again",
    ),
    limit(
        "A message of the gateway's WebSockets",
        "twice as long as a gRPC message may be; then the connection is closed",
        "",
        ("api/json/requests.rs", "ROOM: usize = 2"),
        "tests/suite/process/programs.rs::websockets_say_how_they_end",
    ),
    limit(
        "Nodes of the v2 API",
        "64 MiB in all, a path 1800 bytes and 256 names; then writes that take space are refused",
        "",
        ("store/tree/change.rs", "TREE_BYTES: u64 = 64 << 20"),
        "src/store/tree/tests.rs::the_tree_its_history_and_a_listing_have_a_largest_size",
    ),
    limit(
        "Changes that a wait of the v2 API finds",
        "the last 1000, or 16 MiB of them",
        "",
        ("store/tree/state.rs", "HISTORY_BYTES: u64 = 16 << 20"),
        "src/store/tree/tests.rs::the_tree_its_history_and_a_listing_have_a_largest_size",
    ),
    limit(
        "Waits of the v2 API",
        "10000, of one address (IPv6: one /64) as many as are still free; each with 100 changes that it has not taken, then it \
         ends",
        "",
        ("watch/tree.rs", "WAITERS: usize = 10_000"),
        "src/watch/tree.rs::a_waiter_that_takes_nothing_is_ended_and_too_many_are_refused",
    ),
    limit(
        "Time to live of a lease",
        "9000000000 s",
        "",
        ("store/apply/lease.rs", "MAX_TTL: i64 = 9_000_000_000"),
        "src/api/rpc/recipes_tests.rs::leases",
    ),
    limit(
        "Size of the store",
        "2 GiB; then writes are refused until there is room and the alarm is disarmed",
        "quota-backend-bytes",
        ("", ""),
        "src/api/space.rs::what_others_propose_is_applied_and_raises_the_alarm",
    ),
    limit(
        "Commands that wait for raft",
        "256 MiB; likewise",
        "",
        ("raft/queue.rs", "QUEUE_BYTES: usize = 256 << 20"),
        "src/raft/queue.rs::what_waits_is_limited_in_bytes",
    ),
    limit(
        "Entries that are committed and not applied yet",
        "5000; then writes are answered \"too many requests\"",
        "",
        ("raft/commands.rs", "MAX_BACKLOG: u64 = 5000"),
        "src/raft/tests/single.rs::a_member_that_applies_too_slowly_takes_no_more_writes",
    ),
    limit(
        "Renewals of a stream of keepalives that wait for the leader",
        "64; further ones are not read",
        "",
        ("api/rpc/keep_alive.rs", "MAX_WAITING: usize = 64"),
        "src/api/rpc/recipes_tests.rs::a_stream_has_few_renewals_that_wait",
    ),
    limit(
        "Log-ins that wait",
        "1024 for a user, 16384 in all; they are compared on threads of low priority",
        "",
        ("auth/passwords.rs", "WAITING_IN_ALL: usize = 16 * 1024"),
        "src/auth/passwords.rs::users_take_turns",
    ),
    limit(
        "Cost of a password's hash that is given",
        "16",
        "",
        ("auth/passwords.rs", "HIGHEST_COST: u32 = 16"),
        "src/auth/passwords.rs::a_hash_of_any_cost_keeps_no_other_log_in_waiting",
    ),
    limit(
        "A token",
        "64 KiB; JSON web tokens 16 KiB",
        "",
        ("auth/simple.rs", "LONGEST: usize = 64 << 10"),
        "src/auth/simple.rs::no_other_text_is_a_token",
    ),
    limit(
        "Pages of /metrics",
        "20 in a row, then one in 100 ms for all who ask",
        "",
        ("api/http/shared.rs", "BURST: u32 = 20"),
        "src/api/http/shared.rs::a_flood_shares_pages_and_a_single_request_gets_its_own",
    ),
    limit(
        "Records of the audit that wait for their output",
        "4096; further ones are left out, and counted",
        "",
        ("daemon/audit.rs", "WAITING: usize = 4096"),
        "src/api/rpc/audited.rs::what_the_output_does_not_take_is_counted_and_holds_nobody_up",
    ),
    limit(
        "Handshakes between members at a time",
        "64; beyond that a caller proves its address first (Retry of QUIC), beyond 128 it is refused",
        "",
        (TUNING, "MAX_HANDSHAKES: usize = 64"),
        "src/peer/tests/floods.rs::handshakes_from_invented_addresses_keep_no_member_out",
    ),
    limit(
        "Connections of one member, and callers in all",
        "4 and 256",
        "",
        (TUNING, "MAX_CALLERS: usize = 256"),
        "src/peer/tests/garbage.rs::a_member_has_few_connections_and_the_newest_win",
    ),
    limit(
        "A message between members",
        "64 MiB, an answer 256 MiB, a heartbeat or vote 1 MiB",
        "",
        (TUNING, "MAX_CONTROL_FRAME: usize = 1 << 20"),
        "src/peer/tests/garbage.rs::a_caller_that_breaks_the_rules_is_shown_out",
    ),
    limit(
        "Requests of a member that are not answered yet",
        "1024, or 64 MiB, on each stream",
        "",
        (TUNING, "MAX_IN_FLIGHT: usize = 1024"),
        "src/peer/tests/calls.rs::a_channel_takes_only_so_much",
    ),
    limit(
        "Snapshots between members at a time",
        "2; one that stops for 30 s is given up",
        "",
        (TUNING, "MAX_SNAPSHOTS: usize = 2"),
        "src/peer/tests/snapshots.rs::what_is_cut_off_is_never_taken",
    ),
];
