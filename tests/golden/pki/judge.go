// Which certificates Go takes: makes a table of them, lets crypto/tls judge each in a handshake, and prints the table
// with the verdicts; a certificate is printed once, and its number from then on. tests/golden/pki/go.txt is what it printed:
//
//	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:8192 -out tests/golden/pki/rsa8192.pem   (once)
//	go run tests/golden/pki/judge.go tests/golden/pki/rsa8192.pem >tests/golden/pki/go.txt
//
// Without a module Go would behave as an old version.
//
//go:debug default=go1.26
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A certificate with its key.
type cert struct {
	der []byte
	x   *x509.Certificate // nil if Go cannot read it
	key crypto.Signer
}

var serial int64 = 100

func ec(curve elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(curve, rand.Reader)) }

func edKey() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func rsaKey(bits int) crypto.Signer {
	if bits != 8192 {
		return must(rsa.GenerateKey(rand.Reader, bits))
	}
	block, _ := pem.Decode(must(os.ReadFile(os.Args[1])))
	return must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
}

type change = func(*x509.Certificate)

func template(name string, changes ...change) *x509.Certificate {
	serial++
	t := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-day),
		NotAfter:     now.Add(100 * day),
		DNSNames:     []string{"a.example"},
	}
	for _, change := range changes {
		change(t)
	}
	return t
}

// A certificate of that issuer; self-signed without one.
func issue(issuer *cert, key crypto.Signer, t *x509.Certificate) *cert {
	parent, signer := t, key
	if issuer != nil {
		parent, signer = issuer.x, issuer.key
		if parent == nil {
			panic("an issuer that Go cannot read")
		}
	}
	der := must(x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer))
	x, _ := x509.ParseCertificate(der)
	return &cert{der, x, key}
}

func isCA(t *x509.Certificate) {
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign
	t.DNSNames = nil
	t.NotAfter = now.Add(1000 * day)
}

func authority(name string, changes ...change) *cert {
	return issue(nil, ec(elliptic.P256()), template(name, append([]change{isCA}, changes...)...))
}

func below(issuer *cert, name string, changes ...change) *cert {
	return issue(issuer, ec(elliptic.P256()), template(name, append([]change{isCA}, changes...)...))
}

func leaf(issuer *cert, changes ...change) *cert {
	return issue(issuer, ec(elliptic.P256()), template("leaf", changes...))
}

// Certificates that x509.CreateCertificate does not make.
type odd struct {
	version int // 1 to 3
	serial  *big.Int
	inner   *pkix.AlgorithmIdentifier
	exts    []pkix.Extension
	names   asn1.RawValue // the subject
	spki    []byte
	from    []byte // a time, DER
	inside  []byte // behind the extensions
	behind  []byte // the signature
	tail    []byte
	unused  byte // bits of the signature
	outer   *pkix.AlgorithmIdentifier
	wire    func([]byte) []byte // changes what is signed
}

type tbs struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     *big.Int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	Validity   asn1.RawValue
	Subject    asn1.RawValue
	Key        asn1.RawValue
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

type whole struct {
	TBS       asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.RawValue
}

// Its FullBytes are there, too.
func sequence(parts ...[]byte) asn1.RawValue {
	whole := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(parts, nil)}
	whole.FullBytes = must(asn1.Marshal(whole))
	return whole
}

var ecdsaSHA256 = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}

func name(common string) asn1.RawValue {
	return asn1.RawValue{FullBytes: must(asn1.Marshal(pkix.Name{CommonName: common}.ToRDNSequence()))}
}

// Signed by a P-256 key with SHA-256.
func oddly(issuer *cert, subject string, o odd) *cert {
	key := ec(elliptic.P256())
	signer, issuerName := key, name(subject)
	if issuer != nil {
		signer, issuerName = issuer.key, asn1.RawValue{FullBytes: issuer.x.RawSubject}
	}
	serial++
	t := tbs{Version: o.version - 1, Serial: big.NewInt(serial), Algorithm: ecdsaSHA256, Issuer: issuerName, Subject: name(subject)}
	if o.serial != nil {
		t.Serial = o.serial
	}
	if o.inner != nil {
		t.Algorithm = *o.inner
	}
	if o.names.FullBytes != nil {
		t.Subject = o.names
	}
	from := o.from
	if from == nil {
		from = must(asn1.Marshal(now.Add(-day)))
	}
	t.Validity = sequence(from, must(asn1.Marshal(now.Add(100*day))))
	t.Extensions = o.exts
	spki := o.spki
	if spki == nil {
		spki = must(x509.MarshalPKIXPublicKey(key.Public()))
	}
	t.Key = asn1.RawValue{FullBytes: spki}
	inner := must(asn1.Marshal(t))
	if o.inside != nil {
		var parts asn1.RawValue
		must(asn1.Unmarshal(inner, &parts))
		inner = sequence(parts.Bytes, o.inside).FullBytes
	}
	if o.wire != nil {
		inner = o.wire(inner)
	}
	hash := sha256.Sum256(inner)
	signature := must(signer.Sign(rand.Reader, hash[:], crypto.SHA256))
	bits := asn1.RawValue{Tag: asn1.TagBitString, Bytes: append([]byte{o.unused}, signature...)}
	outer := ecdsaSHA256
	if o.outer != nil {
		outer = *o.outer
	}
	der := must(asn1.Marshal(whole{asn1.RawValue{FullBytes: inner}, outer, bits}))
	if o.behind != nil {
		var parts asn1.RawValue
		must(asn1.Unmarshal(der, &parts))
		der = sequence(parts.Bytes, o.behind).FullBytes
	}
	der = append(der, o.tail...)
	x, _ := x509.ParseCertificate(der)
	return &cert{der, x, key}
}

func ext(id []int, critical bool, value any) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: must(asn1.Marshal(value))}
}

var sanID, unknownID = []int{2, 5, 29, 17}, []int{1, 2, 3, 4}

func san(critical bool, names ...asn1.RawValue) pkix.Extension { return ext(sanID, critical, names) }

func general(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
}

var cases int

// Prints a case and its verdict. A host makes it one of a server, otherwise it is one of a client.
func judge(what, host string, roots []*cert, shown ...*cert) {
	cases++
	pool := x509.NewCertPool()
	for _, root := range roots {
		if root.x == nil {
			panic(what + ": a root that Go cannot read")
		}
		pool.AddCert(root.x)
	}
	chain := tls.Certificate{PrivateKey: shown[0].key}
	for _, cert := range shown {
		chain.Certificate = append(chain.Certificate, cert.der)
	}
	usual := authority("usual")
	mine := leaf(usual)
	own := tls.Certificate{PrivateKey: mine.key, Certificate: [][]byte{mine.der}}
	clock := func() time.Time { return now }
	server := &tls.Config{Time: clock, Certificates: []tls.Certificate{own}}
	client := &tls.Config{Time: clock, InsecureSkipVerify: true}
	if host == "" {
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &chain, nil }
	} else {
		server.Certificates = []tls.Certificate{chain}
		client.InsecureSkipVerify, client.RootCAs, client.ServerName = false, pool, host
	}
	verdict := handshake(client, server, host != "")
	use := "client"
	if host != "" {
		use = "server " + host
	}
	fmt.Printf("case %s\nuse %s\ngo %s\n", what, use, verdict)
	for _, root := range roots {
		show("root", root)
	}
	for _, cert := range shown {
		show("shown", cert)
	}
	fmt.Println()
}

// The numbers of the certificates that have been printed.
var printed = map[string]int{}

// Prints the number of a certificate, and the first time itself.
func show(kind string, cert *cert) {
	number, again := printed[string(cert.der)]
	if !again {
		number = len(printed) + 1
		printed[string(cert.der)] = number
	}
	fmt.Println(kind, number)
	if !again {
		pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.der})
	}
}

func handshake(client, server *tls.Config, clientJudges bool) string {
	// A pipe in memory would stand still as soon as both sides write.
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	one := must(net.Dial("tcp", listener.Addr().String()))
	two := must(listener.Accept())
	deadline := time.Now().Add(time.Minute)
	one.SetDeadline(deadline)
	two.SetDeadline(deadline)
	outcome := make(chan error, 1)
	a, b := tls.Client(one, client), tls.Server(two, server)
	judging, other := b, a
	if clientJudges {
		judging, other = a, b
	}
	go func() {
		err := other.Handshake()
		if err == nil {
			// With TLS 1.3 the other side's verdict comes later.
			other.Read(make([]byte, 1))
		}
		outcome <- err
	}()
	err := judging.Handshake()
	one.Close()
	two.Close()
	<-outcome
	if err != nil {
		return "refuses: " + strings.ReplaceAll(strings.ReplaceAll(err.Error(), "\n", " "), "tls: failed to verify certificate: ", "")
	}
	return "takes it"
}

func list(certs ...*cert) []*cert { return certs }

func main() {
	fmt.Printf("# Made by tests/golden/pki/judge.go with %s; the time is %s.\n\n", runtime.Version(), now.Format(time.RFC3339))
	ca := authority("CA")
	both := func(what string, roots []*cert, shown ...*cert) {
		judge(what+", client", "", roots, shown...)
		judge(what+", server", "a.example", roots, shown...)
	}
	keys(ca, both)
	signatures()
	versions(ca, both)
	usages(ca)
	names(ca)
	authorities(ca, both)
	times(ca)
	chains(ca)
	extensions(ca)
	constraints()
	encodings(ca)
	forms(ca)
	uris(ca)
}

func keys(ca *cert, both func(string, []*cert, ...*cert)) {
	for what, key := range map[string]crypto.Signer{
		"RSA-1024": rsaKey(1024), "RSA-2048": rsaKey(2048), "RSA-4096": rsaKey(4096), "RSA-8192": rsaKey(8192),
		"P-224": ec(elliptic.P224()), "P-256": ec(elliptic.P256()), "P-384": ec(elliptic.P384()),
		"P-521": ec(elliptic.P521()), "Ed25519": edKey(),
	} {
		both("key "+what, list(ca), issue(ca, key, template("leaf")))
		if what != "RSA-1024" {
			root := issue(nil, key, template("CA with "+what, isCA))
			judge("CA's key "+what, "", list(root), leaf(root))
		}
	}
}

func signatures() {
	sign := func(what string, key crypto.Signer, algorithm x509.SignatureAlgorithm) {
		root := issue(nil, key, template("CA", isCA))
		judge("signature "+what, "", list(root), leaf(root, func(t *x509.Certificate) { t.SignatureAlgorithm = algorithm }))
	}
	for what, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		sign(what+" SHA-1", ec(curve), x509.ECDSAWithSHA1)
		sign(what+" SHA-256", ec(curve), x509.ECDSAWithSHA256)
		sign(what+" SHA-384", ec(curve), x509.ECDSAWithSHA384)
		sign(what+" SHA-512", ec(curve), x509.ECDSAWithSHA512)
	}
	key := rsaKey(2048)
	for what, algorithm := range map[string]x509.SignatureAlgorithm{
		"RSA SHA-1": x509.SHA1WithRSA, "RSA SHA-256": x509.SHA256WithRSA, "RSA SHA-384": x509.SHA384WithRSA,
		"RSA SHA-512": x509.SHA512WithRSA, "RSA PSS SHA-256": x509.SHA256WithRSAPSS,
		"RSA PSS SHA-384": x509.SHA384WithRSAPSS, "RSA PSS SHA-512": x509.SHA512WithRSAPSS,
	} {
		sign(what, key, algorithm)
	}
}

func versions(ca *cert, both func(string, []*cert, ...*cert)) {
	both("version 1", list(ca), oddly(ca, "leaf", odd{version: 1}))
	both("version 2", list(ca), oddly(ca, "leaf", odd{version: 2}))
	both("version 3 without extensions", list(ca), oddly(ca, "leaf", odd{version: 3}))
	judge("version 4", "", list(ca), oddly(ca, "leaf", odd{version: 4}))
	one := oddly(nil, "CA of version 1", odd{version: 1})
	both("a CA of version 1", list(one), leaf(one))
	between := oddly(ca, "version 1 between", odd{version: 1})
	judge("version 1 between CA and leaf", "", list(ca), leaf(between), between)
	judge("version 1, self-signed and trusted", "", list(one), one)
}

func usages(ca *cert) {
	usage := func(usages ...x509.ExtKeyUsage) change {
		return func(t *x509.Certificate) { t.ExtKeyUsage = usages }
	}
	client, server := usage(x509.ExtKeyUsageClientAuth), usage(x509.ExtKeyUsageServerAuth)
	for what, change := range map[string]change{
		"clientAuth": client, "serverAuth": server, "both": usage(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth),
		"any": usage(x509.ExtKeyUsageAny), "codeSigning": usage(x509.ExtKeyUsageCodeSigning),
		"unknown": func(t *x509.Certificate) { t.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} },
	} {
		judge("usage "+what+", client", "", list(ca), leaf(ca, change))
		judge("usage "+what+", server", "a.example", list(ca), leaf(ca, change))
		narrow := below(ca, "narrow", change)
		judge("usage "+what+" of the CA between, client", "", list(ca), leaf(narrow), narrow)
		root := authority("narrow root", change)
		judge("usage "+what+" of the root, server", "a.example", list(root), leaf(root))
	}
	between := below(ca, "any between", usage(x509.ExtKeyUsageAny))
	judge("usage any of the CA between, serverAuth of the leaf, client", "", list(ca), leaf(between, server), between)
	narrow := below(ca, "serverAuth between", server)
	judge("usage serverAuth of the CA between, any of the leaf, client", "", list(ca), leaf(narrow, usage(x509.ExtKeyUsageAny)), narrow)
	judge("usage serverAuth of the CA between, clientAuth of the leaf, client", "", list(ca), leaf(narrow, client), narrow)
	selfUsage := issue(nil, ec(elliptic.P256()), template("self", server))
	judge("usage serverAuth, trusted itself, client", "", list(selfUsage), selfUsage)
	none := func(t *x509.Certificate) {
		t.ExtraExtensions = append(t.ExtraExtensions, ext([]int{2, 5, 29, 37}, true, []asn1.ObjectIdentifier{}))
	}
	judge("usages, but none", "", list(ca), leaf(ca, none))
	rawBits := func(bits ...byte) change {
		return func(t *x509.Certificate) {
			t.KeyUsage = 0
			t.ExtraExtensions = append(t.ExtraExtensions, ext([]int{2, 5, 29, 15}, true, asn1.BitString{Bytes: bits, BitLength: 8 * len(bits)}))
		}
	}
	for what, change := range map[string]change{
		"no bits": rawBits(), "zeros": rawBits(0), "certSign": rawBits(4), "everything but certSign": rawBits(0xfb, 0x80),
		"bits that mean nothing": rawBits(0, 1), "certSign and bits that mean nothing": rawBits(4, 1, 1),
	} {
		root := authority("CA with bits", change)
		judge("key usage of the CA: "+what, "", list(root), leaf(root))
	}
	bits := func(usage x509.KeyUsage) change { return func(t *x509.Certificate) { t.KeyUsage = usage } }
	judge("key usage keyEncipherment", "", list(ca), leaf(ca, bits(x509.KeyUsageKeyEncipherment)))
	judge("key usage certSign of a leaf", "", list(ca), leaf(ca, bits(x509.KeyUsageCertSign)))
	silent := authority("CA without key usage", bits(0))
	judge("key usage none of the CA", "", list(silent), leaf(silent))
	wrong := authority("CA that may not sign", bits(x509.KeyUsageDigitalSignature))
	judge("key usage digitalSignature of the CA", "", list(wrong), leaf(wrong))
}

func names(ca *cert) {
	dns := func(names ...string) change { return func(t *x509.Certificate) { t.DNSNames = names } }
	for _, pair := range [][2]string{
		{"a.example", "a.example"}, {"a.example", "A.Example"}, {"A.EXAMPLE", "a.example"}, {"a.example", "b.example"},
		{"*.example", "a.example"}, {"*.example", "a.b.example"}, {"*.b.example", "a.b.example"}, {"*.example", "example"},
		{"a.*.example", "a.b.example"}, {"w*.example", "www.example"}, {"*w.example", "www.example"}, {"*", "a"},
		{"a_b.example", "a_b.example"}, {"xn--bcher-kva.example", "xn--bcher-kva.example"}, {"10.0.0.1", "10.0.0.1"},
		{"localhost", "localhost"}, {"*.example.", "a.example"}, {".example", "a.example"}, {"-a.example", "-a.example"},
		{"a.example.", "a.example"}, {"a.example", "a.example."}, {"*.*.example", "a.b.example"}, {"*.xn--a.example", "b.xn--a.example"},
		{"a.example\x00.evil", "a.example"}, {" a.example", "a.example"}, {"a.example ", "a.example"}, {"*", "a.example"},
		{"*.10.0.0.1", "9.10.0.0.1"}, {"*.0.0.1", "10.0.0.1"}, {"::1", "::1"}, {"[::1]", "::1"}, {"", "a.example"}, {".", "a.example"},
		{"**.example", "a.example"}, {"*.example", "*.example"}, {"a..example", "a.example"}, {"*a.example", "*a.example"},
	} {
		judge("name "+pair[0]+" for "+pair[1], pair[1], list(ca), leaf(ca, dns(pair[0])))
	}
	judge("two names", "b.example", list(ca), leaf(ca, dns("a.example", "b.example")))
	judge("a common name only", "a.example", list(ca), leaf(ca, dns(), func(t *x509.Certificate) { t.Subject.CommonName = "a.example" }))
	ips := func(ips ...string) change {
		return func(t *x509.Certificate) {
			t.DNSNames = nil
			for _, ip := range ips {
				t.IPAddresses = append(t.IPAddresses, net.ParseIP(ip))
			}
		}
	}
	judge("address 10.0.0.1", "10.0.0.1", list(ca), leaf(ca, ips("10.0.0.1")))
	judge("address 10.0.0.1 for 10.0.0.2", "10.0.0.2", list(ca), leaf(ca, ips("10.0.0.1")))
	judge("address ::1", "::1", list(ca), leaf(ca, ips("::1")))
	judge("address ::1 in brackets", "[::1]", list(ca), leaf(ca, ips("::1")))
	judge("address ::ffff:10.0.0.1 for 10.0.0.1", "10.0.0.1", list(ca), leaf(ca, func(t *x509.Certificate) {
		t.DNSNames = nil
		t.ExtraExtensions = []pkix.Extension{san(false, general(7, string(net.ParseIP("10.0.0.1").To16())))}
	}))
	judge("address ::10.0.0.1 for 10.0.0.1", "10.0.0.1", list(ca), leaf(ca, ips("::a00:1")))
	judge("address 10.0.0.1 for a name", "a.example", list(ca), leaf(ca, ips("10.0.0.1")))
	uri := func(t *x509.Certificate) {
		t.DNSNames, t.URIs = nil, []*url.URL{must(url.Parse("spiffe://a.example/x"))}
	}
	judge("a URI only", "a.example", list(ca), leaf(ca, uri))
	judge("a common name and another name", "a.example", list(ca), leaf(ca, dns("b.example"), func(t *x509.Certificate) { t.Subject.CommonName = "a.example" }))
	judge("no names at all, client", "", list(ca), leaf(ca, dns(), func(t *x509.Certificate) { t.Subject = pkix.Name{} }))
}

func authorities(ca *cert, both func(string, []*cert, ...*cert)) {
	self := issue(nil, ec(elliptic.P256()), template("self", isCA, func(t *x509.Certificate) { t.DNSNames = []string{"a.example"} }))
	both("self-signed CA as leaf, trusted", list(self), self)
	both("self-signed CA as leaf, not trusted", list(ca), self)
	plain := issue(nil, ec(elliptic.P256()), template("plain"))
	both("self-signed leaf, trusted", list(plain), plain)
	both("self-signed leaf, not trusted", list(ca), plain)
	both("a leaf of another CA, trusted itself", list(leaf(ca)), leaf(ca))
	mine := leaf(ca)
	both("a leaf that is trusted itself, not its CA", list(mine), mine)
	judge("a leaf below a trusted leaf", "", list(mine), leaf(mine))
	judge("another CA of that name", "", list(authority("CA")), leaf(ca))
	judge("two CAs of that name", "", list(authority("CA"), ca), leaf(ca))
	judge("another CA", "", list(authority("another")), leaf(ca))
	no := issue(nil, ec(elliptic.P256()), template("no CA", func(t *x509.Certificate) { t.BasicConstraintsValid = true }))
	judge("a root that says it is no CA", "", list(no), leaf(no))
	mute := issue(nil, ec(elliptic.P256()), template("mute"))
	judge("a root of version 3 that does not say it is a CA", "", list(mute), leaf(mute))
	between := below(ca, "between")
	judge("only the CA between is trusted", "", list(between), leaf(between))
	twin := issue(nil, ca.key, template("CA", isCA))
	judge("a root, shown again with another serial number", "", list(ca), twin)
	judge("a leaf of a root's key under another name", "", list(ca), leaf(issue(nil, ca.key, template("other name", isCA))))
	stranger := authority("CA")
	judge("a forged root with the same name, shown", "", list(ca), leaf(stranger), stranger)
	judge("a forged root with the same name, shown with the true one", "", list(ca), leaf(stranger), stranger, ca)
	judge("a forged root as the client's", "", list(ca), stranger)
	forged := leaf(ca)
	forged.der = bytes.Clone(forged.der)
	forged.der[len(forged.der)-1] ^= 1
	judge("another signature", "", list(ca), forged)
	changed := leaf(ca)
	changed.der = bytes.Replace(changed.der, []byte("leaf"), []byte("Leaf"), 1)
	judge("another name under the signature", "", list(ca), changed)
	judge("a CA's certificate as a client's", "", list(ca), between)
}

func times(ca *cert) {
	at := func(from, until time.Duration) change {
		return func(t *x509.Certificate) { t.NotBefore, t.NotAfter = now.Add(from), now.Add(until) }
	}
	past, future := at(-9*day, -day), at(day, 9*day)
	judge("expired", "", list(ca), leaf(ca, past))
	judge("expired a second ago", "", list(ca), leaf(ca, at(-day, -time.Second)))
	judge("ends now", "", list(ca), leaf(ca, at(-day, 0)))
	judge("begins now", "", list(ca), leaf(ca, at(0, day)))
	judge("not valid yet", "", list(ca), leaf(ca, future))
	old := below(ca, "old between", past)
	judge("expired between", "", list(ca), leaf(old), old)
	root := authority("old root", past)
	judge("expired root", "", list(root), leaf(root))
	self := issue(nil, ec(elliptic.P256()), template("old self", past))
	judge("expired, trusted itself", "", list(self), self)
	judge("until 9999", "", list(ca), leaf(ca, func(t *x509.Certificate) { t.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }))
	judge("since 1949", "", list(ca), leaf(ca, func(t *x509.Certificate) { t.NotBefore = time.Date(1949, 1, 1, 0, 0, 0, 0, time.UTC) }))
}

func chains(ca *cert) {
	one := below(ca, "one")
	two := below(one, "two")
	end := leaf(two)
	judge("chain in order", "", list(ca), end, two, one)
	judge("chain in another order", "", list(ca), end, one, two)
	judge("chain with its root", "", list(ca), end, two, one, ca)
	judge("chain with more than is needed", "", list(ca), end, authority("stranger"), two, leaf(ca), one)
	judge("chain with a hole", "", list(ca), end, two)
	judge("chain without its end", "", list(ca), end)
	judge("chain twice", "", list(ca), end, two, two, one, one)
	length := func(most int) change {
		return func(t *x509.Certificate) { t.MaxPathLen, t.MaxPathLenZero = most, most == 0 }
	}
	for most := range 3 {
		root := authority("short", length(most))
		a := below(root, "a")
		b := below(a, "b")
		judge(fmt.Sprintf("path length %d, none between", most), "", list(root), leaf(root))
		judge(fmt.Sprintf("path length %d, one between", most), "", list(root), leaf(a), a)
		judge(fmt.Sprintf("path length %d, two between", most), "", list(root), leaf(b), b, a)
	}
	old, young := authority("old CA"), authority("young CA")
	cross := issue(old, young.key, template("young CA", isCA))
	judge("cross-signed, the old CA is trusted", "", list(old), leaf(young), cross)
	judge("cross-signed, the young CA is trusted", "", list(young), leaf(young), cross)
	back := issue(young, old.key, template("old CA", isCA))
	judge("CAs that sign each other", "", list(ca), leaf(young), cross, back)
	var decoys []*cert
	for range 40 {
		decoys = append(decoys, authority("two"))
	}
	judge("chain among forty of the same name", "", list(ca), append(append(list(end), decoys...), two, one)...)
	var loops, rounds []*cert
	for range 5 {
		loops = append(loops, authority("loop"))
	}
	for _, one := range loops {
		for _, other := range loops {
			rounds = append(rounds, issue(one, other.key, template("loop", isCA)))
		}
	}
	judge("many ways that lead nowhere", "", list(ca), append(list(leaf(loops[0])), rounds...)...)
	limited := below(ca, "limited", length(0))
	wide := below(limited, "wide")
	judge("path length 0 of the CA between, one below it", "", list(ca), leaf(wide), wide, limited)
	judge("path length 0 of the CA between, none below it", "", list(ca), leaf(limited), limited)
	judge("path length 0 of the CA between, itself the client's", "", list(ca), limited)
	no := issue(ca, ec(elliptic.P256()), template("no CA between"))
	judge("a leaf between", "", list(ca), leaf(no), no)
	says := issue(ca, ec(elliptic.P256()), template("says no", isCA, func(t *x509.Certificate) { t.IsCA = false }))
	judge("a certificate between that says it is no CA", "", list(ca), leaf(says), says)
	judge("a leaf between, trusted too", "", list(ca, no), leaf(no), no)
}

func extensions(ca *cert) {
	extra := func(e pkix.Extension) change {
		return func(t *x509.Certificate) { t.ExtraExtensions = append(t.ExtraExtensions, e) }
	}
	judge("unknown extension", "", list(ca), leaf(ca, extra(ext(unknownID, false, 1))))
	judge("unknown critical extension", "", list(ca), leaf(ca, extra(ext(unknownID, true, 1))))
	strange := below(ca, "strange", extra(ext(unknownID, true, 1)))
	judge("unknown critical extension between", "", list(ca), leaf(strange), strange)
	root := authority("strange root", extra(ext(unknownID, true, 1)))
	judge("unknown critical extension of the root", "", list(root), leaf(root))
	judge("critical names", "a.example", list(ca), leaf(ca, extra(san(true, general(2, "a.example")))))
	judge("critical names of an unknown kind", "", list(ca), leaf(ca, extra(san(true, general(8, "\x2a\x03")))))
	judge("a name of an unknown kind beside one", "a.example", list(ca), leaf(ca, extra(san(false, general(8, "\x2a\x03"), general(2, "a.example")))))
	judge("critical subject key identifier", "", list(ca), leaf(ca, extra(ext([]int{2, 5, 29, 14}, true, []byte{1}))))
	policies := func(t *x509.Certificate) { t.Policies = []x509.OID{must(x509.OIDFromInts([]uint64{1, 2, 3}))} }
	judge("policies", "", list(ca), leaf(ca, policies))
	explicit := extra(pkix.Extension{Id: []int{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 0x03, 0x80, 0x01, 0x00}})
	picky := below(ca, "picky", explicit, policies)
	judge("policies demanded, none there", "", list(ca), leaf(picky), picky)
	judge("policies demanded and there", "", list(ca), leaf(picky, policies), picky)
	mapping := extra(pkix.Extension{Id: []int{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 0x03, 0x81, 0x01, 0x00}})
	calm := below(ca, "calm", mapping)
	judge("mappings of policies inhibited", "", list(ca), leaf(calm), calm)
}

func constraints() {
	limit := func(what, host string, changes []change, names ...change) {
		root := authority("limited", changes...)
		judge("constraints: "+what, host, list(root), leaf(root, names...))
	}
	permit := func(names ...string) []change {
		return []change{func(t *x509.Certificate) { t.PermittedDNSDomains, t.PermittedDNSDomainsCritical = names, true }}
	}
	exclude := func(names ...string) []change {
		return []change{func(t *x509.Certificate) { t.ExcludedDNSDomains = names }}
	}
	dns := func(names ...string) change { return func(t *x509.Certificate) { t.DNSNames = names } }
	limit("permitted", "a.example", permit("example"))
	limit("permitted itself", "a.example", permit("a.example"))
	limit("another one permitted", "a.example", permit("other"))
	limit("half a label permitted", "a.example", permit("ample"))
	limit("only below permitted", "a.example", permit(".a.example"))
	limit("one of two permitted", "a.example", permit("a.example"), dns("a.example", "b.example"))
	limit("excluded", "a.example", exclude("example"))
	limit("another one excluded", "a.example", exclude("other"))
	limit("a wildcard over what is excluded", "b.example", exclude("a.example"), dns("*.example"))
	limit("a wildcard below what is permitted", "b.example", permit("example"), dns("*.example"))
	limit("a client's name that is not permitted", "", permit("other"))
	limit("a client without names", "", permit("other"), dns())
	_, network, _ := net.ParseCIDR("10.0.0.0/8")
	ip := []change{func(t *x509.Certificate) { t.PermittedIPRanges = []*net.IPNet{network} }}
	address := func(text string) change {
		return func(t *x509.Certificate) { t.DNSNames, t.IPAddresses = nil, []net.IP{net.ParseIP(text)} }
	}
	limit("address permitted", "10.1.2.3", ip, address("10.1.2.3"))
	limit("address not permitted", "11.1.2.3", ip, address("11.1.2.3"))
	limit("addresses limited, a name shown", "a.example", ip)
	no := []change{func(t *x509.Certificate) { t.ExcludedIPRanges = []*net.IPNet{network} }}
	limit("address excluded", "10.1.2.3", no, address("10.1.2.3"))
	mail := func(address string) change {
		return func(t *x509.Certificate) { t.DNSNames, t.EmailAddresses = nil, []string{address} }
	}
	letters := func(names ...string) []change {
		return []change{func(t *x509.Certificate) { t.PermittedEmailAddresses = names }}
	}
	limit("mailbox permitted", "", letters("m@a.example"), mail("m@a.example"))
	limit("mailbox not permitted", "", letters("n@a.example"), mail("m@a.example"))
	limit("mail domain permitted", "", letters("a.example"), mail("m@A.example"))
	limit("mail domain not permitted", "", letters("b.example"), mail("m@a.example"))
	resource := func(text string) change {
		return func(t *x509.Certificate) { t.DNSNames, t.URIs = nil, []*url.URL{must(url.Parse(text))} }
	}
	uris := func(names ...string) []change {
		return []change{func(t *x509.Certificate) { t.PermittedURIDomains = names }}
	}
	limit("URI permitted", "", uris("a.example"), resource("spiffe://a.example/x"))
	limit("URI not permitted", "", uris("b.example"), resource("spiffe://a.example/x"))
	limit("URI with an address", "", uris("b.example"), resource("https://10.0.0.1/x"))
	limit("URI without a host", "", uris("b.example"), resource("urn:x:y"))
	all := []change{func(t *x509.Certificate) { t.ExcludedDNSDomains = []string{""} }}
	limit("all names excluded", "a.example", all)
	limit("all names excluded, an address shown", "10.1.2.3", all, address("10.1.2.3"))
	limit("excluded in other letters", "a.example", exclude("A.EXAMPLE"))
	limit("only below excluded", "a.example", exclude(".a.example"))
	limit("only below excluded, below", "b.a.example", exclude(".a.example"), dns("b.a.example"))
	limit("a name with a period at its end", "", exclude("other"), dns("a.example."))
	limit("a name that is none", "", exclude("other"), dns("a b"))
	limit("a name with an empty label", "", exclude("other"), dns("a..b"))
	limit("address in the other notation excluded", "10.1.2.3", no, func(t *x509.Certificate) {
		t.DNSNames = nil
		t.ExtraExtensions = []pkix.Extension{san(false, general(7, string(net.ParseIP("10.1.2.3").To16())))}
	})
	limit("addresses of one kind permitted, the other shown", "", ip, address("fe80::1"))
	limit("mailbox in quotes excluded", "", []change{func(t *x509.Certificate) { t.ExcludedEmailAddresses = []string{"m@a.example"} }}, mail("\"m\"@a.example"))
	limit("mailbox that is none", "", letters("a.example"), mail("a.example"))
	limit("URI with a user and a port", "", uris("a.example"), resource("https://u:p@a.example:1/x"))
	limit("URI with a user that looks like a host", "", uris("a.example"), resource("https://a.example@b.example/x"))
	limit("URI with IPv6", "", uris("b.example"), resource("https://[::1]/x"))
	raw := func(critical bool, value ...byte) []change {
		return []change{func(t *x509.Certificate) {
			t.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 30}, Critical: critical, Value: value}}
		}}
	}
	for what, value := range map[string][]byte{
		"nothing": {0x30, 0}, "empty trees": {0x30, 2, 0xa0, 0},
		"permitted b":                   {0x30, 7, 0xa0, 5, 0x30, 3, 0x82, 1, 'b'},
		"permitted b, from level 0":     {0x30, 10, 0xa0, 8, 0x30, 6, 0x82, 1, 'b', 0x80, 1, 0},
		"excluded first":                {0x30, 14, 0xa1, 5, 0x30, 3, 0x82, 1, 'c', 0xa0, 5, 0x30, 3, 0x82, 1, 'b'},
		"permitted twice":               {0x30, 14, 0xa0, 5, 0x30, 3, 0x82, 1, 'b', 0xa0, 5, 0x30, 3, 0x82, 1, 'b'},
		"a tree that is no sequence":    {0x30, 5, 0xa0, 3, 0x82, 1, 'b'},
		"a base of another class":       {0x30, 7, 0xa0, 5, 0x30, 3, 0x0c, 1, 'b'},
		"a base without a meaning":      {0x30, 7, 0xa0, 5, 0x30, 3, 0x89, 1, 'b'},
		"a base in pieces":              {0x30, 7, 0xa0, 5, 0x30, 3, 0xa2, 1, 'b'},
		"more behind the trees":         {0x30, 9, 0xa0, 5, 0x30, 3, 0x82, 1, 'b', 5, 0},
		"more behind everything":        {0x30, 7, 0xa0, 5, 0x30, 3, 0x82, 1, 'b', 5, 0},
		"excluded example.":             append([]byte{0x30, 14, 0xa1, 12, 0x30, 10, 0x82, 8}, "example."...),
		"excluded a..b":                 append([]byte{0x30, 10, 0xa1, 8, 0x30, 6, 0x82, 4}, "a..b"...),
		"excluded 10.0.0.0/255.0.255.0": {0x30, 14, 0xa1, 12, 0x30, 10, 0x87, 8, 10, 0, 0, 0, 255, 0, 255, 0},
		"excluded mailbox @b":           {0x30, 8, 0xa1, 6, 0x30, 4, 0x81, 2, '@', 'b'},
		"excluded URI 1.1.1.1":          append([]byte{0x30, 13, 0xa1, 11, 0x30, 9, 0x86, 7}, "1.1.1.1"...),
	} {
		// Only certificates that Go reads can be roots: this one is between.
		for _, critical := range []bool{true, false} {
			changes := raw(critical, value...)
			ca := authority("unlimited")
			between := below(ca, "limited", changes...)
			what := fmt.Sprintf("constraints, critical %t: %s", critical, what)
			end := issue(&cert{nil, stand(between), between.key}, ec(elliptic.P256()), template("leaf"))
			judge(what, "a.example", list(ca), end, between)
		}
	}
	directory := pkix.Extension{Id: []int{2, 5, 29, 30}, Critical: true, Value: []byte{0x30, 0x0a, 0xa0, 0x08, 0x30, 0x06, 0xa4, 0x04, 0x30, 0x02, 0x31, 0x00}}
	limit("directory names, critical", "", []change{func(t *x509.Certificate) { t.ExtraExtensions = []pkix.Extension{directory} }})
	root := authority("limited root", permit("example")...)
	between := below(root, "between")
	judge("constraints: of the root, kept below another CA", "a.example", list(root), leaf(between), between)
	judge("constraints: of the root, broken below another CA", "", list(root), leaf(between, dns("a.other")), between)
}

// What an issuer must say for its name to be written; Go cannot read all issuers here.
func stand(c *cert) *x509.Certificate {
	if c.x != nil {
		return c.x
	}
	t := template("limited", isCA)
	der := must(x509.CreateCertificate(rand.Reader, t, t, c.key.Public(), c.key))
	return must(x509.ParseCertificate(der))
}

func encodings(ca *cert) {
	one := func(what string, o odd) {
		if o.version == 0 {
			o.version = 3
		}
		judge("encoding: "+what, "", list(ca), oddly(ca, "leaf", o))
	}
	one("negative serial number", odd{serial: big.NewInt(-5)})
	one("serial number zero", odd{serial: big.NewInt(0)})
	one("serial number of 21 bytes", odd{serial: new(big.Int).Lsh(big.NewInt(1), 167)})
	one("a byte behind it", odd{tail: []byte{0}})
	one("two algorithms", odd{inner: &pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}})
	one("an extension twice", odd{exts: []pkix.Extension{ext(unknownID, false, 1), ext(unknownID, false, 2)}})
	one("a name that is not ASCII", odd{exts: []pkix.Extension{san(false, general(2, "b\u00fccher.example"))}})
	one("an address of 5 bytes", odd{exts: []pkix.Extension{san(false, general(7, "\x01\x02\x03\x04\x05"))}})
	one("extensions in version 1", odd{version: 1, exts: []pkix.Extension{ext(unknownID, true, 1)}})
	one("broken names", odd{exts: []pkix.Extension{{Id: sanID, Value: []byte{1}}}})
	one("broken basic constraints", odd{exts: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Value: []byte{1}}}})
	one("a bit of the signature that is not used", odd{unused: 1})
	one("more behind the signature", odd{behind: []byte{5, 0}})
	one("more inside, behind the extensions", odd{inside: []byte{5, 0}})
	one("more inside, in place of the extensions", odd{version: 3, inside: []byte{0xa4, 2, 5, 0}})
	one("a name in pieces", odd{exts: []pkix.Extension{san(false, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: []byte("a.example")})}})
	one("names with more behind them", odd{exts: []pkix.Extension{{Id: sanID, Value: append(must(asn1.Marshal([]asn1.RawValue{general(2, "a.example")})), 5, 0)}}})
	one("a name of another class", odd{exts: []pkix.Extension{san(false, asn1.RawValue{Class: asn1.ClassUniversal, Tag: 12, Bytes: []byte("a.example")})}})
	one("no names in the names", odd{exts: []pkix.Extension{san(false)}})
	one("no names in the names, critical", odd{exts: []pkix.Extension{san(true)}})
	basic := []int{2, 5, 29, 19}
	one("basic constraints with true as 1", odd{exts: []pkix.Extension{{Id: basic, Value: []byte{0x30, 3, 1, 1, 1}}}})
	one("basic constraints with a negative length", odd{exts: []pkix.Extension{{Id: basic, Value: []byte{0x30, 6, 1, 1, 0xff, 2, 1, 0xff}}}})
	one("basic constraints with a huge length", odd{exts: []pkix.Extension{{Id: basic, Value: []byte{0x30, 10, 1, 1, 0xff, 2, 5, 1, 0, 0, 0, 0}}}})
	for what, from := range map[string][]byte{
		"without seconds": append([]byte{0x17, 11}, "2512310000Z"...), "in another zone": append([]byte{0x17, 17}, "251231000000+0100"...),
		"with a zone of nothing": append([]byte{0x17, 17}, "251231000000+0000"...), "without a zone": append([]byte{0x17, 12}, "251231000000"...),
		"generalized": append([]byte{0x18, 15}, "20251231000000Z"...), "generalized with a part of a second": append([]byte{0x18, 17}, "20251231000000.5Z"...),
		"generalized in another zone": append([]byte{0x18, 19}, "20251231000000+0100"...), "of the year 0": append([]byte{0x18, 15}, "00000101000000Z"...),
		"of a day that is none": append([]byte{0x17, 13}, "250230000000Z"...), "of second 60": append([]byte{0x17, 13}, "251231235960Z"...),
		"that is a text": append([]byte{0x0c, 13}, "251231000000Z"...), "of the hour 24": append([]byte{0x17, 13}, "251231240000Z"...),
		"of 1950": append([]byte{0x17, 13}, "500101000000Z"...), "of 2049": append([]byte{0x17, 13}, "491231000000Z"...),
	} {
		one("a time "+what, odd{from: from})
	}
	set := func(tag int, value string) asn1.RawValue {
		attribute := must(asn1.Marshal(struct {
			ID    asn1.ObjectIdentifier
			Value asn1.RawValue
		}{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{Tag: tag, Bytes: []byte(value)}}))
		inner := must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: attribute}))
		return asn1.RawValue{FullBytes: must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: inner}))}
	}
	one("a name in UTF-16", odd{names: set(asn1.TagBMPString, "\x00a")})
	one("a name in Latin-1", odd{names: set(asn1.TagT61String, "b\xfccher")})
	one("a name that is not UTF-8", odd{names: set(asn1.TagUTF8String, "b\xff")})
	one("a name with a reserved character", odd{names: set(asn1.TagBMPString, "\xff\xff")})
	one("half a character in UTF-16", odd{names: set(asn1.TagBMPString, "\xd8\x00")})
	one("a name that is an octet string", odd{names: set(asn1.TagOctetString, "a")})
	one("a name with a zero", odd{names: set(asn1.TagUTF8String, "a\x00b")})
	one("no name at all", odd{names: asn1.RawValue{FullBytes: []byte{0x30, 0}}})
	one("an empty part of a name", odd{names: asn1.RawValue{FullBytes: []byte{0x30, 2, 0x31, 0}}})
	one("a printable name with signs", odd{names: set(asn1.TagPrintableString, "a@b")})
}

// The objects in an object, each with its own header.
func split(content []byte) (parts [][]byte) {
	for len(content) > 0 {
		var part asn1.RawValue
		content = must(asn1.Unmarshal(content, &part))
		parts = append(parts, part.FullBytes)
	}
	return
}

// A header of the shortest form.
func header(tag byte, length int) []byte {
	switch {
	case length < 0x80:
		return []byte{tag, byte(length)}
	case length < 0x100:
		return []byte{tag, 0x81, byte(length)}
	}
	return []byte{tag, 0x82, byte(length >> 8), byte(length)}
}

func object(tag byte, content ...[]byte) []byte {
	all := bytes.Join(content, nil)
	return append(header(tag, len(all)), all...)
}

// Changes one object in another; the lengths around it follow.
func at(change func([]byte) []byte, path ...int) func([]byte) []byte {
	return func(der []byte) []byte {
		if len(path) == 0 {
			return change(der)
		}
		var outer asn1.RawValue
		must(asn1.Unmarshal(der, &outer))
		parts := split(outer.Bytes)
		parts[path[0]] = at(change, path[1:]...)(parts[path[0]])
		return object(der[0], parts...)
	}
}

func is(der ...byte) func([]byte) []byte { return func([]byte) []byte { return der } }

// An object without its header.
func bare(der []byte) []byte {
	var whole asn1.RawValue
	must(asn1.Unmarshal(der, &whole))
	return whole.Bytes
}

func with(der ...byte) func([]byte) []byte {
	return func(old []byte) []byte { return object(old[0], bare(old), der) }
}

// Other forms of what a certificate consists of.
func forms(ca *cert) {
	const serial, algorithm, issuer, validity, subject, key, exts = 1, 2, 3, 4, 5, 6, 7
	usual := []pkix.Extension{san(false, general(2, "a.example")), ext(unknownID, false, 1)}
	one := func(what string, wire func([]byte) []byte) {
		judge("form: "+what, "", list(ca), oddly(ca, "leaf", odd{version: 3, exts: usual, wire: wire}))
	}
	one("as usual", nil)
	one("serial number with a zero before it", at(is(2, 2, 0, 5), serial))
	one("serial number of 128", at(is(2, 2, 0, 0x80), serial))
	one("negative serial number with more than it needs", at(is(2, 2, 0xff, 0x85), serial))
	one("serial number of nothing", at(is(2, 0), serial))
	one("serial number that is an enumeration", at(is(10, 1, 5), serial))
	one("serial number of another class", at(is(0x42, 1, 5), serial))
	one("serial number with a long length", at(is(2, 0x81, 1, 5), serial))
	one("serial number with a tag in the long form", at(is(0x1f, 2, 1, 5), serial))
	one("version 1 that is said", at(is(0xa0, 3, 2, 1, 0), 0))
	one("version -1", at(is(0xa0, 3, 2, 1, 0xff), 0))
	one("version 3 with a zero before it", at(is(0xa0, 4, 2, 2, 0, 2), 0))
	one("version and more", at(is(0xa0, 6, 2, 1, 2, 2, 1, 2), 0))
	one("version without a number", at(is(0xa0, 0), 0))
	one("algorithm with parameters of nothing", at(with(5, 0), algorithm))
	one("algorithm with a long identifier", at(is(6, 9, 0x80, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2), algorithm, 0))
	one("algorithm without an identifier", at(is(0x30, 0), algorithm))
	one("issuer with a longer length", at(func(der []byte) []byte { return append([]byte{0x30, 0x81}, der[1:]...) }, issuer))
	one("validity of three times", at(with(append([]byte{0x17, 13}, "350101000000Z"...)...), validity))
	one("validity without an end", at(func(der []byte) []byte { return object(0x30, split(bare(der))[0]) }, validity))
	one("validity without a length", at(func(der []byte) []byte {
		return bytes.Join([][]byte{{0x30, 0x80}, bare(der), {0, 0}}, nil)
	}, validity))
	one("subject that is a set", at(func(der []byte) []byte { return object(0x31, bare(der)) }, subject))
	one("subject with a part of three", at(with(5, 0), subject, 0, 0))
	one("subject with a value of no type", at(is(0x13, 1), subject, 0, 0, 1))
	one("subject with a number", at(is(2, 1, 5), subject, 0, 0, 1))
	one("subject with a sequence", at(is(0x30, 0), subject, 0, 0, 1))
	one("subject with a value of no bytes", at(is(0x0c, 0), subject, 0, 0, 1))
	one("subject with a name of eight bits in ASCII", at(is(0x16, 1, 0xfc), subject, 0, 0, 1))
	one("subject with digits that are none", at(is(0x12, 1, 'a'), subject, 0, 0, 1))
	one("subject with half a character", at(is(0x1e, 1, 'a'), subject, 0, 0, 1))
	one("subject in UTF-32", at(is(0x1c, 4, 0, 0, 0, 'a'), subject, 0, 0, 1))
	one("subject twice in one part", at(func(der []byte) []byte { return object(0x31, bare(der), bare(der)) }, subject, 0))
	one("subject twice", at(func(der []byte) []byte { return object(0x30, bare(der), bare(der)) }, subject))
	one("subject of a long identifier", at(is(6, 4, 0x80, 0x55, 4, 3), subject, 0, 0, 0))
	one("subject of no identifier", at(is(6, 0), subject, 0, 0, 0))
	one("subject whose identifier does not end", at(is(6, 3, 0x55, 4, 0x83), subject, 0, 0, 0))
	one("subject whose identifier is huge", at(is(6, 8, 0x55, 0x90, 0x80, 0x80, 0x80, 0x80, 0x80, 0), subject, 0, 0, 0))
	one("key with bits that are not used", at(func(der []byte) []byte { return object(3, []byte{1}, bare(der)[1:]) }, key, 1))
	one("key with more behind it", at(with(5, 0), key))
	one("key whose curve is twice there", at(with(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7), key, 0))
	one("a unique identifier of the issuer", func(der []byte) []byte {
		parts := split(bare(der))
		return object(0x30, append(parts[:exts:exts], []byte{0x81, 2, 0, 7}, parts[exts])...)
	})
	one("both unique identifiers", func(der []byte) []byte {
		parts := split(bare(der))
		return object(0x30, append(parts[:exts:exts], []byte{0x81, 2, 0, 7}, []byte{0x82, 2, 0, 7}, parts[exts])...)
	})
	one("unique identifiers in the other order", func(der []byte) []byte {
		parts := split(bare(der))
		return object(0x30, append(parts[:exts:exts], []byte{0x82, 2, 0, 7}, []byte{0x81, 2, 0, 7}, parts[exts])...)
	})
	one("a unique identifier with bits that are not used", func(der []byte) []byte {
		parts := split(bare(der))
		return object(0x30, append(parts[:exts:exts], []byte{0x81, 2, 1, 7}, parts[exts])...)
	})
	one("no extension in the extensions", at(is(0xa3, 2, 0x30, 0), exts))
	one("nothing in place of the extensions", at(is(0xa3, 0), exts))
	one("extensions that are a set", at(func(der []byte) []byte { return object(0x31, bare(der)) }, exts, 0))
	one("extensions twice", at(func(der []byte) []byte { return object(der[0], bare(der), []byte{0x30, 0}) }, exts))
	mark := func(what string, mark ...byte) {
		one("extension "+what, at(func(der []byte) []byte {
			parts := split(bare(der))
			return object(0x30, parts[0], mark, parts[1])
		}, exts, 0, 1))
	}
	mark("that is said not to be critical", 1, 1, 0)
	mark("that is critical as 1", 1, 1, 1)
	mark("that is critical in two bytes", 1, 2, 0xff, 0xff)
	mark("that is critical in no byte", 1, 0)
	mark("with a number", 2, 1, 0)
	one("extension with a fourth part", at(with(5, 0), exts, 0, 1))
	one("extension of an identifier with more than it needs", at(is(6, 4, 0x2a, 0x80, 3, 4), exts, 0, 1, 0))
	one("extension of no identifier", at(is(6, 0), exts, 0, 1, 0))
	one("extension whose content is in pieces", at(is(0x24, 3, 4, 1, 5), exts, 0, 1, 1))
	one("extension whose content is a bit string", at(is(3, 2, 0, 5), exts, 0, 1, 1))
	one("extension without content", at(is(4, 0), exts, 0, 1, 1))
	content := func(what string, id []int, value ...byte) {
		for _, critical := range []bool{false, true} {
			e := []pkix.Extension{{Id: id, Critical: critical, Value: value}}
			judge(fmt.Sprintf("form: %s, critical %t", what, critical), "", list(ca), oddly(ca, "leaf", odd{version: 3, exts: e}))
		}
	}
	keyUsage, extUsage, basic := []int{2, 5, 29, 15}, []int{2, 5, 29, 37}, []int{2, 5, 29, 19}
	content("use of the key", keyUsage, 3, 2, 7, 0x80)
	content("use of the key with zeros behind it", keyUsage, 3, 2, 0, 0x80)
	content("use of the key with bits that are not used", keyUsage, 3, 2, 7, 0xc0)
	content("use of the key without bits", keyUsage, 3, 1, 0)
	content("use of the key without bits, which are said to be there", keyUsage, 3, 1, 7)
	content("use of the key in no bytes", keyUsage, 3, 0)
	content("use of the key in three bytes", keyUsage, 3, 4, 0, 0x80, 0, 1)
	content("use of the key in pieces", keyUsage, 0x23, 4, 3, 2, 7, 0x80)
	content("use of the key that is a number", keyUsage, 2, 1, 0x80)
	content("uses: none", extUsage, 0x30, 0)
	content("uses: a number", extUsage, 0x30, 3, 2, 1, 5)
	content("uses: a set", extUsage, 0x31, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2)
	content("uses: with more behind them", extUsage, 0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2, 5, 0)
	content("uses: one of them twice", extUsage, 0x30, 20, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2)
	content("uses: one with more than it needs", extUsage, 0x30, 11, 6, 9, 0x80, 0x2b, 6, 1, 5, 5, 7, 3, 2)
	content("no CA, which is said", basic, 0x30, 3, 1, 1, 0)
	content("no CA, with a length", basic, 0x30, 3, 2, 1, 0)
	content("a CA of three parts", basic, 0x30, 8, 1, 1, 0xff, 2, 1, 0, 5, 0)
	content("a CA with the length first", basic, 0x30, 6, 2, 1, 0, 1, 1, 0xff)
	content("a CA with a length with more than it needs", basic, 0x30, 7, 1, 1, 0xff, 2, 2, 0, 1)
	for tag, value := range map[int]string{1: "b\xfc@example", 3: "", 6: "a b://", 8: "\x80\x01", 9: "a"} {
		content(fmt.Sprintf("a name of kind %d that is none", tag), sanID, must(asn1.Marshal([]asn1.RawValue{general(2, "a.example"), general(tag, value)}))...)
	}
	content("a registered identifier as a name", sanID, 0x30, 4, 0x88, 2, 0x2a, 3)
	content("an empty host", sanID, 0x30, 2, 0x82, 0)
	content("no address", sanID, 0x30, 2, 0x87, 0)
	content("a directory's name as a name", sanID, 0x30, 4, 0xa4, 2, 0x30, 0)
	for what, id := range map[string][]int{
		"identifier of the issuer's key": {2, 5, 29, 35}, "identifier of the key": {2, 5, 29, 14}, "policies": {2, 5, 29, 32},
		"points of distribution": {2, 5, 29, 31}, "access to the issuer": {1, 3, 6, 1, 5, 5, 7, 1, 1}, "names of the issuer": {2, 5, 29, 18},
		"mappings": {2, 5, 29, 33}, "no further policies": {2, 5, 29, 54}, "limits of policies": {2, 5, 29, 36},
	} {
		content(what+" of no object", id)
		content(what+" that is null", id, 5, 0)
		content(what+" that is empty", id, 0x30, 0)
		content(what+" with more behind it", id, 0x30, 0, 5, 0)
		content(what+" with a number", id, 0x30, 3, 2, 1, 0)
	}
	null := ecdsaSHA256
	null.Parameters = asn1.NullRawValue
	judge("form: both algorithms with parameters of nothing", "", list(ca), oddly(ca, "leaf", odd{version: 3, exts: usual, inner: &null, outer: &null}))
	unknown := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 3}}
	judge("form: both algorithms unknown", "", list(ca), oddly(ca, "leaf", odd{version: 3, exts: usual, inner: &unknown, outer: &unknown}))
}

// URIs among the names, which net/url reads.
func uris(ca *cert) {
	for _, uri := range []string{
		"", "*", "/a:b", "a/b:c", "a:b", "1a:b", "a b:c", ":a", "a+b-c.1://host", "urn:a b", "urn:%zz", "a://", "a:///b", "///b", "//host/b",
		"a://host:", "a://host:80", "a://host:x", "a://host:80:90", "http://host:80:90", "a://host:x:90", "a://one:1,two:2", "a://h st", "a://h^st", "a://h\"st", "a://h%25st",
		"a://h%41st", "a://h%c3st", "a://.host", "a://host.", "a://a..b", "a://user@host", "a://us er@host", "a://us%zzer@host", "a://us%20er:p@ss@host",
		"a://us^er@host", "a://[::1]", "a://[::1]:80", "a://[::1]x", "a://[::1", "a://x[::1]", "a://[1.2.3.4]", "a://[::ffff:1.2.3.4]", "a://[host]",
		"a://[fe80::1%25en0]", "a://[fe80::1%25]", "a://[fe80::1%en0]", "a://host]", "a://host/%zz", "a://host/%2", "a://host/%20", "a://host/?%zz", "a://host/#%zz",
		"a://host/#%20", "a://host?x", "a://host#x", "a://host/\x7f", "a://host/#\x7f", "a://host/ b", "spiffe://a.example/b", "kvd://1/2", "a:?b:c", "?a:b", "a#b:c",
	} {
		names := san(false, general(2, "a.example"), general(6, uri))
		judge(fmt.Sprintf("URI %q", uri), "", list(ca), oddly(ca, "leaf", odd{version: 3, exts: []pkix.Extension{names}}))
	}
}
