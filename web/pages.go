package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pageSet is every page in one language, with the words already in it: a page is
// rendered for each step of each sign-in, and looking up forty messages each
// time would cost more than the rest of the page.
type pageSet struct {
	choose, leave, flaws, consent, failure, formPost, wait, home, status, me, meClose *template.Template
	logout, loggedOut                                                    *template.Template
}

// word is [[key]] in a template. The message takes its place before the template
// is parsed, so its placeholders are escaped like any other field.
var word = regexp.MustCompile(`\[\[([@a-z0-9_.]+)\]\]`)

func parsePages(langs []string, all map[string]*words, assets map[string]*asset) (map[string]*pageSet, error) {
	out := map[string]*pageSet{}
	for _, lang := range langs {
		p := &pageSet{}
		for name, t := range map[string]**template.Template{
			"choose": &p.choose, "leave": &p.leave, "flaws": &p.flaws, "status": &p.status, "consent": &p.consent, "error": &p.failure,
			"form_post": &p.formPost, "wait": &p.wait, "home": &p.home, "me": &p.me, "me_close": &p.meClose,
			"logout": &p.logout, "logged_out": &p.loggedOut,
		} {
			var err error
			if *t, err = parsePage(name, lang, langs, all, assets); err != nil {
				return nil, fmt.Errorf("page %s in %s: %w", name, lang, err)
			}
		}
		out[lang] = p
	}
	return out, nil
}

func parsePage(name, lang string, langs []string, all map[string]*words, assets map[string]*asset) (*template.Template, error) {
	t := template.New(name)
	for _, file := range []string{"layout", name} {
		raw, err := templateFiles.ReadFile("templates/" + file + ".html")
		if err != nil {
			return nil, err
		}
		var missing []string
		text := word.ReplaceAllStringFunc(string(raw), func(m string) string {
			key := m[2 : len(m)-2]
			switch {
			case key == "@languages":
				return otherLanguages(lang, langs, all)
			case key[0] == '@' && assets[key[1:]] != nil:
				return assets[key[1:]].path
			case all[lang].text[key] != "":
				return all[lang].text[key]
			}
			missing = append(missing, key)
			return ""
		})
		if len(missing) > 0 {
			return nil, fmt.Errorf("no words for %s", strings.Join(missing, ", "))
		}
		if _, err := t.Parse(squeeze(text)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// squeeze drops the indentation that templates have for their authors.
func squeeze(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " \t")
	}
	return strings.Join(lines, "\n")
}

// otherLanguages is the switch: a plain link that keeps the path.
func otherLanguages(lang string, langs []string, all map[string]*words) string {
	var b strings.Builder
	for _, l := range langs {
		if l != lang {
			fmt.Fprintf(&b, `<a href="?lang=%s" lang="%[1]s" hreflang="%[1]s">%s</a> `, l, all[l].text["language.name"])
		}
	}
	return strings.TrimSpace(b.String())
}

// render writes a whole page or nothing: an error in a template becomes an error
// page, not half of one.
func (s *Site) render(w http.ResponseWriter, status int, t *template.Template, view any) error {
	b, ok := s.buffers.Get().(*bytes.Buffer)
	if !ok {
		b = new(bytes.Buffer)
	}
	b.Reset()
	defer s.buffers.Put(b)
	if err := t.Execute(b, view); err != nil {
		return fmt.Errorf("render page %s: %w", t.Name(), err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("send page %s: %w", t.Name(), err)
	}
	return nil
}

// in returns the words and pages for r, and whether the page may offer other
// languages: only where a plain GET of the path alone shows it again. A link on
// the answer to a form, or on an address with a code in it, would lead nowhere.
func (s *Site) in(r *http.Request) (*words, *pageSet, bool) {
	lang := s.Lang(r, nil)
	q := r.URL.RawQuery
	again := readOnly(r) && (q == "" || strings.HasPrefix(q, "lang=") && !strings.Contains(q, "&"))
	return s.words[lang], s.pages[lang], again
}

// allowForms loosens the page's policy for forms that lead to target in the end.
func (s *Site) allowForms(w http.ResponseWriter, target, scripts string) {
	w.Header().Set("Content-Security-Policy", policyBase+s.forms(target)+scripts)
}

func (w *words) notice(n Notice) string {
	if w.text["notice."+string(n.Code)] == "" {
		return ""
	}
	labels := make([]string, 0, len(n.Claims))
	for _, c := range n.Claims {
		labels = append(labels, w.label(c))
	}
	return w.say("notice."+string(n.Code), "Provider", clean(n.Provider.In(w.lang)), "Claims", strings.Join(labels, ", "), "Reason", clean(n.Reason.In(w.lang)),
		"Has", w.or("level.", string(n.Has), "level.unknown"), "Needs", w.or("level.", string(n.Needs), "level.unknown"))
}

type consentView struct {
	Switch                    bool
	Client, Purpose, Provider string
	Action, Change            string
	Informs, Obliged          bool
	Retention, Remember       string
	Required, Optional        []factView
	Details                   []string
	TellsProvider, Switched   bool
	OfflineUntil              string
}

// factView is a value in the words of the page. Rest is the end of one that may
// break there: an e-mail address, before its @.
type factView struct{ Claim, Label, Value, Rest, Remark string }

// Consent shows what will leave, to whom and why, and asks; on another basis than
// consent it informs. An unknown basis asks: that is the careful reading.
func (s *Site) Consent(w http.ResponseWriter, r *http.Request, p ConsentPage) error {
	in, pages, again := s.in(r)
	v := consentView{
		Switch: again, Client: clean(p.Client.In(in.lang)), Purpose: clean(p.Purpose.In(in.lang)), Provider: clean(p.Provider.In(in.lang)),
		Action: p.Action, Change: p.Change,
		Informs: p.Basis == "public_task" || p.Basis == "legal_obligation", Obliged: p.Basis == "legal_obligation",
		Required: in.facts(p.Required), Optional: in.facts(p.Optional),
		TellsProvider: tellsProvider(p.Required) || tellsProvider(p.Optional), Switched: p.Switched,
	}
	if p.OfflineUntil != "" {
		v.OfflineUntil = in.date(p.OfflineUntil)
	}
	for _, d := range p.Details {
		v.Details = append(v.Details, clean(d.In(in.lang)))
	}
	v.Retention, _ = in.duration(p.Retention)
	if text, none := in.duration(p.Remember); !none {
		v.Remember = text
	}
	s.allowForms(w, p.ReturnURI, "")
	return s.render(w, http.StatusOK, pages.consent, v)
}

func (w *words) facts(cs []ClaimValue) []factView {
	out := make([]factView, 0, len(cs))
	for _, c := range cs {
		v := factView{Claim: string(c.Claim), Label: w.label(c.Claim)}
		v.Value, v.Remark = w.fact(c)
		if i := strings.LastIndexByte(v.Value, '@'); i > 0 && c.Claim == protocol.Email {
			v.Value, v.Rest = v.Value[:i], v.Value[i:]
		}
		out = append(out, v)
	}
	return out
}

func tellsProvider(cs []ClaimValue) bool {
	for _, c := range cs {
		if c.Claim == protocol.IdPID {
			return true
		}
	}
	return false
}

type formPostView struct {
	Switch        bool
	Client, Nonce string
	Action        template.URL
	Fields        []Field
}

// FormPost shows the page that carries an answer to the service by POST (OAuth
// 2.0 Form Post Response Mode). The only script that any page of ours may run is
// the one that presses its button.
func (s *Site) FormPost(w http.ResponseWriter, r *http.Request, p FormPostPage) error {
	u, err := url.Parse(p.Action)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return errors.New("form post page: the action is not a web address")
	}
	in, pages, _ := s.in(r)
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails, see crypto/rand
	v := formPostView{
		Client: clean(p.Client.In(in.lang)), Nonce: base64.RawURLEncoding.EncodeToString(raw[:]),
		Action: template.URL(p.Action), Fields: p.Fields, //nolint:gosec // scheme checked above; still escaped as an attribute
	}
	s.allowForms(w, p.Action, "; script-src 'nonce-"+v.Nonce+"'")
	return s.render(w, http.StatusOK, pages.formPost, v)
}

type waitView struct {
	Switch bool
	URL    string
}

// Wait shows that an earlier click is still being answered, and looks again after
// two seconds. URL is a path of ours.
func (s *Site) Wait(w http.ResponseWriter, r *http.Request, p WaitPage) error {
	if !strings.HasPrefix(p.URL, "/") || strings.HasPrefix(p.URL, "//") || strings.ContainsAny(p.URL, "\\\r\n") {
		return errors.New("wait page: not a path of ours")
	}
	_, pages, _ := s.in(r)
	// The header does what <meta http-equiv="refresh"> does, without script.
	w.Header().Set("Refresh", "2; url="+p.URL)
	return s.render(w, http.StatusOK, pages.wait, waitView{URL: p.URL})
}

type homeView struct{ Switch bool }

// Home says what Voussoir is.
func (s *Site) Home(w http.ResponseWriter, r *http.Request) error {
	_, pages, again := s.in(r)
	return s.render(w, http.StatusOK, pages.home, homeView{Switch: again})
}

type errorView struct {
	Switch         bool
	Code           Code
	Sentence, Next string
	Client         string
	Back           template.URL
	TurnBack       string // a form that posts here goes back to the service
	Contact        string
	Number, Detail string
	Others         []otherError
}

// otherError is what an error page says, in another language.
type otherError struct{ Lang, Name, Sentence, Next string }

func (s *Site) errorPage(w http.ResponseWriter, r *http.Request, v *visit, f failure) error {
	in, pages, again := s.in(r)
	code := f.code
	if in.text["error."+string(code)+".sentence"] == "" {
		code = Internal
	}
	view := errorView{
		Switch: again, Code: code, Number: v.number,
		Sentence: in.text["error."+string(code)+".sentence"], Next: in.text["error."+string(code)+".next"],
	}
	if !again { // no link could show this page again: both languages are on it
		view.Others = s.inOtherLanguages(in.lang, code)
	}
	if f.protocol != nil {
		view.Detail = string(f.protocol.Code) + ": " + describable(f.protocol.Description)
	}
	view.Contact = clean(f.contact.In(in.lang))
	if f.turn != nil {
		view.TurnBack = f.turn.Action
		s.allowForms(w, f.turn.ReturnURI, "")
	} else if f.back != nil {
		view.Client, view.Back = clean(f.back.Client.In(in.lang)), backURL(f.back.URL)
	}
	return s.render(w, f.status, pages.failure, view)
}

func (s *Site) inOtherLanguages(lang string, code Code) []otherError {
	var out []otherError
	for _, l := range s.langs {
		if l != lang {
			t := s.words[l].text
			out = append(out, otherError{
				Lang: l, Name: t["language.name"], Sentence: t["error."+string(code)+".sentence"], Next: t["error."+string(code)+".next"],
			})
		}
	}
	return out
}

// backURL is the way back to a service: a web address or a native app's own
// scheme (RFC 8252 section 7.1), never one that runs in our page.
func backURL(to string) template.URL {
	u, err := url.Parse(to)
	if err != nil || unsafeScheme(strings.ToLower(u.Scheme)) {
		return ""
	}
	return template.URL(to) //nolint:gosec // scheme checked above; still escaped as an attribute
}
