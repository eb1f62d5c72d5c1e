package login

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// unverified is failed for an answer of a provider. What is wrong with an identity is
// told to two people: the operator reads each claim and the rule that it breaks, in
// the log and the audit trail; the person reads which facts it is about. Nobody reads
// a value.
func (s *Service) unverified(ctx context.Context, r *http.Request, v *visit, err error) error {
	var invalid *identity.InvalidError
	if !errors.As(err, &invalid) {
		return s.failed(ctx, v, err)
	}
	n := notice{Code: web.NoticeBadIdentity, Flaws: invalid.Flaws, Number: web.Number(r)}
	refused := s.event(audit.ProviderFailed, v, string(n.Code))
	refused.Personal.Reasons = s.reasons(r, v.Provider, invalid.Flaws, invalid.Dropped)
	if err := s.record(ctx, refused); err != nil {
		return err
	}
	return s.advance(ctx, v, v.back(&n))
}

// reasons are flaws as the audit trail has them. They go on the request's event line
// too, there beside the provider: it is the one that has something to mend.
func (s *Service) reasons(r *http.Request, provider protocol.ProviderID, flaws ...[]identity.Flaw) string {
	out := identity.Reasons(slices.Concat(flaws...))
	if len(out) > 0 {
		s.Note(r, slog.String("provider", string(provider)), slog.Any("reasons", out))
	}
	return strings.Join(out, ", ")
}

// showFlaws stands in place of the choice until she asks for it: among the accounts
// nobody would read a list of facts.
func (s *Service) showFlaws(w http.ResponseWriter, r *http.Request, v *visit, client *clients.Client) error {
	page := web.FlawsPage{
		Client: client.Name, Provider: s.providerName(v.Provider), Number: v.Notice.Number,
		Another: choicePath(v.id), Cancel: choicePath(v.id) + "/cancel", ReturnURI: appURI(v.Request),
	}
	for _, f := range v.Notice.Flaws {
		page.Flaws = append(page.Flaws, web.Flaw{Claim: f.Claim, Code: flawOf(f.Rule)})
	}
	return s.Site.Flaws(w, r, page)
}

// flawOf words a rule for people: what they can do about it is the same for most.
func flawOf(rule identity.Rule) web.FlawCode {
	switch rule {
	case identity.Missing:
		return web.FlawMissing
	case identity.UnknownCode, identity.NotThen:
		return web.FlawUnknown
	case identity.NoSuchDay, identity.InFuture, identity.TooOld:
		return web.FlawDate
	case identity.PresumedDate:
		return web.FlawPartial
	case identity.Contradiction:
		return web.FlawConflict
	}
	return web.FlawUnreadable
}
