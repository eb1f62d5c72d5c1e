package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// seenParam carries the revision that a page shows in its form's address. If she
// has signed in as someone else in another tab meanwhile, her click on the old
// page must not release what the old page did not show.
const seenParam = "seen"

func (s *Service) showConsent(w http.ResponseWriter, r *http.Request, v *visit) error {
	client, err := s.client(v)
	if err != nil {
		return err
	}
	p, ok := s.Policies().Policy(client)
	if !ok { // it was there a moment ago, when the dispatcher looked
		return errors.New("the policy of the visit is gone")
	}
	d, id := v.Decision, v.SignIn.Identity
	return s.Site.Consent(w, r, web.ConsentPage{
		Client: client.Name, Purpose: p.Purpose, Provider: s.providerName(v.SignIn.Provider),
		Basis: string(d.Basis), Retention: p.Retention, Remember: remembered(p), OfflineUntil: day(d.OfflineUntil),
		Required: values(id, d.Release), Optional: values(id, d.Optional), Details: details(v.Request),
		Action: consentPath(v.id) + "?" + seenParam + "=" + revisionText(v), Change: choicePath(v.id),
		ReturnURI: appURI(v.Request), Switched: v.Switched,
	})
}

// details are what the service asks for beside claims, in the words of their types.
func details(req protocol.AuthRequest) []protocol.Text {
	var out []protocol.Text
	for _, d := range req.Details {
		out = append(out, d.Shown)
	}
	return out
}

// appURI is where an app is answered, for the policy of the page whose form leads
// there; "" for a website.
func appURI(req protocol.AuthRequest) string {
	if strings.HasPrefix(req.RedirectURI, "https://") {
		return ""
	}
	return req.RedirectURI
}

// wording is the digest of what the page says of the service. A reload may change
// it under the same version; what goes on record is what she has read.
func (s *Service) wording(client *clients.Client) []byte {
	p, ok := s.Policies().Policy(client)
	if !ok {
		return nil
	}
	text := fmt.Sprintf("%q %q %q %q %s", client.Name, p.Purpose, p.Retention, remembered(p), client.RefreshMax) // fmt sorts maps
	return sum(text)
}

func revisionText(v *visit) string { return strconv.FormatUint(uint64(v.revision), 10) }

// remembered is how long an answer is remembered, "" for not at all.
func remembered(p *policies.Policy) string {
	if p.ConsentValidity.IsZero() {
		return ""
	}
	return p.ConsentValidity.String()
}

// values are the claims with what the service would get.
func values(id identity.Identity, claims []protocol.Claim) []web.ClaimValue {
	out := make([]web.ClaimValue, 0, len(claims))
	for _, c := range claims {
		if v, ok := id.Value(c); ok {
			code, _ := v.(string)
			out = append(out, web.ClaimValue{Claim: c, Value: v, Verified: c == protocol.Email && id.EmailVerified, Place: identity.PlaceName(c, code)})
		}
	}
	return out
}

// answer is POST /login/{flow}/consent: she agreed or refused. The dispatcher
// says first whether this question is still open, and the same as before: a double
// click, an answer in another tab or a policy that changed meanwhile leads to what
// is true now.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(r, "answer", "claim")
	if err != nil {
		return err
	}
	came := v.revision
	step, err := s.next(r.Context(), v, r.Header)
	if err != nil {
		return err
	}
	if _, open := step.(Ask); open && v.revision == came && sawThis(r, v) {
		agreed, ticked, err := readAnswer(form, v.Decision.Optional)
		if err != nil {
			return err
		}
		if step, err = s.answered(r.Context(), v, agreed, ticked, s.Site.Lang(r, v.Request.UILocales)); err != nil {
			return err
		}
	}
	return s.onward(w, r, v, step)
}

// sawThis reports whether the form comes from a page that shows v as it is. Every
// page that we show sends the revision; a form without it is one that somebody
// wrote by hand, and is taken at its word.
func sawThis(r *http.Request, v *visit) bool {
	q := r.URL.Query()
	return !q.Has(seenParam) || q.Get(seenParam) == revisionText(v)
}

// readAnswer checks a form against what the sealed visit asks: exactly agree or
// refuse, and ticks only for boxes that were there, each once.
func readAnswer(form url.Values, optional []protocol.Claim) (agreed bool, ticked []protocol.Claim, err error) {
	answer, one := only(form, "answer")
	if !one || answer != "agree" && answer != "refuse" {
		return false, nil, web.Fail(web.RequestInvalid, errors.New("neither agree nor refuse"))
	}
	for _, name := range form["claim"] {
		c := protocol.Claim(name)
		if !slices.Contains(optional, c) || slices.Contains(ticked, c) {
			return false, nil, web.Fail(web.RequestInvalid, errors.New("a tick for a box that was not there"))
		}
		ticked = append(ticked, c)
	}
	return answer == "agree", ticked, nil
}

func (s *Service) answered(ctx context.Context, v *visit, agreed bool, ticked []protocol.Claim, lang string) (Step, error) {
	if !agreed {
		return s.refuse(ctx, v, lang)
	}
	client, err := s.client(v)
	if err != nil {
		return nil, err
	}
	kind := consent.Given
	if v.Decision.Ask == policies.AskInform {
		kind = consent.Informed
	}
	return s.release(ctx, v, client, act{kind: kind, released: v.Decision.Answered(ticked), lang: lang, outcome: outcomeOK})
}
