package sandbox

import (
	"bytes"
	"log/slog"
	"net/http"

	"github.com/voussoir-id/voussoir/protocol"
)

// startPage is the front page, with every account, or the page of one.
type startPage struct {
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
	Title, Sentence string
	Links           []link
	Issuer          string
}

func (s *service) start(w http.ResponseWriter, r *http.Request) {
	page := startPage{Title: "Sample services", Issuer: s.Issuer}
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
	s.render(w, r, http.StatusOK, "start", startPage{
		Title: a.Title, Accounts: []*Account{a}, First: a, Only: true, Links: a.links(), Issuer: s.Issuer,
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
		s.render(w, r, http.StatusOK, "signed-in", outcomePage{
			outcome: out, Title: "You are signed in", Links: out.Account.links(), Issuer: s.Issuer,
		})
	}
}

func (s *service) showError(w http.ResponseWriter, r *http.Request, status int, out outcome) {
	text, ok := errorText[out.Error]
	if !ok {
		text = errorText[""]
	}
	if len(out.Description) > 500 {
		out.Description = out.Description[:500]
	}
	page := outcomePage{outcome: out, Title: text.title, Sentence: text.sentence, Issuer: s.Issuer}
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

// errorText is what a service could say to a person for each error; "" is for
// every other one.
var errorText = map[protocol.ErrorCode]struct{ title, sentence string }{
	"":                              {"The sign-in did not work", "Voussoir could not sign you in. Nothing about you was passed on."},
	protocol.AccessDenied:           {"You did not sign in", "You turned back, or chose not to pass anything on. That is fine: nothing about you was passed on."},
	protocol.LoginRequired:          {"You need to sign in", "You were not signed in yet, and this attempt was not allowed to ask you."},
	protocol.ConsentRequired:        {"You need to be asked", "Your consent is needed first, and this attempt was not allowed to ask for it."},
	protocol.InteractionRequired:    {"You need to do something first", "There is something to choose or to confirm, and this attempt was not allowed to show it."},
	protocol.AccountSelection:       {"You need to choose an account", "There is an account to choose, and this attempt was not allowed to ask you."},
	protocol.UnmetAuthentication:    {"A stronger sign-in is needed", "This service needs a higher level of assurance than the sign-in reached."},
	protocol.TemporarilyUnavailable: {"Please try again in a moment", "Voussoir cannot answer just now. Nothing about you was passed on."},
	protocol.ServerError:            {"Something went wrong at Voussoir", "Voussoir could not finish this sign-in. Nothing about you was passed on."},
	stateUnknown:                    {"This sign-in is not known here", "It was started in another browser, it is already finished, or cookies are switched off. Please start again."},
	issuerWrong:                     {"The answer came from somebody else", "The answer does not name the issuer that was asked, so it was thrown away (RFC 9207)."},
	brokerUnavailable:               {"Voussoir does not answer", "This service could not reach Voussoir. Please try again in a moment."},
	tokenRefused:                    {"Voussoir did not accept the code", "The code may be too old or already used. Please sign in again."},
	idTokenInvalid:                  {"The ID token does not hold", "What was received could not be verified, so it was thrown away."},
	userInfoInvalid:                 {"The user information does not hold", "What was received could not be fetched or does not match the ID token, so it was thrown away."},
}
