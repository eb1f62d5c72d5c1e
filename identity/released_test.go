package identity

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func anyIdentity(t *rapid.T) Identity {
	id := Identity{Pivot: anyPivot(t), Provider: "tax", EmailVerified: rapid.Bool().Draw(t, "verified"), AsOf: asOf}
	if rapid.Bool().Draw(t, "email") {
		id.Email = "ada@example.org"
	}
	if rapid.Bool().Draw(t, "amr") {
		id.AMR = []string{"pwd", "otp"}
	}
	return id
}

func anyClaims(t *rapid.T) []protocol.Claim {
	known := append(protocol.Claims(), "sub", "address", "") // policies cannot name these; Release must not care
	return rapid.SliceOf(rapid.SampledFrom(known)).Draw(t, "claims")
}

// Promise 1: nothing leaves but what is allowed and known.
func TestRelease_IsTheIntersectionOfAllowedAndKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, allowed := anyIdentity(t), anyClaims(t)
		want := map[string]any{}
		for _, c := range id.Has() {
			if slices.Contains(allowed, c) {
				want[string(c)], _ = id.Value(c)
			}
		}
		if _, ok := want["email"]; ok {
			want["email_verified"] = id.EmailVerified
		}
		got := id.Release("s", allowed)
		if got.Sub() != "s" || !reflect.DeepEqual(got.Claims(), want) {
			t.Fatalf("Release(%v) = %#v, want %v", allowed, got, want)
		}
		for _, c := range got.Names() {
			if !slices.Contains(allowed, c) || !slices.Contains(id.Has(), c) {
				t.Fatalf("%s was released", c)
			}
		}
	})
}

func TestReleased_DecodeOfEncodeIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyIdentity(t).Release("s", anyClaims(t))
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got Released
		if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%s became %#v, %v", data, got, err)
		}
	})
}

func TestReleased_OnlyNeverAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, allowed, names := anyIdentity(t), anyClaims(t), anyClaims(t)
		both := slices.DeleteFunc(slices.Clone(allowed), func(c protocol.Claim) bool { return !slices.Contains(names, c) })
		if got, want := id.Release("s", allowed).Only(names), id.Release("s", both); !reflect.DeepEqual(got, want) {
			t.Fatalf("Only = %#v, want %#v", got, want)
		}
	})
}

func TestReleased_SharesNothing(t *testing.T) {
	id := Identity{AMR: []string{"pwd"}}
	r := id.Release("s", []protocol.Claim{protocol.AMR})
	id.AMR[0] = "changed"
	r.Claims()["amr"].([]string)[0] = "changed"
	r.Claims()["family_name"] = "added"
	r.Only([]protocol.Claim{protocol.AMR}).claims["amr"].([]string)[0] = "changed"
	if want := map[string]any{"amr": []string{"pwd"}}; !reflect.DeepEqual(r.Claims(), want) {
		t.Fatalf("claims = %v, want %v", r.Claims(), want)
	}
}

func TestReleased_RefusesWhatItDidNotWrite(t *testing.T) {
	for _, data := range []string{
		`{}`, `null1`, `[]`, `{"sub":"","claims":{}}`, `{"sub":"s","claims":{"sub":"other"}}`,
		`{"sub":"s","claims":{"address":"x"}}`, `{"sub":"s","claims":{"age_over_18":"true"}}`,
		`{"sub":"s","claims":{"email":null}}`, `{"sub":"s","claims":{"amr":["pwd",1]}}`, `{"sub":"s","claims":{},"more":1}`,
	} {
		var r Released
		if err := json.Unmarshal([]byte(data), &r); err == nil {
			t.Errorf("%s was accepted", data)
		}
	}
}
