package sandbox

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/url"
)

// startPage is the front page, with every account, or the page of one.
type startPage struct {
	Lang     string
	T        serviceWords
	Title    string
	Accounts []*Account
	First    *Account
	Only     bool
	Links    []link
	Issuer   string
}

// outcomePage shows an outcome.
type outcomePage struct {
	outcome
	Lang            string
	T               serviceWords
	Title, Sentence string
	Links           []link
	Issuer          string
	LogOut          string // where to log out; "": the broker does not say
}

func (s *service) start(w http.ResponseWriter, r *http.Request) {
	lang := pickLang(r, nil)
	page := startPage{Lang: lang, T: serviceVocabulary[lang], Title: serviceVocabulary[lang].Title, Issuer: s.Issuer}
	for i := range s.Accounts {
		page.Accounts = append(page.Accounts, &s.Accounts[i])
	}
	page.First = page.Accounts[0]
	s.render(w, r, http.StatusOK, "start", page)
}

func (s *service) startAt(w http.ResponseWriter, r *http.Request) {
	a, ok := s.accounts[r.PathValue("client")]
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	lang := pickLang(r, nil)
	s.render(w, r, http.StatusOK, "start", startPage{
		Lang: lang, T: serviceVocabulary[lang], Title: a.Title.In(lang), Accounts: []*Account{a}, First: a, Only: true, Links: a.links(), Issuer: s.Issuer,
	})
}

// showOutcome answers GET /outcome/{id} to the browser that signed in.
func (s *service) showOutcome(w http.ResponseWriter, r *http.Request) {
	out, ok := s.outcomes.get(r.PathValue("id"), s.Now())
	switch {
	case !ok || !isBrowser(r, out.browser):
		http.Redirect(w, r, "/", http.StatusSeeOther) // too old, or not yours
	case out.Error != "":
		s.showError(w, r, http.StatusOK, out)
	default:
		lang := pickLang(r, nil)
		t := serviceVocabulary[lang]
		s.render(w, r, http.StatusOK, "signed-in", outcomePage{
			outcome: out, Lang: lang, T: t, Title: t.SignedIn, Links: out.Account.links(), Issuer: s.Issuer, LogOut: s.logOut(r.Context(), out),
		})
	}
}

// logOut is where a person logs out of the broker and comes back from to the start
// page (OpenID Connect RP-Initiated Logout section 2).
func (s *service) logOut(ctx context.Context, out outcome) string {
	p, err := s.metadata(ctx)
	if err != nil {
		return ""
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if p.Claims(&more) != nil || more.EndSession == "" {
		return ""
	}
	return more.EndSession + "?" + url.Values{
		"id_token_hint": {out.IDToken}, "post_logout_redirect_uri": {s.BaseURL + "/"},
	}.Encode()
}

func (s *service) showError(w http.ResponseWriter, r *http.Request, status int, out outcome) {
	text, ok := errorText[out.Error]
	if !ok {
		text = errorText[""]
	}
	if len(out.Description) > 500 {
		out.Description = out.Description[:500]
	}
	lang := pickLang(r, nil)
	page := outcomePage{
		outcome: out, Lang: lang, T: serviceVocabulary[lang],
		Title: text.title.In(lang), Sentence: text.sentence.In(lang), Issuer: s.Issuer,
	}
	if out.Account == nil {
		page.Account = &s.Accounts[0]
	} else {
		page.Links = out.Account.links()
	}
	s.render(w, r, status, "error", page)
}

func (s *service) render(w http.ResponseWriter, r *http.Request, status int, name string, page any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, page); err != nil {
		s.Log.LogAttrs(r.Context(), slog.LevelError, "sample service: page failed", slog.String("page", name), slog.Any("err", err))
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	pageHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the other side hung up
}
