package federation

import (
	"context"
	"errors"
	"log/slog"

	"github.com/voussoir-id/voussoir/protocol"
)

// Reason says in one word for the operator why a sign-in at a provider did not work
// out. The list is fixed, so that logs can be counted and searched; what each one means
// and what to do about it is in docs/hostile-providers.md.
type Reason string

// The reasons.
const (
	ReasonCancelled  Reason = "cancelled"        // the person turned back there
	ReasonRefused    Reason = "refused"          // the provider answered with an error
	ReasonUnreached  Reason = "unreachable"      // no answer, too late, or 5xx
	ReasonMetadata   Reason = "metadata"         // what it publishes of itself will not do, or cannot be had
	ReasonKeys       Reason = "keys"             // its keys cannot be had
	ReasonForeign    Reason = "not_started_here" // an answer to nothing that was asked
	ReasonAnswer     Reason = "answer"           // what the browser brought is not one answer
	ReasonIssuer     Reason = "issuer"           // it comes from somebody else
	ReasonTokens     Reason = "token_answer"     // the token endpoint gave something else than tokens
	ReasonDecryption Reason = "decryption"       // it is not encrypted as was agreed
	ReasonSignature  Reason = "signature"        // no key, algorithm or signature that proves it
	ReasonDocument   Reason = "document"         // what was proven is not what can be read in one way alone
	ReasonAudience   Reason = "audience"         // it is for somebody else
	ReasonTime       Reason = "time"             // it is not of now
	ReasonBinding    Reason = "binding"          // it belongs to another sign-in, code or token
	ReasonAssertions Reason = "assertions"       // not exactly one assertion
	ReasonReplayed   Reason = "replayed"         // it was used before
	ReasonSubject    Reason = "subject"          // about nobody, or about two people
	ReasonLevel      Reason = "level"            // below what was asked, or of unknown worth
	ReasonAge        Reason = "age"              // older than was asked, or of unknown age
	ReasonUserInfo   Reason = "userinfo"         // the userinfo endpoint gave something else
	ReasonIdentity   Reason = "identity"         // what it says of her is malformed, incomplete or contradicts itself
	ReasonInvalid    Reason = "invalid"          // none of these; nothing should be
)

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonCancelled, ReasonRefused, ReasonUnreached, ReasonMetadata, ReasonKeys, ReasonForeign, ReasonAnswer, ReasonIssuer, ReasonTokens,
		ReasonDecryption, ReasonSignature, ReasonDocument, ReasonAudience, ReasonTime, ReasonBinding, ReasonAssertions, ReasonReplayed,
		ReasonSubject, ReasonLevel, ReasonAge, ReasonUserInfo, ReasonIdentity, ReasonInvalid,
	}
}

// reasoned is an error whose reason is known.
type reasoned struct {
	error
	reason Reason
}

func (r *reasoned) Unwrap() error { return r.error }

// Because gives err its reason, unless it has one: who is nearest to what went wrong
// knows best. It returns nil for nil.
func Because(r Reason, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*reasoned](err); ok {
		return err
	}
	return &reasoned{err, r}
}

// ReasonOf is the reason of err: the one that Because gave it, or else what follows
// from the kind of an *Error.
func ReasonOf(err error) Reason {
	if r, ok := errors.AsType[*reasoned](err); ok {
		return r.reason
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return ReasonInvalid
	}
	switch e.Kind {
	case Cancelled:
		return ReasonCancelled
	case Refused:
		return ReasonRefused
	case Unavailable:
		return ReasonUnreached
	case TooWeak:
		return ReasonLevel
	case TooOld:
		return ReasonAge
	case BadIdentity:
		return ReasonIdentity
	}
	return ReasonInvalid
}

// LogRefused writes the line by which an operator learns why an answer of a provider
// was refused. An err that is no *Error is not its business: whoever answers the
// request logs it.
func LogRefused(ctx context.Context, log *slog.Logger, id protocol.ProviderID, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		log.LogAttrs(ctx, e.level(), "provider's answer refused", reasonAttrs(id, e, err)...)
	}
}

// LogNotStarted is LogRefused for a sign-in that could not even be started.
func LogNotStarted(ctx context.Context, log *slog.Logger, id protocol.ProviderID, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		log.LogAttrs(ctx, e.level(), "sign-in cannot be started", reasonAttrs(id, e, err)...)
	}
}

// LogLogoutRefused is LogRefused for a message that says a session has ended.
func LogLogoutRefused(ctx context.Context, log *slog.Logger, id protocol.ProviderID, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		log.LogAttrs(ctx, e.level(), "provider's logout message refused", reasonAttrs(id, e, err)...)
	}
}

func (e *Error) level() slog.Level {
	if e.Kind == Cancelled { // nobody's fault
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func reasonAttrs(id protocol.ProviderID, e *Error, err error) []slog.Attr {
	return []slog.Attr{slog.String("provider", string(id)), slog.String("reason", string(ReasonOf(err))), slog.String("why", e.Err.Error())}
}
