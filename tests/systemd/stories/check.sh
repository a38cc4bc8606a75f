# `kvd check` as root says what the service is going to meet: for each fault the same words and the same exit code as a
# start. It opens every file as user kv, knows kvd.env and the credential, and changes and binds nothing.

machine one 10.91.0.1
bring one "$KVD_DEB"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"

# configure REST: the member's file; what is tried comes behind it.
configure() {
    put_file one /etc/kv/cluster.toml <<TOML
name = "one"
listen-client-urls = ["https://10.91.0.1:2379"]
advertise-client-urls = ["https://10.91.0.1:2379"]
listen-peer-urls = ["http://10.91.0.1:2380"]
initial-advertise-peer-urls = ["http://10.91.0.1:2380"]
${1:-}
[client-transport-security]
cert-file = "${2:-/etc/kv/tls/server.pem}"
key-file = "${3:-/etc/kv/tls/server-key.pem}"
TOML
}

# asked: runs `kvd check` as root; its words end in $work/check, its exit code in $status.
asked() {
    status=0
    in_ one kvd check "$@" >"$work/check" 2>&1 || status=$?
    cat "$work/check"
}

# refused WHAT PATTERN: check refuses it.
refused() {
    asked
    check "$1: check ends with" "$status" 78
    holds "$1: it says why" grep -Eq -- "$2" "$work/check"
}

# both WHAT PATTERN: check refuses it, a start refuses it, and systemd does not try again.
both() {
    refused "$1" "$2"
    in_ one systemctl reset-failed kvd || true
    refuse "$1: start" in_ one systemctl start kvd
    check "$1: the service ends with" "$(property one kvd ExecMainStatus) $(property one kvd NRestarts)" "78 0"
    told() { journal one | tail -n 12 | grep -E -- "$1" >/dev/null; }
    until_ "$1: the journal says why, too" told "$2"
}

# good WHAT: check finds nothing, and a start works.
good() {
    asked
    check "$1: check ends with" "$status" 0
    holds "$1: it was read as user kv, without findings" grep -q 'read as user kv; no errors, no warnings' "$work/check"
    in_ one systemctl reset-failed kvd || true
    in_ one systemctl start kvd
    check "$1: kvd is" "$(property one kvd ActiveState)" active
    in_ one systemctl stop kvd
}

in_ one sh -ec '
    install -d -g kv -m 750 /etc/kv/tls && cd /etc/kv/tls
    pair() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=server \
            -addext subjectAltName=IP:10.91.0.1 -keyout $1-key.pem -out $1.pem
        chgrp kv $1.pem $1-key.pem && chmod 640 $1.pem $1-key.pem
    }
    pair server && pair other
    openssl req -new -key server-key.pem -subj /CN=server -out old.csr
    echo subjectAltName=IP:10.91.0.1 >san
    openssl x509 -req -in old.csr -signkey server-key.pem -days 0 -extfile san -out old.pem
    chgrp kv old.pem && chmod 640 old.pem
    kvd secret new /etc/kv/secret' 2>/dev/null
secret='cluster-secret-file = "/etc/kv/secret"'

step "all is well"
configure "$secret"
good "a configuration with a certificate and a secret"

step "what user kv cannot read"
in_ one chmod 600 /etc/kv/tls/server-key.pem
both "a key" 'server-key\.pem: .*Permission denied'
holds "and what to do" grep -q 'chgrp kv FILE' "$work/check"
in_ one chmod 640 /etc/kv/tls/server-key.pem
in_ one chown root:root /etc/kv/secret
both "the secret" '/etc/kv/secret: .*Permission denied'
in_ one chown kv /etc/kv/secret
in_ one chmod 700 /etc/kv/tls
both "a directory" 'server(-key)?\.pem'
in_ one chmod 750 /etc/kv/tls
in_ one chmod 600 /etc/kv/cluster.toml
both "cluster.toml" 'cannot read /etc/kv/cluster\.toml: Permission denied'
in_ one chmod 640 /etc/kv/cluster.toml
good "all of them again"
in_ one sh -ec 'groupadd -r certs && usermod -aG certs kv && chgrp certs /etc/kv/tls/server-key.pem'
good "a key of another group that kv is in"
in_ one chgrp kv /etc/kv/tls/server-key.pem

step "what does not belong together, is too old, too short or not there"
configure "$secret" /etc/kv/tls/server.pem /etc/kv/tls/other-key.pem
both "a key of another certificate" 'other-key\.pem'
configure "$secret" /etc/kv/tls/old.pem
# A start only warns of it: a reload may bring a better one.
expired() { asked && grep -q 'has expired' "$work/check"; }
until_ "the certificate is too old" expired
refused "an expired certificate" 'old\.pem: the certificate has expired'
configure "$secret" /etc/kv/tls/none.pem
both "a certificate that is not there" 'none\.pem'
configure 'cluster-secret-file = "/etc/kv/none"'
both "a secret that is not there" '/etc/kv/none'
echo short | put_file one /etc/kv/short 640
in_ one chgrp kv /etc/kv/short
configure 'cluster-secret-file = "/etc/kv/short"'
both "a short secret" 'at least 16'

step "a variable of kvd.env"
configure "$secret"
put_file one /etc/kv/kvd.env <<<'ETCD_HEARTBEAT_INTERVAL="soon"'
both "a wrong value" 'ETCD_HEARTBEAT_INTERVAL'
holds "with its place" grep -q '/etc/kv/kvd.env:1' "$work/check"
in_ one sh -c ': >/etc/kv/kvd.env'
good "none"

step "the secret as a credential, which only root can read"
configure
both "no secret" 'no secret in common'
in_ one install -d -m 700 /etc/credstore
in_ one sh -c 'kvd secret new > /etc/credstore/kvd.cluster-secret && chmod 600 /etc/credstore/kvd.cluster-secret'
good "a credential"
in_ one sh -c 'echo short > /etc/credstore/kvd.cluster-secret'
both "a short one" 'at least 16'
in_ one rm /etc/credstore/kvd.cluster-secret
in_ one install -d /etc/systemd/system/kvd.service.d
credential() {
    put_file one /etc/systemd/system/kvd.service.d/secret.conf <<<"[Service]
$1"
    in_ one systemctl daemon-reload
}
credential 'LoadCredential=kvd.cluster-secret:/root/secret'
refused "a credential that is not there" 'systemd cannot pass the credential .*/root/secret: No such file'
in_ one systemctl reset-failed kvd
refuse "start" in_ one systemctl start kvd
in_ one sh -c 'kvd secret new > /root/secret && chmod 600 /root/secret'
in_ one systemctl stop kvd
good "a credential at a place of its own"
in_ one sh -ec 'systemd-creds --with-key=host --name=kvd.cluster-secret encrypt /root/secret /root/encrypted'
credential 'LoadCredential=
LoadCredentialEncrypted=kvd.cluster-secret:/root/encrypted'
good "an encrypted credential"
in_ one rm /etc/systemd/system/kvd.service.d/secret.conf
in_ one systemctl daemon-reload

step "what the unit hides"
in_ one sh -ec 'install -d -m 755 /home/admin && cp /etc/kv/tls/server*.pem /home/admin && chown kv /home/admin/*'
configure "$secret" /home/admin/server.pem /home/admin/server-key.pem
both "a certificate in a home directory" '/home/admin/server\.pem'
holds "the cause" grep -q 'its unit has ProtectHome=, which hides /home' "$work/check"
configure "$secret
data-dir = \"/srv/kv\""
both "a data directory that the unit does not open" 'as root, `kvd config dropin`'
in_ one kvd config dropin
in_ one systemctl daemon-reload
good "one that it opens"

step "nothing is changed, nothing is bound"
configure "$secret"
in_ one sh -c 'find /etc /var/lib /srv /run/kv -type f -exec sha256sum {} + 2>/dev/null | sort' >"$work/before"
asked
in_ one sh -c 'find /etc /var/lib /srv /run/kv -type f -exec sha256sum {} + 2>/dev/null | sort' >"$work/after"
holds "the files are the same" diff "$work/before" "$work/after"
in_ one systemctl start kvd
asked
check "beside the service, which has the addresses, check ends with" "$status" 0
in_ one systemctl stop kvd

step "another file is read as whoever asks"
in_ one sh -c 'cp /etc/kv/cluster.toml /root/new.toml && chmod 600 /root/new.toml'
asked --config-file=/root/new.toml
check "check ends with" "$status" 0
refuse "it was read as user kv" grep -q 'user kv' "$work/check"
