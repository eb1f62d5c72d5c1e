package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// This is the only file that imports the library's op package. What we take from
// it is the order of things: who the client is, then whether the redirect URI is
// its own, then the request; client authentication, then the grant. What it
// writes, logs and decodes we do not take: it is shown no secret, no state and no
// header, its decoder is replaced, and its answers end in a sink. So nothing of
// it can reach a client, and an upgrade cannot change what we say.

// exchange is one request on its way through the library: what our methods read
// and what they decided. It belongs to one goroutine.
type exchange struct {
	header http.Header
	form   url.Values

	// /authorize
	client    *clients.Client       // set once the redirect URI is proven
	proven    [1]string             // the redirect URI, at the same time
	pushed    *protocol.AuthRequest // the request, when it was validated at /par; form proves it once more
	signed    bool                  // form is what a verified request object says
	fault     *protocol.Error       // what is wrong with the request object, when the service may hear it
	req       protocol.AuthRequest  // enough to answer an error, once client is set
	location  string                // where the browser goes, when err is nil
	cookies   []*http.Cookie
	submitted bool // the request reached begin

	// /token
	request     *http.Request // as it came; the library never sees it
	credentials credentials
	bound       confirmation // whom the tokens will be bound to
	tokens      *tokenAnswer

	err error
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// errLibrary: the library turned down what we had not. Its own words stay inside.
var errLibrary = errors.New("refused by the library")

// library is zitadel/oidc with the two routes that go through it.
type library struct{ http.Handler }

func newLibrary(p *Provider) *library {
	endpoints := op.Endpoints{Authorization: op.NewEndpoint(PathAuthorize), Token: op.NewEndpoint(PathToken)}
	return &library{op.RegisterServer(opServer{p: p}, endpoints,
		op.WithServerCORSOptions(nil), // the default reflects any origin, with credentials
		op.WithDecoder(decoder{}),
	)}
}

// run takes x through the library. The request that it sees has neither header
// nor body, and of the form only what decoder hands out.
func (l *library) run(ctx context.Context, method, path string, x *exchange) {
	r := &http.Request{
		Method: method, URL: &url.URL{Path: path}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Form: x.form, PostForm: url.Values{}, Body: http.NoBody,
	}
	l.ServeHTTP(sink{}, r.WithContext(context.WithValue(ctx, exchangeKey{}, x)))
}

// sink is where the library's answers go.
type sink http.Header

func (s sink) Header() http.Header       { return http.Header(s) }
func (sink) Write(b []byte) (int, error) { return len(b), nil }
func (sink) WriteHeader(int)             {}

// decoder hands the library what it needs to run its checks and no more. It never
// fails: everything is parsed by our own code, from the form.
type decoder struct{}

func (decoder) Decode(dst any, src map[string][]string) error {
	first := func(name string) string { return url.Values(src).Get(name) }
	switch d := dst.(type) {
	case *oidc.AuthRequest:
		d.ClientID, d.RedirectURI = first("client_id"), first("redirect_uri")
		d.ResponseType, d.Scopes = oidc.ResponseTypeCode, oidc.SpaceDelimitedArray{oidc.ScopeOpenID}
	case *op.ClientCredentials:
		d.ClientID = "client" // the credentials are in the exchange
	case *oidc.AccessTokenRequest:
		d.Code, d.RedirectURI = "code", "uri" // likewise; see Provider.redeem
	case *oidc.RefreshTokenRequest:
		d.RefreshToken = "token" // likewise; see Provider.refresh
	}
	return nil
}

type opServer struct {
	op.UnimplementedServer
	p *Provider
}

// VerifyAuthRequest runs before the redirect URI is proven: its error becomes a page.
func (s opServer) VerifyAuthRequest(ctx context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	x := exchangeOf(ctx)
	client, redirectURI, err := s.p.prove(x.form)
	if err != nil {
		x.err = err
		return nil, oidc.ErrInvalidRequestRedirectURI()
	}
	x.client, x.proven[0] = client, redirectURI
	x.req = protocol.AuthRequest{ClientID: client.ID, RedirectURI: redirectURI}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: opClient{x}}, nil
}

// Authorize runs after: its error goes back to the service.
func (s opServer) Authorize(ctx context.Context, _ *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	x := exchangeOf(ctx)
	x.submitted = true
	x.err = s.p.begin(ctx, x)
	return op.NewRedirect("/"), nil
}

// VerifyClient authenticates the client at /token.
func (s opServer) VerifyClient(ctx context.Context, _ *op.Request[op.ClientCredentials]) (op.Client, error) {
	x := exchangeOf(ctx)
	if x.client, x.err = s.p.authenticate(ctx, x.credentials); x.err != nil {
		return nil, oidc.ErrInvalidClient()
	}
	if x.bound, x.err = s.p.bind(x.request, x.client); x.err != nil {
		return nil, oidc.ErrInvalidRequest()
	}
	return opClient{x}, nil
}

// CodeExchange runs for an authenticated client.
func (s opServer) CodeExchange(ctx context.Context, _ *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	x := exchangeOf(ctx)
	x.tokens, x.err = s.p.redeem(ctx, x)
	return op.NewResponse(nil), nil
}

// RefreshToken likewise.
func (s opServer) RefreshToken(ctx context.Context, _ *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	x := exchangeOf(ctx)
	x.tokens, x.err = s.p.refresh(ctx, x)
	return op.NewResponse(nil), nil
}

// opClient shows a client to the library's checks: codes only, no globs, and of its
// redirect URIs the one that we have proven, so that none of the library's own
// ways to compare them can find another.
type opClient struct{ x *exchange }

func (o opClient) GetID() string                    { return string(o.x.client.ID) }
func (o opClient) RedirectURIs() []string           { return o.x.proven[:] }
func (o opClient) PostLogoutRedirectURIs() []string { return o.x.client.PostLogoutURIs }

// ApplicationType is native for the sake of loopback and private-use URIs.
func (o opClient) ApplicationType() op.ApplicationType {
	if o.x.client.Native {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}
func (o opClient) AuthMethod() oidc.AuthMethod { return oidc.AuthMethod(o.x.client.AuthMethod) }
func (opClient) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (opClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
func (opClient) LoginURL(string) string               { return "" }
func (opClient) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (opClient) IDTokenLifetime() time.Duration       { return 0 }
func (opClient) DevMode() bool                        { return false }
func (opClient) IsScopeAllowed(string) bool           { return false }
func (opClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (opClient) ClockSkew() time.Duration             { return 0 }
func (opClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}
func (opClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}
