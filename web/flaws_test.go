package web

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
)

func flawsPage() FlawsPage {
	return FlawsPage{
		Client: library, Provider: taxes, Number: "abcd-efgh-jkmn-pqrs", Another: "/login/f1", Cancel: "/login/f1/cancel",
		Flaws: []Flaw{{protocol.FamilyName, FlawMissing}, {protocol.Birthdate, FlawDate}, {protocol.Birthplace, FlawUnknown}},
	}
}

func TestFlaws_WhatAPersonMustSee(t *testing.T) {
	s := newSite(t, io.Discard)
	page := parse(t, get(s.Page("x", samples(s)["flaws"]), "/login/f1", "en").Body.String())
	at, read := 0, page.text()
	for _, want := range []string{
		"Your details from Tax office cannot be used", "You did nothing wrong.", "City library has received nothing about you.",
		"What is wrong", "Birth name was not sent", "Date of birth was sent, but it is not a possible date",
		"Town of birth (INSEE code) was sent, but no official list has it",
		"Ask Tax office to correct these details.", "sign in now with another account", "Choose another account",
		"Go back to City library without signing in", "Number to give if you ask for help: abcd-efgh-jkmn-pqrs",
	} {
		i := strings.Index(read[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing or too early in: %s", want, read)
		}
		at += i
	}
	for id, action := range map[string]string{"another": "/login/f1", "cancel": "/login/f1/cancel"} {
		if form := page.id(t, id).parent; form.name != "form" || form.attr("method") != "post" || form.attr("action") != action {
			t.Errorf("%s posts to %v", id, form.attrs)
		}
	}
}

func TestFlaws_EveryCodeHasWordsOfItsOwnInEveryLanguage(t *testing.T) {
	s := newSite(t, io.Discard)
	for _, lang := range s.langs {
		seen := map[string]FlawCode{}
		for _, code := range FlawCodes() {
			p := flawsPage()
			p.Flaws = []Flaw{{protocol.Birthdate, code}}
			h := s.Page("x", func(w http.ResponseWriter, r *http.Request) error { return s.Flaws(w, r, p) })
			words := parse(t, get(h, "/login/f1", lang).Body.String()).id(t, "flaw-birthdate").text()
			if words == "" || seen[words] != "" {
				t.Errorf("%s: %s says %q, and so does %q", lang, code, words, seen[words])
			}
			seen[words] = code
		}
	}
}
