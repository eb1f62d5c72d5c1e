package provider

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// userInfo serves GET and POST /userinfo (OpenID Connect Core section 5.3): the
// subject and the claims that were released, after the disclosure is on record.
func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) error {
	err := p.disclose(w, r)
	if err != nil {
		err = atResource(err)
		challenge(w.Header(), usesDPoP(r), err)
	}
	return err
}

func (p *Provider) disclose(w http.ResponseWriter, r *http.Request) error {
	token, err := presented(r)
	if err != nil {
		return err
	}
	var a access
	_, err = loadGrant(r.Context(), p.Codes, AccessGrant, token, &a)
	if errors.Is(err, ErrNoGrant) {
		return errToken("unknown, expired or revoked")
	}
	if err != nil {
		return unavailable(err)
	}
	if p.bars(a) {
		return errToken("person is out of service")
	}
	p.Note(r, slog.String("client", string(a.Client)))
	c, ok := p.Clients().Get(a.Client)
	if !ok {
		return errToken("client is gone")
	}
	readable(w.Header(), r, c)
	if !a.isFor(p.Issuer + PathUserInfo) {
		return errToken("for other resources")
	}
	if err := p.holds(w.Header(), r, token, a.Confirm); err != nil {
		return err
	}
	failpoint.Here("userinfo.before-audit")
	if err := p.record(r.Context(), audit.UserInfoServed, a, "", ""); err != nil {
		return err
	}
	failpoint.Here("userinfo.after-audit")
	if gone, err := p.Codes.cfg.Grants.Withdrawn(r.Context(), a.Grant); err != nil { // see stands
		return unavailable(err)
	} else if gone {
		return errToken("withdrawn meanwhile")
	}
	return p.writeUserInfo(r.Context(), w, c, a.UserInfo)
}

// access is what an access token opens: the answer of /userinfo, ready since the
// token was issued, and what its audit entry says. It is all that is kept of the
// grant.
type access struct {
	Grant    login.GrantID
	Client   protocol.ClientID
	ACR      protocol.ACR
	Audience []string // empty: /userinfo; see isFor
	Details  []protocol.Detail
	Scope    string // space separated, as in the token response
	IssuedAt int64  // seconds since 1970
	Confirm  confirmation
	Claims   []string // names of what UserInfo holds, for the audit log
	Person   string   // for the audit log, and for the subjects of data providers
	SealKey  []byte   // for the audit log
	// OfflineUntil is set when a family of refresh tokens goes with it.
	OfflineUntil time.Time `json:",omitzero"`
	UserInfo     json.RawMessage
}

// bars reports whether a token counts no more because of its person.
func (p *Provider) bars(a access) bool { return p.Barred(a.Person, time.Unix(a.IssuedAt, 0)) }

func accessOf(g login.Grant) access {
	return access{
		Grant: g.ID, Client: g.Client, ACR: g.ACR, Audience: g.Audience, Details: g.Details, Claims: words(g.Released.Names()),
		Scope: strings.Join(words(g.Scopes), " "), Person: g.Person, SealKey: g.SealKey, OfflineUntil: g.OfflineUntil,
	}
}

// userInfoOf is the answer of /userinfo: sub and what was released, no more.
func userInfoOf(r identity.Released) (json.RawMessage, error) {
	claims := r.Claims()
	claims["sub"] = r.Sub()
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, errors.New("encode userinfo") // the cause could quote the identity
	}
	return body, nil
}

// errNoToken: a request without any token is told only how to send one (RFC 6750
// section 3.1).
var errNoToken = errors.New("no access token")

func errToken(reason string) *protocol.Error {
	return protocol.Fail(protocol.InvalidToken, errors.New(reason), "the access token is not valid")
}

// presented returns the one access token of a request: from the header with the
// scheme Bearer or DPoP or, on POST, from the form (RFC 6750 sections 2.1 and 2.2, RFC
// 9449 section 7.1); never from the URL, which the guard has refused. Two are an error
// even when they are equal.
func presented(r *http.Request) (string, error) {
	headers, form := r.Header["Authorization"], r.PostForm["access_token"]
	switch {
	case len(headers)+len(form) == 0:
		return "", protocol.Fail(protocol.InvalidToken, errNoToken, "an access token is required")
	case len(headers)+len(form) > 1:
		return "", invalid("more than one access token")
	case len(form) == 1:
		return form[0], nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
		return "", protocol.Fail(protocol.InvalidToken, errNoToken, "an access token is required")
	}
	return token, nil
}

// usesDPoP reports whether the token comes with the scheme DPoP.
func usesDPoP(r *http.Request) bool {
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return false
	}
	scheme, _, _ := strings.Cut(headers[0], " ")
	return strings.EqualFold(scheme, "DPoP")
}

// atResource makes 401 of what is wrong with a proof: here it stands for the token
// (RFC 9449 section 7.1), at /token it is one more parameter.
func atResource(err error) error {
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != protocol.InvalidDPoPProof && e.Code != protocol.UseDPoPNonce {
		return err
	}
	here := *e
	here.Status = http.StatusUnauthorized
	return &here
}

// challenge is the WWW-Authenticate header: both schemes are named, and what is
// wrong is said with the one that was used (RFC 6750 section 3, RFC 9449 sections 7.1
// and 7.2).
func challenge(h http.Header, dpop bool, err error) {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return
	}
	fault := ""
	if !errors.Is(e, errNoToken) {
		switch e.Code {
		case protocol.InvalidToken, protocol.InvalidRequest, protocol.InvalidDPoPProof, protocol.UseDPoPNonce:
			fault = `, error="` + string(e.Code) + `", error_description="` + e.Description + `"`
		default:
			return
		}
	}
	bearer, proof := `Bearer realm="userinfo"`, `DPoP realm="userinfo"`
	algs := `, algs="` + strings.Join(dpopAlgs(), " ") + `"`
	if dpop {
		h["Www-Authenticate"] = []string{proof + fault + algs, bearer}
	} else {
		h["Www-Authenticate"] = []string{bearer + fault, proof + algs}
	}
}
