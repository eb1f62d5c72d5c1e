package login

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// Posted is the stage of a record that is no visit: an answer that a provider's
// page posted here, until the browser has come back for it with its cookie.
const Posted Stage = Done + 1

const (
	sealPosted = "posted answer"
	// postedTTL is how long a posted answer waits for the browser, which is on its way.
	postedTTL = time.Minute
	// maxPosted is the largest form of a provider, in bytes: a response of 256 KiB in
	// base64, with every character of it that may be escaped escaped.
	maxPosted = 512 << 10
	// answerParam holds the handle of a posted answer.
	answerParam = "posted_answer"
)

// postedAnswer is what is sealed. It is for one visit at one provider.
type postedAnswer struct {
	Visit    FlowID
	Provider protocol.ProviderID
	Form     url.Values
}

func (*postedAnswer) sealable() {}

// posted makes the handler of POST answers whose fields are fields, with our state
// in the one that is called state. The request comes from another site, without our
// cookie (SameSite=Lax), so nothing is decided here: the answer is put aside under
// a handle that is good for one use within a minute, and the browser is sent to
// the callback, where its cookie, the state and the provider's path are checked as
// for any other answer. Only an answer that a visit waits for is put aside, so that
// nobody fills the store with others.
func (s *Service) posted(name, state string, fields ...string) http.Handler {
	return s.Site.FormFromAnySite(name, maxPosted, func(w http.ResponseWriter, r *http.Request) error {
		form, err := postedForm(r, state, fields...)
		if err != nil {
			return s.problem(nil, err)
		}
		v, err := s.awaited(r, form.Get(state))
		if err != nil {
			return s.problem(nil, err)
		}
		handle, err := s.putAside(r.Context(), v, form.Get(state), form)
		if err != nil {
			return s.problem(nil, err)
		}
		q := url.Values{"state": {form.Get(state)}, answerParam: {handle}}
		seeOther(w, "/callback/"+url.PathEscape(string(v.Provider))+"?"+q.Encode())
		return nil
	})
}

// postedForm reads the form strictly, and nothing from the query: each field once
// and no other. SAMLRequest beside SAMLResponse is not a response.
func postedForm(r *http.Request, state string, fields ...string) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, web.Fail(web.CallbackInvalid, errors.New("a posted answer with a query"))
	}
	form, err := readForm(r, append(fields, state)...)
	if err != nil {
		return nil, err
	}
	for _, f := range append(fields, state) {
		if _, ok := only(form, f); !ok {
			return nil, web.Fail(web.CallbackInvalid, errors.New("a field is missing or stands twice"))
		}
	}
	return form, nil
}

// awaited finds the visit that waits for this answer: not one that nobody asked
// for (a sign-in that the provider began), and not one of another provider.
func (s *Service) awaited(r *http.Request, state string) (*visit, error) {
	v, err := s.visitOf(state, func(id FlowID) (*visit, error) { return s.load(r.Context(), id) })
	if err != nil {
		return nil, err
	}
	if protocol.ProviderID(r.PathValue("provider")) != v.Provider || v.stage != AtProvider {
		return nil, web.Fail(web.CallbackInvalid, errors.New("no visit waits for this answer"))
	}
	return v, nil
}

// putAside keeps an answer as a record of its own beside the visits. Its id follows
// from the state and the minute, so that one visit has two of them at most, however
// often somebody posts; of several in a minute the first counts.
func (s *Service) putAside(ctx context.Context, v *visit, state string, form url.Values) (handle string, err error) {
	now := s.Now()
	minute := strconv.FormatInt(now.Unix()/int64(postedTTL/time.Second), 10)
	id := FlowID(base64.RawURLEncoding.EncodeToString(sum(sealPosted + " " + minute + " " + state)[:16]))
	if _, err := s.Flows.Load(ctx, id, now); err == nil {
		return string(id), nil
	} else if !errors.Is(err, ErrNoFlow) {
		return "", fmt.Errorf("look for a posted answer: %w", err)
	}
	sealed, err := s.seal(sealPosted, []byte(id), &postedAnswer{Visit: v.id, Provider: v.Provider, Form: form})
	if err != nil {
		return "", fmt.Errorf("seal a posted answer: %w", err)
	}
	if err := s.Flows.Create(ctx, Flow{ID: id, Stage: Posted, Sealed: sealed, Expires: now.Add(postedTTL)}); err != nil {
		if _, second := s.Flows.Load(ctx, id, now); second == nil {
			return string(id), nil // a double click was first
		}
		return "", fmt.Errorf("put a posted answer aside: %w", err)
	}
	return string(id), nil
}

// answerOf is the answer that a callback brings: its query, or what was posted and
// waits under the handle in it. A posted answer is taken once, and nothing of it
// is left: whoever comes second gets ErrStale. One that has expired or is of another
// visit is as good as none.
func (s *Service) answerOf(ctx context.Context, v *visit, q url.Values) (url.Values, error) {
	if !q.Has(answerParam) {
		return q, nil
	}
	handle := FlowID(q.Get(answerParam))
	gone := web.Fail(web.CallbackInvalid, errors.New("no posted answer of this visit under this handle"))
	if !isID(string(handle)) || len(q) != 2 {
		return nil, gone
	}
	f, err := s.Flows.Load(ctx, handle, s.Now())
	if errors.Is(err, ErrNoFlow) || err == nil && f.Stage != Posted {
		return nil, gone
	}
	if err != nil {
		return nil, fmt.Errorf("load a posted answer: %w", err)
	}
	if f.Revision > 0 {
		return nil, fmt.Errorf("posted answer: %w", ErrStale) // a reload: see what is true now
	}
	var a postedAnswer
	if err := s.unseal(sealPosted, []byte(handle), f.Sealed, &a); err != nil {
		return nil, fmt.Errorf("open a posted answer: %w", err)
	}
	if a.Visit != v.id || a.Provider != v.Provider {
		return nil, gone
	}
	empty := Flow{ID: handle, Stage: Posted, Revision: f.Revision + 1, Sealed: []byte{0}, Expires: f.Expires}
	if err := s.Flows.Advance(ctx, Posted, empty); err != nil {
		return nil, fmt.Errorf("take a posted answer: %w", err)
	}
	return a.Form, nil
}

// visitOf finds the visit that gave out a state, the newest that it gave out.
func (s *Service) visitOf(state string, find func(FlowID) (*visit, error)) (*visit, error) {
	id, rest, ok := strings.Cut(state, ".")
	if !ok || !isID(id) || !isID(rest) {
		return nil, web.Fail(web.CallbackInvalid, errors.New("not a state of ours"))
	}
	v, err := find(FlowID(id))
	if err != nil {
		return nil, err
	}
	if !v.gaveOut(state) {
		return nil, s.problem(v, web.Fail(web.CallbackInvalid, errors.New("not the newest state of this visit")))
	}
	return v, nil
}
