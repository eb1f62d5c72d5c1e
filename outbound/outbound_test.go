package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestSF_01_AddressesThatNoProviderLivesAtAreRefused(t *testing.T) {
	tests := []struct {
		name, address string
		want          reach
	}{
		{"public IPv4", "193.248.0.1", public},
		{"public IPv6", "2a01:cb00::1", public},
		{"loopback", "127.0.0.1", private},
		{"all of loopback", "127.9.9.9", private},
		{"IPv6 loopback", "::1", private},
		{"private 10/8", "10.1.2.3", private},
		{"private 172.16/12", "172.31.255.255", private},
		{"just outside 172.16/12", "172.32.0.1", public},
		{"private 192.168/16", "192.168.1.1", private},
		{"unique local IPv6", "fd00::1", private},
		{"site-local IPv6", "fec0::1", private},
		{"carrier-grade NAT", "100.64.0.1", private},
		{"just outside carrier-grade NAT", "100.128.0.1", public},
		{"cloud metadata", "169.254.169.254", never},
		{"link-local IPv6", "fe80::1", never},
		{"link-local IPv6 with a zone", "fe80::1%eth0", never},
		{"unspecified", "0.0.0.0", never},
		{"this network", "0.1.2.3", never},
		{"unspecified IPv6", "::", never},
		{"multicast", "224.0.0.1", never},
		{"multicast IPv6", "ff02::1", never},
		{"broadcast", "255.255.255.255", never},
		{"reserved", "240.0.0.1", never},
		{"documentation", "203.0.113.9", never},
		{"benchmark", "198.18.0.1", never},
		{"IPv4-mapped loopback", "::ffff:127.0.0.1", private},
		{"IPv4-mapped metadata", "::ffff:169.254.169.254", never},
		{"IPv4-mapped public", "::ffff:193.248.0.1", public},
		{"IPv4-compatible loopback", "::127.0.0.1", never},
		{"NAT64 of loopback", "64:ff9b::7f00:1", private},
		{"NAT64 of metadata", "64:ff9b::a9fe:a9fe", never},
		{"NAT64 of a public address", "64:ff9b::c1f8:1", public},
		{"local NAT64", "64:ff9b:1::1", private},
		{"6to4", "2002:7f00:1::1", never},
		{"Teredo", "2001:0:7f00:1::", never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := judge(netip.MustParseAddr(tt.address)); got != tt.want {
				t.Errorf("judge(%s) = %d, want %d", tt.address, got, tt.want)
			}
			address := net.JoinHostPort(tt.address, "443")
			strict, lax := Config{}.checkAddress(address), Config{AllowPrivate: true}.checkAddress(address)
			if (strict == nil) != (tt.want == public) {
				t.Errorf("strict client: %v", strict)
			}
			if (lax == nil) != (tt.want != never) {
				t.Errorf("client with AllowPrivate: %v", lax)
			}
		})
	}
}

func TestSF_01_TheResolvedAddressDecidesAndNotTheName(t *testing.T) {
	hits, srv := counting(t)
	u, _ := url.Parse(srv.URL)
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]"} {
		_, err := Get(context.Background(), New(Config{AllowHTTP: true}), "http://"+host+":"+u.Port()+"/", "*/*", MaxBody)
		if err == nil || !strings.Contains(err.Error(), "is not allowed") {
			t.Errorf("GET %s: %v, want a refused address", host, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests arrived, want none", hits.Load())
	}
}

func TestSF_01_DecimalAddressesGoNowhereElse(t *testing.T) {
	if _, err := Get(context.Background(), New(Config{AllowHTTP: true}), "http://2130706433:1/", "*/*", MaxBody); err == nil {
		t.Error("decimal loopback was reached")
	}
}

func TestSF_01_RedirectsAreNotFollowed(t *testing.T) {
	srv := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound))
	defer srv.Close()
	a, err := Get(context.Background(), New(Config{AllowHTTP: true, AllowPrivate: true}), srv.URL, "*/*", MaxBody)
	if err != nil || a.Status != http.StatusFound {
		t.Errorf("Get = %d, %v; want the redirect itself", a.Status, err)
	}
}

func TestSF_03_OtherSchemesAndStrangeURLsAreRefused(t *testing.T) {
	for _, raw := range []string{
		"gopher://example.test/", "file:///etc/passwd", "unix:///run/x.sock", "ftp://example.test/", "javascript:alert(1)", "//example.test/",
		"https://user@example.test/", "https://user:secret@example.test/", "https://example.test/#fragment", "https:///path", "https:opaque", "https://:443/",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckURL(u, true); err == nil {
			t.Errorf("CheckURL(%s) accepts it", raw)
		} else if strings.Contains(err.Error(), "example") || strings.Contains(err.Error(), "secret") {
			t.Errorf("error repeats the URL: %v", err)
		}
	}
	plain, _ := url.Parse("http://example.test/")
	if CheckURL(plain, false) == nil || CheckURL(plain, true) != nil {
		t.Error("http must pass if and only if it is allowed")
	}
}

func TestHTTPIsRefusedBeforeAnythingIsDialled(t *testing.T) {
	hits, srv := counting(t)
	_, err := Get(context.Background(), New(Config{AllowPrivate: true}), srv.URL, "*/*", MaxBody)
	if err == nil || hits.Load() != 0 {
		t.Errorf("err = %v after %d requests, want a refusal and none", err, hits.Load())
	}
}

func TestErrorsDoNotRepeatTheQuery(t *testing.T) {
	_, err := Get(context.Background(), New(Config{}), "https://127.0.0.1:1/?code=canary", "*/*", MaxBody)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("err = %v, want one without the query", err)
	}
}

func TestUT_16_ABodyOverItsLimitIsRefusedAndNotCut(t *testing.T) {
	const limit = 1000
	for name, handler := range map[string]http.HandlerFunc{
		"announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "52428800") // 50 MB
			_, _ = w.Write([]byte("x"))
		},
		"never ends": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		},
		"one byte too many": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, limit+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handler)
			defer srv.Close()
			a, err := Get(context.Background(), New(Config{AllowHTTP: true, AllowPrivate: true}), srv.URL, "*/*", limit)
			if !errors.Is(err, ErrTooLarge) || a.Body != nil {
				t.Errorf("Get = %d bytes, %v; want ErrTooLarge and nothing", len(a.Body), err)
			}
		})
	}
}

func TestABodyOfExactlyTheLimitIsRead(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) }))
	defer srv.Close()
	a, err := Get(context.Background(), New(Config{AllowHTTP: true, AllowPrivate: true}), srv.URL, "*/*", 1000)
	if err != nil || len(a.Body) != 1000 {
		t.Errorf("Get = %d bytes, %v", len(a.Body), err)
	}
}

func TestUT_16_ABodyThatDripsEndsWithTheCallersDeadline(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer srv.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Get(ctx, New(Config{AllowHTTP: true, AllowPrivate: true}), srv.URL, "*/*", MaxBody); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the deadline", err)
	}
}

func TestUT_18_CompressedAnswersAreRefusedUninflated(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	_ = z.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asks for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	defer srv.Close()
	if _, err := Get(context.Background(), New(Config{AllowHTTP: true, AllowPrivate: true}), srv.URL, "*/*", MaxBody); !errors.Is(err, ErrEncoded) {
		t.Errorf("err = %v, want ErrEncoded", err)
	}
}

func TestAnswerHeadersAreBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", maxHeader+1))
	}))
	defer srv.Close()
	if _, err := Get(context.Background(), New(Config{AllowHTTP: true, AllowPrivate: true}), srv.URL, "*/*", MaxBody); err == nil {
		t.Error("an answer with oversized headers was accepted")
	}
}

func TestCF_02_OldTLSIsRefused(t *testing.T) {
	for version, accepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = nil
		srv.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
		srv.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		_, err := Get(context.Background(), New(Config{AllowPrivate: true, RootCAs: roots}), srv.URL, "*/*", MaxBody)
		if (err == nil) != accepted {
			t.Errorf("%s: %v, want accepted = %t", tls.VersionName(version), err, accepted)
		}
		srv.Close()
	}
}

func TestUntrustedCertificatesAreRefused(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	defer srv.Close()
	if _, err := Get(context.Background(), New(Config{AllowPrivate: true}), srv.URL, "*/*", MaxBody); err == nil {
		t.Error("a certificate that nobody vouches for was accepted")
	}
}

func TestNoProxyIsTakenFromTheEnvironment(t *testing.T) {
	g, ok := New(Config{}).Transport.(*guard)
	if !ok || g.next.Proxy != nil {
		t.Error("the client has a proxy")
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var opened atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	client := New(Config{AllowHTTP: true, AllowPrivate: true})
	defer client.CloseIdleConnections()
	for range 20 {
		if _, err := Get(context.Background(), client, srv.URL, "*/*", MaxBody); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 {
		t.Errorf("20 calls opened %d connections, want 1", opened.Load())
	}
}

func counting(t *testing.T) (*atomic.Int32, *httptest.Server) {
	t.Helper()
	hits := new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(srv.Close)
	return hits, srv
}

// What answers in place of a provider may be a proxy that repeats what it was sent.
func TestUT_18_AnErrorQuotesNothingOfAnAnswerThatIsNotHTTP(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP at all":     "canary canary canary\r\n\r\n",
		"a strange status":   "HTTP/1.1 canary OK\r\n\r\n",
		"a strange header":   "HTTP/1.1 200 OK\r\ncanary\r\n\r\n",
		"a strange length":   "HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
		"a strange encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: canary\r\n\r\n",
		"a strange chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
			}()
			_, err = Get(t.Context(), New(Config{AllowPrivate: true, AllowHTTP: true}), "http://"+l.Addr().String()+"/?canary", "*/*", 1<<10)
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v, want one without a word of the answer", err)
			}
		})
	}
}
