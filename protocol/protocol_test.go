package protocol

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestACR_NeverRaisedByComparison(t *testing.T) {
	tests := []struct {
		name      string
		have, min ACR
		want      bool
	}{
		{"the same level reaches itself", EIDAS2, EIDAS2, true},
		{"a higher level reaches a lower one", EIDAS3, EIDAS1, true},
		{"a lower level does not reach a higher one", EIDAS1, EIDAS2, false},
		{"no level reaches nothing", "", EIDAS1, false},
		{"an unknown level reaches nothing", "loa-9", EIDAS1, false},
		{"nothing reaches an unknown level", EIDAS3, "loa-9", false},
		{"letters count", "EIDAS1", EIDAS1, false},
	}
	for _, tt := range tests {
		if got := tt.have.Reaches(tt.min); got != tt.want {
			t.Errorf("%s: %q.Reaches(%q) = %v, want %v", tt.name, tt.have, tt.min, got, tt.want)
		}
	}
	if got := WeakerACR(EIDAS3, EIDAS2); got != EIDAS2 {
		t.Errorf("WeakerACR = %q", got)
	}
	if got := StrongerACR(EIDAS1, ""); got != EIDAS1 {
		t.Errorf("StrongerACR = %q", got)
	}
}

func TestAskedClaims_ScopeAndClaimsParameter_OIDCCore5_5(t *testing.T) {
	req := AuthRequest{
		Scopes: []Scope{OpenID, "given_name"},
		Claims: ClaimsRequest{
			UserInfo: map[Claim]ClaimRequest{GivenName: {}, Email: {}, AgeOver18: {Essential: true}},
			IDToken:  map[Claim]ClaimRequest{AgeOver16: {}, AgeOver18: {}},
		},
	}
	want := []Asked{
		{Claim: GivenName}, // asked by a scope too: not voluntary
		{Claim: Email, Voluntary: true},
		{Claim: AgeOver16, Voluntary: true},
		{Claim: AgeOver18}, // essential in one of the two places
	}
	if got := req.AskedClaims(); !reflect.DeepEqual(got, want) {
		t.Errorf("AskedClaims() = %+v, want %+v", got, want)
	}
}

func TestScopes_EveryScopeLeadsToKnownClaims(t *testing.T) {
	for _, s := range Scopes() {
		if !s.Known() {
			t.Errorf("scope %s is listed and not known", s)
		}
		for _, c := range s.Claims() {
			if !c.Known() {
				t.Errorf("scope %s asks for %s, which cannot be released", s, c)
			}
		}
	}
	if len(Scopes()) != len(scopeClaims) {
		t.Errorf("Scopes() lists %d of %d scopes", len(Scopes()), len(scopeClaims))
	}
	if Scope("address").Known() || Scope("address").Claims() != nil {
		t.Error("a scope that we do not offer is known")
	}
}

func TestText_FallsBackToALanguageThatExists(t *testing.T) {
	tests := []struct {
		text       Text
		lang, want string
	}{
		{Text{"fr": "Bonjour", "en": "Hello"}, "fr", "Bonjour"},
		{Text{"fr": "Bonjour", "en": "Hello"}, "de", "Hello"},
		{Text{"fr": "Bonjour"}, "en", "Bonjour"},
		{Text{"oc": "Adieu", "br": "Demat"}, "en", "Demat"},
		{nil, "fr", ""},
	}
	for _, tt := range tests {
		if got := tt.text.In(tt.lang); got != tt.want {
			t.Errorf("%v.In(%q) = %q, want %q", tt.text, tt.lang, got, tt.want)
		}
	}
}

func TestObject_RefusesWhatTwoParsersReadDifferently_RFC8725_2_4(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"an object", `{"sub":"a","n":{"b":[1,{"c":null}]}}`, true},
		{"names that differ in case are two names", `{"sub":"a","Sub":"b"}`, true},
		{"a name twice", `{"sub":"a","sub":"b"}`, false},
		{"a name twice, once escaped", `{"sub":"a","s\u0075b":"b"}`, false},
		{"a name twice below", `{"n":{"a":1,"a":2}}`, false},
		{"a name twice in an array's object", `{"n":[{"a":1,"a":2}]}`, false},
		{"bytes after the object", `{} {}`, false},
		{"a byte order mark", "\ufeff{}", false},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", false},
		{"an array", `[]`, false},
		{"null", `null`, false},
		{"nothing", ``, false},
		{"too deep", deep, false},
		{"an unclosed object", `{"a":1`, false},
		{"a trailing comma", `{"a":1,}`, false},
		{"space wherever it may be", " { \"a\" : [ 1 , { } , [ ] ] ,\n\"b\" : \"\\\"\\\\\" } ", true},
		{"two names that no UTF-8 can spell", `{"\ud800":1,"\ud801":2}`, false},
		{"as deep as may be", strings.Repeat(`{"a":`, 16) + "1" + strings.Repeat("}", 16), true},
		{"one deeper", strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17), false},
	}
	for _, tt := range tests {
		_, err := Object([]byte(tt.in))
		if (err == nil) != tt.ok {
			t.Errorf("%s: Object(%q) error = %v, want ok = %v", tt.name, tt.in, err, tt.ok)
		}
	}
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":{"b":[1,2,{"c":"d"}]}}`, `{"a":1,"a":2}`, `[]`, "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := Object(data)
		if err != nil {
			if len(data) > 3 && strings.Contains(err.Error(), string(data)) {
				t.Errorf("the error repeats what was sent")
			}
			return
		}
		// What passed must be read alike by the ordinary parser, to the byte.
		var plain map[string]json.RawMessage
		if err := json.Unmarshal(data, &plain); err != nil || !reflect.DeepEqual(plain, members) {
			t.Errorf("Object read %q as %q, encoding/json as %q, %v", data, members, plain, err)
		}
	})
}
