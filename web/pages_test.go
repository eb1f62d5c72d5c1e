package web

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

var update = flag.Bool("update", false, "write the golden pages anew")

var (
	library = text("Médiathèque", "City library")
	taxes   = text("Impôts", "Tax office")
	purpose = text("Ouvrir votre compte de lecteur", "Open your reader account")
)

func choosePage() ChoosePage {
	return ChoosePage{
		Client: library, Purpose: purpose, Action: "/login/f1/provider", Cancel: "/login/f1/cancel",
		Providers: []ProviderChoice{
			{ID: "tax", Name: taxes, ACR: protocol.EIDAS1},
			{ID: "post", Name: text("Bureau de poste", "Post office"), ACR: protocol.EIDAS2},
			{ID: "city", Name: text("Ville", "City"), ACR: protocol.EIDAS1, TooWeak: true},
		},
	}
}

func consentPage() ConsentPage {
	return ConsentPage{
		Client: library, Purpose: purpose, Provider: taxes, Basis: "consent", Retention: "P1Y6M", Remember: "P1Y",
		Action: "/login/f1/consent", Change: "/login/f1",
		Required: []ClaimValue{
			{Claim: protocol.GivenName, Value: "Anne-Sophie Zoé"},
			{Claim: protocol.FamilyName, Value: "d'Alençon"},
			{Claim: protocol.Birthdate, Value: "1980-03-12"},
			{Claim: protocol.Gender, Value: "female"},
			{Claim: protocol.Birthplace, Value: "75107"},
			{Claim: protocol.Birthcountry, Value: "99100"},
			{Claim: protocol.AgeOver18, Value: true},
			{Claim: protocol.ResidentOfDepartement, Value: "69", Place: "Rhône"},
		},
		Optional: []ClaimValue{
			{Claim: protocol.Email, Value: "anne@courriel.example", Verified: true},
			{Claim: protocol.PreferredUsername, Value: "Zoé D."},
		},
	}
}

// samples is every page, as golden files keep it.
func samples(s *Site) map[string]Handler {
	choose := func(change func(*ChoosePage)) Handler {
		p := choosePage()
		change(&p)
		return func(w http.ResponseWriter, r *http.Request) error { return s.Choose(w, r, p) }
	}
	consent := func(change func(*ConsentPage)) Handler {
		p := consentPage()
		change(&p)
		return func(w http.ResponseWriter, r *http.Request) error { return s.Consent(w, r, p) }
	}
	return map[string]Handler{
		"choose": choose(func(*ChoosePage) {}),
		"choose_notice": choose(func(p *ChoosePage) {
			p.Notice = Notice{Code: NoticeMissingClaim, Provider: taxes, Claims: []protocol.Claim{protocol.Birthdate, protocol.Email}}
		}),
		"choose_step_up": choose(func(p *ChoosePage) {
			p.Notice = Notice{Code: NoticeStepUp, Provider: taxes, Has: protocol.EIDAS1, Needs: protocol.EIDAS2}
			p.Hidden = true
		}),
		"consent_switched": consent(func(p *ConsentPage) { p.Switched = true }),
		"choose_many": choose(func(p *ChoosePage) {
			p.Self, p.Forget, p.Search, p.Found, p.Page, p.Pages = "/login/f1", "/login/f1/forget", true, 120, 2, 3
			p.Providers = append(p.Providers,
				ProviderChoice{ID: "down", Name: text("Région", "Region"), ACR: protocol.EIDAS2, Down: true, Logo: "/static/logo/down-HASH.png"},
				ProviderChoice{ID: "new", Name: text("Carte", "Card"), ACR: protocol.EIDAS3, Beta: true})
			p.Providers[0].Remembered = true
		}),
		"choose_found": choose(func(p *ChoosePage) {
			p.Self, p.Search, p.Query, p.Found, p.Page, p.Pages = "/login/f1", true, "Lyon & <co>", 60, 1, 2
		}),
		"choose_nothing": choose(func(p *ChoosePage) { p.Self, p.Search, p.Query, p.Providers = "/login/f1", true, "xyz", nil }),
		"leave": func(w http.ResponseWriter, r *http.Request) error {
			return s.Leave(w, r, LeavePage{ID: "tax", Provider: taxes, Text: text("Munissez-vous de votre avis.", "Have your notice at hand."), Action: "/login/f1/provider", Back: "/login/f1"})
		},
		"flaws": func(w http.ResponseWriter, r *http.Request) error {
			return s.Flaws(w, r, flawsPage())
		},
		"status": func(w http.ResponseWriter, r *http.Request) error {
			return s.Status(w, r, StatusPage{Providers: []ProviderStatus{
				{ID: "tax", Name: taxes, State: "works", Since: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)},
				{ID: "post", Name: text("Bureau de poste", "Post office"), State: "unavailable", Since: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)},
				{ID: "city", Name: text("Ville", "City"), State: "switched_off"},
			}})
		},
		"status_statistics": func(w http.ResponseWriter, r *http.Request) error {
			return s.Status(w, r, StatusPage{Providers: []ProviderStatus{{ID: "tax", Name: taxes, State: "works"}}, Statistics: figures()})
		},
		"choose_none":     choose(func(p *ChoosePage) { p.Providers = nil }),
		"consent":         consent(func(*ConsentPage) {}),
		"consent_public":  consent(func(p *ConsentPage) { p.Basis, p.Optional, p.Remember = "public_task", nil, "" }),
		"consent_law":     consent(func(p *ConsentPage) { p.Basis, p.Change = "legal_obligation", "" }),
		"consent_nothing": consent(func(p *ConsentPage) { p.Required, p.Optional, p.Remember, p.Retention = nil, nil, "PT0S", "" }),
		"consent_offline": consent(func(p *ConsentPage) { p.OfflineUntil = "2027-05-22" }),
		"form_post": func(w http.ResponseWriter, r *http.Request) error {
			return s.FormPost(w, r, FormPostPage{Client: library, Action: "https://lib.example/cb?x=1&y=2", Fields: []Field{{"code", "abc"}, {"state", `"><x`}, {"iss", issuer}}})
		},
		"wait": func(w http.ResponseWriter, r *http.Request) error {
			return s.Wait(w, r, WaitPage{URL: "/login/f1"})
		},
		"home": s.Home,
		"me":   s.meCase,
		"me_out": func(w http.ResponseWriter, r *http.Request) error {
			return s.Me(w, r, MePage{})
		},
		"me_close": func(w http.ResponseWriter, r *http.Request) error {
			return s.MeClose(w, r, false)
		},
		"me_closed": func(w http.ResponseWriter, r *http.Request) error {
			return s.MeClose(w, r, true)
		},
		"logout": func(w http.ResponseWriter, r *http.Request) error {
			return s.Logout(w, r, LogoutPage{Client: library, Provider: taxes, Action: "/logout/answer", Form: "SEALED"})
		},
		"logged_out": func(w http.ResponseWriter, r *http.Request) error {
			return s.LoggedOut(w, r, LoggedOutPage{
				Client: library, Provider: taxes, Next: "https://lib.example/out?a=1&state=s",
				Frames: []string{"https://lib.example/fc?iss=x&sid=y", "https://town.example/fc"},
			})
		},
		"logged_out_relay": func(w http.ResponseWriter, r *http.Request) error {
			return s.LoggedOut(w, r, LoggedOutPage{Provider: taxes, Next: "https://idp.example/logout", Relay: true, Frames: []string{"https://lib.example/fc"}})
		},
		"logged_out_nothing": func(w http.ResponseWriter, r *http.Request) error {
			return s.LoggedOut(w, r, LoggedOutPage{Nothing: true})
		},
		"error_person_blocked": func(http.ResponseWriter, *http.Request) error {
			return &Problem{Code: PersonBlocked, TurnBack: &TurnBack{Action: "/login/f1/cancel"}}
		},
		"error_civil_status": func(http.ResponseWriter, *http.Request) error {
			return &Problem{
				Code: CivilStatus, Back: &Back{Client: library, URL: "https://lib.example/"},
				Contact: protocol.Text{"fr": "registre@civil.example, 01 99 00 00 00", "en": "registry@civil.example, 01 99 00 00 00"},
			}
		},
		"error": func(http.ResponseWriter, *http.Request) error {
			return &Problem{Code: FlowNotYours, Back: &Back{Client: library, URL: "https://lib.example/cb?error=access_denied&state=1"}}
		},
	}
}

var (
	assetHash = regexp.MustCompile(`/static/(\w+)-[\w-]+\.`)
	nonce     = regexp.MustCompile(`nonce="[\w-]{22}"`)

	nonceSource = regexp.MustCompile(`'nonce-[\w-]{22}'`)
)

// stable replaces what is random or follows from another file.
func stable(w *httptest.ResponseRecorder) string {
	out := assetHash.ReplaceAllString(w.Body.String(), "/static/$1-HASH.")
	out = nonce.ReplaceAllString(out, `nonce="NONCE"`)
	return strings.ReplaceAll(out, w.Header().Get("X-Correlation-Id"), "NUMBER")
}

func TestPages_Golden(t *testing.T) {
	s := newSite(t, io.Discard)
	for name, h := range samples(s) {
		for _, lang := range s.langs {
			t.Run(name+"/"+lang, func(t *testing.T) {
				got := stable(get(s.Page(name, h), "/login/f1", lang))
				file := filepath.Join("testdata", name+"."+lang+".html")
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // test data in the repository
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("%s differs; go test ./web -update, and read the difference", file)
				}
			})
		}
	}
}

func TestPages_EveryPageIsSoundForEveryone(t *testing.T) {
	s := newSite(t, io.Discard)
	titles := map[string]string{}
	for name, h := range samples(s) {
		for _, lang := range s.langs {
			w := get(s.Page(name, h), "/login/f1", lang)
			page := parse(t, w.Body.String())
			if got := page.one(t, "html").attr("lang"); got != lang {
				t.Errorf("%s: lang %q, want %q", name, got, lang)
			}
			for _, el := range []string{"h1", "main", "title", "header", "footer"} {
				if n := len(page.all(el)); n != 1 {
					t.Errorf("%s/%s: %d <%s>, want 1", name, lang, n, el)
				}
			}
			title := page.one(t, "title").text()
			if !strings.HasSuffix(title, " – Voussoir") || title == "– Voussoir" {
				t.Errorf("%s/%s: title %q", name, lang, title)
			}
			titles[title] = name
			ids := map[string]bool{}
			page.walk(func(n *node) {
				if id := n.attr("id"); id != "" && ids[id] {
					t.Errorf("%s/%s: id %q occurs twice", name, lang, id)
				}
				ids[n.attr("id")] = true
				if n.has("style") || n.has("onclick") || n.has("onload") {
					t.Errorf("%s/%s: <%s> has a style or script of its own, which the policy blocks", name, lang, n.name)
				}
				if n.name == "button" && n.text() == "" {
					t.Errorf("%s/%s: a button without words", name, lang)
				}
				for _, a := range []string{"src", "href"} {
					v := n.attr(a)
					if n.name == "iframe" && n.has("hidden") && n.attr("title") != "" {
						continue // the policy says from where, see headers_test.go
					}
					if n.name != "a" && v != "" && !strings.HasPrefix(v, "/static/") {
						t.Errorf("%s/%s: <%s> loads %q", name, lang, n.name, v)
					}
				}
			})
			if strings.Contains(w.Body.String(), "[[") || strings.Contains(w.Body.String(), "{{") || strings.Contains(w.Body.String(), "ZgotmplZ") {
				t.Errorf("%s/%s: a placeholder is left", name, lang)
			}
			if w.Header().Get("Content-Length") == "" {
				t.Errorf("%s/%s: no Content-Length", name, lang)
			}
		}
	}
}

func TestChoose_WhatAPersonMustSee(t *testing.T) {
	s := newSite(t, io.Discard)
	page := parse(t, get(s.Page("x", samples(s)["choose"]), "/login/f1", "en").Body.String())
	tests := []struct {
		id, value, says string
		disabled        bool
	}{
		{"provider-tax", "tax", "Tax office Security level: basic (a password, for example)", false},
		{"provider-post", "post", "Post office Security level: strong (two proofs, for example a password and a code on your phone)", false},
		{"provider-city", "city", "City This account is not secure enough for this service. Security level: basic (a password, for example)", true},
	}
	form := page.id(t, "provider-tax").parent.parent.parent
	if form.name != "form" || form.attr("method") != "post" || form.attr("action") != "/login/f1/provider" {
		t.Errorf("the buttons are in <%s %v>", form.name, form.attrs)
	}
	for _, tt := range tests {
		b := page.id(t, tt.id)
		if b.name != "button" || b.attr("name") != "provider" || b.attr("value") != tt.value || b.text() != tt.says || b.has("disabled") != tt.disabled {
			t.Errorf("%s: %v says %q, want %+v", tt.id, b.attrs, b.text(), tt)
		}
	}
	if n := len(form.all("button")); n != 3 {
		t.Errorf("%d buttons in the form, want 3", n)
	}
	if got := page.id(t, "cancel").parent.attr("action"); got != "/login/f1/cancel" {
		t.Errorf("cancel posts to %q", got)
	}
	if h1 := page.one(t, "h1").text(); h1 != "Sign in to City library" {
		t.Errorf("h1 %q", h1)
	}
	if !strings.Contains(page.text(), "Purpose: Open your reader account") {
		t.Error("the purpose is not shown")
	}
}

func TestChoose_EveryNoticeNamesTheProviderInEveryLanguage(t *testing.T) {
	s := newSite(t, io.Discard)
	codes := []NoticeCode{NoticeCancelled, NoticeCondition, NoticeConditionUnknown, NoticeRefused, NoticeUnavailable, NoticeInvalid, NoticeTooWeak, NoticeTooOld, NoticeBadIdentity, NoticeMissingClaim,
		NoticeRegistrySeveral, NoticeRegistryNone, NoticeRegistryRefused, NoticeRegistryDeceased, NoticeRegistryUnavailable,
		NoticeRegistryAmbiguous, NoticeRegistryNotCivil}
	for _, lang := range s.langs {
		for _, c := range codes {
			p := choosePage()
			p.Notice = Notice{Code: c, Provider: taxes, Claims: []protocol.Claim{protocol.Birthdate}}
			h := s.Page("x", func(w http.ResponseWriter, r *http.Request) error { return s.Choose(w, r, p) })
			var notice *node
			parse(t, get(h, "/login/f1", lang).Body.String()).walk(func(n *node) {
				if n.attr("role") == "alert" {
					notice = n
				}
			})
			if notice == nil || !strings.Contains(notice.text(), taxes.In(lang)) {
				t.Errorf("%s/%s: no notice that names the provider", lang, c)
			}
			if c == NoticeMissingClaim && !strings.Contains(notice.text(), s.words[lang].label(protocol.Birthdate)) {
				t.Errorf("%s: the notice does not name the fact: %q", lang, notice.text())
			}
		}
	}
}

func TestConsent_WhatAPersonMustSee(t *testing.T) {
	s := newSite(t, io.Discard)
	page := parse(t, get(s.Page("x", samples(s)["consent"]), "/login/f1", "fr").Body.String())
	// In this order: who, why, which facts, from whom, for how long, what is not
	// passed on, the pseudonym, the answer.
	at, read := 0, page.text()
	for _, want := range []string{
		"Transmettre ces informations à Médiathèque ?", "Qui demande Médiathèque", "Pourquoi Ouvrir votre compte de lecteur",
		"Rien n’est transmis sans votre accord", "Prénoms Anne-Sophie Zoé", "Nom de naissance d'Alençon", "Date de naissance 12 mars 1980",
		"Sexe féminin", "Commune de naissance (code INSEE) 75107", "Pays de naissance (code INSEE) 99100 (France)", "Vous avez 18 ans ou plus oui",
		"Facultatif", "Adresse électronique anne@courriel.example (vérifiée)", "Nom d’usage Zoé D.",
		"D’où viennent ces informations Impôts", "Combien de temps Médiathèque les garde 1 an et 6 mois", "pendant 1 an",
		"Rien d’autre n’est transmis. Médiathèque ne sait pas que vous utilisez Impôts, et Impôts ne sait pas que vous allez chez Médiathèque.",
		"Votre pseudonyme", "J’accepte", "Je refuse",
	} {
		i := strings.Index(read[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing or too early in: %s", want, read)
		}
		at += i
	}
	for _, c := range []string{"email", "preferred_username"} {
		box := page.id(t, "claim-"+c)
		if box.name != "input" || box.attr("type") != "checkbox" || box.attr("name") != "claim" || box.attr("value") != c || box.has("checked") {
			t.Errorf("checkbox of %s: %v", c, box.attrs)
		}
	}
	if n := len(page.all("input")); n != 2 {
		t.Errorf("%d inputs, want 2: nothing but the answer is read from the form", n)
	}
	agree, refuse := page.id(t, "consent-agree"), page.id(t, "consent-refuse")
	if agree.attr("name") != "answer" || agree.attr("value") != "agree" || refuse.attr("name") != "answer" || refuse.attr("value") != "refuse" {
		t.Errorf("answers: %v %v", agree.attrs, refuse.attrs)
	}
	// Equally easy: the same element in the same place with the same look.
	if agree.parent != refuse.parent || agree.attr("class") != refuse.attr("class") || agree.name != refuse.name {
		t.Error("agree and refuse do not look the same")
	}
}

func TestConsent_ShowsWhatElseIsAskedFor_RFC9396(t *testing.T) {
	s := newSite(t, io.Discard)
	show := func(details ...protocol.Text) string {
		h := s.Page("x", func(w http.ResponseWriter, r *http.Request) error {
			return s.Consent(w, r, ConsentPage{Client: protocol.Text{"en": "Library"}, Basis: "consent", Action: "/a", Details: details})
		})
		return parse(t, get(h, "/login/f1", "en").Body.String()).text()
	}
	read := show(protocol.Text{"en": "Issue a permit <b>now</b>", "fr": "x"}, protocol.Text{"fr": "Une phrase en français"})
	for _, want := range []string{"The service would also be allowed this: Issue a permit <b>now</b>", "Une phrase en français"} {
		if !strings.Contains(read, want) {
			t.Errorf("%q is missing in: %s", want, read)
		}
	}
	if strings.Contains(show(), "also be allowed") {
		t.Error("a heading without details")
	}
}

func TestConsent_TheWordsFollowTheLegalBasis(t *testing.T) {
	tests := []struct{ name, sample, lang, want, never string }{
		{"consent asks", "consent", "en", "Nothing is passed on unless you agree. You can refuse.", "Continue"},
		{"a public task informs", "consent_public", "en", "carries out a public task: the law does not require your agreement", "I agree"},
		{"a public task informs in French", "consent_public", "fr", "remplit une mission de service public", "J’accepte"},
		{"an obligation informs", "consent_law", "en", "The law obliges City library to receive these details", "I agree"},
		{"a public task that is not remembered", "consent_public", "en", "You will see this page each time", "remembered"},
		{"to come back without her", "consent_offline", "en", "If you agree, City library may also come back here in your name without you, and without asking you again, until 22 May 2027.", "while you were away"},
		{"to come back without her, in French", "consent_offline", "fr", "sans vous redemander, jusqu’au 22 mai 2027. ", "sans vous le redire"},
		{"and each time", "consent_offline", "en", "You will also see this page each time City library wants to be able to come back without you.", "without telling you again"},
		{"not to come back", "consent", "en", "I agree", "While you are away"},
		{"nothing but a pseudonym", "consent_nothing", "en", "Nothing about you but a pseudonym of this service.", "Optional"},
		{"nothing remembered, nothing said of how long", "consent_nothing", "en", "It is not remembered. You are asked each time you sign in.", "not at all"},
	}
	s := newSite(t, io.Discard)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, get(s.Page("x", samples(s)[tt.sample]), "/login/f1", tt.lang).Body.String()).text()
			if !strings.Contains(got, tt.want) || strings.Contains(got, tt.never) {
				t.Errorf("want %q and never %q in: %s", tt.want, tt.never, got)
			}
		})
	}
}

func TestConsent_DoesNotPromiseToHideAProviderThatItTells(t *testing.T) {
	s, p := newSite(t, io.Discard), consentPage()
	p.Optional = append(p.Optional, ClaimValue{Claim: protocol.IdPID, Value: "tax"})
	h := s.Page("x", func(w http.ResponseWriter, r *http.Request) error { return s.Consent(w, r, p) })
	if got := parse(t, get(h, "/x", "en").Body.String()).text(); strings.Contains(got, "does not learn that you use") {
		t.Errorf("the page says that the service does not learn the provider: %s", got)
	}
}

func TestPages_HostileTextIsEscaped_IN02(t *testing.T) {
	const script, quote, flip = `<script>alert(1)</script>`, `"><svg onload=alert(1)>`, "Anne\u202eeiluJ\u2066"
	hostile := text(script+quote, script+quote)
	s := newSite(t, io.Discard)
	choose, consent := choosePage(), consentPage()
	choose.Client, choose.Purpose, choose.Cancel = hostile, hostile, "/x"+quote
	choose.Notice = Notice{Code: NoticeMissingClaim, Provider: hostile, Claims: []protocol.Claim{script}}
	choose.Providers = []ProviderChoice{{ID: protocol.ProviderID(quote), Name: hostile, ACR: script}}
	consent.Client, consent.Purpose, consent.Provider, consent.Retention, consent.Remember = hostile, hostile, hostile, script, quote
	consent.Required = []ClaimValue{{Claim: protocol.GivenName, Value: script + quote + flip}, {Claim: protocol.AMR, Value: []string{script}}, {Claim: protocol.ResidentOfCommune, Value: quote, Place: script + flip}, {Claim: protocol.Birthdate, Value: script}}
	consent.Optional = []ClaimValue{{Claim: quote, Value: "{{7*7}}[[home.title]]"}}
	pages := map[string]Handler{
		"choose":  func(w http.ResponseWriter, r *http.Request) error { return s.Choose(w, r, choose) },
		"consent": func(w http.ResponseWriter, r *http.Request) error { return s.Consent(w, r, consent) },
		"form post": func(w http.ResponseWriter, r *http.Request) error {
			return s.FormPost(w, r, FormPostPage{Client: hostile, Action: "https://lib.example/?" + quote, Fields: []Field{{quote, script}}})
		},
		"error": func(http.ResponseWriter, *http.Request) error {
			return &Problem{Code: AlreadyAnswered, Back: &Back{Client: hostile, URL: "https://lib.example/" + quote}}
		},
		"protocol error": func(http.ResponseWriter, *http.Request) error {
			return protocol.Fail(script, nil, script+quote)
		},
	}
	for name, h := range pages {
		t.Run(name, func(t *testing.T) {
			body := get(s.Page("x", h), "/login/"+escapedPath(quote), "en").Body.String()
			page := parse(t, body)
			scripts := len(page.all("script"))
			if name == "form post" {
				scripts--
			}
			if scripts != 0 || strings.Contains(body, "<svg onload") || strings.ContainsAny(body, "\u202e\u2066") {
				t.Errorf("hostile text got through: %s", body)
			}
		})
	}
	read := parse(t, get(s.Page("x", pages["consent"]), "/x", "en").Body.String()).text()
	if !strings.Contains(read, script+quote+"Anne\ufffdeiluJ\ufffd") || !strings.Contains(read, "{{7*7}}[[home.title]]") {
		t.Errorf("the value is not shown as it is: %s", read)
	}
}

func escapedPath(s string) string {
	return strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E", " ", "%20").Replace(s)
}

func TestFormPost_WorksWithoutScriptAndRunsOnlyItsOwn(t *testing.T) {
	s := newSite(t, io.Discard)
	w := get(s.Page("x", samples(s)["form_post"]), "/login/f1/consent", "en")
	page := parse(t, w.Body.String())
	form := page.id(t, "answer")
	if form.attr("method") != "post" || form.attr("action") != "https://lib.example/cb?x=1&y=2" {
		t.Errorf("form %v", form.attrs)
	}
	got := map[string]string{}
	for _, in := range form.all("input") {
		got[in.attr("name")] = in.attr("value")
	}
	if got["code"] != "abc" || got["state"] != `"><x` || got["iss"] != issuer || len(got) != 3 {
		t.Errorf("fields %v", got)
	}
	if b := page.id(t, "continue"); b.name != "button" || b.text() != "Continue to City library" {
		t.Errorf("button %q", b.text())
	}
	script := page.one(t, "script")
	if n := script.attr("nonce"); len(n) != 22 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'nonce-"+n+"'") {
		t.Errorf("nonce %q, policy %q", n, w.Header().Get("Content-Security-Policy"))
	}
	again := get(s.Page("x", samples(s)["form_post"]), "/login/f1/consent", "en")
	if parse(t, again.Body.String()).one(t, "script").attr("nonce") == script.attr("nonce") {
		t.Error("a nonce is used twice")
	}
}

func TestFormPost_RefusesAnActionThatIsNoWebAddress(t *testing.T) {
	s := newSite(t, io.Discard)
	for _, action := range []string{"", "javascript:alert(1)", "/here", "com.example.app:/cb", "https:///x"} {
		h := s.Page("x", func(w http.ResponseWriter, r *http.Request) error {
			return s.FormPost(w, r, FormPostPage{Action: action})
		})
		if w := get(h, "/x", "en"); w.Code != 500 {
			t.Errorf("action %q answers %d", action, w.Code)
		}
	}
}

func TestWait_LooksAgainAtOurOwnPathOnly(t *testing.T) {
	s := newSite(t, io.Discard)
	for target, ok := range map[string]bool{"/login/f1": true, "//evil.example": false, "https://evil.example": false, "/x\r\nSet-Cookie: a=b": false, `/\evil.example`: false, "": false} {
		h := s.Page("x", func(w http.ResponseWriter, r *http.Request) error { return s.Wait(w, r, WaitPage{URL: target}) })
		w := get(h, "/login/f1/consent", "en")
		if ok && (w.Code != 200 || w.Header().Get("Refresh") != "2; url="+target) || !ok && (w.Code != 500 || w.Header().Get("Refresh") != "") {
			t.Errorf("%q: %d, Refresh %q", target, w.Code, w.Header().Get("Refresh"))
		}
	}
}

// The first visit of a page costs at most 20 KB. Pages are not compressed, since
// they carry what people type and secrets of ours side by side (BREACH), so the
// page counts as it is.
func TestPages_FirstVisitIsAtMost20KB(t *testing.T) {
	s := newSite(t, io.Discard)
	static := s.Static()
	for name, h := range samples(s) {
		for _, lang := range s.langs {
			body := get(s.Page(name, h), "/login/f1", lang).Body.String()
			total, loaded := len(body), 0
			parse(t, body).walk(func(n *node) {
				if n.name != "link" {
					return
				}
				r := httptest.NewRequest(http.MethodGet, issuer+n.attr("href"), nil)
				r.Header.Set("Accept-Encoding", "br, gzip")
				w := httptest.NewRecorder()
				static.ServeHTTP(w, r)
				if w.Code != 200 {
					t.Fatalf("%s: %s answers %d", name, n.attr("href"), w.Code)
				}
				total, loaded = total+w.Body.Len(), loaded+1
			})
			if total > 20_000 || loaded != 2 {
				t.Errorf("%s/%s: %d bytes in %d files", name, lang, total, loaded+1)
			}
			t.Logf("%s/%s: page %d, all %d bytes", name, lang, len(body), total)
		}
	}
}

func TestStatic_HashedNamesAreKeptForEver(t *testing.T) {
	s := newSite(t, io.Discard)
	h := s.Static()
	for _, a := range s.assets {
		for _, accept := range []string{"", "gzip", "gzip;q=0"} {
			r := httptest.NewRequest(http.MethodGet, issuer+a.path, nil)
			r.Header.Set("Accept-Encoding", accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body := io.Reader(w.Body)
			if zipped := w.Header().Get("Content-Encoding") == "gzip"; zipped != (accept == "gzip") {
				t.Errorf("%s: Accept-Encoding %q gives Content-Encoding %q", a.path, accept, w.Header().Get("Content-Encoding"))
			} else if zipped {
				var err error
				if body, err = gzip.NewReader(w.Body); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(body)
			if err != nil || !bytes.Equal(got, a.body) || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" ||
				w.Header().Get("Content-Type") != a.mediaType || w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: %v %v", a.path, err, w.Header())
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, issuer+a.path, nil))
		if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d", a.path, w.Code)
		}
	}
	for _, path := range []string{"/static/", "/static/..%2f..%2fetc%2fpasswd", "/static/style.css", "/static/../web.go", "/static/assets/theme.css"} {
		if w := get(h, path, "en"); w.Code != 404 {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}

func BenchmarkChoose(b *testing.B)  { benchmarkPage(b, "choose") }
func BenchmarkConsent(b *testing.B) { benchmarkPage(b, "consent") }

// benchmarkPage measures the page with everything around it: headers, event line
// and negotiation of the language.
func benchmarkPage(b *testing.B, name string) {
	s := newSite(b, io.Discard)
	h := s.Page(name, samples(s)[name])
	r := httptest.NewRequest(http.MethodGet, issuer+"/login/f1", nil)
	r.Header.Set("Accept-Language", "fr-FR,fr;q=0.9,en;q=0.8")
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}
