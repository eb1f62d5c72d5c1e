package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

const (
	maxRequestObject  = 32 << 10         // bytes
	requestObjectLife = 60 * time.Minute // exp may be this far ahead, and nbf this long ago (FAPI 2.0 Message Signing section 5.3.1)
	requestObjectSkew = 10 * time.Second // clocks of clients may be this far off
	maxAudiences      = 8
)

// stringParameters are those that must be strings in a request object, or be
// absent; claims is an object and max_age may be a number.
var stringParameters = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"prompt", "acr_values", "login_hint", "ui_locales", "idp_hint", "id_token_hint", "registration", "dpop_jkt",
}

// errObject is the answer to every request object that does not hold.
func errObject(why string) *protocol.Error {
	return protocol.Fail(protocol.InvalidRequestObject, nil, why)
}

// unfold puts the parameters of a signed request object (RFC 9101) in the place
// of those beside it, of which none counts any more. A client that has registered
// no algorithm is told later that we do not read its object. When the object does
// not hold, nobody knows what it says: the service hears it only if the redirect
// URI beside it is registered and the one inside, believed or not, is the same.
func (p *Provider) unfold(ctx context.Context, x *exchange) error {
	objects, ids, uris := x.form["request"], x.form["client_id"], x.form["redirect_uri"]
	if x.pushed != nil || len(objects) != 1 || objects[0] == "" || x.form.Has("request_uri") || len(ids) != 1 {
		return nil
	}
	client, ok := p.Clients().Get(protocol.ClientID(ids[0]))
	if !ok || client.RequestObjectSigningAlg == "" {
		return nil
	}
	inner, err := p.requestObject(ctx, client, objects[0])
	if err == nil {
		x.form, x.signed = inner, true
		return nil
	}
	if err.Code != protocol.InvalidRequestObject {
		return web.Fail(web.Unavailable, err)
	}
	if len(uris) != 1 || !client.HasRedirectURI(uris[0]) || redirectInside(objects[0]) != uris[0] {
		bad := web.Fail(web.RequestInvalid, err)
		bad.Back = frontPage(client)
		return bad
	}
	x.fault = err
	return nil
}

// redirectInside is the redirect URI of an object that nobody has verified.
func redirectInside(compact string) string {
	_, rest, _ := strings.Cut(compact, ".")
	body, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || len(compact) > maxRequestObject {
		return ""
	}
	m, err := protocol.Object(raw)
	if err != nil {
		return ""
	}
	uri, _ := text(m["redirect_uri"])
	return uri
}

// requestObject verifies a request object of client and returns the parameters in
// it: signature first, with the registered algorithm, then its claims, then that
// its jti, if it has one, was never seen.
func (p *Provider) requestObject(ctx context.Context, client *clients.Client, compact string) (url.Values, *protocol.Error) {
	payload, fail := p.verifyObject(ctx, client, compact)
	if fail != nil {
		return nil, fail
	}
	m, err := protocol.Object(payload)
	if err != nil {
		return nil, errObject("the request object is not a JSON object")
	}
	o, fail := p.objectClaims(client, m)
	if fail != nil {
		return nil, fail
	}
	form, fail := objectParameters(m)
	if fail != nil {
		return nil, fail
	}
	if o.jti == "" {
		return form, nil
	}
	sum := sha256.Sum256([]byte(string(client.ID) + "\x00" + o.jti))
	first, err := p.Once.Consume(ctx, "request", hex.EncodeToString(sum[:]), time.Unix(o.exp, 0).Add(requestObjectSkew), p.Now())
	if err != nil {
		return nil, unavailable(err)
	}
	if !first {
		return nil, errObject("jti of the request object was used before")
	}
	return form, nil
}

// verifyObject checks type and signature.
func (p *Provider) verifyObject(ctx context.Context, client *clients.Client, compact string) ([]byte, *protocol.Error) {
	if len(compact) > maxRequestObject {
		return nil, errObject("the request object is too long")
	}
	// No type at all is what OpenID Connect Core section 6.1 allows; a token of
	// another kind says so (RFC 8725 section 3.11).
	if typ, err := keys.Typ(compact); err != nil || !slices.Contains([]string{"", "jwt", "oauth-authz-req+jwt"}, typ) {
		return nil, errObject("the request object is malformed or of another type")
	}
	set, err := p.ClientKeys(client)
	if err != nil {
		return nil, unavailable(err)
	}
	payload, err := set.Verify(ctx, compact, client.RequestObjectSigningAlg)
	if errors.Is(err, keys.ErrUnavailable) {
		return nil, unavailable(err)
	}
	if err != nil {
		return nil, errObject("the request object is not signed by this client with its registered algorithm")
	}
	return payload, nil
}

// object is what a request object says about itself; times are seconds since
// 1970, 0 when absent.
type object struct {
	iss, sub, clientID, jti string
	aud                     []string
	exp, nbf, iat           int64
}

// objectClaims reads the claims and checks them (RFC 9101 sections 4 and 6.3,
// FAPI 2.0 Message Signing section 5.3.1).
func (p *Provider) objectClaims(client *clients.Client, m map[string]json.RawMessage) (object, *protocol.Error) {
	o, ok := parseObject(m)
	if !ok {
		return object{}, errObject("a claim of the request object has another type than it should")
	}
	now := p.Now()
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	why := ""
	switch {
	case m["request"] != nil || m["request_uri"] != nil:
		why = "the request object holds another one" // RFC 9101 section 4
	case o.iss != string(client.ID):
		why = "iss of the request object is not the client"
	case o.clientID != string(client.ID):
		why = "client_id of the request object is not the client"
	case o.sub == string(client.ID):
		why = "the request object has the sub of a client assertion" // RFC 9101 section 10.8
	case !slices.Contains(o.aud, p.Issuer):
		why = "aud of the request object is not this issuer"
	case o.exp == 0:
		why = "exp of the request object is missing"
	case !now.Before(at(o.exp)):
		why = "the request object has expired"
	case at(o.exp).After(now.Add(requestObjectLife + requestObjectSkew)):
		why = "exp of the request object is more than 60 minutes ahead"
	case o.nbf == 0 && client.RequireSignedRequestObject:
		why = "nbf of the request object is missing"
	case o.nbf != 0 && at(o.nbf).Before(now.Add(-requestObjectLife)):
		why = "nbf of the request object is more than 60 minutes ago"
	case at(o.nbf).After(now.Add(requestObjectSkew)) || at(o.iat).After(now.Add(requestObjectSkew)):
		why = "the request object is not valid yet"
	case len(o.jti) > maxJTI:
		why = "jti of the request object is too long"
	}
	if why != "" {
		return object{}, errObject(why)
	}
	return o, nil
}

// parseObject is strict about the types of what is there.
func parseObject(m map[string]json.RawMessage) (o object, ok bool) {
	for name, dst := range map[string]*string{"iss": &o.iss, "sub": &o.sub, "client_id": &o.clientID, "jti": &o.jti} {
		if m[name] == nil {
			continue
		}
		if *dst, ok = text(m[name]); !ok {
			return object{}, false
		}
	}
	for name, dst := range map[string]*int64{"exp": &o.exp, "nbf": &o.nbf, "iat": &o.iat} {
		if m[name] != nil && (json.Unmarshal(m[name], dst) != nil || *dst <= 0 || *dst > 1<<40) {
			return object{}, false
		}
	}
	o.aud, ok = audience(m["aud"])
	return o, ok
}

// audience is one string or a short list of them (RFC 7519 section 4.1.3); absent,
// it is nil.
func audience(raw json.RawMessage) ([]string, bool) {
	if s, ok := text(raw); ok {
		return []string{s}, true
	}
	var list []json.RawMessage
	if raw == nil || json.Unmarshal(raw, &list) != nil || len(list) > maxAudiences {
		return nil, raw == nil
	}
	aud := make([]string, len(list))
	for i, one := range list {
		var ok bool
		if aud[i], ok = text(one); !ok {
			return nil, false
		}
	}
	return aud, true
}

// text reads a JSON string, and nothing that becomes one.
func text(raw json.RawMessage) (string, bool) {
	var s string
	ok := len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}

// objectParameters are the members of an object as if they had been sent in a
// form. What it says about itself is not among them, and members that we do not
// know are ignored whatever their type.
func objectParameters(m map[string]json.RawMessage) (url.Values, *protocol.Error) {
	form := url.Values{}
	for _, name := range stringParameters {
		if m[name] == nil {
			continue
		}
		value, ok := text(m[name])
		if !ok {
			return nil, errObject(name + " in the request object is no string")
		}
		form.Set(name, value)
	}
	if raw := m["max_age"]; raw != nil {
		value, ok := text(raw)
		if !ok {
			value = string(raw) // whether it is a good number is for maxAge to say
		}
		form.Set("max_age", value)
	}
	for name, opens := range map[string]string{"claims": "{", "authorization_details": "["} {
		raw := m[name]
		if raw != nil && !bytes.HasPrefix(raw, []byte(opens)) {
			return nil, errObject(name + " in the request object has another type than it should")
		}
		if raw != nil {
			form.Set(name, string(raw))
		}
	}
	resources, ok := audience(m["resource"]) // one or a list, like aud
	if !ok {
		return nil, errObject("resource in the request object is neither a string nor a short list of them")
	}
	if resources != nil {
		form["resource"] = resources
	}
	return form, nil
}
