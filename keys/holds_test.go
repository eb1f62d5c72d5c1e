package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/keys"
)

func TestHolds_ASignatureKeyByItsValue_RFC8705_2_2(t *testing.T) {
	o := newRemoteOwner()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: o.ec.Public(), KeyID: "one", Use: "sig"}, {Key: o.rsa.Public(), Algorithm: "PS256"}, {Key: o.ec2.Public(), KeyID: "enc", Use: "enc"},
	}}
	doc, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	srv, fetched := serveJWKS(t, func() []byte { return doc })
	remote, clock := remoteSet(t, srv.URL)
	static, err := keys.NewStatic(doc)
	if err != nil {
		t.Fatal(err)
	}
	other, another := freshKey(t), freshKey(t)
	for name, tt := range map[string]struct {
		key  crypto.PublicKey
		want bool
	}{
		"a key of the set": {o.ec.Public(), true}, "one of another type": {o.rsa.Public(), true}, "one for encryption": {o.ec2.Public(), false},
		"a stranger's": {other.Public(), false}, "nothing": {nil, false}, "no key": {"key", false},
	} {
		here, err := static.Holds(t.Context(), tt.key)
		if here != tt.want || err != nil {
			t.Errorf("%s: %v, %v", name, here, err)
		}
		there, err := remote.Holds(t.Context(), tt.key)
		if there != tt.want || err != nil {
			t.Errorf("%s, remote: %v, %v", name, there, err)
		}
	}
	if n := fetched.Load(); n > 4 {
		t.Errorf("strangers caused %d fetches", n)
	}
	// A new key counts as soon as it is published, at most a minute later
	// after so many strangers.
	set.Keys = append(set.Keys, jose.JSONWebKey{Key: other.Public()})
	if doc, err = json.Marshal(set); err != nil {
		t.Fatal(err)
	}
	clock.add(time.Minute)
	if held, err := remote.Holds(t.Context(), other.Public()); !held || err != nil {
		t.Errorf("the new key: %v, %v", held, err)
	}
	// Unknown is not no.
	doc = nil
	clock.add(time.Minute)
	if _, err := remote.Holds(t.Context(), another.Public()); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("a key that may be in a set that cannot be fetched: %v", err)
	}
}

func freshKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
