package web

import (
	"net/http"

	"github.com/voussoir-id/voussoir/protocol"
)

// FlawCode says what is wrong with a fact about a person, in as many ways as a page
// tells them apart.
type FlawCode string

// The flaws.
const (
	FlawMissing    FlawCode = "missing"    // the provider did not send it
	FlawUnreadable FlawCode = "unreadable" // not written as it must be
	FlawUnknown    FlawCode = "unknown"    // no such place, country or value
	FlawDate       FlawCode = "date"       // a day that does not exist, or cannot be a birthday
	FlawPartial    FlawCode = "partial"    // the day or the month is missing
	FlawConflict   FlawCode = "conflict"   // town and country of birth do not go together
)

// FlawCodes lists them.
func FlawCodes() []FlawCode {
	return []FlawCode{FlawMissing, FlawUnreadable, FlawUnknown, FlawDate, FlawPartial, FlawConflict}
}

// Flaw is a fact that a provider delivered incompletely or impossibly. It has no
// value: what is wrong may be somebody else's.
type Flaw struct {
	Claim protocol.Claim
	Code  FlawCode
}

// FlawsPage says why a provider's identity was not used, and what a person can do.
// Another and Cancel are where the two forms post: the choice of another account, and
// the way back to the service.
type FlawsPage struct {
	Client, Provider protocol.Text
	Flaws            []Flaw
	Number           string // of the request in which it happened, for whoever helps her
	Another, Cancel  string
	ReturnURI        string // as in ChoosePage
}

type flawsView struct {
	Switch           bool
	Client, Provider string
	Flaws            []flawView
	Number           string
	Another, Cancel  string
}

type flawView struct{ Claim, Label, Words string }

// Flaws shows it.
func (s *Site) Flaws(w http.ResponseWriter, r *http.Request, p FlawsPage) error {
	in, pages, again := s.in(r)
	v := flawsView{
		Switch: again, Client: clean(p.Client.In(in.lang)), Provider: clean(p.Provider.In(in.lang)),
		Number: p.Number, Another: p.Another, Cancel: p.Cancel,
	}
	for _, f := range p.Flaws {
		v.Flaws = append(v.Flaws, flawView{string(f.Claim), in.label(f.Claim), in.or("flaw.", string(f.Code), "flaw.unreadable")})
	}
	s.allowForms(w, p.ReturnURI, "")
	return s.render(w, http.StatusOK, pages.flaws, v)
}
