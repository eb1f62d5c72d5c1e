package sandbox

import (
	"net/http"
	"net/url"
	"slices"
)

// endSession answers GET /end-session (OpenID Connect RP-Initiated Logout): it
// forgets who is signed in here and sends the browser back. It does not ask, and
// does not look into the ID token: there is nothing to protect.
func (p *provider) endSession(w http.ResponseWriter, r *http.Request) {
	values, err := query(r)
	if err != nil {
		p.showProblem(w, r)
		return
	}
	ask, err := params(values)
	client, known := p.clients[ask["client_id"]]
	if err != nil || !known || !slices.Contains(client.PostLogoutURIs, ask["post_logout_redirect_uri"]) {
		p.showProblem(w, r)
		return
	}
	if c, err := r.Cookie(p.sessionCookie()); err == nil {
		p.sessions.take(c.Value, p.Now())
	}
	p.setSession(w, "", 0)
	back := ask["post_logout_redirect_uri"]
	if ask["state"] != "" {
		back += "?" + url.Values{"state": {ask["state"]}}.Encode()
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
