package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/sandbox"
)

// standIn has the shape of a broker and none of its care: the pages, redirects
// and cookies that the generator meets, so that the generator can be tested
// before, and apart from, the thing that it measures.
type standIn struct {
	t        *testing.T
	url      string
	upstream *oauth2.Config
	keys     *throwaway

	mu    sync.Mutex // guards what follows
	flows map[string]*standInFlow
	codes map[string]*standInFlow
}

type standInFlow struct {
	asked    url.Values
	cookie   string
	verifier string
	subject  string
}

// newStandIn starts it with a provider of the sandbox behind it.
func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{t: t, flows: map[string]*standInFlow{}, codes: map[string]*standInFlow{}}
	srv, up := httptest.NewServer(nil), httptest.NewServer(nil)
	t.Cleanup(srv.Close)
	t.Cleanup(up.Close)
	s.url = srv.URL
	h, err := idp{sandbox.Tax, up.URL, protocol.EIDAS1}.handler(srv.URL, "secret", 3)
	if err != nil {
		t.Fatal(err)
	}
	up.Config.Handler = h
	if s.keys, err = newThrowaway(); err != nil {
		t.Fatal(err)
	}
	p, err := oidc.NewProvider(t.Context(), up.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.upstream = &oauth2.Config{ClientID: brokerID, ClientSecret: "secret", Endpoint: p.Endpoint(), RedirectURL: srv.URL + "/callback/tax", Scopes: []string{"openid"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("GET /login/{flow}", s.page(`<button id="provider-tax">`))
	mux.HandleFunc("GET /login/{flow}/consent", s.page(`<button id="consent-agree">`))
	mux.HandleFunc("POST /login/{flow}/provider", s.pick)
	mux.HandleFunc("GET /callback/tax", s.callback)
	mux.HandleFunc("POST /login/{flow}/consent", s.answer)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /userinfo", s.userinfo)
	srv.Config.Handler = mux
	return s
}

func (s *standIn) authorize(w http.ResponseWriter, r *http.Request) {
	id, f := token(), &standInFlow{asked: r.URL.Query(), cookie: token(), verifier: oauth2.GenerateVerifier()}
	s.mu.Lock()
	s.flows[id] = f
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "__Host-voussoir-flow-" + id, Value: f.cookie, Path: "/", Secure: true, HttpOnly: true})
	http.Redirect(w, r, "/login/"+id, http.StatusSeeOther)
}

// flow finds a flow and insists on its cookie.
func (s *standIn) flow(w http.ResponseWriter, r *http.Request, id string) *standInFlow {
	s.mu.Lock()
	f := s.flows[id]
	s.mu.Unlock()
	if c, err := r.Cookie("__Host-voussoir-flow-" + id); f == nil || err != nil || c.Value != f.cookie {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<main id="error" data-code="flow_not_yours">`)
		return nil
	}
	return f
}

func (s *standIn) page(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.flow(w, r, r.PathValue("flow")) != nil {
			fmt.Fprint(w, body)
		}
	}
}

func (s *standIn) pick(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("flow")
	if f := s.flow(w, r, id); f != nil && r.FormValue("provider") == "tax" {
		http.Redirect(w, r, s.upstream.AuthCodeURL(id, oauth2.S256ChallengeOption(f.verifier)), http.StatusSeeOther)
	}
}

func (s *standIn) callback(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("state")
	f := s.flow(w, r, id)
	if f == nil {
		return
	}
	tok, err := s.upstream.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(f.verifier))
	if err != nil {
		s.t.Errorf("the stand-in cannot redeem the provider's code: %v", err)
		return
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(tok.Extra("id_token"))))
	f.subject = fmt.Sprintf("%x", sum[:8])
	http.Redirect(w, r, "/login/"+id+"/consent", http.StatusSeeOther)
}

func (s *standIn) answer(w http.ResponseWriter, r *http.Request) {
	f := s.flow(w, r, r.PathValue("flow"))
	if f == nil || r.FormValue("answer") != "agree" {
		return
	}
	code := token()
	s.mu.Lock()
	s.codes[code] = f
	s.mu.Unlock()
	back := url.Values{"code": {code}, "state": {f.asked.Get("state")}, "iss": {s.url}}
	http.Redirect(w, r, f.asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (s *standIn) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.codes[r.FormValue("code")]
	s.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if f == nil || id != basic.clientID() || secret != "ours" || b64(sum[:]) != f.asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	payload, _ := json.Marshal(map[string]string{"iss": s.url, "sub": f.subject, "nonce": f.asked.Get("nonce")})
	jws, _ := s.keys.Sign(context.Background(), "ES256", "JWT", payload)
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": f.subject, "id_token": jws})
}

func (s *standIn) userinfo(w http.ResponseWriter, r *http.Request) {
	sub := r.Header.Get("Authorization")[len("Bearer "):]
	_ = json.NewEncoder(w).Encode(map[string]string{"sub": sub})
}
