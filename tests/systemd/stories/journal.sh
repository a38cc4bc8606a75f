# What plain journalctl and systemctl status show of members in trouble: who, what and why, in one line.

# install NAME: the package, and a directory for the secret.
install() {
    bring "$1" "$KVD_DEB"
    in_ "$1" apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
}

# configure NAME N REST: the file of a member at 10.91.0.N.
configure() {
    put_file "$1" /etc/kv/cluster.toml <<TOML
name = "$1"
listen-client-urls = ["http://127.0.0.1:2379"]
advertise-client-urls = ["http://127.0.0.1:2379"]
listen-peer-urls = ["http://10.91.0.$2:2380"]
initial-advertise-peer-urls = ["http://10.91.0.$2:2380"]
cluster-secret-file = "/etc/kv/secret"
$3
TOML
}

# plain NAME: what an operator sees without options.
plain() { in_ "$1" journalctl --no-pager -u kvd; }

# says NAME PATTERN: a line of it.
says() { grep -Eq -- "$2" <<<"$(plain "$1")"; }

# unspelled NAME: fields of kvd's warnings and errors that their messages do not name.
unspelled() {
    in_ "$1" journalctl --no-pager --all --output=verbose --priority=warning _SYSTEMD_UNIT=kvd.service | awk '
        function look(name) {
            for (name in fields) if (!index(message, tolower(name) "=")) print name ": " message
            delete fields
        }
        /^[^ ]/ { look(); next }
        match($0, /^ +[A-Z][A-Z0-9_]*=/) {
            name = substr($0, 1, RLENGTH - 1)
            sub(/^ +/, "", name)
            if (name == "MESSAGE") message = substr($0, RLENGTH + 1)
            else if (name !~ /^(SYSLOG_.*|PRIORITY|MESSAGE_ID|TARGET|CODE_FILE|CODE_LINE)$/) fields[name] = 1
        }
        END { look() }'
}

step "a secret that everybody can read is none"
machine kv1 10.91.0.1
install kv1
configure kv1 1 '[initial-cluster]
kv1 = "http://10.91.0.1:2380"
kv2 = "http://10.91.0.2:2380"'
printf 'a secret of the story, long enough' | put_file kv1 /etc/kv/secret 644
refuse "start" in_ kv1 systemctl start kvd
check "exit status" "$(property kv1 kvd ExecMainStatus)" "78"
holds "the journal names the file" says kv1 '/etc/kv/secret: every user of this machine may read'
in_ kv1 chmod 640 /etc/kv/secret
in_ kv1 chgrp kv /etc/kv/secret

step "a member whose peer is not there"
in_ kv1 systemctl start kvd
unreachable='failed to reach a peer: remote_peer_id=[0-9a-f]+ reason=.*10\.91\.0\.2:2380'
until_ "the journal names the peer, its address and the reason" says kv1 "$unreachable"
in_ kv1 systemctl --no-pager --full status kvd >"$work/status" || true
holds "systemctl status shows it, too" grep -Eq "$unreachable" "$work/status"
in_ kv1 journalctl --no-pager --output=verbose --priority=warning _SYSTEMD_UNIT=kvd.service >"$work/verbose"
holds "and there are fields for programs" grep -q '^ *REMOTE_PEER_ID=[0-9a-f]' "$work/verbose"
check "fields that no message names" "$(unspelled kv1)" ""

step "one that joins with another secret ends at once, and both say why"
machine kv3 10.91.0.3
install kv3
configure kv3 3 'initial-cluster-state = "existing"
[join]
peers = ["10.91.0.1:2380", "10.91.0.9:2380"]'
printf 'a secret of another story, longer' | put_file kv3 /etc/kv/secret 640
in_ kv3 chgrp kv /etc/kv/secret
refuse "start" in_ kv3 systemctl start kvd
check "exit status and restarts" "$(property kv3 kvd ExecMainStatus) $(property kv3 kvd NRestarts)" "77 0"
secret='does not have the same cluster secret'
holds "the one that joins names the secret" says kv3 "failed to start: .*10\.91\.0\.1:2380: .*$secret"
holds "and what is wrong with the other peer" says kv3 "failed to start: .*10\.91\.0\.9:2380"
holds "the member names it as well" \
    says kv1 "rejected a connection of a peer: remote_peer_id=10\.91\.0\.3 address=.*$secret"
holds "the journal explains it" \
    grep -q 'kvd.cluster-secret' <<<"$(in_ kv3 journalctl --no-pager -x -u kvd --priority=err)"
check "fields that no message names" "$(unspelled kv3)$(unspelled kv1)" ""

step "data elsewhere: the error names the command that opens the directory, and the command does it"
in_ kv1 systemctl stop kvd
put_file kv1 /etc/kv/cluster.toml.d/50-data.toml 640 <<<'data-dir = "/srv/data/kv"'
in_ kv1 chgrp kv /etc/kv/cluster.toml.d/50-data.toml
refuse "start" in_ kv1 systemctl start kvd
check "exit status and restarts" "$(property kv1 kvd ExecMainStatus) $(property kv1 kvd NRestarts)" "78 0"
holds "the error has the path" says kv1 'failed to start: /srv/data/kv: (Read-only file system|Permission denied)'
holds "and the way out" says kv1 'as root, `kvd config dropin`, then `systemctl daemon-reload'
in_ kv1 kvd config dropin
check "the directory is" "$(in_ kv1 stat -c '%U:%G %a' /srv/data/kv)" "kv:kv 700"
in_ kv1 systemctl daemon-reload
in_ kv1 systemctl restart kvd
check "kvd is" "$(property kv1 kvd ActiveState)" active
holds "the data are there" in_ kv1 test -s /srv/data/kv/member/identity

step "a new secret is the service's alone"
in_ kv3 kvd secret new /etc/kv/new-secret
check "it is" "$(in_ kv3 stat -c '%U:%G %a' /etc/kv/new-secret)" "kv:kv 600"
refuse "another in its place" in_ kv3 kvd secret new /etc/kv/new-secret

step "a configuration that is wrong is an error in the journal"
in_ kv3 sh -c 'echo "nmae = 1" > /etc/kv/cluster.toml.d/99-wrong.toml && systemd-tmpfiles --create kvd.conf'
in_ kv3 systemctl reset-failed kvd
refuse "start" in_ kv3 systemctl start kvd
in_ kv3 journalctl --no-pager --priority=err -u kvd >"$work/errors"
holds "with its place" grep -q "99-wrong.toml:1:1" "$work/errors"
