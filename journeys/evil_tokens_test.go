package journeys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// token is a row about an ID token that must not be believed.
func token(line, name, reason string, tr trick) attack {
	return attack{line: line, name: name, trick: tr, see: "invalid", reason: reason, after: func(t *testing.T, p *party) {
		if p.count("userinfo") != 0 {
			t.Error("userinfo was asked although the ID token does not hold")
		}
	}}
}

// claim changes one claim; nil takes it out.
func claim(name string, value any) trick {
	return trick{claims: func(_ *party, c members) {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}}
}

// header signs with the right key under a header of our choice.
func header(text string) trick {
	return trick{sign: func(p *party, c string) string { return es256(p.evil.key, text, c) }}
}

// written signs another text than the claims.
func written(change func(c string) string) trick {
	return trick{sign: func(p *party, c string) string { return es256(p.evil.key, `{"alg":"ES256","kid":"k1"}`, change(c)) }}
}

// raw makes whatever it likes of a good token.
func raw(change func(head, body, sig string) string) trick {
	return trick{sign: func(p *party, c string) string {
		parts := strings.Split(es256(p.evil.key, `{"alg":"ES256","kid":"k1"}`, c), ".")
		return change(parts[0], parts[1], parts[2])
	}}
}

func hs256(secret func(p *party) []byte) trick {
	return trick{sign: func(p *party, c string) string {
		input := b64(`{"alg":"HS256","kid":"k1"}`) + "." + b64(c)
		mac := hmac.New(sha256.New, secret(p))
		mac.Write([]byte(input))
		return input + "." + b64(string(mac.Sum(nil)))
	}}
}

func rs256(key *rsa.PrivateKey, head, payload string) string {
	input := b64(head) + "." + b64(payload)
	d := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, d[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(sig))
}

func rsaJWK(k *rsa.PublicKey, e string) members {
	return members{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": e, "kid": "k1"}
}

// evilTokens are rows about ID tokens.
func evilTokens(t *testing.T) []attack {
	var trap atomic.Int32
	snare := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trap.Add(1) }))
	t.Cleanup(snare.Close)
	untouched := func(t *testing.T, _ *party) {
		if n := trap.Load(); n != 0 {
			t.Errorf("an address out of a token's header was called %d times", n)
		}
	}
	now := time.Now().Unix()
	rows := []attack{
		token("UT-02", "an HMAC under our secret there", "signature", hs256(func(*party) []byte { return []byte(upstreamSecret) })),
		token("UT-02", "an HMAC under its public key as PEM", "signature", hs256(func(p *party) []byte {
			der, err := x509.MarshalPKIXPublicKey(p.evil.key.Public())
			if err != nil {
				panic(err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		})),
		token("UT-02", "an HMAC under its public key as JWK", "signature", hs256(func(p *party) []byte { return []byte(asJSON(p.evil.jwk("k1"))) })),
		token("UT-02", "no signature", "signature", raw(func(_, body, _ string) string { return b64(`{"alg":"none"}`) + "." + body + "." })),
		token("UT-03", "an algorithm that another provider may use", "signature", trick{sign: func(p *party, c string) string {
			return rs256(p.evil.rsa, `{"alg":"RS256","kid":"k1"}`, c)
		}}),
		token("UT-04", "another issuer", "issuer", claim("iss", "https://other.example")),
		token("UT-04", "no issuer", "issuer", claim("iss", nil)),
		token("UT-04", "its issuer with a slash", "issuer", trick{claims: func(p *party, c members) { c["iss"] = p.issuer + "/" }}),
		token("UT-04", "its issuer in capitals", "issuer", trick{claims: func(p *party, c members) { c["iss"] = strings.ToUpper(p.issuer) }}),
		token("UT-05", "another audience", "audience", claim("aud", "other")),
		token("UT-05", "a stranger beside us", "audience", claim("aud", []string{"voussoir", "other"})),
		token("UT-05", "another authorized party", "audience", claim("azp", "other")),
		token("UT-06", "expired", "time", claim("exp", now-60)),
		token("UT-06", "good for ten years", "time", claim("exp", now+10*365*86400)),
		token("UT-06", "not valid yet", "time", claim("nbf", now+600)),
		token("UT-06", "made in the future", "time", claim("iat", now+600)),
		token("UT-06", "made when nobody knows", "time", claim("iat", nil)),
		token("UT-06", "a time as text", "time", claim("exp", fmt.Sprint(now+60))),
		token("UT-06", "1e309", "time", claim("exp", json.RawMessage("1e309"))),
		token("UT-08", "a key id that is a path and a query", "signature", header(`{"alg":"ES256","kid":"../../etc' OR 1=1 --"}`)),
		token("UT-08", "a key id of 10 KB", "signature", header(`{"alg":"ES256","kid":"`+strings.Repeat("k", 10<<10)+`"}`)),
		token("UT-09", "the key that proves it stands in its header", "signature", trick{sign: func(p *party, c string) string {
			head, _ := json.Marshal(members{"alg": "ES256", "kid": "k1", "jwk": members{"kty": "EC"}, "jku": snare.URL, "x5u": snare.URL, "x5c": []string{"MII="}})
			return es256(p.evil.stranger, string(head), c)
		}}),
		token("UT-10", "an extension that we must understand", "signature", header(`{"alg":"ES256","kid":"k1","crit":["exp"],"exp":1}`)),
		token("UT-10", "an unencoded payload", "signature", header(`{"alg":"ES256","kid":"k1","b64":false}`)),
		token("UT-10", "as JSON", "signature", raw(func(h, b, s string) string {
			return asJSON(members{"payload": b, "signatures": []members{{"protected": h, "signature": s}, {"protected": h, "signature": s}}})
		})),
		token("UT-11", "a claim twice", "document", written(func(c string) string { return strings.Replace(c, "{", `{"sub":"somebody else",`, 1) })),
		token("UT-11", "a claim in another case", "subject", written(func(c string) string { return strings.Replace(c, `"sub"`, `"Sub"`, 1) })),
		token("UT-11", "a byte order mark", "document", written(func(c string) string { return "\ufeff" + c })),
		token("UT-11", "bytes behind it", "document", written(func(c string) string { return c + "x" })),
		token("UT-11", "a thousand levels", "document", written(func(c string) string {
			return strings.Replace(c, "{", `{"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+",", 1)
		})),
		token("UT-12", "another payload under a good signature", "signature", raw(func(h, b, s string) string { return h + "." + b64(`{"sub":"somebody else"}`) + "." + s })),
		token("UT-14", "encrypted, which nobody agreed upon", "signature", raw(func(_, b, _ string) string {
			return b64(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000000,"p2s":"AAAA"}`) + ".AAAA.AAAA." + b + ".AAAA"
		})),
		token("UT-14", "50,000 dots", "signature", raw(func(h, _, _ string) string { return h + strings.Repeat(".", 50_000) })),
		token("UT-14", "a million dots", "token_answer", raw(func(h, _, _ string) string { return h + strings.Repeat(".", 1_000_000) })),
		token("UT-17", "of another access token", "binding", claim("at_hash", b64("another token!!!"))),
		token("UT-17", "of another code", "binding", claim("c_hash", b64("another code!!!!"))),
		token("UT-17", "of another sign-in", "binding", claim("nonce", random())),
		token("UT-22", "r and s in DER", "signature", trick{sign: func(p *party, c string) string {
			input := b64(`{"alg":"ES256","kid":"k1"}`) + "." + b64(c)
			d := sha256.Sum256([]byte(input))
			der, err := ecdsa.SignASN1(rand.Reader, p.evil.key, d[:])
			if err != nil {
				panic(err)
			}
			return input + "." + b64(string(der))
		}}),
		token("UT-22", "r and s are zero", "signature", raw(func(h, b, _ string) string { return h + "." + b + "." + b64(string(make([]byte, 64))) })),
	}
	for name, head := range map[string]string{
		"compressed": `{"alg":"ECDH-ES","enc":"A256GCM","zip":"DEF","epk":{}}`, "by an empty key": `{"alg":"A256KW","enc":"A256GCM"}`, "by a password": `{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000000,"p2s":"AAAA"}`,
	} {
		a := token("UT-14", "encrypted as nobody agreed: "+name, "decryption", raw(func(_, b, _ string) string { return b64(head) + ".AAAA.AAAA." + b + ".AAAA" }))
		a.settings = plainParty + ", id_token_encrypted_response_alg: ECDH-ES"
		rows = append(rows, a)
	}
	clear := token("UT-14", "in clear, though encryption was agreed", "decryption", trick{})
	clear.settings = plainParty + ", id_token_encrypted_response_alg: ECDH-ES"
	for i := range rows {
		if rows[i].line == "UT-09" {
			rows[i].after = untouched
		}
	}
	flood := token("UT-08", "twenty key ids that nobody knows", "signature", trick{sign: func(p *party, c string) string {
		return es256(p.evil.key, `{"alg":"ES256","kid":"`+random()+`"}`, c)
	}})
	flood.times, flood.after = 20, func(t *testing.T, p *party) {
		if n := p.count("jwks"); n > 6 {
			t.Errorf("%d fetches of its keys, want a few", n)
		}
	}
	several := token("UT-08", "no key id, of several keys", "signature", trick{
		sign: func(p *party, c string) string { return es256(p.evil.key, `{"alg":"ES256"}`, c) },
		set:  func(p *party) []members { return []members{p.evil.jwk("k1"), p.evil.jwk("k2")} },
	})
	return append(rows, clear, flood, several, attack{
		line: "UT-09", name: "a good token that names an address", see: "consent", after: untouched,
		trick: header(`{"alg":"ES256","kid":"k1","jku":"` + snare.URL + `","x5u":"` + snare.URL + `"}`),
	}, level("a lower level than was asked", "eidas1"), level("no level", nil), level("a level that nobody knows", "urn:x:high"),
		level("a level in another case", "EIDAS2"), attack{
			line: "UT-20", name: "a list of levels", see: "invalid", reason: "level", trick: claim("acr", []string{"eidas2"}), request: url.Values{"acr_values": {"eidas2"}},
		}, aged("auth_time is missing", nil), aged("an hour old", now-3600))
}

func level(name string, value any) attack {
	return attack{line: "UT-20", name: name, see: "too_weak", reason: "level", trick: claim("acr", value), request: url.Values{"acr_values": {"eidas2"}}}
}

func aged(name string, value any) attack {
	return attack{line: "UT-21", name: name, see: "too_old", reason: "age", trick: claim("auth_time", value), request: url.Values{"max_age": {"60"}}}
}
