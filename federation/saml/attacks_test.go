package saml

import (
	"encoding/base64"
	"errors"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/store/sql"
)

// evil is an assertion about somebody else.
func (w *world) evil(request string) *etree.Element {
	a := w.assertion(request)
	a.CreateAttr("ID", "_evil")
	a.FindElement("./Subject/NameID").SetText("attacker")
	return a
}

func without(el *etree.Element, tag string) *etree.Element {
	out := el.Copy()
	out.RemoveChild(out.SelectElement(tag))
	return out
}

// refusedResponse builds a response and wants it refused.
func refusedResponse(t *testing.T, build func(w *world, request string) *etree.Element) {
	t.Helper()
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	w.wantRefused(federation.Invalid, saved, encode(build(w, request)))
	if len(w.once.seen) != 0 {
		t.Error("a refused assertion takes up room in the memory")
	}
}

func TestSA_01_WrappedSignaturesProveNothing(t *testing.T) {
	attacks := map[string]func(w *world, request string) *etree.Element{
		"XSW1: the signed response inside the signature of a forged one": func(w *world, request string) *etree.Element {
			good := sign(w.response(request, w.assertion(request)), idpKey())
			forged := w.response(request, w.evil(request))
			forged.CreateAttr("ID", "_evilResponse")
			sig := good.SelectElement("Signature").Copy()
			sig.AddChild(without(good, "Signature"))
			forged.InsertChildAt(1, sig)
			return forged
		},
		"XSW2: the signed response beside its signature in a forged one": func(w *world, request string) *etree.Element {
			good := sign(w.response(request, w.assertion(request)), idpKey())
			forged := w.response(request, w.evil(request))
			forged.CreateAttr("ID", "_evilResponse")
			forged.InsertChildAt(1, without(good, "Signature"))
			forged.InsertChildAt(2, good.SelectElement("Signature").Copy())
			return forged
		},
		"XSW3: a forged assertion in front of the signed one": func(w *world, request string) *etree.Element {
			return w.response(request, w.evil(request), sign(w.assertion(request), idpKey()))
		},
		"assertion first: the signed one in front of the forged one": func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey()), w.evil(request))
		},
		"XSW4: a forged assertion around the signed one": func(w *world, request string) *etree.Element {
			forged := w.evil(request)
			forged.AddChild(sign(w.assertion(request), idpKey()))
			return w.response(request, forged)
		},
		"XSW5: the signature in the forged assertion, the signed one beside it": func(w *world, request string) *etree.Element {
			good := sign(w.assertion(request), idpKey())
			forged := w.evil(request)
			forged.InsertChildAt(1, good.SelectElement("Signature").Copy())
			return w.response(request, forged, without(good, "Signature"))
		},
		"XSW6: the signed assertion inside the signature in the forged one": func(w *world, request string) *etree.Element {
			good := sign(w.assertion(request), idpKey())
			sig := good.SelectElement("Signature").Copy()
			sig.AddChild(without(good, "Signature"))
			forged := w.evil(request)
			forged.InsertChildAt(1, sig)
			return w.response(request, forged)
		},
		"XSW7: the signed assertion in Extensions": func(w *world, request string) *etree.Element {
			r := w.response(request, w.evil(request))
			r.CreateElement("samlp:Extensions").AddChild(sign(w.assertion(request), idpKey()))
			return r
		},
		"XSW8: the signed assertion in an Object of the forged one's signature": func(w *world, request string) *etree.Element {
			good := sign(w.assertion(request), idpKey())
			sig := good.SelectElement("Signature").Copy()
			sig.CreateElement("ds:Object").AddChild(without(good, "Signature"))
			forged := w.evil(request)
			forged.InsertChildAt(1, sig)
			return w.response(request, forged)
		},
		"the signature moved from the assertion to the response": func(w *world, request string) *etree.Element {
			good := sign(w.assertion(request), idpKey())
			r := w.response(request, without(good, "Signature"))
			r.InsertChildAt(1, good.SelectElement("Signature").Copy())
			return r
		},
		"the forged assertion has the signed one's ID": func(w *world, request string) *etree.Element {
			good := sign(w.assertion(request), idpKey())
			forged := w.evil(request)
			forged.CreateAttr("ID", "_a1")
			forged.InsertChildAt(1, good.SelectElement("Signature").Copy())
			return w.response(request, forged)
		},
		"the signed assertion in a Status of the forged response": func(w *world, request string) *etree.Element {
			r := w.response(request, w.evil(request))
			r.SelectElement("Status").CreateElement("samlp:StatusDetail").AddChild(sign(w.assertion(request), idpKey()))
			return r
		},
	}
	for name, build := range attacks {
		t.Run(name, func(t *testing.T) { refusedResponse(t, build) })
	}
}

// No element of a signed response can be moved, doubled or left out, wherever it
// is and wherever it goes, unless it is where nothing is read and nothing changes.
func TestSA_01_NoElementCanBeMovedDoubledOrLeftOut(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	good := sign(w.response(request, sign(w.assertion(request), idpKey())), idpKey())
	n := 0
	eachElement(good, func(*etree.Element) { n++ })
	tried := 0
	for from := 1; from < n; from++ {
		for to := -1; to < n; to++ {
			if testing.Short() && to >= 0 && (from+to)%7 != 0 {
				continue
			}
			for _, keep := range []bool{true, false} {
				mutant, harmless := mutate(good, from, to, keep)
				if mutant == nil {
					continue
				}
				tried++
				w.once.seen = nil
				login, err := w.finish(federation.Request{}, saved, encode(mutant))
				if err == nil && (!harmless || login.Subject != "account-1" || login.Identity.Pivot.GivenName != canary) {
					t.Errorf("element %d to %d (kept: %t) is believed, as %q", from, to, keep, login.Subject)
				}
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d changes tried", tried)
	}
}

// mutate copies el and moves (or, with keep, doubles) the element of number from
// to the end of the one of number to; to -1 leaves it out. harmless: the change is
// within KeyInfo, which is never looked at, or is the place of a signature among
// the children of what it signs.
func mutate(el *etree.Element, from, to int, keep bool) (mutant *etree.Element, harmless bool) {
	mutant = el.Copy()
	var all []*etree.Element
	eachElement(mutant, func(e *etree.Element) { all = append(all, e) })
	what := all[from]
	inKeyInfo := func(e *etree.Element) bool {
		for ; e != nil; e = e.Parent() {
			if e.Tag == "KeyInfo" {
				return true
			}
		}
		return false
	}
	if to < 0 {
		if keep {
			return nil, false
		}
		// What is signed twice is still signed once.
		harmless = inKeyInfo(what) || what.Tag == "Signature"
		what.Parent().RemoveChild(what)
		return mutant, harmless
	}
	where := all[to]
	for p := where; p != nil; p = p.Parent() {
		if p == what {
			return nil, false
		}
	}
	harmless = inKeyInfo(where) && (keep || inKeyInfo(what)) || what.Tag == "Signature" && what.Parent() == where && !keep || inKeyInfo(what) && inKeyInfo(where)
	last := what.Parent() == where && what.Index() == len(where.Child)-1
	if keep {
		where.AddChild(what.Copy())
		return mutant, harmless
	}
	if last {
		return nil, false
	}
	where.AddChild(what) // takes it from where it was
	return mutant, harmless
}

func eachElement(el *etree.Element, do func(*etree.Element)) {
	do(el)
	for _, c := range el.ChildElements() {
		eachElement(c, do)
	}
}

func TestSA_02_ExactlyOneAssertion(t *testing.T) {
	for name, build := range map[string]func(w *world, request string) *etree.Element{
		"none": func(w *world, request string) *etree.Element { return sign(w.response(request), idpKey()) },
		"two, both signed": func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey()), sign(w.evil(request), idpKey()))
		},
		"an encrypted one beside a signed one": func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey()), encrypted(w.evil(request), gcm128, oaep1))
		},
		"two encrypted ones": func(w *world, request string) *etree.Element {
			a := sign(w.assertion(request), idpKey())
			return w.response(request, encrypted(a, gcm128, oaep1), encrypted(a, gcm128, oaep1))
		},
	} {
		t.Run(name, func(t *testing.T) { refusedResponse(t, build) })
	}
}

func TestSA_03_SomethingMustBeSigned(t *testing.T) {
	for name, build := range map[string]func(w *world, request string) *etree.Element{
		"nothing": func(w *world, request string) *etree.Element { return w.response(request, w.assertion(request)) },
		"the response alone, around two assertions": func(w *world, request string) *etree.Element {
			return sign(w.response(request, w.assertion(request), w.evil(request)), idpKey())
		},
		"nothing within what is encrypted": func(w *world, request string) *etree.Element {
			return w.response(request, encrypted(w.assertion(request), gcm128, oaep1))
		},
		"the ciphertext alone": func(w *world, request string) *etree.Element {
			return sign(w.response(request, encrypted(w.evil(request), gcm128, oaep1)), idpKey())
		},
		"the response by somebody else, although the assertion is fine": func(w *world, request string) *etree.Element {
			return sign(w.response(request, sign(w.assertion(request), idpKey())), otherKey())
		},
	} {
		t.Run(name, func(t *testing.T) { refusedResponse(t, build) })
	}
}

// reshaped signs an assertion whose signature is then changed by edit and, where
// that is what counts, signed again.
func reshaped(edit func(sig *etree.Element)) func(w *world, request string) *etree.Element {
	return func(w *world, request string) *etree.Element {
		a := sign(w.assertion(request), idpKey())
		edit(a.SelectElement("Signature"))
		return w.response(request, a)
	}
}

func TestSA_04_SignaturesHaveOneShape(t *testing.T) {
	for name, build := range map[string]func(w *world, request string) *etree.Element{
		"two elements with one ID": func(w *world, request string) *etree.Element {
			a := w.assertion(request)
			a.SelectElement("Subject").CreateAttr("ID", "_a1")
			return w.response(request, sign(a, idpKey()))
		},
		"one ID in another spelling": func(w *world, request string) *etree.Element {
			a := w.assertion(request)
			a.SelectElement("Subject").CreateAttr("xml:id", "_a1")
			return w.response(request, sign(a, idpKey()))
		},
		"an ID in a namespace": func(w *world, request string) *etree.Element {
			a := w.assertion(request)
			a.RemoveAttr("ID")
			a.CreateAttr("saml:ID", "_a1")
			return w.response(request, sign(a, idpKey()))
		},
		"a reference to the whole document": func(w *world, request string) *etree.Element {
			a := w.assertion(request)
			a.RemoveAttr("ID")
			return w.response(request, sign(a, idpKey()))
		},
		"two SignedInfo":     reshaped(func(sig *etree.Element) { sig.AddChild(sig.SelectElement("SignedInfo").Copy()) }),
		"two SignatureValue": reshaped(func(sig *etree.Element) { sig.AddChild(sig.SelectElement("SignatureValue").Copy()) }),
		"an Object":          reshaped(func(sig *etree.Element) { sig.CreateElement("ds:Object") }),
		"two references": reshaped(func(sig *etree.Element) {
			i := sig.SelectElement("SignedInfo")
			i.AddChild(i.SelectElement("Reference").Copy())
		}),
		"a SignedInfo nested": reshaped(func(sig *etree.Element) { i := sig.SelectElement("SignedInfo"); i.AddChild(i.Copy()) }),
		"inclusive canonicalisation": func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey(), func(c *dsig.SigningContext) { c.Canonicalizer = dsig.MakeC14N11Canonicalizer() }))
		},
		"canonicalisation with comments": func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), idpKey(), func(c *dsig.SigningContext) {
				c.Canonicalizer = dsig.MakeC14N10ExclusiveWithCommentsCanonicalizerWithPrefixList("")
			}))
		},
		"a transform of XPath": reshaped(func(sig *etree.Element) {
			sig.FindElement("./SignedInfo/Reference/Transforms").CreateElement("ds:Transform").CreateAttr("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
		}),
		"no transform of the enveloped signature": reshaped(func(sig *etree.Element) {
			sig.FindElement("./SignedInfo/Reference/Transforms").RemoveChildAt(0)
		}),
		"its digest replaced": reshaped(func(sig *etree.Element) {
			sig.FindElement("./SignedInfo/Reference/DigestValue").SetText(base64.StdEncoding.EncodeToString(make([]byte, 32)))
		}),
		"its digest in two parts": reshaped(func(sig *etree.Element) {
			v := sig.FindElement("./SignedInfo/Reference/DigestValue")
			v.CreateElement("ds:DigestValue").SetText(v.Text())
		}),
	} {
		t.Run(name, func(t *testing.T) { refusedResponse(t, build) })
	}
}

func TestSA_05_OnlyPinnedStrongKeysAndHashes(t *testing.T) {
	by := func(p pair, change ...func(*dsig.SigningContext)) func(w *world, request string) *etree.Element {
		return func(w *world, request string) *etree.Element {
			return w.response(request, sign(w.assertion(request), p, change...))
		}
	}
	for name, build := range map[string]func(w *world, request string) *etree.Element{
		"another key, its certificate in KeyInfo": by(otherKey()),
		"SHA-1": by(idpKey(), func(c *dsig.SigningContext) { c.Hash = 3 }),
		"HMAC with the certificate as its secret": reshaped(func(sig *etree.Element) {
			sig.FindElement("./SignedInfo/SignatureMethod").CreateAttr("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
		}),
		"an algorithm of the other key type": reshaped(func(sig *etree.Element) {
			sig.FindElement("./SignedInfo/SignatureMethod").CreateAttr("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256")
		}),
	} {
		t.Run(name, func(t *testing.T) { refusedResponse(t, build) })
	}
	t.Run("RSA-1024, even if metadata has it", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Metadata = idpMetadata(nil, weakKey(), idpKey()) })
		saved, request := w.begin(federation.Request{})
		w.wantRefused(federation.Invalid, saved, encode(w.response(request, sign(w.assertion(request), weakKey()))))
	})
	t.Run("a zero signature of an elliptic curve", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Metadata = idpMetadata(nil, ecKey()) })
		saved, request := w.begin(federation.Request{})
		a := sign(w.assertion(request), ecKey())
		a.FindElement("./Signature/SignatureValue").SetText(base64.StdEncoding.EncodeToString(make([]byte, 64)))
		w.wantRefused(federation.Invalid, saved, encode(w.response(request, a)))
	})
}

func TestSA_06_WeakEncryptionIsRefused(t *testing.T) {
	for name, algs := range map[string][2]string{
		"CBC, whose padding is an oracle": {cbc128, oaep1},
		"RSA with PKCS #1 v1.5":           {gcm128, nsEncrypt + "rsa-1_5"},
		"a key of another length":         {nsEncrypt11 + "aes256-gcm", oaep1},
		"no algorithm":                    {"", oaep1},
	} {
		t.Run(name, func(t *testing.T) {
			refusedResponse(t, func(w *world, request string) *etree.Element {
				return w.response(request, encrypted(sign(w.assertion(request), idpKey()), algs[0], algs[1]))
			})
		})
	}
	for name, edit := range map[string]func(*etree.Element){
		"a ciphertext with one bit changed": func(e *etree.Element) {
			v := e.FindElement("./EncryptedData/CipherData/CipherValue")
			b, _ := base64.StdEncoding.DecodeString(v.Text())
			b[20] ^= 1
			v.SetText(base64.StdEncoding.EncodeToString(b))
		},
		"two keys": func(e *etree.Element) {
			info := e.FindElement("./EncryptedData/KeyInfo")
			info.AddChild(info.ChildElements()[0].Copy())
		},
		"a CipherReference": func(e *etree.Element) {
			e.FindElement("./EncryptedData/CipherData").CreateElement("xenc:CipherReference").CreateAttr("URI", "http://169.254.169.254/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			refusedResponse(t, func(w *world, request string) *etree.Element {
				e := encrypted(sign(w.assertion(request), idpKey()), gcm128, oaep1)
				edit(e)
				return w.response(request, e)
			})
		})
	}
}

// With CBC the answer to an altered ciphertext would be an oracle, so nobody but the
// provider may get one.
func TestSA_06_CBCOnlyWhereItIsAllowedAndOnlyUnderASignature(t *testing.T) {
	allow := func(c *Config) { c.AllowCBC = true }
	build := func(w *world, request string) *etree.Element {
		return w.response(request, encrypted(sign(w.assertion(request), idpKey()), cbc128, oaep1))
	}
	w := newWorld(t, allow)
	saved, request := w.begin(federation.Request{})
	w.wantAlice(saved, encode(sign(build(w, request), idpKey())))
	w.wantRefused(federation.Invalid, saved, encode(build(w, request)))
	altered := sign(build(w, request), idpKey())
	v := altered.FindElement("./EncryptedAssertion/EncryptedData/CipherData/CipherValue")
	b, err := base64.StdEncoding.DecodeString(v.Text())
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-17] ^= 1
	v.SetText(base64.StdEncoding.EncodeToString(b))
	_, err = w.finish(federation.Request{}, saved, encode(altered))
	if err == nil || !strings.Contains(err.Error(), "digest differs") {
		t.Errorf("%v: the ciphertext was looked at before the signature", err)
	}
	w = newWorld(t)
	saved, request = w.begin(federation.Request{})
	w.wantRefused(federation.Invalid, saved, encode(sign(build(w, request), idpKey())))
}

func TestSA_07_NothingIsExpandedOrFetched(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	good, err := base64.StdEncoding.DecodeString(encode(w.response(request, sign(w.assertion(request), idpKey()))))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a DOCTYPE":                `<!DOCTYPE x>` + string(good),
		"an external entity":       `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + strings.Replace(string(good), canary, "&e;", 1),
		"a billion laughs":         `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + strings.Replace(string(good), canary, "&b;", 1),
		"an undeclared entity":     strings.Replace(string(good), canary, "&nbsp;", 1),
		"XInclude":                 strings.Replace(string(good), canary, `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>`, 1),
		"a processing instruction": strings.Replace(string(good), canary, `<?php evil ?>`, 1),
		"a style sheet":            `<?xml-stylesheet href="http://evil.test/"?>` + string(good),
		"another encoding":         `<?xml version="1.0" encoding="UTF-7"?>` + string(good),
		"two roots":                string(good) + `<x xmlns="urn:x"/>`,
		"text behind the root":     string(good) + `x`,
		"a thousand levels":        strings.Repeat(`<a xmlns="urn:x">`, 1000) + strings.Repeat(`</a>`, 1000),
		"a prefix nobody declared": strings.Replace(string(good), "<samlp:Status>", `<samlp:Status x:a="1">`, 1),
		"an attribute twice":       strings.Replace(string(good), `Version="2.0"`, `Version="2.0" Version="2.0"`, 1),
		"a name with two colons":   strings.Replace(string(good), `Version="2.0"`, `Version="2.0" :x="1"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w.t = t
			w.wantRefused(federation.Invalid, saved, base64.StdEncoding.EncodeToString([]byte(text)))
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 10<<20 {
				t.Errorf("took %d bytes", used)
			}
		})
	}
	w.t = t
	w.wantAlice(saved, base64.StdEncoding.EncodeToString(append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"), good...)))
}

func TestSA_08_CommentsNeverCutAValue(t *testing.T) {
	for name, path := range map[string]string{
		"in the NameID": "./Subject/NameID", "in an attribute": "./AttributeStatement/Attribute/AttributeValue", "in the audience": "./Conditions/AudienceRestriction/Audience",
	} {
		t.Run(name, func(t *testing.T) {
			refusedResponse(t, func(w *world, request string) *etree.Element {
				a := sign(w.assertion(request), idpKey())
				el := a.FindElement(path)
				value := el.Text()
				el.SetText(value[:3])
				el.CreateComment("")
				el.CreateText(value[3:])
				return w.response(request, a)
			})
		})
	}
	t.Run("CDATA is part of the whole value", func(t *testing.T) {
		w := newWorld(t)
		saved, request := w.begin(federation.Request{})
		good, _ := base64.StdEncoding.DecodeString(encode(w.response(request, sign(w.assertion(request), idpKey()))))
		w.wantAlice(saved, base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(good), ">"+canary, ">Can<![CDATA[ary]]>", 1))))
	})
}

func TestSA_09_AnAssertionIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	message := encode(w.response(request, sign(w.assertion(request), idpKey())))
	var accepted atomic.Int32
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if _, err := w.p.Finish(t.Context(), federation.Request{State: state}, saved, url.Values{"SAMLResponse": {message}, "RelayState": {state}}); err == nil {
				accepted.Add(1)
			}
		})
	}
	all.Wait()
	if accepted.Load() != 1 {
		t.Errorf("%d of 40 were accepted, want 1", accepted.Load())
	}
	for _, until := range w.once.seen {
		if last := noon.Add(5*time.Minute + skew); until.Before(last) {
			t.Errorf("it is forgotten at %s, although it holds until %s", until, last)
		}
	}
}

func TestSA_09_ItIsRememberedAfterARestart(t *testing.T) {
	dir := t.TempDir()
	cfg := sql.Config{Dir: dir, Now: func() time.Time { return noon }}
	open := func() *sql.Records {
		r, err := sql.OpenRecords(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := open()
	w := newWorld(t, func(c *Config) { c.Once = first })
	saved, request := w.begin(federation.Request{})
	message := encode(w.response(request, sign(w.assertion(request), idpKey())))
	w.wantAlice(saved, message)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open()
	defer second.Close()
	w = newWorld(t, func(c *Config) { c.Once = second })
	w.wantRefused(federation.Invalid, saved, message)
}

func TestSA_09_UnknownIsNotNo(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	w.once.err = errors.New("the disk is full")
	_, err := w.finish(federation.Request{}, saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
	var e *federation.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("error %v, want one that is nobody's fault", err)
	}
}

func TestSA_10_MeantForUsAndForThisRequest(t *testing.T) {
	set := func(path, name, value string) func(r, a *etree.Element) {
		return func(r, a *etree.Element) {
			el := a
			if rest, of := strings.CutPrefix(path, "response"); of {
				el, path = r, rest
			}
			if path != "" {
				el = el.FindElement(path)
			}
			switch {
			case name == "text":
				el.SetText(value)
			case name == "gone":
				el.Parent().RemoveChild(el)
			case value == "":
				el.RemoveAttr(name)
			default:
				el.CreateAttr(name, value)
			}
		}
	}
	const data = "./Subject/SubjectConfirmation/SubjectConfirmationData"
	for name, edit := range map[string]func(r, a *etree.Element){
		"another audience":               set("./Conditions/AudienceRestriction/Audience", "text", "https://other.test/saml/uni/metadata"),
		"the audience with a slash":      set("./Conditions/AudienceRestriction/Audience", "text", ours+"/"),
		"no audience":                    set("./Conditions/AudienceRestriction", "gone", ""),
		"no conditions":                  set("./Conditions", "gone", ""),
		"another recipient":              set(data, "Recipient", "https://other.test/saml/uni/acs"),
		"no recipient":                   set(data, "Recipient", ""),
		"another request":                set(data, "InResponseTo", "_other"),
		"no request: the provider began": set(data, "InResponseTo", ""),
		"another issuer":                 set("./Issuer", "text", "https://evil.test"),
		"an issuer that is no entity":    set("./Issuer", "Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
		"no issuer":                      set("./Issuer", "gone", ""),
		"not its bearer":                 set("./Subject/SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"),
		"no confirmation":                set("./Subject/SubjectConfirmation", "gone", ""),
		"no subject":                     set("./Subject", "gone", ""),
		"no statement of a sign-in":      set("./AuthnStatement", "gone", ""),
		"another version":                set("", "Version", "1.1"),
		"a response to another address":  set("response", "Destination", "https://other.test/saml/uni/acs"),
		"a response to no address":       set("response", "Destination", ""),
		"a response to another request":  set("response", "InResponseTo", "_other"),
		"a response to no request":       set("response", "InResponseTo", ""),
		"a response of another issuer":   set("response./Issuer", "text", "https://evil.test"),
		"a response of no issuer":        set("response./Issuer", "gone", ""),
		"a response without status":      set("response./Status", "gone", ""),
		"a condition that nobody knows":  func(_, a *etree.Element) { a.SelectElement("Conditions").CreateElement("saml:Condition") },
		"advice":                         func(_, a *etree.Element) { a.CreateElement("saml:Advice") },
		"a second audience restriction, not for us": func(_, a *etree.Element) {
			a.SelectElement("Conditions").CreateElement("saml:AudienceRestriction").CreateElement("saml:Audience").SetText("https://other.test")
		},
		"two statements": func(_, a *etree.Element) { a.AddChild(a.SelectElement("AuthnStatement").Copy()) },
	} {
		t.Run(name, func(t *testing.T) {
			refusedResponse(t, func(w *world, request string) *etree.Element {
				r, a := w.response(request), w.assertion(request)
				edit(r, a)
				r.AddChild(sign(a, idpKey()))
				return sign(r, idpKey())
			})
		})
	}
}

func TestSA_10_AnAnswerToAnotherSignInIsRefused(t *testing.T) {
	w := newWorld(t)
	_, request := w.begin(federation.Request{})
	message := encode(w.response(request, sign(w.assertion(request), idpKey())))
	second, _ := w.begin(federation.Request{})
	w.wantRefused(federation.Invalid, second, message)
	w.wantRefused(federation.Invalid, []byte(`{"p":"other","r":"`+request+`"}`), message)
	w.wantRefused(federation.Invalid, nil, message)
}

func TestSA_11_TimesHoldWithinTheSkew(t *testing.T) {
	const data = "./Subject/SubjectConfirmation/SubjectConfirmationData"
	tests := []struct {
		path, name string
		good, bad  time.Duration // from now
	}{
		{"./Conditions", "NotBefore", skew, skew + time.Second},
		{"./Conditions", "NotOnOrAfter", -skew + time.Second, -skew},
		{data, "NotOnOrAfter", -skew + time.Second, -skew},
		{data, "NotOnOrAfter", longest, longest + time.Second},
		{data, "NotBefore", skew, skew + time.Second},
		{"./AuthnStatement", "SessionNotOnOrAfter", -skew + time.Second, -skew},
		{"", "IssueInstant", skew, skew + time.Second},
		{"", "IssueInstant", -skew, -skew - time.Second},
		{"response", "IssueInstant", skew, skew + time.Second},
		{"response", "IssueInstant", -skew, -skew - time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.name, func(t *testing.T) {
			try := func(value string) (*world, []byte, string) {
				w := newWorld(t)
				saved, request := w.begin(federation.Request{})
				r, a := w.response(request), w.assertion(request)
				switch tt.path {
				case "":
					a.CreateAttr(tt.name, value)
				case "response":
					r.CreateAttr(tt.name, value)
				default:
					a.FindElement(tt.path).CreateAttr(tt.name, value)
				}
				r.AddChild(sign(a, idpKey()))
				return w, saved, encode(r)
			}
			w, saved, message := try(noon.Add(tt.good).Format(timeFormat))
			w.wantAlice(saved, message)
			for _, value := range []string{noon.Add(tt.bad).Format(timeFormat), "", "now", "2026-03-14T12:00:00", "2026-03-14T12:00:00+00:00", "2026-02-31T12:00:00Z"} {
				w, saved, message := try(value)
				w.wantRefused(federation.Invalid, saved, message)
			}
		})
	}
	t.Run("no end at all", func(t *testing.T) {
		refusedResponse(t, func(w *world, request string) *etree.Element {
			a := w.assertion(request)
			a.FindElement(data).RemoveAttr("NotOnOrAfter")
			return w.response(request, sign(a, idpKey()))
		})
	})
}

func TestSA_13_OneResponseByPOSTAndNothingBesideIt(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	message := encode(w.response(request, sign(w.assertion(request), idpKey())))
	for name, answer := range map[string]url.Values{
		"twice":                       {"SAMLResponse": {message, message}, "RelayState": {state}},
		"with a request":              {"SAMLResponse": {message}, "RelayState": {state}, "SAMLRequest": {message}},
		"with a signature of a query": {"SAMLResponse": {message}, "RelayState": {state}, "Signature": {"x"}, "SigAlg": {rsaSHA256}},
		"by query":                    {"SAMLResponse": {message}, "RelayState": {state}, "state": {state}},
		"with another RelayState":     {"SAMLResponse": {message}, "RelayState": {state + "x"}},
		"without RelayState":          {"SAMLResponse": {message}},
		"without a response":          {"RelayState": {state}},
	} {
		_, err := w.p.Finish(t.Context(), federation.Request{State: state}, saved, answer)
		var e *federation.Error
		if !errors.As(err, &e) || e.Kind != federation.Invalid {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func TestSA_14_SizeAndJunk(t *testing.T) {
	w := newWorld(t)
	saved, request := w.begin(federation.Request{})
	r := w.response(request, sign(w.assertion(request), idpKey()))
	message := encode(r)
	w.wantRefused(federation.Invalid, saved, "!"+message)
	w.wantRefused(federation.Invalid, saved, message+"=")
	w.wantRefused(federation.Invalid, saved, message[:len(message)-1])
	w.wantRefused(federation.Invalid, saved, strings.ReplaceAll(message, "P", "-"))
	w.wantRefused(federation.Invalid, saved, "")
	w.wantRefused(federation.Invalid, saved, strings.Repeat("A", 10<<20))
	r.FindElement("./Assertion/Issuer").CreateAttr("x", strings.Repeat("x", maxDocument))
	w.wantRefused(federation.Invalid, saved, encode(r))
	many := w.response(request)
	for range maxElements {
		many.CreateElement("samlp:Status")
	}
	w.wantRefused(federation.Invalid, saved, encode(many))
	var lines strings.Builder
	for i := 0; i < len(message); i += 76 {
		lines.WriteString(message[i:min(i+76, len(message))] + "\r\n")
	}
	w.wantAlice(saved, lines.String())
}

func TestSA_16_WhatIsReadIsTheElementThatWasVerified(t *testing.T) {
	w := newWorld(t)
	_, request := w.begin(federation.Request{})
	m, err := w.p.metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tree := range map[string]*etree.Element{
		"assertion": w.response(request, sign(w.assertion(request), idpKey())), "response": sign(w.response(request, w.assertion(request)), idpKey()),
	} {
		root, err := parse([]byte(mustXML(tree)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.p.assertion(t.Context(), root, m)
		if err != nil {
			t.Fatal(err)
		}
		if want := root.SelectElement("Assertion"); got.el != want {
			t.Errorf("%s signed: read from %p, want the element of the one tree, %p", name, got.el, want)
		}
		other := element(`<x xmlns="urn:x"/>`)
		if _, err := got.within(other); err == nil {
			t.Error("an element of another tree counts as signed")
		}
	}
}

func mustXML(el *etree.Element) string {
	b, err := base64.StdEncoding.DecodeString(encode(el))
	if err != nil {
		panic(err)
	}
	return string(b)
}
