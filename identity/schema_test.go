package identity

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

// said is what an honest provider sends.
func said() Sent {
	t := angela().texts()
	t[protocol.PreferredUsername], t[protocol.Email] = "Martin", "angela@example.org"
	return Sent{Texts: t, Verified: true, AMR: []string{"pwd"}}
}

// reasons reads what a provider with a civil identity sends, and returns the flaws
// that refuse it and those that are left out.
func reasons(s Schema, sent Sent) (refused, dropped []string) {
	_, d, err := s.Read(sent, asOf)
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return Reasons(invalid.Flaws), Reasons(invalid.Dropped)
	}
	return nil, Reasons(d)
}

func TestRead_OptionalClaimsAreLeftOutAndRequiredOnesRefuse(t *testing.T) {
	bad := said()
	bad.Texts[protocol.Email], bad.Texts[protocol.Birthdate], bad.Texts[protocol.FamilyName] = "angela", "2031-01-01", ""
	bad.AMR = []string{"two words"}
	tests := []struct {
		name             string
		schema           Schema
		refused, dropped []string
	}{
		{"a civil identity", Schema{Civil: true}, []string{"family_name: missing", "birthdate: in_future"}, []string{"email: malformed", "amr: malformed"}},
		{"an account", Schema{}, nil, []string{"birthdate: in_future", "email: malformed", "amr: malformed"}},
		{"an account that must have an address", Schema{Required: []protocol.Claim{"email"}}, []string{"email: malformed"}, []string{"birthdate: in_future", "amr: malformed"}},
		{"an account of which only the given name is taken", Schema{Optional: []protocol.Claim{"given_name"}}, nil, []string{"amr: malformed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused, dropped := reasons(tt.schema, bad)
			if !reflect.DeepEqual(refused, tt.refused) || !reflect.DeepEqual(dropped, tt.dropped) {
				t.Errorf("refused %q, dropped %q; want %q, %q", refused, dropped, tt.refused, tt.dropped)
			}
		})
	}
	id, _, err := Schema{}.Read(bad, asOf)
	if want := (Identity{Pivot: angela(), PreferredUsername: "Martin", AsOf: asOf}); err == nil {
		want.Pivot.FamilyName, want.Pivot.Birthdate = "", ""
		if !reflect.DeepEqual(id, want) {
			t.Errorf("what is left of the account: %#v, want %#v", id, want)
		}
	}
}

func TestRead_WhatASchemaDoesNotTakeIsNotLookedAt_UI_04(t *testing.T) {
	sent := said()
	sent.Texts[protocol.PreferredUsername] = "\x00"
	sent.Unread = []Flaw{{protocol.Email, WrongType}}
	id, dropped, err := Schema{Civil: true, Optional: []protocol.Claim{}}.Read(sent, asOf)
	want := Identity{Pivot: angela(), Civil: true, AMR: []string{"pwd"}, AsOf: asOf}
	if err != nil || dropped != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("Read = %#v, %v, %v", id, dropped, err)
	}
}

func TestRead_OfAnAddressOnlyTheCommuneIsKept(t *testing.T) {
	tests := []struct {
		name             string
		schema           Schema
		address          Address
		unread           []Flaw
		want             Residence
		refused, dropped []string
	}{
		{"a commune", Schema{}, Address{"69100", "Villeurbanne", "FR"}, nil, "69266", nil, nil},
		{"one that is not taken is not looked at", Schema{Optional: []protocol.Claim{}}, Address{"x", "\x00", ""}, nil, "", nil, nil},
		{"nothing", Schema{}, Address{}, nil, "", nil, nil},
		{"nothing, where it is required", Schema{Required: []protocol.Claim{AddressClaim}}, Address{}, nil, "", []string{"address: missing"}, nil},
		{"abroad", Schema{Required: []protocol.Claim{AddressClaim}}, Address{"10115", "Berlin", "DE"}, nil, "", nil, nil},
		{"an optional one that breaks a rule is left out", Schema{}, Address{"69100", "Paris", ""}, nil, "", nil, []string{"address: unknown_value"}},
		{"a required one refuses", Schema{Required: []protocol.Claim{AddressClaim}}, Address{"69100", "Paris", ""}, nil, "", []string{"address: unknown_value"}, nil},
		{"two that differ", Schema{}, Address{}, []Flaw{{AddressClaim, SeveralValues}}, "", nil, []string{"address: several_values"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := Sent{Address: tt.address, Unread: tt.unread}
			refused, dropped := reasons(tt.schema, sent)
			if !reflect.DeepEqual(refused, tt.refused) || !reflect.DeepEqual(dropped, tt.dropped) {
				t.Errorf("refused %q, dropped %q; want %q, %q", refused, dropped, tt.refused, tt.dropped)
			}
			if id, _, _ := tt.schema.Read(sent, asOf); id.Residence != tt.want {
				t.Errorf("%q, want %q", id.Residence, tt.want)
			}
		})
	}
}

func TestAL_02_TheFlagIsTheProvidersOrNone(t *testing.T) {
	for name, tt := range map[string]struct {
		schema Schema
		change func(*Sent)
		want   bool
	}{
		"true":                       {Schema{}, func(*Sent) {}, true},
		"not true":                   {Schema{}, func(s *Sent) { s.Verified = false }, false},
		"no address":                 {Schema{}, func(s *Sent) { s.Texts[protocol.Email] = "" }, false},
		"an address that is dropped": {Schema{}, func(s *Sent) { s.Texts[protocol.Email] = "a@b@c.fr" }, false},
		"another type beside true":   {Schema{}, func(s *Sent) { s.Unread = []Flaw{{EmailVerified, WrongType}} }, false},
		"not taken from it":          {Schema{Optional: []protocol.Claim{protocol.Email}}, func(*Sent) {}, false},
	} {
		sent := said()
		tt.change(&sent)
		if id, _, err := tt.schema.Read(sent, asOf); err != nil || id.EmailVerified != tt.want {
			t.Errorf("%s: verified %v, %v", name, id.EmailVerified, err)
		}
	}
}

// What strangers write into facts, one row each (UI-03). refused: of a civil identity.
func TestUI_03_HostileValues(t *testing.T) {
	type row struct {
		name  string
		claim protocol.Claim
		value string
		want  Rule // "": it is taken
	}
	var rows []row
	for _, c := range []protocol.Claim{protocol.GivenName, protocol.FamilyName} {
		rows = append(rows,
			row{"a NUL", c, "Ange\x00la", ForbiddenCharacter}, row{"an escape", c, "Angela\x1b[2J", ForbiddenCharacter},
			row{"a line break", c, "Angela\r\nSet-Cookie", ForbiddenCharacter}, row{"a right-to-left override", c, "Ang\u202eela", ForbiddenCharacter},
			row{"an isolate", c, "\u2066Angela", ForbiddenCharacter}, row{"a zero-width joiner", c, "Ang\u200dela", ForbiddenCharacter},
			row{"a byte order mark", c, "\ufeffAngela", ForbiddenCharacter}, row{"a soft hyphen", c, "Ange\u00adla", ForbiddenCharacter},
			row{"a private character", c, "Angela\ue000", ForbiddenCharacter}, row{"HTML", c, "<script>", ForbiddenCharacter},
			row{"a megabyte", c, strings.Repeat("A", 1<<20), TooLong}, row{"257 letters", c, strings.Repeat("é", 257), TooLong},
			row{"bytes of Latin-1", c, "Ang\xe9la", BadEncoding}, row{"a lost letter", c, "Ang\ufffdla", BadEncoding},
			row{"digits", c, "12345", NoLetter}, row{"spaces", c, " \u00a0 ", Missing},
			row{"a Cyrillic а among Latin letters", c, "Angel\u0430", MixedScripts}, row{"a Greek Α before Latin letters", c, "\u0391ngela", MixedScripts},
			row{"all Cyrillic", c, "Ангела", ""}, row{"all Greek", c, "Αγγέλα", ""}, row{"combining marks", c, "Ange\u0301la", ""}, row{"a modifier apostrophe", c, "Hawaiʼi", ""},
		)
	}
	rows = append(rows,
		row{"year 0", protocol.Birthdate, "0000-00-00", NoSuchDay}, row{"the 13th month", protocol.Birthdate, "1980-13-45", NoSuchDay},
		row{"a day of no month", protocol.Birthdate, "1980-00-05", NoSuchDay}, row{"31 April", protocol.Birthdate, "1980-04-31", NoSuchDay},
		row{"29 February of a leap year", protocol.Birthdate, "2000-02-29", ""}, row{"29 February of a common year", protocol.Birthdate, "1900-02-29", NoSuchDay},
		row{"tomorrow", protocol.Birthdate, "2026-03-02", InFuture}, row{"next year, presumed", protocol.Birthdate, "2027-00-00", InFuture},
		row{"150 years ago", protocol.Birthdate, "1876-01-01", ""}, row{"longer ago", protocol.Birthdate, "1875-12-31", TooOld},
		row{"presumed", protocol.Birthdate, "1980-00-00", ""}, row{"spaces around it", protocol.Birthdate, " 1980-01-02 ", ""},
		row{"the French way", protocol.Birthdate, "24/08/1962", Malformed}, row{"with a time", protocol.Birthdate, "1962-08-24T00:00:00Z", Malformed},
		row{"other digits", protocol.Birthdate, "１９６２-08-24", Malformed}, row{"a negative year", protocol.Birthdate, "-962-08-24", Malformed},
		row{"capitals", protocol.Gender, "FEMALE", ""}, row{"another word", protocol.Gender, "woman", UnknownValue}, row{"a Turkish dotted capital", protocol.Gender, "UNSPECİFİED", UnknownValue},
		row{"an ISO code", protocol.Birthcountry, "FR", Malformed}, row{"no country", protocol.Birthcountry, "99998", UnknownCode},
		row{"no commune", protocol.Birthplace, "00123", UnknownCode}, row{"a postal code of no commune's form", protocol.Birthplace, "2C004", Malformed},
		row{"Corsica in small letters", protocol.Birthplace, "2a004", ""}, row{"a name", protocol.Birthplace, "Paris", Malformed},
		row{"a country", protocol.Birthplace, "99134", Contradiction},
	)
	for _, r := range rows {
		t.Run(string(r.claim)+" "+r.name, func(t *testing.T) {
			sent := said()
			sent.Texts[r.claim] = r.value
			var want []string
			if r.want != "" {
				want = []string{Flaw{r.claim, r.want}.String()}
			}
			if refused, dropped := reasons(Schema{Civil: true}, sent); !reflect.DeepEqual(refused, want) || dropped != nil {
				t.Errorf("refused %q, dropped %q; want %q", refused, dropped, want)
			}
		})
	}
}

func TestUI_03_PlacesAndTimesThatDoNotGoTogether(t *testing.T) {
	tests := []struct {
		name, country, place, date string
		refused, dropped           []string
	}{
		{"Corsica's old code before it was divided", France, "20004", "1975-06-01", nil, nil},
		{"and after", France, "20004", "1980-06-01", []string{"birthplace: not_at_birth"}, nil},
		{"Tunisia after its protectorate", France, "96351", "1961-06-01", []string{"birthplace: not_at_birth"}, nil},
		{"a commune that never was, since the table is whole", France, "75999", "2005-06-01", []string{"birthplace: unknown_code"}, nil},
		{"a commune that may have been merged away", France, "78999", "1951-06-01", nil, nil},
		{"a commune of France beside another country", "99109", "75107", "1980-06-01", nil, []string{"birthplace: contradicts_birthcountry"}},
		{"a foreign town beside another country", "99109", "Wien", "1980-06-01", nil, nil},
		{"nothing beside another country", "99109", "", "1980-06-01", nil, nil},
		{"nothing beside France", France, "", "1980-06-01", []string{"birthplace: missing"}, nil},
		{"a country in place of a commune of France", France, "99109", "1980-06-01", []string{"birthplace: contradicts_birthcountry"}, nil},
		{"a country that is none, and nothing beside it", "99998", "", "1980-06-01", []string{"birthcountry: unknown_code"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := said()
			sent.Texts[protocol.Birthcountry], sent.Texts[protocol.Birthplace], sent.Texts[protocol.Birthdate] = tt.country, tt.place, tt.date
			refused, dropped := reasons(Schema{Civil: true}, sent)
			if !reflect.DeepEqual(refused, tt.refused) || !reflect.DeepEqual(dropped, tt.dropped) {
				t.Errorf("refused %q, dropped %q; want %q, %q", refused, dropped, tt.refused, tt.dropped)
			}
		})
	}
}

func TestRead_WhatAProviderKnowsBetter(t *testing.T) {
	sent := said()
	sent.Texts[protocol.GivenName], sent.Texts[protocol.FamilyName], sent.Texts[protocol.Birthdate] = "Ангела", "d’Œillet-L'Étançon ʼỲ", "1980-05-00"
	if refused, _ := reasons(Schema{Civil: true, Latin: true, WholeDates: true}, sent); !slices.Equal(refused, []string{"given_name: other_script", "birthdate: presumed_date"}) {
		t.Errorf("refused %q", refused)
	}
	sent.Unread = []Flaw{{protocol.FamilyName, SeveralValues}}
	if refused, _ := reasons(Schema{Civil: true}, sent); !slices.Equal(refused, []string{"family_name: several_values"}) {
		t.Errorf("refused %q", refused)
	}
}

func TestEmail_RFC5321_4_5_3_1(t *testing.T) {
	local, label := strings.Repeat("a", 64), strings.Repeat("b", 63)
	long := local + "@" + label + "." + label + "." + strings.Repeat("c", 61) // 64 + 1 + 63 + 1 + 63 + 1 + 61 = 254
	tests := []struct {
		name, value string
		want        Rule
	}{
		{"plain", "angela@example.org", ""},
		{"capitals stay", "Angela.Dubois@Example.ORG", ""},
		{"plus, quote and hyphen", "o'hara+tax-2@sub.example.org", ""},
		{"letters of the person's own script (RFC 6531)", "иван@почта.рф", ""},
		{"accents", "zoé@étançon.example", ""},
		{"254 bytes", long, ""},
		{"255 bytes", long + "c", TooLong},
		{"a local part of 65 bytes", "a" + local + "@example.org", TooLong},
		{"a label of 64 bytes", "a@b" + label + ".org", TooLong},
		{"no at sign", "angela", Malformed},
		{"two at signs", "angela@b@example.org", Malformed},
		{"nothing before it", "@example.org", Malformed},
		{"nothing after it", "angela@", Malformed},
		{"one label", "angela@localhost", Malformed},
		{"an empty label", "angela@example..org", Malformed},
		{"a dot at the end", "angela@example.org.", Malformed},
		{"two dots", "an..gela@example.org", Malformed},
		{"a hyphen at the end of a label", "angela@example-.org", Malformed},
		{"a space", "an gela@example.org", Malformed},
		{"a quoted local part", `"angela@x"@example.org`, Malformed},
		{"a comment", "angela(tax)@example.org", Malformed},
		{"an address literal", "angela@[192.0.2.1]", Malformed},
		{"two addresses", "angela@example.org,eve@example.org", Malformed},
		{"digits of another script", "angela@example٣.org", Malformed},
		{"a display name", "Angela <angela@example.org>", ForbiddenCharacter},
		{"a line break", "angela@example.org\nBcc: eve@example.org", ForbiddenCharacter},
		{"a right-to-left override", "angela@\u202eexample.org", ForbiddenCharacter},
		{"a zero-width space", "ange\u200bla@example.org", ForbiddenCharacter},
		{"a Cyrillic а in the domain", "angela@ex\u0430mple.org", MixedScripts},
		{"a Cyrillic а in the local part", "\u0430ngela@example.org", MixedScripts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rule := email(tt.value)
			if rule != tt.want || rule == "" && got != tt.value {
				t.Errorf("email = %q, %q; want %q", got, rule, tt.want)
			}
		})
	}
}

func TestRules_AreWordsOfAClosedList(t *testing.T) {
	seen := map[Rule]bool{}
	for _, r := range Rules() {
		if seen[r] || strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("rule %q", r)
		}
		seen[r] = true
	}
}

// checkRead holds for whatever anybody sends: what is taken is taken again unchanged,
// the person stays the same, and every claim that is refused or left out is named
// once, by a rule of the list.
func checkRead(t interface{ Fatalf(string, ...any) }, s Schema, sent Sent) {
	id, dropped, err := s.Read(sent, asOf)
	flaws := dropped
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		flaws = slices.Concat(invalid.Flaws, invalid.Dropped)
	} else if err != nil {
		t.Fatalf("error of another kind: %v", err)
	}
	seen := map[protocol.Claim]bool{}
	for _, f := range flaws {
		if seen[f.Claim] || !slices.Contains(Rules(), f.Rule) || f.Claim != protocol.AMR && !s.Takes(f.Claim) {
			t.Fatalf("flaws %v", flaws)
		}
		seen[f.Claim] = true
	}
	if err != nil {
		if len(invalid.Flaws) == 0 || id.Has() != nil {
			t.Fatalf("refused for nothing, or in part: %#v, %v", id, err)
		}
		return
	}
	texts := id.Pivot.texts()
	texts[protocol.PreferredUsername], texts[protocol.Email] = id.PreferredUsername, id.Email
	// Of the address only the commune is left, so it is sent as it was.
	again, more, err := s.Read(Sent{Texts: texts, Verified: id.EmailVerified, AMR: id.AMR, Address: sent.Address, Unread: unread(sent, AddressClaim)}, asOf)
	more = slices.DeleteFunc(more, func(f Flaw) bool { return f.Claim == AddressClaim })
	if err != nil || len(more) != 0 || !reflect.DeepEqual(id, again) {
		t.Fatalf("Read is not idempotent: %#v then %#v, %v, %v", id, again, more, err)
	}
	if s.Civil {
		before := Pivot{sent.Texts[protocol.GivenName], sent.Texts[protocol.FamilyName], sent.Texts[protocol.Birthdate], sent.Texts[protocol.Gender], sent.Texts[protocol.Birthplace], sent.Texts[protocol.Birthcountry]}
		if string(before.Canonical()) != string(id.Pivot.Canonical()) {
			t.Fatalf("Read changes the person of %#v", before)
		}
	}
}

// unread is what of sent cannot be read of one claim.
func unread(sent Sent, c protocol.Claim) []Flaw {
	return slices.DeleteFunc(slices.Clone(sent.Unread), func(f Flaw) bool { return f.Claim != c })
}

func TestRead_IsIdempotentAndNamesEachClaimOnce(t *testing.T) {
	near := func(values ...string) *rapid.Generator[string] {
		return rapid.OneOf(rapid.SampledFrom(values), rapid.StringOfN(rapid.RuneFrom([]rune("aAée\u0301ßİı -'’\u00a0@.а<\x00\u202e0\ufffd")), 0, 8, -1))
	}
	values := map[protocol.Claim]*rapid.Generator[string]{
		protocol.GivenName: near("Angela", " Jose\u0301  Zoé "), protocol.FamilyName: near("DUBOIS", "d’Arc"),
		protocol.Birthdate: near("1962-08-24", "1980-00-00", "2031-01-01", " 2000-02-29"), protocol.Gender: near("female", "Male", "x"),
		protocol.Birthplace: near("75107", "2a004", "", "20004", "99109"), protocol.Birthcountry: near(France, "99109", "99998", " 99100"),
		protocol.PreferredUsername: near("Ada", ""), protocol.Email: near("ada@example.org", "Ada@b"),
	}
	rapid.Check(t, func(t *rapid.T) {
		sent := Sent{Texts: map[protocol.Claim]string{}, Verified: rapid.Bool().Draw(t, "verified"), AMR: rapid.SliceOfN(near("pwd"), 0, 3).Draw(t, "amr")}
		for _, c := range append(pivotClaims(), protocol.PreferredUsername, protocol.Email) {
			sent.Texts[c] = values[c].Draw(t, string(c))
		}
		sent.Address = Address{near("69100", "75000").Draw(t, "postal code"), near("Villeurbanne", "").Draw(t, "town"), near("", "FR", "IE").Draw(t, "country")}
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(Facts()), 0, 3, func(c protocol.Claim) protocol.Claim { return c })
		for _, c := range some.Draw(t, "unread") {
			sent.Unread = append(sent.Unread, Flaw{c, WrongType})
		}
		schema := Schema{
			Civil: rapid.Bool().Draw(t, "civil"), Required: some.Draw(t, "required"), Latin: rapid.Bool().Draw(t, "latin"), WholeDates: rapid.Bool().Draw(t, "whole"),
		}
		if rapid.Bool().Draw(t, "listed") {
			schema.Optional = some.Draw(t, "optional")
		}
		checkRead(t, schema, sent)
	})
}

func FuzzRead(f *testing.F) {
	f.Add("Angela", "DUBOIS", "1962-08-24", "female", "75107", France, "ada@example.org", "pwd", uint8(1))
	f.Add("e\u0301\u0345", "≮ǆ\u0345", "1980-00-00", "Male", "2a004", "99109", "a@b@c", "\x00", uint8(255))
	f.Fuzz(func(t *testing.T, given, family, date, gender, place, country, mail, amr string, how uint8) {
		s := Schema{Civil: how&1 != 0, Latin: how&2 != 0, WholeDates: how&4 != 0}
		if how&8 != 0 {
			s.Required = []protocol.Claim{protocol.Email, protocol.PreferredUsername}
		}
		if how&16 != 0 {
			s.Optional = []protocol.Claim{protocol.Email, EmailVerified}
		}
		texts := Pivot{given, family, date, gender, place, country}.texts()
		texts[protocol.Email], texts[protocol.PreferredUsername] = mail, mail
		checkRead(t, s, Sent{Texts: texts, Verified: how&32 != 0, AMR: []string{amr}})
	})
}
