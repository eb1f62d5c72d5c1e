package sandbox

import (
	"bytes"
	"log/slog"
	"net/http"

	"golang.org/x/text/language"

	"github.com/voussoir-id/voussoir/protocol"
)

// signInPage is what provider.html shows for a request.
type signInPage struct {
	Lang, Name, ACR string
	T               words
	Request         string
	People          []choice
	Faults          []faultSwitch
}

// choice is one test identity.
type choice struct {
	ID, Name, Usage, Note, Mark string
}

// faultSwitch is one failure switch.
type faultSwitch struct {
	Value, ElementID, Text string
	On                     bool
}

// plainPage is a page that says something: the provider's front door, or that a
// request makes no sense.
type plainPage struct {
	Lang, Name, ACR string
	T               words
	Who             string // who is signed in; "" nobody
}

var languages = language.NewMatcher([]language.Tag{language.English, language.French})

// pickLang is "en" or "fr": what the request asks for (ui_locales), then what
// the browser speaks, then English.
func pickLang(r *http.Request, locales []string) string {
	tag, _ := language.MatchStrings(languages, append(locales, r.Header.Get("Accept-Language"))...)
	base, _ := tag.Base()
	if base.String() == "fr" {
		return "fr"
	}
	return "en"
}

func (p *provider) showSignIn(w http.ResponseWriter, r *http.Request, req authRequest, last session) {
	lang := pickLang(r, req.locales)
	t := vocabulary[lang]
	page := signInPage{Lang: lang, Name: p.Name.In(lang), ACR: string(p.ACR), T: t, Request: req.raw}
	for i := range p.Identities {
		id := &p.Identities[i]
		c := choice{ID: id.ID, Name: id.GivenName + " " + id.FamilyName, Usage: id.PreferredUsername, Note: id.Note.In(lang)}
		switch {
		case req.loginHint != "" && (req.loginHint == id.ID || req.loginHint == id.Email):
			c.Mark = t.Hinted
		case last.identity != nil && last.identity.ID == id.ID:
			c.Mark = t.Last
		}
		page.People = append(page.People, c)
	}
	for _, f := range faults() {
		page.Faults = append(page.Faults, faultSwitch{Value: string(f), ElementID: f.elementID(), Text: faultText[f].In(lang), On: f == FaultNone})
	}
	p.render(w, r, http.StatusOK, "sign-in", page)
}

// showProblem tells a person what cannot be told to a client.
func (p *provider) showProblem(w http.ResponseWriter, r *http.Request) {
	lang := pickLang(r, nil)
	p.render(w, r, http.StatusBadRequest, "problem", plainPage{Lang: lang, Name: p.Name.In(lang), ACR: string(p.ACR), T: vocabulary[lang]})
}

func (p *provider) home(w http.ResponseWriter, r *http.Request) {
	lang := pickLang(r, nil)
	page := plainPage{Lang: lang, Name: p.Name.In(lang), ACR: string(p.ACR), T: vocabulary[lang]}
	if s, ok := p.session(r); ok {
		page.Who = s.identity.GivenName + " " + s.identity.FamilyName
	}
	p.render(w, r, http.StatusOK, "home", page)
}

// render writes the page in one piece, so that a broken template is a 500 and
// not half a page.
func (p *provider) render(w http.ResponseWriter, r *http.Request, status int, name string, page any) {
	var b bytes.Buffer
	if err := p.pages.ExecuteTemplate(&b, name, page); err != nil {
		p.Log.LogAttrs(r.Context(), slog.LevelError, "sandbox: page failed", slog.String("page", name), slog.Any("err", err))
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	pageHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the other side hung up
}

// words are the sentences of the provider's pages in one language.
type words struct {
	Banner, SignInAt, Pick, Level, Hinted, Last, UsageName string
	FailTitle, FailHelp, Cancel                            string
	ProblemTitle, Problem                                  string
	HomeTitle, HomeText, SignedInAs, Nobody, SignOut       string
}

var vocabulary = map[string]words{
	"en": {
		Banner: "Sandbox: every person here is invented", SignInAt: "Sign in at", Pick: "Who do you want to be? There is no password: choose a person.",
		Level: "Level of assurance", Hinted: "Suggested by the service", Last: "Last used here", UsageName: "usage name",
		FailTitle: "Make it fail", FailHelp: "Choose what shall go wrong, then choose a person.", Cancel: "Turn back without signing in",
		ProblemTitle: "This request makes no sense", Problem: "The address is incomplete, or it comes from a service that this sandbox does not know. Go back to the service and start again.",
		HomeTitle: "An identity provider of the sandbox", HomeText: "It signs in invented people, so that you can try a sign-in from end to end. Start at a service; it will bring you here.",
		SignedInAs: "Signed in here as", Nobody: "Nobody is signed in here.", SignOut: "Sign out",
	},
	"fr": {
		Banner: "Bac à sable : toutes les personnes sont inventées", SignInAt: "Connexion :", Pick: "Qui voulez-vous être ? Pas de mot de passe : choisissez une personne.",
		Level: "Niveau de garantie", Hinted: "Suggérée par le service", Last: "Dernière utilisée ici", UsageName: "nom d’usage",
		FailTitle: "Provoquer un échec", FailHelp: "Choisissez ce qui doit mal se passer, puis une personne.", Cancel: "Revenir sans se connecter",
		ProblemTitle: "Cette demande n’a pas de sens", Problem: "L’adresse est incomplète, ou elle vient d’un service que ce bac à sable ne connaît pas. Retournez au service et recommencez.",
		HomeTitle: "Un fournisseur d’identité du bac à sable", HomeText: "Il connecte des personnes inventées, pour essayer une connexion de bout en bout. Partez d’un service ; il vous amènera ici.",
		SignedInAs: "Connecté ici en tant que", Nobody: "Personne n’est connecté ici.", SignOut: "Se déconnecter",
	},
}

var faultText = map[Fault]protocol.Text{
	FaultNone:         note("Nothing: sign in as usual", "Rien : connexion normale"),
	FaultServerError:  note("Answer with server_error", "Répondre server_error"),
	FaultTokenError:   note("Token endpoint answers 500", "Le point d’accès des jetons répond 500"),
	FaultWrongNonce:   note("Wrong nonce in the ID token", "Mauvais nonce dans le jeton d’identité"),
	FaultExpired:      note("Expired ID token", "Jeton d’identité expiré"),
	FaultLowerACR:     note("Lower level than promised (acr)", "Niveau inférieur à celui promis (acr)"),
	FaultWrongSub:     note("Another subject in userinfo", "Un autre sujet dans userinfo"),
	FaultBadSignature: note("Broken signature", "Signature altérée"),
	FaultWrongIssuer:  note("Another issuer in the response (iss)", "Un autre émetteur dans la réponse (iss)"),
	FaultSlow:         note("Answer after ten seconds", "Répondre au bout de dix secondes"),
}
